// The records of the format semper-1; see docs/ring-format-semper-1.md.
//
// Invariants: a record's header says its own position, so that bytes of an earlier lap are never
// taken for data; the ring's identity is in the header's checksum, so that those of another ring
// are not either; a batch begins on a block of its own, so that no acknowledged byte is ever
// written again before it is consumed.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "ring/format.h"

namespace semper::ring::internal {

inline constexpr std::uint64_t kBlockBytes = 4096;
inline constexpr std::uint64_t kRecordAlign = 8;
inline constexpr std::uint64_t kRecordHeaderBytes = 32;

// Flags. kIsRecord is always set: zeros are never a record, whatever the identity.
inline constexpr std::uint32_t kIsRecord = 1;
inline constexpr std::uint32_t kPublished = 2;
inline constexpr std::uint32_t kBatchBegin = 4;
inline constexpr std::uint32_t kBatchEnd = 8;
inline constexpr std::uint32_t kKnownFlags = kIsRecord | kPublished | kBatchBegin | kBatchEnd;
// Blocks between the start of the write that a record belongs to and its own block.
inline constexpr std::uint32_t kMaxGroupBlocks = 0xffffff;

using Identity = std::array<char, 16>;

struct RecordHeader {
  std::uint32_t payload_crc = 0;
  std::uint64_t position = 0;
  std::uint32_t length = 0;
  std::uint32_t epoch = 0;
  std::uint32_t flags = 0;
  std::uint32_t group_blocks = 0;
};

constexpr std::uint64_t record_bytes(std::uint64_t payload) {
  return round_up(kRecordHeaderBytes + payload, kRecordAlign);
}

void store_record_header(const RecordHeader& header, std::uint32_t identity_crc, char* out);

// The header alone: `item` where it is whole, with everything but the payload; `length` and
// `payload_crc` say what the payload must be.
Parsed parse_record_header(BytesView bytes, std::uint64_t position, std::uint64_t limit,
                           std::uint32_t identity_crc, std::uint64_t& length,
                           std::uint32_t& payload_crc);

// Whatever record's header this is, of whichever position.
struct SeenHeader {
  std::uint64_t position = 0;
  std::uint32_t epoch = 0;
};
std::optional<SeenHeader> see_record_header(BytesView bytes, std::uint32_t identity_crc);

// As FormatOnDevice::parse.
Parsed parse_record(BytesView bytes, std::uint64_t position, std::uint64_t limit,
                    std::uint32_t identity_crc);

// Fields in little-endian order, at fixed places.
void store_u32(char* out, std::uint32_t value);
void store_u64(char* out, std::uint64_t value);
std::uint32_t load_u32(const char* in);
std::uint64_t load_u64(const char* in);

}  // namespace semper::ring::internal
