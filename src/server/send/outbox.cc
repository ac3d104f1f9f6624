#include "server/send/outbox.h"

#include <map>
#include <utility>

#include "semper/base/assert.h"
#include "semper/base/internal/mutant.h"
#include "semper/server/message.h"
#include "server/format/enqueue.h"
#include "server/format/orders.h"
#include "server/format/records.h"

namespace semper::internal {

// A turn at sending. Ends also where its coroutine is destroyed in the middle, or before it began.
class Outbox::Runner {
 public:
  Runner(std::shared_ptr<Outbox> outbox, std::uint64_t turn, Loop loop)
      : outbox_(std::move(outbox)), turn_(turn), loop_(std::move(loop)) {}
  ~Runner() {
    if (outbox_) outbox_->pass_on(turn_, "the loop that was sending the message was stopped");
  }
  Runner(const Runner&) = delete;
  Runner& operator=(const Runner&) = delete;

  const std::shared_ptr<Outbox>& outbox() const { return outbox_; }
  std::uint64_t turn() const { return turn_; }
  const Loop& loop() const { return loop_; }
  void finished() { outbox_.reset(); }

 private:
  std::shared_ptr<Outbox> outbox_;
  std::uint64_t turn_;
  Loop loop_;
};

Async<void> Outbox::cast(std::shared_ptr<const Target> target, std::vector<RawMessage> messages,
                         std::shared_ptr<KeyedSend> keyed) {
  Publication publication;
  publication.target = std::move(target);
  publication.messages = std::move(messages);
  if (!keyed) return publish(std::move(publication));
  publication.keyed = std::move(keyed);
  return publish_keyed(std::move(publication));
}

Async<void> Outbox::publish_keyed(Publication publication) {
  const auto keyed = publication.keyed;
  SEMPER_CO_TRY_STATUS(co_await publish(std::move(publication)));
  if (keyed->answer && !*keyed->answer) co_return fail(keyed->answer->error());
  co_return Status{};
}

Async<void> Outbox::call(std::shared_ptr<const Target> target, RawMessage message,
                         ReplyToken caller, std::vector<KeyValue> alongside,
                         std::shared_ptr<KeyedSend> keyed, ChainPointer chain) {
  Publication publication;
  publication.keyed = std::move(keyed);
  publication.chain = std::move(chain);
  publication.target = std::move(target);
  publication.event = Event::call;
  publication.messages.push_back(std::move(message));
  publication.caller = std::move(caller);
  publication.alongside = std::move(alongside);
  return publish(std::move(publication));
}

Async<void> Outbox::publish(Publication publication) {
  const auto& limits = store_.limits();
  for (const auto& message : publication.messages) {
    SEMPER_CO_TRY_STATUS(
        check_message_size(message, publication.caller, limits, publication.chain.get()));
    publication.size_bytes += queued_size(message, publication.caller);
  }
  if (publication.keyed) publication.size_bytes += queued_size(publication.keyed->key.get());
  if (publication.chain) publication.size_bytes += publication.chain->size_bytes();
  if (publication.size_bytes > limits.transaction_bytes / 2) {
    co_return fail(too_many_bytes(publication.size_bytes, limits));
  }
  publication.loop = Loop(co_await asio::this_coro::executor);
  const Loop loop = publication.loop;
  auto done = publication.done;
  std::shared_ptr<Runner> runner;
  bool beside = false;
  {
    std::lock_guard lock(mutex_);
    if (waiting_bytes_ + publication.size_bytes > kOutboxBytes) {
      co_return fail(ErrorKind::retry, Limit{"kOutboxBytes", kOutboxBytes},
                     "more than " + std::to_string(kOutboxBytes) +
                         " bytes wait to be sent; slow down and send it again");
    }
    waiting_bytes_ += publication.size_bytes;
    waiting_.push_back(std::move(publication));
    if (running_ && loop == runner_loop_) ++waiting_there_;
    if (!running_) runner = next_runner(Loop());
    beside = !(loop == runner_loop_);
    check();
  }
  if (runner && !beside) {
    asio::co_spawn(runner->loop().executor(), run(runner), asio::detached);
  } else if (runner) {
    start(std::move(runner));
  }
  runner.reset();
  if (beside) co_return co_await wait_beside(std::move(done));
  auto sent = co_await done.wait();
  if (!sent) co_return fail(sent.error());
  co_return std::move(*sent);
}

void Outbox::check() const {
  SEMPER_ASSERT(waiting_bytes_ <= kOutboxBytes, "what waits has a bound");
  SEMPER_ASSERT(!waiting_.empty() || waiting_bytes_ == 0, "what is taken is no longer counted");
  SEMPER_ASSERT(!running_ || waiting_there_ <= waiting_.size(), "a loop's are among all");
  SEMPER_ASSERT(running_ || !current_, "what is being committed has a runner");
}

// Waits for what another loop sends, and looks whether that one runs.
Async<void> Outbox::wait_beside(OneShot<Status> done) {
  Clock& clock = *store_.env().clock;
  LoopWatch watch;
  while (true) {
    auto sent = co_await done.wait_until(clock, clock.after(kLoopPatience));
    if (sent) co_return std::move(*sent);
    if (sent.error().kind() != ErrorKind::timeout) co_return fail(sent.error());
    look_at_runner(watch);
  }
}

void Outbox::look_at_runner(LoopWatch& watch) {
  Loop loop;
  std::uint64_t turn = 0;
  {
    std::lock_guard lock(mutex_);
    turn = turn_;
    loop = runner_loop_;
  }
  if (watch.is_dead(loop, turn)) {
    pass_on(turn, "the loop that was sending the message does not run any more");
  }
}

void Outbox::watch_for(const std::shared_ptr<Outbox>& self, const Loop& loop,
                       std::vector<OneShot<Status>> unanswered) {
  if (unanswered.empty() || SEMPER_MUTANT("server_outbox_forgets_who_waited_for_itself")) return;
  // Weak: a loop that is never run again must not keep the store.
  loop.post([weak = std::weak_ptr<Outbox>(self), executor = loop.executor(),
             unanswered = std::move(unanswered)] {
    if (auto outbox = weak.lock()) {
      asio::co_spawn(executor, watch(std::move(outbox), unanswered), asio::detached);
    }
  });
}

Task<void> Outbox::watch(std::shared_ptr<Outbox> self, std::vector<OneShot<Status>> unanswered) {
  Clock& clock = *self->store_.env().clock;
  LoopWatch watch;
  while (true) {
    std::erase_if(unanswered, [](const auto& done) { return done.is_set(); });
    if (unanswered.empty()) co_return;
    static_cast<void>(co_await sleep_for(clock, kLoopPatience));
    self->look_at_runner(watch);
  }
}

std::shared_ptr<Outbox::Runner> Outbox::next_runner(const Loop& but) {
  running_ = false;
  runner_loop_ = Loop();
  for (const auto& publication : waiting_) {
    const Loop& loop = publication.loop;
    if (loop.is_gone() || loop == but) continue;
    running_ = true;
    runner_loop_ = loop;
    waiting_there_ = 0;
    for (const auto& other : waiting_) waiting_there_ += other.loop == loop ? 1 : 0;
    return std::make_shared<Runner>(shared_from_this(), ++turn_, loop);
  }
  return nullptr;
}

void Outbox::start(std::shared_ptr<Runner> runner) {
  const Loop loop = runner->loop();
  loop.post([runner = std::move(runner)] {
    asio::co_spawn(runner->loop().executor(), run(runner), asio::detached);
  });
}

void Outbox::pass_on(std::uint64_t turn, const char* why) {
  std::shared_ptr<Publications> lost;
  std::deque<Publication> orphans;
  std::shared_ptr<Runner> next;
  Loop before;
  std::vector<OneShot<Status>> left_there;
  {
    std::lock_guard lock(mutex_);
    if (!running_ || turn_ != turn) return;
    lost = std::move(current_);
    before = runner_loop_;
    for (const auto& publication : waiting_) {
      if (publication.loop == before) left_there.push_back(publication.done);
    }
    next = next_runner(before);
    if (!next) {
      orphans.swap(waiting_);
      waiting_bytes_ = 0;
    }
  }
  if (lost) {
    for (auto& publication : *lost) {
      publication.done.set(fail(ErrorKind::outcome_unknown, why));
    }
  }
  for (auto& publication : orphans) publication.done.set(fail(ErrorKind::closed, why));
  if (!next) return;
  watch_for(shared_from_this(), before, std::move(left_there));
  start(std::move(next));
}

Task<void> Outbox::run(std::shared_ptr<Runner> runner) {
  const std::shared_ptr<Outbox> self = runner->outbox();
  while (auto batch = self->take(*runner)) {
    if (SEMPER_MUTANT("server_sent_before_commit")) {
      for (auto& publication : *batch) publication.done.set(Status{});
    }
    Status status = co_await self->refuse_full(*batch);
    if (status) status = co_await commit(self->store_, *batch);
    {
      std::lock_guard lock(self->mutex_);
      if (self->turn_ == runner->turn()) self->current_.reset();
    }
    answer(*batch, runner->loop(), status);
  }
}

// Publishers on this loop send their next message now, so that it is part of the next batch. Those
// of others come first: what one on this loop does next may block it.
void Outbox::answer(Publications& batch, const Loop& here, const Status& status) {
  const bool in_order = SEMPER_MUTANT("server_outbox_answers_in_order");
  for (auto& publication : batch) {
    if (!(publication.loop == here) && !in_order) publication.done.set(status);
  }
  for (auto& publication : batch) publication.done.set_inline(status);
}

std::shared_ptr<Outbox::Publications> Outbox::take(Runner& runner) {
  std::shared_ptr<Runner> next;
  std::deque<Publication> orphans;
  {
    std::lock_guard lock(mutex_);
    if (turn_ == runner.turn() && waiting_there_ > 0) {
      current_ = std::make_shared<Publications>();
      take_some(*current_);
      check();
      return current_;
    }
    runner.finished();
    if (turn_ == runner.turn()) {
      next = next_runner(Loop());
      // Their loops are gone. Kept, they would hold this outbox and its store for ever.
      if (!next) {
        orphans.swap(waiting_);
        waiting_bytes_ = 0;
      }
    }
  }
  if (next) start(std::move(next));
  return nullptr;
}

void Outbox::take_some(Publications& batch) {
  const std::size_t bytes_maximum = store_.limits().transaction_bytes / 2;
  const std::size_t operations_maximum = store_.limits().transaction_operations / 2;
  std::size_t bytes = 0;
  std::size_t messages = 0;
  std::size_t operations = 0;
  while (!waiting_.empty()) {
    const auto& next = waiting_.front();
    // To another entity than the one before: a segment, its counter, its index entry, a wake-up.
    const bool same = !batch.empty() && batch.back().target == next.target;
    const std::size_t writes = (same ? 0 : kOutboxWritesPerEntity) +
                               (next.keyed ? kOutboxWritesPerKey : 0) +
                               next.size_bytes / kSegmentBytes + next.alongside.size();
    const bool fits = bytes + next.size_bytes <= bytes_maximum &&
                      operations + writes <= operations_maximum &&
                      messages + next.messages.size() <= kOutboxMessagesPerCommit;
    if (!batch.empty() && !fits) break;
    bytes += next.size_bytes;
    messages += next.messages.size();
    operations += writes;
    waiting_bytes_ -= next.size_bytes;
    if (next.loop == runner_loop_) --waiting_there_;
    batch.push_back(std::move(waiting_.front()));
    waiting_.pop_front();
  }
}

Async<void> Outbox::refuse_full(Publications& batch) {
  for (auto& publication : batch) {
    const Target& target = *publication.target;
    if (!send_counts_.add(target.keys.pushed(), publication.messages.size())) continue;
    SEMPER_CO_TRY(const bool full, co_await is_full(target));
    send_counts_.looked(target.keys.pushed(), full);
    if (!full) continue;
    publication.refused = true;
    publication.done.set(fail(full_queue(target)));
  }
  co_return Status{};
}

Async<bool> Outbox::is_full(const Target& target) {
  const auto look = [&](Transaction& transaction) {
    return is_full_in(transaction, target, ReadMode::serializable);
  };
  co_return co_await store_.transact(look);
}

Async<bool> Outbox::is_full_in(Transaction& transaction, const Target& target, ReadMode mode) {
  SEMPER_CO_TRY(const auto raw, co_await transaction.get(target.keys.header(), mode));
  SEMPER_CO_TRY(const auto pushed, co_await transaction.get(target.keys.pushed(), mode));
  std::uint64_t popped = 0;
  if (raw) {
    // A header that cannot be read is the consumer's to report.
    if (const auto header = Header::decode(*raw)) popped = header->popped;
  }
  co_return count_waiting(pushed, popped) >= kQueueMessagesMaximum;
}

Error Outbox::full_queue(const Target& target) {
  return Error(ErrorKind::retry, Limit{"kQueueMessagesMaximum", kQueueMessagesMaximum},
               "the queue of " + target.id.to_string() + " holds its " +
                   std::to_string(kQueueMessagesMaximum) +
                   " messages; is a host serving its type? try again later");
}

Error Outbox::too_many_bytes(std::size_t bytes, const Limits& limits) {
  return Error(ErrorKind::exhausted, Limit{"transaction_bytes", limits.transaction_bytes},
               "a batch of " + std::to_string(bytes) +
                   " bytes is more than half of the store's limit transaction_bytes = " +
                   std::to_string(limits.transaction_bytes) + "; send it in parts");
}

Async<void> Outbox::meet_keys(Transaction& transaction, const Publications& batch) {
  KeyBook book;
  for (const auto& publication : batch) {
    if (!publication.keyed || publication.refused) continue;
    KeyedSend& keyed = *publication.keyed;
    const Status met = co_await meet(transaction, *publication.target, publication.event,
                                     publication.messages.front(), publication.caller, keyed, book);
    if (met) continue;
    // What cannot be read is of this key alone; what the store says is of them all.
    const bool of_the_store =
        met.error().kind() != ErrorKind::corrupt && met.error().kind() != ErrorKind::unsupported;
    if (of_the_store || SEMPER_MUTANT("server_unreadable_key_fails_all")) {
      co_return fail(met.error());
    }
    keyed.is_sent = false;
    keyed.answer.emplace(fail(met.error()));
  }
  book.settle(transaction, batch.front().target->tenant.prefix());
  co_return Status{};
}

Async<void> Outbox::commit(const Store& store, const Publications& batch) {
  // Per entity, in order of arrival.
  std::map<const Bytes*, std::vector<const Publication*>,
           decltype([](const Bytes* a, const Bytes* b) { return *a < *b; })>
      by_entity;
  bool has_keys = false;
  for (const auto& publication : batch) {
    if (publication.refused) continue;
    has_keys = has_keys || publication.keyed;
    by_entity[&publication.target->keys.pushed()].push_back(&publication);
  }
  auto result = co_await store.transact([&](Transaction& transaction) -> Async<void> {
    if (has_keys) {
      SEMPER_CO_TRY_STATUS(co_await meet_keys(transaction, batch));
    }
    Enqueuer enqueuer(transaction);
    for (const auto& [key, publications] : by_entity) {
      enqueuer.to(publications.front()->target->keys);
      for (const auto* publication : publications) {
        const auto& keyed = publication->keyed;
        if (keyed && !keyed->is_sent) continue;
        for (const auto& message : publication->messages) {
          const MessageKey* const with = keyed ? keyed->key.get() : nullptr;
          const CallChain* of_chain = publication->chain.get();
          if (SEMPER_MUTANT("server_call_chain_ends_at_its_host")) of_chain = nullptr;
          enqueuer.add(publication->event, message, publication->caller, nullptr, with, of_chain);
          if (SEMPER_MUTANT("server_batch_of_casts_cut_short")) break;
        }
      }
    }
    enqueuer.finish();
    for (const auto& publication : batch) {
      if (publication.refused || (publication.keyed && publication.keyed->answer)) continue;
      for (const auto& row : publication.alongside) transaction.set(row.key, row.value);
    }
    co_return Status{};
  });
  co_return result;
}

}  // namespace semper::internal
