// What a behaviour and its messages may say of themselves: the version of the state, fields that
// may go, former names (docs/guide-servers.md, "State, and how it changes over the years").
#pragma once

#include <concepts>
#include <cstdint>
#include <iterator>
#include <string_view>

#include "semper/base/bytes.h"
#include "semper/base/result.h"

namespace semper {

// The highest kStateVersion: more than anybody needs.
inline constexpr std::int64_t kStateVersionMaximum = 1'000'000'000;

namespace internal {

// A behaviour with `static constexpr bool kDropsUnknownFields = true`.
template <class B>
concept DropsUnknownFields = requires {
  requires static_cast<bool>(B::kDropsUnknownFields);
};

// A behaviour with `static constexpr int kStateVersion`, and one with `upgrade`.
template <class B>
concept HasStateVersion = requires {
  static_cast<std::int64_t>(B::kStateVersion);
};
template <class B>
concept UpgradesState = requires(B& b, int from, BytesView old) {
  { b.upgrade(from, old) } -> std::convertible_to<Result<typename B::State>>;
};
template <class B>
constexpr std::int64_t state_version_of() {
  if constexpr (HasStateVersion<B>) {
    return B::kStateVersion;
  } else {
    return 1;
  }
}

// A message that lists its former names: `static constexpr` kFormerNames.
template <class M>
concept HasFormerNames = requires {
  std::string_view(*std::begin(M::kFormerNames));
};

}  // namespace internal
}  // namespace semper
