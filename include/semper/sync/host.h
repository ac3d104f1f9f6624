// sync::Host and sync::Termination: run durable servers in a program without coroutines.
//
// What for: the main() of a server in five lines. When not: a program that has coroutines
// (semper/server/host.h, semper/env/termination.h).
//
//   semper::sync::Termination end;              // first: from here on SIGTERM is kept
//   semper::sync::Host host(store);
//   host.serve<Counter>();
//   SEMPER_TRY_STATUS(host.start());
//   SEMPER_TRY_STATUS(end.wait());               // until Ctrl-C or SIGTERM
//   SEMPER_TRY_STATUS(host.stop());
//
// Everything is as for Host. Callbacks of queued messages run on the host's threads, those of this
// process's own sync calls on semper::sync's thread. They may not call semper::sync
// (`unsupported`); handle_locked may, if the host has its own threads. Threads and forks: see
// semper/sync/wait.h.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "semper/env/termination.h"
#include "semper/server/host.h"
#include "semper/sync/wait.h"

namespace semper::sync {

class Host {
 public:
  // As Host's.
  explicit Host(Tenant tenant, HostOptions options = {})
      : host_(std::make_shared<semper::Host>(std::move(tenant), std::move(options))) {}

  template <BehaviourType B>
  void serve(ServeOptions options = {}) {
    host_->serve<B>(options);
  }
  template <BehaviourType B>
  void serve(std::shared_ptr<B> behaviour, ServeOptions options = {}) {
    host_->serve(std::move(behaviour), options);
  }

  // If there is no answer within `timeout`: `outcome_unknown`; work that has begun ends, or
  // continues, without you.
  Status start(Duration timeout = kForever) { return wait(start_of(host_), timeout); }
  Status stop(Duration timeout = kForever) { return wait(stop_of(host_), timeout); }
  Status close(Duration timeout = kForever) { return stop(timeout); }
  // Waits until the host has ended (Host::join). If that is not within `timeout`: `timeout`.
  Status join(Duration timeout = kForever) {
    return wait(join_of(host_), timeout, Late::had_no_effect);
  }

  HostStatistics statistics() const { return host_->statistics(); }
  const std::string& name() const { return host_->name(); }
  semper::Host& asynchronous() { return *host_; }

 private:
  using Shared = std::shared_ptr<semper::Host>;
  static Async<void> start_of(Shared host) { co_return co_await host->start(); }
  static Async<void> stop_of(Shared host) { co_return co_await host->stop(); }
  static Async<void> join_of(Shared host) { co_return co_await host->join(); }

  Shared host_;
};

// Waits for SIGINT or SIGTERM (semper/env/termination.h). Signals are caught from its construction
// to its destruction.
class Termination {
 public:
  explicit Termination(Hangup hangup = Hangup::is_left_alone);
  ~Termination();
  Termination(const Termination&) = delete;
  Termination& operator=(const Termination&) = delete;

  // The signal's number. May be called repeatedly, from any number of threads. Errors: timeout (no
  // signal came), already_exists (another handler is installed), unsupported.
  Result<int> wait(Duration timeout = kForever) const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace semper::sync
