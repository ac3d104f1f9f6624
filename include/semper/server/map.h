// Map<K, V>: entries of a durable server that are stored one by one, next to its State.
//
// What for: data that grows over time, such as the lines of an account or the members of a room. A
// callback reads and writes only the entries that it touches, so a message to an entity with a
// million entries costs no more than one to an entity with a hundred. When not: small data, and
// data that every message needs. It belongs in the State, which is read and kept in memory as a
// whole.
//
//   struct Account {
//     struct Line { std::int64_t cents = 0; std::string text; };
//     static constexpr semper::Map<std::uint64_t, Line> kLines{"lines"};     // by number
//
//     semper::Async<std::int64_t> handle_call(const Correct& m, State& s, semper::Context& ctx) {
//       SEMPER_CO_TRY(auto line, co_await kLines.get(ctx, m.number));        // optional<Line>
//       if (!line) co_return semper::fail(semper::ErrorKind::not_found, "there is no such line");
//       s.balance += m.cents - line->cents;
//       line->cents = m.cents;
//       kLines.set(ctx, m.number, *line);                                    // no await
//       co_return s.balance;
//     }
//   };
//
//   auto page = co_await Account::kLines.page(account, 100);   // from outside, by a Ref
//
// A Map object is only a name: it holds no data, is the same for all entities of the type, and only
// its C++ variable may be renamed. Its entries belong to the entity. They are written in the
// transaction of the message, exactly once with its State, or not at all. Whatever a callback reads
// is unchanged at the commit, or the callback runs again. A callback sees its own writes and those
// of all earlier messages. kill and reset delete the entries; recordings (recording.h) and copies
// of the store contain them.
//
// Keys: integers, bool, enums, float, double, std::string (UTF-8), ByteString, Uuid, durations and
// times of system_clock (as their counts), and pairs and tuples of these. They sort by value:
// numbers by size, text by its bytes, pairs by their first element. Values: any type with a Codec
// (base/codec.h says which changes are safe). An entry that was stored with another type of key is
// `corrupt`.
//
// Who can read: in handle_call, _cast and _info, a callback that waits (behaviour.h); set and erase
// need neither an await nor a waiting callback. In handle_locked, set and erase are committed with
// the result, and reads see what is committed. With a Ref, any process can read, from one snapshot
// per read; the result is empty if the entity does not exist. Hosts of a program that does not know
// the Map leave its entries as they are: raise kStateVersion if such hosts must not handle the
// entity (a host of 0.1.0 does not delete them at a reset).
//
// Bounds: kMapKeyBytesMaximum, kMapValueBytesMaximum, kMapPageMaximum. The changes of one message
// must fit into one transaction (Limits). Writing an entry that cannot be stored throws: the
// message fails, is retried, and set aside.
// Errors of reads: the store's; invalid_argument (an impossible key, or a limit of 0 or over the
// bound); corrupt (an entry that cannot be decoded); for a Ref, also those of its tenant and id. In
// a callback, let them throw: co_await value(kLines.get(ctx, key)). Threads: with a Context, the
// callback's; otherwise any.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "semper/base/codec.h"
#include "semper/server/internal/map_key.h"
#include "semper/server/internal/map_rows.h"

namespace semper {

template <class K>
concept MapKey = internal::IsMapKey<K>::value;

template <MapKey K, class V>
class Map {
 public:
  struct Entry {
    K key;
    V value;
  };
  // `more`: there may be further entries.
  struct Page {
    std::vector<Entry> entries;
    bool more = false;
  };

  // The name: letters, digits and "_-.", at most kMapNameBytesMaximum characters; otherwise it does
  // not compile. The collections of one type need different names.
  template <std::size_t Size>
  consteval explicit Map(const char (&name)[Size]) : name_(name, Size - 1) {
    if (!internal::is_collection_name(name_)) throw "no name of a Map: see its constructor";
  }

  Async<std::optional<V>> get(const MapSource& of, const K& key) const {
    return one(name_, internal::get_map_row(of, name_, internal::encode_map_key(key)));
  }
  Async<bool> contains(const MapSource& of, const K& key) const {
    return is_there(internal::get_map_row(of, name_, internal::encode_map_key(key)));
  }

  // Up to `limit` entries in ascending or descending order of their keys: the first ones, those
  // from `key` on, or those after it. In a callback, the message conflicts with changes of anything
  // it has read.
  Async<Page> page(const MapSource& of, std::size_t limit, Order order = Order::ascending) const {
    return many(name_, internal::get_map_page(of, name_, {}, limit, order));
  }
  Async<Page> page_from(const MapSource& of, const K& key, std::size_t limit,
                        Order order = Order::ascending) const {
    internal::MapStart start(internal::encode_map_key(key), true);
    return many(name_, internal::get_map_page(of, name_, std::move(start), limit, order));
  }
  Async<Page> page_after(const MapSource& of, const K& key, std::size_t limit,
                         Order order = Order::ascending) const {
    internal::MapStart start(internal::encode_map_key(key), false);
    return many(name_, internal::get_map_page(of, name_, std::move(start), limit, order));
  }

  // The number of entries, up to `most`; reads that many. If you need it often, count in the State.
  Async<std::uint64_t> count(const MapSource& of, std::uint64_t most) const {
    return internal::count_map_rows(of, name_, most);
  }

  void set(Context& context, const K& key, const V& value) const {
    internal::write_map_row(context, name_, internal::encode_map_key(key), encode(value));
  }
  void set(LockedContext& context, const K& key, const V& value) const {
    internal::write_map_row(context, name_, internal::encode_map_key(key), encode(value));
  }
  // Does nothing if there is no such entry.
  void erase(Context& context, const K& key) const {
    internal::write_map_row(context, name_, internal::encode_map_key(key), std::nullopt);
  }
  void erase(LockedContext& context, const K& key) const {
    internal::write_map_row(context, name_, internal::encode_map_key(key), std::nullopt);
  }

  std::string_view name() const { return name_; }

 private:
  static Error damaged(std::string_view name, const Error& error) {
    return Error(ErrorKind::corrupt,
                 "an entry of map " + std::string(name) + ": " + error.message());
  }
  static Async<std::optional<V>> one(std::string_view name, Async<std::optional<Bytes>> reading) {
    SEMPER_CO_TRY(const auto row, co_await std::move(reading));
    if (!row) co_return std::nullopt;
    auto value = decode<V>(*row);
    if (!value) co_return fail(damaged(name, value.error()));
    co_return std::optional<V>(std::move(*value));
  }
  static Async<bool> is_there(Async<std::optional<Bytes>> reading) {
    SEMPER_CO_TRY(const auto row, co_await std::move(reading));
    co_return row.has_value();
  }
  static Async<Page> many(std::string_view name, Async<RangePage> reading) {
    SEMPER_CO_TRY(const auto rows, co_await std::move(reading));
    Page page;
    page.more = rows.more;
    page.entries.reserve(rows.rows.size());
    for (const auto& row : rows.rows) {
      auto key = internal::decode_map_key<K>(row.key);
      if (!key) co_return fail(damaged(name, key.error()));
      auto value = decode<V>(row.value);
      if (!value) co_return fail(damaged(name, value.error()));
      page.entries.push_back({std::move(*key), std::move(*value)});
    }
    co_return page;
  }

  std::string_view name_;
};

}  // namespace semper
