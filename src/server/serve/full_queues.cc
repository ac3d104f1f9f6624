#include "server/serve/full_queues.h"

#include <string>

#include "semper/base/internal/mutant.h"
#include "server/format/keys.h"
#include "server/format/records.h"

namespace semper::internal {

Async<std::optional<EntityId>> find_full_queue(HostCore& core, const Target& target,
                                               Transaction& transaction, const CallbackSends& sends,
                                               std::uint64_t left) {
  if (SEMPER_MUTANT("server_callbacks_fill_queues")) co_return std::nullopt;
  if (sends.to_itself > 0 && left + sends.to_itself > kQueueMessagesMaximum) co_return target.id;
  for (const auto& [prefix, id] : sends.to_check) {
    const EntityKeys keys(prefix, id);
    SEMPER_CO_TRY(const auto raw, co_await transaction.get(keys.header(), ReadMode::snapshot));
    SEMPER_CO_TRY(const auto pushed, co_await transaction.get(keys.pushed(), ReadMode::snapshot));
    std::uint64_t popped = 0;
    if (raw) {
      // A header that cannot be read is its consumer's to report.
      if (const auto header = Header::decode(*raw)) popped = header->popped;
    }
    const bool is_full = counter_value(pushed) - popped > kQueueMessagesMaximum;
    core.send_counts.looked(keys.pushed(), is_full);
    if (is_full) co_return id;
  }
  co_return std::nullopt;
}

Error queue_is_full(const EntityId& full) {
  return Error(ErrorKind::retry, Limit{"kQueueMessagesMaximum", kQueueMessagesMaximum},
               "the queue of " + full.to_string() + " holds its " +
                   std::to_string(kQueueMessagesMaximum) +
                   " messages; is a host serving its type?");
}

}  // namespace semper::internal
