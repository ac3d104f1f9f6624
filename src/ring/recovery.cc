#include "ring/recovery.h"

#include <algorithm>

#include "semper/base/crc32c.h"
#include "semper/base/internal/mutant.h"
#include "semper/env/cancellation.h"

namespace semper::ring::internal {
namespace {
constexpr std::uint64_t kWindowBytes = std::uint64_t{128} << 10;
}

Recovery::Recovery(StreamIo& io, std::uint32_t identity_crc, const Pointer& producer,
                   const Pointer& consumer)
    : io_(io),
      identity_crc_(identity_crc),
      producer_(producer),
      // What the consumer removed may be overwritten already.
      start_(std::max({producer.position, consumer.position, consumer.known})),
      limit_(round_down(consumer.position, kBlockBytes) + io.geometry().capacity),
      mid_batch_(consumer.position > producer.position && consumer.position == start_),
      buffer_(static_cast<std::size_t>(std::min(kWindowBytes, io.geometry().capacity))) {}

Async<Recovered> Recovery::run() {
  recovered_.exposed = start_;
  recovered_.scanned = true;
  recovered_.pushed_epoch = producer_.epoch;
  recovered_.last_write = start_;
  SEMPER_CO_TRY_STATUS(co_await scan(producer_.epoch, true));
  if (recovered_.pushed.empty() && recovered_.exposed == producer_.position &&
      producer_.pending_epoch != 0) {
    recovered_.pushed_epoch = producer_.pending_epoch;
    SEMPER_CO_TRY_STATUS(co_await scan(producer_.pending_epoch, false));
  }
  // The consumer is inside a batch whose rest cannot be read: that is damage, not the end.
  recovered_.exposed = round_up(recovered_.exposed, kBlockBytes);
  co_return recovered_;
}

Async<Recovered> Recovery::run_tail() {
  looks_ahead_ = false;
  recovered_.exposed = start_;
  recovered_.scanned = true;
  recovered_.pushed_epoch = producer_.epoch;
  SEMPER_CO_TRY_STATUS(co_await scan(producer_.epoch, true));
  co_return recovered_;
}

Async<void> Recovery::scan(std::uint32_t epoch, bool published_too) {
  std::uint64_t position = recovered_.exposed;
  bool inside = false;
  bool either = mid_batch_;  // the consumer may stand in the middle of a batch
  bool published = false;
  while (position < limit_) {
    SEMPER_CO_TRY(const Parsed record, co_await verify(position));
    const bool begins = (record.flags & kBatchBegin) != 0;
    const bool fits = record.kind == Parsed::Kind::item && record.epoch == epoch &&
                      (either || begins != inside) &&
                      (published_too || (record.flags & kPublished) == 0);
    if (!fits) {
      if (!published_too || !looks_ahead_) break;
      SEMPER_CO_TRY(const auto next, co_await look_ahead(position, epoch));
      if (!next) break;
      position = *next;
      inside = either = published = false;
      continue;
    }
    either = false;
    published = published || (record.flags & kPublished) != 0;
    position = record.after;
    inside = (record.flags & kBatchEnd) == 0 && !SEMPER_MUTANT("ring_half_a_batch_exposed");
    if (inside) continue;
    recovered_.last_write = record.group_start;
    if (published) {
      recovered_.exposed = position;
      recovered_.pushed.clear();
    } else {
      recovered_.pushed.push_back(position);
    }
    published = false;
  }
  co_return Result<void>();
}

Async<BytesView> Recovery::window(std::uint64_t position, std::size_t wanted) {
  const std::uint64_t until = std::min(limit_, position + wanted);
  if (position < buffer_start_ || until > buffer_end_) {
    SEMPER_CO_TRY_STATUS(not_cancelled(co_await asio::this_coro::cancellation_state));
    buffer_start_ = round_down(position, kBlockBytes);
    buffer_end_ = std::min(limit_, buffer_start_ + buffer_.size());
    const auto into = buffer_.span().first(static_cast<std::size_t>(buffer_end_ - buffer_start_));
    const auto read = co_await io_.read(buffer_start_, into);
    if (!read) {
      buffer_end_ = buffer_start_ = 0;
      co_return fail(read.error());
    }
  }
  co_return buffer_.view().substr(static_cast<std::size_t>(position - buffer_start_),
                                  static_cast<std::size_t>(buffer_end_ - position));
}

Async<Parsed> Recovery::verify(std::uint64_t position) {
  SEMPER_CO_TRY(const BytesView head, co_await window(position, kRecordHeaderBytes));
  std::uint64_t length = 0;
  std::uint32_t expected = 0;
  Parsed record = parse_record_header(head, position, limit_, identity_crc_, length, expected);
  if (record.kind != Parsed::Kind::item) co_return record;
  std::uint32_t crc = 0;
  std::uint64_t at = position + kRecordHeaderBytes;
  for (std::uint64_t left = length; left > 0;) {
    SEMPER_CO_TRY(const BytesView bytes, co_await window(at, 1));
    const auto piece = static_cast<std::size_t>(std::min<std::uint64_t>(left, bytes.size()));
    crc = crc32c(bytes.substr(0, piece), crc);
    at += piece;
    left -= piece;
  }
  if (crc != expected && !SEMPER_MUTANT("ring_torn_items_recovered")) {
    record.kind = Parsed::Kind::damaged;
  }
  co_return record;
}

void Recovery::look_for_later_times(std::uint64_t at, BytesView head) {
  const auto seen = see_record_header(head, identity_crc_);
  if (!seen || !recovered_.stale.empty()) return;
  if (SEMPER_MUTANT("ring_positions_that_were_put_back_believed")) return;
  const std::uint64_t capacity = io_.geometry().capacity;
  if (seen->position < at || seen->position % capacity != at % capacity) return;
  if (seen->position == at && seen->epoch <= producer_.epoch) return;
  recovered_.stale = "the record at byte " + std::to_string(io_.place(at)) + " (position " +
                     std::to_string(seen->position) + ", epoch " + std::to_string(seen->epoch) +
                     ") is younger than the stored positions (producer " +
                     std::to_string(producer_.position) + ", epoch " +
                     std::to_string(producer_.epoch) +
                     "): these were put back to an earlier state, or writes to them were lost";
}

Async<std::optional<std::uint64_t>> Recovery::look_ahead(std::uint64_t position,
                                                         std::uint32_t epoch) {
  // The next write begins within that distance, or the pointer says that more was written.
  const std::uint64_t until =
      std::min(limit_, std::max(position, producer_.known) + kPointerLagBytes);
  std::optional<std::uint64_t> first;
  if (position % kBlockBytes == 0 && position < limit_) {
    SEMPER_CO_TRY(const BytesView head, co_await window(position, kRecordHeaderBytes));
    look_for_later_times(position, head);
  }
  for (std::uint64_t at = round_down(position, kBlockBytes) + kBlockBytes;
       at < until && !(first && later_write_start_ > position); at += kBlockBytes) {
    SEMPER_CO_TRY(const BytesView head, co_await window(at, kRecordHeaderBytes));
    look_for_later_times(at, head);
    std::uint64_t length = 0;
    std::uint32_t payload_crc = 0;
    const Parsed record = parse_record_header(head, at, limit_, identity_crc_, length, payload_crc);
    if (record.kind != Parsed::Kind::item || record.epoch != epoch ||
        (record.flags & kBatchBegin) == 0) {
      continue;
    }
    if (!first) first = at;
    later_write_start_ = std::max(later_write_start_, record.group_start);
  }
  if (later_write_start_ <= position) first.reset();
  if (SEMPER_MUTANT("ring_damage_taken_for_the_end")) first.reset();
  co_return first;
}

}  // namespace semper::ring::internal
