#include "sessions.h"

#include <unistd.h>

#include <utility>

#include "semper/base/log.h"

namespace semper::internal {
namespace {

constexpr std::size_t kSessionBytes = 8;
// Replies that one transaction hands out.
constexpr std::size_t kRepliesPerRound = 1024;

Bytes alive_record(std::uint64_t renewals) {
  return encode_alive({"process " + std::to_string(getpid()), renewals, 0, {}});
}

}  // namespace

Sessions::Sessions(Tenant tenant, std::shared_ptr<Outbox> outbox)
    : tenant_(std::move(tenant)), outbox_(std::move(outbox)) {}

// One call's place among the waiting ones; leaves it however the call ends.
class Sessions::Waiting {
 public:
  Waiting(std::shared_ptr<Sessions> sessions, std::uint64_t number)
      : sessions_(std::move(sessions)), number_(number) {}
  ~Waiting() {
    std::lock_guard lock(sessions_->mutex_);
    sessions_->waiting_.erase(number_);
  }
  Waiting(const Waiting&) = delete;
  Waiting& operator=(const Waiting&) = delete;

 private:
  std::shared_ptr<Sessions> sessions_;
  std::uint64_t number_;
};

// Ends the collector's turn also where its coroutine is destroyed: another waiting call goes on.
class Sessions::Collecting {
 public:
  explicit Collecting(std::shared_ptr<Sessions> sessions) : sessions_(std::move(sessions)) {}
  ~Collecting() {
    if (!sessions_) return;
    std::lock_guard lock(sessions_->mutex_);
    sessions_->collecting_ = false;
    for (auto& [number, arrival] : sessions_->waiting_) {
      if (arrival.set(TakeOver{})) break;
    }
  }

 private:
  std::shared_ptr<Sessions> sessions_;
};

void Sessions::start_collecting(const Executor& executor) {
  Bytes session;
  {
    std::lock_guard lock(mutex_);
    if (collecting_ || waiting_.empty()) return;
    collecting_ = true;
    session = session_;
  }
  asio::co_spawn(executor, collect(shared_from_this(), std::move(session)), asio::detached);
}

Async<Bytes> Sessions::call(std::shared_ptr<const Target> target, RawMessage message,
                            MonotonicTime deadline) {
  const Store& store = *tenant_.store();
  Clock& clock = *store.env().clock;
  const auto executor = co_await asio::this_coro::executor;
  OneShot<Arrival> arrival;
  ReplyToken caller;
  std::vector<KeyValue> alongside;
  {
    std::lock_guard lock(mutex_);
    if (session_.empty()) {
      session_ = store.env().random->bytes(kSessionBytes);
      registered_ = false;
    }
    if (!registered_) {
      registered_ = true;
      renewed_at_ = clock.now();
      alongside.push_back({session_key(tenant_.prefix(), session_), alive_record(++renewals_)});
    }
    caller = {session_, ++last_number_};
    waiting_.emplace(caller.number, arrival);
  }
  Waiting waiting(shared_from_this(), caller.number);
  const EntityId id = target->id;
  std::vector<QueuedMessage> messages;
  messages.push_back({Kind::call, std::move(message.name), std::move(message.payload), caller});
  auto published =
      co_await outbox_->publish(std::move(target), std::move(messages), std::move(alongside));
  if (!published) {
    std::lock_guard lock(mutex_);
    registered_ = false;  // the row may not be there
    co_return fail(published.error());
  }
  start_collecting(executor);
  while (true) {
    auto arrived = co_await arrival.wait_until(clock, deadline);
    if (!arrived) {
      if (arrived.error().kind() != ErrorKind::timeout) co_return fail(arrived.error());
      co_return fail(ErrorKind::timeout,
                     "no reply from " + id.to_string() +
                         " in time; the message is queued and may still be processed (is a host "
                         "serving type " +
                         id.type + "?)");
    }
    if (auto* reply = std::get_if<Result<Bytes>>(&*arrived)) co_return std::move(*reply);
    {
      std::lock_guard lock(mutex_);
      arrival = OneShot<Arrival>();
      waiting_.insert_or_assign(caller.number, arrival);
    }
    start_collecting(executor);
  }
}

Task<void> Sessions::collect(std::shared_ptr<Sessions> self, Bytes session) {
  Collecting collecting(self);
  const Store& store = *self->tenant_.store();
  Clock& clock = *store.env().clock;
  Backoff backoff({.initial = std::chrono::milliseconds(1), .maximum = std::chrono::seconds(1)},
                  *store.env().random);
  while (true) {
    const Status collected = co_await self->collect_once(session);
    if (!collected && collected.error().kind() == ErrorKind::closed) {
      self->give_up(collected.error());
      co_return;
    }
    if (!collected) {
      log_warning("server", "replies of this process could not be read, trying again: " +
                                collected.error().to_string());
      if (!co_await sleep_for(clock, backoff.next())) co_return;
      continue;
    }
    backoff.reset();
    std::lock_guard lock(self->mutex_);
    if (self->session_ != session) co_return;
  }
}

// The store was closed: no reply will come.
void Sessions::give_up(const Error& error) {
  std::lock_guard lock(mutex_);
  for (auto& [number, arrival] : waiting_) arrival.set(Result<Bytes>(fail(error)));
  waiting_.clear();
  session_.clear();
  registered_ = false;
}

// Takes the replies that are there out of the store and hands them out; with none there and calls
// waiting, waits for the next one first.
Async<void> Sessions::collect_once(const Bytes& session) {
  const Store& store = *tenant_.store();
  const auto& prefix = tenant_.prefix();
  Clock& clock = *store.env().clock;
  std::vector<std::pair<std::uint64_t, Result<Bytes>>> replies;
  std::unique_ptr<Watch> watch;
  bool last = false;
  const Status collected = co_await store.transact([&](Transaction& transaction) -> Async<void> {
    replies.clear();
    SEMPER_CO_TRY(auto page, co_await transaction.get_range(
                                 replies_of(prefix, session),
                                 {.limit = kRepliesPerRound, .mode = ReadMode::snapshot}));
    for (const auto& row : page.rows) {
      SEMPER_CO_TRY(const auto number, number_of_reply_key(prefix, row.key));
      SEMPER_CO_TRY(auto reply, decode_reply(row.value));
      replies.emplace_back(number, std::move(reply));
      transaction.clear(row.key);
    }
    std::lock_guard lock(mutex_);
    std::size_t others = waiting_.size();
    for (const auto& [number, reply] : replies) others -= waiting_.count(number);
    last = others == 0 || session_ != session;
    if (last) {
      // Nobody waits after these: a call that begins now takes a new session.
      transaction.clear_range(everything_of_session(prefix, session));
      if (session_ == session) {
        session_.clear();
        registered_ = false;
      }
    } else if (clock.now() - renewed_at_ > kSessionRenewal) {
      renewed_at_ = clock.now();
      transaction.set(session_key(prefix, session), alive_record(++renewals_));
    }
    co_return Status{};
  });
  if (!collected) co_return collected;
  for (auto& [number, reply] : replies) {
    std::lock_guard lock(mutex_);
    const auto found = waiting_.find(number);
    if (found == waiting_.end()) continue;
    found->second.set(std::move(reply));
    waiting_.erase(found);  // it does not wait any more, whenever its coroutine goes on
  }
  if (last || !replies.empty()) co_return Status{};
  // Nothing yet: wait, but renew the session in time.
  auto transaction = store.begin();
  SEMPER_CO_TRY(watch, co_await transaction.watch(session_wake_key(prefix, session)));
  SEMPER_CO_TRY(auto seen,
                co_await transaction.get_range(replies_of(prefix, session),
                                               {.limit = 1, .mode = ReadMode::snapshot}));
  if (!seen.rows.empty()) co_return Status{};
  auto changed = co_await watch->changed(clock.after(kSessionRenewal));
  if (!changed && changed.error().kind() != ErrorKind::timeout) co_return fail(changed.error());
  co_return Status{};
}

}  // namespace semper::internal
