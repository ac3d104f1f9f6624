// lookup_name, list_names: who holds names in a store (server/name_registry.h), for tools,
// dashboards and service discovery.
//
//   const semper::NameQuery ports{.prefix = "ports/"};
//   SEMPER_CO_TRY(auto page, co_await semper::list_names(tenant, ports));
//
// Each reads in one transaction and changes nothing. When not: to follow a name
// (NameRegistry::watch), or to notice holders that die (NameRegistry::lookup).
// Errors: invalid_argument, corrupt, and the store's own. Threads: any.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "semper/env/asio.h"
#include "semper/server/entity_id.h"
#include "semper/server/name_options.h"

namespace semper {

// Who holds the name, according to the store: a dead holder is shown until a registry in use has
// noticed.
Async<std::optional<NameView>> lookup_name(Tenant tenant, std::string name);

struct NameQuery {
  NameMetadata where;       // only holders whose metadata has all of these
  std::string prefix;       // only names that begin with this
  std::string after;        // only names after this one
  std::size_t limit = 100;  // at most kNamesPerPageMaximum
};

struct NamePage {
  std::vector<NameView> names;  // by name
  // Where the next page begins (NameQuery::after); nothing: this was the last page. A page may be
  // short or empty without being the last.
  std::optional<std::string> next;
};

// The names that are held. `where` uses an index: the cost depends on how many names match its
// first field.
Async<NamePage> list_names(Tenant tenant, NameQuery query);

}  // namespace semper
