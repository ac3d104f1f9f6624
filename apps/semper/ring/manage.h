// Commands on rings: `semper ring create|info|suspend|resume|produce|consume|verify|dump|bench`. They
// need no store. Whoever has a role of a ring keeps others out of it, so produce, consume, suspend and
// resume are refused (`conflict`) while a program has theirs; info, verify and dump take none, and
// change nothing.
#pragma once

#include <cstdint>
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

struct RingProduceArguments {
  RingPlace place;
  bool framed = false;
  std::string timeout = "forever";  // how long to wait for room
  bool no_flush = false;
  bool take_over = false;
};
// Records from the standard input. Those of one read are published together: with one flush.
Async<void> ring_produce(Invocation& invocation, RingProduceArguments arguments);

struct RingConsumeArguments {
  RingPlace place;
  bool framed = false;
  std::uint64_t count = 0;  // 0: all
  bool follow = false;      // wait for more until interrupted
  bool keep = false;        // do not remove
  bool skip_damage = false;
  bool no_flush = false;
  bool take_over = false;
};
// Items are removed when they have been written and the output was flushed.
Async<void> ring_consume(Invocation& invocation, RingConsumeArguments arguments);

// Reads the whole device. Error corrupt: there is damage; it was all named.
Async<void> ring_verify(Invocation& invocation, RingPlace place);
Async<void> ring_dump(Invocation& invocation, RingPlace place);

struct RingBenchArguments {
  std::string duration = "2s";
  std::string size = "64MiB";
  std::uint64_t callers = 64;
  std::string directory;
};
Async<void> ring_bench(Invocation& invocation, RingBenchArguments arguments);

}  // namespace semper::cli
