#include "slot.h"

#include <iterator>
#include <utility>

#include "batch.h"
#include "semper/base/log.h"
#include "served_type.h"

namespace semper::internal {

// The runner's mark on the slot: taken away, with what still waits answered, however it ends.
class Slot::Running {
 public:
  explicit Running(std::shared_ptr<Slot> slot) : slot_(std::move(slot)) {}
  ~Running() {
    if (!slot_) return;
    std::vector<LocalWork> orphans;
    std::shared_ptr<Permit> permit;  // given back without the lock
    {
      std::lock_guard lock(slot_->mutex_);
      orphans.swap(slot_->mailbox_);
      for (auto& work : slot_->priority_) orphans.push_back(std::move(work));
      slot_->priority_.clear();
      slot_->running_ = false;
      permit = std::move(slot_->permit_);
    }
    slot_->entity_.spoil();
    for (auto& work : orphans) {
      work.done.set(fail(ErrorKind::closed, "the loop that ran the entity was stopped"));
    }
  }
  void finished() { slot_.reset(); }

 private:
  std::shared_ptr<Slot> slot_;
};

namespace {

// Batches and priority messages of one runner in a row, after which others on its thread have a
// turn: a store that answers at once would let it go on for as long as its queue does.
constexpr int kRoundsPerYield = 16;

// The first `most` of what waits.
std::vector<LocalWork> take_works(std::vector<LocalWork>& waiting, std::size_t most) {
  if (waiting.size() <= most) {
    std::vector<LocalWork> all;
    all.reserve(waiting.size());  // those that are answered come back, as many
    all.swap(waiting);
    return all;
  }
  const auto end = waiting.begin() + static_cast<std::ptrdiff_t>(most);
  std::vector<LocalWork> taken(std::make_move_iterator(waiting.begin()),
                               std::make_move_iterator(end));
  waiting.erase(waiting.begin(), end);
  return taken;
}

}  // namespace

Slot::Slot(std::shared_ptr<ServedType> type, std::shared_ptr<const Target> target)
    : type_(std::move(type)), target_(std::move(target)), entity_(target_) {}

bool Slot::is_idle() const {
  std::lock_guard lock(mutex_);
  return !running_ && mailbox_.empty() && priority_.empty() && !lock_attended_;
}

bool Slot::has_permit() const {
  std::lock_guard lock(mutex_);
  return permit_ != nullptr;
}

Status Slot::submit(LocalWork work, const Executor& executor) {
  bool start_now = false;
  std::optional<OneShot<std::monostate>> to_wake;
  {
    std::lock_guard lock(mutex_);
    if (mailbox_.size() + priority_.size() >= kMailboxWorks) {
      return fail(ErrorKind::retry, target_->id.to_string() + " has " +
                                        std::to_string(kMailboxWorks) +
                                        " operations waiting; slow down and try again");
    }
    if (work.type == LocalWork::Type::priority) {
      priority_.push_back(std::move(work));
      to_wake.swap(pausing_);
    } else {
      mailbox_.push_back(std::move(work));
    }
    start_now = !std::exchange(running_, true);
  }
  if (to_wake) to_wake->set({});
  if (start_now) start(executor);
  return {};
}

void Slot::notice_queue(const Executor& executor, std::shared_ptr<Permit> permit) {
  bool start_now = false;
  {
    std::lock_guard lock(mutex_);
    if (permit && !permit_) {
      permit_ = std::move(permit);
      turn_ = 0;
    }
    queue_noticed_ = true;
    start_now = !std::exchange(running_, true);
  }
  if (start_now) start(executor);
}

void Slot::look_again() {
  std::lock_guard lock(mutex_);
  queue_noticed_ = true;
}

void Slot::start(const Executor& executor) {
  auto inside = type_->core().gate.enter();
  if (!inside) {
    Running orphaned(shared_from_this());
    return;
  }
  asio::co_spawn(executor, run(shared_from_this(), std::move(*inside)), asio::detached);
}

Task<void> Slot::run(std::shared_ptr<Slot> self, Gate::Holder inside) {
  const Gate::Holder until_the_end = std::move(inside);
  Running running(self);
  std::shared_ptr<Permit> permit;  // given back without the lock
  const auto stopping = self->type_->core().stopping.get_token();
  int urgent_in_row = 0;
  for (int rounds = 1;; ++rounds) {
    std::vector<LocalWork> works;
    std::optional<LocalWork> urgent;
    bool noticed = false;
    bool is_over = false;
    bool gives_way = false;
    {
      std::lock_guard lock(self->mutex_);
      const bool has_queue = self->queue_noticed_ && !stopping.stop_requested();
      gives_way = has_queue && self->permit_ && self->turn_ >= kBatchesPerTurn &&
                  self->permit_->is_wanted();
      if (gives_way) {
        self->queue_noticed_ = false;
        permit = std::move(self->permit_);
      }
      const bool others = !self->mailbox_.empty() || (has_queue && !gives_way);
      if (!self->priority_.empty() && (urgent_in_row < kPriorityInRow || !others)) {
        urgent = std::move(self->priority_.front());
        self->priority_.pop_front();
        ++urgent_in_row;
      } else if (others) {
        urgent_in_row = 0;
        ++self->turn_;
        works = take_works(self->mailbox_, self->type_->core().options.batch_messages);
        noticed = std::exchange(self->queue_noticed_, false);
      } else {
        is_over = true;
        self->running_ = false;
        if (!gives_way) permit = std::move(self->permit_);
        running.finished();
      }
    }
    permit.reset();
    if (gives_way) self->type_->leave_over(shard_of(self->target_->id.id));
    if (is_over) break;
    if (urgent) {
      co_await self->run_priority(std::move(*urgent));
    } else {
      if (works.empty() && self->memory_.empty_looks > 0) {
        static_cast<void>(co_await self->pause(kEmptyPause));
      }
      Batch batch(*self, std::move(works), noticed ? Batch::Notice::queue : Batch::Notice::none,
                  self->type_->core().executor);
      co_await batch.run();
    }
    self->cached_bytes_.store(self->entity_.bytes(), std::memory_order_relaxed);
    if (rounds % kRoundsPerYield == 0) co_await asio::post(asio::use_awaitable);
  }
  self->type_->rest(*self, self->cached_bytes());
}

std::optional<LocalWork> Slot::take_priority() {
  std::lock_guard lock(mutex_);
  pausing_.reset();
  if (priority_.empty()) {
    pausing_.emplace();
    return std::nullopt;
  }
  std::optional<LocalWork> first = std::move(priority_.front());
  priority_.pop_front();
  return first;
}

Async<void> Slot::pause(Duration duration) {
  auto& clock = type_->core().clock();
  const MonotonicTime end = clock.after(duration);
  while (true) {
    auto urgent = take_priority();
    if (urgent) {
      co_await run_priority(std::move(*urgent));
      if (clock.now() >= end) co_return Status{};
      continue;
    }
    OneShot<std::monostate> news;
    {
      std::lock_guard lock(mutex_);
      if (!pausing_) continue;  // one has just come
      news = *pausing_;
    }
    const auto came = co_await news.wait_until(clock, end);
    if (came) continue;
    {
      std::lock_guard lock(mutex_);
      pausing_.reset();
    }
    if (came.error().kind() == ErrorKind::timeout) co_return Status{};
    co_return fail(came.error());
  }
}

Context Slot::context_for(Transaction& transaction, Event event, ReplyToken caller,
                          Context::Sends& sends) const {
  const auto& core = type_->core();
  if (!sends.now) sends.now = core.clock().wall_time();
  sends.counts = &type_->core().send_counts;
  return Context({&target_->tenant, &target_->id, &transaction, core.env(), *sends.now, event,
                  std::move(caller), &sends});
}

void Slot::run_actions(std::vector<Action>& actions) {
  const void* state = entity_.state_unchecked();
  for (auto& action : actions) {
    try {
      if (action.run(state) == ActionFlow::halt) return;
    } catch (...) {
      log_error("server", target_->id.to_string() + ": an action failed: " +
                              exception_error("action", std::current_exception()).message());
    }
  }
}

void Slot::terminate(const std::string& reason) {
  try {
    type_->behaviour().terminate(entity_.state_unchecked(), reason);
  } catch (...) {
    log_error("server", target_->id.to_string() + ": terminate failed: " +
                            exception_error("terminate", std::current_exception()).message());
  }
  entity_.spoil();
}

Task<void> Slot::run_priority(LocalWork work) {
  auto done = work.done;
  Result<Bytes> result = fail(ErrorKind::conflict, "");
  for (int i = 0; i < kConflictAttempts; ++i) {
    try {
      result = co_await attempt_priority(work);
    } catch (...) {
      entity_.spoil();
      result = fail(exception_error(target_->id.to_string(), std::current_exception()));
    }
    if (result || result.error().kind() != ErrorKind::conflict) break;
  }
  done.set_inline(std::move(result));
}

Async<Bytes> Slot::attempt_priority(const LocalWork& work) {
  auto& core = type_->core();
  auto& behaviour = type_->behaviour();
  Transaction transaction = core.store().begin();
  SEMPER_CO_TRY_STATUS(co_await entity_.load(transaction, behaviour, 0));
  SEMPER_CO_TRY(void* state, entity_.state(behaviour));
  entity_.touch();
  Context::Sends sends;
  Context context = context_for(transaction, work.event, {}, sends);
  const RawMessage& message = work.messages.front();
  auto handled = behaviour.handle(message.name, message.payload, state, context);
  const bool locks = handled && handled->control.next == Next::lock;
  if (!handled || locks || sends.refused) {
    entity_.forget();
    if (sends.refused) co_return fail(sends.refused->in(target_->id.to_string()));
    if (locks) co_return fail(ErrorKind::unsupported, "a priority message can not take the lock");
    co_return fail(handled.error().in(target_->id.to_string()));
  }
  // Before anything is committed: what is refused has no effect.
  if (work.event == Event::call && !handled->replied && !handled->error) {
    entity_.forget();
    co_return fail(ErrorKind::unsupported, "a priority call can not be answered later");
  }
  const auto saved = entity_.save(transaction, behaviour);
  if (!saved) {
    entity_.forget();
    co_return fail(saved.error().in(target_->id.to_string()));
  }
  if (transaction.operation_count() > 0) {
    auto committed = co_await transaction.commit();
    if (!committed) {
      entity_.forget();
      co_return fail(committed.error());
    }
    entity_.committed(*committed, false);
  }
  run_actions(handled->control.actions);
  if (handled->control.next == Next::stop) {
    terminate(handled->control.stop_reason);
  }
  if (handled->error) co_return fail(*handled->error);
  co_return std::move(handled->reply);
}

}  // namespace semper::internal
