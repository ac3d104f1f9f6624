#include "slot.h"

#include <iterator>
#include <utility>

#include "batch.h"
#include "semper/base/log.h"
#include "served_type.h"
#include "slot_turns.h"

namespace semper::internal {

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

// What the runner does next.
struct Slot::Round {
  enum class What : std::uint8_t { batch, priority, leaves, over };
  What what = What::over;
  std::vector<LocalWork> works;
  bool noticed = false;
  std::optional<LocalWork> urgent;
  bool gives_way = false;
  std::optional<Running> next;  // `leaves`: goes on with the work
  // Given back without the lock.
  std::shared_ptr<Permit> permit;
  std::shared_ptr<Permit> alone;
  std::optional<Gate::Holder> inside;
};

Slot::Slot(std::shared_ptr<ServedType> type, std::shared_ptr<const Target> target)
    : type_(std::move(type)), target_(std::move(target)), desk_(std::make_shared<Desk>(target_)) {}

bool Slot::is_idle() const {
  std::lock_guard lock(mutex_);
  return !running_ && mailbox_.empty() && priority_.empty() && !lock_attended_;
}

bool Slot::has_permit() const {
  std::lock_guard lock(mutex_);
  return permit_ != nullptr;
}

Status Slot::submit(LocalWork work, const Executor& executor) {
  std::uint64_t started = 0;
  bool watch = false;
  std::optional<OneShot<std::monostate>> to_wake;
  work.loop = context_of(executor);
  {
    std::lock_guard lock(mutex_);
    if (mailbox_.size() + priority_.size() >= kMailboxWorks) {
      return fail(ErrorKind::retry, target_->id.to_string() + " has " +
                                        std::to_string(kMailboxWorks) +
                                        " operations waiting; slow down and try again");
    }
    if (!running_) {
      started = begin_turn(Loop(executor));
    } else {
      watch = work.loop != loop_ && wants_watch();
    }
    if (work.loop == loop_) ++waiting_there_;
    if (work.type == LocalWork::Type::priority) {
      priority_.push_back(std::move(work));
      to_wake.swap(pausing_);
    } else {
      mailbox_.push_back(std::move(work));
    }
  }
  if (to_wake) to_wake->set({});
  if (watch) begin_watch();
  if (started != 0) start(started, executor);
  return {};
}

void Slot::notice_queue(std::shared_ptr<Permit> permit) {
  const Loop& home = type_->core().home;
  std::uint64_t started = 0;
  bool watch = false;
  {
    std::lock_guard lock(mutex_);
    if (permit && !permit_) {
      permit_ = std::move(permit);
      batches_ = 0;
    }
    queue_noticed_ = true;
    if (!running_) {
      started = begin_turn(home);
    } else {
      watch = wants_watch();
    }
  }
  if (watch) begin_watch();
  if (started == 0) return;
  if (home.runs_here()) {
    start(started, home.executor());
  } else {
    start_at_home(Running(shared_from_this(), started));
  }
}

void Slot::look_again(std::uint64_t turn) {
  std::lock_guard lock(mutex_);
  if (turn_ == turn) queue_noticed_ = true;
}

Slot::Round Slot::next_round(Running& running, int& urgent_in_row) {
  Round round;
  const bool stopping = type_->core().stopping.stop_requested();
  std::lock_guard lock(mutex_);
  if (turn_ != running.turn()) {
    running.finished();
    return round;
  }
  if (!running.desk()) running.use(desk_);
  in_hand_.clear();
  round.alone.swap(alone_);
  desk_->loop = loop_;
  leave_callbacks(*desk_);
  cached_bytes_.store(desk_->entity.bytes(), std::memory_order_relaxed);
  const bool has_queue = queue_noticed_ && !stopping;
  round.gives_way = has_queue && permit_ && batches_ >= kBatchesPerTurn && permit_->is_wanted();
  if (round.gives_way) {
    queue_noticed_ = false;
    round.permit = std::move(permit_);
  }
  const bool others = !mailbox_.empty() || (has_queue && !round.gives_way);
  if (!others && priority_.empty()) {
    running_ = false;
    if (!round.gives_way) round.permit = std::move(permit_);
    round.inside = std::exchange(inside_, std::nullopt);
    where_ = Loop();
    running.finished();
    return round;
  }
  if (is_borrowed() && waiting_there_ == 0) {
    const Loop& home = type_->core().home;
    running.finished();
    round.what = Round::What::leaves;
    round.next.emplace(shared_from_this(), begin_turn(home));
    return round;
  }
  if (!priority_.empty() && (urgent_in_row < kPriorityInRow || !others)) {
    round.what = Round::What::priority;
    round.urgent = std::move(priority_.front());
    priority_.pop_front();
    hold_answer(*round.urgent);
    ++urgent_in_row;
    return round;
  }
  urgent_in_row = 0;
  ++batches_;
  take_batch(round);
  return round;
}

void Slot::take_batch(Round& round) {
  round.what = Round::What::batch;
  round.works = take_works(mailbox_, type_->core().options.batch_messages);
  round.noticed = std::exchange(queue_noticed_, false);
  // Mostly all are of the runner's own loop.
  if (priority_.empty() && mailbox_.empty() && waiting_there_ == round.works.size()) {
    waiting_there_ = 0;
  } else {
    for (const auto& work : round.works) hold_answer(work);
  }
  desk_->in_callbacks.store(true, std::memory_order_relaxed);
}

Task<void> Slot::run(Running running) {
  const std::shared_ptr<Slot> self = running.slot();
  const std::uint64_t turn = running.turn();
  int urgent_in_row = 0;
  for (int rounds = 1;; ++rounds) {
    Round round = self->next_round(running, urgent_in_row);
    round.alone.reset();
    round.permit.reset();
    if (round.gives_way) self->type_->leave_over(shard_of(self->target_->id.id));
    if (round.what == Round::What::leaves) {
      self->start_at_home(std::move(*round.next));
      co_return;
    }
    if (round.what == Round::What::over) {
      if (round.inside) self->type_->rest(*self, self->cached_bytes());
      co_return;
    }
    const std::shared_ptr<Desk>& desk = running.desk();
    if (round.urgent) {
      co_await self->run_priority(desk, turn, std::move(*round.urgent));
    } else {
      if (round.works.empty() && desk->empty_looks > 0) {
        leave_callbacks(*desk);
        static_cast<void>(co_await self->pause(desk, turn, kEmptyPause));
      }
      Batch batch(*self, desk, turn, std::move(round.works),
                  round.noticed ? Batch::Notice::queue : Batch::Notice::none);
      co_await batch.run();
    }
    if (rounds % kRoundsPerYield == 0) co_await asio::post(asio::use_awaitable);
  }
}

std::optional<LocalWork> Slot::take_priority(std::uint64_t turn) {
  std::lock_guard lock(mutex_);
  if (turn_ != turn) return std::nullopt;
  pausing_.reset();
  if (priority_.empty()) {
    pausing_.emplace();
    return std::nullopt;
  }
  std::optional<LocalWork> first = std::move(priority_.front());
  priority_.pop_front();
  hold_answer(*first);
  return first;
}

Async<void> Slot::pause(std::shared_ptr<Desk> desk, std::uint64_t turn, Duration duration) {
  auto& clock = type_->core().clock();
  const MonotonicTime end = clock.after(duration);
  while (true) {
    auto urgent = take_priority(turn);
    if (urgent) {
      co_await run_priority(desk, turn, std::move(*urgent));
      if (clock.now() >= end) co_return Status{};
      continue;
    }
    OneShot<std::monostate> news;
    {
      std::lock_guard lock(mutex_);
      if (turn_ != turn) co_return Status{};
      if (!pausing_) continue;  // one has just come
      news = *pausing_;
    }
    const auto came = co_await news.wait_until(clock, end);
    if (came) continue;
    {
      std::lock_guard lock(mutex_);
      if (turn_ == turn) pausing_.reset();
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

void Slot::run_actions(const Entity& entity, std::vector<Action>& actions) const {
  const void* state = entity.state_unchecked();
  for (auto& action : actions) {
    try {
      if (action.run(state) == ActionFlow::halt) return;
    } catch (...) {
      log_error("server", target_->id.to_string() + ": an action failed: " +
                              exception_error("action", std::current_exception()).message());
    }
  }
}

void Slot::terminate(Entity& entity, const std::string& reason) const {
  try {
    type_->behaviour().terminate(entity.state_unchecked(), reason);
  } catch (...) {
    log_error("server", target_->id.to_string() + ": terminate failed: " +
                            exception_error("terminate", std::current_exception()).message());
  }
  entity.spoil();
}

Task<void> Slot::run_priority(std::shared_ptr<Desk> desk, std::uint64_t turn, LocalWork work) {
  Result<Bytes> result = fail(ErrorKind::conflict, "");
  for (int i = 0; i < kConflictAttempts; ++i) {
    try {
      result = co_await attempt_priority(*desk, turn, work);
    } catch (...) {
      desk->entity.spoil();
      result = fail(exception_error(target_->id.to_string(), std::current_exception()));
    }
    leave_callbacks(*desk);
    if (result || result.error().kind() != ErrorKind::conflict) break;
    if (has_turn(turn)) continue;
    std::vector<LocalWork> undone;
    undone.push_back(std::move(work));
    give_back(std::move(undone));
    co_return;
  }
  auto done = std::move(work.done);
  done.set_inline(std::move(result));
}

Async<Bytes> Slot::attempt_priority(Desk& desk, std::uint64_t turn, const LocalWork& work) {
  auto& core = type_->core();
  auto& behaviour = type_->behaviour();
  Entity& entity = desk.entity;
  Transaction transaction = core.store().begin();
  SEMPER_CO_TRY_STATUS(co_await entity.load(transaction, behaviour, 0));
  if (!enter_callbacks(desk, turn)) co_return fail(ErrorKind::conflict, "the turn is over");
  SEMPER_CO_TRY(void* state, entity.state(behaviour));
  entity.touch();
  Context::Sends sends;
  Context context = context_for(transaction, work.event, {}, sends);
  const RawMessage& message = work.messages.front();
  auto handled = behaviour.handle(message.name, message.payload, state, context);
  const bool locks = handled && handled->control.next == Next::lock;
  if (!handled || locks || sends.refused) {
    entity.forget();
    if (sends.refused) co_return fail(sends.refused->in(target_->id.to_string()));
    if (locks) co_return fail(ErrorKind::unsupported, "a priority message can not take the lock");
    co_return fail(handled.error().in(target_->id.to_string()));
  }
  // Before anything is committed: what is refused has no effect.
  if (work.event == Event::call && !handled->replied && !handled->error) {
    entity.forget();
    co_return fail(ErrorKind::unsupported, "a priority call can not be answered later");
  }
  const auto saved = entity.save(transaction, behaviour);
  if (!saved) {
    entity.forget();
    co_return fail(saved.error().in(target_->id.to_string()));
  }
  leave_callbacks(desk);
  if (transaction.operation_count() > 0) {
    auto committed = co_await transaction.commit();
    if (!committed) {
      entity.forget();
      co_return fail(committed.error());
    }
    entity.committed(*committed, false);
  }
  const bool stops = handled->control.next == Next::stop;
  if ((stops || !handled->control.actions.empty()) && enter_callbacks(desk, turn)) {
    run_actions(entity, handled->control.actions);
    if (stops) terminate(entity, handled->control.stop_reason);
  }
  if (handled->error) co_return fail(*handled->error);
  co_return std::move(handled->reply);
}

}  // namespace semper::internal
