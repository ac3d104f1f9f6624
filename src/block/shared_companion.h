// SharedCompanion: the companion of a device that several processes of one machine have open.
//
// Roles are locks on bytes of the device itself, far behind its end (OFD locks: they belong to the
// open file, so the kernel drops them with the process, and two handles of one process exclude each
// other). Where the device cannot be locked, they are on the shared memory's file.
//
// Words are in the file /dev/shm/semper-DEVICE-INODE-BIRTH, mapped by every handle. Each handle
// keeps a shared lock on its byte 0; who gets it exclusively is alone and sets the file up from
// nothing, so that no words outlive a crash. The last one removes it; what killed processes have
// left, the first opener of any device. An opener checks that the file it locked is still the one
// of that name.
//
// Waiting. All sleep on one futex word, the generation, each with a bit for the words that it cares
// about; who changes a word counts the generation up and wakes by that bit, but only where the
// word's count of waiters says that somebody is there. A waiter counts itself first and looks at
// the word afterwards; a notifier changes the word first and looks at the count afterwards. A
// handle has one thread for that, started by its first wait. What a dead process left in a count
// costs its peers a system call per notify, no more.
//
// A forked child keeps no lock (parent_descriptor.h), and gets an error from everything here.
//
// Threads: any.
#pragma once

#include <array>
#include <atomic>
#include <bitset>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "parent_descriptor.h"
#include "semper/block/block_device.h"
#include "semper/env/fork.h"
#include "semper/env/one_shot.h"

namespace semper::internal {

struct SharedWords {
  char magic[16];
  std::uint32_t layout;
  std::uint32_t size;
  std::atomic<std::uint32_t> ready;
  alignas(64) std::atomic<std::uint32_t> generation;
  struct alignas(64) Word {
    std::atomic<std::uint64_t> value;
    std::atomic<std::uint32_t> waiters;
  };
  std::array<Word, DeviceCompanion::kWords> words;
};
static_assert(std::atomic<std::uint64_t>::is_always_lock_free);

// The mapped file of shared memory; the first opener zeroes it.
class SharedMemory {
 public:
  // `device` for messages; its file and status name the memory and say who owns it.
  static Result<std::shared_ptr<SharedMemory>> open(const std::string& device, int file,
                                                    const struct stat& status);
  ~SharedMemory();
  SharedMemory(const SharedMemory&) = delete;
  SharedMemory& operator=(const SharedMemory&) = delete;

  SharedWords& words() { return *words_; }
  int descriptor() const { return descriptor_.get(); }

 private:
  SharedMemory(FileDescriptor descriptor, std::string path)
      : descriptor_(std::move(descriptor)), path_(std::move(path)) {}
  bool is_in_place() const;
  Status map();

  ParentDescriptor descriptor_;
  std::string path_;
  SharedWords* words_ = nullptr;
};

class SharedCompanion final : public DeviceCompanion {
 public:
  struct Context {
    std::string device;
    bool read_only = false;
    std::shared_ptr<ParentDescriptor> descriptor;  // of the device
    std::shared_ptr<SharedMemory> memory;
  };
  explicit SharedCompanion(Context context);
  ~SharedCompanion() override;

  Result<std::unique_ptr<Role>> take(std::size_t role) override;
  int role_descriptor() const noexcept override;
  std::atomic<std::uint64_t>& word(std::size_t index) noexcept override;
  void notify(std::size_t index) noexcept override;
  Async<void> wait(std::size_t index, std::uint64_t seen, Clock& clock,
                   MonotonicTime deadline) override;

  // Ends all waits with `closed`, and the thread.
  void close();

 private:
  enum class Wake : std::uint8_t { changed, closed };
  struct Waiting {
    std::uint64_t seen;
    OneShot<Wake> event;
  };
  // What outlives the companion: roles and waits keep it.
  struct Shared {
    const ForkGuard fork{};
    Context context;
    bool locks_on_device = true;
    std::mutex mutex;
    bool closed = false;
    std::bitset<kRoles> taken;
    std::array<std::list<Waiting>, kWords> waiting;
    // The words that somebody has ever waited for here.
    std::bitset<kWords> armed;
    std::atomic<bool> stopping = false;
  };
  class HeldRole;
  class Registration;

  static void run(Shared& shared);
  // Wakes those whose word has changed; returns the bits to sleep on.
  static std::uint32_t wake_changed(Shared& shared);
  // With the mutex held. False: there can be no thread that wakes; who waits has to look by itself.
  bool arm(std::size_t index);

  std::shared_ptr<Shared> shared_;
  std::thread thread_;
};

}  // namespace semper::internal
