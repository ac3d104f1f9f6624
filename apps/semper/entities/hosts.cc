#include "entities/hosts.h"

#include <algorithm>
#include <map>
#include <utility>

#include "common/document.h"
#include "common/text.h"

namespace semper::cli {
namespace {

constexpr Duration kLookInterval = std::chrono::milliseconds(50);

struct Watch {
  std::uint64_t renewals = 0;
  bool has_renewed = false;
};

}  // namespace

bool serves(const HostView& host, const std::string& type) {
  return std::find(host.types.begin(), host.types.end(), type) != host.types.end();
}

Async<std::vector<WatchedHost>> watch_hosts(Tenant tenant) {
  Clock& clock = *tenant.store()->env().clock;
  const MonotonicTime began = clock.now();
  std::map<std::string, Watch> watched;
  while (true) {
    SEMPER_CO_TRY(auto hosts, co_await list_hosts(tenant));
    const Duration passed = clock.now() - began;
    std::vector<WatchedHost> result;
    bool is_decided = true;
    for (auto& view : hosts) {
      const auto [place, is_new] = watched.try_emplace(view.id, Watch{view.renewals, false});
      Watch& watch = place->second;
      watch.has_renewed = watch.has_renewed || view.renewals != watch.renewals;
      const Duration lease = std::min(view.lease.value_or(kHostSilence), kHostWatchMaximum);
      const bool is_silent = !watch.has_renewed && passed >= lease;
      is_decided = is_decided && (watch.has_renewed || is_silent);
      result.push_back({std::move(view), is_silent});
    }
    if (is_decided) co_return result;
    SEMPER_CO_TRY_STATUS(co_await sleep_for(clock, kLookInterval));
  }
}

Async<void> show_hosts(Invocation& invocation) {
  SEMPER_CO_TRY(const Tenant tenant, co_await invocation.open_tenant(Invocation::Purpose::read));
  SEMPER_CO_TRY(const auto hosts, co_await watch_hosts(tenant));
  const WallTime now = tenant.store()->env().clock->wall_time();
  List document;
  std::vector<std::vector<std::string>> rows = {{"HOST", "SEEN", "TYPES"}};
  for (const auto& [view, is_silent] : hosts) {
    // By two calendars, its own and ours: for people, and for nothing else.
    const Duration age = now - view.renewed;
    List types;
    std::string words;
    for (const auto& type : view.types) {
      types.add(text_item(type));
      words += (words.empty() ? "" : ", ") + shown(type);
    }
    document.add(Fields()
                     .add("host", text_item(view.id))
                     .add("name", text_item(view.name))
                     .add("types", types.item())
                     .add("renewed", time_item(view.renewed))
                     .add("age_seconds", seconds_item(age))
                     .add("silent", flag_item(is_silent))
                     .item());
    rows.push_back({shown(view.name), is_silent ? shown_span(age) + " ago (died?)" : "now", words});
  }
  if (invocation.json()) co_return invocation.print_document(document.item());
  if (hosts.empty()) {
    invocation.note("no host is running: messages wait until one is started");
  } else {
    invocation.print(table(rows));
  }
  co_return Status{};
}

}  // namespace semper::cli
