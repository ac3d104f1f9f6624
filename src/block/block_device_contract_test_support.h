// What every BlockDevice must do, run on each of them (block_device_contract_test.cc).
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "semper/block/block_device.h"
#include "semper/env/scheduler.h"

namespace semper::testing {

// One disk, and handles on it.
class DeviceWorld {
 public:
  enum class Access : bool { read_write, read_only };

  virtual ~DeviceWorld() = default;
  virtual Result<std::unique_ptr<BlockDevice>> open(Access access = Access::read_write) = 0;
};

struct DeviceKind {
  std::string name;
  // Null with a printed reason where this machine does not have it.
  std::function<std::unique_ptr<DeviceWorld>()> make;
};

std::vector<DeviceKind> all_device_kinds();

// Bytes of the disks that the contract is run on.
inline constexpr std::uint64_t kContractDiskSize = std::uint64_t{1} << 20;

// Each sector filled with bytes that follow from the seed and its number.
AlignedBuffer pattern(std::size_t length, std::uint64_t seed);
bool same_bytes(const AlignedBuffer& one, const AlignedBuffer& other);

// Runs a coroutine to its end on a thread of its own.
template <class T>
Result<T> run_on_a_scheduler(Async<T> operation) {
  Scheduler scheduler;
  return scheduler.block_on(std::move(operation));
}

}  // namespace semper::testing
