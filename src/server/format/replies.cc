#include "server/format/replies.h"

#include <algorithm>
#include <map>

#include "semper/base/cbor.h"
#include "semper/base/internal/mutant.h"
#include "server/format/keys.h"

namespace semper::internal {
namespace {

// In the place of an error's kind, which it is to programs that do not know it.
constexpr std::string_view kChunked = "chunked";

void set_reply(Transaction& transaction, BytesView tenant_prefix, const OutgoingReply& reply) {
  const Bytes key = reply_key(tenant_prefix, reply.to.session, reply.to.number);
  const std::size_t value_bytes = transaction.limits().value_bytes;
  if (reply.encoded.size() <= value_bytes) {
    transaction.set(key, reply.encoded);
    return;
  }
  const std::size_t chunk_bytes = std::min(kReplyChunkBytes, value_bytes);
  // Of a reply to the same call, which this one replaces.
  if (!SEMPER_MUTANT("server_reply_replaced_in_part")) transaction.clear_range(reply_chunks(key));
  transaction.set(key, encode_chunked(reply.encoded.size()));
  std::uint32_t index = 0;
  for (std::size_t at = 0; at < reply.encoded.size(); at += chunk_bytes) {
    transaction.set(reply_chunk_key(key, index++),
                    BytesView(reply.encoded).substr(at, chunk_bytes));
    if (SEMPER_MUTANT("server_reply_of_one_chunk")) return;
  }
}

}  // namespace

Bytes encode_chunked(std::size_t bytes) {
  Bytes out;
  cbor::Writer writer(out);
  writer.array(2);
  writer.text(kChunked);
  writer.text("the message was processed, but its reply of " + std::to_string(bytes) +
              " bytes lies in chunks, which this program is too old to read; update it");
  return out;
}

bool is_in_chunks(BytesView row) {
  cbor::Reader reader(row);
  std::uint64_t elements = 0;
  std::string_view kind;
  return reader.read_array(elements) && elements == 2 && reader.read_text(kind) && kind == kChunked;
}

Async<Bytes> take_chunks(Transaction& transaction, const RangePage& page, std::size_t& at) {
  const KeyRange all = reply_chunks(page.rows[at].key);
  KeyRange rest = all;
  Bytes encoded;
  const auto take = [&](const KeyValue& row) {
    encoded += row.value;
    rest.begin = key_after(row.key);
  };
  ++at;
  for (; at < page.rows.size() && rest.contains(page.rows[at].key); ++at) take(page.rows[at]);
  for (bool more = at == page.rows.size() && page.more; more;) {
    const RangeOptions options{.mode = ReadMode::snapshot};
    SEMPER_CO_TRY(const auto next, co_await transaction.get_range(rest, options));
    for (const auto& row : next.rows) take(row);
    more = next.more && !next.rows.empty();
  }
  transaction.clear_range(all);
  co_return encoded;
}

void write_reply(Transaction& transaction, BytesView tenant_prefix, const OutgoingReply& reply) {
  set_reply(transaction, tenant_prefix, reply);
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
    set_reply(transaction, tenant_prefix, reply);
  }
  co_return left_out;
}

}  // namespace semper::internal
