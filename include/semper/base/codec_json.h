// Lets codec.h store every type that has to_json and from_json of nlohmann::json, by named fields.
//
// What for: types whose fields come and go, or whose stored form people should read by name; and
// nlohmann::json itself as a field or a state. When not: small messages on a hot path, where an
// aggregate by position is several times faster and smaller. Include it in the header that defines
// the type: codec.h alone does not pull nlohmann's header into every file.
//
//   #include "semper/base/codec_json.h"
//
//   struct Order { std::string item; int count = 1; };
//   NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(Order, item, count)
//
//   semper::Bytes bytes = semper::encode(Order{"tea", 2});    // CBOR {"count": 2, "item": "tea"}
//
// DecodeOptions::strict refuses a document with fields that to_json does not write back (except
// null fields).
//
// A type that has both functions, found by its namespace or as friends, is always stored this way,
// even if it is a plain aggregate or an enum. from_json decides about unknown and missing fields.
// An exception from from_json is a decode error with its text; one from to_json goes to the caller
// of encode.
//
// The document as CBOR: objects are maps in the order of their keys, integers and strings as
// everywhere, floats are doubles, binary values byte strings. A string that is not UTF-8 is the tag
// kNotUtf8Tag around a byte string, so that it is decoded as a string again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <nlohmann/json.hpp>
#include <string>

#include "semper/base/codec.h"
#include "semper/base/internal/codec_json.h"
#include "semper/base/internal/thrown.h"
#include "semper/base/type_name.h"

namespace semper {

// Not registered with IANA ("SPB2").
inline constexpr std::uint64_t kNotUtf8Tag = 0x53504232;

template <class T>
struct JsonBridge {
  static void write(internal::codec::Encoder& encoder, const T& value) {
    nlohmann::json document;
    to_json(document, value);
    internal::codec::write_json(encoder, document);
  }

  static bool read(internal::codec::Decoder& decoder, T& value) {
    const std::size_t start = decoder.offset();
    nlohmann::json document;
    if (!internal::codec::read_json(decoder, document)) return false;
    try {
      from_json(document, value);
      if (!decoder.options().strict) return true;
      nlohmann::json again;
      std::string lost;
      to_json(again, value);
      return internal::codec::keeps_fields(document, again, lost) ||
             decoder.fail_with(type_name<T>(), "no field " + lost + " is known here", start);
    } catch (const std::exception& exception) {
      return decoder.fail_with(type_name<T>(), internal::text_of(exception), start);
    } catch (...) {
      return decoder.fail_with(type_name<T>(), "an exception of an unknown type", start);
    }
  }
};

}  // namespace semper
