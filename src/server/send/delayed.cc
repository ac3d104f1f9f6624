#include "server/send/delayed.h"

#include <utility>

#include "semper/base/internal/mutant.h"
#include "server/format/timer_book.h"
#include "server/send/call_chain.h"
#include "server/send/keyed_send.h"
#include "server/send/open_span.h"

namespace semper::internal {
namespace {

// Of the names that delayed casts have, behind a tilde.
constexpr std::size_t kNameBytes = 16;

// Writes only, besides the count and the key: senders without a key do not conflict.
Async<void> set(std::shared_ptr<const Target> target, TimerSpec spec) {
  const auto& keys = target->keys;
  const Env env = target->store().env();
  if (!spec.message.trace) {
    const Executor from = co_await asio::this_coro::executor;
    if (const auto trace = trace_of(from)) {
      spec.message.trace = sent_at(trace->context, env.clock->wall_time());
    }
  }
  const std::string name = "~" + to_hex(env.random->bytes(kNameBytes));
  const TimerRecord timer = begin_timer(std::move(spec), to_timer_ms(env.clock->wall_time()));
  const auto& key = timer.spec.key;
  std::optional<KeyedSend> keyed;
  if (key) keyed.emplace(key);
  const auto write = [&](Transaction& transaction) -> Async<void> {
    KeyBook book;
    if (keyed) {
      const ReplyToken nobody;
      SEMPER_CO_TRY_STATUS(co_await meet(transaction, *target, Event::cast, timer.spec.message,
                                         nobody, *keyed, book));
      if (keyed->answer && !*keyed->answer) co_return fail(keyed->answer->error());
      if (!keyed->is_sent && !SEMPER_MUTANT("server_delayed_cast_sent_again")) co_return Status{};
    }
    SEMPER_CO_TRY(const auto raw, co_await transaction.get(keys.timer_count(), ReadMode::snapshot));
    if (counter_value(raw) >= kTimersPerEntity) co_return fail(too_many_timers());
    write_timer(transaction, keys, name, timer);
    transaction.add(keys.timer_count(), 1);
    book.settle(transaction, target->tenant.prefix());
    co_return Status{};
  };
  const Status written = co_await target->store().transact(write);
  if (written) co_return Status{};
  const bool is_cut = written.error().kind() == ErrorKind::cancelled;
  if (!is_cut) co_return fail(written.error().in("a delayed cast to " + target->id.to_string()));
  co_return fail(ErrorKind::outcome_unknown, "the wait for " + target->id.to_string() +
                                                 " was cancelled; the message may still be sent");
}

}  // namespace

Async<void> cast_after(std::shared_ptr<const Target> target, Duration delay, RawMessage message,
                       std::shared_ptr<const MessageKey> key) {
  if (!target->valid) co_return fail(target->valid.error());
  SEMPER_CO_TRY(auto spec, timer_after(delay, std::move(message), target->store().limits()));
  spec.key = std::move(key);
  co_return co_await set(std::move(target), std::move(spec));
}

Async<void> cast_at(std::shared_ptr<const Target> target, WallTime when, RawMessage message,
                    std::shared_ptr<const MessageKey> key) {
  if (!target->valid) co_return fail(target->valid.error());
  SEMPER_CO_TRY(auto spec, timer_at(when, std::move(message), target->store().limits()));
  spec.key = std::move(key);
  co_return co_await set(std::move(target), std::move(spec));
}

}  // namespace semper::internal
