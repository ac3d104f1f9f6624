// Any bytes as what publishers and hosts of one machine say to each other, and as the hello of
// their sockets: what is understood is what was there, and it is written again as it was read.
#include "backends/sqlite/link_socket.h"
#include "fuzz/fuzz.h"
#include "semper/base/assert.h"
#include "server/format/relay_frames.h"

namespace semper::fuzz {
namespace {

using namespace internal;

// Item by item: nothing was passed over, and no number was cut.
void hold_against(BytesView said, BytesView encoded) {
  Bytes there;
  Bytes understood;
  SEMPER_ASSERT(canonical_cbor(said, there), "what was understood is whole items");
  SEMPER_ASSERT(canonical_cbor(encoded, understood), "as is what we say");
  SEMPER_ASSERT(understood == there, "all of it was understood");
}

void check_hello_of_relay(BytesView said) {
  const auto session = decode_relay_hello(said);
  if (session) hold_against(said, encode_relay_hello(*session));
}

void check_casts(BytesView said) {
  const auto casts = decode_relay_casts(said);
  if (!casts) return;
  SEMPER_ASSERT(casts->units.size() <= kRelayUnitsPerMessage, "so many and no more");
  RelayCastsWriter writer(casts->floor);
  for (const auto& unit : casts->units) {
    SEMPER_ASSERT(!unit.messages.empty(), "a unit has messages");
    SegmentWriter segment;
    for (const auto& message : unit.messages) segment.add(Event::cast, message, {});
    writer.add(unit.number, unit.id, segment.finish());
  }
  const Bytes sent = writer.finish();
  const auto again = decode_relay_casts(sent);
  SEMPER_ASSERT(again && again->floor == casts->floor && again->units.size() == casts->units.size(),
                "casts that were understood can be sent on");
  for (std::size_t i = 0; i < casts->units.size(); ++i) {
    const auto& one = casts->units[i];
    const auto& other = again->units[i];
    SEMPER_ASSERT(one.number == other.number && one.id == other.id &&
                      one.messages.size() == other.messages.size(),
                  "they are the same");
    for (std::size_t k = 0; k < one.messages.size(); ++k) {
      SEMPER_ASSERT(one.messages[k].name == other.messages[k].name &&
                        one.messages[k].payload == other.messages[k].payload,
                    "with the same content");
    }
  }
}

void check_answers(BytesView said) {
  if (const auto answers = decode_relay_answers(said)) {
    hold_against(said, encode_relay_answers(*answers));
  }
  if (is_relay_goodbye(said)) hold_against(said, encode_relay_goodbye());
  if (const auto numbers = decode_relay_mark(said)) hold_against(said, encode_relay_mark(*numbers));
}

// No message is understood as one of another kind.
void check_kind(BytesView said) {
  const int kinds = (decode_relay_hello(said) ? 1 : 0) + (decode_relay_casts(said) ? 1 : 0) +
                    (decode_relay_answers(said) ? 1 : 0) + (is_relay_goodbye(said) ? 1 : 0);
  SEMPER_ASSERT(kinds <= 1, "a message is of one kind");
}

void check_hello_of_socket(BytesView said) {
  if (said.size() < sqlite::kHelloHeadBytes) return;
  const auto size = sqlite::hello_bytes(said.substr(0, sqlite::kHelloHeadBytes));
  if (!size) return;
  SEMPER_ASSERT(*size >= sqlite::kHelloHeadBytes && *size <= sqlite::kHelloHeadBytes + 255,
                "a hello is short");
  if (said.size() < *size) return;
  const auto hello = sqlite::decode_hello(said.substr(0, *size));
  SEMPER_ASSERT(sqlite::encode(hello) == said.substr(0, *size), "a hello has one encoding");
}

}  // namespace

std::vector<Bytes> seeds() {
  SegmentWriter one;
  one.add(Event::cast, {"Add", "\x05"}, {});
  SegmentWriter two;
  two.add(Event::cast, {"Add", "\x06"}, {});
  two.add(Event::cast, {"Note", Bytes(300, 'n')}, {});
  SegmentWriter call;
  call.add(Event::call, {"Add", "\x07"}, {"0123456789abcdef", 42});
  RelayCastsWriter casts(70'000);
  casts.add(70'001, "page/home", one.finish());
  casts.add(70'002, Bytes(200, 'i'), two.finish());
  RelayCastsWriter wrong(1);
  wrong.add(2, "page/home", call.finish());
  sqlite::Hello hello;
  hello.entry = 3;
  hello.secret = {1, 2, 3, 4};
  hello.topic = relay_topic("tenant", "Counter");
  return {encode_relay_hello("0123456789abcdef"),
          casts.finish(),
          RelayCastsWriter(70'002).finish(),
          wrong.finish(),
          encode_relay_answers({{70'001, RelayAnswer::taken}, {70'002, RelayAnswer::declined}}),
          encode_relay_goodbye(),
          encode_relay_mark({1, 24, 256, 70'000, std::uint64_t{1} << 40}),
          sqlite::encode(hello)};
}

void check(BytesView input) {
  check_hello_of_relay(input);
  check_casts(input);
  check_answers(input);
  check_kind(input);
  check_hello_of_socket(input);
}

}  // namespace semper::fuzz
