// Keys that are tuples behind a tenant's prefix, and what lies below them.
#pragma once

#include <cstdint>
#include <type_traits>

#include "semper/store/backend.h"
#include "semper/store/tuple_stream.h"
#include "semper/store/versionstamp.h"

namespace semper::internal {

// Numbers and enumerators as numbers, versionstamps as such, everything else as text.
template <class... Elements>
Bytes tuple_key(BytesView prefix, const Elements&... elements) {
  Bytes key(prefix);
  TupleWriter writer(key);
  const auto add = [&](const auto& element) {
    using Element = std::remove_cvref_t<decltype(element)>;
    if constexpr (std::is_enum_v<Element>) {
      writer.add(static_cast<std::int64_t>(element));
    } else if constexpr (std::is_integral_v<Element> || std::is_same_v<Element, Versionstamp>) {
      writer.add(element);
    } else {
      writer.add_text(element);
    }
  };
  (add(elements), ...);
  return key;
}

// Everything that continues this tuple: one more element or more.
inline KeyRange below(const Bytes& tuple) {
  return {tuple + '\x00', tuple + '\xff'};
}

}  // namespace semper::internal
