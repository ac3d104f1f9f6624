#include "server/serve/callbacks.h"

#include <utility>

#include "semper/base/log.h"
#include "server/format/timers.h"

namespace semper::internal {
namespace {

Ran ended(Ran::How how, Error error) {
  Ran ran;
  ran.how = how;
  ran.error = std::move(error);
  return ran;
}

}  // namespace

Tick tick_of(const TickRecord& record) {
  return {record.timer, timer_time(record.nominal_ms), timer_time(record.actual_ms), record.number,
          record.missed};
}

WallTime CallbackRunner::now(CallbackSends& sends) const {
  if (!sends.now) sends.now = served_.core().clock().wall_time();
  return *sends.now;
}

Ran CallbackRunner::run(Transaction& transaction, Event event, const RawMessage& message,
                        ReplyToken caller, CallbackSends& sends, const TickRecord* record) const {
  auto& core = served_.core();
  auto& behaviour = served_.behaviour();
  auto state = entity_.state(behaviour);
  if (!state) return ended(Ran::How::failed, state.error());
  entity_.touch();
  sends.counts = &core.send_counts;
  std::optional<Tick> tick;
  if (record != nullptr) tick = tick_of(*record);
  Context context({&target_.tenant, &target_.id, &transaction, core.env(), now(sends), event,
                   std::move(caller), &sends, tick ? &*tick : nullptr});
  auto handled = behaviour.handle(message.name, message.payload, *state, context);
  if (sends.refused) return ended(Ran::How::refused, *sends.refused);
  if (!handled) {
    const bool may_recover = handled.error().kind() == ErrorKind::internal;
    return ended(may_recover ? Ran::How::failed : Ran::How::unfit, handled.error());
  }
  Ran ran;
  auto& control = handled->control;
  if (control.next == Next::lock) ran.how = Ran::How::wants_lock;
  if (control.next == Next::stop) ran.stop_reason = std::move(control.stop_reason);
  ran.actions = std::move(control.actions);
  if (event != Event::call || !handled->replied) return ran;
  if (handled->error) {
    ran.answer = fail(std::move(*handled->error));
  } else {
    ran.answer = std::move(handled->reply);
  }
  return ran;
}

void CallbackRunner::follow_up(const AfterCommit& after) const {
  const void* state = entity_.state_unchecked();
  for (const auto& actions : after.actions) run_actions(actions, target_.id, state);
  if (!after.stop_reason) return;
  run_terminate(served_.behaviour(), target_.id, state, *after.stop_reason);
  entity_.spoil();
}

void AfterCommit::add(Ran& ran) {
  if (ran.stop_reason) stop_reason = std::move(ran.stop_reason);
  if (!ran.actions.empty()) actions.push_back(std::move(ran.actions));
}

void run_actions(const std::vector<Action>& actions, const EntityId& id, const void* state) {
  for (const auto& action : actions) {
    try {
      if (action.run(state) == ActionFlow::halt) return;
    } catch (...) {
      log_error("server", id.to_string() + ": an action failed: " +
                              exception_error("action", std::current_exception()).message());
    }
  }
}

void run_terminate(Behaviour& behaviour, const EntityId& id, const void* state,
                   const std::string& reason) {
  try {
    behaviour.terminate(state, reason);
  } catch (...) {
    log_error("server", id.to_string() + ": terminate failed: " +
                            exception_error("terminate", std::current_exception()).message());
  }
}

}  // namespace semper::internal
