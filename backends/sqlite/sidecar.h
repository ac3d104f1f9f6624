// Sidecar: the shared memory of all processes that have one store open.
//
// The file PATH-semper, mapped by every opener, holds nothing that matters once nobody has it open:
// the current version, whose turn it is to commit, and who waits for which keys. What is durable is
// in the database alone; all that reading a wrong sidecar could do is checked against it (the
// committer compares SQLite's own data version before it trusts the version here).
//
// Lifetime. Each open handle keeps a shared lock (OFD, so the kernel drops it with the process) on
// byte 0. Who gets that lock exclusively is alone: it sets the file up from nothing, so no state
// outlives a crash or a reboot. The last handle to close cleanly removes the file; an opener checks
// that the file it locked is still the one of that name. Each handle owns an entry of the table,
// held by a lock on a byte of its own, so that a dead owner's entry is found out in any pid
// namespace. A sidecar from another kernel (a directory shared by two virtual machines) is refused.
//
// Owner, group and mode are those of the store's file. It says which file that is: an opener who
// finds another one under the store's name is refused as long as somebody has the first one open.
//
// Do not touch the file while the store is open. Deleted: handles that were open notice and fail
// (io, "open again"). Cut short: the processes get SIGBUS, and the next opener starts from nothing.
//
// Threads: any; the shared words are atomic.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "key_versions.h"
#include "options.h"
#include "place.h"
#include "semper/env/clock.h"
#include "semper/store/neighbours.h"

namespace semper::sqlite {

inline constexpr std::uint32_t kSidecarLayout = 7;
inline constexpr std::size_t kHandlesMaximum = 128;
inline constexpr std::size_t kWatchSlots = 4096;
inline constexpr std::size_t kRecoveriesRemembered = 8;

// What the word `turn` holds: nobody's; one more than the number of the owner's entry; that of an
// owner who died with it. And a bit: others wait to be woken.
inline constexpr std::uint32_t kTurnFree = 0;
inline constexpr std::uint32_t kTurnOfTheDead = 0xffff;
inline constexpr std::uint32_t kTurnWaiters = 0x10000;
static_assert(kHandlesMaximum < kTurnOfTheDead);

struct SidecarEntry {
  // Changed to wake the owner: a futex word.
  alignas(64) std::atomic<std::uint32_t> wake;
  std::atomic<std::uint32_t> in_use;
  // The owner is waiting for its turn to commit.
  std::atomic<std::uint32_t> wants_turn;
  // Backups and checks of the owner, which read the whole store in one transaction and so keep the
  // log (log_readers.h).
  std::atomic<std::uint32_t> long_read;
  // Flushes that it makes without the flush (log_sync.h). Whoever dies in one counts as one that
  // failed.
  std::atomic<std::uint32_t> flushes_beside;
  // The user that the owner runs as, for those it connects to (neighbours.h).
  std::atomic<std::uint32_t> user;
  // Once it listens: the user as which, the name of its socket, what who connects must know, and
  // the hashes of its topics, 0 where there is none.
  std::atomic<std::uint32_t> listening_user;
  std::array<std::atomic<std::uint64_t>, 2> socket_name;
  std::array<std::atomic<std::uint64_t>, 4> socket_secret;
  std::array<std::atomic<std::uint64_t>, kNeighbourTopics> topics;
  // One more than the highest topic that was ever there.
  std::atomic<std::uint32_t> topics_used;
  // For people who look; never for decisions.
  std::atomic<std::int32_t> pid;
  // The slots that the owner watches, one bit each, and whether there are any.
  std::atomic<std::uint32_t> watches;
  std::array<std::atomic<std::uint64_t>, kWatchSlots / 64> watched;
};

struct SidecarLayout {
  char magic[16];
  std::uint32_t layout;
  std::uint32_t size;
  std::atomic<std::uint32_t> ready;
  char boot_id[40];
  // The store's file.
  FileIdentity store;
  // Whose turn it is to commit (turn.h).
  alignas(64) std::atomic<std::uint32_t> turn;
  std::atomic<std::uint32_t> acquisitions;
  // The version that commits have reached: it is in the log, and may not be durable yet. Grows: a
  // version that a recovery found to be lost is not given again.
  alignas(64) std::atomic<std::uint64_t> version;
  // The version that is durable (log_sync.h).
  std::atomic<std::uint64_t> durable;
  // Who flushes the log: a word as `turn`. Whether a flush failed and nobody has found out yet what
  // is there. How often one was begun.
  std::atomic<std::uint32_t> flush;
  std::atomic<std::uint32_t> flush_failed;
  std::atomic<std::uint64_t> flushes;
  // Recoveries, and the version that each of the last ones found; what was above it was lost.
  std::atomic<std::uint64_t> recoveries;
  std::array<std::atomic<std::uint64_t>, kRecoveriesRemembered> recovered;
  // Keys were changed that nobody listed: every watch is looked at again.
  std::atomic<std::uint32_t> all_changed;
  // One more than the highest entry that was ever in use.
  std::atomic<std::uint32_t> entries_used;
  // Somebody wants the WAL: give back what keeps it (read_pool.h).
  std::atomic<std::uint32_t> wal_wanted;
  // And so urgently that commits wait for it: snapshots end at kPressedSnapshotAge.
  std::atomic<std::uint32_t> wal_pressed;
  // The newest version that a reader has seen; grows. SQLite shows a commit before it is durable:
  // from then on nobody may be given an older one.
  std::atomic<std::uint64_t> seen;
  alignas(64) std::array<std::atomic<std::uint32_t>, kWatchSlots> slots;
  std::array<SidecarEntry, kHandlesMaximum> entries;
  KeyVersions keys;
};

static_assert(std::atomic<std::uint64_t>::is_always_lock_free);

class Sidecar {
 public:
  // Runs with the exclusive lock held, before anything is set up: makes the store's file where
  // there is none, and returns the version it is at.
  using FirstOpener = std::function<Result<std::uint64_t>()>;

  // Errors: retry (others open and close it all the time), exhausted (kHandlesMaximum handles are
  // open), unsupported (another kernel, another layout), io (others have the file open that had the
  // store's name before), permission, and the first opener's.
  static Result<std::unique_ptr<Sidecar>> open(const StorePath& path, const FirstOpener& first);

  ~Sidecar();

  // Gives the entry and the locks up, and removes the file where nobody else has it open. The
  // shared words stay readable until the destructor, but mean nothing any more.
  void retire();
  Sidecar(const Sidecar&) = delete;
  Sidecar& operator=(const Sidecar&) = delete;

  SidecarLayout& shared() { return *layout_; }
  SidecarEntry& mine() { return layout_->entries[entry_]; }
  std::size_t my_entry() const { return entry_; }

  // The last that a committer has told of.
  std::uint64_t version() const { return layout_->version.load(); }

  // The newest that was acknowledged or seen: what a new snapshot must not be older than.
  std::uint64_t newest() const { return std::max(layout_->durable.load(), layout_->seen.load()); }

  // Before anybody is handed something that was read at this version.
  void saw(std::uint64_t version) {
    auto known = layout_->seen.load();
    while (version > known && !layout_->seen.compare_exchange_weak(known, version)) {
    }
  }

  // False where somebody deleted or replaced the file.
  bool is_in_place() const;

  // Whether the process that had this entry has ended.
  bool is_dead(std::size_t entry) const;
  // Acts where it has, while nobody else can claim the entry.
  void if_dead(std::size_t entry, const std::function<void()>& act);

  // Gives the entries of dead handles back. Cheap where there are none.
  void reap_dead_entries();

  // Calls visit for each entry in use but this handle's.
  template <class Visit>
  void for_each_other(Visit visit) {
    for_each([&](SidecarEntry& entry) {
      if (&entry != &mine()) visit(entry);
    });
  }
  // For each, with this handle's.
  template <class Visit>
  void for_each(Visit visit) {
    const std::size_t used = layout_->entries_used.load();
    for (std::size_t i = 0; i < used && i < kHandlesMaximum; ++i) {
      auto& entry = layout_->entries[i];
      if (entry.in_use.load(std::memory_order_relaxed) != 0) visit(entry);
    }
  }

 private:
  Sidecar(int descriptor, std::string path) : descriptor_(descriptor), path_(std::move(path)) {}

  Status map();
  Status check(const StorePath& path) const;
  Status start_anew(const StorePath& path, const FirstOpener& first);
  Status set_up(std::uint64_t version, const FileIdentity& store);
  Status claim_entry();
  // Of an owner that has died, with its lock.
  void clear(SidecarEntry& entry);

  int descriptor_;
  std::mutex reaping_;  // threads share the locks
  bool retired_ = false;
  std::string path_;
  SidecarLayout* layout_ = nullptr;
  std::size_t entry_ = kHandlesMaximum;
};

// Says, as long as it lives, that this handle keeps the log on purpose.
class LongRead {
 public:
  explicit LongRead(Sidecar& sidecar) : entry_(&sidecar.mine()) { entry_->long_read.fetch_add(1); }
  ~LongRead() { entry_->long_read.fetch_sub(1); }
  LongRead(const LongRead&) = delete;
  LongRead& operator=(const LongRead&) = delete;

 private:
  SidecarEntry* entry_;
};

// Sleeps while the word has this value, at most this long; returns early without cause at times.
void futex_wait(std::atomic<std::uint32_t>& word, std::uint32_t value, Duration at_most);
void futex_wake_all(std::atomic<std::uint32_t>& word);
void futex_wake_one(std::atomic<std::uint32_t>& word);

}  // namespace semper::sqlite
