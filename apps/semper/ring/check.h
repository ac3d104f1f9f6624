// Commands `ring verify` and `ring dump`: what lies on the device, without taking a role or
// changing a byte.
#pragma once

#include "common/invocation.h"
#include "ring/device.h"

namespace semper::cli {

// Reads the whole device. Error corrupt: there is damage; it was all named.
Async<void> ring_verify(Invocation& invocation, RingPlace place);
Async<void> ring_dump(Invocation& invocation, RingPlace place);

}  // namespace semper::cli
