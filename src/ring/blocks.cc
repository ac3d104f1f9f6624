#include "ring/blocks.h"

#include <algorithm>
#include <cstring>

#include "semper/base/assert.h"
#include "semper/base/crc32c.h"
#include "semper/base/internal/mutant.h"

namespace semper::ring::internal {
namespace {

constexpr BytesView kSuperMagic("semper ring\r\n\x1a\n\0", 16);
constexpr BytesView kPointerMagic("semperPT", 8);
constexpr BytesView kNoteMagic("semperRN", 8);

// Both kinds end with the place of the block and the checksum.
constexpr std::size_t kPlaceAt = 496;
constexpr std::size_t kCrcAt = 508;

// Superblock.
constexpr std::size_t kVersionAt = 16;
constexpr std::size_t kBlockSizeAt = 20;
constexpr std::size_t kIdentityAt = 24;
constexpr std::size_t kDataStartAt = 40;
constexpr std::size_t kCapacityAt = 48;

// Pointer.
constexpr std::size_t kSideAt = 8;
constexpr std::size_t kFlagsAt = 12;
constexpr std::size_t kSequenceAt = 16;
constexpr std::size_t kPositionAt = 24;
constexpr std::size_t kEpochAt = 32;
constexpr std::size_t kPendingEpochAt = 36;
constexpr std::size_t kKnownAt = 40;
constexpr std::size_t kConsumedAt = 48;
constexpr std::size_t kEpochStartAt = 56;
constexpr std::size_t kQueueAt = 64;
constexpr std::size_t kClientAt = 192;
constexpr std::size_t kMachineAt = 320;
constexpr std::size_t kNameBytes = 128;
constexpr std::size_t kRedoPositionAt = 448;
constexpr std::size_t kRedoPlaceAt = 456;
constexpr std::size_t kRedoBytesAt = 464;
constexpr std::size_t kRedoCrcAt = 468;
constexpr std::size_t kKeepAt = 472;
constexpr std::size_t kProcessAt = 476;
constexpr std::size_t kMemoryAt = 480;
constexpr std::size_t kProcessHostAt = 488;
constexpr std::size_t kProcessStartAt = 492;

void store_redo(const Redo& redo, char* out) {
  store_u64(out + kRedoPositionAt, redo.position);
  store_u64(out + kRedoPlaceAt, redo.place);
  store_u32(out + kRedoBytesAt, redo.bytes);
  store_u32(out + kRedoCrcAt, redo.crc);
}

Redo load_redo(const char* in) {
  Redo redo;
  redo.position = load_u64(in + kRedoPositionAt);
  redo.place = load_u64(in + kRedoPlaceAt);
  redo.bytes = load_u32(in + kRedoBytesAt);
  redo.crc = load_u32(in + kRedoCrcAt);
  return redo;
}

constexpr std::uint32_t kFlagSuspend = 1;
constexpr std::uint32_t kFlagAttached = 2;

void store_name(const std::string& name, char* out) {
  std::memcpy(out, name.data(), std::min(name.size(), kNameBytes));
}

std::string load_name(const char* in) {
  return std::string(in, static_cast<std::size_t>(std::find(in, in + kNameBytes, '\0') - in));
}

std::uint32_t seal(char* block, std::uint64_t place, std::uint32_t seed) {
  store_u64(block + kPlaceAt, place);
  const std::uint32_t crc = crc32c(BytesView(block, kCrcAt), seed);
  store_u32(block + kCrcAt, crc);
  return crc;
}

bool is_sealed(const char* block, std::uint64_t place, std::uint32_t seed) {
  return load_u64(block + kPlaceAt) == place &&
         load_u32(block + kCrcAt) == crc32c(BytesView(block, kCrcAt), seed);
}

}  // namespace

void store_superblock(const Superblock& superblock, std::span<std::byte> block) {
  SEMPER_ASSERT(block.size() == kBlockBytes, "a superblock is one block");
  std::memset(block.data(), 0, block.size());
  char* const out = reinterpret_cast<char*>(block.data());
  std::memcpy(out, kSuperMagic.data(), kSuperMagic.size());
  store_u32(out + kVersionAt, superblock.version);
  store_u32(out + kBlockSizeAt, static_cast<std::uint32_t>(kBlockBytes));
  std::memcpy(out + kIdentityAt, superblock.identity.data(), superblock.identity.size());
  store_u64(out + kDataStartAt, superblock.data_start);
  store_u64(out + kCapacityAt, superblock.capacity);
  seal(out, superblock.place, 0);
}

BlockCheck load_superblock(BytesView block, std::uint64_t place, Superblock& out) {
  if (block.substr(0, kSuperMagic.size()) != kSuperMagic) return BlockCheck::absent;
  const char* const in = block.data();
  if (!is_sealed(in, place, 0)) return BlockCheck::damaged;
  out.version = load_u32(in + kVersionAt);
  std::memcpy(out.identity.data(), in + kIdentityAt, out.identity.size());
  out.data_start = load_u64(in + kDataStartAt);
  out.capacity = load_u64(in + kCapacityAt);
  out.place = place;
  return BlockCheck::valid;
}

void store_redo_note(const Redo& redo, std::uint32_t identity_crc, std::span<std::byte> block) {
  std::memset(block.data(), 0, block.size());
  char* const out = reinterpret_cast<char*>(block.data());
  std::memcpy(out, kNoteMagic.data(), kNoteMagic.size());
  store_redo(redo, out);
  seal(out, kSpareBlock, identity_crc);
}

std::optional<Redo> load_redo_note(BytesView block, std::uint32_t identity_crc) {
  if (block.substr(0, kNoteMagic.size()) != kNoteMagic) return std::nullopt;
  if (!is_sealed(block.data(), kSpareBlock, identity_crc)) return std::nullopt;
  return load_redo(block.data());
}

void store_pointer(const Pointer& pointer, std::uint64_t place, std::uint32_t identity_crc,
                   std::span<std::byte> block) {
  SEMPER_ASSERT(block.size() == kBlockBytes, "a pointer is one block");
  std::memset(block.data(), 0, block.size());
  char* const out = reinterpret_cast<char*>(block.data());
  std::memcpy(out, kPointerMagic.data(), kPointerMagic.size());
  store_u32(out + kSideAt, static_cast<std::uint32_t>(pointer.side));
  store_u32(out + kFlagsAt,
            (pointer.flag ? kFlagSuspend : 0) | (pointer.attached ? kFlagAttached : 0));
  store_u64(out + kSequenceAt, pointer.sequence);
  store_u64(out + kPositionAt, pointer.position);
  store_u32(out + kEpochAt, pointer.epoch);
  store_u32(out + kPendingEpochAt, pointer.pending_epoch);
  store_u64(out + kKnownAt, pointer.known);
  store_u64(out + kConsumedAt, pointer.consumed);
  store_name(pointer.queue, out + kQueueAt);
  store_name(pointer.client, out + kClientAt);
  store_name(pointer.machine, out + kMachineAt);
  store_redo(pointer.redo, out);
  store_u32(out + kKeepAt, pointer.keep | pointer.claim << 3);
  store_u64(out + kEpochStartAt, pointer.epoch_start);
  store_u32(out + kProcessAt, pointer.process.pid);
  store_u64(out + kMemoryAt, pointer.memory);
  store_u32(out + kProcessHostAt, pointer.process.host);
  store_u32(out + kProcessStartAt, pointer.process.start);
  seal(out, place, identity_crc);
}

bool is_marked_as_pointer(BytesView block, std::uint64_t place) {
  return block.substr(0, kPointerMagic.size()) == kPointerMagic &&
         load_u64(block.data() + kPlaceAt) == place;
}

std::optional<Pointer> load_pointer(BytesView block, Side side, std::uint64_t place,
                                    std::uint32_t identity_crc) {
  if (block.substr(0, kPointerMagic.size()) != kPointerMagic) return std::nullopt;
  const char* const in = block.data();
  if (!is_sealed(in, place, identity_crc) &&
      !SEMPER_MUTANT("ring_checksum_of_positions_not_checked")) {
    return std::nullopt;
  }
  Pointer pointer;
  pointer.side = side;
  if (load_u32(in + kSideAt) != static_cast<std::uint32_t>(side)) return std::nullopt;
  const std::uint32_t flags = load_u32(in + kFlagsAt);
  pointer.flag = (flags & kFlagSuspend) != 0;
  pointer.attached = (flags & kFlagAttached) != 0;
  pointer.sequence = load_u64(in + kSequenceAt);
  pointer.position = load_u64(in + kPositionAt);
  pointer.epoch = load_u32(in + kEpochAt);
  pointer.pending_epoch = load_u32(in + kPendingEpochAt);
  pointer.known = load_u64(in + kKnownAt);
  pointer.consumed = load_u64(in + kConsumedAt);
  pointer.redo = load_redo(in);
  pointer.epoch_start = load_u64(in + kEpochStartAt);
  const std::uint32_t keep = load_u32(in + kKeepAt) & 7;
  pointer.claim = load_u32(in + kKeepAt) >> 3;
  const bool names_two = keep == 3 || keep == 5 || keep == 6;
  pointer.keep = names_two ? keep : kKeepFirstTwo;  // none: an earlier version
  if (place != claim_place(side) && place != pointer_place(side, pointer.sequence)) {
    return std::nullopt;
  }
  pointer.queue = load_name(in + kQueueAt);
  pointer.client = load_name(in + kClientAt);
  pointer.machine = load_name(in + kMachineAt);
  pointer.process.pid = load_u32(in + kProcessAt);
  pointer.memory = load_u64(in + kMemoryAt);
  pointer.process.host = load_u32(in + kProcessHostAt);
  pointer.process.start = load_u32(in + kProcessStartAt);
  return pointer;
}

}  // namespace semper::ring::internal
