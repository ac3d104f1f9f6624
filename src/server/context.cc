#include "semper/server/context.h"

#include "enqueue.h"
#include "replies.h"
#include "send_counts.h"

namespace semper {

void Context::reply_error(const ReplyToken& to, const Error& error) {
  if (to.is_empty()) return;
  internal::write_reply(transaction(), tenant().prefix(),
                        {to, internal::encode_reply_error(error)});
}

void Context::send_reply(const ReplyToken& to, BytesView encoded) {
  if (to.is_empty()) return;
  internal::write_reply(transaction(), tenant().prefix(),
                        {to, internal::encode_reply_within(encoded, transaction().limits())});
}

void Context::send_cast(const EntityId& to, std::string_view message, BytesView payload) {
  if (fields_.sends->refused) return;
  const internal::QueuedMessage queued{
      internal::Kind::cast, std::string(message), Bytes(payload), {}};
  Status possible = to.validate();
  if (possible) possible = internal::check_message_size(queued, transaction().limits());
  if (possible && fields_.sends->segments == internal::kSegmentsPerTransaction) {
    possible = fail(ErrorKind::exhausted, "one transaction sends at most " +
                                              std::to_string(internal::kSegmentsPerTransaction) +
                                              " messages");
  }
  if (!possible) {
    fields_.sends->refused = possible.error().in("a message to " + to.to_string());
    return;
  }
  const internal::EntityKeys keys(tenant().prefix(), to);
  internal::Enqueuer enqueuer(transaction(), fields_.sends->segments++);
  enqueuer.add(keys, {&queued});
  enqueuer.finish();
  auto& sends = *fields_.sends;
  if (to == *fields_.id) {
    ++sends.to_itself;
    return;
  }
  const bool is_due = sends.counts != nullptr && sends.counts->add(keys.pushed());
  if (is_due && (sends.to_check.empty() || sends.to_check.back() != to)) {
    sends.to_check.push_back(to);
  }
}

}  // namespace semper
