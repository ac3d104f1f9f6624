// The part of a Throttle that takes tokens out of buckets.
#include <algorithm>
#include <utility>

#include "semper/base/internal/mutant.h"
#include "server/serve/throttle.h"

namespace semper::internal {

std::uint64_t Throttle::parts_now(const SeenBucket& seen, const RateLimit& rate,
                                  MonotonicTime now) {
  const std::uint64_t most = rate.burst * kTokenParts;
  const auto elapsed = static_cast<double>((now - seen.as_of).count());
  const auto per = static_cast<double>(rate.per.count());
  const double gained = elapsed * rate.messages / per * static_cast<double>(kTokenParts);
  const auto room = static_cast<double>(most - std::min(most, seen.row.parts));
  if (gained >= room) return most;
  return seen.row.parts + static_cast<std::uint64_t>(std::max(gained, 0.0));
}

Duration Throttle::time_for(std::uint64_t parts, const RateLimit& rate) {
  const auto per = static_cast<double>(rate.per.count());
  const double ns =
      per * static_cast<double>(parts) / static_cast<double>(kTokenParts) / rate.messages;
  return Duration(static_cast<std::int64_t>(ns) + 1);
}

Duration Throttle::until_tokens(const SeenBucket& seen, const RateLimit& rate, std::uint64_t tokens,
                                MonotonicTime now) {
  const std::uint64_t parts = parts_now(seen, rate, now);
  const std::uint64_t needed = std::min(tokens, std::uint64_t{rate.burst}) * kTokenParts;
  return needed > parts ? time_for(needed - parts, rate) : Duration(0);
}

Async<Throttle::Level> Throttle::read_bucket(Transaction& transaction, const Place& place,
                                             const std::optional<SeenBucket>& known) const {
  const std::uint64_t most = rate_of(place).burst * kTokenParts;
  SEMPER_CO_TRY(const auto raw, co_await transaction.get(keys_of(place).bucket()));
  const MonotonicTime now = core().clock().now();
  Result<RateBucket> row = RateBucket();
  if (raw) row = RateBucket::decode(*raw);
  const bool is_known = raw && row && known && known->row.number == row->number;
  Level level;
  level.is_others = known && !is_known;
  if (known) level.losses = known->losses_in_a_row;
  level.parts = most;
  if (is_known) {
    level.seen = *known;
    level.parts = parts_now(level.seen, rate_of(place), now);
  } else {
    // A damaged one is empty, and written anew.
    if (raw) level.parts = row ? std::min(row->parts, most) : 0;
    level.seen = {{level.parts, raw && row ? row->number : 0}, now, false, false};
    if (SEMPER_MUTANT("server_bucket_is_full_for_who_comes")) level.parts = most;
  }
  co_return level;
}

// So many tokens are taken, with the transaction's commit.
Throttle::SeenBucket Throttle::without(const Level& level, const Place& place, std::uint64_t tokens,
                                       Transaction& transaction) const {
  SeenBucket seen = level.seen;
  if (tokens > 0) {
    seen = {{level.parts - tokens * kTokenParts, core().env().random->next()},
            core().clock().now(),
            true,
            false};
    if (!SEMPER_MUTANT("server_tokens_counted_in_memory")) {
      transaction.set(keys_of(place).bucket(), seen.row.encode());
    }
  }
  seen.is_contended = level.is_others || (level.seen.is_contended && tokens == 0);
  seen.takes_in_a_row = level.is_others ? 0 : level.seen.takes_in_a_row + (tokens > 0 ? 1 : 0);
  seen.losses_in_a_row = tokens > 0 ? 0 : level.losses + (level.is_others ? 1 : 0);
  return seen;
}

Async<Throttle::Turn> Throttle::look_at_bucket(const Place& place, std::uint64_t wanted) {
  std::optional<SeenBucket> known;
  {
    std::lock_guard lock(mutex_);
    known = lines_[place].bucket;
  }
  Turn turn;
  SeenBucket seen;
  const auto take = [&](Transaction& transaction) -> Async<void> {
    turn = {};
    turn.until = core().clock().after(kTokensLast);
    if (SEMPER_MUTANT("server_tokens_last_for_ever")) turn.until = kNever;
    SEMPER_CO_TRY(const Level level, co_await read_bucket(transaction, place, known));
    turn.free = std::min(wanted, level.parts / kTokenParts);
    seen = without(level, place, turn.free, transaction);
    if (turn.free == 0) {
      SEMPER_CO_TRY(turn.watch, co_await transaction.watch(keys_of(place).bucket()));
    }
    co_return Status{};
  };
  SEMPER_CO_TRY_STATUS(co_await core().store().transact(take));
  {
    std::lock_guard lock(mutex_);
    lines_[place].bucket = seen;
  }
  const std::uint64_t missing = wanted - turn.free;
  // Who shares the key with other hosts sees by its watch when they take some.
  if (missing == 0 || (turn.free > 0 && seen.is_contended)) co_return std::move(turn);
  const MonotonicTime now = core().clock().now();
  const RateLimit& rate = rate_of(place);
  turn.next = std::max(until_tokens(seen, rate, 1, now),
                       std::min(until_tokens(seen, rate, missing, now), kTokenPace));
  turn.next += spread(seen, turn.next);
  co_return std::move(turn);
}

// Else the one who was the first once is so again each time.
Duration Throttle::spread(const SeenBucket& seen, Duration next) const {
  bool gives_way = seen.takes_in_a_row > 0 && seen.takes_in_a_row % kTakesInARow == 0;
  bool is_owed = seen.losses_in_a_row >= kTakesInARow;
  if (SEMPER_MUTANT("server_first_host_keeps_a_key_to_itself")) gives_way = is_owed = false;
  if (is_owed || (!seen.is_contended && !gives_way)) return Duration(0);
  const auto most = static_cast<std::uint64_t>((next / 4 + kTokenPace / 2).count());
  return Duration(static_cast<std::int64_t>(core().env().random->below(most)));
}

std::optional<Duration> Throttle::until_full(const Place& place) {
  std::lock_guard lock(mutex_);
  const auto& bucket = lines_[place].bucket;
  if (!bucket || !bucket->is_ours) return std::nullopt;
  const RateLimit& rate = rate_of(place);
  return until_tokens(*bucket, rate, rate.burst, core().clock().now());
}

// It is full, as one that is not there.
Async<void> Throttle::forget_bucket(const Place& place) {
  const LimitKeys keys = keys_of(place);
  std::optional<SeenBucket> seen;
  {
    std::lock_guard lock(mutex_);
    seen = std::exchange(lines_[place].bucket, std::nullopt);
  }
  if (!seen) co_return Status{};
  const auto forget = [&](Transaction& transaction) -> Async<void> {
    SEMPER_CO_TRY(const auto raw, co_await transaction.get(keys.bucket()));
    const auto row = RateBucket::decode(raw.value_or(Bytes()));
    if (raw && row && row->number == seen->row.number) transaction.clear(keys.bucket());
    co_return Status{};
  };
  co_return co_await core().store().transact(forget);
}

}  // namespace semper::internal
