#include "server/serve/type_counters.h"

namespace semper::internal {
namespace {

// Up to 2^20: a queue is full at its bound, a batch long before.
constexpr metrics::HistogramOptions kMessages{.scale = 1, .smallest_power = 0, .largest_power = 20};

}  // namespace

TypeCounters::TypeCounters(metrics::Registry* registry, const std::string& type) {
  if (registry == nullptr) return;
  const metrics::Labels of{{"type", type}};
  const auto show = [&](Count& count, const char* name, const char* help) {
    count.show_in(registry->counter({name, help}, of));
  };
  show(messages, "semper_server_messages_total", "Messages processed and committed");
  show(transactions, "semper_server_transactions_total", "Transactions of messages committed");
  show(conflicts, "semper_server_conflicts_total", "Attempts that lost against another writer");
  show(failures, "semper_server_failures_total", "Runs of messages that failed");
  show(dead_letters, "semper_server_dead_letters_total", "Messages set aside");
  show(parked, "semper_server_parked_total", "States that could not be decoded");
  show(cache_misses, "semper_server_cache_misses_total", "Entities read from the store");
  show(takeovers, "semper_server_takeovers_total", "Locks taken from holders that were gone");
  show(left_alone, "semper_server_left_alone_total", "Looks at entities left to other hosts");
  show(ticks, "semper_server_ticks_total", "Ticks of timers put into queues");
  show(expired, "semper_server_expired_total",
       "Entities removed because nobody sent them anything");
  show(limited, "semper_server_limited_total", "Waits of entities for a limit of their type");
  locks.show_in(registry->gauge({"semper_server_locks", "Callbacks handle_locked that run"}, of));
  const auto show_last = [&](Reading& reading, const char* name, const char* help) {
    reading.show_in(registry->gauge({name, help}, of));
  };
  show_last(oldest, "semper_server_oldest_message_seconds",
            "For how long the oldest message has waited, at least, that this host knows of");
  show_last(cached_entities, "semper_server_cached_entities", "Decoded states in memory");
  show_last(cached_bytes, "semper_server_cached_bytes", "Bytes of their encodings");
  batch.show_in(registry->histogram(
      {"semper_server_batch_messages", "Messages of one entity in one commit"}, of, kMessages));
  callbacks.show_in(registry->histogram(
      {"semper_server_callback_seconds", "Time in the callbacks of one entity for one commit"},
      of));
  queue.show_in(registry->histogram(
      {"semper_server_queue_messages", "Messages in an entity's queue, as its batches find it"}, of,
      kMessages));
}

}  // namespace semper::internal
