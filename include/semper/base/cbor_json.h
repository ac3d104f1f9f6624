// CBOR as JSON text and back: how tools show states and messages, and how people type them.
//
// What for: the command line, the dashboard, logs of a test. When not: to store a type by named
// fields (codec_json.h), or as a wire format between programs (send the CBOR).
//
//   auto text = semper::cbor_to_json(semper::encode(Add{2, "hi"}));    // [2,"hi"]
//   auto bytes = semper::json_to_cbor(R"([2, "hi"])");                 // the same bytes again
//
// Every CBOR item has a JSON form, and json_to_cbor converts it back. Items that JSON cannot
// express are objects with one key that starts with a dollar sign:
//
//   byte string            {"$bytes": "00ff"}           hexadecimal, two digits a byte
//   infinity, not a number {"$float": "Infinity"}       or "-Infinity", "NaN"
//   tag                    {"$tag": [1, VALUE]}
//   undefined and others   {"$simple": 23}
//   map with a key that    {"$map": [[KEY, VALUE], ...]}
//   is no text or starts
//   with a dollar sign
//
// Numbers: integers are written without a point or exponent, floats with one, in the fewest digits
// that distinguish them; so 1 and 1.0 keep their types. Not everything round-trips exactly: a
// 4-byte float becomes a double, NaN loses its payload, lengths and integers get their shortest
// form, and a map with a repeated text key, which CBOR forbids, is shown but cannot be read back.
// Control characters in texts are escaped, including those above 127, so showing stored text cannot
// control a terminal.
//
// Both take time and memory in proportion to the input. Errors are of kind invalid_argument: the
// input is wrong and the message says where; for CBOR by its byte, for JSON by line and column, or
// by the offending value. Threads: any.
#pragma once

#include <string>
#include <string_view>

#include "semper/base/bytes.h"
#include "semper/base/result.h"

namespace semper {

struct JsonStyle {
  // Spaces per level; 0 puts everything on one line. Default 0; 2 is easy to read.
  int indent = 0;
};

// Converts exactly one CBOR item to text.
Result<std::string> cbor_to_json(BytesView item, JsonStyle style = {});

// The CBOR item of a JSON text. Object keys keep their order. Refused: repeated keys, integers
// beyond 64 bits (-2^64 to 2^64-1), floats beyond a double, unknown keys with a dollar sign, and
// more than cbor::kMaxDepth levels.
Result<Bytes> json_to_cbor(std::string_view json);

}  // namespace semper
