#include "ring/superblock.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "semper/base/assert.h"
#include "semper/base/crc32c.h"
#include "semper/base/log.h"

namespace semper::ring::internal {
namespace {

constexpr std::size_t kSearchPiece = std::size_t{1} << 20;

Async<void> read_bytes(BlockDevice& device, std::uint64_t place, std::span<std::byte> into) {
  ReadParts parts{into};
  co_return co_await device.read(place, std::move(parts));
}

// One of the blocks between superblock and data.
struct PointerBlock {
  Side side;
  std::uint64_t place;
};

std::vector<PointerBlock> pointer_blocks() {
  std::vector<PointerBlock> blocks;
  for (const Side side : {Side::producer, Side::consumer}) {
    for (std::uint32_t slot = 0; slot < kPointerSlots; ++slot) {
      blocks.push_back({side, slot_place(side, slot)});
    }
  }
  return blocks;
}

BytesView block_of(BytesView head, std::uint64_t place) {
  return head.substr(place, kBlockBytes);
}

bool has_pointers(BytesView head) {
  const auto blocks = pointer_blocks();
  return !is_half_made_semper(head) &&
         std::any_of(blocks.begin(), blocks.end(), [&](const PointerBlock& block) {
           return is_marked_as_pointer(block_of(head, block.place), block.place);
         });
}

// A copy that an earlier ring has left does not know the positions of this one.
bool knows_pointers(const Superblock& superblock, BytesView head) {
  const std::uint32_t seed =
      crc32c(BytesView(superblock.identity.data(), superblock.identity.size()));
  const auto blocks = pointer_blocks();
  return std::any_of(blocks.begin(), blocks.end(), [&](const PointerBlock& block) {
    return load_pointer(block_of(head, block.place), block.side, block.place, seed).has_value();
  });
}

// The copy at the end that the device once had.
Async<std::optional<Superblock>> search_copy(BlockDevice& device, BytesView head) {
  const std::uint64_t end = std::min(round_down(device.size(), kBlockBytes), kCopySearchBytes);
  AlignedBuffer buffer(kSearchPiece);
  for (std::uint64_t at = kDataStart; at < end; at += kSearchPiece) {
    const auto length = static_cast<std::size_t>(std::min<std::uint64_t>(kSearchPiece, end - at));
    SEMPER_CO_TRY_STATUS(co_await read_bytes(device, at, buffer.span().first(length)));
    for (std::size_t in = 0; in < length; in += kBlockBytes) {
      Superblock found;
      const BytesView block = buffer.view().substr(in, kBlockBytes);
      if (load_superblock(block, at + in, found) != BlockCheck::valid) continue;
      const bool ends_there = found.data_start + found.capacity == at + in;
      if (ends_there && knows_pointers(found, head)) co_return found;
    }
  }
  co_return std::nullopt;
}

}  // namespace

std::uint64_t superblock_copy_place(const BlockDevice& device) {
  return round_down(device.size(), kBlockBytes) - kBlockBytes;
}

Async<SuperblockFound> find_superblock(BlockDevice& device) {
  SuperblockFound found;
  if (device.size() < 2 * kBlockBytes) co_return found;
  AlignedBuffer block(kBlockBytes);
  const std::array<std::uint64_t, 2> places{0, superblock_copy_place(device)};
  for (std::size_t i = 0; i < places.size(); ++i) {
    SEMPER_CO_TRY_STATUS(co_await read_bytes(device, places[i], block.span()));
    Superblock there;
    found.checks[i] = load_superblock(block.view(), places[i], there);
    if (found.checks[i] == BlockCheck::valid && !found.superblock) found.superblock = there;
  }
  if (found.superblock || device.size() < kDataStart) co_return found;
  AlignedBuffer head(kDataStart);
  SEMPER_CO_TRY_STATUS(co_await read_bytes(device, 0, head.span()));
  found.has_pointers = has_pointers(head.view());
  if (!found.has_pointers) co_return found;
  // It may have been made while we looked; before there are such positions the first copy is there.
  Superblock there;
  SEMPER_CO_TRY_STATUS(co_await read_bytes(device, 0, block.span()));
  if (load_superblock(block.view(), 0, there) == BlockCheck::valid) {
    found.checks[0] = BlockCheck::valid;
    found.superblock = there;
    co_return found;
  }
  SEMPER_CO_TRY(found.superblock, co_await search_copy(device, head.view()));
  found.is_unused = !found.superblock && was_never_used(head.view());
  if (found.superblock) {
    log_warning("ring", std::string(device.name()) +
                            ": the superblock (byte 0) is lost; the copy at byte " +
                            std::to_string(found.superblock->place) +
                            ", where the device once ended, counts; create() writes it again");
  }
  co_return found;
}

Async<void> write_superblock(BlockDevice& device, Superblock superblock, std::uint64_t place) {
  AlignedBuffer block(kBlockBytes);
  superblock.place = place;
  store_superblock(superblock, block.span());
  WriteParts parts{std::as_const(block).span()};
  co_return co_await device.write_and_flush(place, std::move(parts));
}

Async<void> repair_semper(BlockDevice& device) {
  SEMPER_CO_TRY(const SuperblockFound found, co_await find_superblock(device));
  SEMPER_ASSERT(found.superblock, "a ring is there");
  const std::array<std::uint64_t, 2> places{0, superblock_copy_place(device)};
  for (std::size_t i = 0; i < places.size(); ++i) {
    if (found.checks[i] == BlockCheck::valid) continue;
    // The last block of a device that is no larger than the data holds items.
    if (places[i] != 0 && places[i] < found.superblock->data_start + found.superblock->capacity) {
      continue;
    }
    SEMPER_CO_TRY_STATUS(co_await write_superblock(device, *found.superblock, places[i]));
  }
  co_return Result<void>();
}

Async<void> confirm_semper(BlockDevice& device, Confirm how) {
  SEMPER_CO_TRY(const SuperblockFound found, co_await find_superblock(device));
  const std::uint64_t copy_place = superblock_copy_place(device);
  if (!found.superblock || copy_place < found.superblock->data_start + found.superblock->capacity) {
    co_return Result<void>();
  }
  // A power loss may spoil what is being written: first the copy that is missing, if one is. That
  // alone where a ring may have been promised: the other one is durable since then, and stays as it
  // is.
  const bool first_is_good = found.checks[0] == BlockCheck::valid;
  SEMPER_CO_TRY_STATUS(
      co_await write_superblock(device, *found.superblock, first_is_good ? copy_place : 0));
  if (how == Confirm::one_copy) co_return Result<void>();
  co_return co_await write_superblock(device, *found.superblock, first_is_good ? 0 : copy_place);
}

// Of semper-1 all that a search could take for a ring: the copy that it would find, and the
// positions.
Async<void> wipe_marks(BlockDevice& device) {
  SEMPER_CO_TRY(const SuperblockFound found, co_await find_superblock(device));
  const bool has_copy = found.checks[1] != BlockCheck::absent;
  const bool has_other = found.superblock && found.superblock->place != 0 && !has_copy;
  const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(device.size(), kDataStart));
  AlignedBuffer head(size);
  SEMPER_CO_TRY_STATUS(co_await read_bytes(device, 0, head.span()));
  const bool has_mark = !is_zero(head.view());
  std::memset(head.data(), 0, head.size());
  const auto wipe = [&](std::uint64_t place, std::size_t bytes) {
    WriteParts parts{std::as_const(head).span().first(bytes)};
    return device.write(place, std::move(parts));
  };
  if (has_copy) SEMPER_CO_TRY_STATUS(co_await wipe(superblock_copy_place(device), kBlockBytes));
  if (has_other) SEMPER_CO_TRY_STATUS(co_await wipe(found.superblock->place, kBlockBytes));
  if (has_mark) SEMPER_CO_TRY_STATUS(co_await wipe(0, size));
  if (!has_mark && !has_copy) co_return Result<void>();
  co_return co_await device.flush();
}

}  // namespace semper::ring::internal
