#include "ring/mirage_encoder.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "ring/record.h"
#include "semper/base/assert.h"
#include "semper/base/internal/mutant.h"

namespace semper::ring::internal {
namespace {
constexpr std::uint64_t kReadAheadBytes = std::uint64_t{256} << 10;
}

MirageEncoder::MirageEncoder(StreamIo& io, std::uint64_t position, std::size_t buffer_bytes)
    : io_(io),
      max_bytes_(static_cast<std::size_t>(round_down(buffer_bytes, io.geometry().unit))),
      start_(position),
      cursor_(position) {}

std::uint64_t MirageEncoder::bytes_for(const ItemList& items) const {
  std::uint64_t total = 0;
  for (std::size_t i = 0; i < items.size(); ++i) total += mirage_record_bytes(items[i].size());
  return total;
}

std::uint64_t MirageEncoder::end_with(const ItemList& items, Exposure) const {
  return cursor_ + bytes_for(items);
}

std::uint64_t MirageEncoder::limit(std::uint64_t consumed) const {
  const std::uint64_t more = SEMPER_MUTANT("ring_unread_items_written_over_in_mirage") ? 4 : 0;
  return consumed + io_.geometry().capacity + more;
}

Encoder::Fit MirageEncoder::fit(const ItemList& items, Exposure) const {
  const Geometry& geometry = io_.geometry();
  const std::uint64_t bytes = bytes_for(items);
  const bool small_ring = geometry.capacity <= max_bytes_;
  const std::uint64_t most = small_ring ? geometry.capacity : max_bytes_ - 2 * geometry.unit;
  if (bytes > most) return Fit::too_large;
  if (!loaded_) return Fit::needs_base;
  if (is_whole_lap()) return Fit::fits;
  const std::uint64_t end = round_up(cursor_ + bytes, geometry.unit);
  return end > base_ + window_.size() ? Fit::needs_base : Fit::fits;
}

Async<void> MirageEncoder::load_base(std::uint64_t bytes) {
  SEMPER_ASSERT(empty(), "what is gathered would get lost");
  const Geometry& geometry = io_.geometry();
  const bool small_ring = geometry.capacity <= max_bytes_;
  const std::uint64_t base = round_down(cursor_, geometry.unit);
  const std::uint64_t wanted =
      std::max(round_up(cursor_ + bytes, geometry.unit) - base,
               std::min<std::uint64_t>(round_up(kReadAheadBytes, geometry.unit), max_bytes_));
  const auto size = static_cast<std::size_t>(small_ring ? geometry.capacity : wanted);
  loaded_ = false;
  if (window_.size() != size) window_ = AlignedBuffer(size);
  SEMPER_CO_TRY_STATUS(co_await io_.read(base, window_.span()));
  base_ = base;
  loaded_ = true;
  co_return Result<void>();
}

void MirageEncoder::put(BytesView bytes) {
  char* const window = reinterpret_cast<char*>(window_.data());
  while (!bytes.empty()) {
    const auto at = static_cast<std::size_t>((cursor_ - base_) % window_.size());
    const std::size_t piece = std::min(bytes.size(), window_.size() - at);
    std::memcpy(window + at, bytes.data(), piece);
    bytes.remove_prefix(piece);
    cursor_ += piece;
  }
}

std::size_t MirageEncoder::append(const ItemList& items, Exposure) {
  for (std::size_t i = 0; i < items.size(); ++i) {
    char length[kMirageLengthBytes];
    store_u32(length, static_cast<std::uint32_t>(items[i].size()));
    put(BytesView(length, sizeof(length)));
    put(items[i]);
    cursor_ = round_up(cursor_, 4);  // the padding keeps what was there
  }
  batch_ends_.push_back(cursor_);
  return batch_ends_.size() - 1;
}

Group MirageEncoder::seal() {
  const Geometry& geometry = io_.geometry();
  Group group;
  group.write_start = round_down(start_, geometry.unit);
  const auto size = static_cast<std::size_t>(
      std::min(round_up(cursor_, geometry.unit) - group.write_start, geometry.capacity));
  // A copy: the last sector goes on being filled while this one is under way.
  if (flight_.size() < size) flight_ = AlignedBuffer(round_up(size, AlignedBuffer::kAlignment));
  const auto at = static_cast<std::size_t>((group.write_start - base_) % window_.size());
  const std::size_t first = std::min(size, window_.size() - at);
  std::memcpy(flight_.data(), window_.data() + at, first);
  std::memcpy(flight_.data() + first, window_.data(), size - first);
  group.bytes = std::as_const(flight_).span().first(size);
  group.end = cursor_;
  group.batch_ends = std::exchange(batch_ends_, {});
  start_ = cursor_;
  return group;
}

void MirageEncoder::restart(std::uint64_t position, std::uint32_t) {
  SEMPER_ASSERT(empty(), "nothing gathered may get lost");
  start_ = cursor_ = position;
  loaded_ = false;
}

}  // namespace semper::ring::internal
