// The state behind the handles of a ring, by name only.
#pragma once

namespace semper::ring::internal {

class ConsumerCore;
class JournalCore;
class ProducerCore;

}  // namespace semper::ring::internal
