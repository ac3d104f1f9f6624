// The part of a Batch that runs callbacks; nothing here reads or commits.
#include <algorithm>
#include <utility>

#include "batch_effects.h"
#include "enqueue.h"
#include "semper/base/log.h"
#include "served_type.h"
#include "slot.h"

namespace semper::internal {
namespace {

std::string_view kind_name(Kind kind) {
  return kind == Kind::call ? "call " : "cast ";
}

}  // namespace

// Messages and works of this attempt at most.
std::size_t Batch::limit() const {
  return std::min(limit_, desk_->most);
}

bool Batch::is_half_full(const Transaction& transaction, const Effects& effects) {
  const auto& limits = transaction.limits();
  return transaction.size_bytes() + effects.reply_bytes > limits.transaction_bytes / 2 ||
         transaction.operation_count() + effects.replies.size() >
             limits.transaction_operations / 2 ||
         effects.sends.segments > kSegmentsPerTransaction / 2;
}

void Batch::execute(Transaction& transaction, Effects& effects) {
  const Clock& clock = slot_.type().core().clock();
  const MonotonicTime began = clock.now();
  effects.head_offset = entity_.header().head_offset;
  if (slot_.type().consumes()) run_queued(transaction, effects);
  const bool interrupted =
      effects.failure || effects.lock || effects.stop_reason || effects.executed >= limit();
  effects.drained =
      entity_.has_all_segments() && effects.finished_segments == entity_.segments().size();
  if (!interrupted && effects.drained) run_local(transaction, effects);
  effects.ran_for = clock.now() - began;
}

void Batch::run_queued(Transaction& transaction, Effects& effects) {
  auto& core = slot_.type().core();
  if (!entity_.segments().empty()) {
    const auto stamp = EntityKeys::stamp_in(entity_.segments().front().key);
    if (stamp) effects.head = {*stamp, effects.head_offset};
  }
  const std::size_t most = std::min(limit(), core.options.batch_messages);
  const MonotonicTime until = core.clock().after(core.options.batch_time);
  for (auto& segment : entity_.segments()) {
    while (effects.head_offset < segment.messages.size()) {
      const bool over = effects.executed >= most ||
                        (effects.executed > 0 && core.clock().now() >= until) ||
                        is_half_full(transaction, effects);
      if (over) return;
      const QueuedMessage& message = segment.messages[effects.head_offset];
      if (effects.executed == 0 && burial_ && burial_->place == effects.head) {
        bury(message, burial_->reason, effects);
        effects.head_buried = true;
      } else if (!run_message(message, transaction, effects)) {
        return;
      }
      ++effects.executed;
      ++effects.popped;
      ++effects.head_offset;
      if (effects.stop_reason) break;
    }
    if (effects.head_offset < segment.messages.size()) return;
    ++effects.finished_segments;
    effects.head_offset = 0;
    if (effects.stop_reason) return;
  }
}

// Runs one queued message. False: it failed, or asked for the lock, and stays where it is.
bool Batch::run_message(const QueuedMessage& message, Transaction& transaction, Effects& effects) {
  auto& behaviour = slot_.type().behaviour();
  const Event event = message.kind == Kind::call ? Event::call : Event::cast;
  auto state = entity_.state(behaviour);
  if (!state) {
    effects.failure = state.error();
    return false;
  }
  entity_.touch();
  Context context = slot_.context_for(transaction, event, message.caller, effects.sends);
  auto handled = behaviour.handle(message.name, message.payload, *state, context);
  if (effects.sends.refused) {
    effects.failure = effects.sends.refused;
    return false;
  }
  if (!handled) {
    if (handled.error().kind() != ErrorKind::internal) {
      refuse(message, handled.error(), effects);
      return true;
    }
    effects.failure = handled.error();
    return false;
  }
  if (handled->control.next == Next::lock) {
    effects.lock = LockedTask::Held{slot_.type().core().env().random->next(), message, {}, 0};
    return false;
  }
  if (handled->control.next == Next::stop) effects.stop_reason = handled->control.stop_reason;
  if (message.kind == Kind::call && handled->error) {
    effects.reply(message.caller, encode_reply_error(*handled->error));
  } else if (message.kind == Kind::call && handled->replied) {
    effects.reply(message.caller, encode_reply_within(handled->reply, transaction.limits()));
  }
  if (!handled->control.actions.empty()) {
    effects.actions.push_back(std::move(handled->control.actions));
  }
  return true;
}

// No callback has run, and none will ever take it. A caller gets the message's mistake in a reply and can
// send it again; a cast has nobody.
void Batch::refuse(const QueuedMessage& message, const Error& reason, Effects& effects) const {
  if (message.kind == Kind::cast) return bury(message, reason, effects);
  effects.refusals.push_back({effects.replies.size(), letter_of(message, reason)});
  effects.reply(message.caller, encode_reply_error(reason));
}

void Batch::keep_unheard(const std::vector<std::size_t>& places, Effects& effects) const {
  for (auto& refusal : effects.refusals) {
    if (std::binary_search(places.begin(), places.end(), refusal.reply)) {
      set_aside(std::move(refusal.letter), effects);
    }
  }
}

// A call's caller gets the error, too.
void Batch::bury(const QueuedMessage& message, const Error& reason, Effects& effects) const {
  if (message.kind == Kind::call) {
    effects.reply(message.caller, encode_reply_error(reason));
  }
  set_aside(letter_of(message, reason), effects);
}

DeadLetterRecord Batch::letter_of(const QueuedMessage& message, const Error& reason) const {
  const auto now = slot_.type().core().clock().wall_time().time_since_epoch();
  return {message, reason.to_string(),
          std::chrono::duration_cast<std::chrono::milliseconds>(now).count()};
}

void Batch::set_aside(DeadLetterRecord letter, Effects& effects) const {
  log_warning("server", slot_.target().id.to_string() + ": " +
                            std::string(kind_name(letter.message.kind)) + letter.message.name +
                            " was set aside: " + letter.reason);
  effects.dead_letters.push_back(std::move(letter));
}

void Batch::run_local(Transaction& transaction, Effects& effects) {
  auto& core = slot_.type().core();
  effects.answers.reserve(works_.size());
  const MonotonicTime until = core.clock().after(core.options.batch_time);
  for (const auto& work : works_) {
    const bool over = effects.executed >= limit() ||
                      (effects.executed > 0 && core.clock().now() >= until) ||
                      is_half_full(transaction, effects);
    if (over || effects.stop_reason) return;
    switch (run_work(work, transaction, effects)) {
      case Ran::yes:
        ++effects.works_run;
        ++effects.executed;
        break;
      case Ran::failed:
        effects.failure_is_local = true;
        return;
      case Ran::needs_queue:
        effects.reroute = true;
        return;
    }
  }
}

Batch::Ran Batch::run_work(const LocalWork& work, Transaction& transaction, Effects& effects) {
  auto& behaviour = slot_.type().behaviour();
  const bool call = work.type == LocalWork::Type::call;
  Result<Bytes> answer = Bytes();
  for (const auto& message : work.messages) {
    auto state = entity_.state(behaviour);
    if (!state) {
      effects.failure = state.error();
      return Ran::failed;
    }
    entity_.touch();
    Context context = slot_.context_for(transaction, work.event, {}, effects.sends);
    auto handled = behaviour.handle(message.name, message.payload, *state, context);
    if (!handled || effects.sends.refused) {
      effects.failure = handled ? *effects.sends.refused : handled.error();
      return Ran::failed;
    }
    if (handled->control.next == Next::lock || (call && !handled->replied)) return Ran::needs_queue;
    if (handled->control.next == Next::stop) effects.stop_reason = handled->control.stop_reason;
    if (!handled->control.actions.empty()) {
      effects.actions.push_back(std::move(handled->control.actions));
    }
    if (call && handled->error) {
      answer = fail(*handled->error);
    } else if (call) {
      answer = std::move(handled->reply);
    }
  }
  effects.answers.push_back(std::move(answer));
  return Ran::yes;
}

}  // namespace semper::internal
