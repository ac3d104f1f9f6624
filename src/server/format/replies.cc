#include "server/format/replies.h"

#include <map>

#include "semper/base/internal/mutant.h"
#include "server/format/keys.h"

namespace semper::internal {

void write_reply(Transaction& transaction, BytesView tenant_prefix, const OutgoingReply& reply) {
  transaction.set(reply_key(tenant_prefix, reply.to.session, reply.to.number), reply.encoded);
  transaction.add(session_wake_key(tenant_prefix, reply.to.session), 1);
}

Async<std::vector<std::size_t>> write_replies(Transaction& transaction, BytesView tenant_prefix,
                                              const std::vector<OutgoingReply>& replies) {
  std::map<Bytes, bool> alive;
  std::vector<std::size_t> left_out;
  for (std::size_t place = 0; place < replies.size(); ++place) {
    const OutgoingReply& reply = replies[place];
    auto known = alive.find(reply.to.session);
    if (known == alive.end()) {
      SEMPER_CO_TRY(const auto row,
                    co_await transaction.get(session_key(tenant_prefix, reply.to.session),
                                             ReadMode::snapshot));
      const bool is_there = row.has_value() || SEMPER_MUTANT("server_reply_for_a_cleared_caller");
      known = alive.emplace(reply.to.session, is_there).first;
      if (row) transaction.add(session_wake_key(tenant_prefix, reply.to.session), 1);
    }
    if (!known->second) {
      left_out.push_back(place);
      continue;
    }
    transaction.set(reply_key(tenant_prefix, reply.to.session, reply.to.number), reply.encoded);
  }
  co_return left_out;
}

}  // namespace semper::internal
