// Log<T>: a numbered sequence of entries of a durable server, stored one by one next to its State.
//
// What for: histories, statements, audit trails. Messages append to a log; you read it in pages,
// from either end or from a number on, and trim it at the beginning. When not: entries that you
// look up by anything but their number, or that you change: use a Map (server/map.h). Everything
// else said there also holds for a Log.
//
//   struct Account {
//     struct Line { std::int64_t cents = 0; std::string text; };
//     static constexpr semper::Log<Line> kHistory{"history"};
//
//     semper::Async<std::uint64_t> handle_call(const Book& m, State& s, semper::Context& ctx) {
//       s.balance += m.cents;
//       const Line line{m.cents, m.text};                       // named first: see server/ref.h
//       co_return co_await kHistory.append(ctx, line);          // its number
//     }
//   };
//
//   auto last = co_await Account::kHistory.page(account, 20, semper::Order::descending);
//
// Numbers start at 1 and increase by 1 with each append that commits, without gaps or duplicates,
// even after a trim; a kill or a reset starts again. An append belongs to its message's commit and
// reads one row, so a callback that appends waits (behaviour.h). handle_locked cannot append.
//
// Bounds: those of a Map, and kLogTrimMaximum. Errors: those of a Map. A value that is too large
// throws. Threads: as with a Map.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "semper/server/map.h"

namespace semper {

// Entries that one trim() removes.
inline constexpr std::uint64_t kLogTrimMaximum = 1'000;

template <class T>
class Log {
 public:
  struct Entry {
    std::uint64_t number;
    T value;
  };
  // `more`: there may be further entries, in the requested order.
  struct Page {
    std::vector<Entry> entries;
    bool more = false;
  };
  // The numbers that exist: from `first` up to, but not including, `next`.
  struct Span {
    std::uint64_t first = 1;
    std::uint64_t next = 1;
    std::uint64_t size() const { return next - first; }
  };

  // The name follows the rules of a Map's, and differs from those of the type's other maps and
  // logs.
  template <std::size_t Size>
  consteval explicit Log(const char (&name)[Size]) : ends_(name) {}

  // Returns its number.
  Async<std::uint64_t> append(Context& context, const T& value) const {
    return append_encoded(ends_, context, encode(value));
  }

  // One row is read.
  Async<Span> span(const MapSource& of) const { return found(ends_.get(of, kEnds)); }

  // Up to `limit` entries, from the first one upwards or from the last one downwards; or from this
  // number on, including it if it exists. With a Ref, a page is read from one snapshot.
  Async<Page> page(const MapSource& of, std::size_t limit, Order order = Order::ascending) const {
    const bool ascends = order == Order::ascending;
    return page_from(of, ascends ? 0 : std::numeric_limits<std::uint64_t>::max(), limit, order);
  }
  Async<Page> page_from(const MapSource& of, std::uint64_t number, std::size_t limit,
                        Order order = Order::ascending) const {
    internal::MapStart start(internal::encode_map_key(Key(kIsEntry, number)), true);
    return numbered(name(), internal::get_map_page(of, name(), std::move(start), limit, order));
  }

  // Removes entries before this number, oldest first, at most kLogTrimMaximum of them. Returns the
  // number of the first entry that is left, or of the next append.
  Async<std::uint64_t> trim(Context& context, std::uint64_t before) const {
    return trim_before(ends_, context, before);
  }

  std::string_view name() const { return ends_.name(); }

 private:
  // The row that holds the ends sorts before all entries.
  using Key = std::pair<bool, std::uint64_t>;
  static constexpr bool kIsEntry = true;
  static constexpr Key kEnds = Key(false, 0);
  using Ends = Map<Key, std::pair<std::uint64_t, std::uint64_t>>;

  static Async<Span> found(Async<std::optional<std::pair<std::uint64_t, std::uint64_t>>> reading) {
    SEMPER_CO_TRY(const auto ends, co_await std::move(reading));
    Span span;
    if (ends) span.first = ends->first;
    if (ends) span.next = ends->second;
    co_return span;
  }
  static Async<Page> numbered(std::string_view name, Async<RangePage> reading) {
    SEMPER_CO_TRY(const auto rows, co_await std::move(reading));
    Page page;
    page.more = rows.more;
    for (const auto& row : rows.rows) {
      const auto key = internal::decode_map_key<Key>(row.key);
      if (!key) co_return fail(damaged(name, key.error()));
      const bool is_over = key->first != kIsEntry;  // the ends, seen from behind
      if (is_over) page.more = false;
      if (is_over) break;
      auto value = decode<T>(row.value);
      if (!value) co_return fail(damaged(name, value.error()));
      page.entries.push_back({key->second, std::move(*value)});
    }
    co_return page;
  }
  static Error damaged(std::string_view name, const Error& error) {
    return Error(ErrorKind::corrupt,
                 "an entry of log " + std::string(name) + ": " + error.message());
  }
  static Async<std::uint64_t> append_encoded(Ends ends, Context& context, Bytes value) {
    SEMPER_CO_TRY(const Span span, co_await found(ends.get(context, kEnds)));
    auto key = internal::encode_map_key(Key(kIsEntry, span.next));
    internal::write_map_row(context, ends.name(), std::move(key), std::move(value));
    ends.set(context, kEnds, {span.first, span.next + 1});
    co_return span.next;
  }
  static Async<std::uint64_t> trim_before(Ends ends, Context& context, std::uint64_t before) {
    SEMPER_CO_TRY(const Span span, co_await found(ends.get(context, kEnds)));
    const std::uint64_t most = std::min(span.size(), kLogTrimMaximum);
    const std::uint64_t first = std::clamp(before, span.first, span.first + most);
    for (std::uint64_t number = span.first; number < first; ++number) {
      ends.erase(context, Key(kIsEntry, number));
    }
    if (first != span.first) ends.set(context, kEnds, {first, span.next});
    co_return first;
  }

  Ends ends_;
};

}  // namespace semper
