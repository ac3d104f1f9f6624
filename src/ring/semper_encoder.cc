#include "ring/semper_encoder.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>

#include "semper/base/assert.h"
#include "semper/base/crc32c.h"
#include "semper/base/internal/mutant.h"

namespace semper::ring::internal {
namespace {

// A new buffer begins with this much, or what is asked for.
constexpr std::size_t kFirstBufferBytes = std::size_t{64} << 10;

std::uint64_t bytes_of(const ItemList& items) {
  std::uint64_t total = 0;
  for (std::size_t i = 0; i < items.size(); ++i) total += record_bytes(items[i].size());
  return total;
}

}  // namespace

SemperEncoder::SemperEncoder(Geometry geometry, std::uint32_t identity_crc, std::uint64_t position,
                             std::uint32_t epoch, std::size_t buffer_bytes)
    : geometry_(geometry),
      identity_crc_(identity_crc),
      epoch_(epoch),
      max_bytes_(static_cast<std::size_t>(
          std::min<std::uint64_t>(round_down(buffer_bytes, kBlockBytes), geometry.capacity))),
      start_(position),
      taken_(position),
      cursor_(position) {
  SEMPER_ASSERT(position % kBlockBytes == 0, "a batch begins on a block of its own");
  SEMPER_ASSERT(max_bytes_ / kBlockBytes <= kMaxGroupBlocks, "a write is bounded by the format");
}

std::uint64_t SemperEncoder::first_position(Exposure exposure) const {
  return exposure == Exposure::publish && open_ ? cursor_ : next_block();
}

std::uint64_t SemperEncoder::end_with(const ItemList& items, Exposure exposure) const {
  return round_up(first_position(exposure) + bytes_of(items), kBlockBytes);
}

std::uint64_t SemperEncoder::limit(std::uint64_t consumed) const {
  // The block in which the consumer's position is may hold items that it has not seen.
  const std::uint64_t more = SEMPER_MUTANT("ring_unread_items_written_over") ? kBlockBytes : 0;
  return round_down(consumed, kBlockBytes) + geometry_.capacity + more;
}

Encoder::Fit SemperEncoder::fit(const ItemList& items, Exposure exposure) const {
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (items[i].size() > std::numeric_limits<std::uint32_t>::max()) return Fit::too_large;
  }
  if (round_up(bytes_of(items), kBlockBytes) > max_bytes_) return Fit::too_large;
  return end_with(items, exposure) - start_ > max_bytes_ ? Fit::buffer_full : Fit::fits;
}

std::uint64_t SemperEncoder::bytes_for(const ItemList& items) const {
  return round_up(bytes_of(items), kBlockBytes);
}

Async<void> SemperEncoder::load_base(std::uint64_t) {
  co_return Result<void>();
}

void SemperEncoder::grow(std::uint64_t bytes) {
  if (bytes <= gather_.size()) return;
  const std::uint64_t doubled = std::max<std::uint64_t>(kFirstBufferBytes, gather_.size() * 2);
  AlignedBuffer larger(std::min<std::size_t>(max_bytes_, std::max<std::size_t>(doubled, bytes)));
  const std::size_t used = static_cast<std::size_t>(cursor_ - start_);
  if (used != 0) std::memcpy(larger.data(), gather_.data(), used);
  gather_ = std::move(larger);
}

std::size_t SemperEncoder::append(const ItemList& items, Exposure exposure) {
  SEMPER_ASSERT(items.size() > 0, "a batch has an item");
  const std::uint64_t end = end_with(items, exposure);
  grow(end - start_);
  if (exposure == Exposure::push && open_) close_batch();
  const bool begins = !open_;
  const std::uint32_t published = exposure == Exposure::publish ? kPublished : 0;
  char* const base = reinterpret_cast<char*>(gather_.data());
  for (std::size_t i = 0; i < items.size(); ++i) {
    const BytesView item = items[i];
    char* const out = base + (cursor_ - start_);
    if (!item.empty()) std::memcpy(out + kRecordHeaderBytes, item.data(), item.size());
    const std::uint64_t size = record_bytes(item.size());
    std::memset(out + kRecordHeaderBytes + item.size(), 0, size - kRecordHeaderBytes - item.size());
    last_ = RecordHeader();
    last_.payload_crc = crc32c(BytesView(out + kRecordHeaderBytes, item.size()));
    last_.position = cursor_;
    last_.length = static_cast<std::uint32_t>(item.size());
    last_.epoch = epoch_;
    last_.flags = kIsRecord | published | (begins && i == 0 ? kBatchBegin : 0);
    last_.group_blocks = static_cast<std::uint32_t>((cursor_ - start_) / kBlockBytes);
    store_record_header(last_, identity_crc_, out);
    cursor_ += size;
  }
  open_ = true;
  const std::size_t number = batch_ends_.size();
  if (exposure == Exposure::push) close_batch();
  return number;
}

void SemperEncoder::close_batch() {
  last_.flags |= kBatchEnd;
  char* const base = reinterpret_cast<char*>(gather_.data());
  store_record_header(last_, identity_crc_, base + (last_.position - start_));
  const std::uint64_t end = next_block();
  std::memset(base + (cursor_ - start_), 0, end - cursor_);
  cursor_ = end;
  open_ = false;
  batch_ends_.push_back(end);
}

std::uint64_t SemperEncoder::settled_end() const {
  if (SEMPER_MUTANT("ring_part_with_an_open_end")) return round_down(cursor_, kBlockBytes);
  return open_ ? round_down(last_.position, kBlockBytes) : cursor_;
}

Group SemperEncoder::take_part(std::uint64_t most) {
  grow(max_bytes_);  // it must not move any more
  Group part;
  part.write_start = taken_;
  part.end = std::min(settled_end(), taken_ + most);
  part.bytes = std::as_const(gather_).span().subspan(static_cast<std::size_t>(taken_ - start_),
                                                     static_cast<std::size_t>(part.end - taken_));
  taken_ = part.end;
  return part;
}

Group SemperEncoder::seal() {
  if (open_) close_batch();
  std::swap(gather_, flight_);
  Group group;
  group.write_start = taken_;
  group.bytes = std::as_const(flight_).span().subspan(static_cast<std::size_t>(taken_ - start_),
                                                      static_cast<std::size_t>(cursor_ - taken_));
  group.end = cursor_;
  group.batch_ends = std::exchange(batch_ends_, {});
  start_ = taken_ = cursor_;
  return group;
}

void SemperEncoder::restart(std::uint64_t position, std::uint32_t epoch) {
  SEMPER_ASSERT(empty(), "nothing gathered may get lost");
  SEMPER_ASSERT(position % kBlockBytes == 0, "a batch begins on a block of its own");
  start_ = taken_ = cursor_ = position;
  epoch_ = epoch;
}

}  // namespace semper::ring::internal
