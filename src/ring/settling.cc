// Settling: what a crash or a failed flush left behind the producer's position is written once
// more.
//
// After a flush that failed, a cache may go on showing bytes that are not on the disk, and no later
// flush changes that. Which of the last write's blocks are so, nobody can tell; those before it
// were flushed. They are the last write's that was acknowledged, perhaps, so that a power loss in
// the middle of writing them in their place must not hurt: a copy of them is durable before, in the
// free room of the ring (or in the spare block where there is none), and the pointer copy that an
// attach may write says where it is and what it is for.
//
// Where that fails, who comes next must know which of the two is durable: before the stretch is
// written in its place, a note in the spare block says that the copy is. Nobody has to flush the
// note. While a cache shows bytes that are not on the disk, it shows the note too; after a power
// loss the bytes themselves say what is there.
#include <algorithm>
#include <utility>

#include "ring/semper_format.h"
#include "semper/base/crc32c.h"
#include "semper/base/internal/mutant.h"

namespace semper::ring::internal {
namespace {

// At once.
constexpr std::uint64_t kSettleBytes = std::uint64_t{1} << 20;

BytesView view(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

// The copy lies in the data area, around its end too, or in the spare block.
Async<void> SemperFormat::read_copy(std::uint64_t place, std::span<std::byte> into) {
  if (place >= geometry().data_start)
    co_return co_await io_.read(place - geometry().data_start, into);
  ReadParts parts{into};
  co_return co_await device().read(place, std::move(parts));
}

Async<void> SemperFormat::write_copy(std::uint64_t place, std::span<const std::byte> from) {
  if (place >= geometry().data_start) {
    co_return co_await io_.write(place - geometry().data_start, from, Flush::never);
  }
  WriteParts parts{from};
  co_return co_await device().write(place, std::move(parts));
}

Async<void> SemperFormat::settle_stretch(Pointer& own, std::uint64_t position,
                                         std::uint64_t copy_place, std::span<std::byte> bytes) {
  SEMPER_CO_TRY_STATUS(co_await io_.read(position, bytes));
  own.redo =
      Redo{position, static_cast<std::uint32_t>(bytes.size()), crc32c(view(bytes)), copy_place};
  SEMPER_CO_TRY_STATUS(co_await write_copy(copy_place, bytes));
  SEMPER_CO_TRY_STATUS(co_await write_claim_copy(own, Flush::always));
  if (copy_place != kSpareBlock) {
    AlignedBuffer note(kBlockBytes);
    store_redo_note(own.redo, identity_crc_, note.span());
    SEMPER_CO_TRY_STATUS(co_await write_copy(kSpareBlock, note.span()));
  }
  co_return co_await io_.write(position, bytes, Flush::always);
}

Async<void> SemperFormat::settle(Pointer& own, const Standing& standing) {
  const Recovered& recovered = standing.recovered;
  const bool produces = own.side == Side::producer;
  const std::uint64_t consumed = round_down(standing.consumer.position, kBlockBytes);
  // What is not exposed may be dropped and written over: the producer alone knows when.
  const bool has_pushed = produces && !recovered.pushed.empty();
  const std::uint64_t end = has_pushed ? recovered.pushed.back() : recovered.exposed;
  const std::uint64_t start = std::max({consumed, recovered.last_write, settled_until_});
  // A producer that went with its last word had flushed everything before.
  const bool settled = !standing.producer.attached || start >= end;
  if (settled || SEMPER_MUTANT("ring_what_a_cache_shows_believed")) {
    co_return co_await device().flush();
  }
  // The free room is the producer's.
  const std::uint64_t room = produces ? consumed + geometry().capacity - end : 0;
  const std::uint64_t copy_place = room == 0 ? kSpareBlock : io_.place(end);
  const std::uint64_t most = room == 0 ? kBlockBytes : std::min({room, kSettleBytes, end - start});
  if (room != 0) {
    // Free is what the consumer left, durably; that too may be in a cache only.
    own.redo.bytes = 0;
    own.consumed = standing.consumer.position;
    SEMPER_CO_TRY_STATUS(co_await write_claim_copy(own, Flush::always));
  }
  AlignedBuffer buffer(static_cast<std::size_t>(most));
  for (std::uint64_t at = start; at < end;) {
    const std::uint64_t size = std::min(most, end - at);
    const auto piece = buffer.span().first(static_cast<std::size_t>(size));
    SEMPER_CO_TRY_STATUS(co_await settle_stretch(own, at, copy_place, piece));
    at += size;
  }
  co_return Result<void>();
}

Async<void> SemperFormat::finish_redo(const Redo& redo, std::uint64_t consumed) {
  const Geometry& geometry = io_.geometry();
  const std::uint64_t first = round_down(consumed, kBlockBytes);
  const bool in_data =
      redo.place >= geometry.data_start && redo.place < geometry.data_start + geometry.capacity;
  const bool in_spare = redo.place == kSpareBlock && redo.bytes == kBlockBytes;
  if (redo.bytes == 0 || redo.bytes > kSettleBytes || redo.bytes > geometry.capacity ||
      redo.bytes % kBlockBytes != 0 || redo.position % kBlockBytes != 0 ||
      redo.place % kBlockBytes != 0 || redo.position < first ||
      redo.position + redo.bytes > first + geometry.capacity || !(in_data || in_spare)) {
    co_return Result<void>();
  }
  AlignedBuffer block(kBlockBytes);
  SEMPER_CO_TRY_STATUS(co_await read_copy(kSpareBlock, block.span()));
  const bool copy_is_durable = load_redo_note(block.view(), identity_crc_) == redo;
  AlignedBuffer buffer(redo.bytes);
  SEMPER_CO_TRY_STATUS(co_await io_.read(redo.position, buffer.span()));
  if (crc32c(buffer.view()) == redo.crc && !copy_is_durable) {
    co_return Result<void>();  // settle() begins anew
  }
  SEMPER_CO_TRY_STATUS(co_await read_copy(redo.place, buffer.span()));
  if (crc32c(buffer.view()) != redo.crc) co_return Result<void>();  // nothing was written yet
  SEMPER_CO_TRY_STATUS(
      co_await io_.write(redo.position, std::as_const(buffer).span(), Flush::always));
  settled_until_ = std::max(settled_until_, redo.position + redo.bytes);
  co_return Result<void>();
}

Async<void> SemperFormat::finish_settling() {
  SEMPER_CO_TRY(const Pointer consumer, co_await read_pointer(Side::consumer));
  SEMPER_CO_TRY(const Pointer producer, co_await read_pointer(Side::producer));
  const std::uint64_t consumed = std::max(consumer.position, producer.consumed);
  SEMPER_CO_TRY_STATUS(co_await finish_redo(producer.redo, consumed));
  co_return co_await finish_redo(consumer.redo, consumed);
}

}  // namespace semper::ring::internal
