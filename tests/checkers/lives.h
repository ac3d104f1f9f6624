// What is left of an entity that was killed and reset between messages?
//
// All in the order of moments. What must hold for a message, and the ends (kills, resets) around
// it:
//   - one that was acknowledged after every end that can have come was over is there;
//   - one that was answered (taken effect) before an end that succeeded began is not;
//   - one that was refused is not there, and none is there twice.
// A kill also takes what waits in the queue; a reset takes only what took effect, so a cast that
// was acknowledged before it may still come.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "fate.h"

namespace semper::testing {

struct LifeMessage {
  std::uint64_t number = 0;
  bool is_call = false;
  Fate fate = Fate::open;
  std::int64_t invoked = 0;
  std::int64_t returned = std::numeric_limits<std::int64_t>::max();
};

struct LifeEnd {
  bool is_kill = true;
  Fate fate = Fate::open;
  std::int64_t invoked = 0;
  std::int64_t returned = std::numeric_limits<std::int64_t>::max();
};

std::vector<std::string> judge_lives(const std::string& entity,
                                     const std::vector<LifeMessage>& messages,
                                     const std::vector<LifeEnd>& ends,
                                     const std::vector<std::uint64_t>& left);

}  // namespace semper::testing
