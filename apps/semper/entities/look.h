// Commands that look into entities: types, ls, show, queue. They need no host and no C++ type, and
// change nothing.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "common/invocation.h"
#include "semper/server/inspect.h"

namespace semper::cli {

// EntityId::parse, whose errors show how an entity is named.
Result<EntityId> parse_entity(std::string_view text);

// Error not_found where neither a host nor an entity of that type was ever there.
Async<void> require_type(Tenant tenant, std::string type);

// As people say it: 0 is all.
std::size_t bound(std::size_t limit);

// That an entity is not there may be because its type is not: the error then says so.
Task<Error> explained(Tenant tenant, EntityId id, Error error);
// The same of something that belongs to an entity; `command` lists what there is of it.
Task<Error> explained_part(Tenant tenant, EntityId id, Error error, std::string command);

// For an answer that is empty, and true: what require_type says, as its second half; empty: the
// type is there.
Task<std::string> because_of_type(Tenant tenant, std::string type);

// inspect(), where the error not_found also says that the type is not there, and which may be
// meant.
Async<EntityView> inspect_known(Tenant tenant, EntityId id);

// What it waits for that none of these hosts has, and which hosts of its type do not have it.
// Empty: nothing that is known.
std::optional<std::string> needs_of(const EntityView& view, const std::vector<HostView>& hosts);

struct TypesArguments {
  bool compares = false;
};
Async<void> show_types(Invocation& invocation, TypesArguments arguments);

struct ListArguments {
  std::string type;
  std::string prefix;
  std::string after;
  std::size_t limit = 100;  // 0: all
};
Async<void> list(Invocation& invocation, ListArguments arguments);

Async<void> show(Invocation& invocation, std::string entity);

struct MessagesArguments {
  std::string entity;
  std::size_t limit = 20;  // 0: all
};
Async<void> show_queue(Invocation& invocation, MessagesArguments arguments);

}  // namespace semper::cli
