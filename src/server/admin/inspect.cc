// What inspect.h says of one entity.
#include "semper/server/inspect.h"

#include <algorithm>
#include <utility>

#include "semper/store/tuple_text.h"
#include "server/admin/snapshot_reads.h"
#include "server/format/failure_note.h"
#include "server/format/limit_rows.h"
#include "server/format/message_trace.h"
#include "server/format/needs.h"
#include "server/format/records.h"

namespace semper {
namespace {

using internal::EntityKeys;
using namespace internal::admin;

Async<std::optional<Bytes>> read_state(Transaction& transaction, const EntityKeys& keys,
                                       internal::Header& header) {
  if (!header.has_state) co_return std::nullopt;
  if (header.chunks == 0) co_return std::move(header.state);
  Bytes state;
  const auto append = [&](const KeyValue& row) -> Result<bool> {
    state += row.value;
    return true;
  };
  SEMPER_CO_TRY_STATUS(co_await for_each_row(transaction, keys.chunks(), 0, append));
  co_return std::move(state);
}

// Nothing where the note is of another message than the first one, or cannot be read.
Async<std::optional<FailingView>> read_failing(Transaction& transaction, const EntityKeys& keys,
                                               const internal::Standing& standing) {
  SEMPER_CO_TRY(const auto raw, co_await transaction.get(keys.failures(), ReadMode::snapshot));
  if (!raw) co_return std::nullopt;
  const auto note = internal::FailureNote::decode(*raw);
  if (!note) co_return std::nullopt;
  const RangeOptions one{.limit = 1, .mode = ReadMode::snapshot};
  SEMPER_CO_TRY(const auto page, co_await transaction.get_range(standing.queue(keys), one));
  if (page.rows.empty()) co_return std::nullopt;
  SEMPER_CO_TRY(const auto stamp, EntityKeys::stamp_in(page.rows.front().key));
  if (!note->is_of(stamp, standing.header.head_offset)) co_return std::nullopt;
  FailingView view;
  view.attempts = note->attempts;
  view.first_attempt = wall_time(note->first_ms);
  view.last_attempt = wall_time(note->last_ms);
  view.next_attempt = wall_time(note->next_ms);
  view.host = note->host;
  view.reason = note->reason;
  co_return std::move(view);
}

// Nothing where it is of another message than the first one, or cannot be read.
Async<std::optional<LimitedView>> read_limited(Transaction& transaction, const EntityKeys& keys,
                                               const internal::Header& header) {
  SEMPER_CO_TRY(const auto raw, co_await transaction.get(keys.limit_note(), ReadMode::snapshot));
  if (!raw) co_return std::nullopt;
  auto note = internal::LimitNote::decode(*raw);
  if (!note || note->popped != header.popped || header.lock) co_return std::nullopt;
  LimitedView view;
  view.is_rate = note->is_rate;
  view.key = std::move(note->key);
  view.since = wall_time(note->since_ms);
  co_return std::move(view);
}

Async<EntityView> view_entity(Transaction& transaction, const Tenant& tenant,
                              const EntityKeys& keys, const EntityId& id) {
  SEMPER_CO_TRY(auto standing, co_await require_entity(transaction, keys, id));
  auto& header = standing.header;
  EntityView view;
  view.id = id;
  SEMPER_CO_TRY(const auto pushed, co_await transaction.get(keys.pushed(), ReadMode::snapshot));
  const std::uint64_t pushed_count = internal::counter_value(pushed);
  if (pushed_count < header.popped) {
    co_return fail(ErrorKind::corrupt,
                   id.to_string() + ": the queue's counters contradict each other (" +
                       std::to_string(pushed_count) + " pushed, " + std::to_string(header.popped) +
                       " taken; key " + printable_key(keys.pushed()) + ")");
  }
  view.stamp = header.stamp;
  view.state_version = header.state_version;
  view.processed = header.popped;
  view.queue_length = pushed_count - header.popped;
  if (header.lock) {
    view.lock = LockView{std::move(header.lock->owner), wall_time(header.lock->acquired_ms)};
  }
  SEMPER_CO_TRY(view.state, co_await read_state(transaction, keys, header));
  if (!standing.is_killed()) {
    SEMPER_CO_TRY(const auto note, co_await transaction.get(keys.parked(), ReadMode::snapshot));
    if (note) {
      auto parked = internal::ParkedNote::decode(*note);
      if (parked.is_of(view.stamp)) view.parked = std::move(parked.reason);
    }
    SEMPER_CO_TRY(view.dead_letters,
                  co_await count_rows(transaction, keys.dead_letters(), kDeadLettersCounted));
  }
  if (view.queue_length > 0) {
    SEMPER_CO_TRY(view.failing, co_await read_failing(transaction, keys, standing));
    SEMPER_CO_TRY(const auto ages, co_await read_version_ages(transaction, tenant));
    SEMPER_CO_TRY(view.oldest, co_await age_of_first(transaction, standing.queue(keys), ages));
    SEMPER_CO_TRY(view.limited, co_await read_limited(transaction, keys, header));
  }
  SEMPER_CO_TRY(const auto index, co_await transaction.get(keys.index(), ReadMode::snapshot));
  view.indexed = index.has_value();
  if (const auto needs = internal::Needs::decode(index.value_or(Bytes()))) {
    view.needs = needs->to_string();
  }
  co_return view;
}

Async<std::vector<QueuedView>> read_queue(Transaction& transaction, const EntityKeys& keys,
                                          const EntityId& id, std::size_t limit) {
  SEMPER_CO_TRY(const auto standing, co_await require_entity(transaction, keys, id));
  std::size_t taken = standing.header.head_offset;  // of the segment at hand
  std::vector<QueuedView> views;
  const auto add = [&](const KeyValue& row) -> Result<bool> {
    auto messages = internal::decode_segment(row.value);
    if (!messages) return fail(at_key(messages.error(), row.key));
    SEMPER_TRY(const auto stamp, EntityKeys::stamp_in(row.key));
    for (std::size_t i = std::exchange(taken, 0); i < messages->size(); ++i) {
      auto& message = (*messages)[i];
      const bool is_call = message.event == Event::call;
      QueuedView& view = views.emplace_back();
      view.stamp = stamp;
      view.is_call = is_call;
      if (message.chain) {
        for (const auto& link : message.chain->links) view.callers.push_back(link.id);
      }
      const auto& trace = message.content.trace;
      if (trace) view.traceparent = trace->context.traceparent();
      view.message = std::move(message.content);
      if (views.size() == limit) return false;
    }
    return true;
  };
  if (limit > 0) {
    SEMPER_CO_TRY_STATUS(co_await for_each_row(transaction, standing.queue(keys),
                                               std::min(limit, kRowsPerPage), add));
  }
  co_return views;
}

Async<std::vector<DeadLetterView>> read_dead_letters(Transaction& transaction,
                                                     const EntityKeys& keys, const EntityId& id,
                                                     std::size_t limit,
                                                     std::optional<Versionstamp> after) {
  SEMPER_CO_TRY(const auto standing, co_await require_entity(transaction, keys, id));
  KeyRange letters = keys.dead_letters();
  if (after) letters.begin = key_after(keys.dead_letter_at(*after));
  std::vector<DeadLetterView> views;
  if (standing.is_killed()) co_return views;
  const auto add = [&](const KeyValue& row) -> Result<bool> {
    SEMPER_TRY(const auto stamp, EntityKeys::stamp_in(row.key));
    auto record = internal::decode_dead_letter(row.value);
    if (!record) {
      auto& damaged = views.emplace_back();
      damaged.stamp = stamp;
      damaged.reason = at_key(record.error(), row.key).to_string();
      damaged.is_damaged = true;
      return views.size() < limit;
    }
    const bool was_call = record->message.event == Event::call;
    const std::int64_t first = record->attempts > 0 ? record->first_attempt_ms : record->time_ms;
    views.push_back({stamp, was_call, std::move(record->message.content), std::move(record->reason),
                     wall_time(record->time_ms), record->attempts, wall_time(first)});
    return views.size() < limit;
  };
  if (limit > 0) {
    SEMPER_CO_TRY_STATUS(
        co_await for_each_row(transaction, letters, std::min(limit, kRowsPerPage), add));
  }
  co_return views;
}

Async<std::vector<DeadLetterView>> list_letters(Tenant tenant, EntityId id, std::size_t limit,
                                                std::optional<Versionstamp> after) {
  co_return co_await in_snapshot(tenant, id, [&](Transaction& transaction, const EntityKeys& keys) {
    return read_dead_letters(transaction, keys, id, limit, after);
  });
}

}  // namespace

Async<EntityView> inspect(Tenant tenant, EntityId id) {
  co_return co_await in_snapshot(tenant, id, [&](Transaction& transaction, const EntityKeys& keys) {
    return view_entity(transaction, tenant, keys, id);
  });
}

Async<std::vector<QueuedView>> peek_queue(Tenant tenant, EntityId id, std::size_t limit) {
  co_return co_await in_snapshot(tenant, id, [&](Transaction& transaction, const EntityKeys& keys) {
    return read_queue(transaction, keys, id, limit);
  });
}

Async<std::vector<DeadLetterView>> list_dead_letters(Tenant tenant, EntityId id,
                                                     std::size_t limit) {
  return list_letters(std::move(tenant), std::move(id), limit, std::nullopt);
}
Async<std::vector<DeadLetterView>> list_dead_letters(Tenant tenant, EntityId id, std::size_t limit,
                                                     Versionstamp after) {
  return list_letters(std::move(tenant), std::move(id), limit, after);
}

}  // namespace semper
