// What a publisher and a host of one machine say to each other (send/relay.h, serve/relayed.h), and
// what of it lies in the store.
//
//   hello: [0, format, session]                     once, first; the topic has said tenant and type
//   casts: [1, floor, [number, id, segment]...]     a segment as in a queue: records.h
//   answers: [2, [number, what]...]                 what: 0 taken, 1 declined
//   goodbye: [3]                                    nothing is under way, and no more will come
//
//   (4, session, 2)       as long as this is there, hosts may commit for that session
//   (4, session, 2, n)    the numbers of what was taken by commit n, until the publisher knows
//
// CBOR. A program that cannot read what it is told ends the link.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "semper/base/bytes.h"
#include "semper/base/result.h"
#include "server/format/records.h"

namespace semper::internal {

// Entities to which one message of casts may be.
inline constexpr std::size_t kRelayUnitsPerMessage = 1024;

// Casts to one entity, to be run together.
struct RelayUnit {
  std::uint64_t number = 0;  // of its publisher's session; grows
  std::string id;
  std::vector<RawMessage> messages;
};

enum class RelayAnswer : std::uint8_t { taken = 0, declined = 1 };

// The topic under which a host takes casts to a type.
Bytes relay_topic(BytesView tenant_prefix, std::string_view type);

Bytes encode_relay_hello(BytesView session);
Result<Bytes> decode_relay_hello(BytesView bytes);

class RelayCastsWriter {
 public:
  // Every number up to `floor` was answered.
  explicit RelayCastsWriter(std::uint64_t floor) : floor_(floor) {}
  void add(std::uint64_t number, std::string_view id, Bytes segment);
  std::size_t size_bytes() const { return body_.size(); }
  std::size_t count() const { return count_; }
  Bytes finish();

 private:
  std::uint64_t floor_;
  Bytes body_;
  std::size_t count_ = 0;
};

struct RelayCasts {
  std::uint64_t floor = 0;
  std::vector<RelayUnit> units;
};
Result<RelayCasts> decode_relay_casts(BytesView bytes);

using RelayAnswers = std::vector<std::pair<std::uint64_t, RelayAnswer>>;
Bytes encode_relay_answers(const RelayAnswers& answers);
Result<RelayAnswers> decode_relay_answers(BytesView bytes);

Bytes encode_relay_goodbye();
bool is_relay_goodbye(BytesView bytes);

Bytes encode_relay_mark(const std::vector<std::uint64_t>& numbers);
Result<std::vector<std::uint64_t>> decode_relay_mark(BytesView bytes);

}  // namespace semper::internal
