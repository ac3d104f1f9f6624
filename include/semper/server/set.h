// Set<K>: keys of a durable server that are stored one by one, next to its State.
//
// What for: membership that grows over time, such as who is in a room or which orders were seen. A
// callback looks at the keys that it asks for, and at no others. When not: keys with something to
// them, which are a Map (server/map.h), and small sets that every message needs: those belong in
// the State.
//
//   struct Room {
//     static constexpr semper::Set<std::string> kMembers{"members"};
//
//     semper::Async<bool> handle_call(const Join& m, State& s, semper::Context& ctx) {
//       SEMPER_CO_TRY(const bool is_new, co_await kMembers.insert(ctx, m.name));
//       if (is_new) ++s.members;
//       co_return is_new;
//     }
//   };
//
//   auto first = co_await Room::kMembers.page(room, 100);   // from outside, by a Ref
//
// Everything else is as server/map.h says of the keys of a Map: which types they have, how they
// sort, what a callback sees of its own writes, who can read, kill and reset, bounds, errors and
// threads.
#pragma once

#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "semper/server/map.h"

namespace semper {

template <MapKey K>
class Set {
 public:
  // `more`: there may be further keys.
  struct Page {
    std::vector<K> keys;
    bool more = false;
  };

  // The name follows the rules of a Map's, and differs from those of the type's other collections.
  template <std::size_t Size>
  consteval explicit Set(const char (&name)[Size]) : rows_(name) {}

  Async<bool> contains(const MapSource& of, const K& key) const { return rows_.contains(of, key); }

  // Adds the key and says whether it is new; or takes it out and says whether it was there. Reads
  // that one key, so the callback waits.
  Async<bool> insert(Context& context, const K& key) const { return change(context, key, true); }
  Async<bool> remove(Context& context, const K& key) const { return change(context, key, false); }

  // The same, without a look at what is there: need no await, and conflict with nobody who does not
  // ask for the key.
  void set(Context& context, const K& key) const { rows_.set(context, key, true); }
  void set(LockedContext& context, const K& key) const { rows_.set(context, key, true); }
  void erase(Context& context, const K& key) const { rows_.erase(context, key); }
  void erase(LockedContext& context, const K& key) const { rows_.erase(context, key); }

  // Up to `limit` keys in ascending or descending order: the first ones, those from `key` on, or
  // those after it.
  Async<Page> page(const MapSource& of, std::size_t limit, Order order = Order::ascending) const {
    return keys_of(rows_.page(of, limit, order));
  }
  Async<Page> page_from(const MapSource& of, const K& key, std::size_t limit,
                        Order order = Order::ascending) const {
    return keys_of(rows_.page_from(of, key, limit, order));
  }
  Async<Page> page_after(const MapSource& of, const K& key, std::size_t limit,
                         Order order = Order::ascending) const {
    return keys_of(rows_.page_after(of, key, limit, order));
  }

  // The number of keys, up to `most`; reads that many. If you need it often, count in the State.
  Async<std::uint64_t> count(const MapSource& of, std::uint64_t most) const {
    return rows_.count(of, most);
  }

  std::string_view name() const { return rows_.name(); }

 private:
  using Rows = Map<K, bool>;  // a key that is there has the value true

  Async<bool> change(Context& context, const K& key, bool is_member) const {
    return changed(*this, context, key, is_member, rows_.contains(context, key));
  }
  static Async<bool> changed(Set set, Context& context, K key, bool is_member,
                             Async<bool> looking) {
    SEMPER_CO_TRY(const bool was_member, co_await std::move(looking));
    if (was_member == is_member) co_return false;
    if (is_member) {
      set.set(context, key);
    } else {
      set.erase(context, key);
    }
    co_return true;
  }
  static Async<Page> keys_of(Async<typename Rows::Page> reading) {
    SEMPER_CO_TRY(auto rows, co_await std::move(reading));
    Page page;
    page.more = rows.more;
    page.keys.reserve(rows.entries.size());
    for (auto& entry : rows.entries) page.keys.push_back(std::move(entry.key));
    co_return page;
  }

  Rows rows_;
};

}  // namespace semper
