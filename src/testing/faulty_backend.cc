#include "semper/testing/faulty_backend.h"

#include <algorithm>
#include <atomic>
#include <optional>

#include "testing/faulty_neighbours.h"

namespace semper::testing {

// Lives on in late commits and in snapshots and watches that are still held.
struct FaultyBackend::Shared final : internal::LinkDice {
  Shared(std::shared_ptr<Backend> inner, Env with, StoreFaults wanted)
      : backend(std::move(inner)), env(with), faults(wanted) {}

  StoreFaults current() const {
    std::lock_guard lock(mutex);
    return faults;
  }

  bool strikes(internal::LinkFault fault) override {
    std::lock_guard lock(mutex);
    switch (fault) {
      case internal::LinkFault::refused:
        return strikes_locked(faults.link_refused, "link_refused");
      case internal::LinkFault::cut:
        return strikes_locked(faults.link_cut, "link_cut");
      case internal::LinkFault::late:
        return strikes_locked(faults.link_late, "link_late");
      case internal::LinkFault::silent:
        return strikes_locked(faults.link_silent, "link_silent");
    }
    return false;
  }
  Duration lateness() override { return draw(current().link_late_by); }
  bool coin() override {
    std::lock_guard lock(mutex);
    return env.random->chance(0.5);
  }

  // True with the probability; counts it under the name.
  bool strikes(double probability, const char* name) {
    std::lock_guard lock(mutex);
    return strikes_locked(probability, name);
  }

  bool strikes_locked(double probability, const char* name) {
    if (probability <= 0 || !env.random->chance(probability)) return false;
    ++counts[name];
    return true;
  }

  Duration draw(Duration most) {
    std::lock_guard lock(mutex);
    return Duration(static_cast<Duration::rep>(
        env.random->below(static_cast<std::uint64_t>(std::max<Duration::rep>(most.count(), 1)))));
  }

  CommitFault commit_fault() {
    static constexpr std::pair<CommitFault, const char*> names[] = {
        {CommitFault::conflict, "conflict"},
        {CommitFault::unknown_applied, "unknown_applied"},
        {CommitFault::unknown_lost, "unknown_lost"},
        {CommitFault::unknown_late, "unknown_late"}};
    std::lock_guard lock(mutex);
    if (!scripted.empty()) {
      const auto fault = scripted.front();
      scripted.pop_front();
      for (const auto& [kind, name] : names) counts[name] += kind == fault ? 1u : 0u;
      return fault;
    }
    const double chances[] = {faults.conflict, faults.unknown_applied, faults.unknown_lost,
                              faults.unknown_late};
    for (std::size_t i = 0; i < std::size(chances); ++i) {
      if (strikes_locked(chances[i], names[i].second)) return names[i].first;
    }
    return CommitFault::none;
  }

  Async<void> maybe_stuck() {
    const auto now = current();
    if (strikes(now.slow, "slow")) {
      co_return co_await sleep_for(*env.clock, draw(now.slow_by));
    }
    co_return Status{};
  }

  Async<void> maybe_delay() {
    const auto now = current();
    if (strikes(now.delay, "delay")) {
      co_return co_await sleep_for(*env.clock, draw(now.delay_by));
    }
    co_return Status{};
  }

  const std::shared_ptr<Backend> backend;
  const Env env;
  mutable std::mutex mutex;
  StoreFaults faults;
  std::deque<CommitFault> scripted;
  std::map<std::string, std::uint64_t> counts;
  std::size_t on_their_way = 0;
  Executor network;
  std::atomic<bool> closed = false;
};

class FaultyBackend::Links final : public internal::FaultyNeighbours {
 public:
  using FaultyNeighbours::FaultyNeighbours;
};

namespace {

template <class Shared>
class FaultySnapshot final : public Snapshot {
 public:
  FaultySnapshot(std::shared_ptr<Shared> shared, std::unique_ptr<Snapshot> inner)
      : shared_(std::move(shared)), inner_(std::move(inner)) {}

  Version version() const override { return inner_->version(); }
  Async<void> fix_version() override { return inner_->fix_version(); }
  Async<std::optional<Bytes>> get(BytesView key) override {
    SEMPER_CO_TRY_STATUS(co_await shared_->maybe_delay());
    co_return co_await inner_->get(key);
  }
  Async<RangePage> get_range(const PageRequest& request) override {
    SEMPER_CO_TRY_STATUS(co_await shared_->maybe_delay());
    co_return co_await inner_->get_range(request);
  }
  Snapshot& inner() { return *inner_; }

 private:
  std::shared_ptr<Shared> shared_;
  std::unique_ptr<Snapshot> inner_;
};

template <class Shared>
class FaultyWatch final : public Watch {
 public:
  FaultyWatch(std::shared_ptr<Shared> shared, std::unique_ptr<Watch> inner)
      : shared_(std::move(shared)), inner_(std::move(inner)) {}

  Async<void> changed(MonotonicTime deadline) override {
    const auto faults = shared_->current();
    Clock& clock = *shared_->env.clock;
    if (shared_->strikes(faults.watch_spurious, "watch_spurious")) {
      const auto until = clock.after(shared_->draw(faults.watch_late_by));
      auto early = co_await inner_->changed(std::min(until, deadline));
      if (early || early.error().kind() != ErrorKind::timeout || deadline <= until) {
        co_return early;
      }
      co_return Status{};
    }
    SEMPER_CO_TRY_STATUS(co_await inner_->changed(deadline));
    if (shared_->strikes(faults.watch_late, "watch_late")) {
      SEMPER_CO_TRY_STATUS(co_await sleep_for(clock, shared_->draw(faults.watch_late_by)));
    }
    co_return Status{};
  }

 private:
  std::shared_ptr<Shared> shared_;
  std::unique_ptr<Watch> inner_;
};

template <class Shared>
Task<void> arrive_late(std::shared_ptr<Shared> shared, CommitRequest request, Duration late_by) {
  // Cancelled or not: it is on its way, and whoever sent it cannot call it back.
  static_cast<void>(co_await sleep_for(*shared->env.clock, late_by));
  static_cast<void>(co_await shared->backend->commit(std::move(request)));
  std::lock_guard lock(shared->mutex);
  --shared->on_their_way;
}

tl::unexpected<Error> lost_answer() {
  return fail(ErrorKind::outcome_unknown, "the answer to the commit was lost (an injected fault)");
}

}  // namespace

FaultyBackend::FaultyBackend(std::shared_ptr<Backend> backend, Env env, StoreFaults faults)
    : shared_(std::make_shared<Shared>(std::move(backend), env, faults)),
      links_(std::make_shared<Links>(dynamic_cast<Neighbours*>(shared_->backend.get()), *env.clock,
                                     shared_)) {}
FaultyBackend::~FaultyBackend() {
  links_->end(internal::FaultyNeighbours::Told::its_end);
}

void FaultyBackend::set_paused(bool is_paused) {
  links_->set_paused(is_paused);
}

void FaultyBackend::kill() {
  links_->end(internal::FaultyNeighbours::Told::nothing);
}

Result<std::unique_ptr<Neighbours::Listening>> FaultyBackend::listen(std::string topic,
                                                                     Accept accept) {
  return links_->listen(std::move(topic), std::move(accept));
}

bool FaultyBackend::has_listener(std::string_view topic) const {
  return links_->has_listener(topic);
}

Result<std::shared_ptr<NeighbourLink>> FaultyBackend::connect(
    std::string topic, std::shared_ptr<NeighbourReceiver> receiver) {
  return links_->connect(std::move(topic), std::move(receiver));
}

void FaultyBackend::set_faults(StoreFaults faults) {
  std::lock_guard lock(shared_->mutex);
  shared_->faults = faults;
}

void FaultyBackend::script(std::initializer_list<CommitFault> next_commits) {
  std::lock_guard lock(shared_->mutex);
  shared_->scripted.insert(shared_->scripted.end(), next_commits);
}

void FaultyBackend::set_network(Executor network) {
  std::lock_guard lock(shared_->mutex);
  shared_->network = std::move(network);
}

std::map<std::string, std::uint64_t> FaultyBackend::happened() const {
  std::lock_guard lock(shared_->mutex);
  return shared_->counts;
}

std::size_t FaultyBackend::on_their_way() const {
  std::lock_guard lock(shared_->mutex);
  return shared_->on_their_way;
}

const Limits& FaultyBackend::limits() const {
  return shared_->backend->limits();
}

std::optional<Version> FaultyBackend::newest_known() const {
  const auto* known = dynamic_cast<const RecentChanges*>(shared_->backend.get());
  return known == nullptr ? std::nullopt : known->newest_known();
}
bool FaultyBackend::is_known_unchanged(BytesView key, Version since) const {
  const auto* known = dynamic_cast<const RecentChanges*>(shared_->backend.get());
  return known != nullptr && known->is_known_unchanged(key, since);
}
BackendTraits FaultyBackend::traits() const {
  auto traits = shared_->backend->traits();
  traits.resolves_outcomes = false;  // lost answers are what this is for
  return traits;
}

std::string FaultyBackend::url() const {
  return shared_->backend->url();
}

Async<std::unique_ptr<Snapshot>> FaultyBackend::snapshot() {
  auto shared = shared_;
  SEMPER_CO_TRY_STATUS(co_await shared->maybe_delay());
  if (shared->strikes(shared->current().snapshot_refused, "snapshot_refused")) {
    co_return fail(ErrorKind::retry, "all read connections are busy (an injected fault)");
  }
  SEMPER_CO_TRY(auto inner, co_await shared->backend->snapshot());
  co_return std::make_unique<FaultySnapshot<Shared>>(std::move(shared), std::move(inner));
}

Async<CommitReceipt> FaultyBackend::commit(CommitRequest request) {
  auto shared = shared_;
  SEMPER_CO_TRY_STATUS(co_await shared->maybe_delay());
  SEMPER_CO_TRY_STATUS(co_await shared->maybe_stuck());
  // A store that is closed says so for certain.
  if (shared->closed) co_return co_await shared->backend->commit(std::move(request));
  switch (shared->commit_fault()) {
    case CommitFault::none:
      break;
    case CommitFault::conflict:
      co_return fail(ErrorKind::conflict, "another transaction was faster (an injected fault)");
    case CommitFault::unknown_lost:
      co_return lost_answer();
    case CommitFault::unknown_applied: {
      auto receipt = co_await shared->backend->commit(std::move(request));
      if (receipt) co_return lost_answer();
      co_return receipt;
    }
    case CommitFault::unknown_late: {
      Executor way = co_await asio::this_coro::executor;
      {
        std::lock_guard lock(shared->mutex);
        ++shared->on_their_way;
        if (shared->network) way = shared->network;
      }
      const auto late_by = shared->draw(shared->current().late_by);
      asio::co_spawn(way, arrive_late(shared, std::move(request), late_by), asio::detached);
      co_return lost_answer();
    }
  }
  auto receipt = co_await shared->backend->commit(std::move(request));
  if (auto waited = co_await shared->maybe_delay(); !waited && receipt) co_return lost_answer();
  co_return receipt;
}

Async<BackupReport> FaultyBackend::backup(std::string path, BackupOptions options) {
  co_return co_await shared_->backend->backup(std::move(path), std::move(options));
}

Async<void> FaultyBackend::raise_version(Version floor) {
  co_return co_await shared_->backend->raise_version(floor);
}

Async<std::unique_ptr<Watch>> FaultyBackend::watch(BytesView key, Snapshot& seen) {
  auto& snapshot = static_cast<FaultySnapshot<Shared>&>(seen);
  SEMPER_CO_TRY(auto inner, co_await shared_->backend->watch(key, snapshot.inner()));
  co_return std::make_unique<FaultyWatch<Shared>>(shared_, std::move(inner));
}

Async<std::string> FaultyBackend::check() {
  co_return co_await shared_->backend->check();
}

std::vector<std::pair<std::string, std::int64_t>> FaultyBackend::statistics() const {
  auto figures = shared_->backend->statistics();
  for (const auto& [name, count] : happened()) {
    figures.emplace_back("fault_" + name, static_cast<std::int64_t>(count));
  }
  return figures;
}

Async<void> FaultyBackend::close() {
  shared_->closed = true;
  links_->end(internal::FaultyNeighbours::Told::its_end);
  co_return co_await shared_->backend->close();
}

}  // namespace semper::testing
