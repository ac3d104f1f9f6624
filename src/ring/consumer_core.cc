#include "ring/consumer_core.h"

#include <algorithm>
#include <utility>

#include "semper/base/assert.h"
#include "semper/base/internal/mutant.h"

namespace semper::ring::internal {
namespace {
constexpr std::size_t kReaderShare = 2;
}

ConsumerCore::ConsumerCore(Attachment attachment)
    : attachment_(std::move(attachment)),
      desk_(attachment_.options.max_waiting),
      reader_(attachment_.format, attachment_.options.memory_bytes / kReaderShare, ReadAhead::yes),
      exposed_(attachment_.recovered.exposed),
      flag_told_(attachment_.own.flag),
      consumed_(attachment_.own.position),
      shown_consumed_(consumed_) {
  attachment_.share_position(kConsumedWord, consumed_);
  const auto shared = attachment_.shared_position(kExposedWord);
  if (shared && !attachment_.must_flush_for_other()) accept_exposed(*shared);
}

Position ConsumerCore::consumed() const {
  return Position::from_offset(shown_consumed_.load());
}

void ConsumerCore::set_consumed(std::uint64_t position) {
  consumed_ = position;
  shown_consumed_.store(position);
}

std::vector<Damage> ConsumerCore::damage() const {
  if (!check_process()) return {};  // the lock may be a thread's that the child does not have
  std::lock_guard lock(mutex_);
  return {damage_.begin(), damage_.end()};
}

void ConsumerCore::check() const {
  assert_positions(format().geometry(), consumed_, exposed_, exposed_);
  SEMPER_ASSERT(ends_.empty() || dead_ || ends_.back() <= exposed_,
                "only what is exposed is returned");
}

Status ConsumerCore::check_usable() const {
  if (detached_) return fail(ErrorKind::closed, "the consumer is detached");
  if (dead_) return fail(*dead_);
  return {};
}

Async<std::uint64_t> ConsumerCore::begin_at(std::optional<Position> from) {
  if (!from) co_return consumed_;
  const std::uint64_t position = from->offset();
  // The producer may have given it out since.
  if (position > exposed_) SEMPER_CO_TRY_STATUS(co_await refresh_exposed());
  if (position < consumed_ || position > exposed_) {
    co_return fail(ErrorKind::invalid_argument,
                   "position " + from->to_string() + " is not between what is consumed, " +
                       std::to_string(consumed_) + ", and what is exposed, " +
                       std::to_string(exposed_));
  }
  SEMPER_CO_TRY(const bool ends, co_await is_end(position));
  if (ends) co_return position;
  co_return fail(ErrorKind::invalid_argument,
                 "no item begins or ends at position " + from->to_string());
}

void ConsumerCore::remember_end(std::uint64_t position) {
  if (!ends_.empty() && position <= ends_.back()) return;
  if (ends_.size() == kMaxEndsRemembered) ends_.pop_front();
  ends_.push_back(position);
}

Async<bool> ConsumerCore::is_end(std::uint64_t position) {
  const auto after = std::upper_bound(ends_.begin(), ends_.end(), position);
  std::uint64_t at = after == ends_.begin() ? consumed_ : std::max(consumed_, *(after - 1));
  while (at < position && position != exposed_) {
    SEMPER_CO_TRY(const Parsed parsed, co_await reader_.at(at, exposed_));
    if (parsed.kind == Parsed::Kind::item) {
      at = parsed.after;
    } else {
      SEMPER_CO_TRY(at, co_await reader_.search(at + 1, exposed_));
    }
  }
  co_return at == position || position == exposed_ || SEMPER_MUTANT("ring_any_position_taken");
}

bool ConsumerCore::accept_exposed(std::uint64_t position) {
  if (position <= exposed_ || position - consumed_ > format().geometry().capacity) return false;
  exposed_ = position;
  return true;
}

Async<void> ConsumerCore::refresh_exposed() {
  const auto shared = attachment_.shared_position(kExposedWord);
  if (shared && *shared > exposed_) {
    if (attachment_.must_flush_for_other()) SEMPER_CO_TRY_STATUS(co_await flush_device());
    if (accept_exposed(*shared)) co_return Result<void>();
  }
  SEMPER_CO_TRY(const Pointer producer, co_await attachment_.format->read_pointer(Side::producer));
  attachment_.note_other(producer);
  attachment_.other = producer;
  std::uint64_t there = producer.position;
  if (there <= exposed_ && !attachment_.shares_memory_with(producer)) {
    SEMPER_CO_TRY(const Recovered tail, co_await attachment_.format->tail(producer, exposed_));
    there = tail.exposed;
  }
  if (there <= exposed_) co_return Result<void>();
  // It was read, which does not mean that it is durable.
  if (attachment_.options.flush == Flush::always) SEMPER_CO_TRY_STATUS(co_await flush_device());
  const std::uint64_t before = exposed_;
  if (!accept_exposed(there)) co_return Result<void>();
  // Nor does a flush make it so, where one has failed on it. What a position covers is durable, so
  // this side's own pointer keeps it.
  if (attachment_.options.flush == Flush::always && format().records_publish() &&
      there == producer.position) {
    const Status kept = co_await write_pointer();
    if (!kept) exposed_ = before;
    co_return kept;
  }
  co_return Result<void>();
}

Async<void> ConsumerCore::flush_device() {
  const auto flushed = co_await format().device().flush();
  if (!flushed) die(flushed.error());
  co_return flushed;
}

Async<std::optional<Parsed>> ConsumerCore::next(std::uint64_t& position) {
  while (position < exposed_) {
    SEMPER_CO_TRY(const Parsed record, co_await reader_.at(position, exposed_));
    const Parsed parsed = attachment_.epoch_start().check(position, record);
    if (parsed.kind == Parsed::Kind::item) co_return parsed;
    if (attachment_.options.on_damage == OnDamage::stop) {
      co_return fail(ErrorKind::corrupt, reader_.describe(position, parsed.why));
    }
    SEMPER_CO_TRY(const std::uint64_t valid, co_await reader_.search(position + 1, exposed_));
    std::lock_guard lock(mutex_);
    const Position start = Position::from_offset(position);
    // Popping the same item again passes the same damage.
    if (damage_.empty() || damage_.back().start < start) {
      if (damage_.size() == kMaxDamageRemembered) damage_.pop_front();
      damage_.push_back(
          {start, Position::from_offset(valid), reader_.describe(position, parsed.why)});
      skipped_bytes_ += valid - position;
    }
    position = valid;
  }
  co_return std::optional<Parsed>();
}

Async<std::vector<Item>> ConsumerCore::take_items(std::uint64_t position, PopLimits limits) {
  std::vector<Item> items;
  std::size_t bytes = 0;
  const std::size_t most = std::max<std::size_t>(limits.max_items, 1);
  while (items.size() < most) {
    add_at_hand(items, position, bytes, limits);
    if (items.size() >= most || bytes > limits.max_bytes) break;
    auto parsed = co_await next(position);
    if (!parsed) {
      // What is whole comes first; the next call meets the error.
      if (items.empty()) co_return fail(parsed.error());
      break;
    }
    if (!*parsed) break;
    bytes += (*parsed)->payload.size();
    if (!items.empty() && bytes > limits.max_bytes) break;
    add_item(items, position, **parsed);
    position = (*parsed)->after;
  }
  items_ += items.size();
  co_return items;
}

// Whole items that were read, up to the first that does not fit.
void ConsumerCore::add_at_hand(std::vector<Item>& items, std::uint64_t& position,
                               std::size_t& bytes, PopLimits limits) {
  const std::size_t most = std::max<std::size_t>(limits.max_items, 1);
  const EpochStart epoch_start = attachment_.epoch_start();
  while (items.size() < most && position < exposed_) {
    const auto record = reader_.at_hand(position, exposed_);
    if (!record) break;
    const Parsed parsed = epoch_start.check(position, *record);
    if (parsed.kind != Parsed::Kind::item) break;
    bytes += parsed.payload.size();
    if (!items.empty() && bytes > limits.max_bytes) break;
    add_item(items, position, parsed);
    position = parsed.after;
  }
}

// Of what was read before, without a wait: mostly nothing has to be read.
std::vector<Item> ConsumerCore::take_at_hand(PopLimits limits) {
  std::vector<Item> items;
  const auto turn = desk_.turn.try_take(attachment_.clock());
  if (!turn || unsettled_ || !check_usable()) return items;
  std::uint64_t position = consumed_;
  std::size_t bytes = 0;
  add_at_hand(items, position, bytes, limits);
  items_ += items.size();
  return items;
}

void ConsumerCore::add_item(std::vector<Item>& items, std::uint64_t position,
                            const Parsed& parsed) {
  Item& item = items.emplace_back();
  item.start = Position::from_offset(position);
  item.after = Position::from_offset(parsed.after);
  item.bytes.assign(parsed.payload);
  remember_end(position);
  remember_end(parsed.after);
}

// Empty: there is none.
Async<std::vector<Item>> ConsumerCore::take_from(std::optional<Position> from, PopLimits limits) {
  SEMPER_CO_TRY_STATUS(co_await settle());
  SEMPER_CO_TRY(const std::uint64_t position, co_await begin_at(from));
  if (position >= exposed_) SEMPER_CO_TRY_STATUS(co_await refresh_exposed());
  co_return co_await take_items(position, limits);
}

Async<std::vector<Item>> ConsumerCore::pop_many(std::optional<Position> from, PopLimits limits,
                                                MonotonicTime deadline) {
  Clock& clock = attachment_.clock();
  if (!from) {
    std::vector<Item> items = take_at_hand(limits);
    if (!items.empty()) co_return items;
  }
  Backoff backoff(attachment_.options.poll, *attachment_.options.env.random);
  for (;;) {
    const std::uint64_t seen = attachment_.word(kExposedWord);
    SEMPER_CO_TRY(std::vector<Item> items,
                  co_await take_apart(from, limits, deadline == kNoWait ? kNever : deadline));
    if (!items.empty()) co_return items;
    if (deadline == kNoWait) co_return fail(ErrorKind::retry, "there is no item in the ring now");
    if (clock.now() >= deadline) {
      co_return fail(ErrorKind::timeout, "the deadline passed without an item in the ring");
    }
    SEMPER_CO_TRY_STATUS(co_await attachment_.wait(kExposedWord, seen, backoff, deadline));
  }
}

Async<std::vector<Item>> ConsumerCore::take_now(PopLimits limits) {
  std::vector<Item> items = take_at_hand(limits);
  if (!items.empty()) co_return items;
  co_return co_await take_apart(std::nullopt, limits, kNever);
}

Async<std::vector<Item>> ConsumerCore::take_apart(std::optional<Position> from, PopLimits limits,
                                                  MonotonicTime deadline) {
  const std::function<Async<std::vector<Item>>()> work = [core = shared_from_this(), from, limits] {
    return core->take_from(from, limits);
  };
  if (SEMPER_MUTANT("ring_hung_device_keeps_calls_past_their_deadline")) deadline = kNever;
  Clock& clock = attachment_.clock();
  co_return co_await run_in_turn<std::vector<Item>>(desk_, clock, work, OnCancel::stay,
                                                    patient(clock, deadline));
}

Async<Position> ConsumerCore::begin_to_visit(std::optional<Position> from) {
  SEMPER_CO_TRY_STATUS(co_await settle());
  SEMPER_CO_TRY(const std::uint64_t position, co_await begin_at(from));
  SEMPER_CO_TRY_STATUS(co_await refresh_exposed());
  co_return Position::from_offset(position);
}

// Whole items that were read, as they lie in the buffer.
Status ConsumerCore::visit_at_hand(const Visitor& visit, std::uint64_t& position) {
  const auto turn = desk_.turn.try_take(attachment_.clock());
  if (!turn || unsettled_ || !check_usable()) return {};
  while (position < exposed_) {
    const auto record = reader_.at_hand(position, exposed_);
    if (!record) break;
    const Parsed parsed = attachment_.epoch_start().check(position, *record);
    if (parsed.kind != Parsed::Kind::item) break;
    SEMPER_TRY_STATUS(visit(ItemView{Position::from_offset(position),
                                     Position::from_offset(parsed.after), parsed.payload}));
    ++items_;
    remember_end(parsed.after);
    position = parsed.after;
  }
  return {};
}

// The item at the position, behind what is damaged where that is passed over.
Async<ConsumerCore::Visited> ConsumerCore::take_to_visit(std::uint64_t position) {
  SEMPER_CO_TRY_STATUS(co_await settle());
  Visited visited{std::max(position, consumed_), std::nullopt};
  SEMPER_CO_TRY(const auto parsed, co_await next(visited.position));
  if (parsed) {
    ++items_;
    remember_end(parsed->after);
    visited.item = Item{Position::from_offset(visited.position),
                        Position::from_offset(parsed->after), Bytes(parsed->payload)};
  }
  co_return visited;
}

// The visitor runs where its caller does. Nothing is held while something is read: the first item
// of each read is a copy, those behind it are at hand then.
Async<Position> ConsumerCore::for_each(Visitor visit, std::optional<Position> from) {
  const std::function<Async<Position>()> begin = [core = shared_from_this(), from] {
    return core->begin_to_visit(from);
  };
  SEMPER_CO_TRY(const Position first,
                co_await run_in_turn<Position>(desk_, attachment_.clock(), begin));
  for (std::uint64_t position = first.offset();;) {
    SEMPER_CO_TRY_STATUS(visit_at_hand(visit, position));
    const std::function<Async<Visited>()> work = [core = shared_from_this(), position] {
      return core->take_to_visit(position);
    };
    SEMPER_CO_TRY(const Visited taken,
                  co_await run_in_turn<Visited>(desk_, attachment_.clock(), work));
    if (!taken.item) co_return Position::from_offset(taken.position);
    SEMPER_CO_TRY_STATUS(visit(ItemView{taken.item->start, taken.item->after, taken.item->bytes}));
    position = taken.item->after.offset();
  }
}

Async<Position> ConsumerCore::resync(Position damaged) {
  SEMPER_CO_TRY_STATUS(co_await settle());
  SEMPER_CO_TRY(const std::uint64_t position, co_await begin_at(damaged));
  SEMPER_CO_TRY(const std::uint64_t valid, co_await reader_.search(position + 1, exposed_));
  co_return Position::from_offset(valid);
}

Async<void> ConsumerCore::settle() {
  SEMPER_CO_TRY_STATUS(check_usable());
  check();
  if (unsettled_) {
    attachment_.own.attached = true;  // also where it was detaching
    SEMPER_CO_TRY_STATUS(co_await write_pointer());
  }
  co_return Status{};
}

void ConsumerCore::die(const Error& why) {
  // What the device said of one operation: of the handle, which is dead, it is not true.
  const bool passes = why.kind() == ErrorKind::retry;
  died_of_what_passes_.store(passes);
  const bool is_for_later = passes && !SEMPER_MUTANT("ring_busy_device_taken_for_an_empty_ring");
  dead_ = is_for_later ? Error(ErrorKind::io, why.message()) : why;
}

Async<void> ConsumerCore::write_pointer() {
  // A coroutine that is destroyed half-way leaves it unknown what is on the disk. The same copy is
  // written again then, for the other one may be the only good one.
  struct Guard {
    ConsumerCore& core;
    std::uint64_t sequence;
    bool finished = false;
    ~Guard() {
      if (finished) return;
      core.attachment_.own.sequence = sequence;
      core.unsettled_ = true;
    }
  } guard{*this, attachment_.own.sequence};
  FormatOnDevice& format = *attachment_.format;
  if (attachment_.options.flush == Flush::always) {
    Pointer& own = attachment_.own;
    own.known = std::max(own.known, round_down(exposed_, format.geometry().unit));
  }
  Status status = co_await attachment_.check_owner();
  const Flush flush =
      SEMPER_MUTANT("ring_removal_is_not_flushed") ? Flush::never : attachment_.options.flush;
  if (status) status = co_await format.write_pointer(attachment_.own, flush);
  guard.finished = true;
  unsettled_ = false;
  if (!status) {
    die(status.error());
    co_return fail(*dead_);
  }
  if (attachment_.own.position > consumed_ && !SEMPER_MUTANT("ring_removed_items_come_again")) {
    set_consumed(attachment_.own.position);
    attachment_.share_position(kConsumedWord, attachment_.own.position);
  }
  if (std::exchange(flag_told_, attachment_.own.flag) != attachment_.own.flag) {
    attachment_.count(kConsumerFlagsWord);
  }
  check();
  co_return status;
}

Async<void> ConsumerCore::advance(Position position) {
  SEMPER_CO_TRY_STATUS(co_await settle());
  const std::uint64_t to = position.offset();
  if (to <= consumed_) co_return Result<void>();
  if (to > exposed_) SEMPER_CO_TRY_STATUS(co_await refresh_exposed());
  bool ends = to <= exposed_;
  if (ends) {
    SEMPER_CO_TRY(ends, co_await is_end(to));
  }
  if (!ends) {
    co_return fail(ErrorKind::invalid_argument,
                   "no item that was exposed ends at position " + position.to_string());
  }
  co_return co_await remove_before(to);
}

Async<void> ConsumerCore::advance_as_told(Position position) {
  SEMPER_CO_TRY_STATUS(co_await settle());
  const std::uint64_t to = position.offset();
  if (to <= consumed_) co_return Result<void>();
  if (to > exposed_ && !accept_exposed(to)) co_return co_await advance(position);
  co_return co_await remove_before(to);
}

Async<void> ConsumerCore::remove_before(std::uint64_t position) {
  attachment_.own.position = position;
  SEMPER_CO_TRY_STATUS(co_await write_pointer());
  while (!ends_.empty() && ends_.front() <= position) ends_.pop_front();
  co_return Result<void>();
}

Async<State> ConsumerCore::state() {
  SEMPER_CO_TRY_STATUS(co_await settle());
  SEMPER_CO_TRY(const Pointer producer, co_await attachment_.format->read_pointer(Side::producer));
  co_return producer.flag ? State::suspended : State::running;
}

Async<void> ConsumerCore::set_suspend(bool suspend) {
  SEMPER_CO_TRY_STATUS(co_await settle());
  if (attachment_.own.flag == suspend) co_return Result<void>();
  SEMPER_CO_TRY(const Pointer producer, co_await attachment_.format->read_pointer(Side::producer));
  if (producer.flag != attachment_.own.flag) {
    co_return fail(ErrorKind::retry, std::string("the producer has not acknowledged the last ") +
                                         (suspend ? "resume" : "suspend") + " yet");
  }
  attachment_.own.flag = suspend;
  co_return co_await write_pointer();
}

Async<void> ConsumerCore::detach() {
  if (detached_) co_return Result<void>();
  Status status;
  if (!dead_ && format().id() == Format::semper_1) {
    attachment_.own.attached = false;
    status = co_await write_pointer();
  }
  co_await reader_.rest();
  // Not before the write has ended: it must not meet those of a successor.
  detached_ = true;
  attachment_.role.reset();
  co_return status;
}

Async<DebugInfo> ConsumerCore::debug_info() {
  SEMPER_CO_TRY_STATUS(co_await settle());
  const auto number = [](std::uint64_t value) { return std::to_string(value); };
  DebugInfo info{{"side", "consumer"},
                 {"format", std::string(to_string(format().id()))},
                 {"device", std::string(format().device().name())},
                 {"queue", attachment_.options.queue},
                 {"client", attachment_.options.client},
                 {"identity", format().identity()},
                 {"capacity", number(format().geometry().capacity)},
                 {"consumed", number(consumed_)},
                 {"exposed", number(exposed_)},
                 {"suspend", attachment_.own.flag ? "true" : "false"},
                 {"epoch", number(attachment_.own.epoch)},
                 {"items", number(items_)},
                 {"skipped_bytes", number(skipped_bytes_)},
                 {"buffer_bytes", number(reader_.memory_bytes())}};
  co_return info;
}

}  // namespace semper::ring::internal
