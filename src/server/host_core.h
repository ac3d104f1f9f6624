// HostCore: what all parts of one host share.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <utility>

#include "host_threads.h"
#include "semper/env/gate.h"
#include "semper/server/host.h"
#include "send_counts.h"
#include "suspicion.h"

namespace semper::internal {

class Permits;

struct HostCounters {
  std::atomic<std::uint64_t> messages{0};
  std::atomic<std::uint64_t> transactions{0};
  std::atomic<std::uint64_t> conflicts{0};
  std::atomic<std::uint64_t> failures{0};
  std::atomic<std::uint64_t> dead_letters{0};
  std::atomic<std::uint64_t> parked{0};
  std::atomic<std::uint64_t> cache_misses{0};
  std::atomic<std::uint64_t> locks{0};
  std::atomic<std::uint64_t> takeovers{0};
};

struct HostCore {
  HostCore(Tenant of, HostOptions with) : tenant(std::move(of)), options(std::move(with)) {}

  const Tenant tenant;
  const HostOptions options;
  Bytes id;          // random, of this Host object
  std::string name;  // for people
  std::shared_ptr<HostThreads> threads;
  Executor executor;  // threads->work()
  Gate gate{"the host"};
  std::stop_source stopping;
  HostCounters counters;
  Suspicion suspicion;
  std::shared_ptr<Permits> lone_runs;  // one at a time: see suspicion.h
  SendCounts send_counts;

  const Store& store() const { return *tenant.store(); }
  Env env() const { return store().env(); }
  Clock& clock() const { return *env().clock; }
};

}  // namespace semper::internal
