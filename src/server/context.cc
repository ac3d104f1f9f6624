#include "semper/server/context.h"

#include "enqueue.h"
#include "replies.h"
#include "semper/base/assert.h"

namespace semper {

void Context::reply_error(const ReplyToken& to, const Error& error) {
  if (to.is_empty()) return;
  internal::write_reply(transaction(), tenant().prefix(),
                        {to, internal::encode_reply_error(error)});
}

void Context::send_reply(const ReplyToken& to, BytesView encoded) {
  if (to.is_empty()) return;
  internal::write_reply(transaction(), tenant().prefix(), {to, internal::encode_reply(encoded)});
}

void Context::send_cast(const EntityId& to, std::string_view message, BytesView payload) {
  const Status valid = to.validate();
  SEMPER_ASSERT(valid.has_value(), "a message goes to an entity with a valid id");
  const internal::EntityKeys keys(tenant().prefix(), to);
  const internal::QueuedMessage queued{
      internal::Kind::cast, std::string(message), Bytes(payload), {}};
  internal::Enqueuer enqueuer(transaction(), (*fields_.segments_sent)++);
  enqueuer.add(keys, {&queued});
  enqueuer.finish();
}

}  // namespace semper
