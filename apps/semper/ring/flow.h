// Commands `ring produce` and `ring consume`: items in and out through the standard streams. They
// are refused (`conflict`) while a program has the role that they need.
#pragma once

#include <cstdint>
#include <string>

#include "common/invocation.h"
#include "ring/device.h"

namespace semper::cli {

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

}  // namespace semper::cli
