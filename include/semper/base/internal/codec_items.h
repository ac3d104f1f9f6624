// The rules of codec.h: write_item and read_item choose what a type becomes. Include codec.h.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <type_traits>
#include <utility>

#include "semper/base/aggregate.h"
#include "semper/base/internal/codec_containers.h"
#include "semper/base/internal/codec_core.h"
#include "semper/base/internal/codec_scalars.h"
#include "semper/base/type_name.h"

namespace semper::internal::codec {

template <class T>
concept IsStandard = requires {
  sizeof(StandardItem<T>);
};

template <class T>
concept HasOwnCodec = !requires {
  typename Codec<T>::BuiltIn;
};

// Passes for a reference to any type, that is for nlohmann::json wherever a function takes one: so
// the functions are found without its header, and every file sees the same answer.
struct AnyReference {
  template <class U>
  operator U&() const noexcept;
};
template <class T>
concept HasJsonFunctions = requires(AnyReference& json, const T& source, T& target) {
  to_json(json, source);
  from_json(json, target);
};
template <class T>
concept HasJsonBridge = requires {
  sizeof(JsonBridge<T>);
};

// By what is used of it, so that protobuf's headers are not needed.
template <class T>
concept IsProtobuf = requires(const T& source, T& target, Bytes* out) {
  { source.ByteSizeLong() } -> std::convertible_to<std::size_t>;
  { source.AppendToString(out) } -> std::convertible_to<bool>;
  { target.ParseFromArray(static_cast<const void*>(nullptr), 0) } -> std::convertible_to<bool>;
};

[[noreturn]] void throw_not_serializable(std::string_view type);

template <class T>
void write_protobuf(Encoder& encoder, const T& value) {
  const std::size_t size = value.ByteSizeLong();
  encoder.tag(kProtobufTag);
  encoder.bytes_head(size);
  const std::size_t end = encoder.out().size() + size;
  if (!value.AppendToString(&encoder.out()) || encoder.out().size() != end) {
    throw_not_serializable(type_name<T>());
  }
}

template <class T>
void write_fields(Encoder& encoder, const T& value) {
  encoder.array(field_count<T>);
  encoder.enter();
  visit_fields(value, [&](const auto&... fields) { (write_item(encoder, fields), ...); });
  encoder.leave();
}

template <class T>
bool read_fields(Decoder& decoder, T& value) {
  std::uint64_t left = 0;
  if (!decoder.read_array(left) || !decoder.enter()) return false;
  std::size_t number = 0;
  const auto read_field = [&](auto& field) {
    if (left == 0) return true;  // stored before the field was there: it keeps its default
    --left;
    ++number;
    return read_item(decoder, field) || decoder.fail_in_field(number, type_name<T>());
  };
  const bool read =
      visit_fields(value, [&](auto&... fields) { return (read_field(fields) && ...); });
  decoder.leave();
  return read && decoder.skip_surplus(left, type_name<T>());
}

template <class T>
bool read_own(Decoder& decoder, T& value) {
  const std::size_t start = decoder.offset();
  BytesView item;
  if (!decoder.read_raw(item)) return false;
  auto decoded = Codec<T>::decode(item);
  if (!decoded) return decoder.fail_with(type_name<T>(), decoded.error().message(), start);
  value = std::move(*decoded);
  return true;
}

// Stored as an array of its fields.
template <class T>
concept IsByPosition =
    !HasOwnCodec<T> && !IsStandard<T> && !HasJsonFunctions<T> && !IsProtobuf<T> &&
    !std::is_enum_v<T> && std::is_aggregate_v<T> && std::is_class_v<T>;

template <class>
inline constexpr bool kNoSuchType = false;

template <class T>
void write_item(Encoder& encoder, const T& value) {
  if constexpr (HasOwnCodec<T>) {
    Codec<T>::encode(value, encoder.out());
  } else if constexpr (IsStandard<T>) {
    StandardItem<T>::write(encoder, value);
  } else if constexpr (HasJsonFunctions<T>) {
    static_assert(HasJsonBridge<T>,
                  "this type has to_json and from_json: include \"semper/base/codec_json.h\" "
                  "where it is stored, best beside its definition");
    if constexpr (HasJsonBridge<T>) JsonBridge<T>::write(encoder, value);
  } else if constexpr (IsProtobuf<T>) {
    write_protobuf(encoder, value);
  } else if constexpr (std::is_enum_v<T>) {
    write_item(encoder, static_cast<std::underlying_type_t<T>>(value));
  } else if constexpr (std::is_aggregate_v<T> && std::is_class_v<T>) {
    write_fields(encoder, value);
  } else {
    static_assert(
        kNoSuchType<T>,
        "no codec for this type: make it a plain aggregate, give it to_json and from_json "
        "(and include \"semper/base/codec_json.h\"), or specialise semper::Codec");
  }
}

template <class T>
bool read_item(Decoder& decoder, T& value) {
  if constexpr (HasOwnCodec<T>) {
    return read_own(decoder, value);
  } else if constexpr (IsStandard<T>) {
    return StandardItem<T>::read(decoder, value);
  } else if constexpr (HasJsonFunctions<T>) {
    static_assert(HasJsonBridge<T>,
                  "this type has to_json and from_json: include \"semper/base/codec_json.h\" "
                  "where it is stored, best beside its definition");
    if constexpr (HasJsonBridge<T>) return JsonBridge<T>::read(decoder, value);
    return false;
  } else if constexpr (IsProtobuf<T>) {
    const std::size_t start = decoder.offset();
    BytesView message;
    if (!decoder.read_protobuf(message)) return false;
    return value.ParseFromArray(message.data(), static_cast<int>(message.size())) ||
           decoder.fail_with(type_name<T>(), "not a message of this type", start);
  } else if constexpr (std::is_enum_v<T>) {
    std::underlying_type_t<T> number{};
    if (!read_item(decoder, number)) return false;
    value = static_cast<T>(number);
    return true;
  } else if constexpr (std::is_aggregate_v<T> && std::is_class_v<T>) {
    return read_fields(decoder, value);
  } else {
    static_assert(
        kNoSuchType<T>,
        "no codec for this type: make it a plain aggregate, give it to_json and from_json "
        "(and include \"semper/base/codec_json.h\"), or specialise semper::Codec");
    return false;
  }
}

}  // namespace semper::internal::codec
