// HostCore: what all parts of one host share.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "semper/base/stop.h"
#include "semper/env/fork.h"
#include "semper/env/gate.h"
#include "semper/server/entity_id.h"
#include "semper/server/host_options.h"
#include "server/format/version_times.h"
#include "server/send/loop.h"
#include "server/send/publishers.h"
#include "server/send/send_counts.h"
#include "server/serve/host_threads.h"
#include "server/serve/news.h"
#include "server/serve/store_trouble.h"
#include "server/serve/suspicion.h"

namespace semper::internal {

class Permits;

struct HostCore {
  HostCore(Tenant of, HostOptions with) : tenant(std::move(of)), options(std::move(with)) {}

  const Tenant tenant;
  const HostOptions options;
  Bytes id;          // random, of this Host object
  std::string name;  // for people
  std::shared_ptr<HostThreads> threads;
  Executor executor;  // threads->work()
  Loop home;          // the same, for those who may come when it is gone
  Publishers publishers;
  Gate gate{"the host"};
  StopSource stopping;
  Suspicion suspicion;
  std::shared_ptr<Permits> lone_runs;  // one at a time: see announcement.h
  SendCounts send_counts;
  StoreTrouble trouble;
  // When the store was at which version; seen with each renewal.
  mutable std::mutex version_times_mutex;
  VersionTimes version_times;

  // What the host ends with; nothing while it goes on.
  std::mutex ending;
  std::optional<Status> ended;
  News has_ended;
  void end(Status status) {
    {
      std::lock_guard lock(ending);
      if (ended) return;
      ended = std::move(status);
    }
    has_ended.announce();
  }
  // The store's error, where the host ended because of it.
  std::optional<Error> failed;  // written by the membership's round before it asks all to stop

  const ForkGuard fork{};

  const Store& store() const { return *tenant.store(); }
  Env env() const { return store().env(); }
  Clock& clock() const { return *env().clock; }
};

}  // namespace semper::internal
