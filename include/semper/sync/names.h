// sync::NameRegistry: names that at most one live owner holds, for programs without coroutines.
//
// What for: a threaded daemon of which only one in the whole cluster does the work. When not: a
// program that has coroutines (semper/server/name_registry.h).
//
//   semper::sync::NameRegistry names(store);
//   auto leader = names.campaign("billing/leader");              // waits for its turn
//   if (!leader) return complain(leader.error());
//   while (leader->is_held()) {
//     auto done = store.transact([&](semper::sync::Transaction& tx) -> semper::Status {
//       SEMPER_TRY_STATUS(leader->guard(tx));                     // applied only while it is held
//       ...
//     });
//   }
//   const auto closed = names.close();
//
// Everything is as for NameRegistry and Holding, including errors. If there is no answer in time:
// `outcome_unknown`; if the call still acquires the name, it releases it. Threads and forks: see
// semper/sync/wait.h.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "semper/base/stop.h"
#include "semper/server/name_registry.h"
#include "semper/sync/transaction.h"
#include "semper/sync/wait.h"

namespace semper::sync {

// Copies share one holding; destroying the last one releases the name.
class Holding {
 public:
  explicit Holding(semper::Holding holding)
      : holding_(std::make_shared<semper::Holding>(std::move(holding))) {}

  const std::string& name() const { return holding_->name(); }
  std::uint64_t token() const { return holding_->token(); }
  bool is_held() const { return holding_->is_held(); }
  StopToken lost() const { return holding_->lost(); }

  Status guard(Transaction& transaction) const {
    return transaction.run(
        [holding = holding_](semper::Transaction& of) { return holding->guard(of); });
  }
  Status set_metadata(NameMetadata metadata, Duration timeout = kForever) const {
    return wait(set_metadata_of(holding_, std::move(metadata)), timeout);
  }
  Status release(Duration timeout = kForever) { return wait(release_of(holding_), timeout); }

 private:
  using Shared = std::shared_ptr<semper::Holding>;
  static Async<void> set_metadata_of(Shared holding, NameMetadata metadata) {
    co_return co_await holding->set_metadata(std::move(metadata));
  }
  static Async<void> release_of(Shared holding) { co_return co_await holding->release(); }

  Shared holding_;
};

class NameRegistry {
 public:
  explicit NameRegistry(Tenant tenant, NameRegistryOptions options = {})
      : names_(std::make_shared<semper::NameRegistry>(std::move(tenant), std::move(options))) {}

  Result<Holding> acquire(std::string name, NameMetadata metadata = {},
                          Duration timeout = kForever) {
    return wait(acquire_of(names_, std::move(name), std::move(metadata)), timeout)
        .map([](semper::Holding got) { return Holding(std::move(got)); });
  }
  // The options say how long it waits.
  Result<Holding> campaign(std::string name, CampaignOptions options = {}) {
    const Duration timeout = with_answer_time(options.timeout);
    return wait(campaign_of(names_, std::move(name), std::move(options)), timeout)
        .map([](semper::Holding got) { return Holding(std::move(got)); });
  }
  Result<std::optional<NameView>> lookup(std::string name, Duration timeout = kForever) {
    return wait(lookup_of(names_, std::move(name)), timeout, Late::had_no_effect);
  }
  Status close(Duration timeout = kForever) { return wait(close_of(names_), timeout); }

  semper::NameRegistry& asynchronous() { return *names_; }

 private:
  using Shared = std::shared_ptr<semper::NameRegistry>;
  static Async<semper::Holding> acquire_of(Shared names, std::string name, NameMetadata metadata) {
    co_return co_await names->acquire(std::move(name), std::move(metadata));
  }
  static Async<semper::Holding> campaign_of(Shared names, std::string name,
                                            CampaignOptions options) {
    co_return co_await names->campaign(std::move(name), std::move(options));
  }
  static Async<std::optional<NameView>> lookup_of(Shared names, std::string name) {
    co_return co_await names->lookup(std::move(name));
  }
  static Async<void> close_of(Shared names) { co_return co_await names->close(); }

  Shared names_;
};

}  // namespace semper::sync
