#include "ring/record.h"

#include <bit>
#include <cstring>

#include "semper/base/crc32c.h"
#include "semper/base/internal/mutant.h"

namespace semper::ring::internal {

static_assert(std::endian::native == std::endian::little, "fields are copied as they lie");

void store_u32(char* out, std::uint32_t value) {
  std::memcpy(out, &value, sizeof(value));
}
void store_u64(char* out, std::uint64_t value) {
  std::memcpy(out, &value, sizeof(value));
}

std::uint32_t load_u32(const char* in) {
  std::uint32_t value = 0;
  std::memcpy(&value, in, sizeof(value));
  return value;
}

std::uint64_t load_u64(const char* in) {
  std::uint64_t value = 0;
  std::memcpy(&value, in, sizeof(value));
  return value;
}

namespace {

// Places in the header.
constexpr std::size_t kHeaderCrcAt = 0;
constexpr std::size_t kPayloadCrcAt = 4;
constexpr std::size_t kRecordPositionAt = 8;
constexpr std::size_t kLengthAt = 16;
constexpr std::size_t kRecordEpochAt = 20;
constexpr std::size_t kRecordFlagsAt = 24;  // 8 bits of flags, 24 bits of group_blocks
constexpr std::size_t kReservedAt = 28;

Parsed damaged(const char* why) {
  Parsed parsed;
  parsed.kind = Parsed::Kind::damaged;
  parsed.why = why;
  return parsed;
}

Parsed more(std::uint64_t need) {
  Parsed parsed;
  parsed.kind = Parsed::Kind::more;
  parsed.need = need;
  return parsed;
}

}  // namespace

void store_record_header(const RecordHeader& header, std::uint32_t identity_crc, char* out) {
  store_u32(out + kPayloadCrcAt, header.payload_crc);
  store_u64(out + kRecordPositionAt, header.position);
  store_u32(out + kLengthAt, header.length);
  store_u32(out + kRecordEpochAt, header.epoch);
  store_u32(out + kRecordFlagsAt, header.flags | header.group_blocks << 8);
  store_u32(out + kReservedAt, 0);
  const BytesView covered(out + kPayloadCrcAt, kRecordHeaderBytes - kPayloadCrcAt);
  store_u32(out + kHeaderCrcAt, crc32c(covered, identity_crc));
}

Parsed parse_record_header(BytesView bytes, std::uint64_t position, std::uint64_t limit,
                           std::uint32_t identity_crc, std::uint64_t& length,
                           std::uint32_t& payload_crc) {
  if (position % kRecordAlign != 0) return damaged("no record begins at such a position");
  if (limit - position < kRecordHeaderBytes) return damaged("no room for a record there");
  if (bytes.size() < kRecordHeaderBytes) return more(kRecordHeaderBytes);
  const char* at = bytes.data();
  // The cheap questions first: a search asks at every step.
  if (load_u64(at + kRecordPositionAt) != position &&
      !SEMPER_MUTANT("ring_records_of_an_earlier_lap_believed")) {
    return damaged("the record says another position");
  }
  const std::uint32_t packed = load_u32(at + kRecordFlagsAt);
  const std::uint32_t flags = packed & 0xff;
  if ((flags & kIsRecord) == 0 || (flags & ~kKnownFlags) != 0) {
    return damaged("the record's flags are not those of a record");
  }
  const BytesView covered = bytes.substr(kPayloadCrcAt, kRecordHeaderBytes - kPayloadCrcAt);
  if (load_u32(at + kHeaderCrcAt) != crc32c(covered, identity_crc) &&
      !SEMPER_MUTANT("ring_checksum_of_headers_not_checked")) {
    return damaged("the checksum of the record's header is wrong");
  }
  length = load_u32(at + kLengthAt);
  payload_crc = load_u32(at + kPayloadCrcAt);
  const std::uint64_t size = record_bytes(length);
  if (size > limit - position) return damaged("the record does not fit into what is there");
  const std::uint64_t back = std::uint64_t{packed >> 8} * kBlockBytes;
  const std::uint64_t block = round_down(position, kBlockBytes);
  if (back > block) return damaged("the record says that its write began before the stream");
  Parsed parsed;
  parsed.kind = Parsed::Kind::item;
  parsed.epoch = load_u32(at + kRecordEpochAt);
  parsed.flags = flags;
  parsed.after = position + size;
  if ((flags & kBatchEnd) != 0) parsed.after = round_up(parsed.after, kBlockBytes);
  parsed.group_start = block - back;
  return parsed;
}

std::optional<SeenHeader> see_record_header(BytesView bytes, std::uint32_t identity_crc) {
  if (bytes.size() < kRecordHeaderBytes) return std::nullopt;
  if ((load_u32(bytes.data() + kRecordFlagsAt) & kIsRecord) == 0) return std::nullopt;
  const BytesView covered = bytes.substr(kPayloadCrcAt, kRecordHeaderBytes - kPayloadCrcAt);
  if (load_u32(bytes.data()) != crc32c(covered, identity_crc)) return std::nullopt;
  return SeenHeader{load_u64(bytes.data() + kRecordPositionAt),
                    load_u32(bytes.data() + kRecordEpochAt)};
}

Parsed parse_record(BytesView bytes, std::uint64_t position, std::uint64_t limit,
                    std::uint32_t identity_crc) {
  std::uint64_t length = 0;
  std::uint32_t payload_crc = 0;
  Parsed parsed = parse_record_header(bytes, position, limit, identity_crc, length, payload_crc);
  if (parsed.kind != Parsed::Kind::item) return parsed;
  if (bytes.size() < kRecordHeaderBytes + length) return more(record_bytes(length));
  parsed.payload = bytes.substr(kRecordHeaderBytes, static_cast<std::size_t>(length));
  if (payload_crc != crc32c(parsed.payload) &&
      !SEMPER_MUTANT("ring_checksum_of_items_not_checked")) {
    return damaged("the checksum of the record's content is wrong");
  }
  return parsed;
}

}  // namespace semper::ring::internal
