#include "semper/server/name_registry.h"

#include <utility>

#include "semper/base/value.h"
#include "semper/env/cancellation.h"
#include "semper/env/scheduler.h"
#include "server/format/name_keys.h"
#include "server/names/name_holding.h"

namespace semper {
namespace {

Tenant with_store(Tenant tenant) {
  if (tenant.store()) return tenant;
  throw ErrorException(
      tenant.store().error().in("a registry of names has no store, it did not open"));
}

Async<Holding> held(Async<std::shared_ptr<internal::NameHolding>> claim) {
  SEMPER_CO_TRY(auto holding, co_await std::move(claim));
  co_return Holding(std::move(holding));
}

bool is_the_same(const std::optional<NameView>& a, const std::optional<NameView>& b) {
  if (!a || !b) return a.has_value() == b.has_value();
  return a->token == b->token && a->session == b->session && a->metadata == b->metadata;
}

// Who holds it now, and a watch that fires when that changes.
struct WatchedName {
  std::optional<NameView> view;
  std::unique_ptr<Watch> change;
};
Async<WatchedName> look_and_watch(const Tenant& tenant, const std::string& name) {
  Transaction transaction = tenant.store()->begin();
  WatchedName watched;
  const Bytes key = internal::name_key(tenant.prefix(), name);
  SEMPER_CO_TRY(watched.change, co_await transaction.watch(key));
  SEMPER_CO_TRY(const auto record, co_await internal::read_holder(transaction, tenant.prefix(),
                                                                  name, ReadMode::snapshot));
  if (record) watched.view = internal::view_of(name, *record);
  co_return watched;
}

Async<std::optional<NameView>> next_change(std::shared_ptr<internal::NamesOffice> office,
                                           const std::string& name, bool& has_looked,
                                           std::optional<NameView>& last, Duration at_most) {
  SEMPER_CO_TRY_STATUS(office->check());
  SEMPER_CO_TRY_STATUS(internal::check_name_text(name));
  office->begin_upkeep();
  const MonotonicTime deadline = office->clock().after(at_most);
  while (true) {
    SEMPER_CO_TRY_STATUS(office->check());
    auto watched = co_await look_and_watch(office->tenant, name);
    if (!watched) co_return fail(watched.error());
    if (!std::exchange(has_looked, true) || !is_the_same(watched->view, last)) {
      last = watched->view;
      co_return std::move(watched->view);
    }
    const auto until = std::min(office->clock().after(kNamesLook), deadline);
    auto changed = co_await watched->change->changed(until);
    if (!changed && changed.error().kind() != ErrorKind::timeout) co_return fail(changed.error());
    if (!changed && office->clock().now() >= deadline) {
      co_return fail(ErrorKind::timeout, "the name " + name + " did not change in time");
    }
  }
}

}  // namespace

Holding::Holding(std::shared_ptr<internal::NameHolding> holding) : holding_(std::move(holding)) {}
Holding::Holding(Holding&&) noexcept = default;
Holding& Holding::operator=(Holding&&) noexcept = default;
Holding::~Holding() = default;

const std::string& Holding::name() const {
  return holding_->name();
}
std::uint64_t Holding::token() const {
  return holding_->token();
}
bool Holding::is_held() const {
  return holding_->is_held();
}
StopToken Holding::lost() const {
  return holding_->lost();
}
Async<void> Holding::guard(Transaction& transaction) const {
  return holding_->guard(transaction);
}
Async<void> Holding::set_metadata(NameMetadata metadata) const {
  return run_through(internal::NameHolding::set_metadata(holding_, std::move(metadata)));
}
Async<void> Holding::release() {
  return run_through(internal::NameHolding::release(holding_));
}

NameWatch::NameWatch(std::shared_ptr<internal::NamesOffice> office, std::string name)
    : office_(std::move(office)), name_(std::move(name)) {}

Async<std::optional<NameView>> NameWatch::next(Duration at_most) {
  return run_through(next_change(office_, name_, has_looked_, last_, at_most));
}

class NameRegistry::Impl {
 public:
  Impl(Tenant tenant, NameRegistryOptions options) {
    Executor executor = options.executor;
    if (!executor) {
      thread_ = std::make_unique<Scheduler>(SchedulerOptions{1, "semper-names"});
      executor = thread_->executor();
    }
    office_ =
        std::make_shared<internal::NamesOffice>(std::move(tenant), std::move(options), executor);
  }
  ~Impl() {
    office_->stop();
    thread_.reset();  // destroys what still runs there
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  const std::shared_ptr<internal::NamesOffice>& office() const { return office_; }

 private:
  std::unique_ptr<Scheduler> thread_;
  std::shared_ptr<internal::NamesOffice> office_;
};

NameRegistry::NameRegistry(Tenant tenant, NameRegistryOptions options)
    : impl_(std::make_unique<Impl>(with_store(std::move(tenant)), std::move(options))) {}
NameRegistry::~NameRegistry() = default;

Async<Holding> NameRegistry::acquire(std::string name) {
  return acquire(std::move(name), NameMetadata());
}
Async<Holding> NameRegistry::acquire(std::string name, NameMetadata metadata) {
  return run_through(
      held(internal::acquire_name(impl_->office(), std::move(name), std::move(metadata))));
}
Async<Holding> NameRegistry::campaign(std::string name) {
  return campaign(std::move(name), CampaignOptions());
}
Async<Holding> NameRegistry::campaign(std::string name, CampaignOptions options) {
  return run_through(
      held(internal::campaign_for(impl_->office(), std::move(name), std::move(options))));
}
Async<std::optional<NameView>> NameRegistry::lookup(std::string name) {
  const Status usable = impl_->office()->check();
  if (usable) impl_->office()->begin_upkeep();
  return lookup_name(impl_->office()->tenant, std::move(name));
}
NameWatch NameRegistry::watch(std::string name) {
  return NameWatch(impl_->office(), std::move(name));
}
Async<void> NameRegistry::close() {
  return run_through(impl_->office()->close());
}

}  // namespace semper
