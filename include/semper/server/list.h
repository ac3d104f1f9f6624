// List<T>: entries of a durable server in an order of its own, stored one by one next to its State.
//
// What for: playlists, boards, agendas, queues that people sort: entries are added at either end or
// between two others, moved and removed, and each operation touches only its neighbours. When not:
// entries that sort by something in them (a Map, server/map.h), that only come at the end (a Log,
// server/entity_log.h), or that are few and needed by every message (the State).
//
//   struct Board {
//     struct Card { std::string text; };
//     static constexpr semper::List<Card> kCards{"cards"};
//
//     semper::Async<semper::ListPlace> handle_call(const Add& m, State& s, semper::Context& ctx) {
//       const Card card{m.text};                                // named first: see server/ref.h
//       co_return co_await kCards.push_back(ctx, card);         // its place
//     }
//     semper::Async<semper::ListPlace> handle_call(const Move& m, State& s, semper::Context& ctx) {
//       co_return co_await kCards.move_before(ctx, m.card, m.other);
//     }
//   };
//
//   auto top = co_await Board::kCards.page(board, 20);          // from outside, by a Ref
//
// A place names an entry: it stays the same until the entry is moved or removed, and may be sent in
// messages. The operations that add and move return the entry's new place. They read a neighbour or
// two, so a callback that uses them waits (behaviour.h). handle_locked reads and erases only.
//
// There is no index: an entry is found by its place, or page by page from either end. Inserting
// thousands of entries one by one between the same two neighbours makes places longer, and ends
// with `exhausted` (kListPlaceBytesMaximum); adding at the ends does not.
//
// Bounds: those of a Map. Errors: those of a Map's reads; not_found (no entry has that place: it
// was moved or removed, so show the list anew); invalid_argument (bytes that are no place);
// exhausted. A value that is too large throws. Threads: as with a Map. Source: fractional indexing,
// as described by Evan Wallace (Figma, 2017).
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "semper/server/internal/list_rows.h"
#include "semper/server/list_place.h"
#include "semper/server/map.h"

namespace semper {

template <class T>
class List {
 public:
  struct Entry {
    ListPlace place;
    T value;
  };
  // `more`: there may be further entries, in the requested order.
  struct Page {
    std::vector<Entry> entries;
    bool more = false;
  };

  // The name follows the rules of a Map's, and differs from those of the type's other collections.
  template <std::size_t Size>
  consteval explicit List(const char (&name)[Size]) : rows_(name) {}

  // Each returns the place of the new entry.
  Async<ListPlace> push_front(Context& context, const T& value) const {
    return Rows::add_at_end(rows_, context, value, Order::ascending);
  }
  Async<ListPlace> push_back(Context& context, const T& value) const {
    return Rows::add_at_end(rows_, context, value, Order::descending);
  }
  Async<ListPlace> insert_before(Context& context, const ListPlace& other, const T& value) const {
    return Rows::add_next_to(rows_, context, other, value, Order::descending);
  }
  Async<ListPlace> insert_after(Context& context, const ListPlace& other, const T& value) const {
    return Rows::add_next_to(rows_, context, other, value, Order::ascending);
  }

  // Each returns the entry's new place. An entry that is moved next to itself keeps its place.
  Async<ListPlace> move_before(Context& context, const ListPlace& entry,
                               const ListPlace& other) const {
    return Rows::move_next_to(rows_, context, entry, other, Order::descending);
  }
  Async<ListPlace> move_after(Context& context, const ListPlace& entry,
                              const ListPlace& other) const {
    return Rows::move_next_to(rows_, context, entry, other, Order::ascending);
  }

  // Gives the entry another value, where it stands.
  Async<void> set(Context& context, const ListPlace& entry, const T& value) const {
    return Rows::replace(rows_, context, entry, value);
  }
  // Does nothing if there is no such entry.
  void erase(Context& context, const ListPlace& entry) const {
    rows_.erase(context, ByteString{entry.bytes()});
  }
  void erase(LockedContext& context, const ListPlace& entry) const {
    rows_.erase(context, ByteString{entry.bytes()});
  }

  Async<std::optional<T>> get(const MapSource& of, const ListPlace& entry) const {
    return rows_.get(of, ByteString{entry.bytes()});
  }

  // Up to `limit` entries, from the first one on or, descending, from the last one back; or those
  // behind an entry in that order, whether it still exists or not.
  Async<Page> page(const MapSource& of, std::size_t limit, Order order = Order::ascending) const {
    return placed(rows_.page(of, limit, order));
  }
  Async<Page> page_after(const MapSource& of, const ListPlace& entry, std::size_t limit,
                         Order order = Order::ascending) const {
    return placed(rows_.page_after(of, ByteString{entry.bytes()}, limit, order));
  }

  // The number of entries, up to `most`; reads that many. If you need it often, count in the State.
  Async<std::uint64_t> count(const MapSource& of, std::uint64_t most) const {
    return rows_.count(of, most);
  }

  std::string_view name() const { return rows_.name(); }

 private:
  using Rows = internal::ListRows<T>;

  static Async<Page> placed(Async<typename Rows::Map::Page> reading) {
    SEMPER_CO_TRY(auto rows, co_await std::move(reading));
    Page page;
    page.more = rows.more;
    page.entries.reserve(rows.entries.size());
    for (auto& row : rows.entries) {
      page.entries.push_back({ListPlace(std::move(row.key.bytes)), std::move(row.value)});
    }
    co_return page;
  }

  typename Rows::Map rows_;
};

}  // namespace semper
