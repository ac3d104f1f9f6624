#include "journal_core.h"

#include "semper/base/assert.h"
#include "ring/producer_core.h"
#include "semper/base/log.h"
#include "semper/env/cancellation.h"
#include "semper/ring/ring.h"

namespace semper::ring::internal {
namespace {

Error closed_error() {
  return Error(ErrorKind::closed,
               "the journal was shut down; what it holds is performed by the next start");
}

}  // namespace

JournalCore::JournalCore(Producer producer, Consumer consumer, Journal::Perform perform,
                         JournalOptions options)
    : producer_(std::move(producer)),
      consumer_(std::move(consumer)),
      perform_(std::move(perform)),
      options_(std::move(options)),
      performed_(consumer_.consumed()) {}

Async<std::shared_ptr<JournalCore>> JournalCore::start(BlockDevice& device,
                                                       Journal::Perform perform,
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
  SEMPER_CO_TRY(Producer producer, co_await Producer::attach(device, attach));
  SEMPER_CO_TRY(Consumer consumer, co_await Consumer::attach(device, attach));
  auto core = std::make_shared<JournalCore>(std::move(producer), std::move(consumer),
                                            std::move(perform), std::move(options));
  core->producer_.core_->on_exposed([weak = std::weak_ptr<JournalCore>(core)] {
    if (const auto alive = weak.lock()) alive->note_exposed();
  });
  asio::co_spawn(co_await asio::this_coro::executor, run(core), asio::detached);
  co_return core;
}

Async<Position> JournalCore::push(BytesView operation, MonotonicTime deadline) {
  SEMPER_CO_TRY_STATUS(fork_.check("this journal"));
  auto inside = pushes_.enter();
  if (!inside) co_return fail(closed_error());
  const ItemList item(operation);
  while (true) {
    std::uint64_t advances = 0;
    {
      std::lock_guard lock(mutex_);
      if (ended_) co_return fail(*ended_);
      advances = advances_;
    }
    auto written = co_await producer_.publish(item);
    if (written) {
      std::lock_guard lock(mutex_);
      ++statistics_.pushed;
      co_return *written;
    }
    const ErrorKind kind = written.error().kind();
    if (kind == ErrorKind::io || kind == ErrorKind::conflict) end(written.error());
    if (kind != ErrorKind::retry || deadline == kNoWait) co_return fail(written.error());
    hurry();
    SEMPER_CO_TRY_STATUS(co_await wait_for_room(advances, deadline));
  }
}

// Until something was removed from the ring since it had been advanced so many times.
Async<void> JournalCore::wait_for_room(std::uint64_t advances, MonotonicTime deadline) {
  SEMPER_CO_TRY_STATUS(not_cancelled(co_await asio::this_coro::cancellation_state));
  Done room;
  {
    std::lock_guard lock(mutex_);
    if (ended_) co_return fail(*ended_);
    if (stopping_) co_return fail(closed_error());
    if (advances_ != advances) co_return Status{};
    room_waiters_.push_back(room);
  }
  auto came = co_await room.wait_until(clock(), deadline);
  if (came) co_return *came;
  if (came.error().kind() != ErrorKind::timeout) co_return fail(came.error());
  co_return fail(ErrorKind::timeout,
                 "the journal was full until the deadline; what it holds is waiting to be "
                 "performed, try again later");
}

void JournalCore::hurry() {
  {
    std::lock_guard lock(mutex_);
    urgent_ = true;
  }
  wake();
}

Async<void> JournalCore::sync(Position position, MonotonicTime deadline) {
  SEMPER_CO_TRY_STATUS(fork_.check("this journal"));
  SEMPER_CO_TRY_STATUS(not_cancelled(co_await asio::this_coro::cancellation_state));
  Done done;
  std::pair<Position, std::uint64_t> key(position, 0);
  {
    std::lock_guard lock(mutex_);
    if (performed_ >= position) co_return Status{};
    if (ended_) co_return fail(*ended_);
    if (shut_down_) co_return fail(closed_error());
    key.second = ++last_waiter_;
    waiters_.emplace(key, done);
  }
  auto answer = co_await done.wait_until(clock(), deadline);
  if (answer) co_return *answer;
  {
    std::lock_guard lock(mutex_);
    waiters_.erase(key);
  }
  if (answer.error().kind() != ErrorKind::timeout) co_return fail(answer.error());
  co_return fail(ErrorKind::timeout,
                 "not performed until the deadline; it is in the journal and will be");
}

Async<void> JournalCore::shutdown() {
  SEMPER_CO_TRY_STATUS(fork_.check("this journal"));
  {
    std::lock_guard lock(mutex_);
    if (shut_down_) co_return ended_ ? Status(fail(*ended_)) : Status();
    if (std::exchange(stopping_, true)) {
      co_return fail(ErrorKind::closed, "the journal is being shut down by another caller");
    }
    for (auto& waiter : std::exchange(room_waiters_, {})) waiter.set(fail(closed_error()));
  }
  wake();
  co_await pushes_.close();
  static_cast<void>(co_await loop_over_.wait());
  std::map<std::pair<Position, std::uint64_t>, Done> left;
  {
    std::lock_guard lock(mutex_);
    shut_down_ = true;
    left.swap(waiters_);
  }
  for (auto& [position, waiter] : left) waiter.set(fail(closed_error()));
  const Status consumer = co_await consumer_.detach();
  const Status producer = co_await producer_.detach();
  SEMPER_CO_TRY_STATUS(status());
  SEMPER_CO_TRY_STATUS(consumer);
  co_return producer;
}

Status JournalCore::status() const {
  std::lock_guard lock(mutex_);
  return ended_ ? Status(fail(*ended_)) : Status();
}

JournalStatistics JournalCore::statistics() const {
  std::lock_guard lock(mutex_);
  return statistics_;
}

bool JournalCore::is_shut_down() const {
  if (fork_.is_foreign()) return true;  // the parent's
  std::lock_guard lock(mutex_);
  return shut_down_;
}

// Also where whoever pushed has gone: what is in the ring is performed.
void JournalCore::note_exposed() {
  {
    std::lock_guard lock(mutex_);
    if (first_pushed_) return;  // the loop knows
    first_pushed_ = clock().now();
  }
  wake();
}

void JournalCore::note_performed(const std::vector<Item>& items) {
  std::vector<Done> done;
  {
    std::lock_guard lock(mutex_);
    SEMPER_ASSERT(items.back().after > performed_, "what is performed goes forward");
    performed_ = items.back().after;
    statistics_.performed += items.size();
    ++statistics_.performs;
    const auto end = waiters_.upper_bound({performed_, ~std::uint64_t{0}});
    for (auto waiter = waiters_.begin(); waiter != end; ++waiter) done.push_back(waiter->second);
    waiters_.erase(waiters_.begin(), end);
  }
  for (auto& waiter : done) waiter.set(Status());
}

void JournalCore::note_room() {
  std::vector<Done> waiting;
  {
    std::lock_guard lock(mutex_);
    ++advances_;
    waiting.swap(room_waiters_);
  }
  for (auto& waiter : waiting) waiter.set(Status());
}

void JournalCore::end(const Error& error) {
  std::vector<Done> waiting;
  {
    std::lock_guard lock(mutex_);
    if (ended_) return;
    ended_ = error;
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
