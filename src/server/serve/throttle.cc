#include "server/serve/throttle.h"

#include <algorithm>

#include "semper/base/internal/mutant.h"
#include "semper/base/log.h"
#include "server/format/orders.h"
#include "server/serve/letters.h"
#include "server/serve/waiting.h"

namespace semper::internal {
namespace {

// Entities that were called to refuse something, and have not come yet.
constexpr std::size_t kRefusedMaximum = 65'536;
constexpr std::size_t kNotedMaximum = 65'536;

std::string span_text(Duration span) {
  const auto milliseconds = std::chrono::duration_cast<std::chrono::milliseconds>(span).count();
  if (milliseconds % 1'000 != 0) return std::to_string(milliseconds) + " ms";
  return std::to_string(milliseconds / 1'000) + " s";
}

bool has_locks(const Behaviour& behaviour) {
  const auto messages = behaviour.messages();
  return std::any_of(messages.begin(), messages.end(),
                     [](const auto& info) { return info.locked; });
}

}  // namespace

Throttle::Throttle(std::shared_ptr<HostCore> core, std::shared_ptr<Behaviour> behaviour,
                   Count& limited, WaitingHeads& heads)
    : core_(std::move(core)),
      behaviour_(std::move(behaviour)),
      type_(behaviour_->type()),
      rules_(behaviour_->limit_rules()),
      has_locks_(has_locks(*behaviour_)),
      limited_(limited),
      heads_(heads) {}

std::string Throttle::key_of(const EntityId& id) const {
  try {
    return limit_key_in_store(behaviour_->limit_key(id));
  } catch (...) {
    // Together with all others of which it fails.
    say_once("limit_key of " + id.to_string());
    return {};
  }
}

// In a catch.
void Throttle::say_once(const std::string& what) const {
  if (said_.exchange(true)) return;
  log_error("server", exception_error(what, std::current_exception()).to_string());
}

LimitKeys Throttle::keys_of(const Place& place) const {
  const BytesView prefix = core().tenant.prefix();
  const bool is_key = place.first == For::rate || place.first == For::place;
  return is_key ? LimitKeys(prefix, type_, place.second) : LimitKeys::of_type(prefix, type_);
}

const RateLimit& Throttle::rate_of(const Place& place) const {
  return place.first == For::type_rate ? rules_.type_rate : rules_.rate;
}

bool Throttle::is_together(For what) const {
  return what == For::rate ? rules_.has_type_rate() : rules_.has_type_places();
}

Async<bool> Throttle::take_place(Transaction& transaction, const Target& target) const {
  if (rules_.running > 0) {
    const LimitKeys keys = keys_of(Place{For::place, key_of(target.id)});
    SEMPER_CO_TRY(const bool is_taken,
                  co_await internal::take_place(transaction, target, keys, rules_.running));
    if (!is_taken) co_return false;
  }
  if (!rules_.has_type_places()) co_return true;
  if (SEMPER_MUTANT("server_type_places_without_end")) co_return true;
  const LimitKeys keys = keys_of(Place{For::type_place, {}});
  co_return co_await internal::take_place(transaction, target, keys, rules_.type_running);
}

void Throttle::free_place(Transaction& transaction, const Target& target) const {
  if (rules_.running > 0) {
    internal::free_place(transaction, target, keys_of(Place{For::place, key_of(target.id)}));
  }
  if (rules_.has_type_places()) {
    internal::free_place(transaction, target, keys_of(Place{For::type_place, {}}));
  }
}

Throttle::Refusal Throttle::collect_refusal(const EntityId& id) {
  const MonotonicTime now = core().clock().now();
  std::lock_guard lock(mutex_);
  const auto mine = refused_.find(id.id);
  if (mine == refused_.end()) return {};
  const Refusal refusal = mine->second;
  refused_.erase(mine);
  return now < refusal.until ? refusal : Refusal();
}

Error Throttle::over_limit(const EntityId& id, For what) const {
  std::string words;
  const auto add = [&](const std::string& one) { words += (words.empty() ? "" : ", ") + one; };
  const auto add_rate = [&](const char* name, const RateLimit& rate) {
    add(std::to_string(rate.messages) + " messages in " + span_text(rate.per) + " (" + name + ")");
  };
  Limit limit{"kRateLimit", rules_.rate.messages};
  if (what == For::rate) {
    if (rules_.rate.messages > 0) add_rate("kRateLimit", rules_.rate);
    if (rules_.has_type_rate()) add_rate("kTypeRateLimit", rules_.type_rate);
    if (rules_.rate.messages == 0) limit = {"kTypeRateLimit", rules_.type_rate.messages};
  } else {
    if (rules_.running > 0) add(std::to_string(rules_.running) + " at a time (kConcurrencyLimit)");
    if (rules_.has_type_places()) {
      add(std::to_string(rules_.type_running) + " at a time (kTypeConcurrencyLimit)");
    }
    limit = {"kConcurrencyLimit", static_cast<std::uint64_t>(rules_.running)};
    if (rules_.running == 0) {
      limit = {"kTypeConcurrencyLimit", static_cast<std::uint64_t>(rules_.type_running)};
    }
  }
  const std::string of = rules_.by_key ? ", limit key \"" + key_of(id) + "\"" : "";
  return Error(ErrorKind::retry, limit,
               "over the limit of type " + type_ + of + ": " + words + "; send it again later");
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
    if (!found->second.waiting.empty()) {
      news = is_together(For::rate) ? lines_[Place{For::type_rate, {}}].news : found->second.news;
    }
  }
  if (news) news->set({});
}

bool Throttle::is_next(const EntityId& id) {
  const Place place{For::place, key_of(id)};
  std::lock_guard lock(mutex_);
  const auto found = lines_.find(place);
  if (found != lines_.end() && found->second.called.count(id.id) > 0) return true;
  if (is_together(For::place)) return waiting_for_places_ == 0;
  return found == lines_.end() || found->second.waiting.empty();
}

void Throttle::came(const EntityId& id) {
  const Place place{For::place, key_of(id)};
  std::lock_guard lock(mutex_);
  const auto found = lines_.find(place);
  if (found != lines_.end()) found->second.called.erase(id.id);
}

bool Throttle::wait(const EntityId& id, For what, std::uint64_t wanted, Begun begun) {
  Place place{what, key_of(id)};
  const bool together = is_together(what);
  std::uint64_t step = kStride;
  if (together) {
    try {
      const int weight = behaviour_->limit_weight(place.second);
      step /= static_cast<std::uint64_t>(std::clamp(weight, 1, kLimitWeightMaximum));
    } catch (...) {
      // As one of the weight 1.
      say_once("limit_weight of \"" + place.second + "\"");
    }
  }
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
    waiter.has_begun = begun == Begun::yes;
    waiter.looked = waiter.since;
    const bool was_empty = line.waiting.empty();
    // Who tends it.
    Line& tended = together ? lines_[Place{type_of(what), {}}] : line;
    // One that did nothing for a while has no claim to what others got meanwhile.
    if (together && was_empty) line.mark = std::max(line.mark, tended.mark);
    line.step = step;
    // One that was called for a place, and found that another host had been quicker, is the next.
    const bool was_called = what == For::place && line.called.erase(id.id) > 0;
    waiter.has_lost = was_called;
    if (was_called || SEMPER_MUTANT("server_throttle_serves_the_last_first")) {
      line.waiting.push_front(std::move(waiter));
    } else {
      line.waiting.push_back(std::move(waiter));
    }
    waiting_.emplace(id.id, what);
    if (what == For::place) ++waiting_for_places_;
    begins = !std::exchange(tended.is_tended, true);
    if (!begins && (was_empty || what == For::place)) news = tended.news;
  }
  limited_.add();
  if (news) news->set({});
  if (begins) {
    core().home.spawn([self = shared_from_this(), place, together] {
      return together ? tend_all(self, place.first) : tend(self, place);
    });
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
    std::size_t room = kNotesPerRound;
    const Duration until_note = co_await self->note_waiting(place, room);
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

void Throttle::ask_line(Line& line, bool is_place, MonotonicTime now, Asked& asked) {
  std::erase_if(line.called, [&](const auto& one) {
    return now >= one.second.until && !(is_place && waiting_.count(one.first) > 0);
  });
  if (now >= line.left_over.until) line.left_over = {};
  asked.waiting += line.waiting.size();
  std::uint64_t wanted = 0;
  for (const auto& waiter : line.waiting) wanted += waiter.wanted;
  asked.wanted += wanted - std::min(wanted, line.left_over.count);
  if (!line.called.empty() || line.left_over.count > 0) asked.is_owed = true;
}

Throttle::Asked Throttle::ask(const Place& place) {
  const MonotonicTime now = core().clock().now();
  Asked asked;
  std::lock_guard lock(mutex_);
  Line& line = lines_[place];
  line.news = OneShot<std::monostate>();
  asked.news = line.news;
  ask_line(line, place.first == For::place, now, asked);
  return asked;
}

Async<Throttle::Turn> Throttle::look_at_places(const Place& place) {
  const LimitKeys keys = keys_of(place);
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
  SEMPER_CO_TRY_STATUS(co_await call_holders(transaction, ids));
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
Async<void> Throttle::call_holders(Transaction& transaction, const std::vector<std::string>& ids) {
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
    const Place place{For::place, key_of(holder)};
    {
      std::lock_guard lock(mutex_);
      std::erase_if(lines_[place].waiting, [&](const Waiter& one) { return one.id == id; });
      leave(id);
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
      leave(waiter.id);
      if (noted_.size() >= kNotedMaximum) noted_.clear();
      if (waiter.noted) noted_.insert(waiter.id);
      called.push_back(waiter.id);
    }
    if (is_rate) keep(line, free);
    if (rules_.over == OverLimit::refuse) refuse_rest(line, place.first, called);
  }
  for (const auto& id : called) call_(id);
}

// There is nothing for them now: what they have to do is refused when they are called.
void Throttle::refuse_rest(Line& line, For what, std::vector<std::string>& called) {
  if (SEMPER_MUTANT("server_what_is_over_waits_all_the_same")) return;
  if (refused_.size() >= kRefusedMaximum) refused_.clear();
  const MonotonicTime until = core().clock().after(kTokensLast);
  std::deque<Waiter> staying;
  for (auto& waiter : line.waiting) {
    if (waiter.has_begun) {
      staying.push_back(std::move(waiter));
      continue;
    }
    const std::uint64_t count = what == For::rate ? waiter.wanted : 1;
    refused_[waiter.id] = {count, what, until};
    leave(waiter.id);
    called.push_back(waiter.id);
  }
  line.waiting = std::move(staying);
}

void Throttle::leave(const std::string& id) {
  const auto found = waiting_.find(id);
  if (found == waiting_.end()) return;
  if (found->second == For::place) --waiting_for_places_;
  waiting_.erase(found);
}

// What has waited for long says so in the store. Until that is to be done again.
Task<Duration> Throttle::note_waiting(const Place& place, std::size_t& room) {
  const MonotonicTime now = core().clock().now();
  std::vector<std::pair<std::string, std::int64_t>> to_note;
  Duration until_next = kForever;
  {
    std::lock_guard lock(mutex_);
    for (auto& waiter : lines_[place].waiting) {
      if (waiter.noted) continue;
      const Duration left = waiter.since + kThrottledNoted - now;
      if (left > Duration(0) || to_note.size() >= room) {
        until_next = std::min(until_next, std::max(left, Duration(kTokenPace)));
        continue;
      }
      waiter.noted = true;
      to_note.emplace_back(waiter.id, waiter.since_ms);
    }
  }
  room -= to_note.size();
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
  const Status looked = co_await look_at_queues(place, room);
  if (!looked) say(place, looked.error());
  co_return std::min(until_next, kThrottledQueueLook);
}

Async<void> Throttle::look_at_queues(const Place& place, std::size_t& room) {
  const MonotonicTime now = core().clock().now();
  std::vector<std::string> ids;
  {
    std::lock_guard lock(mutex_);
    for (auto& waiter : lines_[place].waiting) {
      if (ids.size() == room) break;
      if (now - waiter.looked < kThrottledQueueLook) continue;
      waiter.looked = now;
      ids.push_back(waiter.id);
    }
    room -= ids.size();
  }
  if (ids.empty()) co_return Status{};
  Transaction transaction = core().store().begin();
  const RangeOptions first{.limit = 1, .mode = ReadMode::snapshot};
  for (const auto& id : ids) {
    const EntityId entity{type_, id};
    const EntityKeys keys(core().tenant.prefix(), entity);
    SEMPER_CO_TRY(const auto page, co_await transaction.get_range(keys.queue(), first));
    if (!page.rows.empty()) {
      const auto stamp = EntityKeys::stamp_in(page.rows.front().key);
      if (stamp) heads_.look(id, stamp->version(), now);
      continue;
    }
    heads_.gone(id);
    std::lock_guard lock(mutex_);
    std::erase_if(lines_[place].waiting, [&](const Waiter& one) { return one.id == id; });
    leave(id);
  }
  co_return Status{};
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
