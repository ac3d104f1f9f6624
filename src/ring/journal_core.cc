#include "journal_core.h"

#include <utility>

#include "ring/delivery.h"
#include "ring/producer_core.h"
#include "semper/base/assert.h"
#include "semper/base/internal/mutant.h"
#include "semper/base/log.h"
#include "semper/env/cancellation.h"
#include "semper/ring/ring.h"

namespace semper::ring::internal {
namespace {

Error closed_error() {
  return Error(ErrorKind::closed,
               "the journal was shut down; what it holds is performed by the next start");
}

Error killed_error() {
  return Error(ErrorKind::closed,
               "the journal, or the loop that it was started on, was destroyed without a shutdown; "
               "what it holds is performed by the next start");
}

struct BothSides {
  Producer producer;
  Consumer consumer;
};
using Sides = std::shared_ptr<BothSides>;

Async<Sides> hold(BlockDevice& device, AttachOptions options) {
  SEMPER_CO_TRY(Producer producer, co_await Producer::attach(device, options));
  SEMPER_CO_TRY(Consumer consumer, co_await Consumer::attach(device, options));
  co_return std::make_shared<BothSides>(BothSides{std::move(producer), std::move(consumer)});
}

Async<void> give_sides_back(Sides sides) {
  const Status consumer = co_await sides->consumer.detach();
  const Status producer = co_await sides->producer.detach();
  co_return consumer ? producer : consumer;
}

}  // namespace

JournalCore::JournalCore(BlockDevice& device, Producer producer, Consumer consumer,
                         const Perform& perform, JournalOptions options)
    : device_(device),
      perform_(&perform),
      options_(std::move(options)),
      identity_(producer.identity()),
      found_(producer.exposed()),
      line_(options_.ring.max_waiting, kCallerPatience),
      renewal_(options_.ring.max_waiting),
      producer_(std::make_shared<Producer>(std::move(producer))),
      consumer_(std::make_shared<Consumer>(std::move(consumer))),
      performed_(consumer_->consumed()),
      most_items_(options_.batch.max_items) {
  if (SEMPER_MUTANT("journal_replay_not_begun")) urgent_ = false;
}

void JournalCore::check() const {
  SEMPER_ASSERT(waiters_.empty() || waiters_.begin()->first.first > performed_,
                "whoever waits for what was performed has been answered");
}

AttachOptions JournalCore::attach_options() const {
  AttachOptions attach = options_.ring;
  attach.queue = options_.name;
  attach.client = options_.client;
  return attach;
}

Async<std::shared_ptr<JournalCore>> JournalCore::start(BlockDevice& device, Perform perform,
                                                       JournalOptions options) {
  SEMPER_CO_TRY(const bool blank, co_await is_blank(device));
  if (blank) {
    CreateOptions create_options;
    create_options.format = options.format;
    create_options.sector_size = options.ring.sector_size;
    create_options.env = options.ring.env;
    SEMPER_CO_TRY_STATUS(co_await create(device, create_options));
  }
  AttachOptions attach = options.ring;
  attach.queue = options.name;
  attach.client = options.client;
  const std::function<Async<Sides>()> work = [&device, attach] { return hold(device, attach); };
  auto sides_taken = co_await deliver<Sides>(*attach.env.clock, work, give_sides_back);
  if (!sides_taken) co_return fail(co_await say_what_is_there(device, sides_taken.error()));
  Sides sides = std::move(*sides_taken);
  const auto performs = std::make_shared<const Perform>(std::move(perform));
  auto core =
      std::make_shared<JournalCore>(device, std::move(sides->producer), std::move(sides->consumer),
                                    *performs, std::move(options));
  core->listen_to(*core->producer_);
  asio::co_spawn(co_await asio::this_coro::executor, run(core, performs), asio::detached);
  co_return core;
}

void JournalCore::hurry() {
  if (fork_.is_foreign()) return;
  {
    std::lock_guard lock(mutex_);
    urgent_ = true;
  }
  wake();
}

Status JournalCore::check_open() const {
  if (ended_) return fail(*ended_);
  if (stopping_) return fail(closed_error());
  return {};
}

bool JournalCore::is_performed(Position position) const {
  if (!fork_.check("this journal")) return false;
  std::lock_guard lock(mutex_);
  return performed_ >= position;
}

Async<void> JournalCore::sync(Position position, MonotonicTime deadline) {
  SEMPER_CO_TRY_STATUS(fork_.check("this journal"));
  if (SEMPER_MUTANT("journal_sync_before_it_is_performed")) co_return Status{};
  // However the wait ends, also where its coroutine is destroyed.
  struct Place {
    JournalCore& core;
    WaiterKey key;
    ~Place() {
      std::lock_guard lock(core.mutex_);
      core.waiters_.erase(key);
    }
  };
  SEMPER_CO_TRY_STATUS(not_cancelled(co_await asio::this_coro::cancellation_state));
  Done done;
  WaiterKey key(position, 0);
  {
    std::lock_guard lock(mutex_);
    if (performed_ >= position) co_return Status{};
    if (ended_) co_return fail(*ended_);
    if (outcome_) co_return fail(outcome_->has_value() ? closed_error() : outcome_->error());
    key.second = ++last_waiter_;
    waiters_.emplace(key, done);
    check();
  }
  const Place place{*this, key};
  auto answer = co_await done.wait_until(clock(), deadline);
  if (answer) co_return *answer;
  if (answer.error().kind() != ErrorKind::timeout) co_return fail(answer.error());
  co_return fail(ErrorKind::timeout,
                 "not performed until the deadline; it is in the journal and will be");
}

Async<void> JournalCore::shutdown(MonotonicTime deadline) {
  SEMPER_CO_TRY_STATUS(fork_.check("this journal"));
  struct Place {
    JournalCore& core;
    std::uint64_t number;
    ~Place() {
      std::lock_guard lock(core.mutex_);
      core.shutdown_waiters_.erase(number);
    }
  };
  Done done;
  std::uint64_t number = 0;
  std::vector<Done> rooms;
  {
    std::lock_guard lock(mutex_);
    if (outcome_) co_return *outcome_;
    stopping_ = true;
    rooms.swap(room_waiters_);
    number = ++last_waiter_;
    shutdown_waiters_.emplace(number, done);
  }
  const Place place{*this, number};
  pushes_.shut();
  for (auto& room : rooms) room.set(fail(closed_error()));
  wake();
  SEMPER_CO_TRY_STATUS(not_cancelled(co_await asio::this_coro::cancellation_state));
  auto answer = co_await done.wait_until(clock(), deadline);
  if (answer) co_return *answer;
  if (answer.error().kind() != ErrorKind::timeout) co_return fail(answer.error());
  co_return fail(ErrorKind::timeout,
                 "the journal " + options_.name +
                     " did not end until the deadline: what it performs, or its disk, is still at "
                     "work; call shutdown again to wait on, or destroy the journal");
}

void JournalCore::kill() noexcept {
  if (fork_.is_foreign()) return;      // the parent's
  std::shared_ptr<Producer> producer;  // freed here, where the device is still there
  std::shared_ptr<Consumer> consumer;
  std::vector<Done> waiting;
  {
    std::lock_guard lock(mutex_);
    if (outcome_) return;
    stopping_ = true;
    outcome_ = Status(fail(killed_error()));
    producer.swap(producer_);
    consumer.swap(consumer_);
    waiting.swap(room_waiters_);
    fresh_.clear();
    for (auto& [key, waiter] : waiters_) waiting.push_back(waiter);
    for (auto& [number, waiter] : shutdown_waiters_) waiting.push_back(waiter);
    waiters_.clear();
    shutdown_waiters_.clear();
  }
  pushes_.shut();
  for (auto& waiter : waiting) waiter.set(fail(killed_error()));
  wake();
}

Status JournalCore::status() const {
  SEMPER_TRY_STATUS(fork_.check("this journal"));
  std::lock_guard lock(mutex_);
  for (const auto* error : {&ended_, &push_trouble_, &remove_trouble_}) {
    if (*error) return fail(**error);
  }
  return {};
}

JournalStatistics JournalCore::statistics() const {
  if (fork_.is_foreign()) return {};
  std::lock_guard lock(mutex_);
  return statistics_;
}

void JournalCore::note_failure(const Error& error, bool passes, std::optional<Error>& trouble) {
  if (!passes && error.kind() != ErrorKind::exhausted && error.kind() != ErrorKind::cancelled) {
    end(error);
    return;
  }
  note_trouble(error, trouble);
}

void JournalCore::note_failed_renewal(const Error& error, std::optional<Error>& trouble) {
  if (error.kind() != ErrorKind::conflict && error.kind() != ErrorKind::retry) {
    note_failure(error, false, trouble);
    return;
  }
  note_trouble(error, trouble);
}

void JournalCore::note_trouble(const Error& error, std::optional<Error>& trouble) {
  {
    std::lock_guard lock(mutex_);
    if (std::exchange(trouble, error)) return;
  }
  log_warning("ring", "the journal " + options_.name +
                          " cannot use its disk and will try again: " + error.to_string());
}

void JournalCore::end(const Error& error) {
  std::vector<Done> waiting;
  {
    std::lock_guard lock(mutex_);
    if (ended_ || outcome_) return;
    ended_ = error;
    fresh_.clear();
    waiting.swap(room_waiters_);
    for (auto& [position, waiter] : waiters_) waiting.push_back(waiter);
    waiters_.clear();
  }
  log_error("ring", "the journal " + options_.name + " ended: " + error.to_string());
  for (auto& waiter : waiting) waiter.set(fail(error));
  wake();
}

void JournalCore::wake() {
  std::optional<Event> event;
  {
    std::lock_guard lock(mutex_);
    event.swap(event_);
  }
  if (event) event->set({});
}

}  // namespace semper::ring::internal
