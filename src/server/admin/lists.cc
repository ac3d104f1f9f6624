// What inspect.h says of a whole tenant: types, hosts, sessions, ids, and what is outstanding.
#include <algorithm>
#include <limits>
#include <map>
#include <utility>

#include "semper/server/inspect.h"
#include "semper/store/tuple_stream.h"
#include "server/admin/snapshot_reads.h"
#include "server/format/lease.h"
#include "server/format/records.h"
#include "server/format/speech.h"

namespace semper {
namespace {

using internal::EntityKeys;
using namespace internal::admin;

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

ServedTypeView served_type_view(internal::SpokenType type) {
  ServedTypeView view;
  view.type = std::move(type.type);
  view.state_version = type.state_version;
  view.is_behind = type.is_behind;
  view.has_more = type.has_more;
  const auto& rules = type.limits;
  if (rules.is_any()) {
    view.limits = LimitsView{rules.rate,         rules.running, rules.type_rate,
                             rules.type_running, rules.by_key,  rules.over == OverLimit::refuse};
  }
  for (auto& [name, ways] : type.messages) {
    MessageInfo& info = view.messages.emplace_back();
    info.name = std::move(name);
    info.call = (ways & 1) != 0;
    info.cast = (ways & 2) != 0;
    info.info = (ways & 4) != 0;
    info.locked = (ways & 8) != 0;
  }
  return view;
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

Async<void> count_sessions(Transaction& transaction, const Tenant& tenant,
                           Outstanding& outstanding) {
  Bytes last;
  Bytes last_reply;
  const auto count = [&](const KeyValue& row) -> Result<bool> {
    auto session = internal::session_of_key(tenant.prefix(), row.key);
    if (!session) return fail(at_key(session.error(), row.key));
    if (*session != last) ++outstanding.sessions;
    const bool is_reply = internal::replies_of(tenant.prefix(), *session).contains(row.key) &&
                          (last_reply.empty() || !row.key.starts_with(last_reply));  // its chunk
    if (is_reply) {
      ++outstanding.replies;
      last_reply = row.key;
    }
    last = std::move(*session);
    return true;
  };
  co_return co_await for_each_row(transaction, internal::session_range(tenant.prefix()), 0, count);
}

Async<void> count_index(Transaction& transaction, const Tenant& tenant, Outstanding& outstanding) {
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
  outstanding.entities_with_work = entities.size();
  for (const auto& id : entities) {
    const EntityKeys keys(tenant.prefix(), id);
    const auto standing = co_await standing_in_snapshot(transaction, keys);
    if (standing && standing->header.lock) ++outstanding.locks;
    if (standing) continue;
    // One that cannot be read is parked, and holds no lock that anybody could give back.
    if (standing.error().kind() != ErrorKind::corrupt) co_return fail(standing.error());
  }
  co_return Status{};
}

Status refuse_no_text(const ListOptions& options, std::string_view what) {
  if (is_utf8(options.id_prefix) && is_utf8(options.after)) return {};
  return fail(
      ErrorKind::invalid_argument,
      "listing " + std::string(what) + ": ids are UTF-8, and the given prefix or start is not");
}

// Without options: all, if they are not too many. One more than may be shows that they are.
ListOptions everything() {
  ListOptions options;
  options.limit = kListedMaximum + 1;
  return options;
}
template <class View>
Async<std::vector<View>> unless_too_many(Async<std::vector<View>> listing, const char* what) {
  SEMPER_CO_TRY(auto views, co_await std::move(listing));
  if (views.size() <= kListedMaximum) co_return std::move(views);
  co_return fail(ErrorKind::exhausted, "the store has more than " + std::to_string(kListedMaximum) +
                                           " " + what + "; list them in pages, with ListOptions");
}

// Of the keys in `all`: those of names that begin with the prefix and come after the given one.
// key_of(name) is the name's key, or what all its keys begin with.
template <class KeyOf>
KeyRange asked_for(KeyRange all, const std::string& name_prefix, const std::string& after,
                   const KeyOf& key_of) {
  if (!name_prefix.empty()) {
    Bytes begin = key_of(name_prefix);
    begin.pop_back();               // what ends a text
    all = {begin, begin + '\xff'};  // no byte of UTF-8 is so high
  }
  if (!after.empty()) all.begin = std::max(all.begin, key_of(after) + '\xff');
  return all;
}

Async<std::vector<TypeView>> read_types(Transaction& transaction, const Tenant& tenant,
                                        const ListOptions& options) {
  const auto& prefix = tenant.prefix();
  std::map<std::string, TypeView> types;
  const auto add = [&](const KeyValue& row) -> Result<bool> {
    TypeView view;
    SEMPER_TRY(view.type, first_text(prefix, row.key));
    auto messages = internal::decode_message_infos(row.value);
    if (!messages) pass_over(messages.error(), row.key);
    if (messages) view.messages = std::move(*messages);
    types.emplace(view.type, view);
    return types.size() < options.limit;
  };
  const auto row_key = [&](const std::string& type) { return internal::type_key(prefix, type); };
  const KeyRange rows =
      asked_for(internal::type_range(prefix), options.id_prefix, options.after, row_key);
  if (options.limit > 0) {
    SEMPER_CO_TRY_STATUS(co_await for_each_row(transaction, rows, 0, add));
  }
  const auto entities_key = [&](const std::string& type) {
    Bytes begin = internal::entities_of_type(prefix, type).begin;
    begin.pop_back();  // where what is below begins
    return begin;
  };
  KeyRange rest =
      asked_for(internal::all_entities(prefix), options.id_prefix, options.after, entities_key);
  for (std::size_t seen = 0; seen < options.limit; ++seen) {
    SEMPER_CO_TRY(const auto key, co_await first_key(transaction, rest));
    if (!key) break;
    auto id = internal::entity_of_key(prefix, *key);
    if (!id) co_return fail(at_key(id.error(), *key));
    rest.begin = internal::entities_of_type(prefix, id->type).end;
    types[id->type].type = id->type;
  }
  std::vector<TypeView> views;
  for (auto& [name, view] : types) {
    if (views.size() < options.limit) views.push_back(std::move(view));
  }
  co_return views;
}

// The id of a host or session, or the beginning of one: what to_hex made of bytes.
Result<Bytes> bytes_of_id(const std::string& id) {
  const auto digit = [](char c) -> int {
    if (c >= '0' && c <= '9') return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
  };
  Bytes bytes;
  for (std::size_t i = 0; i + 1 < id.size(); i += 2) {
    const int high = digit(id[i]);
    const int low = digit(id[i + 1]);
    if (high < 0 || low < 0) break;
    bytes += static_cast<char>(high * 16 + low);
  }
  if (bytes.size() * 2 == id.size()) return bytes;
  return fail(ErrorKind::invalid_argument,
              to_printable(id) + " is not the id of a host or session, nor the beginning of one");
}

// What the hosts in these rows say of their types.
Async<void> read_speeches(Transaction& transaction, const Tenant& tenant,
                          std::vector<HostView>& hosts) {
  const auto& prefix = tenant.prefix();
  const auto add = [&](const KeyValue& row) -> Result<bool> {
    SEMPER_TRY(const auto id, first_text(prefix, row.key));
    const auto is_its = [&](const HostView& view) { return view.id == id; };
    const auto host = std::find_if(hosts.begin(), hosts.end(), is_its);
    if (host == hosts.end()) return true;  // its row goes with the next look of a host
    auto types = internal::decode_speech(row.value);
    if (!types) return fail(at_key(types.error(), row.key));
    for (auto& type : *types) host->speaks.push_back(served_type_view(std::move(type)));
    return true;
  };
  KeyRange rows = internal::speech_range(prefix);
  const auto first = bytes_of_id(hosts.front().id);
  const auto last = bytes_of_id(hosts.back().id);
  if (first && last) {
    rows = {internal::speech_key(prefix, *first), key_after(internal::speech_key(prefix, *last))};
  }
  co_return co_await for_each_row(transaction, rows, 0, add);
}

Async<std::vector<HostView>> read_hosts(Transaction& transaction, const Tenant& tenant,
                                        const ListOptions& options) {
  const auto& prefix = tenant.prefix();
  std::vector<HostView> hosts;
  const auto add = [&](const KeyValue& row) -> Result<bool> {
    SEMPER_TRY(auto view, host_view(prefix, row));
    hosts.push_back(std::move(view));
    return hosts.size() < options.limit;
  };
  SEMPER_CO_TRY(const Bytes beginning, bytes_of_id(options.id_prefix));
  SEMPER_CO_TRY(const Bytes after, bytes_of_id(options.after));
  const auto key_of = [&](const Bytes& id) { return internal::host_key(prefix, id); };
  const KeyRange rows = asked_for(internal::host_range(prefix), beginning, after, key_of);
  if (options.limit > 0) SEMPER_CO_TRY_STATUS(co_await for_each_row(transaction, rows, 0, add));
  if (!hosts.empty()) SEMPER_CO_TRY_STATUS(co_await read_speeches(transaction, tenant, hosts));
  co_return hosts;
}

Async<std::vector<SessionView>> read_sessions(Transaction& transaction, const Tenant& tenant,
                                              const ListOptions& options) {
  const auto& prefix = tenant.prefix();
  SEMPER_CO_TRY(const Bytes beginning, bytes_of_id(options.id_prefix));
  SEMPER_CO_TRY(const Bytes after, bytes_of_id(options.after));
  const auto key_of = [&](const Bytes& id) { return internal::session_key(prefix, id); };
  KeyRange rest = asked_for(internal::session_range(prefix), beginning, after, key_of);
  std::vector<SessionView> sessions;
  std::size_t passed_over = 0;
  while (sessions.size() < options.limit) {
    SEMPER_CO_TRY(const auto first, co_await first_key(transaction, rest));
    if (!first) break;
    auto session = internal::session_of_key(prefix, *first);
    if (!session) co_return fail(at_key(session.error(), *first));
    rest.begin = internal::everything_of_session(prefix, *session).end;
    SEMPER_CO_TRY(const auto raw, co_await transaction.get(internal::session_key(prefix, *session),
                                                           ReadMode::snapshot));
    if (!raw) {  // replies that came too late
      if (++passed_over <= kListedMaximum) continue;
      co_return fail(ErrorKind::exhausted, "more than " + std::to_string(kListedMaximum) +
                                               " sessions have ended and left replies; a running "
                                               "host removes them");
    }
    auto record = internal::decode_alive(*raw);
    if (!record) co_return fail(at_key(record.error(), *first));
    sessions.push_back({to_hex(*session), record->renewals});
  }
  co_return sessions;
}

}  // namespace

Async<std::vector<TypeView>> list_types(Tenant tenant, ListOptions options) {
  SEMPER_CO_TRY_STATUS(refuse_no_text(options, "types"));
  co_return co_await in_snapshot(
      tenant, [&](Transaction& transaction) { return read_types(transaction, tenant, options); });
}
Async<std::vector<TypeView>> list_types(Tenant tenant) {
  return unless_too_many(list_types(std::move(tenant), everything()), "types");
}

Async<std::vector<HostView>> list_hosts(Tenant tenant, ListOptions options) {
  co_return co_await in_snapshot(
      tenant, [&](Transaction& transaction) { return read_hosts(transaction, tenant, options); });
}
Async<std::vector<HostView>> list_hosts(Tenant tenant) {
  return unless_too_many(list_hosts(std::move(tenant), everything()), "hosts");
}

Async<std::vector<SessionView>> list_sessions(Tenant tenant, ListOptions options) {
  co_return co_await in_snapshot(tenant, [&](Transaction& transaction) {
    return read_sessions(transaction, tenant, options);
  });
}
Async<std::vector<SessionView>> list_sessions(Tenant tenant, std::size_t limit) {
  ListOptions options;
  options.limit = limit;
  return list_sessions(std::move(tenant), std::move(options));
}

Async<std::vector<std::string>> list_entities(Tenant tenant, std::string type,
                                              ListOptions options) {
  const EntityId any{type, "any"};
  SEMPER_CO_TRY_STATUS(any.validate());
  SEMPER_CO_TRY_STATUS(refuse_no_text(options, type));
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

Async<Outstanding> count_outstanding(Tenant tenant) {
  co_return co_await in_snapshot(tenant, [&](Transaction& transaction) -> Async<Outstanding> {
    Outstanding outstanding;
    SEMPER_CO_TRY_STATUS(co_await count_sessions(transaction, tenant, outstanding));
    SEMPER_CO_TRY_STATUS(co_await count_index(transaction, tenant, outstanding));
    SEMPER_CO_TRY(outstanding.hosts,
                  co_await count_rows(transaction, internal::host_range(tenant.prefix()),
                                      std::numeric_limits<std::uint64_t>::max()));
    co_return outstanding;
  });
}

}  // namespace semper
