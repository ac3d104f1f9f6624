// FaultyNeighbours: what FaultyBackend does to the links between processes.
//
// Each end of a link gets what comes through a queue of its own: there it waits until it is due, or
// until its process goes on.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

#include "semper/env/clock.h"
#include "semper/store/neighbours.h"

namespace semper::testing::internal {

class FaultyEnd;

// As StoreFaults says, there link_refused and so on.
enum class LinkFault : std::uint8_t { refused, cut, late, silent };

// Where the faults come from.
class LinkDice {
 public:
  virtual ~LinkDice() = default;
  // Whether it happens now; counted if so.
  virtual bool strikes(LinkFault fault) = 0;
  virtual Duration lateness() = 0;
  virtual bool coin() = 0;
};

class FaultyNeighbours : public std::enable_shared_from_this<FaultyNeighbours> {
 public:
  // `inner` may be null; what `dice` points to keeps it. The clock outlives this.
  FaultyNeighbours(Neighbours* inner, Clock& clock, std::shared_ptr<LinkDice> dice)
      : inner_(inner), clock_(clock), dice_(std::move(dice)) {}

  Result<std::unique_ptr<Neighbours::Listening>> listen(std::string topic,
                                                        Neighbours::Accept accept);
  bool has_listener(std::string_view topic) const;
  Result<std::shared_ptr<NeighbourLink>> connect(std::string topic,
                                                 std::shared_ptr<NeighbourReceiver> receiver);

  void set_paused(bool is_paused);
  bool is_paused() const;
  // Ends everything. What is told to this process: that its links have ended, or nothing.
  enum class Told : std::uint8_t { its_end, nothing };
  void end(Told told);

  Clock& clock() { return clock_; }
  LinkDice& dice() { return *dice_; }

 private:
  friend class FaultyEnd;

  Status check_open() const;
  std::shared_ptr<FaultyEnd> add();
  void remove(std::uint64_t number);

  Neighbours* const inner_;
  Clock& clock_;
  const std::shared_ptr<LinkDice> dice_;
  mutable std::mutex mutex_;
  bool is_paused_ = false;
  bool has_ended_ = false;
  std::uint64_t last_ = 0;
  std::map<std::uint64_t, std::shared_ptr<FaultyEnd>> ends_;  // oldest first
};

}  // namespace semper::testing::internal
