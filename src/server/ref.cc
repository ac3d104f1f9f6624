#include "semper/server/ref.h"

#include <utility>

#include "enqueue.h"
#include "entity.h"
#include "outbox.h"
#include "peers.h"
#include "replies.h"
#include "served_type.h"
#include "sessions.h"
#include "target.h"

namespace semper {
namespace {

using internal::LocalWork;
using TargetPointer = std::shared_ptr<const internal::Target>;

// Calls in the queue of a killed entity that are told of it; the others run into their timeout.
constexpr std::size_t kKillReplies = 10'000;

std::shared_ptr<internal::ServedType> local_host(const TargetPointer& target) {
  return target->peers->find_host(target->tenant.prefix(), target->id.type);
}

// Waits for the answer of this process's host.
Async<Bytes> answer_of(const TargetPointer& target, OneShot<Result<Bytes>>& done,
                       MonotonicTime deadline) {
  auto result = co_await done.wait_until(*target->store().env().clock, deadline);
  if (result) co_return std::move(*result);
  if (result.error().kind() != ErrorKind::timeout) co_return fail(result.error());
  co_return fail(ErrorKind::timeout, "no reply from " + target->id.to_string() +
                                         " in time; the message may still be processed");
}

Async<Bytes> call(TargetPointer target, RawMessage message, CallOptions options) {
  if (!target->valid) co_return fail(target->valid.error());
  const MonotonicTime deadline = target->store().env().clock->after(options.timeout);
  if (auto served = local_host(target)) {
    LocalWork work{LocalWork::Type::call, Event::call, {}, {}, deadline};
    auto done = work.done;
    work.messages.push_back(std::move(message));
    const auto executor = co_await asio::this_coro::executor;
    SEMPER_CO_TRY_STATUS(served->slot(target)->submit(std::move(work), executor));
    co_return co_await answer_of(target, done, deadline);
  }
  co_return co_await target->sessions->call(target, std::move(message), deadline);
}

Async<void> cast(TargetPointer target, std::vector<RawMessage> messages) {
  if (!target->valid) co_return fail(target->valid.error());
  if (messages.empty()) co_return Status{};
  if (auto served = local_host(target)) {
    LocalWork work{LocalWork::Type::cast, Event::cast, std::move(messages), {}, kNever};
    auto done = work.done;
    const auto executor = co_await asio::this_coro::executor;
    SEMPER_CO_TRY_STATUS(served->slot(target)->submit(std::move(work), executor));
    auto result = co_await done.wait();
    if (!result) co_return fail(result.error());
    if (!*result) co_return fail(result->error());
    co_return Status{};
  }
  std::vector<internal::QueuedMessage> queued;
  queued.reserve(messages.size());
  for (auto& message : messages) {
    queued.push_back(
        {internal::Kind::cast, std::move(message.name), std::move(message.payload), {}});
  }
  co_return co_await target->outbox->publish(target, std::move(queued));
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
  co_return co_await answer_of(target, done, deadline);
}

Async<void> without_value(Async<Bytes> call) {
  SEMPER_CO_TRY_STATUS(co_await std::move(call));
  co_return Status{};
}

// Waiting callers of the queue's messages get `closed`.
Async<void> refuse_queued_calls(Transaction& transaction, const internal::Target& target) {
  std::vector<internal::OutgoingReply> replies;
  KeyRange rest = target.keys.queue();
  while (replies.size() < kKillReplies) {
    SEMPER_CO_TRY(auto page, co_await transaction.get_range(rest));
    for (const auto& row : page.rows) {
      auto messages = internal::decode_segment(row.value);
      if (!messages) continue;  // it is to be deleted, readable or not
      for (auto& message : *messages) {
        if (message.kind != internal::Kind::call) continue;
        replies.push_back(
            {message.caller, internal::encode_reply_error(
                                 Error(ErrorKind::closed, target.id.to_string() + " was killed"))});
      }
    }
    if (!page.more) break;
    rest.begin = key_after(page.rows.back().key);
  }
  co_return co_await internal::write_replies(transaction, target.tenant.prefix(), replies);
}

Async<void> kill(TargetPointer target) {
  if (!target->valid) co_return fail(target->valid.error());
  co_return co_await target->store().transact([&](Transaction& transaction) -> Async<void> {
    SEMPER_CO_TRY(const auto first,
                  co_await transaction.get_range(target->keys.everything(), {.limit = 1}));
    if (first.rows.empty()) {
      co_return fail(ErrorKind::not_found, "there is no " + target->id.to_string());
    }
    SEMPER_CO_TRY_STATUS(co_await refuse_queued_calls(transaction, *target));
    transaction.clear_range(target->keys.everything());
    transaction.clear(target->keys.index());
    co_return Status{};
  });
}

Async<internal::Header> read_header(Transaction& transaction, const internal::Target& target) {
  SEMPER_CO_TRY(const auto raw, co_await transaction.get(target.keys.header()));
  if (!raw) co_return internal::Header();
  auto header = internal::Header::decode(*raw);
  if (!header) co_return fail(header.error().in(target.id.to_string()));
  co_return std::move(*header);
}

Async<void> reset(TargetPointer target) {
  if (!target->valid) co_return fail(target->valid.error());
  co_return co_await target->store().transact([&](Transaction& transaction) -> Async<void> {
    SEMPER_CO_TRY(auto header, co_await read_header(transaction, *target));
    if (!header.has_state) co_return Status{};
    header.has_state = false;
    header.state.clear();
    header.chunks = 0;
    transaction.clear_range(target->keys.chunks());
    transaction.clear(target->keys.parked());
    transaction.set_versionstamped_value(target->keys.header(), header.encode(), 0);
    co_return Status{};
  });
}

Async<void> unlock(TargetPointer target) {
  if (!target->valid) co_return fail(target->valid.error());
  co_return co_await target->store().transact([&](Transaction& transaction) -> Async<void> {
    SEMPER_CO_TRY(auto header, co_await read_header(transaction, *target));
    if (!header.lock) {
      co_return fail(ErrorKind::not_found, target->id.to_string() + " is not locked");
    }
    header.lock.reset();
    transaction.set_versionstamped_value(target->keys.header(), header.encode(), 0);
    transaction.clear(target->keys.lock_renewal());
    transaction.set(target->keys.index(), {});
    transaction.add(target->keys.wake(), 1);
    co_return Status{};
  });
}

Async<std::uint64_t> queue_length(TargetPointer target) {
  if (!target->valid) co_return fail(target->valid.error());
  co_return co_await target->store().transact(
      [&](Transaction& transaction) -> Async<std::uint64_t> {
        SEMPER_CO_TRY(const auto header, co_await read_header(transaction, *target));
        SEMPER_CO_TRY(const auto pushed, co_await transaction.get(target->keys.pushed()));
        co_return internal::counter_value(pushed) - header.popped;
      });
}

}  // namespace

RawRef::RawRef(Tenant tenant, EntityId id)
    : target_(std::make_shared<const internal::Target>(std::move(tenant), std::move(id))) {}

Async<Bytes> RawRef::call(RawMessage message, CallOptions options) const {
  return semper::call(target_, std::move(message), options);
}
Async<void> RawRef::cast(std::vector<RawMessage> messages) const {
  return semper::cast(target_, std::move(messages));
}
Async<Bytes> RawRef::priority_call(RawMessage message, CallOptions options) const {
  return priority(target_, Event::call, std::move(message), options.timeout);
}
Async<void> RawRef::priority_cast(RawMessage message) const {
  return without_value(priority(target_, Event::cast, std::move(message), kForever));
}
Async<void> RawRef::info(RawMessage message) const {
  return without_value(priority(target_, Event::info, std::move(message), kForever));
}
Async<void> RawRef::kill() const {
  return semper::kill(target_);
}
Async<void> RawRef::reset() const {
  return semper::reset(target_);
}
Async<void> RawRef::unlock() const {
  return semper::unlock(target_);
}
Async<std::uint64_t> RawRef::queue_length() const {
  return semper::queue_length(target_);
}

const EntityId& RawRef::entity() const {
  return target_->id;
}
const Tenant& RawRef::tenant() const {
  return target_->tenant;
}

}  // namespace semper
