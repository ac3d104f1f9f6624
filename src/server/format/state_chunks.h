// StateChunks: the rows in which a large state lies, and what of them a change writes.
//
// Each chunk (state_cut.h) has a row of its own, at a place: a number in its key. Places ascend
// with room in between, so what is put in moves no other; where there is no room left, the nearest
// neighbours are placed anew (as in Bender et al., "Two simplified algorithms for maintaining order
// in a list", ESA 2002), so that an insertion rewrites few of them, wherever it is made.
//
//   const auto rewrite = rewrite_chunks(old_state, old_chunks, new_state, aim);
//   for (place : rewrite.cleared) ...; for ([place, contents] : rewrite.set) ...
//   old_chunks = rewrite.chunks;
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "semper/base/bytes.h"

namespace semper::internal {

// Places are below this.
inline constexpr std::uint64_t kPlacesEnd = std::uint64_t{1} << 48;
// Between chunks at first, and at both ends.
inline constexpr std::uint64_t kPlaceStep = std::uint64_t{1} << 20;

struct StateChunk {
  std::uint64_t place = 0;
  std::uint32_t bytes = 0;

  friend bool operator==(const StateChunk&, const StateChunk&) = default;
};
using StateChunks = std::vector<StateChunk>;

struct ChunkRewrite {
  StateChunks chunks;                                    // of the new state
  std::vector<std::uint64_t> cleared;                    // ascending
  std::vector<std::pair<std::uint64_t, BytesView>> set;  // ascending; within the new state
};

// Precondition: `chunks` ascend, and have the sizes of `before` in all. Nothing is written where
// nothing differs.
ChunkRewrite rewrite_chunks(BytesView before, const StateChunks& chunks, BytesView after,
                            std::size_t aim);

}  // namespace semper::internal
