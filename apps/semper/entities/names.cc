#include "entities/names.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "common/document.h"
#include "common/text.h"
#include "semper/server/name_registry.h"

namespace semper::cli {
namespace {

Result<NameQuery> query_of(const NamesArguments& arguments) {
  NameQuery query;
  query.prefix = arguments.prefix;
  query.after = arguments.after;
  if (arguments.where.empty()) return query;
  const auto equals = arguments.where.find('=');
  if (equals == std::string::npos || equals == 0) {
    return fail(ErrorKind::invalid_argument,
                "--where takes FIELD=VALUE, not \"" + shown(arguments.where) + "\"");
  }
  query.where[arguments.where.substr(0, equals)] = arguments.where.substr(equals + 1);
  return query;
}

Bytes metadata_item(const NameMetadata& metadata) {
  Fields fields;
  for (const auto& [field, value] : metadata) fields.add(field, text_item(value));
  return fields.item();
}

std::string metadata_text(const NameMetadata& metadata) {
  std::string text;
  for (const auto& [field, value] : metadata) {
    text += (text.empty() ? "" : ", ") + shown(field) + "=" + shown(value);
  }
  return text;
}

}  // namespace

Async<void> show_names(Invocation& invocation, NamesArguments arguments) {
  SEMPER_CO_TRY(const Tenant tenant, co_await invocation.open_tenant(Invocation::Purpose::read));
  SEMPER_CO_TRY(NameQuery query, query_of(arguments));
  const WallTime now = tenant.store()->env().clock->wall_time();
  std::size_t left = arguments.limit == 0 ? ~std::size_t{0} : arguments.limit;
  List document;
  std::vector<std::vector<std::string>> rows = {{"NAME", "OWNER", "SINCE", "TOKEN", "METADATA"}};
  bool more = true;
  while (more && left > 0) {
    query.limit = std::min(left, kNamesPerPageMaximum);
    SEMPER_CO_TRY(const auto page, co_await list_names(tenant, query));
    for (const auto& view : page.names) {
      // By two calendars, its own and ours: for people, and for nothing else.
      const Duration age = now - view.since;
      document.add(Fields()
                       .add("name", text_item(view.name))
                       .add("owner", text_item(view.owner))
                       .add("session", text_item(view.session))
                       .add("token", number_item(view.token))
                       .add("since", time_item(view.since))
                       .add("age_seconds", seconds_item(age))
                       .add("metadata", metadata_item(view.metadata))
                       .item());
      rows.push_back({shown(view.name), shown(view.owner), shown_span(age) + " ago",
                      std::to_string(view.token), metadata_text(view.metadata)});
      --left;
    }
    more = page.next.has_value();
    if (more) query.after = *page.next;
  }
  if (invocation.json()) co_return invocation.print_document(document.item());
  if (rows.size() == 1) {
    invocation.note("no name is held");
  } else {
    invocation.print(table(rows));
  }
  if (more) invocation.note("there are more: --after '" + query.after + "' goes on");
  co_return Status{};
}

}  // namespace semper::cli
