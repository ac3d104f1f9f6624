// The calls: how items get into the encoder. The drain is in producer_drain.cc.
#include "ring/producer_core.h"

#include <algorithm>
#include <utility>

#include "semper/base/assert.h"
#include "semper/base/internal/mutant.h"
#include "semper/env/cancellation.h"

namespace semper::ring::internal {
namespace {
// Two buffers, one gathering and one under way, are half of the memory.
constexpr std::size_t kBufferShare = 4;

// Of a call whose items find the buffer full; then it waits in turn.
constexpr int kAttemptsAtOnce = 4;

// Who waits for room looks so often.
Duration room_patience(const AttachOptions& options) {
  return std::max(kCallerPatience, 3 * options.poll.maximum);
}

Status without_value(const Result<bool>& result) {
  if (!result) return fail(result.error());
  return {};
}
}  // namespace

ProducerCore::ProducerCore(Attachment attachment)
    : attachment_(std::move(attachment)),
      buffer_bytes_(attachment_.options.memory_bytes / kBufferShare),
      desk_(attachment_.options.max_waiting),
      room_turn_(attachment_.options.max_waiting, room_patience(attachment_.options)),
      encoder_(attachment_.format->encoder(attachment_.own.position, attachment_.own.epoch,
                                           buffer_bytes_)),
      consumed_(attachment_.other.position),
      exposed_(attachment_.own.position),
      shown_exposed_(exposed_),
      durable_end_(exposed_),
      unexposed_(attachment_.recovered.pushed.begin(), attachment_.recovered.pushed.end()),
      kept_(!unexposed_.empty()),
      suspended_(attachment_.own.flag),
      durable_known_(exposed_) {
  if (attachment_.own.flag == attachment_.other.flag) {
    consumer_flags_seen_ = attachment_.flags_seen;
  }
  attachment_.share_position(kExposedWord, exposed_);
}

// Without the lock, which a thread of the parent may have held where this is a forked child.
Position ProducerCore::exposed() const {
  return Position::from_offset(shown_exposed_.load());
}

Status ProducerCore::health() const {
  std::lock_guard lock(mutex_);
  return dead_ ? Status(fail(*dead_)) : Status();
}

bool ProducerCore::has_died_of_what_passes() const {
  std::lock_guard lock(mutex_);
  return dead_ && died_of_what_passes_;
}

void ProducerCore::check() const {
  assert_positions(format().geometry(), consumed_, exposed_, durable_end_);
  if (unexposed_.empty()) return;
  SEMPER_ASSERT(unexposed_.front() > exposed_, "what is exposed is no longer to be exposed");
  SEMPER_ASSERT(kept_ || unexposed_.back() <= durable_end_, "what is pushed is durable");
}

Status ProducerCore::check_usable() const {
  if (leaving_) return fail(ErrorKind::closed, "the producer is detached");
  if (dead_) return fail(*dead_);
  return {};
}

Async<Position> ProducerCore::submit(ItemList items, Exposure exposure, MonotonicTime deadline,
                                     MonotonicTime patience) {
  if (items.size() == 0) co_return exposed();
  Clock& clock = attachment_.clock();
  const bool may_wait = deadline != kNoWait;
  std::optional<Turn::Holder> room_turn;
  if (may_wait) {
    auto taken = co_await room_turn_.take(clock, deadline);
    if (!taken) co_return fail(taken.error());
    room_turn.emplace(std::move(*taken));
  }
  Backoff backoff(attachment_.options.poll, *attachment_.options.env.random);
  for (;;) {
    const std::uint64_t consumed_seen = attachment_.word(kConsumedWord);
    const std::uint64_t flags_seen = attachment_.word(kConsumerFlagsWord);
    auto placed = co_await place_somehow(items, exposure, may_wait, may_wait ? deadline : patience);
    if (placed) {
      room_turn.reset();
      SEMPER_CO_TRY(const Outcome outcome, co_await answer(placed->done));
      co_return Position::from_offset(outcome.position);
    }
    const ErrorKind kind = placed.error().kind();
    const bool suspended = kind == ErrorKind::suspended;
    if (!may_wait || (kind != ErrorKind::retry && !suspended)) co_return fail(placed.error());
    if (clock.now() >= deadline) {
      co_return fail(ErrorKind::timeout, "the deadline passed: " + placed.error().message());
    }
    struct Count {
      ProducerCore& core;
      explicit Count(ProducerCore& owner) : core(owner) {
        std::lock_guard lock(core.mutex_);
        ++core.waiting_for_room_;
        core.room_seen_ = core.attachment_.clock().now();
      }
      ~Count() {
        std::lock_guard lock(core.mutex_);
        --core.waiting_for_room_;
      }
    } count(*this);
    room_turn->beat();
    SEMPER_CO_TRY_STATUS(co_await attachment_.wait(suspended ? kConsumerFlagsWord : kConsumedWord,
                                                   suspended ? flags_seen : consumed_seen, backoff,
                                                   deadline));
    room_turn->beat();
  }
}

Async<ProducerCore::Outcome> ProducerCore::answer(OneShot<Outcome> done) {
  SEMPER_CO_TRY_STATUS(not_cancelled(co_await asio::this_coro::cancellation_state));
  SEMPER_CO_TRY(Outcome outcome, co_await done.wait());
  if (outcome.error) co_return fail(*outcome.error);
  co_return outcome;
}

Status ProducerCore::check_size(const ItemList& items, Encoder::Fit fit) const {
  const std::uint64_t capacity = format().geometry().capacity;
  if (encoder_->bytes_for(items) > capacity) {
    return fail(ErrorKind::invalid_argument,
                "the ring is too small: its " + std::to_string(capacity) +
                    " bytes can never hold " + std::to_string(encoder_->bytes_for(items)));
  }
  if (fit != Encoder::Fit::too_large) return {};
  return fail(ErrorKind::exhausted, Limit{"memory_bytes", 4 * buffer_bytes_},
              "the items of one call take " + std::to_string(encoder_->bytes_for(items)) +
                  " bytes, a quarter of memory_bytes is " + std::to_string(buffer_bytes_) +
                  "; raise it, or give fewer at once");
}

void ProducerCore::drop_kept() {
  if (!kept_) return;
  kept_ = false;
  unexposed_.clear();
  attachment_.own.epoch_start = exposed_;
  attachment_.share_epoch();
}

bool ProducerCore::must_look(bool may_wait) const {
  if (attachment_.word(kConsumerFlagsWord) != consumer_flags_seen_) return true;
  if (is_time_to_look()) return true;
  if (!may_wait || attachment_.companion != nullptr) return false;
  std::lock_guard lock(mutex_);
  return suspended_;
}

// Those whose loops run.
bool ProducerCore::others_wait_for_room() const {
  return waiting_for_room_ != 0 &&
         attachment_.clock().now() - room_seen_ < room_patience(attachment_.options);
}

Result<ProducerCore::Attempt> ProducerCore::put(const ItemList& items, Exposure exposure,
                                                bool may_wait, bool is_refreshed,
                                                const Executor& executor) {
  Attempt attempt;
  std::lock_guard lock(mutex_);
  SEMPER_TRY_STATUS(check_usable());
  const Encoder::Fit fit = encoder_->fit(items, exposure);
  SEMPER_TRY_STATUS(check_size(items, fit));
  if (suspended_) {
    return fail(ErrorKind::suspended, "the consumer asked the producer to pause");
  }
  const std::size_t waiters = gathering_.waiters.size();
  if (exposure == Exposure::push && unexposed_.size() + waiters >= kMaxUnexposedPushes) {
    return fail(ErrorKind::exhausted, Limit{"kMaxUnexposedPushes", kMaxUnexposedPushes},
                "more than " + std::to_string(kMaxUnexposedPushes) +
                    " pushes are not exposed; advance first");
  }
  if (!may_wait && others_wait_for_room()) {
    return fail(ErrorKind::retry, "others wait for room in the ring already");
  }
  attempt.has_room = encoder_->end_with(items, exposure) <= encoder_->limit(consumed_);
  if (!attempt.has_room) {
    if (!is_refreshed) return attempt;
    return fail(ErrorKind::retry, "there is no room in the ring until the consumer advances");
  }
  // Where an earlier producer's items are kept, an advance decides first where the stream goes on.
  const bool is_idle = gathering_.is_empty() && !round_under_way_;
  if (!is_idle && (kept_ || fit != Encoder::Fit::fits)) {
    if (!kept_ && fit == Encoder::Fit::buffer_full) {
      sealed_.emplace_back(attempt.sealed.emplace(), true);
    }
    changed_.push_back(attempt.round_ended.emplace());
    start_drain(executor);  // what has gathered may wait for a loop that nobody runs
    return attempt;
  }
  if (fit != Encoder::Fit::fits) {
    // Reading what lies where the items go must see what was written last.
    attempt.load = encoder_->bytes_for(items);
    return attempt;
  }
  drop_kept();
  Waiter waiter;
  waiter.exposure = exposure;
  if (on_exposed_ && exposure == Exposure::publish && items.size() == 1) {
    waiter.item.emplace(items[0]);
  }
  waiter.batch = encoder_->append(items, exposure);
  waiter.end = encoder_->appended_end();
  attempt.place = Place{waiter.done};
  gathering_.waiters.push_back(std::move(waiter));
  items_ += items.size();
  start_drain(executor);
  return attempt;
}

ProducerCore::AtOnce ProducerCore::place_at_once(const ItemList& items, Exposure exposure,
                                                 bool may_wait, const Executor& executor) {
  AtOnce answer;
  {
    const auto turn = desk_.turn.try_take(attachment_.clock());
    if (!turn || must_look(may_wait)) return answer;
    auto attempt = put(items, exposure, may_wait, false, executor);
    std::lock_guard lock(mutex_);
    if (!attempt) {
      answer.placed.emplace(fail(attempt.error()));
    } else if (attempt->place) {
      answer.placed.emplace(std::move(*attempt->place));
    } else {
      answer.sealed = std::move(attempt->sealed);
    }
  }
  if (answer.placed && *answer.placed) write_parts();
  return answer;
}

// A buffer that is full is waited for on the caller's loop, and the turn is anybody's meanwhile:
// for a while, after which others come behind, lest small items pass large ones for ever.
Async<ProducerCore::Place> ProducerCore::place_somehow(const ItemList& items, Exposure exposure,
                                                       bool may_wait, MonotonicTime deadline) {
  const auto executor = co_await asio::this_coro::executor;
  for (int attempt = 0; attempt < kAttemptsAtOnce; ++attempt) {
    AtOnce at_once = place_at_once(items, exposure, may_wait, executor);
    if (at_once.placed) co_return std::move(*at_once.placed);
    if (!at_once.sealed) break;
    SEMPER_CO_TRY_STATUS(not_cancelled(co_await asio::this_coro::cancellation_state));
    Clock& clock = attachment_.clock();
    const auto sealed = co_await at_once.sealed->wait_until(clock, patient(clock, deadline));
    if (sealed) continue;
    if (sealed.error().kind() != ErrorKind::timeout) co_return fail(sealed.error());
    break;  // says what that means
  }
  co_return co_await place_apart(items, exposure, may_wait, deadline);
}

Async<ProducerCore::Place> ProducerCore::place_apart(const ItemList& items, Exposure exposure,
                                                     bool may_wait, MonotonicTime deadline) {
  const auto request = std::make_shared<Request>();
  request->items = &items;
  request->exposure = exposure;
  request->may_wait = may_wait;
  // However this coroutine ends, also where it is destroyed: its items are gone then.
  struct Go {
    std::shared_ptr<Request> request;
    ~Go() {
      std::lock_guard lock(request->mutex);
      request->items = nullptr;
    }
  } const go{request};
  const std::function<Async<Place>()> work = [core = shared_from_this(), request] {
    return core->place(request);
  };
  if (SEMPER_MUTANT("ring_hung_device_keeps_calls_past_their_deadline")) deadline = kNever;
  Clock& clock = attachment_.clock();
  auto placed =
      co_await run_in_turn<Place>(desk_, clock, work, OnCancel::leave, patient(clock, deadline));
  if (placed || placed.error().kind() != ErrorKind::timeout) co_return placed;
  // At the last moment, perhaps: then it has to be said what becomes of them.
  std::lock_guard lock(request->mutex);
  if (request->placed) co_return Place{*request->placed};
  request->items = nullptr;
  co_return fail(ErrorKind::timeout,
                 std::string(format().device().name()) +
                     " did not say until the deadline whether there is room; nothing was written");
}

Async<ProducerCore::Place> ProducerCore::place(std::shared_ptr<Request> request) {
  if (must_look(request->may_wait)) SEMPER_CO_TRY_STATUS(co_await look_for_suspension());
  const auto executor = co_await asio::this_coro::executor;
  for (bool is_refreshed = false;;) {
    Result<Attempt> attempt = fail(ErrorKind::cancelled, "the operation was cancelled");
    {
      std::lock_guard lock(request->mutex);
      if (request->items != nullptr) {
        attempt =
            put(*request->items, request->exposure, request->may_wait, is_refreshed, executor);
        if (attempt && attempt->place) request->placed = attempt->place->done;
      }
    }
    if (!attempt) co_return fail(attempt.error());
    if (attempt->place) co_return std::move(*attempt->place);
    if (!attempt->has_room) {
      is_refreshed = true;
      SEMPER_CO_TRY_STATUS(co_await refresh_consumed());
    } else {
      SEMPER_CO_TRY_STATUS(co_await make_way(std::move(*attempt)));
    }
  }
}

Async<void> ProducerCore::make_way(Attempt attempt) {
  if (attempt.round_ended) co_return without_value(co_await attempt.round_ended->wait());
  co_return co_await encoder_->load_base(attempt.load);  // nobody else touches it: we hold the turn
}

Async<void> ProducerCore::refresh_consumed() {
  std::uint64_t known = 0;
  std::uint64_t exposed = 0;
  {
    std::lock_guard lock(mutex_);
    known = consumed_;
    exposed = exposed_;
  }
  const auto acceptable = [&](std::uint64_t position) {
    return position > known && position <= exposed;
  };
  auto position = attachment_.shared_position(kConsumedWord);
  if (position && acceptable(*position)) {
    if (attachment_.must_flush_for_other()) {
      SEMPER_CO_TRY_STATUS(co_await attachment_.format->device().flush());
    }
  } else {
    SEMPER_CO_TRY(const Pointer consumer,
                  co_await attachment_.format->read_pointer(Side::consumer));
    if (!acceptable(consumer.position)) co_return Result<void>();
    // It may be in a cache only, where no flush reaches it any more; what it frees must stay free.
    if (attachment_.options.flush == Flush::always && attachment_.format->records_publish()) {
      Round wanted;
      wanted.consumed = consumer.position;
      SEMPER_CO_TRY_STATUS(co_await request(wanted));
    } else if (attachment_.options.flush == Flush::always) {
      SEMPER_CO_TRY_STATUS(co_await attachment_.format->device().flush());
    }
    position = consumer.position;
  }
  std::lock_guard lock(mutex_);
  consumed_ = std::max(consumed_, *position);
  co_return Result<void>();
}

bool ProducerCore::is_time_to_look() const {
  return !attachment_.other_shares_memory.is_set() && attachment_.clock().now() >= next_look_;
}

Async<State> ProducerCore::look_for_suspension() {
  const std::uint64_t seen = attachment_.word(kConsumerFlagsWord);
  SEMPER_CO_TRY(const Pointer consumer, co_await attachment_.format->read_pointer(Side::consumer));
  attachment_.note_other(consumer);
  next_look_ = attachment_.clock().after(kCompanionPoll);
  bool acknowledged = false;
  {
    std::lock_guard lock(mutex_);
    acknowledged = suspended_;
  }
  if (consumer.flag != acknowledged && !SEMPER_MUTANT("ring_pause_not_acknowledged")) {
    Round wanted;
    wanted.flag = consumer.flag;
    SEMPER_CO_TRY_STATUS(co_await request(wanted));
  }
  consumer_flags_seen_ = seen;
  co_return consumer.flag ? State::suspended : State::running;
}

Async<State> ProducerCore::state() {
  const std::function<Async<State>()> work = [core = shared_from_this()]() -> Async<State> {
    return core->look();
  };
  co_return co_await run_in_turn<State>(desk_, attachment_.clock(), work, OnCancel::leave);
}

Async<State> ProducerCore::look() {
  {
    std::lock_guard lock(mutex_);
    SEMPER_CO_TRY_STATUS(check_usable());
  }
  co_return co_await look_for_suspension();
}

Async<ProducerCore::Outcome> ProducerCore::request(Round& wanted) {
  const auto executor = co_await asio::this_coro::executor;
  OneShot<Outcome> done;
  {
    std::lock_guard lock(mutex_);
    if (!wanted.leave) SEMPER_CO_TRY_STATUS(check_usable());
    if (dead_) co_return fail(*dead_);
    if (wanted.advance_to > exposed_ &&
        !std::binary_search(unexposed_.begin(), unexposed_.end(), wanted.advance_to)) {
      co_return fail(ErrorKind::invalid_argument,
                     "nothing that was pushed ends at position " +
                         Position::from_offset(wanted.advance_to).to_string());
    }
    gathering_.advance_to = std::max(gathering_.advance_to, wanted.advance_to);
    if (wanted.flag) gathering_.flag = wanted.flag;
    gathering_.leave = gathering_.leave || wanted.leave;
    gathering_.consumed = std::max(gathering_.consumed, wanted.consumed);
    gathering_.pointer_waiters.push_back(done);
    start_drain(executor);
  }
  co_return co_await answer(std::move(done));
}

Async<void> ProducerCore::advance(Position position) {
  Round wanted;
  wanted.advance_to = position.offset();
  {
    std::lock_guard lock(mutex_);
    SEMPER_CO_TRY_STATUS(check_usable());
    if (position.offset() <= exposed_) co_return Result<void>();
  }
  SEMPER_CO_TRY_STATUS(co_await request(wanted));
  co_return Result<void>();
}

Async<void> ProducerCore::detach() {
  const std::function<Async<void>()> work = [core = shared_from_this()] { return core->leave(); };
  co_return co_await run_in_turn<void>(desk_, attachment_.clock(), work, OnCancel::leave);
}

Async<void> ProducerCore::leave() {
  std::unique_ptr<DeviceCompanion::Role> role;
  {
    std::lock_guard lock(mutex_);
    if (left_) co_return Result<void>();
    leaving_ = true;
    if (dead_) {  // the calls have said why
      left_ = true;
      role = std::move(attachment_.role);
      co_return Result<void>();
    }
  }
  if (SEMPER_MUTANT("ring_role_let_go_before_the_last_write")) attachment_.role.reset();
  // The drain frees the role, whatever becomes of this coroutine.
  Round wanted;
  wanted.leave = true;
  SEMPER_CO_TRY_STATUS(co_await request(wanted));
  co_return Result<void>();
}

Async<DebugInfo> ProducerCore::debug_info() {
  std::lock_guard lock(mutex_);
  SEMPER_CO_TRY_STATUS(check_usable());
  const auto number = [](std::uint64_t value) { return std::to_string(value); };
  DebugInfo info{{"side", "producer"},
                 {"format", std::string(to_string(format().id()))},
                 {"device", std::string(format().device().name())},
                 {"queue", attachment_.options.queue},
                 {"client", attachment_.options.client},
                 {"identity", format().identity()},
                 {"capacity", number(format().geometry().capacity)},
                 {"consumed", number(consumed_)},
                 {"exposed", number(exposed_)},
                 {"pushed", number(durable_end_)},
                 {"suspended", suspended_ ? "true" : "false"},
                 {"epoch", number(attachment_.own.epoch)},
                 {"items", number(items_)},
                 {"writes", number(rounds_)},
                 {"buffer_bytes", number(encoder_->memory_bytes())}};
  co_return info;
}

}  // namespace semper::ring::internal
