// Commands that send to entities, or change them as a whole: cast, call, kill, reset, unlock.
#pragma once

#include <optional>
#include <string>

#include "common/invocation.h"

namespace semper::cli {

struct SendArguments {
  std::string entity;
  std::string message;
  std::string json = "[]";  // "-": read from the standard input
  std::string timeout = "5s";
  std::optional<std::string> key;    // for idempotency
  std::optional<std::string> after;  // a cast's delay
  bool force = false;                // also where no host has registered such a message
};

// Queues the message durably and returns; a host processes it when one runs.
Async<void> cast(Invocation& invocation, SendArguments arguments);
// The same, then waits for the reply of a running host and prints it.
Async<void> call(Invocation& invocation, SendArguments arguments);

// These ask first. Each is one transaction.
Async<void> kill(Invocation& invocation, std::string entity);
Async<void> reset(Invocation& invocation, std::string entity);
struct UnlockArguments {
  std::string entity;
  bool if_locked = false;  // an entity that is not locked is no error
};
Async<void> unlock(Invocation& invocation, UnlockArguments arguments);

}  // namespace semper::cli
