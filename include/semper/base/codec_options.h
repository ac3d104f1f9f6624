// Options of codec.h, and the tags that it writes around data that is not CBOR.
//
// What for: decode with options, and headers that only name a Codec. When not: storing something;
// include codec.h.
//
//   auto typed_by_hand = semper::decode<Order>(bytes, {.strict = true});
//
// Threads: values.
#pragma once

#include <cstdint>

namespace semper {

template <class T, class Enable = void>
struct Codec;

// Defined by codec_json.h.
template <class T>
struct JsonBridge;

struct DecodeOptions {
  // Refuse more fields than the aggregate has. Default: ignore them, so that a program can read
  // what a newer one wrote. Turn it on for input typed by people, where an extra field is a
  // mistake.
  bool strict = false;
};

// The tag around a protobuf message in its wire format; not registered with IANA ("SPB1").
inline constexpr std::uint64_t kProtobufTag = 0x53504231;

}  // namespace semper
