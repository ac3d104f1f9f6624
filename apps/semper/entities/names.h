// The command names: who holds which names (server/name_registry.h).
#pragma once

#include <string>

#include "common/invocation.h"

namespace semper::cli {

struct NamesArguments {
  std::string prefix;
  std::string where;  // FIELD=VALUE
  std::string after;
  std::size_t limit = 100;  // 0: all
};
Async<void> show_names(Invocation& invocation, NamesArguments arguments);

}  // namespace semper::cli
