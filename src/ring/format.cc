#include "ring/format.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "semper/base/assert.h"
#include "semper/base/internal/mutant.h"

namespace semper::ring {

std::string_view to_string(Format format) noexcept {
  return format == Format::semper_1 ? "semper-1" : "mirage-1.0";
}

Result<Format> format_from(std::string_view name) {
  for (const Format format : {Format::semper_1, Format::mirage_1_0}) {
    if (name == to_string(format)) return format;
  }
  return fail(ErrorKind::invalid_argument,
              "no ring format is called \"" + std::string(name) + "\": semper-1 or mirage-1.0");
}

std::string_view to_string(State state) noexcept {
  return state == State::running ? "running" : "suspended";
}

Result<Position> Position::parse(std::string_view text) {
  std::uint64_t offset = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), offset);
  if (error != std::errc() || end != text.data() + text.size() || text.empty()) {
    return fail(ErrorKind::invalid_argument,
                "\"" + to_printable(text, 40) + "\" is not a position: a decimal number");
  }
  return from_offset(offset);
}

namespace internal {

std::string_view to_string(Side side) noexcept {
  return side == Side::producer ? "producer" : "consumer";
}

Async<void> StreamIo::read(std::uint64_t position, std::span<std::byte> into) {
  SEMPER_ASSERT(into.size() <= geometry_.capacity, "a read is at most one lap");
  if (into.empty()) co_return Result<void>();
  const std::uint64_t to_end = geometry_.capacity - position % geometry_.capacity;
  const std::size_t first = static_cast<std::size_t>(std::min<std::uint64_t>(to_end, into.size()));
  ReadParts parts{into.first(first)};
  SEMPER_CO_TRY_STATUS(co_await device_->read(place(position), std::move(parts)));
  if (first == into.size()) co_return Result<void>();
  ReadParts rest{into.subspan(first)};
  co_return co_await device_->read(geometry_.data_start, std::move(rest));
}

Async<void> StreamIo::write(std::uint64_t position, std::span<const std::byte> from, Flush flush) {
  SEMPER_ASSERT(from.size() <= geometry_.capacity, "a write is at most one lap");
  const std::uint64_t to_end = geometry_.capacity - position % geometry_.capacity;
  std::size_t first = static_cast<std::size_t>(std::min<std::uint64_t>(to_end, from.size()));
  if (first < from.size()) {
    WriteParts parts{from.first(first)};
    if (!SEMPER_MUTANT("ring_end_of_a_lap_not_written")) {
      SEMPER_CO_TRY_STATUS(co_await device_->write(place(position), std::move(parts)));
    }
    from = from.subspan(first);
    position += first;
  }
  WriteParts parts{from};
  if (flush == Flush::never) co_return co_await device_->write(place(position), std::move(parts));
  co_return co_await device_->write_and_flush(place(position), std::move(parts));
}

Async<std::shared_ptr<FormatOnDevice>> open_format(BlockDevice& device, std::uint32_t sector_size) {
  SEMPER_CO_TRY(auto semper, co_await open_semper(device));
  if (semper) co_return semper;
  SEMPER_CO_TRY(auto mirage, co_await open_mirage(device, sector_size));
  if (mirage) co_return mirage;
  co_return fail(ErrorKind::not_found,
                 std::string(device.name()) + ": no ring there; create one first");
}

namespace {
// Looking again at a ring at which others are at work.
constexpr int kStandingAttempts = 5;

bool is_same(const Pointer& a, const Pointer& b) {
  return a.position == b.position && a.sequence == b.sequence && a.epoch == b.epoch;
}
}  // namespace

Async<Standing> read_standing(FormatOnDevice& format) {
  for (int attempt = 1;; ++attempt) {
    Standing standing;
    // The consumer's first: it never passes what it could see of the producer's.
    SEMPER_CO_TRY(const Pointer consumer, co_await format.read_pointer(Side::consumer));
    SEMPER_CO_TRY(standing.producer, co_await format.read_pointer(Side::producer));
    standing.consumer = consumer;
    // What the producer was told, durably, holds also where the consumer's own word is lost.
    standing.consumer.position = std::max(consumer.position, standing.producer.consumed);
    auto recovered = co_await format.recover(standing.producer, standing.consumer);
    if (recovered && recovered->stale.empty()) {
      standing.recovered = std::move(*recovered);
      co_return std::move(standing);
    }
    if (!recovered && recovered.error().kind() != ErrorKind::corrupt) {
      co_return fail(recovered.error());
    }
    SEMPER_CO_TRY(const Pointer consumer_now, co_await format.read_pointer(Side::consumer));
    SEMPER_CO_TRY(const Pointer producer_now, co_await format.read_pointer(Side::producer));
    const bool still = is_same(consumer, consumer_now) && is_same(standing.producer, producer_now);
    if (!still && attempt < kStandingAttempts) continue;
    if (!recovered) co_return fail(recovered.error());
    co_return fail(ErrorKind::corrupt,
                   std::string(format.device().name()) + ": " + recovered->stale +
                       "; restore the whole device from one moment, or make the ring anew");
  }
}

Async<void> confirm_mark(FormatOnDevice& format, Confirm how) {
  BlockDevice& device = format.device();
  if (format.id() == Format::semper_1) co_return co_await confirm_semper(device, how);
  AlignedBuffer sector(format.sector_size());
  ReadParts there{sector.span()};
  SEMPER_CO_TRY_STATUS(co_await device.read(0, std::move(there)));
  WriteParts parts{std::as_const(sector).span()};
  co_return co_await device.write_and_flush(0, std::move(parts));
}

bool is_zero(BytesView bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](char byte) { return byte == 0; });
}

void assert_positions(const Geometry& geometry, std::uint64_t consumed, std::uint64_t exposed,
                      std::uint64_t end) {
  SEMPER_ASSERT(consumed <= exposed, "only what is exposed is consumed");
  SEMPER_ASSERT(exposed <= end, "only what is written is exposed");
  SEMPER_ASSERT(end - consumed <= geometry.capacity, "what is not consumed is not written over");
}

Status check_positions(const FormatOnDevice& format, std::uint64_t consumed,
                       std::uint64_t exposed) {
  if (consumed <= exposed && exposed - consumed <= format.geometry().capacity) return {};
  return fail(ErrorKind::corrupt, std::string(format.device().name()) +
                                      ": the producer's position " + std::to_string(exposed) +
                                      " and the consumer's " + std::to_string(consumed) +
                                      " cannot both be right in a ring of " +
                                      std::to_string(format.geometry().capacity) + " bytes");
}

}  // namespace internal
}  // namespace semper::ring
