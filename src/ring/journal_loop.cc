// The coroutine of a journal that performs.
#include <algorithm>
#include <exception>
#include <utility>

#include "journal_core.h"
#include "ring/consumer_core.h"
#include "ring/producer_core.h"
#include "semper/base/assert.h"
#include "semper/base/internal/mutant.h"
#include "semper/base/internal/thrown.h"
#include "semper/base/log.h"

namespace semper::ring::internal {

// However the loop ends, also where its io_context is destroyed: nobody waits for it any more.
struct JournalCore::Over {
  std::shared_ptr<JournalCore> core;
  ~Over() { core->kill(); }
};

Task<void> JournalCore::run(std::shared_ptr<JournalCore> self,
                            std::shared_ptr<const Perform> /*perform*/) {
  const Over over{self};
  while (co_await self->wait_until_due() != Pass::last) {
    co_await self->perform_all(Pass::usual);
  }
  co_await self->wait_for_pushes();  // what they have written is performed too
  co_await self->perform_all(Pass::last);
  co_await self->finish();
}

// Not for those on loops that nobody runs: what they handed over is written, and is in the ring.
Task<void> JournalCore::wait_for_pushes() {
  pushes_.shut();
  if (pushes_.count() == 0) co_return;
  Event left;
  const auto wait = [](std::shared_ptr<JournalCore> core, Event gone) -> Task<void> {
    co_await core->pushes_.close();
    gone.set({});
  };
  asio::co_spawn(co_await asio::this_coro::executor, wait(shared_from_this(), left),
                 asio::detached);
  static_cast<void>(co_await left.wait_until(clock(), clock().after(kCallerPatience)));
}

Task<JournalCore::Pass> JournalCore::wait_until_due() {
  while (true) {
    Event event;
    MonotonicTime due = kNever;
    {
      std::lock_guard lock(mutex_);
      if (stopping_) co_return Pass::last;
      if (first_pushed_ && !ended_) {
        const Duration interval = options_.flush_interval;
        due = interval >= kNever - *first_pushed_ ? kNever : *first_pushed_ + interval;
      }
      if (!ended_ && (urgent_ || removal_error_ || due <= clock().now())) {
        urgent_ = false;
        first_pushed_.reset();
        co_return Pass::usual;
      }
      event_ = event;
    }
    static_cast<void>(co_await event.wait_until(clock(), due));
  }
}

std::shared_ptr<Consumer> JournalCore::working_consumer() const {
  std::lock_guard lock(mutex_);
  return ended_ ? nullptr : consumer_;
}

Async<std::vector<Item>> JournalCore::pop() {
  const auto consumer = working_consumer();
  if (!consumer) co_return std::vector<Item>();
  PopLimits limits = options_.batch;
  limits.max_items = most_items_;
  const Position next = next_.value_or(consumer->consumed());
  std::vector<Item> fresh = take_fresh(next, limits);
  if (!fresh.empty()) co_return fresh;
  if (exposed() <= next) co_return std::vector<Item>();
  // From the ring: what is removed must not come again.
  if (next_ && !co_await write_removal(*next_)) co_return std::vector<Item>();
  co_return co_await consumer->core_->take_now(limits);
}

Position JournalCore::exposed() const {
  std::lock_guard lock(mutex_);
  return producer_ ? producer_->exposed() : Position();
}

std::vector<Item> JournalCore::take_fresh(Position from, const PopLimits& limits) {
  std::vector<Item> items;
  std::size_t bytes = 0;
  std::lock_guard lock(mutex_);
  while (!fresh_.empty() && fresh_.front().start < from) {  // read from the ring meanwhile
    fresh_bytes_ -= cost(fresh_.front());
    fresh_.pop_front();
  }
  if (fresh_.empty() || fresh_.front().start != from) return items;
  while (!fresh_.empty() && items.size() < std::max<std::size_t>(limits.max_items, 1)) {
    bytes += fresh_.front().bytes.size();
    if (!items.empty() && bytes > limits.max_bytes) break;
    SEMPER_ASSERT(items.empty() || items.back().after == fresh_.front().start,
                  "nothing lies between two items that are performed together");
    fresh_bytes_ -= cost(fresh_.front());
    items.push_back(std::move(fresh_.front()));
    fresh_.pop_front();
  }
  return items;
}

Task<void> JournalCore::perform_all(Pass pass) {
  for (bool is_first = true;; is_first = false) {
    // A perform that waits for nothing must not keep its loop for as long as there are items.
    if (!is_first && !SEMPER_MUTANT("journal_keeps_its_loop")) co_await yield_now();
    if (!co_await mend_removal()) co_return;
    auto items = co_await pop();
    if (!items) {
      const bool passes =
          items.error().kind() == ErrorKind::retry && !SEMPER_MUTANT("journal_ends_at_a_retry");
      if (!passes) end(items.error());
      if (!passes || pass == Pass::last) co_return;
      note_trouble(items.error(), remove_trouble_);
      if (!co_await wait_for_retry()) co_return;
      continue;
    }
    if (items->empty()) co_return;  // everything is performed, or mend_removal() comes first
    const Position last = items->back().after;
    drop_performed(*items);
    if (SEMPER_MUTANT("journal_removes_before_it_performs") && !co_await remove(last, Pass::last)) {
      co_return;
    }
    Status performed;
    const bool skips = pass == Pass::last && SEMPER_MUTANT("journal_shutdown_drops_its_queue");
    if (!items->empty() && !skips) performed = co_await perform(*items);
    if (SEMPER_MUTANT("journal_error_taken_for_done")) performed = Status();
    if (!performed) {
      log_warning("ring", "journal " + options_.name + ": performing " +
                              std::to_string(items->size()) + " items from position " +
                              items->front().start.to_string() +
                              " on failed: " + performed.error().to_string());
      {
        std::lock_guard lock(mutex_);
        ++statistics_.failures;
      }
      // One that cannot be performed must not keep those before it back.
      most_items_ = std::max<std::size_t>(items->size() / 2, 1);
      if (pass == Pass::last || !co_await wait_for_retry()) co_return;
      continue;
    }
    most_items_ =
        most_items_ > options_.batch.max_items / 2 ? options_.batch.max_items : most_items_ * 2;
    // Whoever waits need not wait for the removal: performed it is.
    if (!items->empty()) note_performed(*items);
    next_ = last;
    if (!co_await remove(last, pass)) co_return;
  }
}

// Those whose removal has failed.
void JournalCore::drop_performed(std::vector<Item>& items) const {
  if (SEMPER_MUTANT("journal_performs_again_what_it_cannot_remove")) return;
  std::lock_guard lock(mutex_);
  const auto first = std::find_if(items.begin(), items.end(),
                                  [this](const Item& item) { return item.after > performed_; });
  items.erase(items.begin(), first);
}

Task<bool> JournalCore::remove(Position end, Pass pass) {
  if (pass == Pass::usual) {
    co_await remove_beside(end);
    co_return true;
  }
  {
    std::lock_guard lock(mutex_);
    removal_ = end;
  }
  static_cast<void>(co_await write_removal(end));
  co_return co_await mend_removal();
}

Task<void> JournalCore::remove_beside(Position end) {
  {
    std::lock_guard lock(mutex_);
    removal_ = end;
    if (removal_runs_ || removal_error_) co_return;
    removal_runs_ = true;
  }
  asio::co_spawn(co_await asio::this_coro::executor, removing(shared_from_this()), asio::detached);
}

Task<void> JournalCore::removing(std::shared_ptr<JournalCore> self) {
  for (Position done;;) {
    Position end;
    {
      std::lock_guard lock(self->mutex_);
      self->removal_runs_ = self->removal_ > done && !self->ended_;
      if (!self->removal_runs_) co_return;
      end = self->removal_;
    }
    if (!co_await self->write_removal(end)) break;
    done = end;
  }
  {
    std::lock_guard lock(self->mutex_);
    self->removal_runs_ = false;
  }
  self->wake();
}

Async<void> JournalCore::write_removal(Position end) {
  const auto consumer = working_consumer();
  if (!consumer) co_return fail(ErrorKind::cancelled, "the journal has ended");
  const std::function<Async<void>()> work = [core = consumer->core_, end] {
    return core->advance_as_told(end);
  };
  const Status removed = co_await consumer->core_->in_turn<void>(work);
  if (removed) {
    note_room();
  } else {
    std::lock_guard lock(mutex_);
    if (consumer == consumer_) {
      removal_error_ = removed.error();
      // Of the handle that is dead by it, or of a read before.
      removal_error_passes_ =
          consumer->core_->has_died_of_what_passes() || removed.error().kind() == ErrorKind::retry;
    }
  }
  co_return removed;
}

// What could not be removed is popped again then, not performed, and removed.
Task<bool> JournalCore::mend_removal() {
  Status removed;
  bool passes = false;
  {
    std::lock_guard lock(mutex_);
    if (!removal_error_) co_return true;
    removed = fail(*std::exchange(removal_error_, std::nullopt));
    passes = removal_error_passes_ && !SEMPER_MUTANT("journal_ends_at_a_retry");
  }
  if (!working_consumer()) co_return false;  // killed meanwhile
  if (!removed) note_failure(removed.error(), passes, remove_trouble_);
  while (!removed) {
    if (!co_await wait_for_retry()) co_return false;
    removed = co_await renew_consumer();
    if (!removed) note_failed_renewal(removed.error(), remove_trouble_);
  }
  next_.reset();
  const auto consumer = working_consumer();
  std::unique_lock lock(mutex_);
  const bool arrived = consumer && consumer->consumed() >= removal_;
  lock.unlock();
  if (arrived) note_room();  // the write had arrived
  co_return true;
}

Async<void> JournalCore::renew_consumer() {
  std::shared_ptr<Consumer> consumer = working_consumer();
  if (!consumer) co_return fail(ErrorKind::cancelled, "the journal has ended");
  static_cast<void>(co_await consumer->detach());  // frees its role
  SEMPER_CO_TRY(Consumer attached, co_await Consumer::attach(device_, attach_options()));
  auto fresh = std::make_shared<Consumer>(std::move(attached));
  std::lock_guard lock(mutex_);
  if (consumer_) consumer_.swap(fresh);
  co_return Status{};
}

Async<void> JournalCore::perform(const std::vector<Item>& items) {
  try {
    if (SEMPER_MUTANT("journal_performs_out_of_order") && items.size() > 1) {
      const std::vector<Item> turned(items.rbegin(), items.rend());
      co_return co_await (*perform_)(turned);
    }
    co_return co_await (*perform_)(items);
  } catch (const std::exception& thrown) {
    co_return fail(ErrorKind::internal,
                   std::string("perform threw: ") + semper::internal::text_of(thrown));
  } catch (...) {
    co_return fail(ErrorKind::internal, "perform threw what is no exception");
  }
}

Task<bool> JournalCore::wait_for_retry() {
  const MonotonicTime deadline = clock().after(options_.retry_interval);
  while (true) {
    Event event;
    {
      std::lock_guard lock(mutex_);
      if (stopping_ || ended_) co_return false;
      if (clock().now() >= deadline) co_return true;
      event_ = event;
    }
    static_cast<void>(co_await event.wait_until(clock(), deadline));
  }
}

void JournalCore::note_performed(const std::vector<Item>& items) {
  std::vector<std::pair<Done, Status>> done;
  {
    std::lock_guard lock(mutex_);
    SEMPER_ASSERT(items.back().after > performed_, "what is performed goes forward");
    performed_ = items.back().after;
    statistics_.performed += items.size();
    ++statistics_.performs;
    const auto end = waiters_.upper_bound({performed_, ~std::uint64_t{0}});
    for (auto waiter = waiters_.begin(); waiter != end; ++waiter) {
      done.emplace_back(waiter->second, Status());
    }
    if (SEMPER_MUTANT("journal_waiter_forgotten") && !done.empty()) done.pop_back();
    waiters_.erase(waiters_.begin(), end);
    check();
  }
  Done::set_all(std::move(done));
}

void JournalCore::note_room() {
  std::vector<Done> waiting;
  {
    std::lock_guard lock(mutex_);
    ++advances_;
    remove_trouble_.reset();
    waiting.swap(room_waiters_);
  }
  for (auto& waiter : waiting) waiter.set(Status());
}

Task<void> JournalCore::finish() {
  std::shared_ptr<Producer> producer;
  std::shared_ptr<Consumer> consumer;
  {
    std::lock_guard lock(mutex_);
    producer = producer_;
    consumer = consumer_;
  }
  if (!producer) co_return;  // killed
  const Status consumer_left = co_await consumer->detach();
  const Status producer_left = co_await producer->detach();
  std::vector<Done> unperformed;
  std::vector<Done> callers;
  Status outcome;
  {
    std::lock_guard lock(mutex_);
    if (outcome_) co_return;
    outcome = ended_ ? Status(fail(*ended_)) : consumer_left ? producer_left : consumer_left;
    outcome_ = outcome;
    producer_.reset();
    consumer_.reset();
    for (auto& [key, waiter] : waiters_) unperformed.push_back(waiter);
    for (auto& [number, waiter] : shutdown_waiters_) callers.push_back(waiter);
    waiters_.clear();
    shutdown_waiters_.clear();
  }
  const Error closed(ErrorKind::closed,
                     "the journal was shut down; what it holds is performed by the next start");
  for (auto& waiter : unperformed) waiter.set(fail(closed));
  for (auto& caller : callers) caller.set(outcome);
}

}  // namespace semper::ring::internal
