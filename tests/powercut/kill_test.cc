// Producers and consumers of rings, and processes that keep a journal, are killed with SIGKILL one
// after another, while the other side goes on, and are started again. Now and then both are killed,
// and what is left is judged as after a power cut. Nothing is cut off here: no file system of ours
// is needed.
//
//   SEMPER_CRASH_ROUNDS   kills of each; default 60
//   SEMPER_CRASH_SEED     decides who is killed and when the next kill is due; printed
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <sstream>
#include <thread>
#include <vector>

#include "roles.h"
#include "semper/env/random.h"
#include "semper/testing/child_process.h"
#include "semper/testing/temporary_folder.h"

namespace semper::testing {
namespace {

constexpr std::uint64_t kDefaultKills = 60;
constexpr std::uint64_t kKillsPerLife = 30;
// Of the notes that are to be written between two kills, at most: about half of the kills hit a
// process that attaches.
constexpr std::uint64_t kProgressOfNotes = 2'000;
constexpr std::uint64_t kMicrosecondsMore = 2'000;
constexpr double kJudged = 0.2;  // of the kills: all are killed, and what is left is judged
constexpr auto kJudgeLimit = std::chrono::seconds(120);

std::uint64_t number_of_environment(const char* name, std::uint64_t otherwise) {
  const char* const text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

struct Killed {
  std::string name;
  std::vector<std::string> workers;
  std::string judge;
  std::string format;  // empty: either, by the life
};

void PrintTo(const Killed& victim, std::ostream* out) {
  *out << victim.name;
}

const Killed kAllKilled[] = {
    {"semper_1", {"ring-producer", "ring-consumer"}, "ring-judge", "semper-1"},
    {"mirage_1_0", {"ring-producer", "ring-consumer"}, "ring-judge", "mirage-1.0"},
    {"journal", {"journal"}, "journal-judge", ""},
};

class KillRounds : public ::testing::TestWithParam<Killed> {
 protected:
  struct Worker {
    std::string role;
    ChildProcess process;
  };

  void begin_life(std::uint64_t life) {
    disk_ = std::make_unique<TemporaryFolder>();
    notes_ = std::make_unique<TemporaryFolder>();
    base_.disk = disk_->path();
    base_.notes = notes_->path();
    base_.format = GetParam().format;
    if (base_.format.empty()) base_.format = life % 2 == 0 ? "semper-1" : "mirage-1.0";
    for (const auto& role : GetParam().workers) workers_.push_back({role, start(role)});
  }

  ChildProcess start(const std::string& role) {
    RoleOptions options = base_;
    options.role = role;
    options.seed = random_->below(1'000'000);
    return ChildProcess(to_arguments(options));
  }

  std::uintmax_t bytes_of_notes() const {
    std::uintmax_t bytes = 0;
    for (const auto& file : std::filesystem::directory_iterator(notes_->path())) {
      bytes += file.file_size();
    }
    return bytes;
  }

  void kill_one() {
    const auto wanted = bytes_of_notes() + random_->below(kProgressOfNotes);
    const auto has_moved = [&] {
      for (auto& worker : workers_) worker.process.output();
      return bytes_of_notes() >= wanted;
    };
    ASSERT_TRUE(wait_until(has_moved)) << "nothing moves";
    const auto until = std::chrono::steady_clock::now() +
                       std::chrono::microseconds(random_->below(kMicrosecondsMore));
    while (std::chrono::steady_clock::now() < until) std::this_thread::yield();
    auto& victim = workers_[random_->below(workers_.size())];
    ASSERT_TRUE(victim.process.is_running())
        << victim.role << " ended by itself, see its words above";
    victim.process.kill_hard();
    if (random_->chance(kJudged)) {
      judge();
      for (auto& worker : workers_) worker.process = start(worker.role);
    } else {
      victim.process = start(victim.role);
    }
  }

  void judge() {
    for (auto& worker : workers_) worker.process.kill_hard();
    ChildProcess judge = start(GetParam().judge);
    const int code = judge.finish(kJudgeLimit);
    std::istringstream lines(judge.output());
    std::string line;
    while (std::getline(lines, line)) {
      if (line.starts_with("wrong: ")) ADD_FAILURE() << line.substr(7);
      if (line.starts_with("judged ")) judged_ += std::stoull(line.substr(7));
    }
    EXPECT_EQ(code, 0) << "the judge";
  }

  void end_life() {
    judge();
    workers_.clear();
  }

  // For a person to look at.
  void keep() const {
    disk_->keep();
    notes_->keep();
    std::cout << "kept: " << disk_->path() << " and " << notes_->path() << std::endl;
  }

  std::unique_ptr<SeededRandom> random_;
  std::unique_ptr<TemporaryFolder> disk_;
  std::unique_ptr<TemporaryFolder> notes_;
  RoleOptions base_;
  std::vector<Worker> workers_;
  std::uint64_t judged_ = 0;
};

TEST_P(KillRounds, killed_sides_lose_nothing_that_was_acknowledged_and_change_no_order) {
  const auto kills = number_of_environment("SEMPER_CRASH_ROUNDS", kDefaultKills);
  const auto seed = number_of_environment("SEMPER_CRASH_SEED", system_random().below(1'000'000));
  std::cout << kills << " kills, SEMPER_CRASH_SEED=" << seed << std::endl;
  random_ = std::make_unique<SeededRandom>(seed);
  std::uint64_t done = 0;
  for (std::uint64_t life = 0; done < kills; ++life) {
    begin_life(life);
    for (std::uint64_t i = 0; i < kKillsPerLife && done < kills && !HasFailure(); ++i, ++done) {
      kill_one();
    }
    if (!HasFailure()) end_life();
    if (!HasFailure()) continue;
    keep();
    FAIL() << "after kill " << done << ", life " << life << " of seed " << seed;
  }
  std::cout << done << " kills, " << judged_ << " acknowledgements judged" << std::endl;
  EXPECT_GT(judged_, kills) << "the processes hardly did anything between the kills";
}
INSTANTIATE_TEST_SUITE_P(Victims, KillRounds, ::testing::ValuesIn(kAllKilled),
                         [](const auto& victim) { return victim.param.name; });

}  // namespace
}  // namespace semper::testing
