// The coordinator: reads the log, starts publisher and consumers, kills one of them, waits for the
// end, and checks what came of it.
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <filesystem>

#include "concurrently.h"
#include "progress.h"
#include "report.h"
#include "roles.h"
#include "semper/store/tuple.h"

namespace packages {
namespace {

using namespace std::chrono_literals;
using semper::ErrorKind;
using semper::fail;

constexpr int kReadyTimeoutMs = 30'000;
constexpr int kStopTimeoutMs = 15'000;
constexpr int kPollMs = 10;
// Without a single event processed for so long, something is wrong.
constexpr auto kStallLimit = 60s;
constexpr auto kReadTimeout = 60s;
// Times that the log is read again because dpkg wrote to it meanwhile.
constexpr int kReadAttempts = 10;
constexpr std::size_t kListPage = 1000;

std::string own_path() {
  return std::filesystem::read_symlink("/proc/self/exe").string();
}

// The `semper` of this build, as it is typed from here; its plain name where it is not there.
std::string find_tool() {
  std::error_code error;
  const auto beside = std::filesystem::path(own_path()).parent_path() / "../../apps/semper";
  const auto tool = std::filesystem::canonical(beside, error);
  if (error) return "semper";
  const auto relative = std::filesystem::proximate(tool, error).string();
  return error || relative.starts_with("..") ? tool.string() : relative;
}

// What changes when dpkg writes to one of the files or they are rotated.
std::string fingerprint(const std::vector<std::string>& files) {
  std::string text;
  for (const auto& file : files) {
    struct stat info {};
    if (::stat(file.c_str(), &info) != 0) continue;
    text += file + " " + std::to_string(info.st_ino) + " " + std::to_string(info.st_size) + "\n";
  }
  return text;
}

struct Counters {
  std::uint64_t applied = 0;
  std::uint64_t refused = 0;
  std::uint64_t processed() const { return applied + refused; }
};

semper::Async<Counters> read_counters(semper::Store store, RunKeys keys) {
  co_return co_await store.transact([&](semper::Transaction& tx) -> semper::Async<Counters> {
    const auto count = [](const std::optional<semper::Bytes>& value) {
      return value && value->size() == 8 ? semper::load_little_endian_u64(*value) : 0;
    };
    Counters counters;
    SEMPER_CO_TRY(const auto applied, co_await tx.get(keys.applied));
    SEMPER_CO_TRY(const auto refused, co_await tx.get(keys.refused));
    counters.applied = count(applied);
    counters.refused = count(refused);
    co_return counters;
  });
}

semper::Async<void> clear_keys(semper::Store store, semper::KeyRange range) {
  co_return co_await store.transact([&](semper::Transaction& tx) -> semper::Async<void> {
    tx.clear_range(range);
    co_return semper::Status();
  });
}

semper::ListOptions at_most(std::size_t count) {
  semper::ListOptions options;
  options.limit = count;
  return options;
}

semper::Async<void> kill(semper::Store store, std::string id) {
  auto killed = co_await semper::ref<Package>(store, id).kill();
  if (!killed && killed.error().kind() != ErrorKind::not_found) co_return killed;
  co_return semper::Status();
}

// Kills every package server in the store; a fresh start.
semper::Async<void> forget(semper::Store store) {
  const auto options = at_most(kListPage);
  while (true) {
    SEMPER_CO_TRY(auto ids,
                  co_await semper::list_entities(store, std::string(Package::kName), options));
    if (ids.empty()) break;
    const auto kill_one = [store](const std::string& id) { return kill(store, id); };
    SEMPER_CO_TRY_STATUS(co_await for_each_concurrently(std::move(ids), kill_one));
  }
  const semper::KeyRange runs = semper::tuple_range(semper::Tuple{"semper-packages"});
  co_return co_await clear_keys(store, runs);
}

class Coordinator {
 public:
  Coordinator(const Options& options, StopSignals& signals)
      : options_(options),
        signals_(signals),
        run_(semper::to_hex(semper::system_random().bytes(8))),
        keys_(run_) {}

  int run();

 private:
  semper::Status read_log();
  semper::Status read_log_and_dpkg();
  semper::Status open();
  semper::Status start_consumer();
  semper::Status start_all();
  semper::Status drive();
  semper::Status listen(Progress& progress);
  semper::Status kill_one(Progress& progress);
  semper::Status look_after_children();
  semper::Status check();
  void stop_children();
  int finish(const semper::Status& status);
  void say(const std::string& line) const { std::fprintf(stderr, "%s\n", line.c_str()); }

  struct Consumer {
    std::string name;
    Child child;
    bool is_killed = false;
  };

  const Options& options_;
  StopSignals& signals_;
  const std::string run_;
  const RunKeys keys_;
  semper::Scheduler scheduler_;
  std::optional<semper::Store> store_;
  DpkgLog log_;
  Replay expected_;
  std::optional<DpkgDatabase> dpkg_;
  Counting counting_ = Counting::at_least;
  std::vector<Consumer> consumers_;
  std::optional<Child> publisher_;
  std::uint64_t sent_ = 0;
  bool stopped_ = false;
  Report report_;
};

semper::Status Coordinator::read_log() {
  log_ = {};
  if (options_.logs.empty()) {
    SEMPER_TRY(log_, find_dpkg_logs({}));
  } else {
    log_.files = options_.logs;
  }
  return read_dpkg_log(log_);
}

// Until neither changed while the other was read.
semper::Status Coordinator::read_log_and_dpkg() {
  for (int attempt = 1; attempt <= kReadAttempts; ++attempt) {
    SEMPER_TRY_STATUS(read_log());
    if (!options_.logs.empty()) {
      report_.why_no_dpkg = "the log was named with --log, and may be another machine's";
      break;
    }
    const std::string before = fingerprint(log_.files);
    auto dpkg = ask_dpkg_query();
    if (!dpkg) {
      report_.why_no_dpkg = dpkg.error().message();
      break;
    }
    dpkg_ = std::move(*dpkg);
    SEMPER_TRY(const auto again, find_dpkg_logs({}));
    DpkgLog fresh = again;
    SEMPER_TRY_STATUS(read_dpkg_log(fresh));
    if (fingerprint(fresh.files) == before && fresh.events.size() == log_.events.size()) break;
    if (attempt == kReadAttempts) {
      return fail(ErrorKind::retry, "dpkg keeps writing to its log; try again when it is done");
    }
  }
  if (log_.events.empty()) {
    return fail(ErrorKind::not_found, "the log has no status event in " +
                                          std::to_string(log_.lines) +
                                          " lines; name another with --log FILE");
  }
  expected_ = replay(log_.events);
  report_.logs = log_.files;
  report_.notes = log_.notes;
  if (log_.lines_not_understood > 0) {
    report_.notes.push_back(std::to_string(log_.lines_not_understood) +
                            " lines are not of dpkg's form and were left out, the first at " +
                            log_.first_not_understood);
  }
  report_.first_time = log_.events.front().entry.time;
  report_.last_time = log_.events.back().entry.time;
  report_.events = log_.events.size();
  report_.entities = expected_.size();
  report_.consumers = options_.consumers;
  return {};
}

semper::Status Coordinator::open() {
  SEMPER_TRY(store_, scheduler_.block_on(semper::open_store(options_.store)));
  if (options_.fresh) SEMPER_TRY_STATUS(scheduler_.block_on(forget(*store_)));
  SEMPER_TRY(const auto some, scheduler_.block_on(semper::list_entities(
                                  *store_, std::string(Package::kName), at_most(1))));
  if (some.empty()) counting_ = Counting::from_zero;
  return {};
}

semper::Status Coordinator::start_consumer() {
  const std::string name = "consumer-" + std::to_string(consumers_.size() + 1);
  SEMPER_TRY(auto child,
             Child::start({own_path(), "consumer", "--store", options_.store, "--name", name}));
  consumers_.push_back({name, std::move(child)});
  return {};
}

semper::Status Coordinator::start_all() {
  for (int i = 0; i < options_.consumers; ++i) SEMPER_TRY_STATUS(start_consumer());
  std::string pids;
  for (auto& consumer : consumers_) {
    if (consumer.child.wait_line(kReadyTimeoutMs) != "ready") {
      const auto end = consumer.child.wait_end(1'000);
      return fail(ErrorKind::closed, consumer.name + " did not start" +
                                         (end ? ": it ended with " + *end : std::string()));
    }
    pids += " " + std::to_string(consumer.child.pid());
  }
  std::vector<std::string> arguments{
      own_path(), "publisher", "--store", options_.store,
      "--run",    run_,        "--until", to_string(log_.events.back().entry.position)};
  for (const auto& file : log_.files) arguments.insert(arguments.end(), {"--log", file});
  if (!options_.journal.empty()) {
    arguments.insert(arguments.end(), {"--journal", options_.journal});
    say("journal: " + options_.journal);
  }
  SEMPER_TRY(publisher_, Child::start(std::move(arguments)));
  say("processes: " + std::to_string(consumers_.size()) + " consumers (" + pids.substr(1) +
      "), 1 publisher (" + std::to_string(publisher_->pid()) + ")");
  return {};
}

semper::Status Coordinator::kill_one(Progress& progress) {
  SEMPER_TRY(const auto counters, scheduler_.block_on(read_counters(*store_, keys_)));
  Consumer& victim = consumers_[consumers_.size() / 2];
  victim.child.kill_hard();
  victim.is_killed = true;
  const std::string killed = victim.name + " (process " + std::to_string(victim.child.pid()) + ")";
  const std::uint64_t unprocessed = sent_ - std::min(sent_, counters.processed());
  SEMPER_TRY_STATUS(start_consumer());  // `victim` may move
  report_.killed = killed + " half-way, with SIGKILL, " + std::to_string(unprocessed) +
                   " sent events not yet processed; its share waited for its lease of " +
                   std::to_string(kHostLease.count()) + " s, and " + consumers_.back().name +
                   " took its place";
  progress.say("killed " + killed + " with SIGKILL while " + std::to_string(unprocessed) +
               " events waited; started " + consumers_.back().name + " (process " +
               std::to_string(consumers_.back().child.pid()) + ")");
  publisher_->write_line("go on");
  return {};
}

semper::Status Coordinator::listen(Progress& progress) {
  while (auto line = publisher_->next_line()) {
    if (line->starts_with("sent ")) sent_ = std::stoull(line->substr(5));
    if (*line == "half") SEMPER_TRY_STATUS(kill_one(progress));
  }
  return {};
}

semper::Status Coordinator::look_after_children() {
  for (auto& consumer : consumers_) {
    if (const auto end = consumer.child.ended(); end && !consumer.is_killed) {
      return fail(ErrorKind::closed,
                  consumer.name + " ended by itself" + (end->empty() ? "" : " with " + *end));
    }
  }
  if (const auto end = publisher_->ended(); end && !end->empty()) {
    return fail(ErrorKind::closed, "the publisher ended with " + *end);
  }
  return {};
}

semper::Status Coordinator::drive() {
  const auto start = std::chrono::steady_clock::now();
  auto moved = start;
  Progress progress(report_.events);
  std::uint64_t last = 0;
  while (true) {
    SEMPER_TRY_STATUS(listen(progress));
    SEMPER_TRY(const auto counters, scheduler_.block_on(read_counters(*store_, keys_)));
    const auto now = std::chrono::steady_clock::now();
    report_.applied = counters.applied;
    report_.refused = counters.refused;
    report_.seconds = std::chrono::duration<double>(now - start).count();
    if (counters.processed() >= report_.events) {
      progress.finish(counters.processed());
      return {};
    }
    progress.update(counters.processed());
    SEMPER_TRY_STATUS(look_after_children());
    if (counters.processed() != last) moved = now;
    last = counters.processed();
    if (now - moved > kStallLimit) {
      return fail(ErrorKind::timeout, "nothing was processed for 60 s, with " +
                                          std::to_string(sent_ - std::min(sent_, last)) +
                                          " events waiting; look with: " + find_tool() +
                                          " --store " + options_.store + " hosts");
    }
    if (signals_.received()) {
      stopped_ = true;
      progress.finish(last);
      return fail(ErrorKind::cancelled,
                  "stopped; " + std::to_string(last) + " of " + std::to_string(report_.events) +
                      " events are processed and stay so: run it again to go on");
    }
    wait_readable({publisher_->output(), signals_.descriptor()}, kPollMs);
  }
}

// Asks every entity for its state, through its queue: what is answered comes after all events.
semper::Status Coordinator::check() {
  std::mutex mutex;
  std::map<std::string, PackageState> actual;
  std::vector<std::string> packages;
  for (const auto& [package, state] : expected_) packages.push_back(package);
  const auto ask = [&](const std::string& package) -> semper::Async<void> {
    const auto target = semper::ref<Package>(*store_, package);
    const Package::Read read;
    const semper::CallOptions options{.timeout = kReadTimeout};
    SEMPER_CO_TRY(auto state, co_await target.call(read, options));
    SEMPER_CO_TRY(const auto waiting, co_await target.queue_length());
    std::lock_guard lock(mutex);
    actual[package] = std::move(state);
    report_.left_in_queues += waiting;
    co_return semper::Status();
  };
  SEMPER_TRY_STATUS(scheduler_.block_on(for_each_concurrently(std::move(packages), ask)));

  std::uint64_t most_events = 0;
  for (const auto& [package, state] : expected_) {
    for (const auto& difference : differences(state, actual[package], counting_)) {
      report_.log_mismatches.push_back(package + ": " + difference);
    }
    if (state.events > most_events) {
      most_events = state.events;
      report_.example = package;
    }
  }
  if (dpkg_) report_.dpkg = compare(actual, *dpkg_);
  return {};
}

void Coordinator::stop_children() {
  if (publisher_) publisher_->close_input();
  for (auto& consumer : consumers_) consumer.child.close_input();
  for (auto& consumer : consumers_) {
    if (consumer.is_killed) {
      consumer.child.wait_end(kStopTimeoutMs);
      report_.processed.emplace_back(consumer.name, "was killed");
      continue;
    }
    const auto end = consumer.child.wait_end(kStopTimeoutMs);
    if (!end || !end->empty()) {
      say(consumer.name + (end ? " ended with " + *end : " did not stop in time: killed"));
      consumer.child.kill_hard();
    }
    while (auto line = consumer.child.next_line()) {
      if (line->starts_with("processed ")) {
        report_.processed.emplace_back(consumer.name, *line + " messages");
      }
    }
  }
}

int Coordinator::finish(const semper::Status& status) {
  stop_children();
  if (store_) {
    const auto range = semper::tuple_range(semper::Tuple{"semper-packages", run_});
    auto cleared = scheduler_.block_on(clear_keys(*store_, range));
    if (!cleared) explain(cleared.error().in("tidying up"));
    auto closed = scheduler_.block_on(store_->close());
    if (!closed) explain(closed.error().in("closing the store"));
  }
  if (!status) {
    explain(status.error());
    return stopped_ ? 128 + *signals_.received() : 1;
  }
  report_.store = options_.store;
  report_.tool = find_tool();
  std::fputs((options_.json ? to_json_text(report_) : to_text(report_)).c_str(), stdout);
  return report_.is_good() ? 0 : 1;
}

int Coordinator::run() {
  if (auto read = read_log_and_dpkg(); !read) return explain(read.error());
  say("dpkg log: " + std::to_string(report_.events) + " status events of " +
      std::to_string(report_.entities) + " packages in " + std::to_string(log_.files.size()) +
      (log_.files.size() == 1 ? " file, " : " files, ") + report_.first_time + " to " +
      report_.last_time);
  for (const auto& note : report_.notes) say("note: " + note);
  say("store: " + options_.store);
  if (auto opened = open(); !opened) return explain(opened.error());
  const auto work = [this]() -> semper::Status {
    SEMPER_TRY_STATUS(start_all());
    SEMPER_TRY_STATUS(drive());
    return check();
  };
  return finish(work());
}

}  // namespace

int run_coordinator(const Options& options, StopSignals& signals) {
  return Coordinator(options, signals).run();
}

}  // namespace packages
