#include "semper/server/inspect.h"

#include <algorithm>
#include <limits>
#include <map>
#include <type_traits>
#include <utility>

#include "semper/env/cancellation.h"
#include "semper/store/tuple_stream.h"
#include "semper/store/tuple_text.h"
#include "server/format/enqueue.h"
#include "server/format/keys.h"
#include "server/format/lease.h"
#include "server/format/orders.h"
#include "server/format/records.h"

namespace semper {
namespace {

using internal::EntityKeys;

// Dead letters that one transaction puts back.
constexpr std::size_t kLettersPerTransaction = 256;
// Queue segments and dead letters read at a time.
constexpr std::size_t kRowsPerPage = 64;

WallTime wall_time(std::int64_t milliseconds) {
  return WallTime(std::chrono::milliseconds(milliseconds));
}

Error at_key(const Error& error, BytesView key) {
  return error.in("key " + printable_key(key));
}

// The text behind the number of the key's part of the store: a type or a host.
Result<std::string> first_text(BytesView prefix, BytesView key) {
  TupleReader reader(key.substr(prefix.size()));
  Bytes scratch;
  auto status = reader.skip();
  if (!status) return fail(at_key(status.error(), key));
  auto text = reader.read_text(scratch);
  if (!text) return fail(at_key(text.error(), key));
  return std::string(*text);
}

// Calls visit(row) -> Result<bool> for the rows in order, as of one snapshot, until it gives false
// or an error.
template <class Visit>
Async<void> for_each_row(Transaction& transaction, KeyRange rest, std::size_t rows_per_page,
                         Visit visit) {
  for (bool more = true; more;) {
    SEMPER_CO_TRY(const auto page, co_await transaction.get_range(
                                       rest, {.limit = rows_per_page, .mode = ReadMode::snapshot}));
    for (const auto& row : page.rows) {
      SEMPER_CO_TRY(const bool go_on, visit(row));
      if (!go_on) co_return Status{};
    }
    more = page.more && !page.rows.empty();
    if (more) rest.begin = key_after(page.rows.back().key);
  }
  co_return Status{};
}

// The first key in the range, if there is one.
Async<std::optional<Bytes>> first_key(Transaction& transaction, KeyRange range) {
  if (range.empty()) co_return std::nullopt;
  SEMPER_CO_TRY(auto page, co_await transaction.get_range(
                               std::move(range), {.limit = 1, .mode = ReadMode::snapshot}));
  if (page.rows.empty()) co_return std::nullopt;
  co_return std::move(page.rows.front().key);
}

Async<internal::Standing> read_standing(Transaction& transaction, const EntityKeys& keys) {
  auto standing = co_await internal::read_standing(transaction, keys, ReadMode::snapshot);
  if (!standing) co_return fail(at_key(standing.error(), keys.header()));
  co_return std::move(*standing);
}

// The same of an entity that is there; one that was killed is not, whatever still lies about of it.
Async<internal::Standing> require_entity(Transaction& transaction, const EntityKeys& keys,
                                         const EntityId& id) {
  SEMPER_CO_TRY(auto first, co_await first_key(transaction, keys.everything()));
  if (first) {
    SEMPER_CO_TRY(auto standing, co_await read_standing(transaction, keys));
    if (!standing.is_killed()) co_return std::move(standing);
    SEMPER_CO_TRY(first, co_await first_key(transaction, standing.queue(keys)));
    if (first) co_return std::move(standing);
  }
  co_return fail(ErrorKind::not_found,
                 "there is no " + id.to_string() + ": it has neither a state nor messages");
}

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

// At most `most` of them.
Async<std::uint64_t> count_rows(Transaction& transaction, KeyRange range, std::uint64_t most) {
  std::uint64_t rows = 0;
  const auto count = [&](const KeyValue&) -> Result<bool> {
    ++rows;
    return rows < most;
  };
  SEMPER_CO_TRY_STATUS(co_await for_each_row(transaction, std::move(range), 0, count));
  co_return rows;
}

Result<HostView> host_view(BytesView prefix, const KeyValue& row) {
  HostView view;
  SEMPER_TRY(view.id, first_text(prefix, row.key));
  auto record = internal::decode_alive(row.value);
  if (!record) return fail(at_key(record.error(), row.key));
  view.name = std::move(record->name);
  view.types = std::move(record->types);
  view.renewals = record->renewals;
  view.renewed = wall_time(record->renewed_ms);
  view.lease = internal::lease_from_row(record->lease_ms);
  return view;
}

Async<EntityView> view_entity(Transaction& transaction, const EntityKeys& keys,
                              const EntityId& id) {
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
  SEMPER_CO_TRY(const auto index, co_await transaction.get(keys.index(), ReadMode::snapshot));
  view.indexed = index.has_value();
  co_return view;
}

// One seek per id: all that the entity holds is passed over.
Async<std::vector<std::string>> read_ids(Transaction& transaction, const Tenant& tenant,
                                         KeyRange rest, std::size_t limit) {
  std::vector<std::string> ids;
  while (ids.size() < limit) {
    SEMPER_CO_TRY(const auto key, co_await first_key(transaction, rest));
    if (!key) break;
    auto id = internal::entity_of_key(tenant.prefix(), *key);
    if (!id) co_return fail(at_key(id.error(), *key));
    rest.begin = EntityKeys(tenant.prefix(), *id).everything().end;
    ids.push_back(std::move(id->id));
  }
  co_return ids;
}

struct Redriven {
  std::uint64_t letters = 0;
  Bytes last;  // key of the last one
  bool more = false;
};

// One transaction's share of the letters in `letters`, oldest first.
Async<Redriven> redrive_some(Transaction& transaction, const EntityKeys& keys, KeyRange letters,
                             std::size_t limit) {
  Redriven done;
  // An order to kill that comes meanwhile is a conflict.
  SEMPER_CO_TRY(const auto order, co_await transaction.get(keys.order()));
  if (order) {
    SEMPER_CO_TRY(const auto decoded, internal::Order::decode(*order));
    if (decoded.kind == internal::Order::Kind::kill) co_return done;
  }
  SEMPER_CO_TRY(const auto page, co_await transaction.get_range(
                                     letters, {.limit = std::min(limit, kLettersPerTransaction)}));
  std::vector<internal::QueuedMessage> messages;
  std::size_t bytes = 0;
  for (const auto& row : page.rows) {
    auto record = internal::decode_dead_letter(row.value);
    if (!record) co_return fail(at_key(record.error(), row.key));
    bytes += row.key.size() + row.value.size();
    done.more = page.more;
    if (!messages.empty() && bytes > transaction.limits().transaction_bytes / 2) {
      done.more = true;
      break;
    }
    transaction.clear(row.key);
    messages.push_back(std::move(record->message));
    done.last = row.key;
  }
  done.letters = messages.size();
  if (messages.empty()) co_return done;
  internal::Enqueuer enqueuer(transaction);
  enqueuer.to(keys);
  for (const auto& [event, content, caller] : messages) enqueuer.add(event, content, caller);
  enqueuer.finish();
  co_return done;
}

Async<void> count_sessions(Transaction& transaction, const Tenant& tenant, Residue& residue) {
  Bytes last;
  const auto count = [&](const KeyValue& row) -> Result<bool> {
    auto session = internal::session_of_key(tenant.prefix(), row.key);
    if (!session) return fail(at_key(session.error(), row.key));
    if (*session != last) ++residue.sessions;
    if (internal::replies_of(tenant.prefix(), *session).contains(row.key)) ++residue.replies;
    last = std::move(*session);
    return true;
  };
  co_return co_await for_each_row(transaction, internal::session_range(tenant.prefix()), 0, count);
}

Async<void> count_index(Transaction& transaction, const Tenant& tenant, Residue& residue) {
  // No type is empty, so this is the index of all types: from before the first one's to where the
  // wake-up counters, which come next, begin.
  const KeyRange all{internal::index_of_type(tenant.prefix(), "").begin,
                     internal::wake_key(tenant.prefix(), "", 0)};
  std::vector<EntityId> entities;
  const auto add = [&](const KeyValue& row) -> Result<bool> {
    EntityId id;
    SEMPER_TRY(id.type, first_text(tenant.prefix(), row.key));
    SEMPER_TRY(id.id, internal::id_of_index_key(tenant.prefix(), row.key));
    entities.push_back(std::move(id));
    return true;
  };
  SEMPER_CO_TRY_STATUS(co_await for_each_row(transaction, all, 0, add));
  residue.index_entries = entities.size();
  for (const auto& id : entities) {
    const EntityKeys keys(tenant.prefix(), id);
    SEMPER_CO_TRY(const auto standing, co_await read_standing(transaction, keys));
    if (standing.header.lock) ++residue.locks;
  }
  co_return Status{};
}

Async<std::vector<TypeView>> read_types(Transaction& transaction, const Tenant& tenant) {
  const auto& prefix = tenant.prefix();
  std::map<std::string, TypeView> types;
  const auto add = [&](const KeyValue& row) -> Result<bool> {
    TypeView view;
    SEMPER_TRY(view.type, first_text(prefix, row.key));
    auto messages = internal::decode_message_infos(row.value);
    if (!messages) return fail(at_key(messages.error(), row.key));
    view.messages = std::move(*messages);
    types.emplace(view.type, view);
    return true;
  };
  SEMPER_CO_TRY_STATUS(co_await for_each_row(transaction, internal::type_range(prefix), 0, add));
  KeyRange rest = internal::all_entities(prefix);
  while (true) {
    SEMPER_CO_TRY(const auto key, co_await first_key(transaction, rest));
    if (!key) break;
    auto id = internal::entity_of_key(prefix, *key);
    if (!id) co_return fail(at_key(id.error(), *key));
    rest.begin = internal::entities_of_type(prefix, id->type).end;
    types[id->type].type = id->type;
  }
  std::vector<TypeView> views;
  for (auto& [name, view] : types) views.push_back(std::move(view));
  co_return views;
}

Async<std::vector<HostView>> read_hosts(Transaction& transaction, const Tenant& tenant) {
  std::vector<HostView> hosts;
  const auto add = [&](const KeyValue& row) -> Result<bool> {
    SEMPER_TRY(auto view, host_view(tenant.prefix(), row));
    hosts.push_back(std::move(view));
    return true;
  };
  SEMPER_CO_TRY_STATUS(
      co_await for_each_row(transaction, internal::host_range(tenant.prefix()), 0, add));
  co_return hosts;
}

Async<std::vector<SessionView>> read_sessions(Transaction& transaction, const Tenant& tenant,
                                              std::size_t limit) {
  const auto& prefix = tenant.prefix();
  std::vector<SessionView> sessions;
  KeyRange rest = internal::session_range(prefix);
  while (sessions.size() < limit) {
    SEMPER_CO_TRY(const auto first, co_await first_key(transaction, rest));
    if (!first) break;
    auto session = internal::session_of_key(prefix, *first);
    if (!session) co_return fail(at_key(session.error(), *first));
    rest.begin = internal::everything_of_session(prefix, *session).end;
    SEMPER_CO_TRY(const auto raw, co_await transaction.get(internal::session_key(prefix, *session),
                                                           ReadMode::snapshot));
    if (!raw) continue;  // replies that came too late
    auto record = internal::decode_alive(*raw);
    if (!record) co_return fail(at_key(record.error(), *first));
    sessions.push_back({to_hex(*session), record->renewals});
  }
  co_return sessions;
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
      views.push_back({stamp, is_call, std::move(message.content)});
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
                                                     std::size_t limit) {
  SEMPER_CO_TRY(const auto standing, co_await require_entity(transaction, keys, id));
  std::vector<DeadLetterView> views;
  if (standing.is_killed()) co_return views;
  const auto add = [&](const KeyValue& row) -> Result<bool> {
    auto record = internal::decode_dead_letter(row.value);
    if (!record) return fail(at_key(record.error(), row.key));
    SEMPER_TRY(const auto stamp, EntityKeys::stamp_in(row.key));
    const bool was_call = record->message.event == Event::call;
    views.push_back({stamp, was_call, std::move(record->message.content), std::move(record->reason),
                     wall_time(record->time_ms)});
    return views.size() < limit;
  };
  if (limit > 0) {
    SEMPER_CO_TRY_STATUS(co_await for_each_row(transaction, keys.dead_letters(),
                                               std::min(limit, kRowsPerPage), add));
  }
  co_return views;
}

// Where the dead letters that are there now end; the range's begin where there are none.
Async<Bytes> end_of_dead_letters(Transaction& transaction, const EntityKeys& keys,
                                 const EntityId& id) {
  SEMPER_CO_TRY_STATUS(co_await require_entity(transaction, keys, id));
  const KeyRange all = keys.dead_letters();
  SEMPER_CO_TRY(const auto last,
                co_await transaction.get_range(
                    all, {.limit = 1, .order = Order::descending, .mode = ReadMode::snapshot}));
  co_return last.rows.empty() ? all.begin : key_after(last.rows.front().key);
}

// One read-only transaction of read(Transaction&).
template <class Read>
auto in_snapshot(const Tenant& tenant, const Read& read)
    -> std::invoke_result_t<Read, Transaction&> {
  if (!tenant.store()) co_return fail(tenant.store().error());
  co_return co_await tenant.store()->transact(read);
}

// The same about one entity: read(Transaction&, const EntityKeys&).
template <class Read>
auto in_snapshot(const Tenant& tenant, const EntityId& id, const Read& read)
    -> std::invoke_result_t<Read, Transaction&, const EntityKeys&> {
  SEMPER_CO_TRY_STATUS(id.validate());
  const EntityKeys keys(tenant.prefix(), id);
  co_return co_await in_snapshot(tenant,
                                 [&](Transaction& transaction) { return read(transaction, keys); });
}

}  // namespace

Async<std::vector<TypeView>> list_types(Tenant tenant) {
  co_return co_await in_snapshot(
      tenant, [&](Transaction& transaction) { return read_types(transaction, tenant); });
}

Async<std::vector<HostView>> list_hosts(Tenant tenant) {
  co_return co_await in_snapshot(
      tenant, [&](Transaction& transaction) { return read_hosts(transaction, tenant); });
}

Async<std::vector<SessionView>> list_sessions(Tenant tenant, std::size_t limit) {
  co_return co_await in_snapshot(
      tenant, [&](Transaction& transaction) { return read_sessions(transaction, tenant, limit); });
}

Async<std::vector<std::string>> list_entities(Tenant tenant, std::string type,
                                              ListOptions options) {
  const EntityId any{type, "any"};
  SEMPER_CO_TRY_STATUS(any.validate());
  if (!is_utf8(options.id_prefix) || !is_utf8(options.after)) {
    co_return fail(ErrorKind::invalid_argument,
                   "listing " + type + ": ids are UTF-8, and the given prefix or start is not");
  }
  KeyRange range = internal::entities_of_type(tenant.prefix(), type);
  if (!options.id_prefix.empty()) {
    Bytes begin = range.begin.substr(0, range.begin.size() - 1);
    TupleWriter(begin).add_text(options.id_prefix);
    begin.pop_back();                 // what ends a text
    range = {begin, begin + '\xff'};  // no byte of UTF-8 is so high
  }
  if (!options.after.empty()) {
    const EntityId after{type, options.after};
    range.begin = std::max(range.begin, EntityKeys(tenant.prefix(), after).everything().end);
  }
  co_return co_await in_snapshot(tenant, [&](Transaction& transaction) {
    return read_ids(transaction, tenant, range, options.limit);
  });
}

Async<EntityView> inspect(Tenant tenant, EntityId id) {
  co_return co_await in_snapshot(tenant, id, [&](Transaction& transaction, const EntityKeys& keys) {
    return view_entity(transaction, keys, id);
  });
}

Async<std::vector<QueuedView>> peek_queue(Tenant tenant, EntityId id, std::size_t limit) {
  co_return co_await in_snapshot(tenant, id, [&](Transaction& transaction, const EntityKeys& keys) {
    return read_queue(transaction, keys, id, limit);
  });
}

Async<std::vector<DeadLetterView>> list_dead_letters(Tenant tenant, EntityId id,
                                                     std::size_t limit) {
  co_return co_await in_snapshot(tenant, id, [&](Transaction& transaction, const EntityKeys& keys) {
    return read_dead_letters(transaction, keys, id, limit);
  });
}

static Async<std::uint64_t> redrive(Tenant tenant, EntityId id, std::size_t limit) {
  // Letters that a host sets aside from now on are left for the next time.
  SEMPER_CO_TRY(
      const Bytes end,
      co_await in_snapshot(tenant, id, [&](Transaction& transaction, const EntityKeys& keys) {
        return end_of_dead_letters(transaction, keys, id);
      }));
  const EntityKeys keys(tenant.prefix(), id);
  KeyRange rest{keys.dead_letters().begin, end};
  std::uint64_t redriven = 0;
  while (redriven < limit && !rest.empty()) {
    SEMPER_CO_TRY(const Redriven some,
                  co_await tenant.store()->transact([&](Transaction& transaction) {
                    return redrive_some(transaction, keys, rest, limit - redriven);
                  }));
    redriven += some.letters;
    if (!some.more) break;
    rest.begin = key_after(some.last);
  }
  co_return redriven;
}

Async<std::uint64_t> redrive_dead_letters(Tenant tenant, EntityId id, std::size_t limit) {
  return run_through(redrive(std::move(tenant), std::move(id), limit));
}

Async<Residue> count_residue(Tenant tenant) {
  co_return co_await in_snapshot(tenant, [&](Transaction& transaction) -> Async<Residue> {
    Residue residue;
    SEMPER_CO_TRY_STATUS(co_await count_sessions(transaction, tenant, residue));
    SEMPER_CO_TRY_STATUS(co_await count_index(transaction, tenant, residue));
    SEMPER_CO_TRY(residue.hosts,
                  co_await count_rows(transaction, internal::host_range(tenant.prefix()),
                                      std::numeric_limits<std::uint64_t>::max()));
    co_return residue;
  });
}

}  // namespace semper
