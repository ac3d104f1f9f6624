// The systems there are, one source file each; those whose client library is missing are left out
// of the build (bench/CMakeLists.txt), and missing_kind() stands in for them.
#pragma once

#include <string>

#include "system.h"

namespace semper::bench::peers {

Kind semper_kind();
Kind redis_kind();
Kind postgres_kind();
Kind rabbitmq_kind();
Kind nats_kind();

}  // namespace semper::bench::peers
