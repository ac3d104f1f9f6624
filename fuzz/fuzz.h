// What a fuzz target is: a file fuzz/NAME_fuzz.cc that defines the two functions below. It becomes
// a program of its own, with libFuzzer in the preset fuzz, else with our short driver, a test.
//
// For targets alone. What they hold against what they were given is said with SEMPER_ASSERT; the
// bounds on time and memory are the driver's.
#pragma once

#include <string>
#include <vector>

#include "semper/base/bytes.h"
#include "semper/base/cbor.h"

namespace semper::fuzz {

// Inputs to begin with, made by the code that writes such things. The same in each run.
std::vector<Bytes> seeds();

// Does with the input what a reader does that got it from a stranger, and ends the process where a
// promise is broken.
void check(BytesView input);

// Parts of an input, for targets that need several: cut off its front.
class Parts {
 public:
  explicit Parts(BytesView input) : rest_(input) {}

  std::uint8_t octet() {
    const BytesView one = take(1);
    return one.empty() ? 0 : static_cast<std::uint8_t>(one[0]);
  }
  // A length of two bytes, then as many bytes, or what there is.
  BytesView piece() {
    const std::size_t low = octet();
    const std::size_t high = octet();
    return take(low | high << 8);
  }
  BytesView rest() const { return rest_; }
  bool at_end() const { return rest_.empty(); }

 private:
  BytesView take(std::size_t size) {
    const BytesView taken = rest_.substr(0, size);
    rest_.remove_prefix(taken.size());
    return taken;
  }

  BytesView rest_;
};

// What Parts::piece() cuts off again. Precondition: shorter than 64 KiB.
inline void append_piece(Bytes& out, BytesView piece) {
  out.push_back(static_cast<char>(piece.size() & 0xff));
  out.push_back(static_cast<char>(piece.size() >> 8));
  out.append(piece);
}

// The same items in the form that cbor::Writer writes: one item for one, so that what a decoder has
// understood can be held against what was there. False: `items` are not whole CBOR items.
inline bool canonical_cbor(BytesView items, Bytes& out) {
  cbor::Reader reader(items);
  cbor::Writer writer(out);
  cbor::Item item;
  while (reader.bytes_left() > 0) {
    if (!reader.read(item)) return false;
    switch (item.kind) {
      case cbor::Kind::unsigned_integer:
        writer.unsigned_integer(item.argument);
        break;
      case cbor::Kind::negative_integer:
        writer.minus_one_minus(item.argument);
        break;
      case cbor::Kind::bytes:
        writer.bytes(item.string);
        break;
      case cbor::Kind::text:
        writer.text(item.string);
        break;
      case cbor::Kind::array:
        writer.array(item.argument);
        break;
      case cbor::Kind::map:
        writer.map(item.argument);
        break;
      case cbor::Kind::tag:
        writer.tag(item.argument);
        break;
      case cbor::Kind::boolean:
        writer.boolean(item.truth());
        break;
      case cbor::Kind::null:
        writer.null();
        break;
      case cbor::Kind::floating:
        if (item.is_single) {
          writer.floating(static_cast<float>(item.number));
        } else {
          writer.floating(item.number);
        }
        break;
      case cbor::Kind::simple:
        writer.simple(static_cast<std::uint8_t>(item.argument));
        break;
      case cbor::Kind::end:
        return false;
    }
  }
  return true;
}

}  // namespace semper::fuzz
