// semper explain: why an entity does not move, in one sentence, and the facts.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "entities/hosts.h"
#include "semper/server/inspect.h"

namespace semper::cli {

// What was seen of an entity; twice, with the time in between that hosts need to show that they
// live.
struct Seen {
  EntityId id;
  std::optional<EntityView> view;   // empty: there is no such entity
  std::optional<QueuedView> first;  // of its queue
  std::vector<WatchedHost> hosts;
  bool has_moved = false;
  std::optional<std::string> needs = {};  // of a host, and none that is alive has it
  // The chain of calls that begins with it, where its callback waits for another one (chain.h).
  std::vector<EntityId> chain;
  WallTime now;
  std::string no_such_type;  // because_of_type(), where it is not there
};

struct Verdict {
  const char* why;  // a word for programs: docs/cli.md
  std::string sentence;
};
Verdict verdict(const Seen& seen);

// Exit code 0 whatever the reason is, also where there is no such entity.
Async<void> explain(Invocation& invocation, std::string entity);

}  // namespace semper::cli
