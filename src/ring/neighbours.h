// Who else uses a ring's device, and what of this machine's memory it shares: nothing is taken for
// shared that was not seen to be.
//
// Two handles share words and roles where they have the same companion: processes with one /dev/shm
// that opened the same inode. Other machines, containers with a /dev/shm of their own, a loop
// device beside its file share the disk alone. So the first who attaches draws a number for the
// memory, and each side writes that number, and which process it is, into its pointer. Who reads
// another number there than its own polls the disk. Who finds its own side taken by a process that
// shares nothing, and is not known to be dead, watches the disk for a while: one who works shows
// it, and is left alone. A holder that slept through that finds out before its next write, since it
// looks at its own pointer when the last look is kOwnerCheck ago.
#pragma once

#include <atomic>
#include <cstdint>

#include "ring/format.h"

namespace semper::ring::internal {

// How long a holder may write without a look at its pointer.
inline constexpr Duration kOwnerCheck = std::chrono::seconds(1);

// The number of the companion's memory; 0 where there is none.
std::uint64_t memory_number(DeviceCompanion* companion, Random& random);

// A handle of this process that has a side, as long as it has it.
class LiveMark {
 public:
  LiveMark() = default;
  LiveMark(std::uint64_t memory, Side side);
  LiveMark(LiveMark&& other) noexcept : memory_(other.memory_), side_(other.side_) {
    other.memory_ = 0;
  }
  LiveMark& operator=(LiveMark&& other) noexcept;
  ~LiveMark();

  static bool exists(std::uint64_t memory, Side side);

 private:
  std::uint64_t memory_ = 0;
  Side side_ = Side::producer;
};

// A bool that any thread may read and change, in what is moved before there are several.
class SharedFlag {
 public:
  SharedFlag() = default;
  SharedFlag(SharedFlag&& other) noexcept : value_(other.value_.load()) {}
  SharedFlag& operator=(SharedFlag&& other) noexcept {
    value_.store(other.value_.load());
    return *this;
  }
  void set(bool value) { value_.store(value, std::memory_order_relaxed); }
  bool is_set() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<bool> value_ = false;
};

}  // namespace semper::ring::internal
