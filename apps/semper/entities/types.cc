// `semper types`: the types of a store, and which of its hosts speak what; with --compare, where
// they differ.
#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "common/document.h"
#include "common/text.h"
#include "entities/limits.h"
#include "entities/look.h"
#include "semper/server/inspect.h"

namespace semper::cli {
namespace {

std::string ways_text(const MessageInfo& message) {
  std::string ways;
  const auto add = [&](bool can, const char* way) {
    if (can) ways += (ways.empty() ? "" : ", ") + std::string(way);
  };
  add(message.call, "call");
  add(message.cast, "cast");
  add(message.info, "info");
  add(message.locked, "locked");
  return ways;
}

std::string message_text(const MessageInfo& message) {
  return shown(message.name) + " (" + ways_text(message) + ")";
}

Bytes message_item(const MessageInfo& message) {
  return Fields()
      .add("name", text_item(message.name))
      .add("call", flag_item(message.call))
      .add("cast", flag_item(message.cast))
      .add("info", flag_item(message.info))
      .add("locked", flag_item(message.locked))
      .item();
}

// A type as one host serves it.
struct Speaker {
  std::string host;
  std::string name;
  bool says = false;  // hosts of 0.1.0 do not
  ServedTypeView type;
};

std::vector<Speaker> speakers_of(const std::vector<HostView>& hosts, const std::string& type) {
  std::vector<Speaker> speakers;
  for (const auto& host : hosts) {
    if (std::find(host.types.begin(), host.types.end(), type) == host.types.end()) continue;
    Speaker speaker{host.id, host.name, false, {}};
    for (const auto& served : host.speaks) {
      if (served.type != type) continue;
      speaker.says = true;
      speaker.type = served;
    }
    speakers.push_back(std::move(speaker));
  }
  return speakers;
}

// What others of the type's hosts have, and this one has not; empty: nothing that is known.
std::string lacks(const Speaker& speaker, const std::vector<Speaker>& all) {
  if (!speaker.says) return "does not say: a host of 0.1.0";
  std::uint32_t newest = 1;
  std::map<std::string, bool> known;  // whether it is this one's, too
  for (const auto& other : all) {
    newest = std::max(newest, other.type.state_version);
    for (const auto& message : other.type.messages) known.emplace(message.name, false);
  }
  for (const auto& message : speaker.type.messages) known[message.name] = true;
  std::string words;
  const auto add = [&](const std::string& one) { words += (words.empty() ? "" : "; ") + one; };
  if (speaker.type.state_version < newest) {
    add("an older state: others have version " + std::to_string(newest));
  }
  std::string names;
  for (const auto& [name, is_its] : known) {
    if (!is_its) names += (names.empty() ? "" : ", ") + shown(name);
  }
  if (!names.empty() && !speaker.type.has_more) add("lacks " + names);
  if (speaker.type.is_behind) add("older than the program that wrote some entities");
  return words;
}

Bytes speakers_item(const std::vector<Speaker>& speakers) {
  List hosts;
  for (const auto& speaker : speakers) {
    List messages;
    for (const auto& message : speaker.type.messages) messages.add(message_item(message));
    const std::string words = lacks(speaker, speakers);
    hosts.add(Fields()
                  .add("host", text_item(speaker.host))
                  .add("name", text_item(speaker.name))
                  .add("state_version",
                       speaker.says ? number_item(speaker.type.state_version) : null_item())
                  .add("behind", flag_item(speaker.type.is_behind))
                  .add("messages", messages.item())
                  .add("more_messages", flag_item(speaker.type.has_more))
                  .add("limits", limits_item(speaker.type.limits))
                  .add("differs", words.empty() ? null_item() : text_item(words))
                  .item());
  }
  return hosts.item();
}

void add_rows(const std::string& type, const std::vector<Speaker>& speakers,
              std::vector<std::vector<std::string>>& rows) {
  for (const auto& speaker : speakers) {
    const std::string words = lacks(speaker, speakers);
    rows.push_back({shown(type), shown(speaker.name),
                    speaker.says ? std::to_string(speaker.type.state_version) : "?",
                    speaker.says ? std::to_string(speaker.type.messages.size()) +
                                       (speaker.type.has_more ? " or more" : "")
                                 : "?",
                    words.empty() ? "" : "! " + words});
  }
}

// One thing in which hosts may differ, and what each of them has of it, in their order.
struct Difference {
  std::string what;
  std::vector<std::string> values;
};

bool is_difference(const Difference& one) {
  const auto other = [&](const std::string& value) { return value != one.values.front(); };
  return std::any_of(one.values.begin(), one.values.end(), other);
}

std::string value_of(const Speaker& speaker, const std::string& message) {
  const auto& messages = speaker.type.messages;
  const auto is_it = [&](const MessageInfo& info) { return info.name == message; };
  const auto found = std::find_if(messages.begin(), messages.end(), is_it);
  if (found != messages.end()) return ways_text(*found);
  return speaker.type.has_more ? "?" : "-";
}

std::vector<Difference> differences(const std::vector<Speaker>& speakers) {
  std::vector<Difference> all;
  const auto compare = [&](const std::string& what, auto value) {
    Difference one{what, {}};
    for (const auto& speaker : speakers) {
      one.values.push_back(speaker.says ? value(speaker) : std::string("?"));
    }
    if (!one.values.empty() && is_difference(one)) all.push_back(std::move(one));
  };
  compare("state version",
          [](const Speaker& one) { return std::to_string(one.type.state_version); });
  std::set<std::string> names;
  for (const auto& speaker : speakers) {
    for (const auto& message : speaker.type.messages) names.insert(message.name);
  }
  for (const auto& name : names) {
    compare(shown(name), [&](const Speaker& one) { return value_of(one, name); });
  }
  compare("limits", [](const Speaker& one) {
    return one.type.limits ? limits_text(*one.type.limits) : std::string("none");
  });
  return all;
}

Bytes differences_item(const std::vector<Speaker>& speakers, const std::vector<Difference>& all) {
  List items;
  for (const auto& one : all) {
    List values;
    for (std::size_t i = 0; i < speakers.size(); ++i) {
      values.add(Fields()
                     .add("host", text_item(speakers[i].host))
                     .add("name", text_item(speakers[i].name))
                     .add("has", text_item(one.values[i]))
                     .item());
    }
    items.add(Fields().add("what", text_item(one.what)).add("hosts", values.item()).item());
  }
  return items.item();
}

void print_differences(Invocation& invocation, const std::string& type,
                       const std::vector<Speaker>& speakers, const std::vector<Difference>& all) {
  std::vector<std::vector<std::string>> rows = {{shown(type)}};
  for (const auto& speaker : speakers) rows.front().push_back(shown(speaker.name));
  for (const auto& one : all) {
    auto& row = rows.emplace_back();
    row.push_back(one.what);
    row.insert(row.end(), one.values.begin(), one.values.end());
  }
  invocation.print(table(rows));
}

Async<void> compare_types(Invocation& invocation) {
  SEMPER_CO_TRY(const Tenant tenant, co_await invocation.open_tenant(Invocation::Purpose::read));
  SEMPER_CO_TRY(const auto types, co_await list_types(tenant));
  SEMPER_CO_TRY(const auto hosts, co_await list_hosts(tenant));
  List document;
  std::string differing;
  for (const auto& view : types) {
    const auto speakers = speakers_of(hosts, view.type);
    const auto all = differences(speakers);
    document.add(Fields()
                     .add("type", text_item(view.type))
                     .add("hosts", number_item(speakers.size()))
                     .add("differences", differences_item(speakers, all))
                     .item());
    if (all.empty()) continue;
    if (!invocation.json()) print_differences(invocation, view.type, speakers, all);
    differing += (differing.empty() ? "" : ", ") + shown(view.type);
  }
  if (invocation.json()) {
    SEMPER_CO_TRY_STATUS(invocation.print_document(document.item()));
  }
  if (!differing.empty()) {
    co_return fail(ErrorKind::conflict,
                   "the hosts of " + differing +
                       " differ; replace the older programs, or wait until they have ended");
  }
  if (!invocation.json()) {
    invocation.note(hosts.empty() ? "no host serves anything"
                                  : "all hosts of each type know the same");
  }
  co_return Status{};
}

}  // namespace

Async<void> show_types(Invocation& invocation, TypesArguments arguments) {
  if (arguments.compares) co_return co_await compare_types(invocation);
  SEMPER_CO_TRY(const Tenant tenant, co_await invocation.open_tenant(Invocation::Purpose::read));
  SEMPER_CO_TRY(const auto types, co_await list_types(tenant));
  SEMPER_CO_TRY(const auto hosts, co_await list_hosts(tenant));
  List document;
  std::vector<std::vector<std::string>> rows = {{"TYPE", "MESSAGES"}};
  std::vector<std::vector<std::string>> host_rows = {
      {"TYPE", "HOST", "STATE VERSION", "MESSAGES", "DIFFERS"}};
  std::vector<std::vector<std::string>> limit_rows = {{"TYPE", "HOST", "LIMITS"}};
  for (const auto& view : types) {
    const auto speakers = speakers_of(hosts, view.type);
    List messages;
    std::string words;
    for (const auto& message : view.messages) {
      messages.add(message_item(message));
      words += (words.empty() ? "" : "  ") + message_text(message);
    }
    document.add(Fields()
                     .add("type", text_item(view.type))
                     .add("registered", flag_item(!view.messages.empty()))
                     .add("messages", messages.item())
                     .add("hosts", speakers_item(speakers))
                     .item());
    rows.push_back({shown(view.type), words.empty() ? "not known: no host registered it" : words});
    for (const auto& speaker : speakers) {
      if (!speaker.type.limits) continue;
      const std::string limits = limits_text(*speaker.type.limits);
      const std::vector<std::string> row = {shown(view.type), shown(speaker.name), limits};
      limit_rows.push_back(row);
    }
    add_rows(view.type, speakers, host_rows);
  }
  if (invocation.json()) co_return invocation.print_document(document.item());
  if (types.empty()) {
    invocation.note("no type yet: neither a host nor an entity was ever in this store");
    co_return Status{};
  }
  invocation.print(table(rows));
  if (host_rows.size() > 1) {
    invocation.say("");
    invocation.print(table(host_rows));
  }
  if (limit_rows.size() > 1) {
    invocation.say("");
    invocation.print(table(limit_rows));
  }
  co_return Status{};
}

}  // namespace semper::cli
