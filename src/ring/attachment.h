// What a side has of its ring while it is attached: its pointer and role, and the words that it
// shares with the other side.
#pragma once

#include <memory>

#include "ring/format.h"
#include "ring/neighbours.h"
#include "semper/env/fork.h"

namespace semper::ring::internal {

inline constexpr std::size_t kMinMemoryBytes = std::size_t{64} << 10;
// How often the device is read although the other side should wake us: it may be a program that
// does not know the companion.
inline constexpr Duration kCompanionPoll = std::chrono::seconds(1);

struct Attachment {
  Side side = Side::producer;
  AttachOptions options;
  std::shared_ptr<FormatOnDevice> format;
  DeviceCompanion* companion = nullptr;
  std::unique_ptr<DeviceCompanion::Role> role;
  Pointer own;
  Pointer other;
  Recovered recovered;

  // Whether that side has this very companion.
  bool shares_memory_with(const Pointer& side_there) const;
  // Remembers where the other side is, as its pointer says.
  void note_other(const Pointer& there);

  // A position out of the companion; nothing where it is not known.
  std::optional<std::uint64_t> shared_position(std::size_t word) const;
  void share_position(std::size_t word, std::uint64_t position) const;
  // A counter's next value, and whoever waits for it is woken.
  void count(std::size_t word) const;
  std::uint64_t word(std::size_t index) const;

  // Tells the consumer from where on records are of this producer's epoch.
  void share_epoch() const;
  // ... or takes it from the pointer or the producer that lives.
  EpochStart epoch_start() const;

  // Tells the other side whether what is shared here is durable.
  void mark_unflushed() const;
  static std::uint64_t unflushed_mark(Side of) noexcept;
  // What the other side shares is not durable, and this side promises that it is.
  bool must_flush_for_other() const;

  // Waits until the word changes, or a while where nobody can change it. `seen` was read before
  // the caller looked. Errors: cancelled and the like, io where the device is no longer the one of
  // its name; never timeout.
  Async<void> wait(std::size_t index, std::uint64_t seen, Backoff& backoff,
                   MonotonicTime deadline) const;

  // `conflict` where another handle has taken the side over. Asks the disk before every write where
  // no companion keeps others out, and otherwise when the last look is kOwnerCheck ago. As often,
  // whether the device is still the one of its name: `io`.
  Async<void> check_owner();
  // Whether that would ask nothing now.
  bool is_owner_known() const;

  Clock& clock() const { return *options.env.clock; }
  Status check_process() const { return fork.check("this ring"); }

  ForkGuard fork;
  std::uint64_t own_memory = 0;
  std::uint64_t flags_seen = 0;  // the consumer's word before its pointer was read
  LiveMark live;
  SharedFlag other_shares_memory;
  SharedFlag other_is_elsewhere;  // and attached
  MonotonicTime next_owner_check{};
  MonotonicTime next_place_check{};
};

}  // namespace semper::ring::internal
