// The entries of a List, as rows of a Map whose keys are their places.
//
// What for: server/list.h. When not: never used directly.
#pragma once

#include <optional>
#include <string>
#include <utility>

#include "semper/server/internal/list_place.h"
#include "semper/server/list_place.h"
#include "semper/server/map.h"

namespace semper::internal {

template <class T>
struct ListRows {
  using Map = semper::Map<ByteString, T>;
  using Neighbour = std::optional<Bytes>;

  // `onward`: the order in which one comes from `near` to `far`.
  static Async<ListPlace> add_between(Map rows, Context& context, Neighbour near, Neighbour far,
                                      Order onward, T value) {
    if (onward == Order::descending) std::swap(near, far);
    SEMPER_CO_TRY(auto place, internal::place_between(near, far));
    rows.set(context, ByteString{place}, value);
    co_return ListPlace(std::move(place));
  }
  // The end from which `inward` leads into the list.
  static Async<ListPlace> add_at_end(Map rows, Context& context, T value, Order inward) {
    SEMPER_CO_TRY(const auto page, co_await rows.page(context, 1, inward));
    const Neighbour outside;
    Neighbour first;
    if (!page.entries.empty()) first = page.entries[0].key.bytes;
    co_return co_await add_between(rows, context, outside, first, inward, value);
  }
  static Async<ListPlace> add_next_to(Map rows, Context& context, ListPlace other, T value,
                                      Order onward) {
    SEMPER_CO_TRY(const auto beyond, co_await neighbour(rows, context, other, onward));
    const Neighbour near(other.bytes());
    co_return co_await add_between(rows, context, near, beyond, onward, value);
  }
  static Async<ListPlace> move_next_to(Map rows, Context& context, ListPlace entry, ListPlace other,
                                       Order onward) {
    SEMPER_CO_TRY(auto value, co_await existing(rows, context, entry));
    if (entry == other) co_return entry;
    // Away first: then it is not its own neighbour.
    const ByteString from{entry.bytes()};
    rows.erase(context, from);
    auto moved = co_await add_next_to(rows, context, other, value, onward);
    if (!moved) rows.set(context, from, value);
    co_return moved;
  }
  static Async<void> replace(Map rows, Context& context, ListPlace entry, T value) {
    SEMPER_CO_TRY_STATUS(co_await existing(rows, context, entry));
    rows.set(context, ByteString{entry.bytes()}, value);
    co_return Status{};
  }

  // The one that follows `of`, which has to be there, in this order.
  static Async<Neighbour> neighbour(Map rows, Context& context, ListPlace of, Order order) {
    SEMPER_CO_TRY_STATUS(check(rows, of));
    const ByteString at{of.bytes()};
    SEMPER_CO_TRY(const auto page, co_await rows.page_from(context, at, 2, order));
    if (page.entries.empty() || page.entries[0].key != at) co_return fail(absent(rows));
    Neighbour beyond;
    if (page.entries.size() > 1) beyond = page.entries[1].key.bytes;
    co_return beyond;
  }
  static Async<T> existing(Map rows, Context& context, ListPlace entry) {
    SEMPER_CO_TRY_STATUS(check(rows, entry));
    const ByteString at{entry.bytes()};
    SEMPER_CO_TRY(auto value, co_await rows.get(context, at));
    if (!value) co_return fail(absent(rows));
    co_return std::move(*value);
  }
  static Status check(Map rows, const ListPlace& place) {
    if (internal::is_list_place(place.bytes())) return {};
    return fail(ErrorKind::invalid_argument,
                to_printable(place.bytes()) + " is no place of list " + std::string(rows.name()));
  }
  static Error absent(Map rows) {
    return Error(ErrorKind::not_found, "no entry of list " + std::string(rows.name()) +
                                           " has that place: it was moved or removed");
  }
};

}  // namespace semper::internal
