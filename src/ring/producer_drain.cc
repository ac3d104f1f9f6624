// The drain: what has gathered goes to the disk, round by round.
#include <algorithm>
#include <utility>

#include "ring/blocks.h"
#include "ring/producer_core.h"
#include "semper/base/assert.h"
#include "semper/base/internal/mutant.h"

namespace semper::ring::internal {
namespace {

// So much of a round, or a share of a small buffer, goes to the device while more of it gathers:
// the device is busy then, and what it reads is still in a cache. So many parts at once.
constexpr std::uint64_t kPartBytes = std::uint64_t{256} << 10;
constexpr std::uint64_t kPartShare = 8;
constexpr std::size_t kMaxParts = 4;
// The first one of a round goes when there is half as much again behind it, of several calls: less,
// or what one call brings, is better off in one trip with its flush.
constexpr std::size_t kCallsToBegin = 2;
// The rest of the round follows when no more of them are under way.
constexpr std::size_t kPartsBesideTheRest = 1;

}  // namespace

// Begins the drain when it is run, and also when it is destroyed with the loop that it waited on.
struct ProducerCore::Kick {
  explicit Kick(std::shared_ptr<ProducerCore> owner) : core(std::move(owner)) {}
  Kick(const Kick&) = delete;
  Kick& operator=(const Kick&) = delete;
  ~Kick() { core->run_drain(); }

  std::shared_ptr<ProducerCore> core;
};

void ProducerCore::start_drain(const Executor& executor) {
  if (drain_runs_) return;
  const void* const context =
      &asio::query(executor, asio::execution::context_as<asio::execution_context&>);
  // A kick on another loop may wait for ever.
  if (draining_ && kicked_context_ == context) return;
  draining_ = true;
  kicked_context_ = context;
  // Posted: who is ready to run now puts its items into the same round.
  asio::post(executor, [kick = std::make_shared<Kick>(shared_from_this())] {});
}

void ProducerCore::run_drain() {
  {
    std::lock_guard lock(mutex_);
    if (drain_runs_ || !draining_) return;
    drain_runs_ = true;
  }
  drain_executor_.start([core = shared_from_this()] { return core->drain(); });
}

Task<void> ProducerCore::drain() {
  while (auto round = next_round()) {
    if (SEMPER_MUTANT("ring_acknowledged_before_it_is_written")) {
      for (Waiter& waiter : round->waiters) {
        waiter.done.set(Outcome{round->group.batch_ends[waiter.batch], std::nullopt});
      }
    }
    // A device that throws must not end the drain: everybody waits for it.
    const std::function<Async<void>()> work = [this, &round] { return perform(*round); };
    Status status;
    if (SEMPER_MUTANT("ring_drain_ends_with_what_a_device_throws")) {
      status = co_await work();
    } else {
      status = co_await contained<void>(work);
    }
    // Whatever became of the rest: nothing is under way when a round ends.
    if (round->has_parts) {
      const Status parts = co_await finish_parts();
      if (status) status = parts;
    }
    if (SEMPER_MUTANT("ring_error_of_a_write_swallowed")) status = Status();
    finish(*round, status);
  }
}

std::optional<ProducerCore::Round> ProducerCore::next_round() {
  write_parts();
  std::vector<std::pair<OneShot<bool>, bool>> sealed;
  Round round;
  {
    std::lock_guard lock(mutex_);
    if (gathering_.is_empty() || dead_) {
      draining_ = drain_runs_ = false;
      return std::nullopt;
    }
    if (parts_under_way_ > kPartsBesideTheRest) {
      drain_runs_ = false;
      drain_waits_for_parts_ = true;
      return std::nullopt;
    }
    check();
    round = std::exchange(gathering_, Round());
    if (!round.waiters.empty()) round.group = encoder_->seal();
    round.has_parts = std::exchange(has_parts_, false);
    round_under_way_ = true;
    ++rounds_;
    sealed.swap(sealed_);
  }
  OneShot<bool>::set_all(std::move(sealed));
  return round;
}

Async<void> ProducerCore::perform(Round& round) {
  std::uint64_t published = 0;
  for (const Waiter& waiter : round.waiters) {
    if (waiter.exposure == Exposure::publish) published = round.group.batch_ends[waiter.batch];
  }
  SEMPER_CO_TRY_STATUS(co_await attachment_.check_owner());
  if (SEMPER_MUTANT("ring_position_before_its_items")) {
    SEMPER_CO_TRY_STATUS(co_await write_final_position(round, published));
  }
  if (!round.waiters.empty()) SEMPER_CO_TRY_STATUS(co_await write_data(round));
  co_return co_await write_final_position(round, published);
}

Async<void> ProducerCore::write_data(const Round& round) {
  FormatOnDevice& format = *attachment_.format;
  attachment_.own.pending_epoch = 0;  // what an earlier producer pushed is written over
  // A crash looks for exposed records only so far behind the position on the disk; it goes out with
  // this write's flush.
  const bool lags = format.records_publish() && durable_end_ > durable_known_ &&
                    round.group.end - durable_known_ > kPointerLagBytes / 2;
  if (lags) {
    attachment_.own.position = exposed_;
    SEMPER_CO_TRY_STATUS(co_await write_pointer(false, durable_end_));
  }
  const Flush flush =
      SEMPER_MUTANT("ring_publish_is_not_flushed") ? Flush::never : attachment_.options.flush;
  if (round.has_parts) {
    SEMPER_CO_TRY_STATUS(co_await write_rest(round.group));
    if (!SEMPER_MUTANT("ring_flush_before_its_parts")) {
      SEMPER_CO_TRY_STATUS(co_await finish_parts());
    }
    if (flush != Flush::never) SEMPER_CO_TRY_STATUS(co_await format.device().flush());
  } else {
    SEMPER_CO_TRY_STATUS(
        co_await format.io().write(round.group.write_start, round.group.bytes, flush));
  }
  // Without flushes nothing is known to be durable, and a crash begins to look at the position.
  const Pointer& own = attachment_.own;
  if (pointer_unflushed_) durable_known_ = std::max({durable_known_, own.known, own.position});
  pointer_unflushed_ = false;
  co_return Result<void>();
}

// Not where a part has failed: finish_parts() says so.
Async<void> ProducerCore::write_rest(const Group& rest) {
  {
    std::lock_guard lock(mutex_);
    if (!parts_written_ || rest.bytes.empty()) co_return Status{};
  }
  co_return co_await attachment_.format->io().write(rest.write_start, rest.bytes, Flush::never);
}

std::optional<Group> ProducerCore::next_part() {
  std::lock_guard lock(mutex_);
  // What a part says of itself, and where it may lie, needs the round before to be durable.
  if (round_under_way_ || dead_ || kept_ || !parts_written_) return std::nullopt;
  if (attachment_.options.flush != Flush::always) return std::nullopt;
  const std::uint64_t share = round_down(buffer_bytes_ / kPartShare, kBlockBytes);
  const std::uint64_t size = std::clamp(share, kBlockBytes, kPartBytes);
  const std::uint64_t least = has_parts_ ? size : size + size / 2;
  if (gathering_.waiters.size() < kCallsToBegin) return std::nullopt;
  if (parts_under_way_ == kMaxParts || encoder_->settled_bytes() < least) return std::nullopt;
  if (encoder_->appended_end() - durable_known_ > kPointerLagBytes / 2) return std::nullopt;
  if (!attachment_.is_owner_known()) return std::nullopt;
  ++parts_under_way_;
  has_parts_ = true;
  return encoder_->take_part(size);
}

void ProducerCore::write_parts() {
  while (auto part = next_part()) {
    part_executor_.start(
        [core = shared_from_this(), part = *part] { return core->write_part(part); });
  }
}

Task<void> ProducerCore::write_part(Group part) {
  const std::function<Async<void>()> work = [this, &part] {
    return attachment_.format->io().write(part.write_start, part.bytes, Flush::never);
  };
  Status written = co_await contained<void>(work);
  std::optional<OneShot<bool>> gone;
  bool seals = false;
  {
    std::lock_guard lock(mutex_);
    if (!written && parts_written_) parts_written_ = std::move(written);
    --parts_under_way_;
    if (parts_under_way_ == 0) gone.swap(parts_gone_);
    seals = drain_waits_for_parts_ && parts_under_way_ <= kPartsBesideTheRest;
    if (seals) drain_waits_for_parts_ = false;
  }
  if (gone) gone->set(true);
  write_parts();
  if (seals) run_drain();
}

Async<void> ProducerCore::finish_parts() {
  OneShot<bool> gone;
  bool waits = false;
  {
    std::lock_guard lock(mutex_);
    waits = parts_under_way_ != 0;
    if (waits) parts_gone_ = gone;
  }
  if (waits) static_cast<void>(co_await gone.wait_regardless());
  std::lock_guard lock(mutex_);
  Status written = std::exchange(parts_written_, Status());
  if (SEMPER_MUTANT("ring_error_of_a_part_swallowed")) written = Status();
  co_return written;
}

Async<void> ProducerCore::write_pointer(bool flush_after, std::uint64_t known) {
  FormatOnDevice& format = *attachment_.format;
  const bool flushes = attachment_.options.flush == Flush::always;
  if (flushes) {
    Pointer& own = attachment_.own;
    own.known = std::max(own.known, known);
    std::lock_guard lock(mutex_);
    own.consumed = std::max(own.consumed, consumed_);
  }
  // Of the two copies, one is always durable.
  if (pointer_unflushed_ && flushes) SEMPER_CO_TRY_STATUS(co_await format.device().flush());
  const Flush flush = flush_after ? attachment_.options.flush : Flush::never;
  SEMPER_CO_TRY_STATUS(co_await format.write_pointer(attachment_.own, flush));
  pointer_unflushed_ = true;
  if (!flush_after) co_return Result<void>();
  pointer_unflushed_ = false;
  durable_known_ = std::max(durable_known_, known);
  co_return Result<void>();
}

Async<void> ProducerCore::write_final_position(const Round& round, std::uint64_t published) {
  const bool semper = attachment_.format->records_publish();
  Pointer& own = attachment_.own;
  const std::uint64_t position = std::max({exposed_, published, round.advance_to});
  const bool advances =
      round.advance_to > std::max(exposed_, published) || (!semper && position > exposed_);
  const std::uint64_t known = round.waiters.empty() ? durable_end_ : round.group.end;
  // Far behind what is on the disk already: a batch as large as all that is looked at.
  const bool lags = semper && known - durable_known_ > kPointerLagBytes / 2 &&
                    round.group.bytes.size() > kPointerLagBytes / 2;
  own.position = position;
  own.consumed = std::max(own.consumed, round.consumed);
  if (round.flag) own.flag = *round.flag;
  // mirage-1.0 records nobody's coming or going.
  const bool leaves = round.leave && semper;
  if (round.leave) own.attached = false;
  if (advances || lags || round.flag || leaves || round.consumed != 0) {
    const bool flushes = !SEMPER_MUTANT("ring_advance_is_not_flushed");
    SEMPER_CO_TRY_STATUS(co_await write_pointer(flushes, known));
  } else if (semper && published != 0 && attachment_.companion == nullptr) {
    // Nobody can be told but by the disk; what it says is durable already.
    SEMPER_CO_TRY_STATUS(co_await write_pointer(false, known));
  }
  co_return Result<void>();
}

void ProducerCore::finish(Round& round, const Status& status) {
  if (!status) {
    {
      std::lock_guard lock(mutex_);
      // Its callers are told with all others.
      for (Waiter& waiter : round.waiters) gathering_.waiters.push_back(std::move(waiter));
      for (auto& waiter : round.pointer_waiters) {
        gathering_.pointer_waiters.push_back(std::move(waiter));
      }
    }
    die(status.error());
    return;
  }
  std::vector<std::pair<OneShot<Outcome>, Outcome>> answers;
  std::vector<Item> items;
  std::vector<OneShot<bool>> changed;
  std::unique_ptr<DeviceCompanion::Role> role;
  bool exposed_more = false;
  {
    std::lock_guard lock(mutex_);
    std::uint64_t begin = durable_end_;
    if (!round.waiters.empty()) durable_end_ = round.group.end;
    for (std::size_t i = 0; i < round.waiters.size(); ++i) {
      Waiter& waiter = round.waiters[i];
      // Only the last call of a batch ends where the batch does.
      const bool shares =
          i + 1 < round.waiters.size() && round.waiters[i + 1].batch == waiter.batch;
      const std::uint64_t end = shares ? waiter.end : round.group.batch_ends[waiter.batch];
      if (waiter.exposure == Exposure::push) unexposed_.push_back(end);
      if (waiter.item) {
        items.push_back(Item{Position::from_offset(begin), Position::from_offset(end),
                             std::move(*waiter.item)});
      }
      begin = end;
      answers.emplace_back(std::move(waiter.done), Outcome{end, std::nullopt});
    }
    exposed_more = attachment_.own.position > exposed_;
    if (exposed_more) {
      const bool kept = kept_;
      exposed_ = attachment_.own.position;
      shown_exposed_.store(exposed_);
      while (!unexposed_.empty() && unexposed_.front() <= exposed_) unexposed_.pop_front();
      durable_end_ = std::max(durable_end_, exposed_);
      // What an earlier producer pushed is exposed now: go on behind it.
      if (kept) encoder_->restart(exposed_, attachment_.own.epoch);
    }
    check();
    if (round.flag) suspended_ = *round.flag;
    for (auto& waiter : round.pointer_waiters) answers.emplace_back(std::move(waiter), Outcome());
    round_under_way_ = false;
    changed.swap(changed_);
    if (round.leave) {
      left_ = true;
      role = std::move(attachment_.role);
    }
  }
  if (exposed_more) {
    attachment_.share_position(kExposedWord, attachment_.own.position);
    if (on_exposed_) on_exposed_(std::move(items));
  }
  role.reset();
  if (round.flag) attachment_.count(kProducerFlagsWord);
  wake_all(changed);
  // Posted: a caller that went on here could block this thread, and with it the drain.
  OneShot<Outcome>::set_all(std::move(answers));
}

void ProducerCore::die(const Error& why) {
  // What the device said of one operation: of the handle, which is dead, it is not true.
  const bool is_for_later = why.kind() == ErrorKind::retry || why.kind() == ErrorKind::suspended;
  const Error error = is_for_later ? Error(ErrorKind::io, why.message()) : why;
  std::vector<std::pair<OneShot<Outcome>, Outcome>> answers;
  std::vector<OneShot<bool>> changed;
  std::vector<std::pair<OneShot<bool>, bool>> sealed;
  std::unique_ptr<DeviceCompanion::Role> role;
  {
    std::lock_guard lock(mutex_);
    if (!dead_) {
      dead_ = error;
      died_of_what_passes_ = why.kind() == ErrorKind::retry;
    }
    if (leaving_) {
      left_ = true;
      role = std::move(attachment_.role);
    }
    Round abandoned = std::exchange(gathering_, Round());
    for (Waiter& waiter : abandoned.waiters) {
      answers.emplace_back(std::move(waiter.done), Outcome{0, error});
    }
    for (auto& waiter : abandoned.pointer_waiters) {
      answers.emplace_back(std::move(waiter), Outcome{0, error});
    }
    round_under_way_ = false;
    changed.swap(changed_);
    sealed.swap(sealed_);
  }
  wake_all(changed);
  OneShot<bool>::set_all(std::move(sealed));
  OneShot<Outcome>::set_all(std::move(answers));
}

void ProducerCore::wake_all(std::vector<OneShot<bool>>& waiting) {
  for (auto& one : waiting) one.set(true);
}

}  // namespace semper::ring::internal
