#include "server/send/keyed_send.h"

#include <utility>

#include "server/format/timers.h"

namespace semper::internal {

Async<void> meet(Transaction& transaction, const Target& target, Event event,
                 const RawMessage& message, const ReplyToken& caller, KeyedSend& keyed,
                 KeyBook& book) {
  keyed.is_sent = false;
  keyed.answer.reset();
  const KeyAddress address{target.id, message.name, keyed.key->text};
  const KeyBook::Place place{transaction, transaction, target.tenant.prefix()};
  SEMPER_CO_TRY_STATUS(co_await book.look(place, address, KeyBook::Loaded::no));
  if (event == Event::call) SEMPER_CO_TRY_STATUS(co_await book.make_room(place, address));
  const std::int64_t now = to_timer_ms(target.store().env().clock->wall_time());
  const KeyBook::Sent sent{*keyed.key, event, caller};
  auto met = book.meet(address, sent, KeyBook::By::sender, now);
  const bool call = event == Event::call;
  using What = KeyBook::Meeting::What;
  keyed.is_sent = met.what == What::first;
  if (met.what == What::refused) {
    keyed.answer.emplace(fail(std::move(*met.error)));
  } else if (met.what == What::answered && call) {
    SEMPER_CO_TRY(keyed.answer, decode_reply(met.reply));
  } else if (met.what != What::first && !call) {
    keyed.answer.emplace(Bytes());
  }
  co_return Status{};
}

Async<void> detach(std::shared_ptr<const Target> target, std::string message, std::string key,
                   ReplyToken caller) {
  const KeyAddress address{target->id, std::move(message), std::move(key)};
  const auto remove = [&](Transaction& transaction) -> Async<void> {
    KeyBook book;
    const KeyBook::Place place{transaction, transaction, target->tenant.prefix()};
    SEMPER_CO_TRY_STATUS(co_await book.look(place, address, KeyBook::Loaded::no));
    book.detach(address, caller);
    book.settle(transaction, target->tenant.prefix());
    co_return Status{};
  };
  co_return co_await target->store().transact(remove);
}

}  // namespace semper::internal
