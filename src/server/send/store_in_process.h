// StoreInProcess: what is known about one store within this process, by whoever has the store.
#pragma once

#include <memory>

#include "semper/env/fork.h"
#include "semper/store/store.h"
#include "server/send/local_hosts.h"
#include "server/send/publishers.h"

namespace semper::internal {

struct StoreInProcess {
  LocalHosts hosts;
  PublishersOfStore publishers;
  // In a forked child, whose parent has the threads, all of this would wait for ever.
  const ForkGuard fork{};

  static std::shared_ptr<StoreInProcess> of(const Store& store) {
    return StoreParts::attachments(store).get<StoreInProcess>();
  }
};

}  // namespace semper::internal
