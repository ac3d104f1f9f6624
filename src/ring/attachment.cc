#include "ring/attachment.h"

#include <algorithm>
#include <utility>

#include "semper/env/cancellation.h"

namespace semper::ring::internal {
namespace {

Status check_options(const BlockDevice& device, const AttachOptions& options) {
  if (options.memory_bytes < kMinMemoryBytes) {
    return fail(ErrorKind::invalid_argument,
                "memory_bytes is less than " + std::to_string(kMinMemoryBytes));
  }
  if (device.is_read_only()) {
    return fail(ErrorKind::permission,
                std::string(device.name()) + " is open for reading only; a side writes to it");
  }
  return {};
}

// Words about another ring (the device was created anew) say nothing about this one.
void adopt_words(DeviceCompanion& companion, const FormatOnDevice& format) {
  auto& identity = companion.word(kIdentityWord);
  if (identity.load() == format.identity_word()) return;
  for (const std::size_t index : {kExposedWord, kConsumedWord}) companion.word(index).store(0);
  identity.store(format.identity_word());
}

Status check_not_attached(const Attachment& attachment) {
  const Pointer& own = attachment.own;
  const bool here = attachment.companion != nullptr && own.machine == attachment.options.machine;
  if (!own.attached || here || attachment.options.take_over == TakeOver::yes) return {};
  return fail(ErrorKind::conflict,
              std::string(attachment.format->device().name()) + ": the ring has a " +
                  std::string(to_string(attachment.side)) + ", \"" + to_printable(own.client) +
                  "\" on machine \"" + to_printable(own.machine) +
                  "\"; where it is known to be dead, attach with TakeOver::yes");
}

// The kernel goes on with what a killed process had handed to it (io_uring) and keeps its role until
// that is done. Rightly so, for those writes must not meet ours; it takes milliseconds.
constexpr Duration kRoleGrace = std::chrono::milliseconds(250);

Async<void> take_role(Attachment& attachment) {
  if (attachment.companion == nullptr) co_return Result<void>();
  Clock& clock = attachment.clock();
  const MonotonicTime deadline = clock.after(kRoleGrace);
  Backoff backoff({.initial = std::chrono::milliseconds(2), .maximum = kRoleGrace / 4},
                  *attachment.options.env.random);
  for (;;) {
    auto role = attachment.companion->take(static_cast<std::size_t>(attachment.side));
    if (role) {
      attachment.role = std::move(*role);
      co_return Result<void>();
    }
    if (role.error().kind() != ErrorKind::conflict) co_return fail(role.error());
    if (clock.now() >= deadline) break;
    SEMPER_CO_TRY_STATUS(not_cancelled(co_await asio::this_coro::cancellation_state));
    SEMPER_CO_TRY_STATUS(co_await sleep_for(clock, backoff.next()));
  }
  co_return fail(ErrorKind::conflict,
                 std::string(attachment.format->device().name()) + ": another " +
                     std::string(to_string(attachment.side)) +
                     " on this machine is attached; wait until it detaches or ends");
}

}  // namespace

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
    co_return co_await sleep_until(time, std::min(deadline, time.after(backoff.next())));
  }
  const Duration look = other_is_elsewhere.is_set() ? backoff.next() : kCompanionPoll;
  const auto waited =
      co_await companion->wait(index, seen, time, std::min(deadline, time.after(look)));
  if (!waited && waited.error().kind() != ErrorKind::timeout) co_return fail(waited.error());
  co_return Result<void>();
}

bool Attachment::shares_memory_with(const Pointer& side_there) const {
  return companion != nullptr && side_there.memory != 0 && side_there.memory == own_memory;
}

void Attachment::note_other(const Pointer& there) {
  other_shares_memory.set(shares_memory_with(there));
  other_is_elsewhere.set(there.attached && !shares_memory_with(there));
}

Async<void> Attachment::check_owner() {
  if (format->id() != Format::semper_1) co_return Result<void>();
  if (companion != nullptr && clock().now() < next_owner_check) co_return Result<void>();
  SEMPER_CO_TRY(const Pointer stored, co_await format->read_pointer(side));
  next_owner_check = clock().after(kOwnerCheck);
  const bool is_ours =
      stored.epoch == own.epoch && stored.memory == own.memory && stored.process == own.process;
  if (is_ours) co_return Result<void>();
  co_return fail(ErrorKind::conflict, std::string(format->device().name()) + ": another " +
                                          std::string(to_string(side)) + ", \"" +
                                          to_printable(stored.client) + "\", took over");
}

namespace {

// What the former holder was told is there, between our look and our claim.
Async<void> keep_late_items(Attachment& attachment, const Pointer& before) {
  SEMPER_CO_TRY(const Pointer consumer, co_await attachment.format->read_pointer(Side::consumer));
  SEMPER_CO_TRY(Recovered late, co_await attachment.format->recover(before, consumer));
  if (late.exposed == attachment.recovered.exposed && late.pushed == attachment.recovered.pushed) {
    co_return Result<void>();
  }
  attachment.recovered = std::move(late);
  attachment.own.position = attachment.recovered.exposed;
  attachment.own.pending_epoch =
      attachment.recovered.pushed.empty() ? 0 : attachment.recovered.pushed_epoch;
  if (attachment.options.flush == Flush::always) {
    SEMPER_CO_TRY_STATUS(co_await attachment.format->device().flush());
  }
  co_return co_await attachment.format->write_pointer(attachment.own, attachment.options.flush);
}

}  // namespace

Async<Attachment> attach_side(BlockDevice& device, AttachOptions options, Side side) {
  Attachment attachment;
  attachment.side = side;
  SEMPER_CO_TRY_STATUS(check_options(device, options));
  SEMPER_CO_TRY(attachment.format, co_await open_format(device, options.sector_size));
  attachment.companion = device.companion();
  attachment.options = std::move(options);
  const auto& format = attachment.format;
  SEMPER_CO_TRY_STATUS(co_await take_role(attachment));
  if (attachment.companion != nullptr) adopt_words(*attachment.companion, *format);
  attachment.own_memory = memory_number(attachment.companion, *attachment.options.env.random);

  attachment.flags_seen = attachment.word(kConsumerFlagsWord);
  // The consumer's first: it never passes what it could see of the producer's.
  const bool producer_side = side == Side::producer;
  Pointer& consumer = producer_side ? attachment.other : attachment.own;
  Pointer& producer = producer_side ? attachment.own : attachment.other;
  SEMPER_CO_TRY(consumer, co_await format->read_pointer(Side::consumer));
  SEMPER_CO_TRY(producer, co_await format->read_pointer(Side::producer));
  SEMPER_CO_TRY_STATUS(check_not_attached(attachment));
  SEMPER_CO_TRY(attachment.recovered, co_await format->recover(producer, consumer));
  SEMPER_CO_TRY_STATUS(check_positions(*format, consumer.position, attachment.recovered.exposed));
  const bool may_live = may_live_elsewhere(attachment);
  if (may_live) SEMPER_CO_TRY_STATUS(co_await watch_holder(attachment));
  const Pointer producer_before = producer;
  // What was read may be in a cache only; nothing may be built on it before it is durable.
  if (attachment.options.flush == Flush::always) SEMPER_CO_TRY_STATUS(co_await device.flush());

  Pointer& own = attachment.own;
  own.queue = attachment.options.queue;
  own.client = attachment.options.client;
  own.machine = attachment.options.machine;
  own.memory = attachment.own_memory;
  own.process = this_process();
  if (producer_side) {
    own.position = attachment.recovered.exposed;
    own.pending_epoch = attachment.recovered.pushed.empty() ? 0 : attachment.recovered.pushed_epoch;
  }
  SEMPER_CO_TRY_STATUS(co_await format->claim(own, attachment.options.flush));
  if (may_live) {
    // Who had looked at its pointer just before that may write for so long.
    SEMPER_CO_TRY_STATUS(co_await sleep_for(attachment.clock(), kClaimPause));
    SEMPER_CO_TRY_STATUS(co_await attachment.check_owner());
    if (producer_side) SEMPER_CO_TRY_STATUS(co_await keep_late_items(attachment, producer_before));
  }
  attachment.note_other(attachment.other);
  attachment.live = LiveMark(attachment.own_memory, side);
  attachment.next_owner_check = attachment.clock().after(kOwnerCheck);
  co_return std::move(attachment);
}

}  // namespace semper::ring::internal
