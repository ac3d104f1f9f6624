#include "locked_task.h"

#include <utility>

#include "replies.h"
#include "semper/base/log.h"
#include "served_type.h"
#include "slot.h"

namespace semper::internal {
namespace {

// Attempts to write a result back against priority messages that change the state meanwhile.
constexpr int kReleaseAttempts = 50;

}  // namespace

// What a holder and its renewing coroutine share.
struct LockedTask::Renewal {
  OneShot<std::monostate> over;
  std::stop_source lost;
};

// The slot's mark that this process attends to the lock.
class LockedTask::Attending {
 public:
  explicit Attending(std::shared_ptr<Slot> slot) : slot_(std::move(slot)) {}
  ~Attending() {
    {
      std::lock_guard lock(slot_->mutex_);
      slot_->lock_attended_ = false;
    }
    slot_->notice_queue(slot_->type_->core().executor);
  }

 private:
  std::shared_ptr<Slot> slot_;
};

void LockedTask::attend(std::shared_ptr<Slot> slot, std::optional<Held> held) {
  {
    std::lock_guard lock(slot->mutex_);
    if (std::exchange(slot->lock_attended_, true) && !held) return;
  }
  const Executor executor = slot->type_->core().executor;
  asio::co_spawn(executor, run(std::move(slot), std::move(held)), asio::detached);
}

Task<void> LockedTask::run(std::shared_ptr<Slot> slot, std::optional<Held> held) {
  auto& core = slot->type_->core();
  auto inside = core.gate.enter();
  if (!inside) co_return;
  const Attending attending(slot);
  while (!core.stopping.stop_requested()) {
    if (!held) {
      auto waited = co_await wait_for_holder(*slot);
      if (!waited) {
        log_warning("server", slot->target().id.to_string() +
                                  ": waiting for the lock: " + waited.error().to_string());
        if (!co_await sleep_for(core.clock(), core.options.lock_lease)) co_return;
        continue;
      }
      if (!*waited) co_return;
      held = std::move(*waited);
    }
    core.counters.locks.fetch_add(1);
    const Status released = co_await hold(slot, *held);
    core.counters.locks.fetch_sub(1);
    if (!released) {
      log_warning("server",
                  slot->target().id.to_string() +
                      ": the locked result was not written: " + released.error().to_string());
    }
    co_return;
  }
}

// Returns when the lock is gone (nothing), or was taken over.
Async<std::optional<LockedTask::Held>> LockedTask::wait_for_holder(Slot& slot) {
  auto& core = slot.type_->core();
  const auto& keys = slot.target().keys;
  const Duration lease = core.options.lock_lease;
  std::optional<std::pair<std::uint64_t, std::uint64_t>> last;
  MonotonicTime unchanged_since{};
  while (!core.stopping.stop_requested()) {
    Transaction transaction = core.store().begin();
    SEMPER_CO_TRY(const auto raw, co_await transaction.get(keys.header()));
    if (!raw) co_return std::nullopt;
    SEMPER_CO_TRY(const auto header, Header::decode(*raw));
    if (!header.lock) co_return std::nullopt;
    SEMPER_CO_TRY(const auto renewals, co_await transaction.get(keys.lock_renewal()));
    const std::pair seen{header.lock->nonce, counter_value(renewals)};
    const MonotonicTime now = core.clock().now();
    if (last != seen) {
      last = seen;
      unchanged_since = now;
    } else if (now - unchanged_since >= lease) {
      auto held = co_await take_over(slot, seen.first);
      if (held || held.error().kind() != ErrorKind::conflict) co_return held;
      continue;
    }
    SEMPER_CO_TRY(auto watch, co_await transaction.watch(keys.header()));
    auto changed = co_await watch->changed(core.clock().after(lease / 3));
    if (!changed && changed.error().kind() != ErrorKind::timeout) co_return fail(changed.error());
  }
  co_return std::nullopt;
}

// Makes the lock of this nonce ours. Error: conflict where it changed meanwhile.
Async<std::optional<LockedTask::Held>> LockedTask::take_over(Slot& slot, std::uint64_t nonce) {
  auto& core = slot.type_->core();
  Entity entity(slot.shared_target());
  Transaction transaction = core.store().begin();
  SEMPER_CO_TRY_STATUS(co_await entity.load(transaction, slot.type_->behaviour(), 1));
  auto& header = entity.header();
  if (!header.lock || header.lock->nonce != nonce || entity.segments().empty()) {
    co_return fail(ErrorKind::conflict, "the lock has changed");
  }
  Held held;
  held.nonce = core.env().random->next();
  held.message = entity.segments().front().messages.at(header.head_offset);
  const std::string before = header.lock->owner;
  const auto now = core.clock().wall_time().time_since_epoch();
  if (!entity.has_state()) {
    // It was reset meanwhile: the message is handled from its beginning.
    header.lock.reset();
    SEMPER_CO_TRY_STATUS(entity.save(transaction, slot.type_->behaviour()));
    transaction.clear(slot.target().keys.lock_renewal());
    SEMPER_CO_TRY_STATUS(co_await transaction.commit());
    co_return std::nullopt;
  }
  header.lock = LockRecord{held.nonce, core.name,
                           std::chrono::duration_cast<std::chrono::milliseconds>(now).count()};
  transaction.add(slot.target().keys.lock_renewal(), 1);
  SEMPER_CO_TRY_STATUS(entity.save(transaction, slot.type_->behaviour()));
  SEMPER_CO_TRY(const auto stamp, co_await transaction.commit());
  entity.committed(stamp, false);
  held.encoded_state = entity.encoded();
  held.fencing_token = stamp.version();
  core.counters.takeovers.fetch_add(1);
  log_warning("server", slot.target().id.to_string() + ": took the lock over from " + before +
                            ", which did not renew it");
  co_return held;
}

Async<void> LockedTask::hold(const std::shared_ptr<Slot>& slot, const Held& held) {
  auto& core = slot->type_->core();
  auto renewal = std::make_shared<Renewal>();
  const std::stop_callback on_host_stop(core.stopping.get_token(),
                                        [renewal] { renewal->lost.request_stop(); });
  struct EndRenewal {
    std::shared_ptr<Renewal> renewal;
    ~EndRenewal() { renewal->over.set({}); }
  } end_renewal{renewal};
  asio::co_spawn(co_await asio::this_coro::executor, renew(slot, held.nonce, renewal),
                 asio::detached);
  Backoff backoff(core.options.message_backoff, *core.env().random);
  for (int attempt = 1;; ++attempt) {
    std::shared_ptr<void> state;
    auto handled = co_await handle(*slot, held, state, renewal->lost.get_token());
    const bool failed = !handled && handled.error().kind() == ErrorKind::internal;
    if (failed && renewal->lost.stop_requested()) {
      co_return fail(handled.error());  // whoever holds the lock now, or next, handles the message
    }
    if (failed && attempt < core.options.message_attempts) {
      core.counters.failures.fetch_add(1);
      SEMPER_CO_TRY_STATUS(co_await sleep_for(core.clock(), backoff.next()));
      continue;
    }
    if (failed) core.counters.failures.fetch_add(1);
    co_return co_await release(*slot, held, std::move(handled), std::move(state));
  }
}

Async<Handled> LockedTask::handle(Slot& slot, const Held& held, std::shared_ptr<void>& state,
                                  std::stop_token lost) {
  auto& core = slot.type_->core();
  auto& behaviour = slot.type_->behaviour();
  auto decoded = behaviour.decode_state(held.encoded_state);
  if (!decoded) co_return fail(ErrorKind::corrupt, decoded.error().message());
  state = std::move(*decoded);
  const Event event = held.message.kind == Kind::call ? Event::call : Event::cast;
  LockedContext context(
      {&slot.target().id, core.env(), event, held.fencing_token, std::move(lost)});
  auto handled = co_await behaviour.handle_locked(held.message.name, held.message.payload,
                                                  state.get(), context);
  if (handled && handled->control.next == Next::lock) {
    co_return fail(ErrorKind::invalid_argument, "handle_locked asked for the lock that it holds");
  }
  co_return handled;
}

Task<void> LockedTask::renew(std::shared_ptr<Slot> slot, std::uint64_t nonce,
                             std::shared_ptr<Renewal> renewal) {
  auto& core = slot->type_->core();
  const auto& keys = slot->target().keys;
  const Duration lease = core.options.lock_lease;
  MonotonicTime renewed = core.clock().now();
  while (true) {
    auto over = co_await renewal->over.wait_until(core.clock(), core.clock().after(lease / 3));
    if (over || over.error().kind() != ErrorKind::timeout) co_return;
    auto result = co_await core.store().transact([&](Transaction& transaction) -> Async<bool> {
      SEMPER_CO_TRY(const auto raw, co_await transaction.get(keys.header()));
      if (!raw) co_return false;
      SEMPER_CO_TRY(const auto header, Header::decode(*raw));
      if (!header.lock || header.lock->nonce != nonce) co_return false;
      transaction.add(keys.lock_renewal(), 1);
      co_return true;
    });
    const MonotonicTime now = core.clock().now();
    if (result && *result) renewed = now;
    // Taken away, or not renewed for so long that another host may have taken it by now.
    const bool lost = (result && !*result) || now - renewed >= lease;
    if (lost && !renewal->over.is_set()) {
      renewal->lost.request_stop();
      co_return;
    }
  }
}

Async<void> LockedTask::release(Slot& slot, const Held& held, Result<Handled> handled,
                                std::shared_ptr<void> state) {
  auto& core = slot.type_->core();
  Status released = fail(ErrorKind::conflict, "");
  for (int i = 0; i < kReleaseAttempts; ++i) {
    released = co_await try_release(slot, held, handled, state);
    if (!released && released.error().kind() == ErrorKind::exhausted && handled) {
      // What it returned is more than the store takes: the next holder would do no better.
      core.counters.failures.fetch_add(1);
      handled = fail(released.error());
      continue;
    }
    if (released || released.error().kind() != ErrorKind::conflict) break;
  }
  co_return released;
}

Async<void> LockedTask::try_release(Slot& slot, const Held& held, const Result<Handled>& handled,
                                    const std::shared_ptr<void>& state) {
  auto& core = slot.type_->core();
  auto& behaviour = slot.type_->behaviour();
  const auto& target = slot.target();
  Entity entity(slot.shared_target());
  Transaction transaction = core.store().begin();
  SEMPER_CO_TRY_STATUS(co_await entity.load(transaction, behaviour, 1));
  auto& header = entity.header();
  if (!header.lock || header.lock->nonce != held.nonce || entity.segments().empty()) {
    co_return fail(ErrorKind::closed,
                   "the lock was taken away meanwhile; its new holder handles the message");
  }
  header.lock.reset();
  header.popped += 1;
  header.head_offset += 1;
  if (header.head_offset == entity.segments().front().messages.size()) {
    transaction.clear(entity.segments().front().key);
    header.head_offset = 0;
  }
  transaction.clear(target.keys.lock_renewal());
  std::vector<OutgoingReply> replies;
  const bool call = held.message.kind == Kind::call;
  if (handled) {
    entity.replace_state(state);
    if (call && handled->error) {
      replies.push_back({held.message.caller, encode_reply_error(*handled->error)});
    } else if (call && handled->replied) {
      replies.push_back(
          {held.message.caller, encode_reply_within(handled->reply, transaction.limits())});
    }
  } else {
    if (call) replies.push_back({held.message.caller, encode_reply_error(handled.error())});
    const auto now = core.clock().wall_time().time_since_epoch();
    transaction.set_versionstamped_key(
        target.keys.dead_letter(0), target.keys.stamp_offset(),
        encode_dead_letter({held.message, handled.error().to_string(),
                            std::chrono::duration_cast<std::chrono::milliseconds>(now).count()}));
  }
  SEMPER_CO_TRY_STATUS(co_await write_replies(transaction, target.tenant.prefix(), replies));
  const auto saved = entity.save(transaction, behaviour);
  // As a result over the store's limits: the next holder would do no better.
  if (!saved) co_return fail(ErrorKind::exhausted, saved.error().message());
  SEMPER_CO_TRY_STATUS(co_await transaction.commit());
  core.counters.messages.fetch_add(1);
  core.counters.transactions.fetch_add(1);
  if (!handled) core.counters.dead_letters.fetch_add(1);
  if (!handled) co_return Status{};
  for (const auto& action : handled->control.actions) {
    try {
      if (action.run(state.get()) == ActionFlow::halt) break;
    } catch (...) {
      log_error("server", target.id.to_string() + ": an action failed: " +
                              exception_error("action", std::current_exception()).message());
    }
  }
  if (handled->control.next == Next::stop) {
    behaviour.terminate(state.get(), handled->control.stop_reason);
  }
  co_return Status{};
}

}  // namespace semper::internal
