#include "server/format/state_chunks.h"

#include <algorithm>
#include <optional>
#include <unordered_map>

#include "semper/base/assert.h"
#include "semper/base/internal/mutant.h"
#include "server/format/state_cut.h"

namespace semper::internal {
namespace {

constexpr std::uint64_t kNoPlace = ~std::uint64_t{0};
// Room that is made between neighbours that are placed anew.
constexpr std::uint64_t kRoomMade = 256;

struct Piece {
  BytesView contents;
  std::uint64_t place = kNoPlace;
};
using Pieces = std::vector<Piece>;

Pieces pieces_of(BytesView state, const StateChunks& chunks) {
  Pieces pieces;
  pieces.reserve(chunks.size());
  std::size_t at = 0;
  for (const auto& chunk : chunks) {
    pieces.push_back({state.substr(at, chunk.bytes), chunk.place});
    at += chunk.bytes;
  }
  SEMPER_ASSERT(at == state.size(), "the chunks are the state");
  return pieces;
}

Pieces pieces_of(BytesView state, const std::vector<std::uint32_t>& sizes) {
  Pieces pieces;
  pieces.reserve(sizes.size());
  std::size_t at = 0;
  for (const auto size : sizes) {
    pieces.push_back({state.substr(at, size), kNoPlace});
    at += size;
  }
  return pieces;
}

// Which of the old pieces [from, until) is which new one: pairs that ascend on both sides, as many
// as there are (the longest ascending run of candidates).
using Match = std::pair<std::size_t, std::size_t>;  // old, new
std::vector<Match> match_between(const Pieces& before, std::size_t from, std::size_t until,
                                 const Pieces& after, std::size_t first, std::size_t past) {
  std::unordered_map<BytesView, std::vector<std::size_t>> known;
  for (std::size_t i = until; i > from; --i) known[before[i - 1].contents].push_back(i - 1);
  std::vector<Match> candidates;
  for (std::size_t i = first; i < past; ++i) {
    const auto found = known.find(after[i].contents);
    if (found == known.end() || found->second.empty()) continue;
    candidates.emplace_back(found->second.back(), i);
    found->second.pop_back();
  }
  // ends[n]: the candidate with the smallest old one at which a run of n + 1 can end.
  std::vector<std::size_t> ends;
  std::vector<std::optional<std::size_t>> previous(candidates.size());
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    const auto at = std::lower_bound(
        ends.begin(), ends.end(), candidates[i].first,
        [&](std::size_t end, std::size_t old) { return candidates[end].first < old; });
    if (at != ends.begin()) previous[i] = *std::prev(at);
    if (at == ends.end()) {
      ends.push_back(i);
    } else {
      *at = i;
    }
  }
  std::vector<Match> run;
  if (!ends.empty()) {
    for (std::optional<std::size_t> i = ends.back(); i; i = previous[*i]) {
      run.push_back(candidates[*i]);
    }
  }
  std::reverse(run.begin(), run.end());
  return run;
}

// Gives the new pieces the places of those that they are, or that they take the place of.
void keep_places(const Pieces& before, Pieces& after) {
  std::size_t head = 0;
  while (head < std::min(before.size(), after.size()) &&
         before[head].contents == after[head].contents) {
    after[head].place = before[head].place;
    ++head;
  }
  std::size_t tail = 0;
  while (head + tail < std::min(before.size(), after.size()) &&
         before[before.size() - 1 - tail].contents == after[after.size() - 1 - tail].contents) {
    after[after.size() - 1 - tail].place = before[before.size() - 1 - tail].place;
    ++tail;
  }
  auto matches =
      match_between(before, head, before.size() - tail, after, head, after.size() - tail);
  matches.emplace_back(before.size() - tail, after.size() - tail);
  std::size_t old = head;
  std::size_t now = head;
  for (const auto& [matched_old, matched_now] : matches) {
    for (; old < matched_old && now < matched_now; ++old, ++now) {
      after[now].place = before[old].place;
    }
    if (matched_now < after.size() - tail) after[matched_now].place = before[matched_old].place;
    old = matched_old + 1;
    now = matched_now + 1;
  }
}

// The places of the neighbours of [from, until); the ends count as such.
std::uint64_t below(const Pieces& pieces, std::size_t from) {
  return from == 0 ? 0 : pieces[from - 1].place;
}
std::uint64_t above(const Pieces& pieces, std::size_t until) {
  return until == pieces.size() ? kPlacesEnd : pieces[until].place;
}

// Places [from, until) evenly, at the ends of the list as far from it as at first.
void place(Pieces& pieces, std::size_t from, std::size_t until) {
  const std::uint64_t low = below(pieces, from);
  const std::uint64_t high = above(pieces, until);
  const std::uint64_t count = until - from;
  const bool is_first = from == 0;
  const bool is_last = until == pieces.size();
  std::uint64_t step = (high - low) / (count + 1);
  std::uint64_t begin = low;
  if (is_first || is_last) step = std::min(step, kPlaceStep);
  if (is_first && is_last) begin = kPlacesEnd / 2 - step * (count / 2 + 1);
  if (is_first && !is_last) begin = high - step * (count + 1);
  SEMPER_ASSERT(step > 0, "there is room");
  for (std::uint64_t i = 0; i < count; ++i) pieces[from + i].place = begin + step * (i + 1);
}

bool has_room(const Pieces& pieces, std::size_t from, std::size_t until, std::uint64_t each) {
  return (above(pieces, until) - below(pieces, from)) / (until - from + 1) >= each;
}

// [from, until) have no place yet. Without room for them, neighbours are placed anew as well.
void find_place(Pieces& pieces, std::size_t from, std::size_t until) {
  std::uint64_t each = 1;
  const bool is_coarse = SEMPER_MUTANT("server_chunks_crowd_together");
  for (std::size_t more = is_coarse ? pieces.size() : 1; !has_room(pieces, from, until, each);
       more *= 2) {
    if (from == 0 && until == pieces.size()) break;
    each = kRoomMade;
    from -= std::min(from, more);
    until += std::min(pieces.size() - until, more);
    // Who has no place yet is found one, too.
    while (until < pieces.size() && pieces[until].place == kNoPlace) ++until;
  }
  place(pieces, from, until);
}

// What differs between two lists of pieces, both in the order of their places.
void compare(const Pieces& before, const Pieces& after, ChunkRewrite& rewrite) {
  std::size_t old = 0;
  for (const auto& piece : after) {
    while (old < before.size() && before[old].place < piece.place) {
      rewrite.cleared.push_back(before[old++].place);
      if (SEMPER_MUTANT("server_chunk_taken_out_stays")) rewrite.cleared.pop_back();
    }
    const bool was_there = old < before.size() && before[old].place == piece.place;
    const bool is_same = was_there && before[old].contents == piece.contents;
    if (was_there) ++old;
    if (was_there && SEMPER_MUTANT("server_changed_chunk_not_written")) continue;
    if (!is_same) rewrite.set.emplace_back(piece.place, piece.contents);
  }
  while (old < before.size()) rewrite.cleared.push_back(before[old++].place);
}

}  // namespace

ChunkRewrite rewrite_chunks(BytesView before, const StateChunks& chunks, BytesView after,
                            std::size_t aim) {
  const Pieces old = pieces_of(before, chunks);
  Pieces now = pieces_of(after, cut_state(after, aim));
  keep_places(old, now);
  for (std::size_t i = 0; i < now.size(); ++i) {
    if (now[i].place != kNoPlace) continue;
    std::size_t past = i;
    while (past < now.size() && now[past].place == kNoPlace) ++past;
    find_place(now, i, past);
  }
  ChunkRewrite rewrite;
  rewrite.chunks.reserve(now.size());
  for (const auto& piece : now) {
    SEMPER_ASSERT(rewrite.chunks.empty() || rewrite.chunks.back().place < piece.place,
                  "places ascend");
    rewrite.chunks.push_back({piece.place, static_cast<std::uint32_t>(piece.contents.size())});
  }
  compare(old, now, rewrite);
  return rewrite;
}

}  // namespace semper::internal
