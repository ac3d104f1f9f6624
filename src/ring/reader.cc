#include "ring/reader.h"

#include <algorithm>
#include <utility>

#include "semper/base/internal/mutant.h"
#include "semper/env/cancellation.h"

namespace semper::ring::internal {
namespace {
// A read begins with so much, and doubles as long as it goes on from the one before.
constexpr std::uint64_t kReadBytes = std::uint64_t{1} << 20;
}  // namespace

Reader::Reader(std::shared_ptr<FormatOnDevice> format, std::size_t memory_bytes)
    : format_(std::move(format)), memory_bytes_(memory_bytes) {}

std::string Reader::describe(std::uint64_t position, const char* why) const {
  return "the record at position " + std::to_string(position) + " (byte " +
         std::to_string(format_->io().place(position)) + " of " +
         std::string(format_->device().name()) + ") is damaged: " + why;
}

Async<BytesView> Reader::window(std::uint64_t position, std::uint64_t need, std::uint64_t exposed) {
  const std::uint64_t until = std::min(position + need, exposed);
  const Geometry& geometry = format_->geometry();
  if (position < start_ || until > end_) {
    const std::uint64_t start = round_down(position, geometry.unit);
    // At most one lap; the unit where it begins and ends is then the same one, and read once.
    const std::uint64_t wanted = std::max(round_up(until, geometry.unit) - start,
                                          std::min<std::uint64_t>(kReadBytes, memory_bytes_ / 2));
    const std::uint64_t there = round_up(exposed, geometry.unit) - start;
    const std::uint64_t whole = std::min(wanted, there);
    const std::uint64_t size = std::min(whole, geometry.capacity);
    if (whole > memory_bytes_) {
      co_return fail(ErrorKind::exhausted, Limit{"memory_bytes", 2 * memory_bytes_},
                     "the item at position " + std::to_string(position) + " takes " +
                         std::to_string(need) + " bytes; attach with a memory_bytes of twice that");
    }
    SEMPER_CO_TRY_STATUS(not_cancelled(co_await asio::this_coro::cancellation_state));
    start_ = end_ = 0;
    if (buffer_.size() < whole) {
      buffer_ = AlignedBuffer(static_cast<std::size_t>(round_up(whole, AlignedBuffer::kAlignment)));
    }
    const auto into = buffer_.span().first(static_cast<std::size_t>(size));
    SEMPER_CO_TRY_STATUS(co_await format_->io().read(start, into));
    if (whole > size) {  // the lap's first unit again
      std::copy_n(into.begin(), whole - size, buffer_.span().begin() + static_cast<long>(size));
    }
    start_ = start;
    end_ = std::min(start + whole, exposed);
  }
  co_return buffer_.view().substr(static_cast<std::size_t>(position - start_),
                                  static_cast<std::size_t>(end_ - position));
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
  if (position < start_ || position >= end_) return std::nullopt;
  const BytesView bytes = buffer_.view().substr(static_cast<std::size_t>(position - start_),
                                                static_cast<std::size_t>(end_ - position));
  const Parsed parsed = format_->parse(bytes, position, exposed);
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
