// Any bytes as large states, one after the other: wherever they are cut, the rows that are kept of
// them are the state, and nothing is written that was there.
#include <map>
#include <string>

#include "fuzz/fuzz.h"
#include "semper/base/assert.h"
#include "semper/base/cbor.h"
#include "server/format/state_chunks.h"
#include "server/format/state_cut.h"

namespace semper::fuzz {
namespace {

using internal::StateChunks;

void check_cut(BytesView state, std::size_t aim) {
  std::size_t bytes = 0;
  const auto sizes = internal::cut_state(state, aim);
  for (const auto size : sizes) {
    SEMPER_ASSERT(size > 0 && size <= internal::kChunkBytes, "a chunk is within its bounds");
    bytes += size;
  }
  SEMPER_ASSERT(bytes == state.size(), "chunks together are the state");
  SEMPER_ASSERT(internal::cut_state(state, aim) == sizes, "the same state is cut as before");
}

// As an entity's rows.
struct Rows {
  Bytes state;
  StateChunks chunks;
  std::map<std::uint64_t, Bytes> rows;

  void become(BytesView next, std::size_t aim) {
    auto rewrite = internal::rewrite_chunks(state, chunks, next, aim);
    for (const auto place : rewrite.cleared) {
      SEMPER_ASSERT(rows.erase(place) == 1, "what is removed was there");
    }
    for (const auto& [place, contents] : rewrite.set) {
      SEMPER_ASSERT(place < internal::kPlacesEnd, "a place is within its bounds");
      auto& row = rows[place];
      SEMPER_ASSERT(row != contents, "what is there already is not written");
      row = contents;
    }
    state = next;
    chunks = std::move(rewrite.chunks);
    Bytes together;
    std::size_t number = 0;
    for (const auto& [place, contents] : rows) {
      SEMPER_ASSERT(number < chunks.size() && chunks[number].place == place &&
                        chunks[number].bytes == contents.size(),
                    "the rows are those that are known");
      together += contents;
      ++number;
    }
    SEMPER_ASSERT(number == chunks.size() && together == state, "the rows are the state");
  }
};

Bytes map_of(int entries, char letter) {
  Bytes out;
  cbor::Writer writer(out);
  writer.map(static_cast<std::uint64_t>(entries));
  for (int i = 0; i < entries; ++i) {
    writer.text("key" + std::to_string(i));
    writer.array(2);
    writer.integer(-i);
    writer.text(std::string(static_cast<std::size_t>(i % 60), letter));
  }
  return out;
}

Bytes message_of(int fields) {
  Bytes payload;
  for (int i = 0; i < fields; ++i) {
    payload += "\x12\x05hello";  // field 2, with a length
    payload += "\x18\x07";       // field 3, a number
  }
  Bytes out;
  cbor::Writer writer(out);
  writer.tag(0x53504231);
  writer.bytes(payload);
  return out;
}

}  // namespace

std::vector<Bytes> seeds() {
  const auto states = {map_of(100, 'a'), map_of(103, 'a'), map_of(100, 'b'),
                       message_of(300),  message_of(302),  Bytes(3'000, '\x81') + '\x00',
                       Bytes()};
  std::vector<Bytes> all;
  Bytes one_after_the_other(1, '\x02');
  for (const auto& state : states) {
    append_piece(one_after_the_other, state);
    Bytes alone(1, '\x00');
    append_piece(alone, state);
    all.push_back(alone);
  }
  all.push_back(one_after_the_other);
  return all;
}

void check(BytesView input) {
  Parts parts(input);
  // Small ones, so that small inputs have many chunks.
  const std::size_t aim = std::size_t{16} << parts.octet() % 8;
  Rows rows;
  while (!parts.at_end()) {
    const BytesView state = parts.piece();
    check_cut(state, aim);
    rows.become(state, aim);
    rows.become(state, aim);
  }
}

}  // namespace semper::fuzz
