// Where a large state is cut into chunks: at the ends of its parts.
//
// A state is one CBOR item. Its chunks end where entries of maps, elements of arrays or fields of
// protobuf messages end, however deep they lie; text and bytes longer than a chunk are cut at fixed
// distances. Which parts share a chunk depends on their contents, or for an entry on its key, and
// hardly on what stands before them: where an entry is put in, taken out or changed, the cuts of
// the others stay. (Content-defined chunking as in LBFS, SOSP 2001, but only at the ends of parts.)
//
// Cuts have no meaning: chunks put together are the state, whoever cut it and however. So they may
// differ between versions of this program; and bytes that are no CBOR are cut like text.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "semper/base/bytes.h"

namespace semper::internal {

// No chunk is larger.
inline constexpr std::size_t kChunkBytes = 16u << 10;
// About what a chunk holds where its parts are small. A store that takes few operations in one
// transaction has larger ones: see chunk_aim().
inline constexpr std::size_t kChunkAimMinimum = 1u << 10;
inline constexpr std::size_t kChunkAimMaximum = 8u << 10;
// Parts within parts are looked into down to this depth.
inline constexpr int kCutDepth = 8;

// What to aim at for a state of so many bytes, so that writing all of it takes at most a quarter of
// the operations of a transaction, where that is possible.
std::size_t chunk_aim(std::size_t state_bytes, std::size_t transaction_operations);

// The sizes of the chunks, in order; together they are the state's size, and none is 0.
std::vector<std::uint32_t> cut_state(BytesView state, std::size_t aim);

}  // namespace semper::internal
