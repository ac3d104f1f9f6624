#include "ring/attachment.h"

#include <algorithm>

#include "semper/base/internal/mutant.h"
#include "semper/env/cancellation.h"

namespace semper::ring::internal {

void Attachment::share_epoch() const {
  if (companion == nullptr) return;
  companion->word(kEpochWord).store(own.epoch);
  share_position(kEpochStartWord, own.epoch_start);
}

EpochStart Attachment::epoch_start() const {
  EpochStart start = start_of(other);
  const auto told = shared_position(kEpochStartWord);
  const std::uint64_t epoch = word(kEpochWord);
  if (told && epoch >= start.epoch) start = {*told, static_cast<std::uint32_t>(epoch)};
  return start;
}

std::uint64_t Attachment::unflushed_mark(Side of) noexcept {
  return of == Side::producer ? 1 : 2;
}

void Attachment::mark_unflushed() const {
  if (companion == nullptr) return;
  auto& marks = companion->word(kUnflushedWord);
  if (options.flush == Flush::never) {
    marks.fetch_or(unflushed_mark(side));
  } else {
    marks.fetch_and(~unflushed_mark(side));
  }
}

bool Attachment::must_flush_for_other() const {
  const Side other_side = side == Side::producer ? Side::consumer : Side::producer;
  if (SEMPER_MUTANT("ring_word_of_a_careless_neighbour_believed")) return false;
  return options.flush == Flush::always && (word(kUnflushedWord) & unflushed_mark(other_side)) != 0;
}

std::optional<std::uint64_t> Attachment::shared_position(std::size_t index) const {
  const std::uint64_t value = word(index);
  if (value == 0) return std::nullopt;
  return value - 1;
}

void Attachment::share_position(std::size_t index, std::uint64_t position) const {
  if (companion == nullptr) return;
  companion->word(index).store(position + 1);
  companion->notify(index);
}

void Attachment::count(std::size_t index) const {
  if (companion == nullptr) return;
  companion->word(index).fetch_add(1);
  companion->notify(index);
}

std::uint64_t Attachment::word(std::size_t index) const {
  return companion == nullptr ? 0 : companion->word(index).load();
}

Async<void> Attachment::wait(std::size_t index, std::uint64_t seen, Backoff& backoff,
                             MonotonicTime deadline) const {
  SEMPER_CO_TRY_STATUS(not_cancelled(co_await asio::this_coro::cancellation_state));
  Clock& time = clock();
  if (companion == nullptr) {
    SEMPER_CO_TRY_STATUS(
        co_await sleep_until(time, std::min(deadline, time.after(backoff.next()))));
    co_return format->device().check_place();
  }
  const Duration look = other_is_elsewhere.is_set() ? backoff.next() : kCompanionPoll;
  const auto waited =
      co_await companion->wait(index, seen, time, std::min(deadline, time.after(look)));
  if (waited) co_return Result<void>();
  if (waited.error().kind() != ErrorKind::timeout) co_return fail(waited.error());
  // Whoever comes by the device's name now may be at another one.
  co_return format->device().check_place();
}

bool Attachment::shares_memory_with(const Pointer& side_there) const {
  return companion != nullptr && side_there.memory != 0 && side_there.memory == own_memory;
}

void Attachment::note_other(const Pointer& there) {
  other_shares_memory.set(shares_memory_with(there));
  other_is_elsewhere.set(there.attached && !shares_memory_with(there));
}

bool Attachment::is_owner_known() const {
  const MonotonicTime now = clock().now();
  return companion != nullptr && now < next_owner_check && now < next_place_check;
}

Async<void> Attachment::check_owner() {
  // Who is busy never waits, and would go on for ever with a file that is out of everybody's sight.
  if (clock().now() >= next_place_check && !SEMPER_MUTANT("ring_place_of_the_busy_not_checked")) {
    SEMPER_CO_TRY_STATUS(format->device().check_place());
    next_place_check = clock().after(kOwnerCheck);
  }
  if (format->id() != Format::semper_1) co_return Result<void>();
  if (SEMPER_MUTANT("ring_owner_not_checked")) co_return Result<void>();
  if (companion != nullptr && clock().now() < next_owner_check) co_return Result<void>();
  SEMPER_CO_TRY(const Pointer stored, co_await format->read_pointer(side));
  next_owner_check = clock().after(kOwnerCheck);
  const bool is_ours = stored.epoch == own.epoch && stored.memory == own.memory &&
                       stored.process == own.process && stored.claim == own.claim;
  if (is_ours) co_return Result<void>();
  co_return fail(ErrorKind::conflict, std::string(format->device().name()) + ": another " +
                                          std::string(to_string(side)) + ", \"" +
                                          to_printable(stored.client) + "\", took over");
}

}  // namespace semper::ring::internal
