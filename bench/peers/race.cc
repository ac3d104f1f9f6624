#include "race.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <thread>

#include "semper/testing/child_process.h"
#include "server.h"

namespace semper::bench::peers {
namespace {

using namespace std::chrono_literals;
using semper::testing::ChildProcess;

// Names that a system has not been measured, and why.
void skip(const Kind& kind, const std::string& why) {
  progress("");
  std::printf("skipped: %s: %s\n", kind.name.c_str(), why.c_str());
  std::fflush(stdout);
}

// What others have left to be written would be written during this measurement.
void write_back(const std::string& folder) {
  const int descriptor = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return;
  syncfs(descriptor);
  close(descriptor);
}

std::vector<std::string> words_of(const char* role, const Entrant& entrant, const Shape& shape,
                                  const BoardMemory& board, int number) {
  return {"--role",     role,
          "--system",   entrant.kind->id,
          "--address",  entrant.system->address(),
          "--board",    board.path(),
          "--number",   std::to_string(number),
          "--entities", std::to_string(shape.entities),
          "--flight",   std::to_string(shape.in_flight),
          "--seconds",  std::to_string(shape.seconds),
          "--rate",     std::to_string(shape.rate)};
}

// The processes of one measurement.
class Clients {
 public:
  Clients(const Entrant& entrant, const Shape& shape) : shape_(shape) {
    for (int i = 0; i < shape.pairs; ++i) {
      consumers_.emplace_back(words_of("consumer", entrant, shape, board_, i));
    }
    for (int i = 0; i < shape.pairs; ++i) {
      publishers_.emplace_back(words_of("publisher", entrant, shape, board_, i));
    }
    await("they were not ready", [this] { return board_->ready.load() == 2 * shape_.pairs; });
  }

  void run(Figures& figures) {
    const std::int64_t start = now_ns();
    board_->go_ns.store(start);
    std::this_thread::sleep_for(std::chrono::duration<double>(shape_.seconds));
    for (auto& one : publishers_) end(one);
    await("what was published was not processed",
          [this] { return board_->processed() >= board_->published(); });
    count_ = static_cast<double>(board_->published());
    figures.per_second = count_ * 1e9 / static_cast<double>(now_ns() - start);
    board_->stop.store(1);
    for (auto& one : consumers_) end(one);
    for (int i = 0; i < shape_.pairs; ++i) {
      append(figures.commit_us, board_->publisher(i));
      append(figures.processed_us, board_->consumer(i));
    }
    if (board_->processed() != board_->published()) {
      throw Unavailable("processed " + std::to_string(board_->processed()) + " of " +
                        std::to_string(board_->published()) + " messages");
    }
  }
  double count() const { return count_; }

 private:
  static void append(std::vector<double>& all, const Slot& slot) {
    const auto some = slot.latencies();
    all.insert(all.end(), some.begin(), some.end());
  }

  static void end(ChildProcess& process) {
    if (process.wait(kPatience) != 0) throw Unavailable("a client process failed");
  }

  template <class Condition>
  void await(const char* otherwise, Condition condition) {
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    while (!condition()) {
      const bool lost = std::any_of(consumers_.begin(), consumers_.end(),
                                    [](ChildProcess& one) { return !one.is_running(); });
      if (lost) throw Unavailable("a consumer process has ended");
      if (std::chrono::steady_clock::now() > deadline) throw Unavailable(otherwise);
      std::this_thread::sleep_for(1ms);
    }
  }

  const Shape shape_;
  BoardMemory board_;
  std::vector<ChildProcess> consumers_;
  std::vector<ChildProcess> publishers_;
  double count_ = 0;
};

}  // namespace

Field::Field(const std::vector<std::string>& ids) : folder_("peers") {
  for (const auto& kind : kinds()) {
    const bool asked = ids.empty() || std::find(ids.begin(), ids.end(), kind.id) != ids.end();
    if (!asked) continue;
    const std::string folder = folder_.path() + "/" + kind.id;
    std::filesystem::create_directories(folder);
    progress("starting " + kind.name);
    try {
      entrants_.push_back({&kind, kind.start(folder)});
      entrants_.back().system->freeze();
    } catch (const Unavailable& why) {
      skip(kind, why.what());
    }
  }
}

void Field::prepare(std::size_t entities) {
  for (auto& entrant : entrants_) {
    progress("preparing " + entrant.kind->name + " for " + std::to_string(entities) + " entities");
    entrant.system->thaw();
    entrant.system->prepare(entities);
    entrant.system->freeze();
  }
}

std::optional<Figures> Field::race(const Entrant& entrant, const Shape& shape) {
  if (failed_.count(entrant.kind) != 0) return std::nullopt;
  write_back(folder_.path());
  entrant.system->thaw();
  std::optional<Figures> figures;
  try {
    Figures measured;
    const auto before = written_by_tree(getpid());
    double count = 0;
    {
      Clients clients(entrant, shape);
      clients.run(measured);
      count = clients.count();
    }
    entrant.system->write_all();
    const auto after = written_by_tree(getpid());
    if (before && after) measured.bytes = (*after - *before) / count;
    figures = std::move(measured);
  } catch (const Unavailable& why) {
    skip(*entrant.kind, std::string(why.what()) + "; not measured any more");
    failed_.insert(entrant.kind);
  }
  entrant.system->freeze();
  return figures;
}

}  // namespace semper::bench::peers
