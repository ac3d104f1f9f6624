// Replies to callers in other processes, written in the transaction that made them.
//
// One that is larger than a value of the store lies in chunks right behind its row, which says so,
// and goes with them: to whoever takes it, with its session, or with what is written over it. A
// program that is too old for chunks takes the row for an error, and takes the chunks away with it.
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

#include "semper/store/transaction.h"
#include "server/format/records.h"

namespace semper::internal {

// Of one chunk, where the store's values are not smaller.
inline constexpr std::size_t kReplyChunkBytes = 64u << 10;

struct OutgoingReply {
  ReplyToken to;
  Bytes encoded;  // by encode_reply, encode_reply_within or encode_reply_error
};

// The reply and the touch that wakes its session.
void write_reply(Transaction& transaction, BytesView tenant_prefix, const OutgoingReply& reply);

// The same for many; those whose session is gone are left out. Returns their places.
Async<std::vector<std::size_t>> write_replies(Transaction& transaction, BytesView tenant_prefix,
                                              const std::vector<OutgoingReply>& replies);

// What a reply's row has where the reply itself, of so many bytes, is in chunks.
Bytes encode_chunked(std::size_t bytes);
bool is_in_chunks(BytesView row);

// Takes the chunks of the reply whose row is row number `at` of what was read, and moves it behind
// them; the page may end among them. Gives the encoded reply.
Async<Bytes> take_chunks(Transaction& transaction, const RangePage& page, std::size_t& at);

}  // namespace semper::internal
