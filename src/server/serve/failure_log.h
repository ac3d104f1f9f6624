// FailureLog: a line for each run of a message that failed, for those who collect logs.
//
//   message failed: type=Order entity=17 message=Ship event=call attempt=2 of=3 error=internal
//   text="no such shelf" next=retry after_ms=20
//
// (one line). A field's value stands in quotation marks, as a JSON string, where it is more than
// letters, digits and a few marks. The message's contents are not in it; the text of an exception
// that a callback has thrown is.
//
// Bound: kFailureLines of a type and a kind of error per kFailureLinesPeriod; those past it are
// counted, and the next line says how many (`not_logged`). Each is counted as a failure all the
// same. Threads: any.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "semper/base/result.h"
#include "semper/env/clock.h"
#include "semper/server/entity_id.h"
#include "semper/server/message.h"

namespace semper::internal {

inline constexpr std::uint64_t kFailureLines = 20;
inline constexpr Duration kFailureLinesPeriod = std::chrono::seconds(10);
// Longer texts of errors are cut.
inline constexpr std::size_t kFailureTextBytes = 512;

struct FailedRun {
  enum class How : std::uint8_t { queued, local, locked, priority };
  // What becomes of the message.
  enum class Next : std::uint8_t {
    retry,        // it is run again, after `wait`
    queue,        // it was promised to be durable: it goes into the queue, and is run from there
    dead_letter,  // it is set aside
    reply         // its caller is told
  };

  std::string message;
  Event event = Event::cast;
  How how = How::queued;
  std::uint64_t attempt = 1;
  int of = 1;  // kAttemptsForEver: there is no end
  Next next = Next::retry;
  Duration wait{};
};

// The line, without what the log adds.
std::string failure_line(const EntityId& id, const FailedRun& run, const Error& error);

class FailureLog {
 public:
  void failed(MonotonicTime now, const EntityId& id, const FailedRun& run, const Error& error);

 private:
  struct Kind {
    MonotonicTime began{};
    std::uint64_t lines = 0;  // since then
    std::uint64_t not_logged = 0;
  };
  std::mutex mutex_;
  std::map<ErrorKind, Kind> kinds_;
};

}  // namespace semper::internal
