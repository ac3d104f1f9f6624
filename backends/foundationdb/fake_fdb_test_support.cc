#include "fake_fdb_test_support.h"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "errors.h"
#include "fake_fdb_objects_test_support.h"

namespace semper::foundationdb {
namespace {

FakeFdb* newest_fake = nullptr;

constexpr FdbError kNoCommitVersion = 2021;

}  // namespace

FakeFdb& FakeFdb::current() {
  if (newest_fake == nullptr) throw std::logic_error("a fake FoundationDB is not there");
  return *newest_fake;
}

FakeFdb::FakeFdb() : previous_(std::exchange(newest_fake, this)) {}

FakeFdb::~FakeFdb() {
  // Nobody waits for a thread whose client was let go by one of its own callbacks.
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return !running_; });
  newest_fake = previous_;
}

void FakeFdb::fail_next(Call call, std::vector<FdbError> codes) {
  std::lock_guard lock(mutex_);
  failures_[call].assign(codes.begin(), codes.end());
}

void FakeFdb::lose_next_answer(FdbError code) {
  std::lock_guard lock(mutex_);
  lost_answer_ = code;
}

void FakeFdb::hold(Call call) {
  std::lock_guard lock(mutex_);
  held_.insert(call);
}

void FakeFdb::release() {
  std::lock_guard lock(mutex_);
  held_.clear();
  held_counts_.clear();
  for (auto& work : std::exchange(held_work_, {})) work_.push_back(std::move(work));
  changed_.notify_all();
}

void FakeFdb::set_reachable(bool reachable) {
  std::lock_guard lock(mutex_);
  reachable_ = reachable;
}

void FakeFdb::recover() {
  std::lock_guard lock(mutex_);
  // A commit in each key space, so that the newest version is not one of the old ones.
  for (auto& [tenant, map] : maps_) {
    CommitRequest nothing;
    std::vector<Bytes> none;
    oldest_ = std::max(oldest_, map.apply(nothing, none));
  }
}

void FakeFdb::set_watches_maximum(std::size_t maximum) {
  std::lock_guard lock(mutex_);
  watches_maximum_ = maximum;
}

void FakeFdb::set_tenants_enabled(bool enabled) {
  std::lock_guard lock(mutex_);
  tenants_enabled_ = enabled;
}

void FakeFdb::fail_watches(FdbError code) {
  std::lock_guard lock(mutex_);
  for (const auto& watching : std::exchange(watching_, {})) {
    work_.push_back([future = watching.future, code] { future->complete(code); });
  }
  changed_.notify_all();
}

FakeFdb::Counts FakeFdb::counts() const {
  std::lock_guard lock(mutex_);
  return counts_;
}

bool FakeFdb::is_held(Call call) const {
  std::lock_guard lock(mutex_);
  const auto found = held_counts_.find(call);
  return found != held_counts_.end() && found->second > 0;
}

std::size_t FakeFdb::watches() const {
  std::lock_guard lock(mutex_);
  return watching_.size();
}

std::vector<KeyValue> FakeFdb::rows(const std::string& tenant) const {
  std::lock_guard lock(mutex_);
  const auto found = maps_.find(tenant);
  if (found == maps_.end()) return {};
  const PageRequest all({"", "\xff\xff"}, 100'000);
  return found->second.get_range(all, found->second.version()).rows;
}

void FakeFdb::post(std::function<void()> work) {
  std::lock_guard lock(mutex_);
  work_.push_back(std::move(work));
  changed_.notify_all();
}

void FakeFdb::run() {
  std::unique_lock lock(mutex_);
  ++counts_.networks_run;
  running_ = true;
  while (true) {
    changed_.wait(lock, [this] { return stopping_ || !work_.empty(); });
    if (stopping_) break;
    auto work = std::move(work_.front());
    work_.pop_front();
    lock.unlock();
    work();
    work = nullptr;
    lock.lock();
  }
  stopping_ = false;
  running_ = false;
  changed_.notify_all();
}

void FakeFdb::stop() {
  std::lock_guard lock(mutex_);
  ++counts_.networks_stopped;
  stopping_ = true;
  changed_.notify_all();
}

FdbError FakeFdb::next_failure(Call call) {
  auto& codes = failures_[call];
  if (codes.empty()) return 0;
  const FdbError code = codes.front();
  codes.pop_front();
  return code;
}

// Counts the call, and fails it or keeps it open where a test said so; otherwise `then` runs.
void FakeFdb::begin_call(FdbTransaction& transaction, Call call, FdbFuture& future,
                         std::function<void()> then) {
  ++counts_.calls[call];
  FdbError code = next_failure(call);
  if (code == 0 && !reachable_ && transaction.timeout_ms > 0) code = code::kTransactionTimedOut;
  if (code != 0) {
    // What waits for the commit of the transaction fails with it.
    if (call == Call::commit && transaction.versionstamp != nullptr) {
      work_.push_back([stamp = transaction.versionstamp, code] { stamp->complete(code); });
    }
    work_.push_back([&future, code] { future.complete(code); });
    changed_.notify_all();
    return;
  }
  // Once it is ready (cancelled), the transaction may be gone.
  auto unless_cancelled = [&future, then = std::move(then)] {
    if (!future.is_ready()) then();
  };
  if (held_.contains(call)) {
    ++held_counts_[call];
    held_work_.push_back(std::move(unless_cancelled));
    return;
  }
  work_.push_back(std::move(unless_cancelled));
  changed_.notify_all();
}

void FakeFdb::fire_watches(const std::string& tenant) {
  const auto& map = map_of(tenant);
  std::erase_if(watching_, [&](const Watching& watching) {
    if (watching.tenant != tenant || map.get(watching.key, map.version()) == watching.value) {
      return false;
    }
    work_.push_back([future = watching.future] { future->complete(0); });
    return true;
  });
  changed_.notify_all();
}

FdbError FakeFdb::set_watch(const Watching& watching) {
  if (watching_.size() >= watches_maximum_) return code::kTooManyWatches;
  watching_.push_back(watching);
  return 0;
}

// The transaction takes effect, or not: FoundationDB's code.
FdbError FakeFdb::apply(FdbTransaction& transaction) {
  auto& map = map_of(transaction.tenant);
  if (!transaction.new_tenants.empty()) {
    if (!tenants_enabled_) return code::kTenantsDisabled;
    counts_.tenant_names.insert(transaction.new_tenants.begin(), transaction.new_tenants.end());
    return 0;
  }
  auto& request = transaction.request;
  request.read_version = transaction.read_version.value_or(map.version());
  if (request.read_version < oldest_) return code::kTransactionTooOld;
  for (const auto& read : request.reads) {
    if (map.changed_since(read, request.read_version)) return code::kNotCommitted;
  }
  std::vector<Bytes> changed;
  append_big_endian_u64(transaction.stamp, map.apply(request, changed));
  append_big_endian_u16(transaction.stamp, 0);
  fire_watches(transaction.tenant);
  return 0;
}

void FakeFdb::commit(FdbTransaction& transaction, FdbFuture& future) {
  std::unique_lock lock(mutex_);
  FdbError code = 0;
  FdbError stamped = kNoCommitVersion;
  const bool writes = !transaction.request.mutations.empty() ||
                      !transaction.request.write_conflicts.empty() ||
                      !transaction.new_tenants.empty();
  if (writes) {
    code = stamped = apply(transaction);
    if (code == 0 && lost_answer_ != 0) code = std::exchange(lost_answer_, 0);
  }
  auto* stamp = transaction.versionstamp;
  const Bytes written = transaction.stamp;
  std::vector<std::pair<FdbFuture*, FdbError>> watches;
  const auto& map = map_of(transaction.tenant);
  const Version at = transaction.read_version.value_or(map.version());
  for (const auto& [key, watch] : transaction.watches) {
    if (at < oldest_) {
      code = code::kTransactionTooOld;
      watches.emplace_back(watch, code);
      continue;
    }
    const Watching watching{transaction.tenant, key, map.get(key, at), watch};
    const FdbError set = set_watch(watching);
    if (set != 0) watches.emplace_back(watch, set);
  }
  if (!transaction.watches.empty()) fire_watches(transaction.tenant);
  lock.unlock();
  for (const auto& [watch, failed] : watches) watch->complete(failed);
  if (stamp != nullptr) {
    stamp->key = written;
    stamp->complete(stamped);
  }
  future.complete(code);
}

}  // namespace semper::foundationdb
