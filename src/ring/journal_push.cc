// How operations get into the ring of a journal: one after another where it is full, and with
// another producer where the disk had been.
#include <algorithm>
#include <utility>

#include "journal_core.h"
#include "ring/producer_core.h"
#include "semper/base/internal/mutant.h"
#include "semper/env/cancellation.h"

namespace semper::ring::internal {
namespace {

// How often the first in the line says that its loop runs.
constexpr Duration kBeat = std::chrono::seconds(1);

Error full_error() {
  return Error(ErrorKind::timeout,
               "the journal was full until the deadline; what it holds is waiting to be performed, "
               "try again later");
}

}  // namespace

Async<Position> JournalCore::push(BytesView operation, MonotonicTime deadline) {
  SEMPER_CO_TRY_STATUS(fork_.check("this journal"));
  auto inside = pushes_.enter();
  if (!inside) co_return fail(inside.error());
  const ItemList item(operation);
  const bool overtakes = SEMPER_MUTANT("journal_small_pushes_overtake_large_ones");
  if (!line_.is_held(clock()) || overtakes) {
    auto written = co_await write_down(item, deadline);
    if (written || written.error().kind() != ErrorKind::retry || deadline == kNoWait) {
      if (!written && written.error().kind() == ErrorKind::retry) hurry();
      co_return written;
    }
  } else if (deadline == kNoWait) {
    co_return fail(ErrorKind::retry, "others wait for room in the journal already");
  }
  co_return co_await write_when_there_is_room(item, deadline);
}

// Whoever came first goes first, however large its operation is: small ones do not pass it.
Async<Position> JournalCore::write_when_there_is_room(const ItemList& item,
                                                      MonotonicTime deadline) {
  const auto turn = co_await line_.take(clock(), deadline);
  if (!turn) {
    co_return fail(turn.error().kind() == ErrorKind::timeout ? full_error() : turn.error());
  }
  while (true) {
    std::uint64_t advances = 0;
    {
      std::lock_guard lock(mutex_);
      advances = advances_;
    }
    auto written = co_await write_down(item, deadline);
    if (written || written.error().kind() != ErrorKind::retry) co_return written;
    hurry();
    SEMPER_CO_TRY_STATUS(co_await wait_for_room(advances, deadline, *turn));
  }
}

// Until something was removed from the ring since it had been advanced so many times.
Async<void> JournalCore::wait_for_room(std::uint64_t advances, MonotonicTime deadline,
                                       const Turn::Holder& turn) {
  SEMPER_CO_TRY_STATUS(not_cancelled(co_await asio::this_coro::cancellation_state));
  Done room;
  {
    std::lock_guard lock(mutex_);
    SEMPER_CO_TRY_STATUS(check_open());
    if (advances_ != advances) co_return Status{};
    room_waiters_.assign(1, room);  // the first in the line; one before it has given up
  }
  auto came = co_await room.wait_until(clock(), std::min(deadline, clock().after(kBeat)));
  turn.beat();
  if (came) co_return *came;
  const bool timed_out = came.error().kind() == ErrorKind::timeout;
  if (timed_out && clock().now() < deadline) co_return Status{};  // looks itself
  co_return fail(came.error().kind() == ErrorKind::timeout ? full_error() : came.error());
}

Async<Position> JournalCore::write_down(const ItemList& item, MonotonicTime deadline) {
  std::shared_ptr<Producer> producer;
  {
    std::lock_guard lock(mutex_);
    SEMPER_CO_TRY_STATUS(check_open());
    producer = producer_;
  }
  if (!producer->core_->health()) {
    SEMPER_CO_TRY(producer, co_await working_producer(deadline));
  }
  // As publish() of it; this call is run through already.
  const MonotonicTime patience = deadline == kNoWait ? kNever : deadline;
  auto written = co_await producer->core_->submit(item, Exposure::publish, kNoWait, patience);
  if (written) {
    std::lock_guard lock(mutex_);
    ++statistics_.pushed;
    push_trouble_.reset();
    co_return written;
  }
  const Status health = producer->core_->health();
  if (!health) {
    const bool passes =
        producer->core_->has_died_of_what_passes() && !SEMPER_MUTANT("journal_ends_at_a_retry");
    note_failure(health.error(), passes, push_trouble_);
  }
  co_return written;
}

Async<std::shared_ptr<Producer>> JournalCore::working_producer(MonotonicTime deadline) {
  std::shared_ptr<Producer> producer;
  {
    std::lock_guard lock(mutex_);
    SEMPER_CO_TRY_STATUS(check_open());
    producer = producer_;
  }
  if (producer->core_->health()) co_return producer;
  // On no caller's loop: one that is run no more would keep all others from writing.
  const std::function<Async<std::shared_ptr<Producer>>()> work = [core = shared_from_this()] {
    return core->renew_producer();
  };
  auto renewed = co_await run_in_turn<std::shared_ptr<Producer>>(
      renewal_, clock(), work, OnCancel::leave, deadline == kNoWait ? kNever : deadline);
  if (renewed || renewed.error().kind() != ErrorKind::timeout) co_return renewed;
  co_return fail(ErrorKind::timeout,
                 "the journal, which had failed to write, was not at work again by the deadline; "
                 "try again later");
}

Async<std::shared_ptr<Producer>> JournalCore::renew_producer() {
  std::shared_ptr<Producer> producer;
  {
    std::lock_guard lock(mutex_);
    SEMPER_CO_TRY_STATUS(check_open());
    producer = producer_;
  }
  if (producer->core_->health()) co_return producer;  // who had the turn before has done it
  static_cast<void>(co_await producer->detach());     // frees its role
  auto attached = co_await Producer::attach(device_, attach_options());
  if (!attached) {
    if (attached.error().kind() != ErrorKind::cancelled) {
      note_failed_renewal(attached.error(), push_trouble_);
    }
    co_return fail(attached.error());
  }
  auto fresh = std::make_shared<Producer>(std::move(*attached));
  listen_to(*fresh);
  {
    std::lock_guard lock(mutex_);
    SEMPER_CO_TRY_STATUS(check_open());
    producer_ = fresh;
  }
  hurry();  // what the old one was writing may be there
  co_return fresh;
}

void JournalCore::listen_to(Producer& producer) {
  producer.core_->on_exposed([weak = weak_from_this()](std::vector<Item> items) {
    if (const auto alive = weak.lock()) alive->note_exposed(std::move(items));
  });
}

void JournalCore::keep_fresh(std::vector<Item> items) {
  if (ended_ || outcome_) return;
  const std::size_t most = options_.ring.memory_bytes / kFreshShare;
  for (Item& item : items) {
    if (fresh_bytes_ + cost(item) > most) return;
    // What is missing before it is read from the ring, and this too.
    const bool follows = fresh_.empty() || fresh_.back().after == item.start;
    if (!follows && !SEMPER_MUTANT("journal_items_between_passed_over")) return;
    fresh_bytes_ += cost(item);
    fresh_.push_back(std::move(item));
  }
}

void JournalCore::note_exposed(std::vector<Item> items) {
  {
    std::lock_guard lock(mutex_);
    keep_fresh(std::move(items));
    if (first_pushed_) return;  // the loop knows
    first_pushed_ = clock().now();
  }
  wake();
}

}  // namespace semper::ring::internal
