#include "server/serve/throttle.h"

#include <algorithm>

#include "semper/base/internal/mutant.h"
#include "semper/base/log.h"
#include "server/format/orders.h"
#include "server/serve/letters.h"
#include "server/serve/waiting.h"

namespace semper::internal {
namespace {

// While more than one token is wanted, they are waited for together, for so long at most.
constexpr Duration kTokenPace = std::chrono::milliseconds(10);
// Who was called for a place, and waits for a token now, or has one and runs.
constexpr Duration kPlaceKept = std::chrono::seconds(5);
// Notes written in one round.
constexpr std::size_t kNotesPerRound = 64;
constexpr std::size_t kNotedMaximum = 65'536;

bool has_locks(const Behaviour& behaviour) {
  const auto messages = behaviour.messages();
  return std::any_of(messages.begin(), messages.end(),
                     [](const auto& info) { return info.locked; });
}

}  // namespace

Throttle::Throttle(std::shared_ptr<HostCore> core, std::shared_ptr<Behaviour> behaviour,
                   Count& limited)
    : core_(std::move(core)),
      behaviour_(std::move(behaviour)),
      type_(behaviour_->type()),
      rules_(behaviour_->limit_rules()),
      has_locks_(has_locks(*behaviour_)),
      limited_(limited) {}

std::string Throttle::key_of(const EntityId& id) const {
  try {
    return limit_key_in_store(behaviour_->limit_key(id));
  } catch (...) {
    // Together with all others of which it fails.
    if (said_.exchange(true)) return {};
    log_error(
        "server",
        exception_error("limit_key of " + id.to_string(), std::current_exception()).to_string());
    return {};
  }
}

LimitKeys Throttle::keys_of(const std::string& key) const {
  return LimitKeys(core().tenant.prefix(), type_, key);
}

LimitKeys Throttle::keys_of(const EntityId& id) const {
  return keys_of(key_of(id));
}

Tokens Throttle::collect(const EntityId& id, std::uint64_t most) {
  const Place place{For::rate, key_of(id)};
  const MonotonicTime now = core().clock().now();
  std::lock_guard lock(mutex_);
  const auto found = lines_.find(place);
  if (found == lines_.end()) return {};
  Line& line = found->second;
  const auto mine = line.called.find(id.id);
  Tokens tokens;
  if (mine != line.called.end()) {
    tokens = mine->second;
    line.called.erase(mine);
  } else if (line.waiting.empty()) {
    tokens = std::exchange(line.left_over, Tokens());
  }
  if (tokens.count == 0 || now >= tokens.until) return {};
  if (tokens.count > most) {
    keep(line, {tokens.count - most, tokens.until});
    tokens.count = most;
  }
  return tokens;
}

void Throttle::keep(Line& line, const Tokens& tokens) {
  if (tokens.count == 0) return;
  Tokens& all = line.left_over;
  all.until = all.count == 0 ? tokens.until : std::min(all.until, tokens.until);
  all.count += tokens.count;
}

void Throttle::give_back(const EntityId& id, const Tokens& tokens) {
  if (tokens.count == 0 || core().clock().now() >= tokens.until) return;
  const Place place{For::rate, key_of(id)};
  std::optional<OneShot<std::monostate>> news;
  {
    std::lock_guard lock(mutex_);
    const auto found = lines_.find(place);
    if (found == lines_.end()) return;
    keep(found->second, tokens);
    if (!found->second.waiting.empty()) news = found->second.news;
  }
  if (news) news->set({});
}

bool Throttle::is_next(const EntityId& id) {
  const Place place{For::place, key_of(id)};
  std::lock_guard lock(mutex_);
  const auto found = lines_.find(place);
  return found == lines_.end() || found->second.waiting.empty() ||
         found->second.called.count(id.id) > 0;
}

void Throttle::came(const EntityId& id) {
  const Place place{For::place, key_of(id)};
  std::lock_guard lock(mutex_);
  const auto found = lines_.find(place);
  if (found != lines_.end()) found->second.called.erase(id.id);
}

bool Throttle::wait(const EntityId& id, For what, std::uint64_t wanted) {
  Place place{what, key_of(id)};
  bool begins = false;
  std::optional<OneShot<std::monostate>> news;
  {
    std::lock_guard lock(mutex_);
    if (waiting_.count(id.id) > 0) return true;
    const bool is_new = lines_.count(place) == 0;
    if ((is_new && lines_.size() >= kThrottledKeys) || waiting_.size() >= kThrottledEntities) {
      return false;
    }
    Line& line = lines_[place];
    if (line.waiting.size() >= kThrottledOfOneKey) return false;
    Waiter waiter;
    waiter.id = id.id;
    waiter.wanted = std::max<std::uint64_t>(wanted, 1);
    waiter.since = core().clock().now();
    waiter.since_ms = in_milliseconds(core().clock().wall_time());
    const bool was_empty = line.waiting.empty();
    // One that was called for a place, and found that another host had been quicker, is the next.
    const bool was_called = what == For::place && line.called.erase(id.id) > 0;
    if (was_called || SEMPER_MUTANT("server_throttle_serves_the_last_first")) {
      line.waiting.push_front(std::move(waiter));
    } else {
      line.waiting.push_back(std::move(waiter));
    }
    waiting_.emplace(id.id, what);
    begins = !std::exchange(line.is_tended, true);
    if (!begins && (was_empty || what == For::place)) news = line.news;
  }
  limited_.add();
  if (news) news->set({});
  if (begins) {
    core().home.spawn([self = shared_from_this(), place] { return tend(self, place); });
  }
  return true;
}

Duration Throttle::until_look(const EntityId& id) {
  {
    std::lock_guard lock(mutex_);
    if (waiting_.count(id.id) > 0) return kSafetyInterval;
  }
  // One that is locked wants no token, but somebody who waits for its holder.
  if (!rules_.has_rate() || has_locks_) return Duration(0);
  const Place place{For::rate, key_of(id)};
  {
    const MonotonicTime now = core().clock().now();
    std::lock_guard lock(mutex_);
    const auto found = lines_.find(place);
    if (found != lines_.end()) {
      const Line& line = found->second;
      const auto mine = line.called.find(id.id);
      if (mine != line.called.end() && now < mine->second.until) return Duration(0);
      const bool has_some = line.left_over.count > 0 && now < line.left_over.until;
      if (line.waiting.empty() && has_some) return Duration(0);
    }
  }
  return wait(id, For::rate, 1) ? kSafetyInterval : kThrottledLook;
}

bool Throttle::is_noted(const std::string& id) {
  std::lock_guard lock(mutex_);
  return !noted_.empty() && noted_.count(id) > 0;
}

void Throttle::forget_note(const std::string& id) {
  std::lock_guard lock(mutex_);
  noted_.erase(id);
}

// Its parameters: before the gate is left.
Task<void> Throttle::tend(std::shared_ptr<Throttle> self, Place place) {
  HostCore& core = self->core();
  auto inside = core.gate.enter();
  if (!inside) co_return;
  const Gate::Holder until_the_end = std::move(*inside);
  while (!core.stopping.stop_requested()) {
    Asked asked = self->ask(place);
    if (asked.waiting == 0) {
      const auto rest =
          asked.is_owed ? std::optional<Duration>(kTokensLast) : self->until_full(place);
      if (rest && *rest > Duration(0)) {
        co_await wait_for_news(core, nullptr, asked.news, *rest);
        continue;
      }
      if (rest) {
        const Status forgotten = co_await self->forget_bucket(place);
        if (!forgotten) self->say(place, forgotten.error());
      }
      if (self->end(place)) co_return;
      continue;
    }
    Result<Turn> turn = fail(ErrorKind::internal, "");
    if (place.first == For::rate) {
      turn = co_await self->look_at_bucket(place, asked.wanted);
    } else {
      turn = co_await self->look_at_places(place);
    }
    if (!turn) {
      self->say(place, turn.error());
      OneShot<std::monostate> nothing_else;
      co_await wait_for_news(core, nullptr, nothing_else, kThrottledLook);
      continue;
    }
    self->call_some(place, *turn);
    const Duration until_note = co_await self->note_waiting(place);
    const Duration next = std::min(turn->next, until_note);
    if (next > Duration(0)) {
      co_await wait_for_news(core, std::move(turn->watch), asked.news, next);
    } else {
      co_await asio::post(asio::use_awaitable);
    }
  }
}

void Throttle::say(const Place& place, const Error& error) {
  core().trouble.failed(core().clock().now(),
                        "looking whether a limit of type " + type_ + " allows more work" +
                            (place.second.empty() ? "" : " (" + place.second + ")"),
                        error);
}

Throttle::Asked Throttle::ask(const Place& place) {
  const MonotonicTime now = core().clock().now();
  Asked asked;
  std::lock_guard lock(mutex_);
  Line& line = lines_[place];
  const bool is_place = place.first == For::place;
  std::erase_if(line.called, [&](const auto& one) {
    return now >= one.second.until && !(is_place && waiting_.count(one.first) > 0);
  });
  if (now >= line.left_over.until) line.left_over = {};
  line.news = OneShot<std::monostate>();
  asked.news = line.news;
  asked.waiting = line.waiting.size();
  for (const auto& waiter : line.waiting) asked.wanted += waiter.wanted;
  asked.wanted -= std::min(asked.wanted, line.left_over.count);
  asked.is_owed = !line.called.empty() || line.left_over.count > 0;
  return asked;
}

std::uint64_t Throttle::parts_now(const SeenBucket& seen, MonotonicTime now) const {
  const std::uint64_t most = rules_.rate.burst * kTokenParts;
  const auto elapsed = static_cast<double>((now - seen.as_of).count());
  const auto per = static_cast<double>(rules_.rate.per.count());
  const double gained = elapsed * rules_.rate.messages / per * static_cast<double>(kTokenParts);
  const auto room = static_cast<double>(most - std::min(most, seen.row.parts));
  if (gained >= room) return most;
  return seen.row.parts + static_cast<std::uint64_t>(std::max(gained, 0.0));
}

Duration Throttle::time_for(std::uint64_t parts) const {
  const auto per = static_cast<double>(rules_.rate.per.count());
  const double ns =
      per * static_cast<double>(parts) / static_cast<double>(kTokenParts) / rules_.rate.messages;
  return Duration(static_cast<std::int64_t>(ns) + 1);
}

Async<Throttle::Turn> Throttle::look_at_bucket(const Place& place, std::uint64_t wanted) {
  const LimitKeys keys = keys_of(place.second);
  const std::uint64_t most = rules_.rate.burst * kTokenParts;
  std::optional<SeenBucket> known;
  {
    std::lock_guard lock(mutex_);
    known = lines_[place].bucket;
  }
  Turn turn;
  SeenBucket seen;
  bool is_others = false;
  const auto take = [&](Transaction& transaction) -> Async<void> {
    turn = {};
    turn.until = core().clock().after(kTokensLast);
    if (SEMPER_MUTANT("server_tokens_last_for_ever")) turn.until = kNever;
    SEMPER_CO_TRY(const auto raw, co_await transaction.get(keys.bucket()));
    const MonotonicTime now = core().clock().now();
    Result<RateBucket> row = RateBucket();
    if (raw) row = RateBucket::decode(*raw);
    const bool is_known = raw && row && known && known->row.number == row->number;
    is_others = known && !is_known;
    std::uint64_t parts = most;
    if (is_known) {
      seen = *known;
      parts = parts_now(seen, now);
    } else {
      // A damaged one is empty, and written anew.
      if (raw) parts = row ? std::min(row->parts, most) : 0;
      seen = {{parts, raw && row ? row->number : 0}, now, false, false};
      if (SEMPER_MUTANT("server_bucket_is_full_for_who_comes")) parts = most;
    }
    turn.free = std::min(wanted, parts / kTokenParts);
    if (turn.free == 0) {
      SEMPER_CO_TRY(turn.watch, co_await transaction.watch(keys.bucket()));
      co_return Status{};
    }
    seen = {{parts - turn.free * kTokenParts, core().env().random->next()}, now, true, false};
    if (!SEMPER_MUTANT("server_tokens_counted_in_memory")) {
      transaction.set(keys.bucket(), seen.row.encode());
    }
    co_return Status{};
  };
  SEMPER_CO_TRY_STATUS(co_await core().store().transact(take));
  seen.is_contended = is_others || (known && known->is_contended && turn.free == 0);
  {
    std::lock_guard lock(mutex_);
    lines_[place].bucket = seen;
  }
  const std::uint64_t missing = wanted - turn.free;
  // Who shares the key with other hosts sees by its watch when they take some.
  if (missing == 0 || (turn.free > 0 && seen.is_contended)) co_return std::move(turn);
  const std::uint64_t parts = parts_now(seen, core().clock().now());
  const auto time_until = [&](std::uint64_t tokens) {
    const std::uint64_t needed = std::min(tokens * kTokenParts, most);
    return needed > parts ? time_for(needed - parts) : Duration(0);
  };
  turn.next = std::max(time_until(1), std::min(time_until(missing), kTokenPace));
  if (seen.is_contended) {
    // Else the one who was the first once is so again each time.
    const auto spread = static_cast<std::uint64_t>((turn.next / 4 + kTokenPace / 2).count());
    turn.next += Duration(static_cast<std::int64_t>(core().env().random->below(spread)));
  }
  co_return std::move(turn);
}

Async<Throttle::Turn> Throttle::look_at_places(const Place& place) {
  const LimitKeys keys = keys_of(place.second);
  const BytesView prefix = core().tenant.prefix();
  const auto room = static_cast<std::size_t>(rules_.running);
  const MonotonicTime now = core().clock().now();
  bool verifies = false;
  {
    std::lock_guard lock(mutex_);
    Line& line = lines_[place];
    verifies = now >= line.verified + kThrottledLook;
    if (verifies) line.verified = now;
  }
  Turn turn;
  turn.next = kThrottledLook;
  Transaction transaction = core().store().begin();
  SEMPER_CO_TRY(turn.watch, co_await transaction.watch(keys.freed()));
  SEMPER_CO_TRY(const auto ids, co_await read_places(transaction, prefix, keys, kPlacesMaximum,
                                                     ReadMode::snapshot));
  SEMPER_CO_TRY_STATUS(co_await call_holders(transaction, place, ids));
  std::size_t taken = ids.size();
  // Who comes takes those away that were left behind.
  for (std::size_t i = 0; verifies && i < ids.size() && taken >= room; ++i) {
    if (SEMPER_MUTANT("server_places_left_behind_stay")) break;
    const EntityId other{type_, ids[i]};
    SEMPER_CO_TRY(const bool holds, co_await holds_place(transaction, prefix, other));
    if (!holds) --taken;
  }
  turn.free = taken < room ? room - taken : 0;
  turn.until = core().clock().after(rules_.has_rate() ? kPlaceKept : kTokensLast);
  co_return std::move(turn);
}

// Who waits here for a place, and has one by now, by another host: that may be gone, and somebody
// has to look after its lock.
Async<void> Throttle::call_holders(Transaction& transaction, const Place& place,
                                   const std::vector<std::string>& ids) {
  std::vector<std::string> waiting;
  {
    std::lock_guard lock(mutex_);
    for (const auto& id : ids) {
      const auto found = waiting_.find(id);
      if (found != waiting_.end() && found->second == For::place) waiting.push_back(id);
    }
  }
  for (const auto& id : waiting) {
    const EntityId holder{type_, id};
    SEMPER_CO_TRY(const bool holds,
                  co_await holds_place(transaction, core().tenant.prefix(), holder));
    if (!holds || SEMPER_MUTANT("server_holder_of_a_place_waits_for_one")) continue;
    {
      std::lock_guard lock(mutex_);
      std::erase_if(lines_[place].waiting, [&](const Waiter& one) { return one.id == id; });
      waiting_.erase(id);
    }
    call_(id);
  }
  co_return Status{};
}

void Throttle::call_some(const Place& place, const Turn& turn) {
  std::vector<std::string> called;
  {
    std::lock_guard lock(mutex_);
    Line& line = lines_[place];
    const bool is_rate = place.first == For::rate;
    Tokens free{turn.free, turn.until};
    if (is_rate) {
      keep(line, free);
      free = std::exchange(line.left_over, Tokens());
    } else {
      free.count -= std::min<std::uint64_t>(free.count, line.called.size());
    }
    const std::size_t waiting = std::max<std::size_t>(line.waiting.size(), 1);
    const std::uint64_t share = std::max<std::uint64_t>(free.count / waiting, 1);
    while (free.count > 0 && !line.waiting.empty()) {
      const Waiter waiter = std::move(line.waiting.front());
      line.waiting.pop_front();
      const std::uint64_t given = is_rate ? std::min({free.count, share, waiter.wanted}) : 1;
      free.count -= given;
      line.called[waiter.id] = {given, free.until};
      waiting_.erase(waiter.id);
      if (noted_.size() >= kNotedMaximum) noted_.clear();
      if (waiter.noted) noted_.insert(waiter.id);
      called.push_back(waiter.id);
    }
    if (is_rate) keep(line, free);
  }
  for (const auto& id : called) call_(id);
}

// What has waited for long says so in the store. Until that is to be done again.
Task<Duration> Throttle::note_waiting(const Place& place) {
  const MonotonicTime now = core().clock().now();
  std::vector<std::pair<std::string, std::int64_t>> to_note;
  Duration until_next = kForever;
  {
    std::lock_guard lock(mutex_);
    for (auto& waiter : lines_[place].waiting) {
      if (waiter.noted) continue;
      const Duration left = waiter.since + kThrottledNoted - now;
      if (left > Duration(0) || to_note.size() >= kNotesPerRound) {
        until_next = std::min(until_next, std::max(left, Duration(kTokenPace)));
        continue;
      }
      waiter.noted = true;
      to_note.emplace_back(waiter.id, waiter.since_ms);
    }
  }
  for (const auto& [id, since_ms] : to_note) {
    const EntityId entity{type_, id};
    const EntityKeys keys(core().tenant.prefix(), entity);
    LimitNote note{place.first == For::rate, place.second, since_ms, 0};
    const auto write = [&](Transaction& transaction) -> Async<void> {
      // Not of one that was killed, or has nothing to do, by now.
      SEMPER_CO_TRY(const auto entry, co_await transaction.get(keys.index()));
      if (!entry) co_return Status{};
      SEMPER_CO_TRY(const auto standing,
                    co_await read_standing(transaction, keys, ReadMode::snapshot));
      note.popped = standing.header.popped;
      transaction.set(keys.limit_note(), note.encode());
      co_return Status{};
    };
    const Status noted = co_await core().store().transact(write);
    if (!noted) say(place, noted.error());
  }
  co_return until_next;
}

std::optional<Duration> Throttle::until_full(const Place& place) {
  std::lock_guard lock(mutex_);
  const auto& bucket = lines_[place].bucket;
  if (!bucket || !bucket->is_ours) return std::nullopt;
  const std::uint64_t parts = parts_now(*bucket, core().clock().now());
  const std::uint64_t most = rules_.rate.burst * kTokenParts;
  return parts < most ? time_for(most - parts) : Duration(0);
}

// It is full, as one that is not there.
Async<void> Throttle::forget_bucket(const Place& place) {
  const LimitKeys keys = keys_of(place.second);
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

// False: somebody came meanwhile.
bool Throttle::end(const Place& place) {
  std::lock_guard lock(mutex_);
  const auto found = lines_.find(place);
  if (found == lines_.end()) return true;
  if (!found->second.waiting.empty()) return false;
  lines_.erase(found);
  return true;
}

}  // namespace semper::internal
