// What codec.h does with single values of the standard library: numbers, strings, times, optional,
// variant. Include codec.h.
#pragma once

#include <array>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "semper/base/internal/codec_core.h"

namespace semper::internal::codec {

template <>
struct StandardItem<bool> {
  static void write(Encoder& encoder, bool value) { encoder.boolean(value); }
  static bool read(Decoder& decoder, bool& value) { return decoder.read_boolean(value); }
};

template <std::integral T>
requires(sizeof(T) <= sizeof(std::uint64_t)) struct StandardItem<T> {
  static void write(Encoder& encoder, T value) {
    if constexpr (std::is_signed_v<T>) {
      encoder.integer(value);
    } else {
      encoder.unsigned_integer(value);
    }
  }
  static bool read(Decoder& decoder, T& value) {
    constexpr Decoder::IntegerRange kRange{
        static_cast<std::int64_t>(std::numeric_limits<T>::min()),
        static_cast<std::uint64_t>(std::numeric_limits<T>::max())};
    std::uint64_t bits = 0;
    if (!decoder.read_integer(kRange, bits)) return false;
    value = static_cast<T>(bits);
    return true;
  }
};

template <class T>
requires std::same_as<T, float> || std::same_as<T, double>
struct StandardItem<T> {
  static void write(Encoder& encoder, T value) { encoder.floating(value); }
  static bool read(Decoder& decoder, T& value) { return decoder.read_number(value); }
};

template <>
struct StandardItem<std::string> {
  static void write(Encoder& encoder, const std::string& value) { encoder.string(value); }
  static bool read(Decoder& decoder, std::string& value) {
    BytesView string;
    if (!decoder.read_string(string)) return false;
    value.assign(string);
    return true;
  }
};

template <>
struct StandardItem<std::string_view> {
  static void write(Encoder& encoder, std::string_view value) { encoder.string(value); }
  template <class T>
  static bool read(Decoder&, T&) {
    static_assert(!std::same_as<T, std::string_view>,
                  "a std::string_view can be written, but not read: it would outlive the bytes");
    return false;
  }
};

template <>
struct StandardItem<ByteString> {
  static void write(Encoder& encoder, const ByteString& value) { encoder.bytes(value.bytes); }
  static bool read(Decoder& decoder, ByteString& value) {
    BytesView bytes;
    if (!decoder.read_bytes(bytes)) return false;
    value.bytes.assign(bytes);
    return true;
  }
};

template <class T>
concept IsOctet = std::same_as<T, std::byte> || std::same_as<T, std::uint8_t>;

template <IsOctet T, class Allocator>
struct StandardItem<std::vector<T, Allocator>> {
  static void write(Encoder& encoder, const std::vector<T, Allocator>& value) {
    encoder.bytes({reinterpret_cast<const char*>(value.data()), value.size()});
  }
  static bool read(Decoder& decoder, std::vector<T, Allocator>& value) {
    BytesView bytes;
    if (!decoder.read_bytes(bytes)) return false;
    const T* first = reinterpret_cast<const T*>(bytes.data());
    value.assign(first, first + bytes.size());
    return true;
  }
};

template <IsOctet T, std::size_t kSize>
struct StandardItem<std::array<T, kSize>> {
  static void write(Encoder& encoder, const std::array<T, kSize>& value) {
    encoder.bytes({reinterpret_cast<const char*>(value.data()), kSize});
  }
  static bool read(Decoder& decoder, std::array<T, kSize>& value) {
    return decoder.read_exact_bytes(reinterpret_cast<char*>(value.data()), kSize);
  }
};

template <class Count, class Period>
struct StandardItem<std::chrono::duration<Count, Period>> {
  using Duration = std::chrono::duration<Count, Period>;
  static void write(Encoder& encoder, const Duration& value) { write_item(encoder, value.count()); }
  static bool read(Decoder& decoder, Duration& value) {
    Count count{};
    if (!read_item(decoder, count)) return false;
    value = Duration(count);
    return true;
  }
};

template <class Duration>
struct StandardItem<std::chrono::time_point<std::chrono::system_clock, Duration>> {
  using TimePoint = std::chrono::time_point<std::chrono::system_clock, Duration>;
  static void write(Encoder& encoder, const TimePoint& value) {
    write_item(encoder, value.time_since_epoch());
  }
  static bool read(Decoder& decoder, TimePoint& value) {
    Duration since_epoch{};
    if (!read_item(decoder, since_epoch)) return false;
    value = TimePoint(since_epoch);
    return true;
  }
};

template <class T>
inline constexpr bool kIsOptional = false;
template <class T>
inline constexpr bool kIsOptional<std::optional<T>> = true;

template <class T>
struct StandardItem<std::optional<T>> {
  static_assert(!kIsOptional<T>, "an optional in an optional: null would say two things");

  static void write(Encoder& encoder, const std::optional<T>& value) {
    value.has_value() ? write_item(encoder, *value) : encoder.null();
  }
  static bool read(Decoder& decoder, std::optional<T>& value) {
    if (decoder.peek() != cbor::Kind::null) return read_item(decoder, value.emplace());
    value.reset();
    return decoder.read_null();
  }
};

template <>
struct StandardItem<std::monostate> {
  static void write(Encoder& encoder, std::monostate) { encoder.array(0); }
  static bool read(Decoder& decoder, std::monostate&) { return decoder.read_exact_array(0); }
};

template <class... Alternatives>
struct StandardItem<std::variant<Alternatives...>> {
  using Variant = std::variant<Alternatives...>;

  static void write(Encoder& encoder, const Variant& value) {
    encoder.array(2);
    encoder.unsigned_integer(value.index());
    encoder.enter();
    std::visit([&](const auto& alternative) { write_item(encoder, alternative); }, value);
    encoder.leave();
  }
  static bool read(Decoder& decoder, Variant& value) {
    if (!decoder.read_exact_array(2) || !decoder.enter()) return false;
    std::uint64_t index = 0;
    constexpr Decoder::IntegerRange kRange{0, sizeof...(Alternatives) - 1};
    if (!decoder.read_integer(kRange, index)) {
      decoder.add_place("index of a std::variant");
      return false;
    }
    if (!read_alternative(decoder, value, index, std::index_sequence_for<Alternatives...>())) {
      return decoder.fail_in("alternative", index);
    }
    decoder.leave();
    return true;
  }

 private:
  template <std::size_t... kIndex>
  static bool read_alternative(Decoder& decoder, Variant& value, std::uint64_t index,
                               std::index_sequence<kIndex...>) {
    bool read = false;
    static_cast<void>(
        ((index == kIndex && (read = read_item(decoder, value.template emplace<kIndex>()), true)) ||
         ...));
    return read;
  }
};

}  // namespace semper::internal::codec
