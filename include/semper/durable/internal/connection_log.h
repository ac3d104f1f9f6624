// ConnectionLog: what happens to one connection, as lines for whoever runs the program.
//
// What for: durable.h and stream.h. When not: outside this room.
//
// One line for each change, none per attempt: connected, lost and why, not to be had, connected
// again after how many failures and how long, given up. Errors stand there in their first line,
// cut, and without what looks like a password, a token or the user part of a URL.
//
// Threads: the owner's lock is held where something is noted; deliver() comes after it is released,
// for the sink is the user's. Lines arrive in the order in which they were noted.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "semper/base/log.h"
#include "semper/base/result.h"
#include "semper/durable/bus.h"
#include "semper/env/clock.h"

namespace semper::internal {

// For log lines: the first line, without secrets, at most kLogTextMaximum bytes.
inline constexpr std::size_t kLogTextMaximum = 300;
std::string without_secrets(std::string_view text);

class ConnectionLog {
 public:
  ConnectionLog(std::string name, Clock& clock);

  // What broke it: the connection, or a caller of ours (who was cancelled in the middle of
  // something, or whose value was due to be replaced). The latter, and the next success, are for
  // those who look closely (debug).
  enum class Cause : std::uint8_t { connection, caller };

  // With the owner's lock held.
  void connected(const char* how = "connected");
  void lost(Cause cause, std::string_view why);
  void failed(const Error& error);
  void given_up(std::string_view why);  // until something is done about it

  void deliver() { lines_.deliver(); }

 private:
  struct Line {
    LogLevel level;
    std::string text;
  };
  void say(LogLevel level, const std::string& text);

  const std::string name_;
  Clock& clock_;
  bool is_up_ = false;
  bool was_up_ = false;  // ever
  bool is_given_up_ = false;
  bool by_caller_ = false;             // why it is down
  MonotonicTime down_since_ = kNever;  // kNever: no attempt has failed, and nothing was lost
  std::uint64_t failures_ = 0;         // since then
  Bus<Line> lines_;
  BusSubscription heard_;
};

}  // namespace semper::internal
