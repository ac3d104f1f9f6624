// Where a semper-1 ring's superblock is: at its two places, or, where a device has grown and lost
// its first block, at the end that it had.
#pragma once

#include <array>
#include <optional>

#include "ring/blocks.h"
#include "semper/block/block_device.h"

namespace semper::ring::internal {

// How far a copy is searched for that is neither at byte 0 nor at the device's end.
inline constexpr std::uint64_t kCopySearchBytes = std::uint64_t{1} << 30;

struct SuperblockFound {
  std::optional<Superblock> superblock;
  // Of the copies at byte 0 and at the device's end.
  std::array<BlockCheck, 2> checks{BlockCheck::absent, BlockCheck::absent};
  // Without a superblock: there are positions all the same, so this is what is left of a ring.
  bool has_pointers = false;
  // And they are those that a creation writes: nobody has ever attached, so there is nothing to
  // lose.
  bool is_unused = false;
};

// Where the second copy belongs.
std::uint64_t superblock_copy_place(const BlockDevice& device);

// Changes nothing. Reads further than the two copies only where neither is valid and the blocks
// between hold a ring's positions.
Async<SuperblockFound> find_superblock(BlockDevice& device);

// One copy, durably.
Async<void> write_superblock(BlockDevice& device, Superblock superblock, std::uint64_t place);

}  // namespace semper::ring::internal
