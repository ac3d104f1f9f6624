#include "store/copy_use.h"

#include <algorithm>
#include <map>
#include <utility>

#include "common/text.h"
#include "semper/server/inspect.h"
#include "semper/store/directory.h"

namespace semper::cli {
namespace {

constexpr Duration kBetweenLooks = std::chrono::milliseconds(250);
constexpr std::size_t kUsersInWords = 3;

struct Registered {
  std::string words;
  std::uint64_t renewals = 0;
};
using Registrations = std::map<std::string, Registered>;  // by tenant and id

// The tenants besides the default one: every directory could be one.
Async<std::vector<Tenant>> tenants_in_directories(const Store& store) {
  const DirectoryLayer directories(store.env());
  std::vector<Tenant> tenants;
  std::vector<DirectoryPath> open = {{}};
  while (!open.empty()) {
    const DirectoryPath path = std::move(open.back());
    open.pop_back();
    SEMPER_CO_TRY(const auto names, co_await store.transact([&](Transaction& transaction) {
      return directories.list(transaction, path);
    }));
    for (const auto& name : names) {
      DirectoryPath below = path;
      below.push_back(name);
      SEMPER_CO_TRY(const auto directory, co_await store.transact([&](Transaction& transaction) {
        return directories.open(transaction, below);
      }));
      tenants.emplace_back(store, directory.contents.prefix());
      if (tenants.size() > kTenantsMaximum) {
        co_return fail(ErrorKind::exhausted, Limit{"kTenantsMaximum", kTenantsMaximum},
                       "the store has more than " + std::to_string(kTenantsMaximum) +
                           " directories; who uses it cannot be found out");
      }
      open.push_back(std::move(below));
    }
  }
  co_return tenants;
}

Async<void> add_registrations(const Tenant& tenant, Registrations& all) {
  SEMPER_CO_TRY(const auto hosts, co_await list_hosts(tenant));
  SEMPER_CO_TRY(const auto sessions, co_await list_sessions(tenant));
  for (const auto& host : hosts) {
    all[tenant.prefix() + "h" + host.id] = {"host " + shown(host.name), host.renewals};
  }
  for (const auto& session : sessions) {
    all[tenant.prefix() + "s" + session.id] = {"a process that waits for replies",
                                               session.renewals};
  }
  co_return Status{};
}

Async<Registrations> look(const Store& store, const std::vector<Tenant>& tenants) {
  Registrations all;
  SEMPER_CO_TRY_STATUS(co_await add_registrations(Tenant(store), all));
  for (const auto& tenant : tenants) {
    const Status added = co_await add_registrations(tenant, all);
    // A directory that holds something else than entities has no hosts.
    const bool foreign = !added && (added.error().kind() == ErrorKind::corrupt ||
                                    added.error().kind() == ErrorKind::invalid_argument);
    if (!added && !foreign) co_return fail(added.error());
  }
  co_return all;
}

// Those that are new, or were renewed, since `before`.
std::vector<std::string> alive_since(const Registrations& before, const Registrations& now) {
  std::vector<std::string> alive;
  for (const auto& [id, registered] : now) {
    const auto known = before.find(id);
    if (known == before.end() || known->second.renewals != registered.renewals) {
      alive.push_back(registered.words);
    }
  }
  return alive;
}

}  // namespace

Async<StoreUse> find_use(const Store& store, const Interrupt& interrupt) {
  StoreUse use;
  Clock& clock = *store.env().clock;
  SEMPER_CO_TRY(const auto tenants, co_await tenants_in_directories(store));
  SEMPER_CO_TRY(const auto first, co_await look(store, tenants));
  if (first.empty()) co_return use;
  for (const MonotonicTime end = clock.after(kUseSilence); clock.now() < end;) {
    if (!co_await interrupt.sleep_until(clock, clock.after(kBetweenLooks))) {
      co_return fail(ErrorKind::cancelled, "interrupted; nothing was changed");
    }
    SEMPER_CO_TRY(const auto now, co_await look(store, tenants));
    use.alive = alive_since(first, now);
    if (!use.alive.empty() || now.empty()) co_return use;
  }
  for (const auto& [id, registered] : first) use.silent.push_back(registered.words);
  co_return use;
}

std::string use_in_words(const std::vector<std::string>& users) {
  std::string words;
  for (std::size_t i = 0; i < std::min(users.size(), kUsersInWords); ++i) {
    words += (i == 0 ? "" : ", ") + users[i];
  }
  if (users.size() > kUsersInWords) words += ", ... (" + std::to_string(users.size()) + " in all)";
  return words;
}

}  // namespace semper::cli
