#include "ring/semper_format.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>

#include "ring/recovery.h"
#include "ring/semper_encoder.h"
#include "ring/superblock.h"
#include "semper/base/assert.h"
#include "semper/base/crc32c.h"
#include "semper/base/internal/mutant.h"
#include "semper/ring/ring.h"

namespace semper::ring::internal {
namespace {

BytesView view(const Identity& identity) {
  return {identity.data(), identity.size()};
}

Async<void> write_block(BlockDevice& device, std::uint64_t place, const AlignedBuffer& block) {
  WriteParts parts{block.span()};
  co_return co_await device.write(place, std::move(parts));
}

Status check_superblock(const BlockDevice& device, const Superblock& superblock) {
  const std::string where = std::string(device.name()) + ": ";
  if (superblock.version != kSemperVersion) {
    return fail(ErrorKind::unsupported,
                where + "a ring of version " + std::to_string(superblock.version) +
                    "; this program knows version " + std::to_string(kSemperVersion));
  }
  if (superblock.data_start < kDataStart || superblock.data_start % kBlockBytes != 0 ||
      superblock.capacity < kMinDataBytes || superblock.capacity % kBlockBytes != 0 ||
      superblock.capacity > std::numeric_limits<std::uint64_t>::max() / 4 ||
      superblock.data_start > std::numeric_limits<std::uint64_t>::max() / 4) {
    return fail(ErrorKind::corrupt, where + "the superblock's sizes are impossible");
  }
  if (superblock.data_start + superblock.capacity > device.size()) {
    return fail(ErrorKind::corrupt,
                where + "the ring needs " +
                    std::to_string(superblock.data_start + superblock.capacity) +
                    " bytes, the device has only " + std::to_string(device.size()));
  }
  return {};
}

// All other blocks before the data are zero: wipe_marks() has seen to that. What is not written
// cannot be spoilt by a power loss or a flush that fails.
Async<void> write_initial_pointers(BlockDevice& device, const Identity& identity) {
  const std::uint32_t seed = crc32c(view(identity));
  AlignedBuffer block(kBlockBytes);
  for (const Side side : {Side::producer, Side::consumer}) {
    for (const std::uint64_t sequence : {0, 1}) {
      Pointer pointer;
      pointer.side = side;
      pointer.sequence = sequence;
      const std::uint64_t place = pointer_place(side, sequence);
      store_pointer(pointer, place, seed, block.span());
      SEMPER_CO_TRY_STATUS(co_await write_block(device, place, block));
    }
  }
  co_return co_await device.flush();
}

Identity draw_identity(Random& random) {
  Identity identity{};
  const Bytes drawn = random.bytes(identity.size());
  std::copy(drawn.begin(), drawn.end(), identity.begin());
  return identity;
}

}  // namespace

Async<std::shared_ptr<FormatOnDevice>> open_semper(BlockDevice& device) {
  std::shared_ptr<FormatOnDevice> format;
  SEMPER_CO_TRY(const SuperblockFound found, co_await find_superblock(device));
  const std::string name(device.name());
  if (found.superblock) {
    SEMPER_CO_TRY_STATUS(check_superblock(device, *found.superblock));
    format = std::make_shared<SemperFormat>(device, *found.superblock);
  } else if (found.is_unused && !SEMPER_MUTANT("ring_unused_remains_are_damage")) {
    co_return fail(ErrorKind::not_found,
                   name +
                       ": what is left of a ring that was never used: its creation was cut off, "
                       "and the power spoilt a block of it; make it anew with Overwrite::anything");
  } else if (found.has_pointers) {
    co_return fail(
        ErrorKind::corrupt,
        name +
            ": the positions of a ring are there (bytes 4096 to 28671), and its "
            "superblock is lost: neither at byte 0 nor at the device's end, nor anywhere "
            "in its first GiB, is a good one. Was the device cut short? Give it the size "
            "that it had");
  } else if (found.checks[0] == BlockCheck::damaged) {
    co_return fail(ErrorKind::corrupt, name +
                                           ": the superblock (byte 0) is damaged, and there is no "
                                           "good copy of it at the device's end");
  }
  co_return format;
}

Async<std::string> make_semper(BlockDevice& device, const CreateOptions& options) {
  if (device.size() < kDataStart + kMinDataBytes + kBlockBytes) {
    co_return fail(
        ErrorKind::invalid_argument,
        std::string(device.name()) + ": too small for a ring: " + std::to_string(device.size()) +
            " bytes, the least is " + std::to_string(kDataStart + kMinDataBytes + kBlockBytes));
  }
  Superblock superblock;
  superblock.identity = draw_identity(*options.env.random);
  superblock.capacity = superblock_copy_place(device) - kDataStart;
  SEMPER_CO_TRY_STATUS(co_await wipe_marks(device));
  if (SEMPER_MUTANT("ring_mark_before_its_positions")) {
    SEMPER_CO_TRY_STATUS(co_await write_superblock(device, superblock, 0));
  }
  SEMPER_CO_TRY_STATUS(co_await write_initial_pointers(device, superblock.identity));
  SEMPER_CO_TRY_STATUS(co_await write_superblock(device, superblock, 0));
  SEMPER_CO_TRY_STATUS(
      co_await write_superblock(device, superblock, superblock_copy_place(device)));
  co_return to_hex(view(superblock.identity));
}

namespace {

// A block that a creation writes as a pointer. Its checksum is not looked at: the identity is not
// known.
bool is_fresh_pointer(BytesView block, std::uint64_t number) {
  AlignedBuffer fresh(kBlockBytes);
  Pointer pointer;
  pointer.side = number <= 2 ? Side::producer : Side::consumer;
  pointer.sequence = (number - 1) % 2;
  store_pointer(pointer, number * kBlockBytes, 0, fresh.span());
  const std::size_t crc_at = kBlockContentBytes - sizeof(std::uint32_t);
  return block.substr(0, crc_at) == fresh.view().substr(0, crc_at);
}

constexpr std::uint64_t kFirstPointers = 4;  // the blocks 1 to 4; 5 and 6 are written by attaching

struct FreshPointers {
  std::size_t whole = 0;
  std::size_t used = 0;
  std::size_t spoilt = 0;
};

FreshPointers count_pointers(BytesView head) {
  FreshPointers count;
  for (std::uint64_t number = 1; number < kDataStart / kBlockBytes; ++number) {
    const BytesView block = head.substr(number * kBlockBytes, kBlockBytes);
    if (is_zero(block)) continue;
    if (number <= kFirstPointers && is_fresh_pointer(block, number)) {
      ++count.whole;
      if (!is_zero(block.substr(kBlockContentBytes))) ++count.spoilt;
    } else if (is_marked_as_pointer(block, number * kBlockBytes)) {
      ++count.used;
    } else {
      ++count.spoilt;
    }
  }
  return count;
}

}  // namespace

bool is_half_made_semper(BytesView head) {
  if (head.size() < kDataStart || !is_zero(head.substr(0, kBlockBytes))) return false;
  const FreshPointers count = count_pointers(head);
  return count.used == 0 && count.spoilt == 0;
}

bool was_never_used(BytesView head) {
  if (head.size() < kDataStart) return false;
  const FreshPointers count = count_pointers(head);
  return count.used == 0 && count.whole > 0;
}

SemperFormat::SemperFormat(BlockDevice& device, const Superblock& superblock)
    : FormatOnDevice(device, Geometry{superblock.data_start, superblock.capacity,
                                      static_cast<std::uint32_t>(kBlockBytes)}),
      identity_(superblock.identity),
      identity_crc_(crc32c(view(superblock.identity))) {}

std::string SemperFormat::identity() const {
  return to_hex(view(identity_));
}

std::uint64_t SemperFormat::identity_word() const noexcept {
  return load_u64(identity_.data()) | 1;
}

Async<Pointer> SemperFormat::read_pointer(Side side) {
  const std::uint64_t place = pointer_place(side, 0);
  AlignedBuffer blocks(claim_place(side) + kBlockBytes - place);
  ReadParts parts{blocks.span()};
  SEMPER_CO_TRY_STATUS(co_await device().read(place, std::move(parts)));
  std::optional<Pointer> newest;
  std::optional<std::uint32_t> spoilt;
  std::vector<std::uint32_t> epochs;
  for (std::uint32_t slot = 0; slot < kPointerSlots; ++slot) {
    const std::uint64_t at = slot_place(side, slot);
    const BytesView block = blocks.view().substr(at - place, kBlockBytes);
    auto pointer = load_pointer(block, side, at, identity_crc_);
    if (!pointer) spoilt = slot;
    if (pointer) epochs.push_back(pointer->epoch);
    if (!pointer || (newest && pointer->sequence <= newest->sequence)) continue;
    newest = std::move(pointer);
  }
  if (newest) newest->is_alone = std::count(epochs.begin(), epochs.end(), newest->epoch) == 1;
  if (!newest) {
    co_return fail(ErrorKind::corrupt, std::string(device().name()) + ": all copies of the " +
                                           std::string(to_string(side)) + "'s position (bytes " +
                                           std::to_string(place) + ", " +
                                           std::to_string(place + kBlockBytes) + " and " +
                                           std::to_string(claim_place(side)) + ") are damaged");
  }
  // A copy that a power loss has spoilt is the one to write: what the newest names may be no more
  // than that, where the power went while both were confirmed, and then the newest is the only one.
  if (spoilt) newest->keep = ((1u << kPointerSlots) - 1) & ~(1u << *spoilt);
  co_return std::move(*newest);
}

Async<void> SemperFormat::write_slot(Pointer& pointer, std::uint32_t slot, Flush flush) {
  // The first two have the numbers of their parity.
  pointer.sequence += slot == 2 || (pointer.sequence + 1) % 2 == slot ? 1 : 2;
  AlignedBuffer block(kBlockBytes);
  const std::uint64_t place = slot_place(pointer.side, slot);
  store_pointer(pointer, place, identity_crc_, block.span());
  WriteParts parts{std::as_const(block).span()};
  if (flush == Flush::never) co_return co_await device().write(place, std::move(parts));
  co_return co_await device().write_and_flush(place, std::move(parts));
}

Async<void> SemperFormat::write_pointer(Pointer& pointer, Flush flush) {
  pointer.keep = kKeepFirstTwo;
  const std::uint32_t next = SEMPER_MUTANT("ring_newest_position_written_over") ? 0 : 1;
  const auto slot = static_cast<std::uint32_t>((pointer.sequence + next) % 2);
  co_return co_await write_slot(pointer, slot, flush);
}

Async<std::string> SemperFormat::side_text(Side side) {
  SEMPER_CO_TRY(const Pointer pointer, co_await read_pointer(side));
  if (pointer.queue.empty() && pointer.client.empty()) co_return std::string();
  co_return pointer.queue + " used by " + pointer.client;
}

namespace {
// The place that an attach may write to.
std::uint32_t free_slot(const Pointer& pointer) {
  for (std::uint32_t slot = 0; slot < kPointerSlots; ++slot) {
    if ((pointer.keep >> slot & 1) == 0) return slot;
  }
  SEMPER_ASSERT(false, "a pointer names two of its three places");
  return 2;
}
}  // namespace

Async<void> SemperFormat::write_claim_copy(Pointer& pointer, Flush flush) {
  co_return co_await write_slot(pointer, free_slot(pointer), flush);
}

Async<void> SemperFormat::claim(Pointer& pointer, Flush flush) {
  if (!SEMPER_MUTANT("ring_epoch_not_raised")) ++pointer.epoch;
  pointer.attached = true;
  pointer.redo.bytes = 0;
  co_return co_await write_claim_copy(pointer, flush);
}

// Both at once: the claim, which is durable, knows all that they do.
Async<void> SemperFormat::confirm(Pointer& pointer, Flush flush) {
  const std::uint32_t claimed = free_slot(pointer);
  for (std::uint32_t slot = 0; slot < kPointerSlots; ++slot) {
    if (slot == claimed) continue;
    pointer.keep = 1u << slot | 1u << claimed;
    SEMPER_CO_TRY_STATUS(co_await write_slot(pointer, slot, Flush::never));
  }
  if (flush == Flush::never) co_return Result<void>();
  co_return co_await device().flush();
}

Async<Recovered> SemperFormat::recover(const Pointer& producer, const Pointer& consumer) {
  if (producer.position % kBlockBytes != 0 || consumer.position % kRecordAlign != 0 ||
      consumer.known % kBlockBytes != 0 ||
      std::max({producer.position, consumer.position, producer.known, consumer.known}) >
          kMaxPosition) {
    co_return fail(ErrorKind::corrupt, std::string(device().name()) +
                                           ": a stored position is not at the start of a record");
  }
  const std::uint64_t known = std::max(producer.position, consumer.known);
  if (consumer.position < known) {
    SEMPER_CO_TRY_STATUS(check_positions(*this, consumer.position, known));
  }
  Recovery recovery(io_, identity_crc_, producer, consumer);
  SEMPER_CO_TRY(Recovered recovered, co_await recovery.run());
  co_return recovered;
}

Async<Recovered> SemperFormat::tail(const Pointer& producer, std::uint64_t from) {
  Recovered nothing;
  nothing.exposed = from;
  Pointer reader;
  reader.side = Side::consumer;
  reader.position = from;
  if (from % kBlockBytes == 0) {  // mostly: then one block says that there is nothing
    AlignedBuffer block(kBlockBytes);
    SEMPER_CO_TRY_STATUS(co_await io_.read(from, block.span()));
    std::uint64_t length = 0;
    std::uint32_t payload_crc = 0;
    const Parsed record = parse_record_header(block.view(), from, from + geometry().capacity,
                                              identity_crc_, length, payload_crc);
    if (record.kind != Parsed::Kind::item || record.epoch != producer.epoch) co_return nothing;
  }
  Recovery recovery(io_, identity_crc_, producer, reader);
  co_return co_await recovery.run_tail();
}

Parsed SemperFormat::parse(BytesView bytes, std::uint64_t position, std::uint64_t limit) const {
  return parse_record(bytes, position, limit, identity_crc_);
}

std::uint64_t SemperFormat::max_item_bytes(std::size_t buffer_bytes) const noexcept {
  const std::uint64_t buffer = round_down(buffer_bytes, kBlockBytes);
  return std::min<std::uint64_t>({buffer, geometry().capacity, std::uint64_t{1} << 32}) -
         kRecordHeaderBytes;
}

std::unique_ptr<Encoder> SemperFormat::encoder(std::uint64_t position, std::uint32_t epoch,
                                               std::size_t buffer_bytes) {
  return std::make_unique<SemperEncoder>(geometry(), identity_crc_, position, epoch, buffer_bytes);
}

}  // namespace semper::ring::internal
