// What codec.h does with containers of the standard library: sequences, sets, maps, tuples. Include
// codec.h.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <list>
#include <map>
#include <set>
#include <tuple>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "semper/base/internal/codec_core.h"

namespace semper::internal::codec {

// At most this is reserved on the word of a length; the rest grows with what really comes.
inline constexpr std::size_t kMaxReservedBytes = 64 * 1024;

template <class Container>
void reserve_for(Container& out, std::uint64_t elements) {
  if constexpr (requires { out.reserve(std::size_t{}); }) {
    constexpr std::uint64_t kMost = kMaxReservedBytes / sizeof(typename Container::value_type) + 1;
    out.reserve(static_cast<std::size_t>(std::min(elements, kMost)));
  }
}

template <class Container>
struct SequenceItem {
  static void write(Encoder& encoder, const Container& value) {
    encoder.array(value.size());
    encoder.enter();
    for (const auto& element : value) write_item(encoder, element);
    encoder.leave();
  }
  static bool read(Decoder& decoder, Container& value) {
    std::uint64_t elements = 0;
    value.clear();
    if (!decoder.read_array(elements) || !decoder.enter()) return false;
    reserve_for(value, elements);
    for (std::uint64_t i = 0; i < elements; ++i) {
      if (!read_item(decoder, value.emplace_back())) return decoder.fail_in("element", i + 1);
    }
    decoder.leave();
    return true;
  }
};
template <class T, class Allocator>
struct StandardItem<std::vector<T, Allocator>> : SequenceItem<std::vector<T, Allocator>> {};
template <class T, class Allocator>
struct StandardItem<std::deque<T, Allocator>> : SequenceItem<std::deque<T, Allocator>> {};
template <class T, class Allocator>
struct StandardItem<std::list<T, Allocator>> : SequenceItem<std::list<T, Allocator>> {};

// Its elements are bits without an address.
template <class Allocator>
struct StandardItem<std::vector<bool, Allocator>> {
  static void write(Encoder& encoder, const std::vector<bool, Allocator>& value) {
    encoder.array(value.size());
    for (const bool element : value) encoder.boolean(element);
  }
  static bool read(Decoder& decoder, std::vector<bool, Allocator>& value) {
    std::uint64_t elements = 0;
    value.clear();
    if (!decoder.read_array(elements)) return false;
    for (std::uint64_t i = 0; i < elements; ++i) {
      bool element = false;
      if (!decoder.read_boolean(element)) return decoder.fail_in("element", i + 1);
      value.push_back(element);
    }
    return true;
  }
};

template <class Set>
struct SetItem {
  static void write(Encoder& encoder, const Set& value) {
    SequenceItem<Set>::write(encoder, value);
  }
  static bool read(Decoder& decoder, Set& value) {
    std::uint64_t elements = 0;
    value.clear();
    if (!decoder.read_array(elements) || !decoder.enter()) return false;
    reserve_for(value, elements);
    for (std::uint64_t i = 0; i < elements; ++i) {
      typename Set::value_type element{};
      const std::size_t start = decoder.offset();
      if (!read_item(decoder, element)) return decoder.fail_in("element", i + 1);
      value.emplace_hint(value.end(), std::move(element));
      if (value.size() != i + 1) return decoder.fail_repeated("element", i + 1, start);
    }
    decoder.leave();
    return true;
  }
};
template <class T, class Compare, class Allocator>
struct StandardItem<std::set<T, Compare, Allocator>> : SetItem<std::set<T, Compare, Allocator>> {};
template <class T, class Hash, class Equal, class Allocator>
struct StandardItem<std::unordered_set<T, Hash, Equal, Allocator>>
    : SetItem<std::unordered_set<T, Hash, Equal, Allocator>> {};

template <class Map>
struct MapItem {
  static void write(Encoder& encoder, const Map& value) {
    encoder.map(value.size());
    encoder.enter();
    for (const auto& [key, mapped] : value) {
      write_item(encoder, key);
      write_item(encoder, mapped);
    }
    encoder.leave();
  }
  static bool read(Decoder& decoder, Map& value) {
    std::uint64_t entries = 0;
    value.clear();
    if (!decoder.read_map(entries) || !decoder.enter()) return false;
    reserve_for(value, entries);
    for (std::uint64_t i = 0; i < entries; ++i) {
      typename Map::key_type key{};
      const std::size_t start = decoder.offset();
      if (!read_item(decoder, key)) return decoder.fail_in("key of entry", i + 1);
      const auto entry = value.try_emplace(value.end(), std::move(key));
      if (value.size() != i + 1) return decoder.fail_repeated("key of entry", i + 1, start);
      if (!read_item(decoder, entry->second)) return decoder.fail_in("entry", i + 1);
    }
    decoder.leave();
    return true;
  }
};
template <class Key, class T, class Compare, class Allocator>
struct StandardItem<std::map<Key, T, Compare, Allocator>>
    : MapItem<std::map<Key, T, Compare, Allocator>> {};
template <class Key, class T, class Hash, class Equal, class Allocator>
struct StandardItem<std::unordered_map<Key, T, Hash, Equal, Allocator>>
    : MapItem<std::unordered_map<Key, T, Hash, Equal, Allocator>> {};

// std::pair, tuple and array: as many elements as the type has, no fewer and no more.
template <class Tuple>
struct TupleItem {
  static constexpr std::size_t kSize = std::tuple_size_v<Tuple>;

  static void write(Encoder& encoder, const Tuple& value) {
    encoder.array(kSize);
    encoder.enter();
    std::apply([&](const auto&... elements) { (write_item(encoder, elements), ...); }, value);
    encoder.leave();
  }
  static bool read(Decoder& decoder, Tuple& value) {
    if (!decoder.read_exact_array(kSize) || !decoder.enter()) return false;
    std::uint64_t number = 0;
    const auto read_element = [&](auto& element) {
      ++number;
      return read_item(decoder, element) || decoder.fail_in("element", number);
    };
    const bool read =
        std::apply([&](auto&... elements) { return (read_element(elements) && ...); }, value);
    decoder.leave();
    return read;
  }
};
template <class First, class Second>
struct StandardItem<std::pair<First, Second>> : TupleItem<std::pair<First, Second>> {};
template <class... Elements>
struct StandardItem<std::tuple<Elements...>> : TupleItem<std::tuple<Elements...>> {};

template <class T, std::size_t kSize>
struct StandardItem<std::array<T, kSize>> {
  static void write(Encoder& encoder, const std::array<T, kSize>& value) {
    encoder.array(kSize);
    encoder.enter();
    for (const T& element : value) write_item(encoder, element);
    encoder.leave();
  }
  static bool read(Decoder& decoder, std::array<T, kSize>& value) {
    if (!decoder.read_exact_array(kSize) || !decoder.enter()) return false;
    for (std::size_t i = 0; i < kSize; ++i) {
      if (!read_item(decoder, value[i])) return decoder.fail_in("element", i + 1);
    }
    decoder.leave();
    return true;
  }
};

}  // namespace semper::internal::codec
