// How codec.h reads, and what it writes around what is not CBOR.
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
  // Refuse fields past those the aggregate has. Default: ignore them, so that a program reads what
  // a newer one has written. Turn on where input is typed by a person and a surplus is a mistake.
  bool strict = false;
};

// The tag around a protobuf message in its wire format; not registered with IANA ("SPB1").
inline constexpr std::uint64_t kProtobufTag = 0x53504231;

}  // namespace semper
