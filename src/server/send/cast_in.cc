// Ref::cast_in: messages that are part of a transaction of the caller's own.
//
// Their segments are numbered by the transaction's count of writes, which each of them adds to: so
// those of later calls come behind those of earlier ones, and no two have one key. What a host
// knows of the entity it checks with each commit (Entity::assume), so that nothing of this process
// overtakes them.
#include <algorithm>
#include <utility>

#include "semper/base/internal/mutant.h"
#include "semper/server/ref.h"
#include "server/format/enqueue.h"
#include "server/format/orders.h"
#include "server/send/outbox.h"

namespace semper::internal {
namespace {

static_assert(kCastInOperations < kSegmentsPerTransaction);

// A segment is closed for a message that does not fit, so two of them hold more than kSegmentBytes.
std::size_t most_segments(std::size_t messages, std::size_t bytes) {
  return std::min(messages, 2 * bytes / kSegmentBytes + 1);
}

Status check_store(const Transaction& transaction, const Target& target) {
  // The limits are the backend's own, of which each open store has one.
  if (&transaction.limits() == &target.store().limits()) return {};
  return fail(ErrorKind::invalid_argument,
              "the transaction is not of the store that the Ref of " + target.id.to_string() +
                  " was made with, " + target.store().url() +
                  "; begin it from the Ref's own Store, or a copy of that");
}

Status check_room(const Transaction& transaction, std::size_t segments) {
  const std::size_t writes = transaction.operation_count();
  if (writes + segments <= kCastInOperations) return {};
  return fail(ErrorKind::exhausted, Limit{"kCastInOperations", kCastInOperations},
              "the transaction holds " + std::to_string(writes) + " writes, and " +
                  std::to_string(kCastInOperations) +
                  " are the most beside which it can send; send earlier in it, or in another one");
}

}  // namespace

Async<void> Outbox::cast_in(Transaction& transaction, std::shared_ptr<const Target> target,
                            std::vector<RawMessage> messages) {
  if (messages.empty()) co_return Status{};
  SEMPER_CO_TRY_STATUS(check_store(transaction, *target));
  const auto& limits = transaction.limits();
  std::size_t bytes = 0;
  for (const auto& message : messages) {
    SEMPER_CO_TRY_STATUS(check_message_size(message, {}, limits));
    bytes += queued_size(message);
  }
  if (bytes > limits.transaction_bytes / 2) co_return fail(too_many_bytes(bytes, limits));
  SEMPER_CO_TRY_STATUS(check_room(transaction, most_segments(messages.size(), bytes)));
  if (send_counts_.add(target->keys.pushed(), messages.size())) {
    SEMPER_CO_TRY(const bool full, co_await is_full_in(transaction, *target, ReadMode::snapshot));
    send_counts_.looked(target->keys.pushed(), full);
    if (full) co_return fail(full_queue(*target));
  }
  if (SEMPER_MUTANT("server_cast_in_sends_at_once")) {
    co_return co_await cast(std::move(target), std::move(messages), {});
  }
  const std::size_t first =
      SEMPER_MUTANT("server_cast_in_shares_a_key") ? 0 : transaction.operation_count();
  Enqueuer enqueuer(transaction, static_cast<std::uint16_t>(first));
  enqueuer.to(target->keys);
  for (const auto& message : messages) enqueuer.add(Event::cast, message);
  enqueuer.finish();
  if (SEMPER_MUTANT("server_cast_in_is_not_found")) transaction.clear(target->keys.index());
  co_return Status{};
}

}  // namespace semper::internal
