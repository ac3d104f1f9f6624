// Commands that look into entities: types, ls, show, queue, dead. They need no host and no
// C++ type, and change nothing, but for `dead --redrive`.
#pragma once

#include <string>

#include "common/invocation.h"
#include "semper/server/inspect.h"

namespace semper::cli {

// EntityId::parse, whose errors show how an entity is named.
Result<EntityId> parse_entity(std::string_view text);

// inspect(), where the error not_found also says that the type is not there, and which may be meant.
Async<EntityView> inspect_known(Tenant tenant, EntityId id);

Async<void> show_types(Invocation& invocation);

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
Async<void> show_dead_letters(Invocation& invocation, MessagesArguments arguments);
// Puts them back into the queue; changes the store.
Async<void> redrive(Invocation& invocation, MessagesArguments arguments);

}  // namespace semper::cli
