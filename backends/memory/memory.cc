#include "backends/memory/memory.h"

#include <pthread.h>

#include <atomic>
#include <charconv>
#include <map>
#include <mutex>
#include <string_view>
#include <utility>

#include "backends/memory/memory_engine.h"
#include "semper/base/internal/mutant.h"
#include "semper/env/fork.h"
#include "semper/store/neighbours.h"
#include "semper/store/recent_changes.h"

namespace semper {
namespace {

using memory::MemoryEngine;
using memory::WatchEnd;

// What a forked child may not use: a thread that it does not have may have been inside the engine.
constexpr std::string_view kWhat = "this store";
// Nothing reaches it by counting.
constexpr Version kVersionMaximum = Version{1} << 62;

class MemorySnapshot final : public Snapshot {
 public:
  MemorySnapshot(std::shared_ptr<MemoryEngine> engine, const Clock& clock, Duration lifetime)
      : engine_(std::move(engine)), pin_(engine_->pin(clock, lifetime)) {}
  ~MemorySnapshot() override {
    if (!fork_.is_foreign()) engine_->unpin(pin_);
  }

  Version version() const override { return pin_->version; }
  Async<std::optional<Bytes>> get(BytesView key) override {
    SEMPER_CO_TRY_STATUS(fork_.check(kWhat));
    co_return engine_->get(*pin_, key);
  }
  Async<RangePage> get_range(const PageRequest& request) override {
    SEMPER_CO_TRY_STATUS(fork_.check(kWhat));
    co_return engine_->get_range(*pin_, request);
  }

  const MemoryEngine::Pin& pin() const { return *pin_; }

 private:
  std::shared_ptr<MemoryEngine> engine_;
  MemoryEngine::PinPlace pin_;
  const ForkGuard fork_{};
};

class MemoryWatch final : public Watch {
 public:
  MemoryWatch(std::shared_ptr<MemoryEngine> engine, Clock& clock, MemoryEngine::Watching watching)
      : engine_(std::move(engine)), clock_(&clock), watching_(std::move(watching)) {}
  ~MemoryWatch() override {
    if (!fork_.is_foreign()) engine_->drop_watch(watching_.number);
  }

  Async<void> changed(MonotonicTime deadline) override {
    SEMPER_CO_TRY_STATUS(fork_.check(kWhat));
    if (!end_) {
      SEMPER_CO_TRY(end_, co_await watching_.end.wait_until(*clock_, deadline));
    }
    if (end_ == WatchEnd::changed) co_return Status{};
    co_return fail(ErrorKind::closed, "the store was closed while the key was watched");
  }

 private:
  std::shared_ptr<MemoryEngine> engine_;
  Clock* clock_;
  MemoryEngine::Watching watching_;
  std::optional<WatchEnd> end_;
  const ForkGuard fork_{};
};

// One handle on an engine.
class MemoryBackend final : public Backend, public RecentChanges, public Neighbours {
 public:
  MemoryBackend(std::shared_ptr<MemoryEngine> engine, std::string url, Limits limits, Env env)
      : engine_(std::move(engine)),
        url_(std::move(url)),
        limits_(limits),
        env_(env),
        member_(engine_->neighbours().join()) {}
  ~MemoryBackend() override {
    if (fork_.is_foreign()) return;
    engine_->close_watches(this);
    engine_->neighbours().leave(member_);
  }

  const Limits& limits() const override { return limits_; }
  BackendTraits traits() const override { return {.versions_are_commits = true}; }
  std::string url() const override { return url_; }

  Async<std::unique_ptr<Snapshot>> snapshot() override {
    SEMPER_CO_TRY_STATUS(check_open());
    co_return std::make_unique<MemorySnapshot>(engine_, *env_.clock, limits_.transaction_duration);
  }

  Async<CommitReceipt> commit(CommitRequest request) override {
    SEMPER_CO_TRY_STATUS(check_open());
    co_return engine_->commit(request);
  }

  std::optional<Version> newest_known() const override {
    if (fork_.is_foreign()) return std::nullopt;
    return engine_->version();
  }
  bool is_known_unchanged(BytesView key, Version since) const override {
    return !fork_.is_foreign() && engine_->is_unchanged(key, since);
  }

  Async<void> raise_version(Version floor) override {
    SEMPER_CO_TRY_STATUS(check_open());
    if (floor > kVersionMaximum && !SEMPER_MUTANT("memory_any_version_raised")) {
      co_return fail(ErrorKind::invalid_argument, "version " + std::to_string(floor) +
                                                      " is no version of a store: the highest is " +
                                                      std::to_string(kVersionMaximum) +
                                                      "; nothing was changed");
    }
    engine_->raise_version(floor);
    co_return Status{};
  }

  Async<std::unique_ptr<Watch>> watch(BytesView key, Snapshot& seen) override {
    SEMPER_CO_TRY_STATUS(check_open());
    const auto& pin = static_cast<MemorySnapshot&>(seen).pin();
    SEMPER_CO_TRY(auto watching, engine_->watch(pin, key, this));
    auto made = std::make_unique<MemoryWatch>(engine_, *env_.clock, std::move(watching));
    // The handle may have been closed by another thread in between.
    if (closed_.load()) engine_->close_watches(this);
    co_return made;
  }

  Async<std::string> check() override {
    SEMPER_CO_TRY_STATUS(check_open());
    co_return engine_->check();
  }

  std::vector<std::pair<std::string, std::int64_t>> statistics() const override {
    if (fork_.is_foreign()) return {};
    return engine_->statistics();
  }

  Async<void> close() override {
    SEMPER_CO_TRY_STATUS(fork_.check(kWhat));
    closed_.store(true);
    engine_->close_watches(this);
    engine_->neighbours().leave(member_);
    co_return Status{};
  }

  Result<std::unique_ptr<Listening>> listen(std::string topic, Accept accept) override {
    SEMPER_TRY_STATUS(check_open());
    return engine_->neighbours().listen(member_, std::move(topic), std::move(accept));
  }
  bool has_listener(std::string_view topic) const override {
    return check_open().has_value() && engine_->neighbours().has_listener(member_, topic);
  }
  Result<std::shared_ptr<NeighbourLink>> connect(
      std::string topic, std::shared_ptr<NeighbourReceiver> receiver) override {
    SEMPER_TRY_STATUS(check_open());
    return engine_->neighbours().connect(member_, topic, std::move(receiver));
  }

 private:
  Status check_open() const {
    SEMPER_TRY_STATUS(fork_.check(kWhat));
    if (!closed_.load()) return {};
    return fail(ErrorKind::closed, "the store " + url_ + " was closed; open it again");
  }

  const std::shared_ptr<MemoryEngine> engine_;
  const std::string url_;
  const Limits limits_;
  const Env env_;
  const memory::MemoryNeighbours::Member member_;
  const ForkGuard fork_{};
  std::atomic<bool> closed_{false};
};

Result<std::size_t> number_of(const StoreUrl& url, std::string_view name, std::size_t otherwise) {
  const auto text = url.parameter(name);
  if (!text) return otherwise;
  std::size_t number = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), number);
  if (error != std::errc() || end != text->data() + text->size() || number == 0) {
    return fail(ErrorKind::invalid_argument, "store URL parameter " + std::string(name) + "=\"" +
                                                 to_printable(*text) +
                                                 "\" is not a positive number");
  }
  return number;
}

Result<Limits> limits_of(const StoreUrl& url) {
  SEMPER_TRY_STATUS(url.allow_only({"key_bytes", "value_bytes", "transaction_bytes",
                                    "transaction_operations", "transaction_ms"}));
  Limits limits;
  SEMPER_TRY(limits.key_bytes, number_of(url, "key_bytes", limits.key_bytes));
  SEMPER_TRY(limits.value_bytes, number_of(url, "value_bytes", limits.value_bytes));
  SEMPER_TRY(limits.transaction_bytes,
             number_of(url, "transaction_bytes", limits.transaction_bytes));
  SEMPER_TRY(limits.transaction_operations,
             number_of(url, "transaction_operations", limits.transaction_operations));
  const auto usual =
      std::chrono::duration_cast<std::chrono::milliseconds>(limits.transaction_duration);
  SEMPER_TRY(const auto span,
             number_of(url, "transaction_ms", static_cast<std::size_t>(usual.count())));
  constexpr std::size_t kSpanMaximum = 1'000'000'000;
  if (span > kSpanMaximum) {
    return fail(ErrorKind::invalid_argument,
                "store URL parameter transaction_ms is over " + std::to_string(kSpanMaximum));
  }
  limits.transaction_duration = std::chrono::milliseconds(span);
  return limits;
}

struct Engines {
  std::mutex mutex;
  std::map<std::string, std::weak_ptr<MemoryEngine>> by_name;
  ForkGuard fork;  // whose they are
};
// Never destroyed: exit handlers may fork.
Engines& engines() {
  static auto* const the_one = new Engines();
  return *the_one;
}

// Held over a fork, so that a child can open stores.
[[gnu::constructor(102)]] void prepare_for_forks() {
  const auto let_go = [] { engines().mutex.unlock(); };
  static_cast<void>(pthread_atfork([] { engines().mutex.lock(); }, let_go, let_go));
}

// The engine of that name, as long as somebody has it open; an empty name is nobody else's.
std::shared_ptr<MemoryEngine> engine_of(const std::string& name) {
  if (name.empty()) return std::make_shared<MemoryEngine>();
  std::lock_guard lock(engines().mutex);
  auto& by_name = engines().by_name;
  // Those of a parent stay its own: a thread that this child does not have may be inside one.
  if (engines().fork.is_foreign()) {
    by_name.clear();
    engines().fork = ForkGuard();
  }
  std::erase_if(by_name, [](const auto& entry) { return entry.second.expired(); });
  auto engine = by_name[name].lock();
  if (!engine) {
    engine = std::make_shared<MemoryEngine>();
    by_name[name] = engine;
  }
  return engine;
}

}  // namespace

Async<std::shared_ptr<Backend>> open_memory(StoreUrl url, Env env) {
  SEMPER_CO_TRY(auto limits, limits_of(url));
  co_return std::make_shared<MemoryBackend>(engine_of(url.path), url.to_string(), limits, env);
}

}  // namespace semper
