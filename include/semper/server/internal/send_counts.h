// How many messages a process has sent to which queues, by name only.
#pragma once

namespace semper::internal {

class SendCounts;

}  // namespace semper::internal
