#include "semper/server/host.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <stdexcept>
#include <utility>

#include "semper/base/assert.h"
#include "semper/base/internal/mutant.h"
#include "semper/base/value.h"
#include "semper/env/backoff.h"
#include "semper/env/cancellation.h"
#include "server/format/keys.h"
#include "server/send/store_in_process.h"
#include "server/serve/due.h"
#include "server/serve/membership.h"
#include "server/serve/news.h"
#include "server/serve/permits.h"
#include "server/serve/scanner.h"
#include "server/serve/served_type.h"
#include "server/serve/session_sweep.h"
#include "server/serve/waiting.h"

namespace semper {
namespace {

constexpr std::size_t kHostIdBytes = 8;

// Between attempts to begin with a type that is served later.
constexpr BackoffOptions kStartBackoff = {.initial = std::chrono::milliseconds(50),
                                          .maximum = std::chrono::seconds(5)};

std::string default_name() {
  std::string name = "host";
  if (program_invocation_short_name != nullptr) name = program_invocation_short_name;
  return name + " " + std::to_string(getpid());
}

std::logic_error two_behaviours(const std::string& name) {
  return std::logic_error(
      "two behaviours of this process have the name " + name +
      ", and messages would find the wrong one; give one of them a kName of its "
      "own");
}

}  // namespace

class Host::Impl : public std::enable_shared_from_this<Host::Impl> {
 public:
  Impl(Tenant tenant, HostOptions options)
      : core_(std::make_shared<internal::HostCore>(std::move(tenant), std::move(options))) {
    core_->name = core_->options.name.empty() ? default_name() : core_->options.name;
    if (!core_->tenant.store()) return;
    core_->id = core_->env().random->bytes(kHostIdBytes);
    core_->threads = std::make_shared<internal::HostThreads>(core_->options);
    core_->executor = core_->threads->work();
    core_->home = internal::Loop(core_->executor);
    membership_ = std::make_shared<internal::Membership>(core_);
    sessions_.emplace(core_);
    permits_ = std::make_shared<internal::Permits>(core_->options.active_entities);
    core_->lone_runs = std::make_shared<internal::Permits>(1);
    here_ = internal::StoreInProcess::of(core_->store());
    if (here_->fork.is_foreign()) return;
    core_->publishers = here_->publishers.of(core_->tenant);
  }

  // Called by the owner of the host, not by one of its coroutines.
  void abandon() {
    if (!check_fork()) {
      static_cast<void>(new std::shared_ptr<Impl>(shared_from_this()));  // kept for ever
      return;
    }
    if (core_->threads) {
      SEMPER_ASSERT(!core_->threads->is_on_own_thread(),
                    "a host is not destroyed on one of its own threads: it waits for them");
    }
    withdraw();
    core_->end(fail(ErrorKind::closed, "the host was destroyed"));
    core_->stopping.request_stop();
    core_->gate.shut();
    if (core_->threads) core_->threads->stop();  // destroys what still runs on them
    forget_slots();
  }

  void serve(std::shared_ptr<internal::Behaviour> behaviour, ServeOptions options) {
    internal::check_names(*behaviour);
    if (!core_->tenant.store() || !check_fork()) return;  // start() says why
    auto type = std::make_shared<internal::ServedType>(core_, std::move(behaviour), options);
    type->connect();
    bool started = false;
    {
      std::lock_guard lock(mutex_);
      // Scanners and slots of the one before could not be taken over: half of the work would stay
      // there.
      const auto [place, is_new] = types_.emplace(type->type(), type);
      if (!is_new && place->second->behaviour_type() == type->behaviour_type()) {
        throw std::logic_error("this host serves type " + type->type() +
                               " already; serve it once, or make another host");
      }
      if (!is_new) throw two_behaviours(type->type());
      if (!here_->hosts.add(core_->tenant.prefix(), type)) {
        types_.erase(place);
        throw two_behaviours(type->type());
      }
      started = started_;
    }
    if (started) {
      core_->home.spawn([self = shared_from_this()] { return start_served_later(self); });
    }
  }

  // On the host's loop: one that begins on a caller's could stay there for ever, and with it the
  // next.
  Async<void> start() {
    SEMPER_CO_TRY_STATUS(check_fork());
    if (!core_->tenant.store()) co_return fail(core_->tenant.store().error());
    auto begun = starting();
    auto done = begun->done;
    core_->home.spawn([begun] { return run_start(begun); });
    begun.reset();
    auto started = co_await done.wait();
    if (!started) co_return fail(started.error());
    co_return std::move(*started);
  }

  Async<void> start_here() {
    auto self = shared_from_this();
    auto inside = core_->gate.enter();
    if (!inside) co_return fail(inside.error());
    SEMPER_CO_TRY(const auto turn, co_await starts_.take());
    std::vector<std::shared_ptr<internal::ServedType>> fresh;
    internal::Membership::Types consumed;
    bool first = false;
    {
      std::lock_guard lock(mutex_);
      first = !std::exchange(started_, true);
      for (const auto& [name, type] : types_) {
        if (type->served().consumes()) consumed.emplace(name, type->shared_served());
        if (scanned_.insert(name).second) fresh.push_back(type);
      }
    }
    Status status;
    if (first) status = co_await learn_of_others();
    if (status) status = co_await register_types(fresh);
    if (status) status = co_await membership_->join(std::move(consumed));
    if (!status) {
      std::lock_guard lock(mutex_);
      for (const auto& type : fresh) scanned_.erase(type->type());
      if (first) started_ = false;
      co_return status;
    }
    // Whoever stops the host from now on waits until its row is removed.
    if (first) {
      asio::co_spawn(core_->executor, keep_membership(self, std::move(*inside)), asio::detached);
    }
    for (const auto& type : fresh) {
      if (!type->served().consumes()) continue;
      type->take_relayed();
      asio::co_spawn(core_->executor, internal::DueScanner::run(type, membership_), asio::detached);
      for (std::uint32_t shard = 0; shard < internal::kIndexShards; ++shard) {
        asio::co_spawn(core_->executor, internal::Scanner::run(type, membership_, permits_, shard),
                       asio::detached);
      }
    }
    co_return Status{};
  }

  Async<void> stop() {
    auto self = shared_from_this();
    SEMPER_CO_TRY_STATUS(check_fork());
    withdraw();
    core_->stopping.request_stop();
    core_->gate.shut();
    expect_end();
    const MonotonicTime deadline = core_->clock().after(core_->options.stop_patience);
    const Status closed = co_await core_->gate.close_until(core_->clock(), deadline);
    if (!closed && !SEMPER_MUTANT("server_stop_calls_it_done")) {
      co_return fail(still_at_work(closed.error()));
    }
    if (!core_->failed) co_await see_publishers_off();
    forget_slots();
    core_->end({});
    if (core_->failed) co_return fail(*core_->failed);
    co_return Status{};
  }

  // May outlive the host.
  static Async<void> join(std::shared_ptr<Impl> self) {
    auto& core = *self->core_;
    SEMPER_CO_TRY_STATUS(self->check_fork());
    while (true) {
      auto end = core.has_ended.next();
      {
        std::lock_guard lock(core.ending);
        if (core.ended) co_return *core.ended;
      }
      auto came = co_await end.event().wait();
      if (!came) co_return fail(came.error());
    }
  }

  HostStatistics statistics() const {
    HostStatistics figures;
    std::lock_guard lock(mutex_);
    for (const auto& [name, type] : types_) {
      const auto& counters = type->served().counters();
      figures.messages += counters.messages.value();
      figures.transactions += counters.transactions.value();
      figures.conflicts += counters.conflicts.value();
      figures.failures += counters.failures.value();
      figures.dead_letters += counters.dead_letters.value();
      figures.parked += counters.parked.value();
      figures.cache_misses += counters.cache_misses.value();
      figures.locks += counters.locks.value();
      figures.takeovers += counters.takeovers.value();
      figures.left_alone += counters.left_alone.value();
      figures.expired += counters.expired.value();
      figures.ticks += counters.ticks.value();
      figures.oldest_message = std::max(figures.oldest_message, type->served().oldest_message());
      figures.limited += counters.limited.value();
      figures.cached_entities += type->cached_entities();
      figures.cached_bytes += type->cached_bytes();
    }
    return figures;
  }

  const std::string& name() const { return core_->name; }

 private:
  // A start() under way. Answers its caller however it ends.
  struct Starting {
    explicit Starting(std::shared_ptr<Impl> of) : self(std::move(of)) {}
    Starting(const Starting&) = delete;
    Starting& operator=(const Starting&) = delete;
    ~Starting() { done.set(fail(ErrorKind::closed, "the host's loop was stopped")); }
    std::shared_ptr<Impl> self;
    OneShot<Status> done;
  };
  std::shared_ptr<Starting> starting() { return std::make_shared<Starting>(shared_from_this()); }
  static Task<void> run_start(std::shared_ptr<Starting> starting) {
    starting->done.set(co_await starting->self->start_here());
  }

  // Nobody waits for it: it goes on until it is done, or the host stops.
  static Task<void> start_served_later(std::shared_ptr<Impl> self) {
    auto& core = *self->core_;
    auto inside = core.gate.enter();
    if (!inside) co_return;
    // Left before what it is of goes: the parameters go in any order.
    const Gate::Holder until_the_end = std::move(*inside);
    Backoff backoff(kStartBackoff, *core.env().random);
    while (!core.stopping.stop_requested()) {
      const Status started = co_await self->start_here();
      if (started || started.error().kind() == ErrorKind::closed) co_return;
      core.trouble.failed(core.clock().now(), "beginning to serve a type", started.error());
      if (SEMPER_MUTANT("server_served_later_tried_once")) co_return;
      co_await internal::wait_for_news(core, nullptr, {}, backoff.next());
    }
  }

  // Where no host is registered, none has died since all was well.
  Async<void> learn_of_others() {
    const auto hosts = internal::host_range(core_->tenant.prefix());
    co_return co_await core_->store().transact([&](Transaction& transaction) -> Async<void> {
      RangeOptions one;
      one.limit = 1;
      one.mode = ReadMode::snapshot;
      SEMPER_CO_TRY(const auto page, co_await transaction.get_range(hosts, one));
      if (page.rows.empty()) core_->suspicion.clear();
      co_return Status{};
    });
  }

  Async<void> register_types(const std::vector<std::shared_ptr<internal::ServedType>>& fresh) {
    if (fresh.empty()) co_return Status{};
    const auto& prefix = core_->tenant.prefix();
    co_return co_await core_->store().transact([&](Transaction& transaction) -> Async<void> {
      for (const auto& type : fresh) {
        const Bytes key = internal::type_key(prefix, type->type());
        const Bytes wanted = internal::encode_message_infos(type->served().behaviour().messages());
        SEMPER_CO_TRY(const auto present, co_await transaction.get(key));
        if (present != wanted) transaction.set(key, wanted);
      }
      co_return Status{};
    });
  }

  // What a registry cannot count: it is read now and then.
  void show_readings() const {
    if (core_->options.metrics == nullptr) return;
    std::lock_guard lock(mutex_);
    for (const auto& [name, type] : types_) {
      auto& counters = type->served().counters();
      counters.oldest.set(
          std::chrono::duration_cast<std::chrono::seconds>(type->served().oldest_message())
              .count());
      counters.cached_entities.set(static_cast<std::int64_t>(type->cached_entities()));
      counters.cached_bytes.set(static_cast<std::int64_t>(type->cached_bytes()));
    }
  }

  // What was read last is nobody's any more.
  void end_readings() const {
    std::lock_guard lock(mutex_);
    for (const auto& [name, type] : types_) {
      auto& counters = type->served().counters();
      for (auto* const reading :
           {&counters.oldest, &counters.cached_entities, &counters.cached_bytes}) {
        reading->set(0);
      }
    }
  }

  static Task<void> keep_membership(std::shared_ptr<Impl> self, Gate::Holder inside) {
    // Left before what it is of goes: the parameters go in any order.
    const Gate::Holder until_the_end = std::move(inside);
    const auto housekeeping = [&impl = *self]() -> Async<void> {
      impl.show_readings();
      auto swept = co_await impl.sessions_->round();
      if (swept) co_return Status{};
      co_return fail(swept.error().in("sessions of callers that are gone stay for now"));
    };
    co_await internal::Membership::run(self->membership_, housekeeping);
    self->end_readings();
    if (!self->core_->failed) co_return;
    self->withdraw();
    self->core_->end(fail(*self->core_->failed));
  }

  // In a forked child nothing of its parent's is touched: its threads are gone, and their locks
  // may be taken.
  Status check_fork() const {
    SEMPER_TRY_STATUS(core_->fork.check("this host"));
    if (here_) SEMPER_TRY_STATUS(here_->fork.check("this store"));
    return {};
  }

  Error still_at_work(const Error& error) const {
    return Error(error.kind(),
                 "host " + core_->name +
                     " takes no new work, but callbacks or handle_locked are still running after " +
                     "HostOptions::stop_patience; they run on, and stop() can be called again");
  }

  void withdraw() {
    std::lock_guard lock(mutex_);
    if (!here_) return;
    for (const auto& [name, type] : types_) {
      here_->hosts.remove(core_->tenant.prefix(), *type);
      type->stop_relayed();
    }
  }

  // What fails is left to the sweep of another host.
  Async<void> see_publishers_off() {
    std::vector<std::shared_ptr<internal::ServedType>> types;
    {
      std::lock_guard lock(mutex_);
      for (const auto& [name, type] : types_) types.push_back(type);
    }
    for (const auto& type : types) {
      if (!co_await type->see_publishers_off()) break;
    }
    co_return Status{};
  }

  void expect_end() {
    std::lock_guard lock(mutex_);
    for (const auto& [name, type] : types_) type->expect_end();
  }

  void forget_slots() {
    std::lock_guard lock(mutex_);
    for (const auto& [name, type] : types_) type->clear();
  }

  const std::shared_ptr<internal::HostCore> core_;
  std::shared_ptr<internal::Membership> membership_;
  std::optional<internal::SessionSweep> sessions_;  // of callers that are gone
  std::shared_ptr<internal::Permits> permits_;
  std::shared_ptr<internal::StoreInProcess> here_;

  // One start() at a time: each returns when all is as it says.
  internal::UnorderedTurns starts_;

  mutable std::mutex mutex_;
  std::map<std::string, std::shared_ptr<internal::ServedType>> types_;
  std::set<std::string> scanned_;
  bool started_ = false;
};

namespace {

// A bound of zero is a host that does nothing, and says nothing.
HostOptions checked(HostOptions options) {
  const auto refuse = [](const char* option, const char* what) {
    throw std::logic_error(std::string("HostOptions::") + option + " is 0, and " + what +
                           "; give it at least 1");
  };
  if (options.batch_messages == 0) refuse("batch_messages", "no transaction would take a message");
  if (options.active_entities == 0) refuse("active_entities", "no queue would be processed");
  return options;
}

Tenant opened(Tenant tenant) {
  if (tenant.store()) return tenant;
  throw ErrorException(tenant.store().error().in("a host has no store to serve, it did not open"));
}

}  // namespace

Host::Host(Tenant tenant, HostOptions options)
    : impl_(std::make_shared<Impl>(opened(std::move(tenant)), checked(std::move(options)))) {}

Host::~Host() {
  impl_->abandon();
}

void Host::serve_untyped(std::shared_ptr<internal::Behaviour> behaviour, ServeOptions options) {
  impl_->serve(std::move(behaviour), options);
}

Async<void> Host::start() {
  return run_through(impl_->start());
}
Async<void> Host::stop() {
  return run_through(impl_->stop());
}
Async<void> Host::join() {
  return run_through(Impl::join(impl_));
}
HostStatistics Host::statistics() const {
  return impl_->statistics();
}
const std::string& Host::name() const {
  return impl_->name();
}

}  // namespace semper
