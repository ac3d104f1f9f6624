// Lets codec.h store every type that has to_json and from_json of nlohmann::json: by named fields.
//
// What for: types whose fields come and go, or whose stored form people should read by name; and
// nlohmann::json itself as a field or a state. When not: small messages on a hot path, where an
// aggregate by position is several times faster and smaller. Include it in the header that defines
// the type: codec.h alone does not pull nlohmann's header into every file.
//
//   #include "semper/base/codec_json.h"
//   struct Order { std::string item; int count = 1; };
//   NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(Order, item, count)
//   semper::Bytes bytes = semper::encode(Order{"tea", 2});    // CBOR {"count": 2, "item": "tea"}
//
// DecodeOptions::strict refuses a document with fields that to_json of the value read does not write
// again (null ones excepted).
//
// A type that has both functions, found by its namespace or as friends, is always stored this way,
// also if it is a plain aggregate or an enum. Unknown and missing fields: as from_json does. An
// exception out of from_json is a decode error with its text; one out of to_json goes to the caller
// of encode.
//
// The document as CBOR: objects are maps in the order of their keys, integers and strings as
// everywhere, floats are doubles, binary values byte strings. A string that is not UTF-8 is the tag
// kNotUtf8Tag around a byte string, so that it comes back as a string.
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <nlohmann/json.hpp>
#include <string>

#include "semper/base/codec.h"
#include "semper/base/type_name.h"

namespace semper {

// Not registered with IANA ("SPB2").
inline constexpr std::uint64_t kNotUtf8Tag = 0x53504232;

namespace codec_internal {

void write_json(Encoder& encoder, const nlohmann::json& document);
// Whether everything that is in `stored` is in `again` too: for fields that from_json passed over. False:
// `lost` names the first one that is not.
bool keeps_fields(const nlohmann::json& stored, const nlohmann::json& again, std::string& lost);
// Refuses what JSON has no word for: other tags, simple values, keys that are no text, integers
// past 64 bits, repeated keys.
bool read_json(Decoder& decoder, nlohmann::json& document);

template <>
struct StandardItem<nlohmann::json> {
  static void write(Encoder& encoder, const nlohmann::json& value) { write_json(encoder, value); }
  static bool read(Decoder& decoder, nlohmann::json& value) { return read_json(decoder, value); }
};

}  // namespace codec_internal

template <class T>
struct JsonBridge {
  static void write(codec_internal::Encoder& encoder, const T& value) {
    nlohmann::json document;
    to_json(document, value);
    codec_internal::write_json(encoder, document);
  }

  static bool read(codec_internal::Decoder& decoder, T& value) {
    const std::size_t start = decoder.offset();
    nlohmann::json document;
    if (!codec_internal::read_json(decoder, document)) return false;
    try {
      from_json(document, value);
      if (!decoder.options().strict) return true;
      nlohmann::json again;
      std::string lost;
      to_json(again, value);
      return codec_internal::keeps_fields(document, again, lost) ||
             decoder.fail_with(type_name<T>(), "no field " + lost + " is known here", start);
    } catch (const std::exception& exception) {
      return decoder.fail_with(type_name<T>(), exception.what(), start);
    }
  }
};

}  // namespace semper
