// Map<K, V>: entries of a durable server that are stored one by one, beside its State.
//
// What for: what grows with time, the lines of an account, the members of a room. A callback reads and
// writes only the entries that it touches, so that a message to an entity with a million entries costs
// what one to an entity with a hundred does. When not: what every message needs, and what is small: that
// belongs into the State, which is read and kept in memory whole.
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
//   auto page = co_await Account::kLines.page(account, 100);   // from outside, of a Ref: as committed
//
// A Map is a name: it holds nothing, is the same for all entities of the type, and may be renamed in C++
// only. Its entries belong to the entity: they are written in the transaction of the message, exactly
// once with its State, or not at all; what a callback reads is unchanged when that commits, or it runs
// again; a callback sees its own writes and those of all messages before. kill and reset take them away,
// recordings (recording.h) and copies of the store have them.
//
// Keys: integers, bool, enums, float, double, std::string (UTF-8), ByteString, Uuid, durations and times
// of system_clock (as their counts), and pairs and tuples of these. They sort as their values: numbers by
// size, text by its bytes, pairs by their first. Values: what has a Codec (base/codec.h says how they may
// change). What was stored under another type of key is `corrupt`.
//
// Who reads: in handle_call, _cast and _info a callback that waits (behaviour.h); set and erase need no
// await, and no waiting callback. In handle_locked, set and erase go out with its result, and reads show
// what is committed. Of a Ref: reads of one snapshot each, by any process; nothing where the entity is
// not there. Hosts of a program that does not know the Map leave its entries as they are: raise
// kStateVersion where they must not handle the entity (one of 0.1.0 does not clear them at a reset).
//
// Bounds: kMapKeyBytesMaximum, kMapValueBytesMaximum, kMapPageMaximum. What one message changes must fit
// into one transaction (Limits). Writing what cannot be stored throws: the message fails, is tried
// again, and set aside.
// Errors of reads: the store's; invalid_argument (a key that cannot be, a limit of 0 or over the bound);
// corrupt (an entry that does not decode); for a Ref also those of its tenant and id. Let them throw in
// a callback: co_await value(kLines.get(ctx, key)). Threads: a Context's are the callback's, others any.
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
  // `more`: there may be entries behind the last one.
  struct Page {
    std::vector<Entry> entries;
    bool more = false;
  };

  // The name: letters, digits and "_-.", at most kMapNameBytesMaximum of them; else it does not compile.
  // One type's collections need different names.
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

  // Up to `limit` entries in the order of their keys, or against it: the first ones, those from `key` on,
  // those behind it. In a callback the message conflicts with changes of all that it read.
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

  // How many there are, up to `most`: reads as many. Where it is needed often, count in the State.
  Async<std::uint64_t> count(const MapSource& of, std::uint64_t most) const {
    return internal::count_map_rows(of, name_, most);
  }

  void set(Context& context, const K& key, const V& value) const {
    internal::write_map_row(context, name_, internal::encode_map_key(key), encode(value));
  }
  void set(LockedContext& context, const K& key, const V& value) const {
    internal::write_map_row(context, name_, internal::encode_map_key(key), encode(value));
  }
  // Nothing where there is no such entry.
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
