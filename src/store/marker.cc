#include "marker.h"

#include <algorithm>
#include <utility>

#include "semper/base/internal/mutant.h"
#include "semper/env/backoff.h"

namespace semper::internal {
namespace {

constexpr std::string_view kMarkerPrefix = "\xff/semper/marker/";
constexpr char kCommitted = 'c';
constexpr char kFenced = 'f';
// Markers taken away by one commit, so that commits stay small.
constexpr std::size_t kMarkersPerCommit = 4;
constexpr auto kSweepInterval = std::chrono::hours(1);

Bytes marker_key_at(WallTime time) {
  Bytes key(kMarkerPrefix);
  const auto seconds =
      std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count();
  append_big_endian_u64(key, static_cast<std::uint64_t>(seconds));
  return key;
}

Result<Versionstamp> read_outcome(const Bytes& value) {
  if (value.size() == Versionstamp::store_size + 1 && value.back() == kCommitted) {
    Bytes stamp = value.substr(0, Versionstamp::store_size);
    append_big_endian_u16(stamp, 0);
    return Versionstamp::from_bytes(stamp);
  }
  return fail(ErrorKind::conflict, "the commit did not take effect");
}

}  // namespace

Marker add_marker(Backend& backend, Env env, CommitRequest& request) {
  const WallTime now = env.clock->wall_time();
  Marker marker{marker_key_at(now) + env.random->bytes(16), {}};
  Bytes value(Versionstamp::store_size, '\0');
  value.push_back(kCommitted);
  if (!SEMPER_MUTANT("store_marker_not_read")) {
    request.reads.push_back({KeyRange::point(marker.key), 0});
  }
  if (!SEMPER_MUTANT("store_marker_dropped")) {
    request.mutations.push_back(
        {Mutation::Type::set_versionstamped_value, marker.key, std::move(value), 0});
  }

  MarkerLedger& ledger = backend.marker_ledger();
  std::lock_guard lock(ledger.mutex);
  for (std::size_t i = 0; i < kMarkersPerCommit && !ledger.done.empty(); ++i) {
    marker.removed.push_back(std::move(ledger.done.back()));
    request.mutations.push_back({Mutation::Type::clear, marker.removed.back(), {}, 0});
    ledger.done.pop_back();
  }
  if (now >= ledger.next_sweep) {
    ledger.next_sweep = now + kSweepInterval;
    request.mutations.push_back({Mutation::Type::clear_range, Bytes(kMarkerPrefix),
                                 marker_key_at(now - kMarkerLifetime), 0});
  }
  return marker;
}

void forget_marker(Backend& backend, Bytes marker) {
  MarkerLedger& ledger = backend.marker_ledger();
  std::lock_guard lock(ledger.mutex);
  if (ledger.done.size() < MarkerLedger::kCapacity) ledger.done.push_back(std::move(marker));
}

void keep_for_later(Backend& backend, std::vector<Bytes> markers) {
  for (auto& marker : markers) forget_marker(backend, std::move(marker));
}

Async<Versionstamp> resolve_marker(Backend& backend, Env env, Bytes marker) {
  Backoff backoff({.initial = std::chrono::milliseconds(1), .maximum = std::chrono::seconds(1)},
                  *env.random);
  std::string last = "no attempt was made";
  for (int attempt = 0; attempt < kResolveAttempts; ++attempt) {
    if (attempt > 0) SEMPER_CO_TRY_STATUS(co_await sleep_for(*env.clock, backoff.next()));
    auto snapshot = co_await backend.snapshot();
    if (!snapshot) {
      last = snapshot.error().to_string();
      continue;
    }
    if (SEMPER_MUTANT("store_outcome_of_another_commit")) {
      const PageRequest any{{Bytes(kMarkerPrefix), marker}, 1, Order::ascending};
      const auto page = co_await (*snapshot)->get_range(any);
      if (page && !page->rows.empty()) co_return read_outcome(page->rows.front().value);
    }
    auto value = co_await (*snapshot)->get(marker);
    if (!value) {
      last = value.error().to_string();
      continue;
    }
    if (*value) co_return read_outcome(**value);
    if (SEMPER_MUTANT("store_unfenced_outcome")) {
      co_return fail(ErrorKind::conflict, "the commit did not take effect");
    }
    CommitRequest fence;
    fence.read_version = (*snapshot)->version();
    fence.reads.push_back({KeyRange::point(marker), 0});
    fence.mutations.push_back({Mutation::Type::set, marker, Bytes(1, kFenced), 0});
    auto fenced = co_await backend.commit(std::move(fence));
    if (fenced) co_return fail(ErrorKind::conflict, "the commit did not take effect");
    last = fenced.error().to_string();
  }
  co_return fail(
      ErrorKind::outcome_unknown,
      "the transaction may or may not have been applied, and the store could not be asked (" +
          last + "); read the data before doing it again");
}

}  // namespace semper::internal
