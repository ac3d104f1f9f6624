#include "command_line/complete.h"

#include <utility>
#include <vector>

#include "common/text.h"
#include "semper/server/inspect.h"

namespace semper::cli {
namespace {

using Asked = CompletionQuery::What;

Async<std::vector<std::string>> names_of_types(Tenant tenant, const char* end) {
  SEMPER_CO_TRY(const auto types, co_await list_types(tenant));
  std::vector<std::string> names;
  for (const auto& view : types) names.push_back(view.type + end);
  co_return names;
}

// "Cou" becomes "Counter/", "Counter/pa" the ids that begin so.
Async<std::vector<std::string>> names_of_entities(Tenant tenant, std::string prefix) {
  const auto slash = prefix.find('/');
  if (slash == std::string::npos) co_return co_await names_of_types(tenant, "/");
  const std::string type = prefix.substr(0, slash);
  ListOptions options;
  options.id_prefix = prefix.substr(slash + 1);
  options.limit = kCompletedIds;
  SEMPER_CO_TRY(auto ids, co_await list_entities(tenant, type, options));
  for (auto& id : ids) id.insert(0, type + "/");
  co_return ids;
}

Async<std::vector<std::string>> names_of_messages(Tenant tenant, std::string entity, Asked way) {
  SEMPER_CO_TRY(const auto types, co_await list_types(tenant));
  std::vector<std::string> names;
  for (const auto& view : types) {
    if (view.type != entity.substr(0, entity.find('/'))) continue;
    for (const auto& message : view.messages) {
      if (way == Asked::calls ? message.call : message.cast) names.push_back(message.name);
    }
  }
  co_return names;
}

Async<std::vector<std::string>> names_for(Invocation& invocation, CompletionQuery query) {
  SEMPER_CO_TRY(const Tenant tenant, co_await invocation.open_tenant(Invocation::Purpose::read));
  switch (query.what) {
    case Asked::nothing:
      break;
    case Asked::types:
      co_return co_await names_of_types(tenant, "");
    case Asked::entities:
      co_return co_await names_of_entities(tenant, query.prefix);
    case Asked::calls:
    case Asked::casts:
      co_return co_await names_of_messages(tenant, query.entity, query.what);
  }
  co_return std::vector<std::string>();
}

}  // namespace

Async<void> complete(Invocation& invocation, CompletionQuery query) {
  if (query.what == Asked::nothing) co_return Status{};
  const std::string prefix = query.prefix;
  const auto names = co_await names_for(invocation, std::move(query));
  if (!names) co_return Status{};
  for (const auto& name : *names) {
    // A line break, or what steers a terminal, cannot be typed.
    if (name.starts_with(prefix) && name == shown(name)) invocation.print(name + "\n");
  }
  co_return Status{};
}

}  // namespace semper::cli
