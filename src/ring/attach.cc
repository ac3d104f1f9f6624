#include "ring/attach.h"

#include <algorithm>
#include <utility>

#include "ring/holder.h"
#include "semper/base/internal/mutant.h"
#include "semper/base/log.h"
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

// A round of mirage-1.0 has whole sectors, of which the first and the last may be others' in part.
Status check_memory(const FormatOnDevice& format, const AttachOptions& options) {
  const bool is_small = format.geometry().capacity <= options.memory_bytes / 4;
  if (format.id() != Format::mirage_1_0 || is_small) return {};
  const std::size_t least = std::size_t{16} * format.sector_size();
  if (options.memory_bytes >= least || SEMPER_MUTANT("ring_large_sectors_in_small_memory")) {
    return {};
  }
  return fail(ErrorKind::invalid_argument, "memory_bytes is less than " + std::to_string(least) +
                                               ", 16 sectors of this ring; give more");
}

// Words about another ring (the device was created anew) say nothing about this one.
void adopt_words(DeviceCompanion& companion, const FormatOnDevice& format) {
  auto& identity = companion.word(kIdentityWord);
  if (identity.load() == format.identity_word()) return;
  for (const std::size_t index : {kExposedWord, kConsumedWord, kEpochWord, kEpochStartWord}) {
    companion.word(index).store(0);
  }
  identity.store(format.identity_word());
}

// What a side that lives no longer has said is void: the disk says more, of another ring perhaps.
std::unique_ptr<DeviceCompanion::Role> stand_in(Attachment& attachment) {
  if (attachment.companion == nullptr) return nullptr;
  const bool producer_side = attachment.side == Side::producer;
  const Side other = producer_side ? Side::consumer : Side::producer;
  auto role = attachment.companion->take(static_cast<std::size_t>(other));
  if (!role) return nullptr;
  attachment.companion->word(producer_side ? kConsumedWord : kExposedWord).store(0);
  attachment.companion->word(kUnflushedWord).fetch_and(~attachment.unflushed_mark(other));
  return std::move(*role);
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

// Two machines that attach at once both see a free ring. The later word counts, once nobody who
// read before it can still write: then it is looked who that was. A process that was stopped for
// longer between its reading and its writing finds out afterwards.
constexpr Duration kClaimGrace = std::chrono::seconds(1);

Async<void> check_claim(const Attachment& attachment) {
  SEMPER_CO_TRY(const Pointer stored, co_await attachment.format->read_pointer(attachment.side));
  if (stored.claim == attachment.own.claim) co_return Result<void>();
  co_return fail(ErrorKind::conflict, std::string(attachment.format->device().name()) +
                                          ": another " + std::string(to_string(attachment.side)) +
                                          ", \"" + to_printable(stored.client) +
                                          "\" on machine \"" + to_printable(stored.machine) +
                                          "\", attached at the same time");
}

Async<void> claim_side(Attachment& attachment) {
  const Flush flush = attachment.options.flush;
  SEMPER_CO_TRY_STATUS(co_await attachment.format->claim(attachment.own, flush));
  const bool shared = attachment.format->id() == Format::semper_1 &&
                      (attachment.companion == nullptr || !attachment.options.machine.empty());
  if (shared) {
    SEMPER_CO_TRY_STATUS(co_await sleep_for(attachment.clock(), kClaimGrace));
    SEMPER_CO_TRY_STATUS(co_await check_claim(attachment));
  }
  SEMPER_CO_TRY_STATUS(co_await attachment.format->confirm(attachment.own, flush));
  if (shared) co_return co_await check_claim(attachment);
  co_return Result<void>();
}

// The kernel goes on with what a killed process had handed to it (io_uring) and keeps its role
// until that is done. Rightly so, for those writes must not meet ours; it takes milliseconds.
constexpr Duration kRoleGrace = std::chrono::milliseconds(250);

// What the ring says of who has that side; empty: nothing, or it cannot be read.
Async<std::string> holder_named(const Attachment& attachment) {
  const auto stored = co_await attachment.format->read_pointer(attachment.side);
  if (!stored || !stored->attached || stored->process.pid == 0) co_return "";
  std::string text = ", process " + std::to_string(stored->process.pid);
  if (!stored->client.empty()) text += " (\"" + to_printable(stored->client) + "\")";
  co_return text;
}

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
    const bool produces = attachment.side == Side::producer;
    if (produces && SEMPER_MUTANT("ring_second_producer_let_in")) co_return Result<void>();
    if (!produces && SEMPER_MUTANT("ring_second_consumer_let_in")) co_return Result<void>();
    if (clock.now() >= deadline) break;
    SEMPER_CO_TRY_STATUS(not_cancelled(co_await asio::this_coro::cancellation_state));
    SEMPER_CO_TRY_STATUS(co_await sleep_for(clock, backoff.next()));
  }
  SEMPER_CO_TRY(const std::string who, co_await holder_named(attachment));
  co_return fail(ErrorKind::conflict, std::string(attachment.format->device().name()) +
                                          ": another " + std::string(to_string(attachment.side)) +
                                          " on this machine is attached" + who +
                                          "; wait until it detaches or ends");
}

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

// Whoever wrote records had brought all copies of its pointer up to date before.
void warn_of_old_copies(const FormatOnDevice& format, const Pointer& producer,
                        const Recovered& recovered) {
  if (!producer.is_alone) return;
  const bool has_pushed = !recovered.pushed.empty() && recovered.pushed_epoch == producer.epoch;
  if (recovered.exposed == producer.position && !has_pushed) return;
  log_warning("ring",
              std::string(format.device().name()) +
                  ": all copies of the producer's position but one are older than the items: "
                  "they were put back to an earlier state or not written; that one counts");
}

// Of what a pointer says to be known.
constexpr std::uint64_t kKnownUnit = 4096;

}  // namespace

Async<Attachment> attach_side(BlockDevice& device, AttachOptions options, Side side) {
  Attachment attachment;
  attachment.side = side;
  SEMPER_CO_TRY_STATUS(check_options(device, options));
  SEMPER_CO_TRY(attachment.format, co_await open_format(device, options.sector_size));
  SEMPER_CO_TRY_STATUS(check_memory(*attachment.format, options));
  SEMPER_CO_TRY_STATUS(not_cancelled(co_await asio::this_coro::cancellation_state));
  attachment.companion = device.companion();
  attachment.options = std::move(options);
  const auto& format = attachment.format;
  SEMPER_CO_TRY_STATUS(co_await take_role(attachment));
  if (attachment.companion != nullptr) adopt_words(*attachment.companion, *format);
  attachment.own_memory = memory_number(attachment.companion, *attachment.options.env.random);
  attachment.flags_seen = attachment.word(kConsumerFlagsWord);
  attachment.mark_unflushed();
  auto other_role = stand_in(attachment);

  const bool producer_side = side == Side::producer;
  const bool nobody_produces = producer_side || other_role != nullptr;
  const bool flushes = attachment.options.flush == Flush::always;
  SEMPER_CO_TRY(attachment.own, co_await format->read_pointer(side));
  SEMPER_CO_TRY_STATUS(check_not_attached(attachment));
  const bool may_live = may_live_elsewhere(attachment);
  const bool settles = nobody_produces && flushes && !may_live;
  // Held no longer than it has to keep others away: the other side, which may come at this moment,
  // waits for its role a quarter of a second.
  const bool lets_go = !SEMPER_MUTANT("ring_other_role_held_while_attaching");
  if (lets_go && !settles) other_role.reset();
  if (may_live) {
    SEMPER_CO_TRY(Standing before, co_await read_standing(*format));
    attachment.recovered = std::move(before.recovered);
    SEMPER_CO_TRY_STATUS(co_await watch_holder(attachment));
  }
  SEMPER_CO_TRY_STATUS(not_cancelled(co_await asio::this_coro::cancellation_state));
  if (settles) SEMPER_CO_TRY_STATUS(co_await format->finish_settling());
  if (lets_go && producer_side) other_role.reset();
  SEMPER_CO_TRY(Standing standing, co_await read_standing(*format));
  Recovered& recovered = standing.recovered;
  Pointer& consumer = standing.consumer;
  Pointer& producer = standing.producer;
  SEMPER_CO_TRY_STATUS(check_positions(*format, consumer.position, recovered.exposed));
  warn_of_old_copies(*format, producer, recovered);
  const Pointer producer_before = producer;
  // What was read may be in a cache only; nothing may be built on it before it is durable.
  if (flushes && is_unused(producer, consumer)) {
    SEMPER_CO_TRY_STATUS(co_await confirm_mark(*format, Confirm::one_copy));
  }
  SEMPER_CO_TRY_STATUS(not_cancelled(co_await asio::this_coro::cancellation_state));
  if (settles) {
    SEMPER_CO_TRY_STATUS(co_await format->settle(producer_side ? producer : consumer, standing));
  } else if (flushes) {
    SEMPER_CO_TRY_STATUS(co_await format->device().flush());
  }
  if (lets_go) other_role.reset();
  // A producer that lives says what is durable; the disk may show more, or a flush failed on it.
  const auto told = producer_side ? std::nullopt : attachment.shared_position(kExposedWord);
  if (!nobody_produces && told && *told < recovered.exposed) {
    recovered.exposed = std::max({*told, consumer.position, consumer.known});
  }

  attachment.recovered = recovered;
  Pointer& own = attachment.own;
  own = producer_side ? producer : consumer;
  attachment.other = producer_side ? consumer : producer;
  own.queue = attachment.options.queue;
  own.client = attachment.options.client;
  own.machine = attachment.options.machine;
  own.memory = attachment.own_memory;
  own.process = this_process();
  own.claim = static_cast<std::uint32_t>(attachment.options.env.random->next() >> 36) | 1;
  if (producer_side) {
    own.position = recovered.exposed;
    if (SEMPER_MUTANT("ring_unexposed_items_of_the_dead_exposed") && !recovered.pushed.empty()) {
      own.position = recovered.pushed.back();
    }
    own.pending_epoch = recovered.pushed.empty() ? 0 : recovered.pushed_epoch;
    // What an earlier producer pushed can still be exposed.
    own.epoch_start = recovered.pushed.empty() ? recovered.exposed : recovered.pushed.back();
    if (flushes) own.consumed = consumer.position;
  }
  // In mirage-1.0 a claim says nothing new, and the producer answers when it pushes.
  const bool acknowledges =
      producer_side && own.flag != consumer.flag && format->id() == Format::semper_1;
  if (acknowledges) own.flag = consumer.flag;  // a pause that was asked for meanwhile
  if (flushes) own.known = std::max(own.known, round_down(recovered.exposed, kKnownUnit));
  SEMPER_CO_TRY_STATUS(not_cancelled(co_await asio::this_coro::cancellation_state));
  SEMPER_CO_TRY_STATUS(co_await claim_side(attachment));
  if (may_live) {
    // Who had looked at its pointer just before that may write for so long.
    SEMPER_CO_TRY_STATUS(co_await sleep_for(attachment.clock(), kClaimPause));
    SEMPER_CO_TRY_STATUS(co_await attachment.check_owner());
    if (producer_side) SEMPER_CO_TRY_STATUS(co_await keep_late_items(attachment, producer_before));
  }
  attachment.note_other(attachment.other);
  attachment.live = LiveMark(attachment.own_memory, side);
  attachment.next_owner_check = attachment.clock().after(kOwnerCheck);
  if (acknowledges) attachment.count(kProducerFlagsWord);
  if (producer_side) attachment.share_epoch();
  co_return std::move(attachment);
}

}  // namespace semper::ring::internal
