// StoreTrouble: what a host says of a store that does not answer: once for each kind of error, not
// once for each of its coroutines and rounds.
//
// The first failure of a kind is logged whole. Then there is a line per kTroubleReminder, with the
// number of failures, until there was none for kTroubleQuiet. Threads: any.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string_view>

#include "semper/base/result.h"
#include "semper/env/clock.h"

namespace semper::internal {

inline constexpr Duration kTroubleReminder = std::chrono::minutes(1);
inline constexpr Duration kTroubleQuiet = std::chrono::seconds(10);

class StoreTrouble {
 public:
  // While doing that.
  void failed(MonotonicTime now, std::string_view doing, const Error& error);
  // To be called now and then.
  void succeeded(MonotonicTime now);

 private:
  struct Failures {
    std::uint64_t count = 0;
    MonotonicTime remind_at{};
  };
  std::mutex mutex_;
  std::map<ErrorKind, Failures> kinds_;
  MonotonicTime last_{};
};

// Those of the store itself, not of what lies in it.
inline bool is_of_the_store(ErrorKind kind) {
  return kind != ErrorKind::corrupt && kind != ErrorKind::unsupported;
}

}  // namespace semper::internal
