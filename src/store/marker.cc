#include "marker.h"

#include <optional>
#include <utility>

#include "semper/base/internal/mutant.h"
#include "semper/env/backoff.h"

namespace semper::internal {
namespace {

// Then the version that the commit had read. 0.1.0 wrote a time there, in seconds: those keys go on
// with a zero, and are left to the processes of 0.1.0.
constexpr std::string_view kMarkerPrefix = "\xff/semper/marker/\x01";
// Then the version that all markers before were swept away by; the last one counts.
constexpr std::string_view kSweptPrefix = "\xff/semper/swept/";
constexpr char kCommitted = 'c';
constexpr char kFenced = 'f';
// Markers taken away by one commit, so that commits stay small.
constexpr std::size_t kMarkersPerCommit = 4;
// There are as many as processes sweep at once; each removes those before its own.
constexpr std::size_t kSweptRows = 1'000;

Bytes key_at(std::string_view prefix, std::uint64_t version) {
  Bytes key(prefix);
  append_big_endian_u64(key, version);
  return key;
}

std::uint64_t version_in(BytesView key, std::string_view prefix) {
  std::uint64_t version = 0;
  for (const char byte : key.substr(prefix.size(), 8)) {
    version = version << 8 | static_cast<unsigned char>(byte);
  }
  return version;
}

KeyRange all_swept() {
  KeyRange range{Bytes(kSweptPrefix), Bytes(kSweptPrefix)};
  range.end.back() = static_cast<char>(range.end.back() + 1);
  return range;
}

// The newest version that was the present one a lifetime ago or earlier, if there is a new one of
// those. With the mutex.
std::optional<std::uint64_t> look(MarkerLedger& ledger, std::uint64_t version, MonotonicTime now) {
  auto& seen = ledger.seen;
  // The store was replaced by an older one.
  if (!seen.empty() && version < seen.front().version) seen.clear();
  if (seen.empty() || now - seen.back().at >= kMarkerSightings) seen.push_back({version, now});
  std::optional<std::uint64_t> past;
  const Duration life =
      SEMPER_MUTANT("store_marker_swept_early") ? kMarkerSightings : kMarkerLifetime;
  while (now - seen.front().at > life) {
    past = seen.front().version;
    seen.pop_front();
  }
  return past;
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
  const std::uint64_t version = request.read_version;
  Marker marker{key_at(kMarkerPrefix, version) + env.random->bytes(16), {}};
  Bytes value(Versionstamp::store_size, '\0');
  value.push_back(kCommitted);
  if (!SEMPER_MUTANT("store_marker_not_read")) {
    request.reads.push_back({KeyRange::point(marker.key), 0});
  }
  if (!SEMPER_MUTANT("store_marker_dropped")) {
    request.mutations.push_back(
        {Mutation::Type::set_versionstamped_value, marker.key, std::move(value), 0});
  }

  MarkerLedger& ledger = BackendParts::marker_ledger(backend);
  std::lock_guard lock(ledger.mutex);
  for (std::size_t i = 0; i < kMarkersPerCommit && !ledger.done.empty(); ++i) {
    marker.removed.push_back(std::move(ledger.done.back()));
    request.mutations.push_back({Mutation::Type::clear, marker.removed.back(), {}, 0});
    ledger.done.pop_back();
  }
  if (const auto past = look(ledger, version, env.clock->now())) {
    const Bytes swept = key_at(kSweptPrefix, *past);
    request.mutations.push_back(
        {Mutation::Type::clear_range, Bytes(kMarkerPrefix), key_at(kMarkerPrefix, *past), 0});
    request.mutations.push_back({Mutation::Type::clear_range, Bytes(kSweptPrefix), swept, 0});
    request.mutations.push_back({Mutation::Type::set, swept, {}, 0});
  }
  return marker;
}

void forget_marker(Backend& backend, Bytes marker) {
  MarkerLedger& ledger = BackendParts::marker_ledger(backend);
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
    // Whoever stood still for a whole lifetime cannot know any more.
    const PageRequest every(all_swept(), kSweptRows);
    auto swept = co_await (*snapshot)->get_range(every);
    if (!swept) {
      last = swept.error().to_string();
      continue;
    }
    if (!swept->rows.empty() &&
        version_in(marker, kMarkerPrefix) < version_in(swept->rows.back().key, kSweptPrefix)) {
      last = "its marker was swept away meanwhile; this process stood still for too long";
      break;
    }
    CommitRequest fence;
    fence.reads.push_back({every.range, swept->rows.size()});
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
