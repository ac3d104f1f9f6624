// How aggregate.h counts the fields of a type, and binds them: C++20 has no words for either.
#pragma once

#include <cstddef>
#include <type_traits>
#include <utility>

namespace semper::internal {

inline constexpr std::size_t kMaxAggregateFields = 32;

// Converts to whatever a field of T is made from. By const value: where a field's own constructor
// takes anything too (std::optional), the two are then not ambiguous.
template <class T>
struct AnyField {
  template <class Field>
  requires(!std::is_same_v<Field, T>) operator Field() const noexcept { __builtin_unreachable(); }
};
template <class T>
struct AnyBase {
  template <class Base>
  requires(std::is_base_of_v<Base, T> && !std::is_same_v<Base, T>) operator Base() const noexcept {
    __builtin_unreachable();
  }
};
template <class T, std::size_t>
using AnyFieldAt = AnyField<T>;

template <class T, std::size_t... kIndex>
constexpr bool takes(std::index_sequence<kIndex...>) {
  return requires {
    T{AnyFieldAt<T, kIndex>{}...};
  };
}

// With two values in inner braces after the first ones, and others behind.
template <class T, std::size_t... kBefore, std::size_t... kAfter>
constexpr bool takes_pair_between(std::index_sequence<kBefore...>, std::index_sequence<kAfter...>) {
  return requires {
    T{AnyFieldAt<T, kBefore>{}..., {AnyField<T>{}, AnyField<T>{}}, AnyFieldAt<T, kAfter>{}...};
  };
}

// The initialisers that T takes form one stretch: at least those without default, at most all
// fields (a C array counts once per element). kMaxAggregateFields + 1 means "too many".
template <class T, std::size_t kCount = 0, bool kSeen = false>
constexpr std::size_t most_initialisers() {
  constexpr bool kTakes = takes<T>(std::make_index_sequence<kCount>());
  if constexpr (kSeen && !kTakes) {
    return kCount - 1;
  } else if constexpr (kCount > kMaxAggregateFields) {
    return kCount;
  } else {
    return most_initialisers<T, kCount + 1, kTakes>();
  }
}

// A C array at position kAt takes a pair in braces, but then fewer values fit behind it than behind
// a single value.
template <class T, std::size_t kCount, std::size_t kAt>
constexpr bool is_array_at() {
  using Before = std::make_index_sequence<kAt>;
  return takes_pair_between<T>(Before(), std::index_sequence<>()) &&
         !takes_pair_between<T>(Before(), std::make_index_sequence<kCount - kAt - 1>());
}
template <class T, std::size_t... kAt>
constexpr bool has_array(std::index_sequence<kAt...>) {
  return (is_array_at<T, sizeof...(kAt), kAt>() || ...);
}

template <class T>
constexpr bool has_base() {
  return requires {
    T{AnyBase<T>{}};
  };
}

template <class T>
constexpr std::size_t count_fields() {
  static_assert(std::is_aggregate_v<T> && std::is_class_v<T>,
                "fields by position need an aggregate: public fields only, no constructors of its "
                "own, no virtual functions");
  static_assert(!has_base<T>(),
                "an aggregate with a base class has no fields by position: hold it as a field");
  constexpr std::size_t kCount = most_initialisers<T>();
  static_assert(kCount <= kMaxAggregateFields,
                "more than 32 fields (each element of a C array counts): group them in structs, or "
                "use std::array");
  if constexpr (kCount <= kMaxAggregateFields) {
    static_assert(!has_array<T>(std::make_index_sequence<kCount>()),
                  "C arrays are not supported as fields: use std::array");
  }
  return kCount;
}

template <std::size_t kCount, class T, class Visitor>
constexpr decltype(auto) visit_aggregate(T& value, Visitor&& visitor) {
  if constexpr (kCount == 0) {
    return visitor();
  } else if constexpr (kCount == 1) {
    auto& [a] = value;
    return visitor(a);
  } else if constexpr (kCount == 2) {
    auto& [a, b] = value;
    return visitor(a, b);
  } else if constexpr (kCount == 3) {
    auto& [a, b, c] = value;
    return visitor(a, b, c);
  } else if constexpr (kCount == 4) {
    auto& [a, b, c, d] = value;
    return visitor(a, b, c, d);
  } else if constexpr (kCount == 5) {
    auto& [a, b, c, d, e] = value;
    return visitor(a, b, c, d, e);
  } else if constexpr (kCount == 6) {
    auto& [a, b, c, d, e, f] = value;
    return visitor(a, b, c, d, e, f);
  } else if constexpr (kCount == 7) {
    auto& [a, b, c, d, e, f, g] = value;
    return visitor(a, b, c, d, e, f, g);
  } else if constexpr (kCount == 8) {
    auto& [a, b, c, d, e, f, g, h] = value;
    return visitor(a, b, c, d, e, f, g, h);
  } else if constexpr (kCount == 9) {
    auto& [a, b, c, d, e, f, g, h, i] = value;
    return visitor(a, b, c, d, e, f, g, h, i);
  } else if constexpr (kCount == 10) {
    auto& [a, b, c, d, e, f, g, h, i, j] = value;
    return visitor(a, b, c, d, e, f, g, h, i, j);
  } else if constexpr (kCount == 11) {
    auto& [a, b, c, d, e, f, g, h, i, j, k] = value;
    return visitor(a, b, c, d, e, f, g, h, i, j, k);
  } else if constexpr (kCount == 12) {
    auto& [a, b, c, d, e, f, g, h, i, j, k, l] = value;
    return visitor(a, b, c, d, e, f, g, h, i, j, k, l);
  } else if constexpr (kCount == 13) {
    auto& [a, b, c, d, e, f, g, h, i, j, k, l, m] = value;
    return visitor(a, b, c, d, e, f, g, h, i, j, k, l, m);
  } else if constexpr (kCount == 14) {
    auto& [a, b, c, d, e, f, g, h, i, j, k, l, m, n] = value;
    return visitor(a, b, c, d, e, f, g, h, i, j, k, l, m, n);
  } else if constexpr (kCount == 15) {
    auto& [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o] = value;
    return visitor(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o);
  } else if constexpr (kCount == 16) {
    auto& [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = value;
    return visitor(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p);
  } else if constexpr (kCount == 17) {
    auto& [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q] = value;
    return visitor(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q);
  } else if constexpr (kCount == 18) {
    auto& [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r] = value;
    return visitor(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r);
  } else if constexpr (kCount == 19) {
    auto& [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s] = value;
    return visitor(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s);
  } else if constexpr (kCount == 20) {
    auto& [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t] = value;
    return visitor(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t);
  } else if constexpr (kCount == 21) {
    auto& [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u] = value;
    return visitor(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u);
  } else if constexpr (kCount == 22) {
    auto& [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v] = value;
    return visitor(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v);
  } else if constexpr (kCount == 23) {
    auto& [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v, w] = value;
    return visitor(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v, w);
  } else if constexpr (kCount == 24) {
    auto& [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v, w, x] = value;
    return visitor(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v, w, x);
  } else if constexpr (kCount == 25) {
    auto& [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v, w, x, y] = value;
    return visitor(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v, w, x, y);
  } else if constexpr (kCount == 26) {
    auto& [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v, w, x, y, z] = value;
    return visitor(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v, w, x, y, z);
  } else if constexpr (kCount == 27) {
    auto& [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v, w, x, y, z, aa] =
        value;
    return visitor(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v, w, x, y, z,
                   aa);
  } else if constexpr (kCount == 28) {
    auto& [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v, w, x, y, z, aa, ab] =
        value;
    return visitor(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v, w, x, y, z, aa,
                   ab);
  } else if constexpr (kCount == 29) {
    auto& [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v, w, x, y, z, aa, ab,
           ac] = value;
    return visitor(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v, w, x, y, z, aa,
                   ab, ac);
  } else if constexpr (kCount == 30) {
    auto& [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v, w, x, y, z, aa, ab, ac,
           ad] = value;
    return visitor(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v, w, x, y, z, aa,
                   ab, ac, ad);
  } else if constexpr (kCount == 31) {
    auto& [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v, w, x, y, z, aa, ab, ac,
           ad, ae] = value;
    return visitor(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v, w, x, y, z, aa,
                   ab, ac, ad, ae);
  } else if constexpr (kCount == 32) {
    auto& [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v, w, x, y, z, aa, ab, ac,
           ad, ae, af] = value;
    return visitor(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v, w, x, y, z, aa,
                   ab, ac, ad, ae, af);
  }
}

}  // namespace semper::internal
