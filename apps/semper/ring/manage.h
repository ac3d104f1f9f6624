// Commands `ring create`, `info`, `suspend` and `resume`. Whoever has a role of a ring keeps others
// out of it, so suspend and resume are refused (`conflict`) while a program has the consumer's.
#pragma once

#include <string>

#include "common/invocation.h"
#include "ring/device.h"

namespace semper::cli {

struct RingCreateArguments {
  RingPlace place;
  std::string size;  // of a file that is not there yet
  std::string format = "semper-1";
  bool force = false;  // write over what is no ring without asking
};
// On a ring of that format it changes nothing. Errors: already_exists (a ring of the other format),
// invalid_argument (something else is there and nobody can be asked, or no size for a new file).
Async<void> ring_create(Invocation& invocation, RingCreateArguments arguments);

Async<void> ring_info(Invocation& invocation, RingPlace place);

struct RingAskArguments {
  RingPlace place;
  std::string timeout = "0";  // how long to wait for the acknowledgement
};
Async<void> ring_suspend(Invocation& invocation, RingAskArguments arguments);
Async<void> ring_resume(Invocation& invocation, RingAskArguments arguments);

}  // namespace semper::cli
