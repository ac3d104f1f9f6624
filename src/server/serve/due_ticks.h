// DueTicks: timers of one entity whose time has come, on their way past its queue.
//
// The DueScanner hands them to a group (group.h), which reads their rows, runs their messages
// behind all that waits for the entity, and writes what the timers become, in its own transaction:
// so a tick costs no commit of its own. What no group has delivered, for whatever reason, goes
// through the queue as if it had not been tried: the row says what has been done, and whoever
// changes it first wins.
#pragma once

#include <cstddef>
#include <memory>
#include <utility>
#include <variant>
#include <vector>

#include "semper/env/one_shot.h"
#include "server/format/keys.h"

namespace semper::internal {

struct DueTicks {
  std::vector<DueEntry> entries;  // in the order of their times
  std::size_t delivered = 0;      // the first ones, by a commit
};

// Told when the last copy of its pointer goes.
class AllHandled {
 public:
  explicit AllHandled(OneShot<std::monostate> told) : told_(std::move(told)) {}
  AllHandled(const AllHandled&) = delete;
  AllHandled& operator=(const AllHandled&) = delete;
  ~AllHandled() { told_.set({}); }

 private:
  OneShot<std::monostate> told_;
};

// In hand until it goes.
struct HandedTicks {
  std::shared_ptr<DueTicks> ticks;
  std::shared_ptr<AllHandled> all;
};

}  // namespace semper::internal
