// Commands about idempotency keys: keys, key forget. They need no host and no C++ type.
#pragma once

#include <string>

#include "common/invocation.h"

namespace semper::cli {

struct KeysArguments {
  std::string entity;
  std::size_t limit = 100;  // 0: all
};
Async<void> show_keys(Invocation& invocation, KeysArguments arguments);

struct MessageKeyArguments {
  std::string entity;
  std::string message;
  std::string key;
};
// Asks first. Changes the store.
Async<void> forget_one_key(Invocation& invocation, MessageKeyArguments arguments);

}  // namespace semper::cli
