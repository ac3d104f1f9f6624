#include "server/send/sessions.h"

#include <unistd.h>

#include <algorithm>
#include <functional>
#include <utility>

#include "semper/base/internal/mutant.h"
#include "semper/base/log.h"
#include "semper/store/failure.h"
#include "server/format/records.h"
#include "server/format/replies.h"

namespace semper::internal {
namespace {

// Replies that one transaction hands out, where the store takes so many operations.
constexpr std::size_t kRepliesPerRound = 1024;

std::size_t replies_per_round(const Limits& limits) {
  return std::clamp<std::size_t>(limits.transaction_operations / 2, 1, kRepliesPerRound);
}

Bytes alive_record(std::uint64_t renewals) {
  return encode_alive({"process " + std::to_string(getpid()), renewals, 0, {}});
}

Error taken_for_dead() {
  return Error(
      ErrorKind::outcome_unknown,
      "this process was stopped, blocked or cut off from the store for so long that it was "
      "taken for dead: the message is queued or was processed, and its reply, if it came, was "
      "dropped; look at the state before you send it again");
}

// Others may still serve the store, and this process open it again; its waiting calls hear nothing.
Error reply_is_lost(const Error& failure) {
  return Error(ErrorKind::outcome_unknown,
               "the store has failed for good in this process: the message is queued or was "
               "processed, and its reply cannot be read; look at the state before you send it "
               "again (" +
                   failure.message() + ")");
}

}  // namespace

Sessions::Sessions(Tenant tenant, std::shared_ptr<Outbox> outbox)
    : tenant_(std::move(tenant)), outbox_(std::move(outbox)) {}

// One call's place among the waiting ones; leaves it however the call ends.
class Sessions::Waiting {
 public:
  Waiting(std::shared_ptr<Sessions> sessions, std::uint64_t number)
      : sessions_(std::move(sessions)), number_(number) {}
  ~Waiting() { sessions_->leave(number_); }
  Waiting(const Waiting&) = delete;
  Waiting& operator=(const Waiting&) = delete;

 private:
  std::shared_ptr<Sessions> sessions_;
  std::uint64_t number_;
};

// Ends the collector's turn also where its coroutine is destroyed: another waiting call goes on.
class Sessions::Collecting {
 public:
  Collecting(std::shared_ptr<Sessions> sessions, std::uint64_t turn)
      : sessions_(std::move(sessions)), turn_(turn) {}
  Collecting(const Collecting&) = delete;
  Collecting& operator=(const Collecting&) = delete;
  ~Collecting() {
    std::lock_guard lock(sessions_->mutex_);
    if (sessions_->collecting_ == turn_) sessions_->pass_on();
  }

 private:
  std::shared_ptr<Sessions> sessions_;
  std::uint64_t turn_;
};

void Sessions::end_turn() {
  collecting_ = 0;
  collecting_on_ = nullptr;
  collecting_loop_ = Loop();
}

// Asks a waiting call, if there is one, to start the next collector on its loop.
void Sessions::pass_on() {
  end_turn();
  for (auto& [number, place] : waiting_) {
    if (place.arrival.set(TakeOver{})) return;
  }
}

void Sessions::start_collecting(const Executor& executor) {
  Bytes session;
  std::uint64_t turn = 0;
  {
    std::lock_guard lock(mutex_);
    if (collecting_ != 0 || waiting_.empty() || session_.empty()) return;
    turn = collecting_ = ++last_turn_;
    collecting_on_ = context_of(executor);
    collecting_loop_ = Loop(executor);
    session = session_;
  }
  asio::co_spawn(executor, collect(shared_from_this(), std::move(session), turn), asio::detached);
}

// A place among those that wait, and the session's row where it has to go with the message.
ReplyToken Sessions::enter(OneShot<Arrival> arrival, const void* loop,
                           std::vector<KeyValue>& alongside) {
  const Store& store = *tenant_.store();
  std::lock_guard lock(mutex_);
  if (session_.empty()) {
    session_ = store.env().random->bytes(kSessionBytes);
    registered_ = false;
    renewed_at_ = store.env().clock->now();
  }
  if (!registered_) {
    alongside.push_back({session_key(tenant_.prefix(), session_), alive_record(++renewals_)});
  }
  ReplyToken caller{session_, ++last_number_};
  waiting_.emplace(caller.number, Place{std::move(arrival), loop, {}});
  ++waiting_on_[loop];
  return caller;
}

// The session's row was written with a message.
void Sessions::confirm(const Bytes& session) {
  std::lock_guard lock(mutex_);
  if (session_ == session) registered_ = true;
}

void Sessions::leave(std::uint64_t number) {
  if (SEMPER_MUTANT("server_waiting_call_never_leaves")) return;
  std::lock_guard lock(mutex_);
  const auto found = waiting_.find(number);
  if (found != waiting_.end()) remove(found);
}

// The call does not wait any more. Who collects for the last one would find that out within
// kSessionRenewal; it sleeps until then, so this is done once in that time.
void Sessions::give_up(std::uint64_t number, const Executor& executor) {
  leave(number);
  if (SEMPER_MUTANT("server_session_of_nobody_left")) return;
  Bytes session;
  {
    std::lock_guard lock(mutex_);
    const MonotonicTime now = tenant_.store()->env().clock->now();
    if (!waiting_.empty() || session_.empty() || now < next_removal_) return;
    next_removal_ = now + kSessionRenewal;
    session = std::exchange(session_, Bytes());
    registered_ = false;
    end_turn();
  }
  asio::co_spawn(executor, remove_session(shared_from_this(), std::move(session)), asio::detached);
}

// What is left where this fails is removed by hosts.
Task<void> Sessions::remove_session(std::shared_ptr<Sessions> self, Bytes session) {
  static_cast<void>(
      co_await self->tenant_.store()->transact([&](Transaction& transaction) -> Async<void> {
        transaction.clear_range(everything_of_session(self->tenant_.prefix(), session));
        co_return Status{};
      }));
}

// Where this fails, whoever finds no room later looks whose sessions are gone.
Task<void> Sessions::leave_key(std::shared_ptr<const Target> target, std::string message,
                               std::string key, ReplyToken caller) {
  static_cast<void>(
      co_await detach(std::move(target), std::move(message), std::move(key), std::move(caller)));
}

void Sessions::remove(Places::iterator place) {
  const void* const loop = place->second.loop;
  waiting_.erase(place);
  const auto there = waiting_on_.find(loop);
  const bool last = --there->second == 0;
  if (last) waiting_on_.erase(there);
  if (waiting_.empty()) return;
  // It may be the one that was asked to take over; and nobody may run its loop any more.
  if (collecting_ == 0 || (last && collecting_on_ == loop)) pass_on();
}

// From now on it does not wait any more, whenever its coroutine goes on.
void Sessions::answer(Places::iterator place, Result<Bytes> reply) {
  if (place->second.arrival.is_set()) {
    place->second.answer = std::move(reply);  // it finds it when it wants to wait again
    return;
  }
  place->second.arrival.set(std::move(reply));
  remove(place);
}

// For a call that was asked to take over. What has come for it meanwhile, or nothing: it waits
// again.
std::optional<Result<Bytes>> Sessions::wait_again(std::uint64_t number, OneShot<Arrival> arrival) {
  std::lock_guard lock(mutex_);
  const auto place = waiting_.find(number);
  if (place == waiting_.end()) return Result<Bytes>(fail(taken_for_dead()));
  if (place->second.answer) return std::move(place->second.answer);
  place->second.arrival = std::move(arrival);
  return std::nullopt;
}

Async<Bytes> Sessions::call(std::shared_ptr<const Target> target, RawMessage message,
                            MonotonicTime deadline, std::shared_ptr<const MessageKey> key,
                            ChainPointer chain) {
  Clock& clock = *tenant_.store()->env().clock;
  // What collects for all is on nobody's account.
  const Executor executor = without_tag(co_await asio::this_coro::executor);
  OneShot<Arrival> arrival;
  std::vector<KeyValue> alongside;
  const ReplyToken caller = enter(arrival, context_of(executor), alongside);
  Waiting waiting(shared_from_this(), caller.number);
  const EntityId id = target->id;
  const bool registers = !alongside.empty();
  std::shared_ptr<KeyedSend> keyed;
  std::function<Task<void>()> detached;  // made where it is called
  if (key) {
    keyed = std::make_shared<KeyedSend>(std::move(key));
    detached = [keyed, target = target, name = message.name, caller] {
      return leave_key(target, name, keyed->key->text, caller);
    };
  }
  auto published = co_await outbox_->call(std::move(target), std::move(message), caller,
                                          std::move(alongside), keyed, std::move(chain));
  if (!published) co_return fail(published.error());
  if (keyed && keyed->answer) co_return std::move(*keyed->answer);
  if (registers) confirm(caller.session);
  start_collecting(executor);
  const auto give_up_waiting = [&] {
    give_up(caller.number, executor);
    if (keyed && !keyed->is_sent) asio::co_spawn(executor, detached(), asio::detached);
  };
  while (true) {
    const MonotonicTime look = next_look(clock.now());
    auto arrived = co_await arrival.wait_until(clock, std::min(deadline, look));
    if (!arrived) {
      if (arrived.error().kind() != ErrorKind::timeout) {
        give_up_waiting();
        co_return fail(arrived.error());
      }
      if (look < deadline) {
        if (should_take_over(context_of(executor), clock.now())) start_collecting(executor);
        continue;
      }
      give_up_waiting();
      co_return fail(ErrorKind::timeout,
                     "no reply from " + id.to_string() +
                         " in time; the message is queued and may still be processed (is a host "
                         "serving type " +
                         id.type + "?)");
    }
    if (auto* reply = std::get_if<Result<Bytes>>(&*arrived)) co_return std::move(*reply);
    arrival = OneShot<Arrival>();
    if (auto answer = wait_again(caller.number, arrival)) co_return std::move(*answer);
    start_collecting(executor);
  }
}

Task<void> Sessions::collect(std::shared_ptr<Sessions> self, Bytes session, std::uint64_t turn) {
  const Collecting collecting(self, turn);
  const Store& store = *self->tenant_.store();
  Clock& clock = *store.env().clock;
  Backoff backoff({.initial = std::chrono::milliseconds(1), .maximum = std::chrono::seconds(1)},
                  *store.env().random);
  while (self->has_turn(turn)) {
    auto round = co_await self->collect_once(session);
    Status status;
    if (!round) status = fail(round.error());
    if (round && *round == Round::taken_for_dead) {
      self->end_all(taken_for_dead());
      co_return;
    }
    if (round && *round == Round::over) co_return;
    if (round && *round == Round::nothing) status = co_await self->wait_for_replies(session);
    if (status) {
      backoff.reset();
      continue;
    }
    const auto failed = find_failure(store);
    if (failed || status.error().kind() == ErrorKind::closed) {
      self->end_all(failed ? reply_is_lost(*failed) : status.error());
      co_return;
    }
    log_warning("server", "replies of this process could not be read, trying again: " +
                              status.error().to_string());
    if (!co_await sleep_for(clock, backoff.next())) co_return;
  }
}

MonotonicTime Sessions::next_look(MonotonicTime now) {
  std::lock_guard lock(mutex_);
  return now + kLoopPatience * static_cast<std::int64_t>(1 + waiting_.size() / kCollectorLooks);
}

// For a call that waits: nobody collects, because who was asked to does not run, or who did does
// not any more.
bool Sessions::should_take_over(const void* loop, MonotonicTime now) {
  std::lock_guard lock(mutex_);
  if (now < next_look_ || collecting_on_ == loop) return false;
  next_look_ = now + kLoopPatience;
  if (collecting_ != 0 && !watch_.is_dead(collecting_loop_, collecting_)) return false;
  end_turn();
  return true;
}

bool Sessions::has_turn(std::uint64_t turn) {
  std::lock_guard lock(mutex_);
  return collecting_ == turn;
}

// No reply will come for those that wait now.
void Sessions::end_all(const Error& error) {
  std::lock_guard lock(mutex_);
  for (auto place = waiting_.begin(); place != waiting_.end();) {
    answer(place++, Result<Bytes>(fail(error)));
  }
  session_.clear();
  registered_ = false;
}

// Takes the replies that are there out of the store and hands them out, and renews the session in
// time.
Async<Sessions::Round> Sessions::collect_once(const Bytes& session) {
  const auto& prefix = tenant_.prefix();
  const MonotonicTime now = tenant_.store()->env().clock->now();
  Replies replies;
  Round round = Round::nothing;
  bool renewed = false;
  const Status collected =
      co_await tenant_.store()->transact([&](Transaction& transaction) -> Async<void> {
        replies.clear();
        renewed = false;
        SEMPER_CO_TRY(replies, co_await read_replies(transaction, prefix, session));
        // Whatever becomes of this transaction: what it read was committed by others, and goes to
        // its callers before it can be lost with an answer, or with this loop.
        hand_out(replies);
        SEMPER_CO_TRY(round, co_await settle(transaction, session, renewed));
        if (round == Round::nothing && !replies.empty()) round = Round::replies;
        co_return Status{};
      });
  if (!collected) co_return fail(collected.error());
  if (renewed) {
    std::lock_guard lock(mutex_);
    renewed_at_ = now;
    if (session_ == session) registered_ = true;
  }
  co_return round;
}

Async<Sessions::Replies> Sessions::read_replies(Transaction& transaction, BytesView prefix,
                                                const Bytes& session) {
  SEMPER_CO_TRY(auto page,
                co_await transaction.get_range(replies_of(prefix, session),
                                               {.limit = replies_per_round(transaction.limits()),
                                                .mode = ReadMode::snapshot}));
  const std::size_t most_bytes = transaction.limits().transaction_bytes / kReplyShare;
  const std::size_t most_operations = replies_per_round(transaction.limits());
  std::size_t bytes = 0;  // of large ones
  Replies replies;
  for (std::size_t at = 0; at < page.rows.size();) {
    if (bytes >= most_bytes || transaction.operation_count() >= most_operations) break;
    const auto& row = page.rows[at];
    transaction.clear(row.key);
    const auto number = number_of_reply_key(prefix, row.key);
    if (!number) {
      log_error("server", "a reply is dropped: " + number.error().to_string());
      ++at;
      continue;
    }
    // One that cannot be read is the answer of its caller, and in nobody's way.
    Result<Result<Bytes>> reply = Bytes();
    if (is_in_chunks(row.value)) {
      SEMPER_CO_TRY(const Bytes encoded, co_await take_chunks(transaction, page, at));
      bytes += encoded.size();
      reply = decode_reply(encoded);
    } else {
      ++at;
      reply = decode_reply(row.value);
    }
    Result<Bytes> answer = reply ? std::move(*reply) : Result<Bytes>(fail(reply.error()));
    replies.emplace_back(*number, std::move(answer));
  }
  co_return replies;
}

// What is to be done with the session's row, after what was handed out.
Async<Sessions::Round> Sessions::settle(Transaction& transaction, const Bytes& session,
                                        bool& renewed) {
  const auto& prefix = tenant_.prefix();
  bool due = false;
  bool registered = false;
  std::uint64_t renewals = 0;
  {
    std::lock_guard lock(mutex_);
    if (waiting_.empty() || session_ != session) {
      // A call that begins now takes a new session.
      transaction.clear_range(everything_of_session(prefix, session));
      if (session_ == session) {
        session_.clear();
        registered_ = false;
      }
      co_return Round::over;
    }
    due = tenant_.store()->env().clock->now() - renewed_at_ > kSessionRenewal;
    registered = registered_;
    if (due) renewals = ++renewals_;
  }
  if (!due) co_return Round::nothing;
  const Bytes key = session_key(prefix, session);
  SEMPER_CO_TRY(const auto row, co_await transaction.get(key));
  if (registered && !row && !SEMPER_MUTANT("server_taken_for_dead_unnoticed")) {
    transaction.clear_range(everything_of_session(prefix, session));
    co_return Round::taken_for_dead;
  }
  transaction.set(key, alive_record(renewals));
  renewed = true;
  co_return Round::nothing;
}

void Sessions::hand_out(Replies& replies) {
  for (auto& [number, reply] : replies) {
    std::lock_guard lock(mutex_);
    const auto found = waiting_.find(number);
    if (found != waiting_.end()) answer(found, std::move(reply));
  }
}

// Until there are replies, or the session is to be renewed.
Async<void> Sessions::wait_for_replies(const Bytes& session) {
  const auto& prefix = tenant_.prefix();
  Clock& clock = *tenant_.store()->env().clock;
  auto transaction = tenant_.store()->begin();
  SEMPER_CO_TRY(auto watch, co_await transaction.watch(session_wake_key(prefix, session)));
  SEMPER_CO_TRY(auto seen,
                co_await transaction.get_range(replies_of(prefix, session),
                                               {.limit = 1, .mode = ReadMode::snapshot}));
  if (!seen.rows.empty()) co_return Status{};
  auto changed = co_await watch->changed(clock.after(kSessionRenewal));
  if (!changed && changed.error().kind() != ErrorKind::timeout) co_return fail(changed.error());
  co_return Status{};
}

}  // namespace semper::internal
