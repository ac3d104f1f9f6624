#include "ring/reader.h"

#include <algorithm>
#include <cstring>
#include <exception>
#include <utility>

#include "semper/base/internal/mutant.h"
#include "semper/env/cancellation.h"

namespace semper::ring::internal {
namespace {
// A read takes so much, or less where the memory is small.
constexpr std::uint64_t kReadBytes = std::uint64_t{1} << 20;
// Before what was read ahead, for the beginning of a record that the stretch before it ends in.
constexpr std::uint64_t kTailShare = 4;
// Reads ahead are made of so much, at the same time.
constexpr std::uint64_t kPieceBytes = std::uint64_t{512} << 10;
// Reads that are not followed by one ahead, after one that was for nothing.
constexpr int kPauseAfterMiss = 8;
constexpr std::uint64_t kPage = AlignedBuffer::kAlignment;
}  // namespace

Reader::Reader(std::shared_ptr<FormatOnDevice> format, std::size_t memory_bytes, ReadAhead ahead)
    : format_(std::move(format)),
      memory_bytes_(memory_bytes),
      reads_ahead_(ahead == ReadAhead::yes),
      read_bytes_(std::min<std::uint64_t>(kReadBytes, round_down(memory_bytes / 3, kPage))),
      tail_bytes_(static_cast<std::size_t>(round_up(read_bytes_ / kTailShare, kPage))) {}

std::string Reader::describe(std::uint64_t position, const char* why) const {
  return "the record at position " + std::to_string(position) + " (byte " +
         std::to_string(format_->io().place(position)) + " of " +
         std::string(format_->device().name()) + ") is damaged: " + why;
}

BytesView Reader::there(std::uint64_t position) const {
  return buffer_.view().substr(base_ + static_cast<std::size_t>(position - start_),
                               static_cast<std::size_t>(end_ - position));
}

Async<BytesView> Reader::window(std::uint64_t position, std::uint64_t need, std::uint64_t exposed) {
  const std::uint64_t until = std::min(position + need, exposed);
  if (position < start_ || until > end_) {
    SEMPER_CO_TRY(const bool taken, co_await take_ahead(position, until));
    if (!taken) SEMPER_CO_TRY_STATUS(co_await read_window(position, need, exposed));
    begin_ahead(exposed);
  }
  co_return there(position);
}

Async<void> Reader::read_window(std::uint64_t position, std::uint64_t need, std::uint64_t exposed) {
  const std::uint64_t until = std::min(position + need, exposed);
  const Geometry& geometry = format_->geometry();
  const std::uint64_t start = round_down(position, geometry.unit);
  // At most one lap; the unit where it begins and ends is then the same one, and read once.
  const std::uint64_t wanted = std::max(round_up(until, geometry.unit) - start, read_bytes_);
  const std::uint64_t left = round_up(exposed, geometry.unit) - start;
  const std::uint64_t whole = std::min(wanted, left);
  const std::uint64_t size = std::min(whole, geometry.capacity);
  if (whole > memory_bytes_) {
    co_return fail(ErrorKind::exhausted, Limit{"memory_bytes", 2 * memory_bytes_},
                   "the item at position " + std::to_string(position) + " takes " +
                       std::to_string(need) + " bytes; attach with a memory_bytes of twice that");
  }
  SEMPER_CO_TRY_STATUS(not_cancelled(co_await asio::this_coro::cancellation_state));
  ++reads_;
  start_ = end_ = base_ = 0;
  if (buffer_.size() < whole) {
    spare_ = AlignedBuffer();
    buffer_ = AlignedBuffer(static_cast<std::size_t>(round_up(whole, AlignedBuffer::kAlignment)));
  }
  const auto into = buffer_.span().first(static_cast<std::size_t>(size));
  SEMPER_CO_TRY_STATUS(co_await format_->io().read(start, into));
  if (whole > size) {  // the lap's first unit again
    std::copy_n(into.begin(), whole - size, buffer_.span().begin() + static_cast<long>(size));
  }
  start_ = start;
  end_ = std::min(start + whole, exposed);
  co_return Result<void>();
}

// One piece; all run on one executor.
Task<void> Reader::read_ahead(std::shared_ptr<Ahead> ahead, std::shared_ptr<FormatOnDevice> format,
                              std::uint64_t position, std::span<std::byte> into) {
  bool came = false;
  try {
    came = (co_await format->io().read(position, into)).has_value();
  } catch (...) {
    came = false;  // whoever asks for it reads it, and hears why not
  }
  ahead->came = ahead->came && came;
  if (--ahead->pieces == 0) ahead->done.set(ahead->came);
}

void Reader::begin_ahead(std::uint64_t exposed) {
  const Geometry& geometry = format_->geometry();
  if (!reads_ahead_ || end_ >= exposed || end_ % geometry.unit != 0) return;
  if (pause_ > 0 && --pause_ > 0) return;
  const std::uint64_t left = round_up(exposed, geometry.unit) - end_;
  const std::uint64_t size = std::min({read_bytes_, left, geometry.capacity});
  const std::size_t room = tail_bytes_ + static_cast<std::size_t>(read_bytes_);
  if (buffer_.size() + room > memory_bytes_) return;
  const auto ahead = std::make_shared<Ahead>();
  ahead->buffer = std::exchange(spare_, AlignedBuffer());
  if (ahead->buffer.size() < room) ahead->buffer = AlignedBuffer(room);
  ahead->start = end_;
  const bool believes = SEMPER_MUTANT("ring_more_read_ahead_than_is_exposed");
  ahead->end = believes ? end_ + size : std::min(end_ + size, exposed);
  const auto into = ahead->buffer.span().subspan(tail_bytes_, static_cast<std::size_t>(size));
  ahead->pieces = (size + kPieceBytes - 1) / kPieceBytes;
  for (std::uint64_t at = 0; at < size; at += kPieceBytes) {
    const auto piece = into.subspan(static_cast<std::size_t>(at),
                                    static_cast<std::size_t>(std::min(kPieceBytes, size - at)));
    ahead_executor_.start([ahead, format = format_, position = end_ + at, piece] {
      return read_ahead(ahead, format, position, piece);
    });
  }
  ahead_ = ahead;
}

Async<bool> Reader::take_ahead(std::uint64_t position, std::uint64_t until) {
  const std::shared_ptr<Ahead> ahead = std::exchange(ahead_, nullptr);
  if (!ahead) co_return false;
  const bool begins_before = position < ahead->start;
  const bool has_tail =
      position >= start_ && end_ == ahead->start && end_ - position <= tail_bytes_;
  const bool serves = until <= ahead->end && (!begins_before || has_tail);
  // The memory is bounded: nothing else is read before this has ended.
  SEMPER_CO_TRY(const bool came, co_await ahead->done.wait_regardless());
  if (!came || !serves) {
    spare_ = std::move(ahead->buffer);
    pause_ = kPauseAfterMiss;
    co_return false;
  }
  const std::size_t tail =
      begins_before ? static_cast<std::size_t>(ahead->start - position) : std::size_t{0};
  char* const into = reinterpret_cast<char*>(ahead->buffer.data()) + tail_bytes_ - tail;
  if (tail != 0 && !SEMPER_MUTANT("ring_tail_of_a_stretch_lost")) {
    std::memcpy(into, there(position).data(), tail);
  }
  std::swap(buffer_, ahead->buffer);
  spare_ = std::move(ahead->buffer);
  base_ = tail_bytes_ - tail;
  start_ = ahead->start - tail;
  end_ = ahead->end;
  co_return true;
}

Async<void> Reader::rest() {
  const std::shared_ptr<Ahead> ahead = std::exchange(ahead_, nullptr);
  if (ahead) static_cast<void>(co_await ahead->done.wait_regardless());
  co_return Result<void>();
}

Async<Parsed> Reader::at(std::uint64_t position, std::uint64_t exposed) {
  std::uint64_t need = 1;
  // Twice for a header that the buffer ends in, once more for the payload.
  for (int attempt = 0; attempt < 3; ++attempt) {
    SEMPER_CO_TRY(const BytesView bytes, co_await window(position, need, exposed));
    const Parsed parsed = format_->parse(bytes, position, exposed);
    if (parsed.kind != Parsed::Kind::more) co_return parsed;
    need = parsed.need;
  }
  Parsed parsed;
  parsed.why = "its size changes while it is read";
  co_return parsed;
}

std::optional<Parsed> Reader::at_hand(std::uint64_t position, std::uint64_t exposed) const {
  if (!has(position)) return std::nullopt;
  const Parsed parsed = format_->parse(there(position), position, exposed);
  if (parsed.kind == Parsed::Kind::more) return std::nullopt;
  return parsed;
}

Async<std::uint64_t> Reader::search(std::uint64_t position, std::uint64_t exposed) {
  const bool leaps = SEMPER_MUTANT("ring_items_behind_damage_passed_over");
  const std::uint64_t step = leaps ? format_->geometry().unit : format_->record_step();
  if (step == 0) co_return exposed;
  for (std::uint64_t at_position = round_up(position, step); at_position < exposed;
       at_position += step) {
    const auto parsed = co_await at(at_position, exposed);
    // A header that is whole but asks for more memory than there is counts as a record.
    if (!parsed && parsed.error().kind() == ErrorKind::exhausted) co_return at_position;
    if (!parsed) co_return fail(parsed.error());
    if (parsed->kind == Parsed::Kind::item) co_return at_position;
  }
  co_return exposed;
}

}  // namespace semper::ring::internal
