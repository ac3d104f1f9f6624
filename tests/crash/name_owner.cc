#include "name_owner.h"

#include <unistd.h>

#include <atomic>
#include <string>

#include "role.h"
#include "semper/env/one_shot.h"
#include "semper/semper.h"
#include "semper/server/name_registry.h"
#include "workers.h"

namespace semper::testing {
namespace {

using namespace std::chrono_literals;

Async<void> write_as_holder(const Store& store, const Holding& holding) {
  const Bytes begin = kOwnersWrites;
  const Bytes value = std::to_string(holding.token());
  const auto write = [&](Transaction& transaction) -> Async<void> {
    SEMPER_CO_TRY_STATUS(co_await holding.guard(transaction));
    transaction.set_versionstamped_key(begin + Bytes(Versionstamp::store_size, '\0'), begin.size(),
                                       value);
    co_return Status{};
  };
  co_return co_await store.transact(write);
}

// What the parent asks for.
struct Orders {
  std::atomic<bool> ends{false};
  std::atomic<bool> keeps_still{false};  // between two writes, where nothing is half done
};

Async<void> own(const Store& store, NameRegistry& names, const Orders& orders) {
  const auto& ends = orders.ends;
  semper::CampaignOptions options;
  options.timeout = 200ms;
  while (!ends) {
    auto holding = co_await names.campaign(kOwnedName, options);
    if (!holding && holding.error().kind() == ErrorKind::timeout) continue;
    if (!holding) co_return fail(holding.error());
    tell("held " + std::to_string(holding->token()));
    Status written;
    while (written && !ends) {
      if (orders.keeps_still) {
        tell("still");
        orders.keeps_still.wait(true);
      }
      written = co_await write_as_holder(store, *holding);
    }
    if (!written && written.error().kind() != ErrorKind::closed) co_return written;
    if (!written)
      tell(holding->lost().stop_requested() || !holding->is_held() ? "lost" : "confused");
  }
  co_return Status{};
}

}  // namespace

std::vector<std::string> name_owner_arguments(const std::string& store) {
  return {"--role=name-owner", store};
}

Status own_a_name(const std::string& url) {
  Scheduler scheduler;
  SEMPER_TRY(auto store, scheduler.block_on(open_store(url)));
  NameRegistryOptions options;
  options.lease = kLockLease;
  options.owner = std::to_string(::getpid());
  NameRegistry names(store, options);
  Orders orders;
  OneShot<Status> ended;
  auto all = [](const Store& of, NameRegistry& registry, const Orders& given,
                OneShot<Status> done) -> Task<void> {
    done.set(co_await own(of, registry, given));
  };
  asio::co_spawn(scheduler.executor(), all(store, names, orders, ended), asio::detached);
  tell("ready");
  char byte = 0;
  while (::read(STDIN_FILENO, &byte, 1) > 0) {
    if (byte != 's' && byte != 'g') continue;
    orders.keeps_still = byte == 's';
    orders.keeps_still.notify_all();
  }
  orders.ends = true;
  SEMPER_TRY(const auto status, scheduler.block_on(ended.wait()));
  SEMPER_TRY_STATUS(status);
  SEMPER_TRY_STATUS(scheduler.block_on(names.close()));
  return scheduler.block_on(store.close());
}

}  // namespace semper::testing
