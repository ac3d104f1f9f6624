// The part of a Batch that leaves what this program cannot do with to hosts that can
// (left_alone.h).
#include <string>
#include <utility>

#include "semper/base/internal/mutant.h"
#include "semper/base/log.h"
#include "server/serve/batch.h"
#include "server/serve/expiry.h"

namespace semper::internal {
namespace {

std::string seconds_text(Duration span) {
  return std::to_string(std::chrono::duration_cast<std::chrono::seconds>(span).count()) + " s";
}

}  // namespace

const QueuedMessage* Batch::first_message() const {
  if (entity_.segments().empty()) return nullptr;
  const auto& messages = entity_.segments().front().messages;
  const std::size_t offset = entity_.header().head_offset;
  return offset < messages.size() ? &messages[offset] : nullptr;
}

bool Batch::begins_with_unknown() const {
  const QueuedMessage* const first = first_message();
  return first != nullptr && !served_.behaviour().takes(first->content.name, first->event);
}

bool Batch::begins_with_expiry() const {
  const QueuedMessage* const first = first_message();
  return first != nullptr && is_expiry(*first);
}

// The first message of the queue is not known here. True: it waits, and with it what comes behind
// it. False: it has waited long enough, and is set aside.
Async<bool> Batch::leave_message(const AttemptEffects& effects) {
  entity_.forget();
  must_load_ = true;
  auto& left_alone = served_.left_alone();
  const QueuedMessage& first = entity_.segments().front().messages.at(effects.head.offset);
  const auto left = left_alone.leave(target_->id.id, effects.head, core_.clock().now());
  if (left_alone.is_over(left)) {
    queue_noticed_ = true;
    burial_ = Burial{
        effects.head,
        effects.unknown->in("no host has taken it for " + seconds_text(left.waited) +
                            " (HostOptions::unknown_message_wait), and this one does not know it")};
    co_return false;
  }
  Needs needs;
  needs.message = first.content.name;
  needs.way = static_cast<Way>(first.event);
  co_await leave(needs, left, *effects.unknown);
  reroute_all();
  queue_noticed_ = false;
  co_return true;
}

// The state is another program's. Who waits here for a reply is told; what was sent waits in the
// queue.
Async<void> Batch::leave_state(const Error& error) {
  const Needs needs = *entity_.needs();
  if (needs.newer_program) served_.left_alone().fall_behind();
  if (queue_noticed_) {
    const auto left = served_.left_alone().leave(target_->id.id, {}, core_.clock().now());
    co_await leave(needs, left, error);
  }
  queue_noticed_ = false;
  std::vector<Operation> casts;
  for (auto& operation : std::exchange(operations_, {})) {
    if (operation.event == Event::call) {
      operation.done.set(fail(error));
    } else {
      casts.push_back(std::move(operation));
    }
  }
  enqueue_operations(core_.publishers, target_, std::move(casts), core_.home);
  co_return Status{};
}

Async<bool> Batch::leave_lock() {
  if (entity_.segments().empty() || !served_.consumes()) co_return false;
  const auto& [key, messages] = entity_.segments().front();
  const std::size_t offset = entity_.header().head_offset;
  if (offset >= messages.size()) co_return false;
  const QueuedMessage& first = messages[offset];
  if (served_.behaviour().takes_locked(first.content.name)) co_return false;
  SEMPER_CO_TRY(const auto stamp, EntityKeys::stamp_in(key));
  const QueuePlace head{stamp, static_cast<std::uint32_t>(offset)};
  const auto left = served_.left_alone().leave(target_->id.id, head, core_.clock().now());
  if (served_.left_alone().is_over(left)) co_return false;  // taken over, and set aside
  Needs needs;
  needs.message = first.content.name;
  needs.way = Way::locked;
  co_await leave(needs, left,
                 no_callback_error(served_.type(), first.content.name, "handle_locked"));
  co_return true;
}

// Marks the entity for hosts that know more, unless somebody has done with its queue.
Async<void> Batch::leave(const Needs& needs, const LeftAlone::Left& left, const Error& why) {
  served_.counters().left_alone.add();
  if (left.is_new) {
    log_warning("server", target_->id.to_string() + " is left to other hosts: it needs " +
                              needs.to_string() + ": " + why.message());
  }
  const bool was_announced = desk_.announced.has_value();  // what ran of it was survived
  if (!left.wants_mark && !was_announced) co_return Status{};
  if (SEMPER_MUTANT("server_left_alone_unmarked")) co_return Status{};
  const Bytes mark = needs.encode();
  const auto& keys = target_->keys;
  const auto set_mark = [&](Transaction& transaction) -> Async<void> {
    // Taken away where the queue was emptied meanwhile: then this is a conflict.
    SEMPER_CO_TRY(const auto entry, co_await transaction.get(keys.index()));
    if (entry && was_announced) transaction.clear(keys.announcement());
    if (!entry || *entry == mark) co_return Status{};
    transaction.set(keys.index(), mark);
    transaction.add(keys.wake(), 1);
    co_return Status{};
  };
  const auto marked = co_await core_.store().transact(set_mark);
  if (!marked) {
    log_warning("server", target_->id.to_string() + " could not be marked for other hosts: " +
                              marked.error().to_string());
  } else {
    desk_.announced.reset();
  }
  co_return Status{};
}

}  // namespace semper::internal
