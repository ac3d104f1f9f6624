// A durable server some of whose messages end the process that runs them, each in its own way.
// Every run of one is written into the file FOLDER/runs before it happens.
#pragma once

#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include "semper/semper.h"

namespace semper::testing {

class Bomb {
 public:
  static constexpr std::string_view kName = "bomb";

  using State = std::uint64_t;  // messages that did no harm
  struct Tick {};
  struct Explode {
    std::string how;
  };
  using Messages = semper::Messages<Tick, Explode>;

  explicit Bomb(std::string folder) : folder_(std::move(folder)) {}

  Result<State> init(const EntityId&) { return 0; }
  void handle_cast(const Tick&, State& state, Context&) { ++state; }
  void handle_cast(const Explode& message, State&, Context&) {
    std::ofstream(folder_ + "/runs", std::ios::app) << "x" << std::flush;
    if (message.how == "abort") std::abort();
    if (message.how == "exit") std::_Exit(3);
    if (message.how == "kill") std::raise(SIGKILL);
    if (message.how == "stack") static_cast<void>(overflow(1));
    throw std::invalid_argument("no such way to explode: " + message.how);
  }

 private:
  // For ever; the volatile array keeps it from becoming a loop.
  static int overflow(int depth) {
    volatile char frame[4096] = {};
    frame[static_cast<std::size_t>(depth) % sizeof frame] = 1;
    if (depth < 0) return 0;
    return overflow(depth + 1) + frame[0];
  }

  std::string folder_;
};

}  // namespace semper::testing
