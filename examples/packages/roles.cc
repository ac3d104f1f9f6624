#include "roles.h"

#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <functional>
#include <iostream>
#include <map>

#include "concurrently.h"
#include "dpkg_log.h"
#include "semper/block/file_block_device.h"
#include "semper/journal_drain.h"

namespace packages {
namespace {

using namespace std::chrono_literals;

// Events that are sent together and answered before the next ones: the order within a package holds
// whatever is sent again, and a slow store slows the publisher down.
constexpr std::size_t kWindowEvents = 256;
// Of the journal's file, where there is none yet.
constexpr std::uint64_t kJournalBytes = std::uint64_t{64} << 20;
// Attempts to send a window's events of one package, and the waits between them.
constexpr int kSendAttempts = 50;
constexpr semper::BackoffOptions kSendBackoff{.initial = 10ms, .maximum = 500ms};

// Sends them together, in their order. What may or may not have arrived is sent again: the package
// refuses what it knows.
semper::Async<void> send(semper::Store store, std::string package, semper::Batch<Package> events) {
  const auto target = semper::ref<Package>(store, std::move(package));
  semper::Backoff backoff(kSendBackoff, *store.env().random);
  for (int attempt = 1;; ++attempt) {
    auto sent = co_await target.cast(events);
    if (sent) co_return sent;
    const auto kind = sent.error().kind();
    const bool again = sent.error().is_retryable() || kind == semper::ErrorKind::outcome_unknown ||
                       kind == semper::ErrorKind::timeout;
    if (!again || attempt == kSendAttempts) co_return sent;
    SEMPER_CO_TRY_STATUS(co_await semper::sleep_for(*store.env().clock, backoff.next()));
  }
}

semper::Async<void> send_window(semper::Store store, std::string run,
                                std::vector<StatusEvent> events) {
  std::map<std::string, semper::Batch<Package>> by_package;
  for (auto& event : events) {
    by_package[event.package].add(Package::Event{std::move(event.entry), run});
  }
  std::vector<std::pair<std::string, semper::Batch<Package>>> batches(by_package.begin(),
                                                                      by_package.end());
  const auto send_batch = [store](const auto& batch) {
    return send(store, batch.first, batch.second);
  };
  co_return co_await for_each_concurrently(std::move(batches), send_batch);
}

void tell(const std::string& line) {
  std::cout << line << std::endl;
}

// Sends the first half, tells the coordinator, waits for its word, sends the rest.
using SendWindow = std::function<semper::Status(std::vector<StatusEvent>)>;
semper::Status send_all(const DpkgLog& log, const SendWindow& send_events) {
  const std::size_t half = log.events.size() / 2;
  bool half_told = false;
  for (std::size_t at = 0; at < log.events.size();) {
    const std::size_t end = std::min(at + kWindowEvents, half_told ? log.events.size() : half);
    std::vector<StatusEvent> window(log.events.begin() + static_cast<std::ptrdiff_t>(at),
                                    log.events.begin() + static_cast<std::ptrdiff_t>(end));
    SEMPER_TRY_STATUS(send_events(std::move(window)));
    at = end;
    tell("sent " + std::to_string(at));
    if (at >= half && !half_told) {
      half_told = true;
      tell("half");
      std::string go_on;
      if (!std::getline(std::cin, go_on)) {
        return semper::fail(semper::ErrorKind::cancelled, "the publisher was told to stop");
      }
    }
  }
  return {};
}

semper::Status publish_directly(const Options& options, const DpkgLog& log,
                                semper::Scheduler& scheduler) {
  SEMPER_TRY(auto store, scheduler.block_on(semper::open_store(options.store)));
  SEMPER_TRY_STATUS(send_all(log, [&](std::vector<StatusEvent> window) {
    return scheduler.block_on(send_window(store, options.run, std::move(window)));
  }));
  return scheduler.block_on(store.close());
}

// Every event is on the journal's file before the next one is; it is sent from there.
semper::Async<void> write_down(semper::JournalDrain& drain, std::string run,
                               std::vector<StatusEvent> events) {
  for (auto& event : events) {
    const Package::Event message{std::move(event.entry), run};
    SEMPER_CO_TRY_STATUS(co_await drain.cast<Package>(std::move(event.package), message));
  }
  co_return semper::Status();
}

semper::Result<std::unique_ptr<semper::BlockDevice>> open_journal(const std::string& path) {
  if (!std::filesystem::exists(path)) {
    semper::CreateFileOptions create;
    create.size = kJournalBytes;
    SEMPER_TRY_STATUS(semper::create_block_file(path, create));
  }
  return semper::open_block_device(path);
}

semper::Status publish_through_journal(const Options& options, const DpkgLog& log,
                                       semper::Scheduler& scheduler) {
  SEMPER_TRY(const auto device, open_journal(options.journal));
  semper::ring::JournalOptions journal;
  journal.name = "packages";
  journal.client = "semper-packages";
  journal.retry_interval = 1s;
  const auto open = [&] { return semper::open_store(options.store); };
  SEMPER_TRY(auto drain,
             scheduler.block_on(semper::JournalDrain::start(*device, open, std::move(journal))));
  const semper::Status sent = send_all(log, [&](std::vector<StatusEvent> window) {
    return scheduler.block_on(write_down(drain, options.run, std::move(window)));
  });
  const semper::Status drained = scheduler.block_on(drain.shutdown());
  SEMPER_TRY_STATUS(sent);
  return drained;
}

semper::Status publish(const Options& options, semper::Scheduler& scheduler) {
  DpkgLog log;
  log.files = options.logs;
  SEMPER_TRY_STATUS(read_dpkg_log(log));  // what the coordinator read
  cut_after(log.events, options.until);
  if (options.journal.empty()) return publish_directly(options, log, scheduler);
  return publish_through_journal(options, log, scheduler);
}

semper::Status consume(const Options& options, StopSignals& signals, semper::Scheduler& scheduler) {
  SEMPER_TRY(auto store, scheduler.block_on(semper::open_store(options.store)));
  {
    semper::Host host(store, {.host_lease = kHostLease, .name = options.name});
    host.serve<Package>();
    SEMPER_TRY_STATUS(scheduler.block_on(host.start()));
    // A host whose store has failed for good ends by itself, and this program with it.
    asio::co_spawn(scheduler.executor(), host.join(), [](std::exception_ptr, semper::Status ended) {
      if (!ended) ::kill(::getpid(), SIGTERM);
    });
    tell("ready");
    // Standard input ends when the coordinator wants us to stop, and when it is gone.
    wait_readable({STDIN_FILENO, signals.descriptor()}, -1);
    SEMPER_TRY_STATUS(scheduler.block_on(host.stop()));
    tell("processed " + std::to_string(host.statistics().messages));
  }
  return scheduler.block_on(store.close());
}

}  // namespace

int explain(const semper::Error& error) {
  std::fprintf(stderr, "semper-packages: %s\n", error.message().c_str());
  return 1;
}

int run_consumer(const Options& options, StopSignals& signals) {
  semper::Scheduler scheduler;
  const auto done = consume(options, signals, scheduler);
  return done ? 0 : explain(done.error().in(options.name));
}

int run_publisher(const Options& options) {
  semper::Scheduler scheduler;
  const auto done = publish(options, scheduler);
  return done ? 0 : explain(done.error().in("publisher"));
}

}  // namespace packages
