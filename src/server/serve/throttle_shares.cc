// The part of a Throttle that tends all keys of a type at once, which share what is the type's.
#include <algorithm>
#include <tuple>
#include <utility>

#include "semper/base/internal/mutant.h"
#include "server/serve/throttle.h"
#include "server/serve/waiting.h"

namespace semper::internal {

bool Throttle::is_idle(const Line& line) {
  return line.waiting.empty() && line.called.empty() && line.left_over.count == 0;
}

// As tend(), of all keys.
Task<void> Throttle::tend_all(std::shared_ptr<Throttle> self, For what) {
  HostCore& core = self->core();
  auto inside = core.gate.enter();
  if (!inside) co_return;
  const Gate::Holder until_the_end = std::move(*inside);
  const Place whole{type_of(what), {}};
  while (!core.stopping.stop_requested()) {
    const Duration until_full = co_await self->sweep(what);
    Asked asked = self->ask_all(what);
    if (asked.waiting == 0) {
      if (!asked.is_owed && until_full == kForever && self->end_all(what)) co_return;
      const Duration rest = asked.is_owed ? kTokensLast : std::max(until_full, kTokenPace);
      co_await wait_for_news(core, nullptr, asked.news, std::min(rest, kSafetyInterval));
      continue;
    }
    Result<Shared> shared = fail(ErrorKind::internal, "");
    if (what == For::rate) {
      shared = co_await self->look_at_all_buckets();
    } else {
      shared = co_await self->look_at_all_places();
    }
    if (!shared) {
      self->say(whole, shared.error());
      OneShot<std::monostate> nothing_else;
      co_await wait_for_news(core, nullptr, nothing_else, kThrottledLook);
      continue;
    }
    self->call_all(what, *shared);
    const Duration next = std::min(shared->next, co_await self->note_all(what));
    if (next > Duration(0)) {
      co_await wait_for_news(core, std::move(shared->watch), asked.news, next);
    } else {
      co_await asio::post(asio::use_awaitable);
    }
  }
}

Throttle::Asked Throttle::ask_all(For what) {
  const MonotonicTime now = core().clock().now();
  Asked asked;
  std::lock_guard lock(mutex_);
  Line& whole = lines_[Place{type_of(what), {}}];
  whole.news = OneShot<std::monostate>();
  asked.news = whole.news;
  for (auto line = lines_.lower_bound(Place{what, {}});
       line != lines_.end() && line->first.first == what; ++line) {
    ask_line(line->second, what == For::place, now, asked);
  }
  return asked;
}

Throttle::Shared Throttle::shares_of(For what, Duration& until_own, bool& more) {
  const MonotonicTime now = core().clock().now();
  Shared shared;
  std::lock_guard lock(mutex_);
  shared.bucket = lines_[Place{type_of(what), {}}].bucket;
  for (auto at = lines_.lower_bound(Place{what, {}}); at != lines_.end() && at->first.first == what;
       ++at) {
    Line& line = at->second;
    if (line.waiting.empty()) continue;
    const auto& bucket = line.bucket;
    if (what == For::rate && rules_.rate.messages > 0 && bucket && !bucket->is_contended) {
      const Duration until = until_tokens(*bucket, rules_.rate, 1, now);
      if (until > Duration(0)) {
        until_own = std::min(until_own, until);
        shared.dry.push_back(at->first);
        continue;
      }
    }
    Asked asked;
    ask_line(line, what == For::place, now, asked);
    Share share;
    share.place = at->first;
    share.wanted = what == For::rate ? asked.wanted : asked.waiting;
    share.called = line.called.size();
    share.mark = line.mark;
    share.step = line.step;
    share.is_dry = now < line.dry_until && !SEMPER_MUTANT("server_dry_keys_are_asked_first");
    share.has_lost =
        line.waiting.front().has_lost && !SEMPER_MUTANT("server_places_of_older_programs_unseen");
    share.bucket = bucket;
    shared.shares.push_back(std::move(share));
  }
  std::stable_sort(shared.shares.begin(), shared.shares.end(), [](const Share& a, const Share& b) {
    return std::tie(a.is_dry, a.mark) < std::tie(b.is_dry, b.mark);
  });
  more = what == For::rate && shared.shares.size() > kKeysPerTurn;
  if (more) shared.shares.erase(shared.shares.begin() + kKeysPerTurn, shared.shares.end());
  return shared;
}

void Throttle::divide(std::vector<Share>& shares, std::uint64_t free) {
  const auto is_after = [](const Share* a, const Share* b) { return a->mark > b->mark; };
  std::vector<Share*> next;  // a heap; the one that is furthest behind is its first
  for (auto& share : shares) {
    if (std::min(share.wanted, share.most) > 0) next.push_back(&share);
  }
  std::make_heap(next.begin(), next.end(), is_after);
  while (free > 0 && !next.empty()) {
    std::pop_heap(next.begin(), next.end(), is_after);
    Share& share = *next.back();
    const std::uint64_t left = std::min(share.wanted, share.most) - share.given;
    const bool takes_all = SEMPER_MUTANT("server_first_key_takes_all");
    const std::uint64_t more = takes_all ? std::min(left, free) : 1;
    share.given += more;
    if (!takes_all) share.mark += share.step;
    free -= more;
    if (left > more) {
      std::push_heap(next.begin(), next.end(), is_after);
    } else {
      next.pop_back();
    }
  }
}

Async<Throttle::Shared> Throttle::look_at_all_buckets() {
  const Place whole{For::type_rate, {}};
  Duration until_own = kForever;
  bool more = false;
  const Shared asking = shares_of(For::rate, until_own, more);
  Shared shared;
  if (asking.shares.empty()) {
    shared.dry = asking.dry;
    shared.bucket = asking.bucket;
    shared.next = std::max(until_own, kTokenPace);
    co_return std::move(shared);
  }
  const bool has_own = rules_.rate.messages > 0;
  const auto take = [&](Transaction& transaction) -> Async<void> {
    shared = {};
    shared.shares = asking.shares;
    shared.dry = asking.dry;
    shared.until = core().clock().after(kTokensLast);
    SEMPER_CO_TRY(const Level level, co_await read_bucket(transaction, whole, asking.bucket));
    std::vector<Level> levels;
    for (auto& share : shared.shares) {
      share.most = share.wanted;
      if (!has_own) continue;
      SEMPER_CO_TRY(levels.emplace_back(),
                    co_await read_bucket(transaction, share.place, share.bucket));
      share.most = levels.back().parts / kTokenParts;
    }
    divide(shared.shares, level.parts / kTokenParts);
    std::uint64_t given = 0;
    for (std::size_t i = 0; i < shared.shares.size(); ++i) {
      Share& share = shared.shares[i];
      given += share.given;
      if (has_own) share.bucket = without(levels[i], share.place, share.given, transaction);
    }
    const std::uint64_t counted = SEMPER_MUTANT("server_type_rate_not_counted") ? 0 : given;
    shared.bucket = without(level, whole, counted, transaction);
    if (given > 0) co_return Status{};
    const Place& scarce = level.parts < kTokenParts ? whole : shared.shares.front().place;
    SEMPER_CO_TRY(shared.watch, co_await transaction.watch(keys_of(scarce).bucket()));
    co_return Status{};
  };
  SEMPER_CO_TRY_STATUS(co_await core().store().transact(take));
  const MonotonicTime now = core().clock().now();
  bool is_missing = more;
  for (const auto& share : shared.shares) {
    if (share.given >= share.wanted) continue;
    is_missing = true;
    const Duration own = has_own ? until_tokens(*share.bucket, rules_.rate, 1, now) : Duration(0);
    until_own = std::min(until_own, own);
  }
  if (!is_missing) co_return std::move(shared);
  // The others have their turn, unless these were asked because all of them are dry.
  if (more && !asking.shares.front().is_dry) until_own = Duration(0);
  const Duration of_type = until_tokens(*shared.bucket, rules_.type_rate, 1, now);
  shared.next = std::max({of_type, until_own, kTokenPace});
  shared.next += spread(*shared.bucket, shared.next);
  co_return std::move(shared);
}

Async<Throttle::Shared> Throttle::look_at_all_places() {
  const Place whole{For::type_place, {}};
  const LimitKeys keys = keys_of(whole);
  const BytesView prefix = core().tenant.prefix();
  const auto room = static_cast<std::size_t>(rules_.type_running);
  const MonotonicTime now = core().clock().now();
  bool verifies = false;
  {
    std::lock_guard lock(mutex_);
    Line& line = lines_[whole];
    verifies = now >= line.verified + kThrottledLook;
    if (verifies) line.verified = now;
  }
  Transaction transaction = core().store().begin();
  SEMPER_CO_TRY(auto watch, co_await transaction.watch(keys.freed()));
  SEMPER_CO_TRY(const auto ids, co_await read_places(transaction, prefix, keys, kPlacesMaximum,
                                                     ReadMode::snapshot));
  SEMPER_CO_TRY_STATUS(co_await call_holders(transaction, ids));
  // All that hold a place of a key hold one of the type.
  std::map<std::string, std::uint64_t> of_key;
  std::size_t taken = 0;
  for (const auto& id : ids) {
    const EntityId holder{type_, id};
    if (verifies) {
      SEMPER_CO_TRY(const bool holds, co_await holds_place(transaction, prefix, holder));
      if (!holds) continue;
    }
    ++taken;
    ++of_key[key_of(holder)];
  }
  Duration until_own = kForever;
  bool more = false;
  Shared shared = shares_of(For::place, until_own, more);
  shared.next = kThrottledLook;
  shared.watch = std::move(watch);
  shared.until = core().clock().after(rules_.has_rate() ? kPlaceKept : kTokensLast);
  for (auto& share : shared.shares) {
    std::uint64_t taken_of_key = of_key[share.place.second];
    if (share.has_lost && rules_.running > 0) {
      SEMPER_CO_TRY(const auto own, co_await count_own_places(transaction, share.place, verifies));
      taken_of_key = std::max(taken_of_key, own);
    }
    const std::uint64_t used = taken_of_key + share.called;
    const auto most = static_cast<std::uint64_t>(rules_.running);
    share.most = rules_.running == 0 ? share.wanted : most - std::min(most, used);
  }
  std::size_t called = 0;
  {
    std::lock_guard lock(mutex_);
    for (const auto& [place, line] : lines_) {
      if (place.first == For::place) called += line.called.size();
    }
  }
  divide(shared.shares, room - std::min(room, taken + called));
  co_return std::move(shared);
}

Async<std::uint64_t> Throttle::count_own_places(Transaction& transaction, const Place& place,
                                                bool verifies) const {
  const BytesView prefix = core().tenant.prefix();
  SEMPER_CO_TRY(const auto ids, co_await read_places(transaction, prefix, keys_of(place),
                                                     kPlacesMaximum, ReadMode::snapshot));
  std::uint64_t taken = ids.size();
  for (std::size_t i = 0; verifies && i < ids.size(); ++i) {
    const EntityId holder{type_, ids[i]};
    SEMPER_CO_TRY(const bool holds, co_await holds_place(transaction, prefix, holder));
    if (!holds) --taken;
  }
  co_return taken;
}

void Throttle::call_all(For what, const Shared& shared) {
  const Place whole{type_of(what), {}};
  const MonotonicTime now = core().clock().now();
  {
    std::lock_guard lock(mutex_);
    Line& type_line = lines_[whole];
    if (shared.bucket) type_line.bucket = shared.bucket;
    for (const auto& share : shared.shares) {
      Line& line = lines_[share.place];
      line.bucket = share.bucket;
      line.mark = share.mark;
      if (what == For::rate && share.most == 0) {
        const Duration until = until_tokens(*share.bucket, rules_.rate, 1, now);
        line.dry_until = now + std::clamp(until, kTokenPace, kThrottledLook);
      }
      if (share.given > 0) type_line.mark = std::max(type_line.mark, share.mark - share.step);
    }
  }
  for (const auto& share : shared.shares) {
    Turn turn;
    turn.until = shared.until;
    turn.free = what == For::rate ? share.given : share.given + share.called;
    call_some(share.place, turn);
  }
  if (rules_.over != OverLimit::refuse) return;
  for (const auto& place : shared.dry) call_some(place, Turn());
}

Task<Duration> Throttle::note_all(For what) {
  std::vector<Place> places;
  {
    std::lock_guard lock(mutex_);
    for (const auto& [place, line] : lines_) {
      if (place.first == what && !line.waiting.empty()) places.push_back(place);
    }
  }
  Duration next = kForever;
  std::size_t room = kNotesPerRound;
  for (const auto& place : places) next = std::min(next, co_await note_waiting(place, room));
  co_return next;
}

Task<Duration> Throttle::sweep(For what) {
  std::vector<Place> idle;
  {
    std::lock_guard lock(mutex_);
    for (const auto& [place, line] : lines_) {
      if ((place.first == what || place.first == type_of(what)) && is_idle(line)) {
        idle.push_back(place);
      }
    }
  }
  Duration next = kForever;
  std::size_t forgotten = 0;
  for (const auto& place : idle) {
    const auto rest = until_full(place);
    if (rest && *rest > Duration(0)) {
      next = std::min(next, *rest);
      continue;
    }
    if (rest && forgotten++ == kKeysPerTurn) co_return Duration(0);
    if (rest) {
      const Status done = co_await forget_bucket(place);
      if (!done) say(place, done.error());
    }
    if (place.first != what) continue;
    std::lock_guard lock(mutex_);
    const auto found = lines_.find(place);
    if (found == lines_.end() || !is_idle(found->second)) continue;
    const auto& bucket = found->second.bucket;
    if (!bucket || !bucket->is_ours) lines_.erase(found);
  }
  co_return next;
}

// False: somebody came meanwhile.
bool Throttle::end_all(For what) {
  std::lock_guard lock(mutex_);
  const auto is_of = [&](const auto& entry) { return entry.first.first == what; };
  for (const auto& entry : lines_) {
    if (is_of(entry) && !is_idle(entry.second)) return false;
  }
  std::erase_if(lines_, is_of);
  lines_.erase(Place{type_of(what), {}});
  return true;
}

}  // namespace semper::internal
