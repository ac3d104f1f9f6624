// LocalCompanion: the companion of a device whose handles are all in one process.
//
// What for: devices in memory or in a simulation (memory_block_device.h), and further
// implementations of such devices. When not: a device that other processes can open; its companion
// must reach them.
//
//   auto shared = std::make_shared<LocalCompanion::Shared>();     // one per disk
//   LocalCompanion companion(shared, "queue");                    // one per handle
//
// The words are zeroed when the last handle has closed. A role is held for as long as its Role
// object exists, even after the handle has closed. Threads: any.
#pragma once

#include <array>
#include <atomic>
#include <bitset>
#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <string>

#include "semper/block/block_device.h"
#include "semper/env/one_shot.h"

namespace semper {

class LocalCompanion final : public DeviceCompanion {
 public:
  class Shared;

  // `device` is the name of the device in messages.
  LocalCompanion(std::shared_ptr<Shared> shared, std::string device);
  ~LocalCompanion() override;  // close()

  Result<std::unique_ptr<Role>> take(std::size_t role) override;
  std::atomic<std::uint64_t>& word(std::size_t index) noexcept override;
  void notify(std::size_t index) noexcept override;
  Async<void> wait(std::size_t index, std::uint64_t seen, Clock& clock,
                   MonotonicTime deadline) override;

  // The waits of this handle end with `closed`, and so does everything later. Idempotent.
  void close();

 private:
  struct Handle {
    std::string device;
    bool closed = false;  // with the lock of Shared
  };
  enum class Wake : std::uint8_t { changed, closed };
  struct Waiting {
    const Handle* handle;
    OneShot<Wake> event;
  };
  class Registration;

  std::shared_ptr<Shared> shared_;
  std::shared_ptr<Handle> handle_;
};

class LocalCompanion::Shared {
 private:
  friend class LocalCompanion;
  std::array<std::atomic<std::uint64_t>, kWords> words_{};
  // The number of waiters for each word, so that a notify without waiters takes no lock.
  std::array<std::atomic<std::uint32_t>, kWords> waiting_count_{};
  std::mutex mutex_;
  std::array<std::list<Waiting>, kWords> waiting_;
  std::bitset<kRoles> taken_;
  std::size_t handles_ = 0;
};

}  // namespace semper
