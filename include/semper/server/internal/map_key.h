// Keys of a Map and their bytes (server/map.h): tuples, so that they sort as their values do.
#pragma once

#include <chrono>
#include <concepts>
#include <cstdint>
#include <limits>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

#include "semper/base/bytes.h"
#include "semper/base/result.h"
#include "semper/base/time.h"
#include "semper/store/tuple_stream.h"
#include "semper/store/uuid.h"

namespace semper::internal {

template <class T>
struct IsMapKey
    : std::bool_constant<(std::integral<T> && sizeof(T) <= 8 && !std::same_as<T, char>) ||
                         std::is_enum_v<T> || std::same_as<T, float> || std::same_as<T, double> ||
                         std::same_as<T, std::string> || std::same_as<T, ByteString> ||
                         std::same_as<T, Uuid>> {};
template <class Rep, class Period>
struct IsMapKey<std::chrono::duration<Rep, Period>> : std::is_integral<Rep> {};
template <class Rep, class Period>
struct IsMapKey<
    std::chrono::time_point<std::chrono::system_clock, std::chrono::duration<Rep, Period>>>
    : std::is_integral<Rep> {};
template <class A, class B>
struct IsMapKey<std::pair<A, B>> : std::bool_constant<IsMapKey<A>::value && IsMapKey<B>::value> {};
template <class... Parts>
struct IsMapKey<std::tuple<Parts...>>
    : std::bool_constant<(sizeof...(Parts) > 0) && (IsMapKey<Parts>::value && ...)> {};

template <class T>
struct MapKeyParts : std::false_type {};
template <class A, class B>
struct MapKeyParts<std::pair<A, B>> : std::true_type {};
template <class... Parts>
struct MapKeyParts<std::tuple<Parts...>> : std::true_type {};

// False: text that is not UTF-8 is no key.
template <class K>
bool write_map_key(TupleWriter& writer, const K& key) {
  if constexpr (MapKeyParts<K>::value) {
    return std::apply([&](const auto&... part) { return (write_map_key(writer, part) && ...); },
                      key);
  } else if constexpr (std::is_enum_v<K>) {
    writer.add(static_cast<std::underlying_type_t<K>>(key));
  } else if constexpr (std::same_as<K, std::string>) {
    if (!is_utf8(key)) return false;
    writer.add_text(key);
  } else if constexpr (std::same_as<K, ByteString>) {
    writer.add_bytes(key.bytes);
  } else if constexpr (requires { key.time_since_epoch(); }) {
    writer.add(static_cast<std::int64_t>(key.time_since_epoch().count()));
  } else if constexpr (requires { key.count(); }) {
    writer.add(static_cast<std::int64_t>(key.count()));
  } else {
    writer.add(key);
  }
  return true;
}

template <class Number>
Result<Number> read_map_number(TupleReader& reader) {
  if constexpr (std::unsigned_integral<Number>) {
    SEMPER_TRY(const auto number, reader.read_uint64());
    if (number <= std::numeric_limits<Number>::max()) return static_cast<Number>(number);
  } else {
    SEMPER_TRY(const auto number, reader.read_int64());
    if (number >= std::numeric_limits<Number>::min() &&
        number <= std::numeric_limits<Number>::max()) {
      return static_cast<Number>(number);
    }
  }
  return fail(ErrorKind::corrupt, "a number does not fit into the key's type");
}

template <class K>
Status read_map_key(TupleReader& reader, K& key) {
  Bytes scratch;
  if constexpr (MapKeyParts<K>::value) {
    Status status;
    const auto read = [&](auto& part) {
      status = read_map_key(reader, part);
      return status.has_value();
    };
    std::apply([&](auto&... part) { static_cast<void>((read(part) && ...)); }, key);
    return status;
  } else if constexpr (std::same_as<K, bool>) {
    SEMPER_TRY(key, reader.read_boolean());
  } else if constexpr (std::is_enum_v<K>) {
    SEMPER_TRY(const auto number, read_map_number<std::underlying_type_t<K>>(reader));
    key = static_cast<K>(number);
  } else if constexpr (std::integral<K>) {
    SEMPER_TRY(key, read_map_number<K>(reader));
  } else if constexpr (std::same_as<K, float>) {
    SEMPER_TRY(key, reader.read_float());
  } else if constexpr (std::same_as<K, double>) {
    SEMPER_TRY(key, reader.read_double());
  } else if constexpr (std::same_as<K, std::string>) {
    SEMPER_TRY(key, reader.read_text(scratch));
  } else if constexpr (std::same_as<K, ByteString>) {
    SEMPER_TRY(key.bytes, reader.read_bytes(scratch));
  } else if constexpr (std::same_as<K, Uuid>) {
    SEMPER_TRY(key, reader.read_uuid());
  } else if constexpr (requires { key.time_since_epoch(); }) {
    SEMPER_TRY(const auto count, read_map_number<typename K::rep>(reader));
    key = K(typename K::duration(count));
  } else {
    SEMPER_TRY(const auto count, read_map_number<typename K::rep>(reader));
    key = K(count);
  }
  return {};
}

template <class K>
Result<Bytes> encode_map_key(const K& key) {
  Bytes bytes;
  TupleWriter writer(bytes);
  if (write_map_key(writer, key)) return bytes;
  return fail(ErrorKind::invalid_argument,
              "text that is not UTF-8 is no key of a map; make it a semper::ByteString");
}

template <class K>
Result<K> decode_map_key(BytesView bytes) {
  TupleReader reader(bytes);
  K key{};
  SEMPER_TRY_STATUS(read_map_key(reader, key));
  SEMPER_TRY_STATUS(reader.expect_end());
  return key;
}

}  // namespace semper::internal
