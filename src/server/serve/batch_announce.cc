// The part of a Batch that looks before it runs: at what may end this process.
#include <algorithm>
#include <climits>
#include <utility>

#include "semper/base/internal/mutant.h"
#include "server/format/lease.h"
#include "server/serve/batch.h"

namespace semper::internal {
namespace {

// Between two looks whether a message may be run alone; priority messages come meanwhile.
constexpr Duration kAlonePause = std::chrono::milliseconds(2);
constexpr int kAloneLooks = kAlonePatience / kAlonePause;

Error ended_its_process(std::uint64_t runs) {
  return Error(ErrorKind::internal,
               "the processes that ran it ended before it was done, in " + std::to_string(runs) +
                   " runs in a row; what it does (memory, stack, abort) is in their logs")
      .in("after " + std::to_string(runs) + " attempts");
}

// Nothing: it has ended, or it is not said which one it is.
Async<std::optional<AliveRecord>> living_host(Transaction& transaction, const Tenant& tenant,
                                              const Bytes& host) {
  if (host.empty() || SEMPER_MUTANT("server_announcer_taken_for_ended")) co_return std::nullopt;
  SEMPER_CO_TRY(const auto row,
                co_await transaction.get(host_key(tenant.prefix(), host), ReadMode::snapshot));
  if (!row) co_return std::nullopt;
  // One that cannot be read is there all the same; how long to wait for it is not said.
  co_return decode_alive(*row).value_or(AliveRecord());
}

}  // namespace

void Batch::give_up(const Announcement& found, const QueuePlace& head, std::uint64_t number) {
  FailedRun run;
  if (const QueuedMessage* const first = first_message()) {
    run.message = first->content.name;
    run.event = first->event;
  }
  run.attempt = found.runs;
  run.of = served_.message_attempts();
  run.next = FailedRun::Next::dead_letter;
  served_.failed(target_->id, run, ended_its_process(found.runs));
  desk_.announced = found;
  desk_.announced_of = number;
  burial_ = Burial{head, ended_its_process(found.runs), found.runs, 0, Burial::Tell::no};
  limit_ = 1;
}

Async<Batch::MayRun> Batch::announce() {
  if (SEMPER_MUTANT("server_attempts_in_memory")) co_return MayRun::yes;
  if (!served_.consumes() || entity_.segments().empty()) co_return MayRun::yes;
  SEMPER_CO_TRY(const auto segment, EntityKeys::stamp_in(entity_.segments().front().key));
  if (!core_.suspicion.covers(segment.version(), entity_.as_of())) co_return MayRun::yes;
  const std::uint64_t number = core_.suspicion.number();
  if (desk_.cleared_of == number) co_return MayRun::yes;
  if (begins_with_unknown()) co_return MayRun::yes;  // it is not run
  const auto& header = entity_.header();
  const QueuePlace head{segment, header.head_offset};
  if (burial_ && burial_->place == head) co_return MayRun::yes;
  if (desk_.announced) {
    const auto& known = *desk_.announced;
    const bool holds = known.alone ? known.place == head
                                   : header.popped >= known.popped && header.popped < known.until;
    if (holds && known.alone) limit_ = 1;
    if (holds) co_return MayRun::yes;
  }
  const auto& keys = target_->keys;
  Transaction transaction = core_.store().begin();
  SEMPER_CO_TRY(const auto present, co_await transaction.get(keys.header()));
  SEMPER_CO_TRY(const auto order, co_await transaction.get(keys.order()));
  SEMPER_CO_TRY(const auto raw, co_await transaction.get(keys.announcement()));
  std::optional<Announcement> found;
  if (raw) {
    // One that cannot be read is as none: it only says what to be careful with.
    if (auto decoded = Announcement::decode(*raw)) found = std::move(*decoded);
  }
  std::optional<AliveRecord> announcer;
  if (found && found->concerns(header.popped)) {
    SEMPER_CO_TRY(announcer, co_await living_host(transaction, target_->tenant, found->host));
  }
  must_load_ = true;
  // Those to reset and to unlock do not matter here: they begin with the load.
  if (order && !entity_.is_ordered()) co_return MayRun::overtaken;
  if (present.value_or(Bytes()) != entity_.header_raw()) co_return MayRun::overtaken;
  if (announcer && found->host != core_.id && waits_for_announcer(head, *announcer)) {
    co_return MayRun::not_now;
  }
  const std::uint64_t batch =
      std::min<std::uint64_t>(core_.options.batch_messages, entity_.queue_length());
  const auto fate = announcer ? Announcer::lives : Announcer::ended;
  auto next = announcement_for(found, fate, head, header.popped, batch, served_.message_attempts());
  if (!next) {
    give_up(*found, head, number);
    co_return MayRun::yes;
  }
  if (next->alone && !is_alone_) {
    co_return co_await wait_to_run_alone(head);
  }
  next->host = core_.id;
  transaction.set(keys.announcement(), next->encode());
  const auto committed = co_await transaction.commit();
  if (!committed && committed.error().kind() == ErrorKind::conflict) {
    co_return MayRun::overtaken;
  }
  if (!committed) co_return fail(committed.error());
  if (next->alone) limit_ = 1;
  desk_.announced = std::move(next);
  desk_.announced_of = number;
  co_return MayRun::yes;
}

// When it may, what is known of it may have changed.
Async<Batch::MayRun> Batch::wait_to_run_alone(const QueuePlace& head) {
  const int most = SEMPER_MUTANT("server_alone_wait_without_a_bound") ? INT_MAX : kAloneLooks;
  for (int looks = 0; looks < most; ++looks) {
    if (auto permit = core_.lone_runs->try_acquire()) {
      is_alone_ = true;
      turn_.keep(std::move(permit));
      co_return MayRun::again;
    }
    if (!turn_.lasts()) {  // whoever runs the entity now does them
      outcome_.undone = std::exchange(operations_, {});
      co_return MayRun::not_now;
    }
    if (core_.stopping.stop_requested()) co_return fail(ErrorKind::closed, "the host is stopping");
    SEMPER_CO_TRY_STATUS(co_await turn_.pause(kAlonePause));
  }
  served_.left_alone().leave(target_->id.id, head, core_.clock().now());
  reroute_all();
  queue_noticed_ = false;
  co_return MayRun::not_now;
}

// It is left alone, by one whose permit others need, and looked at again (left_alone.h).
bool Batch::waits_for_announcer(const QueuePlace& head, const AliveRecord& announcer) {
  const Duration lease = lease_from_row(announcer.lease_ms).value_or(HostOptions().host_lease);
  const auto left = served_.left_alone().leave(target_->id.id, head, core_.clock().now());
  if (left.waited >= kAnnouncerLeases * lease) return false;
  reroute_all();
  queue_noticed_ = false;
  return true;
}

Async<void> withdraw_announcement(const HostCore& core, const Target& target, Desk& desk) {
  const Bytes key = target.keys.announcement();
  const Bytes& own = core.id;
  const auto take_away = [&key, &own](Transaction& transaction) -> Async<void> {
    SEMPER_CO_TRY(const auto row, co_await transaction.get(key));
    if (!row) co_return Status{};
    const auto announced = Announcement::decode(*row);
    if (announced && announced->host == own) transaction.clear(key);
    co_return Status{};
  };
  // Once: where it fails, the host's row says that it has not ended, or that it has.
  desk.announced.reset();
  co_return co_await core.store().transact(take_away);
}

}  // namespace semper::internal
