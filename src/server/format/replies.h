// Replies to callers in other processes, written in the transaction that made them.
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

#include "semper/store/transaction.h"
#include "server/format/records.h"

namespace semper::internal {

struct OutgoingReply {
  ReplyToken to;
  Bytes encoded;  // by encode_reply or encode_reply_error
};

// The reply and the touch that wakes its session.
void write_reply(Transaction& transaction, BytesView tenant_prefix, const OutgoingReply& reply);

// The same for many; those whose session is gone are left out. Returns their places.
Async<std::vector<std::size_t>> write_replies(Transaction& transaction, BytesView tenant_prefix,
                                              const std::vector<OutgoingReply>& replies);

}  // namespace semper::internal
