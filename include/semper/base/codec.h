// Codec<T>: C++ values to bytes and back; how states, messages and replies are stored.
//
// What for: any type that a program stores or sends, as one CBOR item, so that tools can show it
// without knowing the type. When not: keys (their order matters: use the tuple layer), or an
// existing wire format (specialise Codec for the type, or keep its bytes in a ByteString).
//
//   struct Add { std::int64_t by = 1; std::string note; };        // no macro, nothing to register
//
//   semper::Bytes bytes = semper::encode(Add{2, "hello"});        // CBOR [2, "hello"]
//   semper::Result<Add> add = semper::decode<Add>(bytes);
//   // or: "field 2 of Add: expected text, found an integer at byte 2"
//
// How types are encoded; the first line that fits a type applies:
//
//   a type with its own Codec              what that writes: exactly one item
//   bool, integers, float, double          boolean, integer, float (kept at its width)
//   std::string                            text; a byte string if not UTF-8. Reads both
//   std::string_view                       the same, written only
//   ByteString                             byte string
//   vector, array of std::byte, uint8_t    byte string
//   std::optional                          the value, or null
//   vector, deque, list, array, set,
//   unordered_set, pair, tuple             array
//   std::map, unordered_map                map, with keys of any of these types
//   std::variant                           array [index, value]
//   std::monostate                         empty array
//   std::chrono durations, and the
//   time_point of system_clock             their count, in the unit of the type
//   to_json and from_json (nlohmann)       objects as maps; include codec_json.h
//   protobuf messages                      tag kProtobufTag around a byte string
//   enums                                  integer
//   plain aggregates (see aggregate.h)     array of the fields by position
//
// How types may change while stored values stay readable:
//
//   aggregates  Append fields with a default member initialiser: values stored before lack them,
//               which leaves their default. Surplus fields at the end are ignored (an error with
//               DecodeOptions::strict). Never reorder fields, nor remove one before the end.
//   to_json     As its from_json says (value() with a default for fields added later).
//   protobuf    As protobuf says: unknown fields are kept, missing ones have their default.
//   the others  Exact: an array of another length, an index or number out of range, a repeated
//               key, or a byte too many is an error. But a float also reads an integer up to 2^53,
//               and an enum any number that its underlying type holds.
//
// Errors of decode are of kind invalid_argument and name the path (fields, elements and entries
// count from 1) and the byte; reading again will not help. If the bytes came from a store, treat
// such an error as `corrupt`: do not overwrite, inspect. encode does not fail: a type that cannot
// be stored does not compile, and nesting beyond cbor::kMaxDepth throws std::length_error.
//
// Memory: encode allocates only the output. decode allocates at most sizeof(element) per byte of
// input: lengths are checked against the remaining input before anything is reserved. Unordered
// containers are written in their own order, so equal containers may give different bytes.
// Threads: any; values are not shared.
#pragma once

#include <concepts>
#include <utility>

#include "semper/base/bytes.h"
#include "semper/base/internal/codec_core.h"
#include "semper/base/internal/codec_items.h"
#include "semper/base/result.h"

namespace semper {

// Specialise it for a type to define that type's own format:
//
//   template <> struct semper::Codec<Money> {
//     static void encode(const Money& money, Bytes& out);     // appends exactly one CBOR item
//     static Result<Money> decode(BytesView item);            // is given exactly that item
//   };
//
// Inside other types, such a T needs a default constructor.
template <class T, class Enable>
struct Codec {
  using BuiltIn = void;  // distinguishes this one from specialisations

  static void encode(const T& value, Bytes& out) {
    internal::codec::Encoder encoder(out);
    internal::codec::write_item(encoder, value);
  }

  static Result<T> decode(BytesView bytes, DecodeOptions options = {}) {
    static_assert(std::default_initializable<T>,
                  "decode makes a value first and fills it: T needs a default constructor");
    internal::codec::Decoder decoder(bytes, options);
    Result<T> result(tl::in_place);
    if (!internal::codec::read_item(decoder, *result) || !decoder.finish()) {
      result = fail(decoder.error());
    }
    return result;  // the one returned name: filled in place, not moved
  }
};

// Appends the value's item to `out`.
template <class T>
void encode_to(const T& value, Bytes& out) {
  Codec<T>::encode(value, out);
}

// The value's item, in one allocation of its size (none up to 15 bytes).
template <class T>
Bytes encode(const T& value) {
  internal::codec::ScratchBuffer scratch;
  Codec<T>::encode(value, scratch.bytes());
  return scratch.bytes();
}

// Decodes `bytes`, which must hold exactly one item. Keeps no reference to `bytes`.
template <class T>
Result<T> decode(BytesView bytes) {
  return Codec<T>::decode(bytes);
}
// With options; only for types without their own Codec.
template <class T>
Result<T> decode(BytesView bytes, DecodeOptions options) {
  return Codec<T>::decode(bytes, options);
}

}  // namespace semper
