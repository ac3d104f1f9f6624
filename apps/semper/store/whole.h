// Commands `store create`, `check`, `backup` and `info`: the store as a whole.
#pragma once

#include <string>

#include "common/invocation.h"

namespace semper::cli {

Async<void> create(Invocation& invocation);
Async<void> check(Invocation& invocation);
Async<void> info(Invocation& invocation);

struct BackupArguments {
  std::string to;
};
Async<void> backup(Invocation& invocation, BackupArguments arguments);

}  // namespace semper::cli
