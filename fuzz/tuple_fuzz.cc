// Any bytes as a key, and any text as a tuple that a person typed: a key that is read has those
// bytes and no others, sorts as its values do, and comes back from what is shown of it.
#include <limits>
#include <string>

#include "fuzz/fuzz.h"
#include "semper/base/assert.h"
#include "semper/store/big_integer.h"
#include "semper/store/tuple.h"
#include "semper/store/tuple_stream.h"
#include "semper/store/tuple_text.h"
#include "semper/store/uuid.h"
#include "semper/store/versionstamp.h"

namespace semper::fuzz {
namespace {

bool can_be_skipped(BytesView input) {
  TupleReader reader(input);
  while (!reader.at_end()) {
    if (!reader.skip()) return false;
  }
  return true;
}

void check_key(BytesView input) {
  const auto tuple = Tuple::unpack(input);
  SEMPER_ASSERT(tuple.has_value() == can_be_skipped(input), "who passes over it sees the same");
  if (tuple) {
    SEMPER_ASSERT(tuple->pack() == input, "a tuple has one encoding");
    const auto typed = parse_tuple_text(to_text(*tuple));
    SEMPER_ASSERT(typed && *typed == *tuple, "a tuple comes back from its text");
    SEMPER_ASSERT(typed->pack() == input, "bit for bit");
  }
  const auto key = parse_key_text(printable_key(input));
  SEMPER_ASSERT(key && *key == input, "a key comes back from what is shown of it");
}

void check_order(BytesView input) {
  Parts parts(input);
  const BytesView first = parts.piece();
  const BytesView second = parts.rest();
  const auto one = Tuple::unpack(first);
  const auto other = Tuple::unpack(second);
  if (!one || !other) return;
  SEMPER_ASSERT((*one <=> *other) == (first <=> second), "tuples sort as their bytes do");
}

void check_text(BytesView input) {
  if (const auto tuple = parse_tuple_text(input)) {
    const auto back = Tuple::unpack(tuple->pack());
    SEMPER_ASSERT(back && *back == *tuple, "what was typed can be stored");
    const auto again = parse_tuple_text(to_text(*tuple));
    SEMPER_ASSERT(again && *again == *tuple, "and be shown and typed again");
  }
  if (const auto key = parse_key_text(input)) {
    const auto again = parse_key_text(printable_key(*key));
    SEMPER_ASSERT(again && *again == *key, "a typed key comes back");
  }
  if (const auto uuid = Uuid::from_string(input)) {
    SEMPER_ASSERT(Uuid::from_string(uuid->to_string()).value() == *uuid, "a uuid comes back");
  }
  if (const auto stamp = Versionstamp::from_string(input)) {
    const auto again = Versionstamp::from_string(stamp->to_string());
    SEMPER_ASSERT(again && *again == *stamp, "a stamp comes back");
  }
  if (const auto integer = BigInteger::from_string(input)) {
    const auto again = BigInteger::from_string(integer->to_string());
    SEMPER_ASSERT(again && *again == *integer, "a number comes back");
  }
}

}  // namespace

std::vector<Bytes> seeds() {
  const Tuple plain{"users", 42, -7, nullptr, true, 1.5, 0.5f, ByteString{Bytes("\x00\xff", 2)}};
  const Tuple nested{nested_tuple({nullptr, "a", nested_tuple({1})}), Versionstamp::incomplete(3)};
  const Tuple wide{std::numeric_limits<std::uint64_t>::max(),
                   BigInteger::from_string("-123456789012345678901234567890").value(), Uuid()};
  std::vector<Bytes> made;
  Bytes both;
  append_piece(both, plain.pack());
  both += nested.pack();
  made.push_back(both);
  for (const Tuple* tuple : {&plain, &nested, &wide}) {
    made.push_back(tuple->pack());
    made.push_back(to_text(*tuple));
  }
  made.emplace_back(R"(("\u{1F600}\x41\"", b"\x00\xff", double"7ff0000000000001", float"-inf", ))");
  made.emplace_back(R"(\x00users\xff)");
  made.push_back(Uuid().to_string());
  made.push_back(Versionstamp::complete(12, 0, 7).to_string());
  made.push_back(Bytes(300, '('));
  made.push_back(Bytes(300, '\x05'));
  return made;
}

void check(BytesView input) {
  check_key(input);
  check_order(input);
  check_text(input);
}

}  // namespace semper::fuzz
