// The blocks of semper-1 that are not data: superblock and pointers.
//
// Each keeps all that matters in its first 512 bytes, so that no sector size can tear it, with a
// checksum over content, place and identity.
#pragma once

#include <optional>

#include "ring/record.h"

namespace semper::ring::internal {

inline constexpr std::size_t kBlockContentBytes = 512;
inline constexpr std::uint64_t kDataStart = 8 * kBlockBytes;
inline constexpr std::uint64_t kMinDataBytes = 2 * kBlockBytes;
inline constexpr std::uint32_t kSemperVersion = 1;
// A published batch never begins further than this behind the durable producer's position.
inline constexpr std::uint64_t kPointerLagBytes = std::uint64_t{16} << 20;

struct Superblock {
  std::uint32_t version = kSemperVersion;
  Identity identity{};
  std::uint64_t data_start = kDataStart;
  std::uint64_t capacity = 0;
  // Where this copy lies.
  std::uint64_t place = 0;
};

enum class BlockCheck : std::uint8_t { valid, absent, damaged };

void store_superblock(const Superblock& superblock, std::span<std::byte> block);
BlockCheck load_superblock(BytesView block, std::uint64_t place, Superblock& out);

// Where the two copies of a side's pointer are, by the sequence number.
constexpr std::uint64_t pointer_place(Side side, std::uint64_t sequence) {
  return (1 + 2 * static_cast<std::uint64_t>(side) + sequence % 2) * kBlockBytes;
}
// A third one, for who attaches: it cannot know which of the two is durable.
constexpr std::uint64_t claim_place(Side side) {
  return (5 + static_cast<std::uint64_t>(side)) * kBlockBytes;
}
// All three by number.
inline constexpr std::uint32_t kPointerSlots = 3;
constexpr std::uint64_t slot_place(Side side, std::uint32_t slot) {
  return slot == 2 ? claim_place(side) : pointer_place(side, slot);
}
inline constexpr std::uint32_t kKeepFirstTwo = 3;
// Room for a copy of one block, where the data area has none; else for the note that a copy is
// durable.
inline constexpr std::uint64_t kSpareBlock = 7 * kBlockBytes;

void store_redo_note(const Redo& redo, std::uint32_t identity_crc, std::span<std::byte> block);
std::optional<Redo> load_redo_note(BytesView block, std::uint32_t identity_crc);

void store_pointer(const Pointer& pointer, std::uint64_t place, std::uint32_t identity_crc,
                   std::span<std::byte> block);
// By its mark and place alone: its identity, and so its checksum, need not be known.
bool is_marked_as_pointer(BytesView block, std::uint64_t place);
std::optional<Pointer> load_pointer(BytesView block, Side side, std::uint64_t place,
                                    std::uint32_t identity_crc);

}  // namespace semper::ring::internal
