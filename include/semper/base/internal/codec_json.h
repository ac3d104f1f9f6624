// JSON documents as CBOR items: the part of codec_json.h that is not a template.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "semper/base/internal/codec_core.h"

namespace semper::internal::codec {

void write_json(Encoder& encoder, const nlohmann::json& document);
// Whether everything that is in `stored` is in `again` too: for fields that from_json passed over.
// False: `lost` names the first one that is not.
bool keeps_fields(const nlohmann::json& stored, const nlohmann::json& again, std::string& lost);
// Refuses what JSON has no word for: other tags, simple values, keys that are no text, integers
// past 64 bits, repeated keys.
bool read_json(Decoder& decoder, nlohmann::json& document);

template <>
struct StandardItem<nlohmann::json> {
  static void write(Encoder& encoder, const nlohmann::json& value) { write_json(encoder, value); }
  static bool read(Decoder& decoder, nlohmann::json& value) { return read_json(decoder, value); }
};

}  // namespace semper::internal::codec
