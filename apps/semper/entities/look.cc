#include "entities/look.h"

#include <algorithm>
#include <utility>

#include "common/document.h"
#include "common/suggest.h"
#include "common/text.h"
#include "semper/base/cbor_json.h"
#include "semper/server/inspect.h"
#include "semper/server/list_maps.h"
#include "semper/server/list_timers.h"

namespace semper::cli {
namespace {

using Purpose = Invocation::Purpose;

// Ids read in one transaction.
constexpr std::size_t kIdsPerPage = 1000;
// States longer than this as JSON are shown over several lines.
constexpr std::size_t kStateOnOneLine = 72;

std::string state_text(BytesView state) {
  const std::string line = shown_value(state);
  if (line.size() <= kStateOnOneLine) return line;
  return cbor_to_json(state, {.indent = 2}).value_or(line);
}

// What is said of an entity besides its view.
struct Aside {
  std::uint64_t timers = 0;
  std::vector<MapView> maps = {};
  std::optional<std::string> needs = {};
};

void print_entity(Invocation& invocation, const EntityView& view, const Aside& aside,
                  WallTime now) {
  const auto field = [&](std::string name, const std::string& value) {
    name.resize(16, ' ');
    invocation.say(name + value);
  };
  invocation.say(shown(view.id.to_string()));
  field("  state", view.state ? state_text(*view.state) : "none yet");
  if (view.state && view.state_version > 1) {
    field("  state version", std::to_string(view.state_version));
  }
  field("  queue", std::to_string(view.queue_length) + " waiting, " +
                       std::to_string(view.processed) + " taken" +
                       (view.indexed ? ", listed for hosts" : ""));
  field("  lock", view.lock ? "held by " + shown(view.lock->owner) + " for " +
                                  shown_span(now - view.lock->acquired)
                            : "free");
  field("  dead letters", std::to_string(view.dead_letters) +
                              (view.dead_letters == kDeadLettersCounted ? " or more" : ""));
  if (aside.timers > 0) field("  timers", std::to_string(aside.timers));
  for (const auto& map : aside.maps) {
    const bool is_all = map.entries < kMapEntriesCounted;
    field("  map", shown(map.name) + ", entries: " + std::to_string(map.entries) +
                       (is_all ? "" : " or more"));
  }
  if (view.failing) {
    field("  failing", std::to_string(view.failing->attempts) +
                           " runs of its first message: " + shown(view.failing->reason));
  }
  field("  written at", view.stamp.is_complete() ? view.stamp.to_string() : "never");
  if (view.parked) field("  parked", shown(*view.parked));
  if (aside.needs) field("  needs", shown(*aside.needs));
}

Bytes maps_item(const std::vector<MapView>& maps) {
  List list;
  for (const auto& map : maps) {
    const Fields fields =
        Fields().add("name", text_item(map.name)).add("entries", number_item(map.entries));
    list.add(fields.item());
  }
  return list.item();
}

Bytes entity_item(const EntityView& view, const Aside& aside, WallTime now) {
  Fields fields;
  fields.add("type", text_item(view.id.type))
      .add("id", text_item(view.id.id))
      .add("state", view.state ? stored_item(*view.state) : null_item())
      .add("has_state", flag_item(view.state.has_value()))
      .add("state_version", number_item(view.state_version))
      .add("queue_length", number_item(view.queue_length))
      .add("processed", number_item(view.processed))
      .add("indexed", flag_item(view.indexed));
  if (view.lock) {
    fields.add("lock", Fields()
                           .add("owner", text_item(view.lock->owner))
                           .add("acquired", time_item(view.lock->acquired))
                           .add("age_seconds", seconds_item(now - view.lock->acquired))
                           .item());
  } else {
    fields.add("lock", null_item());
  }
  return fields.add("dead_letters", number_item(view.dead_letters))
      .add("timers", number_item(aside.timers))
      .add("maps", maps_item(aside.maps))
      .add("versionstamp",
           view.stamp.is_complete() ? text_item(view.stamp.to_string()) : null_item())
      .add("parked", view.parked ? text_item(*view.parked) : null_item())
      .add("needs", aside.needs ? text_item(*aside.needs) : null_item())
      .item();
}

// Why a list of ids is empty, where its type is there.
std::string nothing_listed(const ListArguments& arguments) {
  const std::string prefix =
      arguments.prefix.empty() ? "" : " that begins with " + shown(arguments.prefix);
  const std::string after =
      arguments.after.empty() ? "" : " that comes after " + shown(arguments.after);
  return "there is no entity of type " + shown(arguments.type) + prefix +
         (prefix.empty() || after.empty() ? "" : " and") + after;
}

}  // namespace

std::optional<std::string> needs_of(const EntityView& view, const std::vector<HostView>& hosts) {
  const std::uint32_t wanted = view.state ? view.state_version : 1;
  std::string older;
  bool any_knows = false;
  for (const auto& host : hosts) {
    for (const auto& type : host.speaks) {
      if (type.type != view.id.type) continue;
      any_knows = any_knows || type.state_version >= wanted;
      if (type.state_version >= wanted) continue;
      older +=
          (older.empty() ? "" : ", ") + host.name + " has " + std::to_string(type.state_version);
    }
  }
  std::optional<std::string> needs = view.needs;
  const bool none_knows = !older.empty() && !any_knows;
  if (!needs && none_knows) needs = "version >= " + std::to_string(wanted);
  if (needs && !older.empty()) *needs += " (" + older + ")";
  return needs;
}

Async<void> require_type(Tenant tenant, std::string type) {
  SEMPER_CO_TRY(const auto types, co_await list_types(tenant));
  std::vector<std::string> known;
  for (const auto& view : types) {
    if (view.type == type) co_return Status{};
    known.push_back(view.type);
  }
  co_return fail(ErrorKind::not_found,
                 "there is no type " + shown(type) + " in this store; it has " +
                     (known.empty() ? "none: no host has registered yet" : listed(known)) +
                     did_you_mean(type, known));
}

Result<EntityId> parse_entity(std::string_view text) {
  auto id = EntityId::parse(text);
  if (id) return id;
  return fail(id.error().kind(),
              id.error().message() + "; an entity is named TYPE/ID, for example Counter/page/home");
}

std::size_t bound(std::size_t limit) {
  return limit == 0 ? ~std::size_t{0} : limit;
}

Task<std::string> because_of_type(Tenant tenant, std::string type) {
  const auto there = co_await require_type(std::move(tenant), std::move(type));
  co_return there || there.error().kind() != ErrorKind::not_found ? ""
                                                                  : ": " + there.error().message();
}

Task<Error> explained(Tenant tenant, EntityId id, Error error) {
  if (error.kind() != ErrorKind::not_found) co_return error;
  const auto there = co_await require_type(tenant, id.type);
  if (!there) co_return there.error();
  co_return Error(error.kind(),
                  error.message() + "; `semper ls " + shown(id.type) + "` lists those there are");
}

Task<Error> explained_part(Tenant tenant, EntityId id, Error error, std::string command) {
  if (error.kind() != ErrorKind::not_found) co_return error;
  std::string why = co_await because_of_type(tenant, id.type);
  if (why.empty()) why = "; `semper " + command + "` lists those there are";
  co_return Error(error.kind(), error.message() + why);
}

Async<EntityView> inspect_known(Tenant tenant, EntityId id) {
  auto view = co_await inspect(tenant, id);
  if (view) co_return view;
  co_return fail(co_await explained(tenant, id, view.error()));
}

Async<void> list(Invocation& invocation, ListArguments arguments) {
  SEMPER_CO_TRY(const Tenant tenant, co_await invocation.open_tenant(Purpose::read));
  ListOptions options;
  options.id_prefix = arguments.prefix;
  options.after = arguments.after;
  List document;
  std::size_t left = bound(arguments.limit);
  bool more = true;
  bool any = false;
  while (more && left > 0) {
    options.limit = std::min(left, kIdsPerPage - 1) + 1;  // one more, to see whether there is more
    SEMPER_CO_TRY(auto ids, co_await list_entities(tenant, arguments.type, options));
    more = ids.size() == options.limit;
    if (more) ids.pop_back();
    for (const auto& id : ids) {
      if (invocation.json()) {
        document.add(text_item(id));
      } else {
        invocation.say(shown(arguments.type + "/" + id));
      }
    }
    any = any || !ids.empty();
    left -= ids.size();
    if (!ids.empty()) options.after = ids.back();
  }
  if (!any) {
    SEMPER_CO_TRY_STATUS(co_await require_type(tenant, arguments.type));
    invocation.note(nothing_listed(arguments));
  }
  if (invocation.json()) {
    co_return invocation.print_document(Fields()
                                            .add("type", text_item(arguments.type))
                                            .add("ids", document.item())
                                            .add("more", flag_item(more))
                                            .item());
  }
  if (more) {
    invocation.note("there are more; go on with --after '" + shown(options.after) +
                    "', or see all with --limit 0");
  }
  co_return Status{};
}

Async<void> show(Invocation& invocation, std::string entity) {
  SEMPER_CO_TRY(const auto id, parse_entity(entity));
  SEMPER_CO_TRY(const Tenant tenant, co_await invocation.open_tenant(Purpose::read));
  SEMPER_CO_TRY(const auto view, co_await inspect_known(tenant, id));
  SEMPER_CO_TRY(const std::uint64_t timers, co_await count_timers(tenant, id));
  const WallTime now = tenant.store()->env().clock->wall_time();
  SEMPER_CO_TRY(const auto hosts, co_await list_hosts(tenant));
  Aside aside;
  aside.timers = timers;
  SEMPER_CO_TRY(aside.maps, co_await list_maps(tenant, id));
  aside.needs = needs_of(view, hosts);
  if (invocation.json()) co_return invocation.print_document(entity_item(view, aside, now));
  print_entity(invocation, view, aside, now);
  co_return Status{};
}

Async<void> show_queue(Invocation& invocation, MessagesArguments arguments) {
  SEMPER_CO_TRY(const auto id, parse_entity(arguments.entity));
  SEMPER_CO_TRY(const Tenant tenant, co_await invocation.open_tenant(Purpose::read));
  const auto waiting = co_await peek_queue(tenant, id, bound(arguments.limit));
  if (!waiting) co_return fail(co_await explained(tenant, id, waiting.error()));
  const auto& messages = *waiting;
  List document;
  std::vector<std::vector<std::string>> rows = {{"VERSIONSTAMP", "KIND", "MESSAGE", "CONTENT"}};
  for (const auto& view : messages) {
    const char* kind = view.is_call ? "call" : "cast";
    Fields fields;
    fields.add("versionstamp", text_item(view.stamp.to_string()))
        .add("kind", text_item(kind))
        .add("message", text_item(view.message.name))
        .add("content", stored_item(view.message.payload));
    if (!view.traceparent.empty()) fields.add("traceparent", text_item(view.traceparent));
    document.add(fields.item());
    rows.push_back({view.stamp.to_string(), kind, shown(view.message.name),
                    shown_value(view.message.payload)});
  }
  if (invocation.json()) co_return invocation.print_document(document.item());
  if (messages.empty()) {
    invocation.note("nothing waits in the queue of " + shown(id.to_string()));
  } else {
    invocation.print(table(rows));
  }
  co_return Status{};
}

}  // namespace semper::cli
