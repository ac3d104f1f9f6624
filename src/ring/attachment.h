// What both sides do when they attach: find the ring, take the role, find out where it stands.
#pragma once

#include <memory>

#include "ring/format.h"

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

  // A position out of the companion; nothing where it is not known.
  std::optional<std::uint64_t> shared_position(std::size_t word) const;
  void share_position(std::size_t word, std::uint64_t position) const;
  // A counter's next value, and whoever waits for it is woken.
  void count(std::size_t word) const;
  std::uint64_t word(std::size_t index) const;

  // Waits until the word changes, or a while where nobody can change it. `seen` was read before
  // the caller looked. Error: cancelled and the like, never timeout.
  Async<void> wait(std::size_t index, std::uint64_t seen, Backoff& backoff,
                   MonotonicTime deadline) const;

  // `conflict` where another handle has taken the side over; only asked where no companion keeps
  // others out.
  Async<void> check_owner() const;

  Clock& clock() const { return *options.env.clock; }
};

// Everything attach has to do: on success the role is held, and the side recorded as attached.
Async<Attachment> attach_side(BlockDevice& device, AttachOptions options, Side side);

}  // namespace semper::ring::internal
