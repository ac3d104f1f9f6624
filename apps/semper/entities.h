// Commands that look into entities: types, ls, show, queue, dead, hosts. They need no host and no
// C++ type, and change nothing, but for `dead --redrive`.
#pragma once

#include <string>

#include "invocation.h"

namespace semper::cli {

// A host that was silent for so long has died, with any sensible HostOptions::host_lease.
inline constexpr Duration kHostSilence = std::chrono::seconds(10);

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

Async<void> show_hosts(Invocation& invocation);

}  // namespace semper::cli
