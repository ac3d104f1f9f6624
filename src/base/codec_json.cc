#include "semper/base/codec_json.h"

#include <string>
#include <utility>

namespace semper::internal::codec {
namespace {

using nlohmann::json;

void write_string(Encoder& encoder, const std::string& value) {
  if (is_utf8(value)) return encoder.text(value);
  encoder.tag(kNotUtf8Tag);
  encoder.bytes(value);
}

bool keeps_member(const json& stored, const json& again, const std::string& name,
                  std::string& lost) {
  if (stored.is_null()) return true;
  const auto found = again.find(name);
  if (found == again.end()) {
    lost = '"' + name + '"';
    return false;
  }
  if (keeps_fields(stored, *found, lost)) return true;
  lost += " in \"" + name + '"';
  return false;
}

bool read_integer(Decoder& decoder, json& document) {
  const bool is_negative = decoder.peek() == cbor::Kind::negative_integer;
  if (!is_negative) {
    std::uint64_t number = 0;
    if (!decoder.read_unsigned(number)) return false;
    document = number;
    return true;
  }
  std::int64_t number = 0;
  if (!decoder.read_signed(number)) return false;
  document = number;
  return true;
}

bool read_tagged_string(Decoder& decoder, std::string& value) {
  const std::size_t start = decoder.offset();
  std::uint64_t tag = 0;
  if (!decoder.read_tag(tag)) return false;
  if (tag != kNotUtf8Tag) {
    return decoder.fail("found tag " + std::to_string(tag) +
                        ", which has no form in JSON, at byte " + std::to_string(start));
  }
  BytesView bytes;
  if (!decoder.read_bytes(bytes)) return false;
  value.assign(bytes);
  return true;
}

bool read_key(Decoder& decoder, std::string& key) {
  if (decoder.peek() == cbor::Kind::tag) return read_tagged_string(decoder, key);
  std::string_view text;
  if (!decoder.read_text(text)) return false;
  key.assign(text);
  return true;
}

bool read_array(Decoder& decoder, json& document) {
  std::uint64_t elements = 0;
  if (!decoder.read_array(elements) || !decoder.enter()) return false;
  json::array_t array;
  reserve_for(array, elements);
  for (std::uint64_t i = 0; i < elements; ++i) {
    if (!read_json(decoder, array.emplace_back())) return decoder.fail_in("element", i + 1);
  }
  decoder.leave();
  document = std::move(array);
  return true;
}

bool read_object(Decoder& decoder, json& document) {
  std::uint64_t entries = 0;
  if (!decoder.read_map(entries) || !decoder.enter()) return false;
  json::object_t object;
  for (std::uint64_t i = 0; i < entries; ++i) {
    const std::size_t start = decoder.offset();
    std::string key;
    if (!read_key(decoder, key)) return decoder.fail_in("key of entry", i + 1);
    const auto entry = object.try_emplace(object.end(), std::move(key));
    if (object.size() != i + 1) return decoder.fail_repeated("key of entry", i + 1, start);
    if (!read_json(decoder, entry->second)) {
      decoder.add_place("\"" + to_printable(entry->first) + "\"");
      return false;
    }
  }
  decoder.leave();
  document = std::move(object);
  return true;
}

}  // namespace

bool keeps_fields(const json& stored, const json& again, std::string& lost) {
  if (stored.is_object() && again.is_object()) {
    for (const auto& [name, member] : stored.items()) {
      if (!keeps_member(member, again, name, lost)) return false;
    }
  } else if (stored.is_array() && again.is_array() && stored.size() == again.size()) {
    for (std::size_t i = 0; i < stored.size(); ++i) {
      if (!keeps_fields(stored[i], again[i], lost)) return false;
    }
  }
  return true;
}

void write_json(Encoder& encoder, const json& document) {
  switch (document.type()) {
    case json::value_t::boolean:
      return encoder.boolean(document.get<bool>());
    case json::value_t::number_integer:
      return encoder.integer(document.get<std::int64_t>());
    case json::value_t::number_unsigned:
      return encoder.unsigned_integer(document.get<std::uint64_t>());
    case json::value_t::number_float:
      return encoder.floating(document.get<double>());
    case json::value_t::string:
      return write_string(encoder, document.get_ref<const std::string&>());
    case json::value_t::binary: {
      const auto& octets = document.get_binary();
      return encoder.bytes({reinterpret_cast<const char*>(octets.data()), octets.size()});
    }
    case json::value_t::array:
      encoder.array(document.size());
      encoder.enter();
      for (const json& element : document) write_json(encoder, element);
      return encoder.leave();
    case json::value_t::object:
      encoder.map(document.size());
      encoder.enter();
      for (const auto& [key, value] : document.get_ref<const json::object_t&>()) {
        write_string(encoder, key);
        write_json(encoder, value);
      }
      return encoder.leave();
    case json::value_t::null:
    case json::value_t::discarded:
      return encoder.null();
  }
}

bool read_json(Decoder& decoder, json& document) {
  switch (decoder.peek()) {
    case cbor::Kind::unsigned_integer:
    case cbor::Kind::negative_integer:
      return read_integer(decoder, document);
    case cbor::Kind::bytes: {
      BytesView bytes;
      if (!decoder.read_bytes(bytes)) return false;
      document = json::binary(json::binary_t::container_type(bytes.begin(), bytes.end()));
      return true;
    }
    case cbor::Kind::text: {
      std::string_view text;
      if (!decoder.read_text(text)) return false;
      document = text;
      return true;
    }
    case cbor::Kind::array:
      return read_array(decoder, document);
    case cbor::Kind::map:
      return read_object(decoder, document);
    case cbor::Kind::tag: {
      std::string value;
      if (!read_tagged_string(decoder, value)) return false;
      document = std::move(value);
      return true;
    }
    case cbor::Kind::boolean: {
      bool value = false;
      if (!decoder.read_boolean(value)) return false;
      document = value;
      return true;
    }
    case cbor::Kind::floating: {
      double value = 0;
      if (!decoder.read_floating(value)) return false;
      document = value;
      return true;
    }
    case cbor::Kind::null:
    case cbor::Kind::simple:
    case cbor::Kind::end:
      break;
  }
  document = nullptr;
  return decoder.read_null();
}

}  // namespace semper::internal::codec
