#include "semper/server/ref.h"

#include <utility>

#include "administration.h"
#include "outbox.h"
#include "peers.h"
#include "semper/env/cancellation.h"
#include "served_type.h"
#include "sessions.h"
#include "target.h"

namespace semper {
namespace {

using internal::LocalWork;
using TargetPointer = std::shared_ptr<const internal::Target>;

std::shared_ptr<internal::ServedType> local_host(const TargetPointer& target) {
  return target->peers->find_host(target->tenant.prefix(), target->id.type);
}

// What came of an operation that this process's host was handed.
Result<Bytes> outcome(Result<Result<Bytes>> answer, const internal::Target& target) {
  if (answer) return std::move(*answer);
  if (answer.error().kind() != ErrorKind::timeout) return fail(answer.error());
  return fail(ErrorKind::timeout, "no reply from " + target.id.to_string() +
                                      " in time; the message may still be processed");
}

Async<Bytes> call(TargetPointer target, RawMessage message, CallOptions options) {
  if (!target->valid) co_return fail(target->valid.error());
  const MonotonicTime deadline = target->store().env().clock->after(options.timeout);
  auto served = local_host(target);
  if (!served) {
    co_return co_await run_through(target->sessions->call(target, std::move(message), deadline));
  }
  LocalWork work{LocalWork::Type::call, Event::call, {}, {}, deadline};
  auto done = work.done;
  work.messages.push_back(std::move(message));
  const auto executor = co_await asio::this_coro::executor;
  SEMPER_CO_TRY_STATUS(served->slot(target)->submit(std::move(work), executor));
  // The only wait, and nothing after it: run_through would only cost.
  auto answer = co_await done.wait_until(*target->store().env().clock, deadline);
  co_return outcome(std::move(answer), *target);
}

Async<void> cast(TargetPointer target, std::vector<RawMessage> messages) {
  if (!target->valid) co_return fail(target->valid.error());
  if (messages.empty()) co_return Status{};
  if (auto served = local_host(target)) {
    LocalWork work{LocalWork::Type::cast, Event::cast, std::move(messages), {}, kNever};
    auto done = work.done;
    const auto executor = co_await asio::this_coro::executor;
    SEMPER_CO_TRY_STATUS(served->slot(target)->submit(std::move(work), executor));
    auto answer = co_await done.wait();
    SEMPER_CO_TRY_STATUS(outcome(std::move(answer), *target));
    co_return Status{};
  }
  std::vector<internal::QueuedMessage> queued;
  queued.reserve(messages.size());
  for (auto& message : messages) {
    queued.push_back(
        {internal::Kind::cast, std::move(message.name), std::move(message.payload), {}});
  }
  co_return co_await run_through(target->outbox->publish(target, std::move(queued)));
}

Async<Bytes> priority(TargetPointer target, Event event, RawMessage message, Duration timeout) {
  if (!target->valid) co_return fail(target->valid.error());
  auto served = local_host(target);
  if (!served) {
    co_return fail(ErrorKind::unsupported,
                   "priority messages run in this process, and no host in it serves type " +
                       target->id.type + "; make one that does, or send a call or cast");
  }
  const MonotonicTime deadline = target->store().env().clock->after(timeout);
  LocalWork work{LocalWork::Type::priority, event, {}, {}, deadline};
  auto done = work.done;
  work.messages.push_back(std::move(message));
  const auto executor = co_await asio::this_coro::executor;
  SEMPER_CO_TRY_STATUS(served->slot(target)->submit(std::move(work), executor));
  auto answer = co_await done.wait_until(*target->store().env().clock, deadline);
  co_return outcome(std::move(answer), *target);
}

Async<void> without_value(Async<Bytes> call) {
  SEMPER_CO_TRY_STATUS(co_await std::move(call));
  co_return Status{};
}

}  // namespace

RawRef::RawRef(Tenant tenant, EntityId id)
    : target_(std::make_shared<const internal::Target>(std::move(tenant), std::move(id))) {}

// Each ends where it says so when its coroutine is cancelled, with an error instead of an exception.
Async<Bytes> RawRef::call(RawMessage message, CallOptions options) const {
  return semper::call(target_, std::move(message), options);
}
Async<void> RawRef::cast(std::vector<RawMessage> messages) const {
  return semper::cast(target_, std::move(messages));
}
Async<Bytes> RawRef::priority_call(RawMessage message, CallOptions options) const {
  return run_through(priority(target_, Event::call, std::move(message), options.timeout));
}
Async<void> RawRef::priority_cast(RawMessage message) const {
  return run_through(without_value(priority(target_, Event::cast, std::move(message), kForever)));
}
Async<void> RawRef::info(RawMessage message) const {
  return run_through(without_value(priority(target_, Event::info, std::move(message), kForever)));
}
Async<void> RawRef::kill() const {
  return run_through(internal::kill(target_));
}
Async<void> RawRef::reset() const {
  return run_through(internal::reset(target_));
}
Async<void> RawRef::unlock() const {
  return run_through(internal::unlock(target_));
}
Async<std::uint64_t> RawRef::queue_length() const {
  return run_through(internal::queue_length(target_));
}

const EntityId& RawRef::entity() const {
  return target_->id;
}
const Tenant& RawRef::tenant() const {
  return target_->tenant;
}

}  // namespace semper
