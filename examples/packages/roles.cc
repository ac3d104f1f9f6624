#include "roles.h"

#include <unistd.h>

#include <cstdio>
#include <iostream>
#include <map>

#include "concurrently.h"
#include "dpkg_log.h"

namespace packages {
namespace {

using namespace std::chrono_literals;

// Events that are sent together and answered before the next ones: the order within a package holds
// whatever is sent again, and a slow store slows the publisher down.
constexpr std::size_t kWindowEvents = 256;
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

// Reads what the coordinator read, sends the first half, tells it, waits for its word, sends the
// rest.
semper::Status publish(const Options& options, semper::Scheduler& scheduler) {
  DpkgLog log;
  log.files = options.logs;
  SEMPER_TRY_STATUS(read_dpkg_log(log));
  cut_after(log.events, options.until);
  SEMPER_TRY(auto store, scheduler.block_on(semper::open_store(options.store)));
  const std::size_t half = log.events.size() / 2;
  bool half_told = false;
  for (std::size_t at = 0; at < log.events.size();) {
    const std::size_t end = std::min(at + kWindowEvents, half_told ? log.events.size() : half);
    std::vector<StatusEvent> window(log.events.begin() + static_cast<std::ptrdiff_t>(at),
                                    log.events.begin() + static_cast<std::ptrdiff_t>(end));
    SEMPER_TRY_STATUS(scheduler.block_on(send_window(store, options.run, std::move(window))));
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
  return scheduler.block_on(store.close());
}

semper::Status consume(const Options& options, StopSignals& signals, semper::Scheduler& scheduler) {
  SEMPER_TRY(auto store, scheduler.block_on(semper::open_store(options.store)));
  {
    semper::Host host(store, {.host_lease = kHostLease, .name = options.name});
    host.serve<Package>();
    SEMPER_TRY_STATUS(scheduler.block_on(host.start()));
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
