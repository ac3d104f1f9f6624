#include "server/format/state_chunks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "semper/base/cbor.h"
#include "semper/testing/seed.h"
#include "server/format/state_cut.h"

namespace semper::internal {
namespace {

std::string random_text(std::mt19937_64& random, std::size_t bytes) {
  std::string text(bytes, ' ');
  for (auto& c : text) c = static_cast<char>('a' + random() % 26);
  return text;
}

// A map of a text to a text, as JSON objects and types with names are stored.
using Names = std::map<std::string, std::string>;
Bytes encode_names(const Names& names) {
  Bytes out;
  cbor::Writer writer(out);
  writer.map(names.size());
  for (const auto& [name, value] : names) {
    writer.text(name);
    writer.text(value);
  }
  return out;
}

// A vector of records, in an aggregate with two more fields.
using Records = std::vector<std::string>;
Bytes encode_records(const Records& records) {
  Bytes out;
  cbor::Writer writer(out);
  writer.array(3);
  writer.unsigned_integer(7);
  writer.array(records.size());
  for (const auto& record : records) {
    writer.array(2);
    writer.text(record);
    writer.boolean(true);
  }
  writer.text("behind");
  return out;
}

void append_varint(Bytes& out, std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) out.push_back(static_cast<char>(value | 0x80));
  out.push_back(static_cast<char>(value));
}

// A protobuf message with one field, of number 2, that is repeated; within another one.
Bytes encode_message(const Records& records) {
  Bytes inner;
  for (const auto& record : records) {
    append_varint(inner, 2 << 3 | 2);
    append_varint(inner, record.size());
    inner += record;
  }
  Bytes outer;
  append_varint(outer, 1 << 3);
  append_varint(outer, 300);
  append_varint(outer, 3 << 3 | 2);
  append_varint(outer, inner.size());
  outer += inner;
  Bytes out;
  cbor::Writer writer(out);
  writer.tag(0x53504231);
  writer.bytes(outer);
  return out;
}

std::vector<Bytes> contents_of(BytesView state, const std::vector<std::uint32_t>& sizes) {
  std::vector<Bytes> chunks;
  std::size_t at = 0;
  for (const auto size : sizes) {
    chunks.emplace_back(state.substr(at, size));
    at += size;
  }
  EXPECT_EQ(at, state.size());
  return chunks;
}

void expect_sound_cut(BytesView state) {
  for (std::size_t aim = 16; aim <= kChunkAimMaximum; aim *= 2) {
    const auto chunks = contents_of(state, cut_state(state, aim));
    Bytes together;
    for (const auto& chunk : chunks) {
      ASSERT_FALSE(chunk.empty());
      ASSERT_LE(chunk.size(), kChunkBytes);
      together += chunk;
    }
    ASSERT_EQ(together, state);
    ASSERT_LE(chunks.size(), 2 + 4 * state.size() / aim) << "chunks are no crumbs";
  }
}

// How many chunks of the second state are none of the first.
std::size_t new_chunks(const Bytes& before, const Bytes& after) {
  auto old = contents_of(before, cut_state(before, kChunkAimMinimum));
  std::multiset<Bytes> known(old.begin(), old.end());
  std::size_t count = 0;
  for (const auto& chunk : contents_of(after, cut_state(after, kChunkAimMinimum))) {
    const auto found = known.find(chunk);
    if (found == known.end()) {
      ++count;
    } else {
      known.erase(found);
    }
  }
  return count;
}

TEST(StateCut, chunks_together_are_the_state_whatever_it_is) {
  std::mt19937_64 random(testing::test_seed());
  Names names;
  Records records;
  for (int i = 0; i < 500; ++i) {
    names["name" + std::to_string(i)] = random_text(random, random() % 100);
    records.push_back(random_text(random, random() % 300));
  }
  names["long"] = random_text(random, 100'000);
  names[random_text(random, 50'000)] = "of a long key";
  records.push_back(random_text(random, 40'000));
  expect_sound_cut("");
  expect_sound_cut("\x80");
  expect_sound_cut(encode_names(names));
  expect_sound_cut(encode_records(records));
  expect_sound_cut(encode_message(records));
  // Cut off, changed somewhere, and no item at all.
  for (const Bytes& state :
       {encode_names(names), encode_records(records), encode_message(records)}) {
    expect_sound_cut(BytesView(state).substr(0, state.size() / 2));
    for (int i = 0; i < 50; ++i) {
      Bytes changed = state;
      for (int n = 0; n < 3; ++n) {
        changed[random() % changed.size()] = static_cast<char>(random());
      }
      expect_sound_cut(changed);
    }
  }
  Bytes noise(100'000, '\0');
  for (auto& byte : noise) byte = static_cast<char>(random());
  expect_sound_cut(noise);
  // Deeper than is looked into, and than a stack could bear.
  Bytes deep(200'000, '\x81');
  expect_sound_cut(deep);
  expect_sound_cut(deep + '\x00');
  Bytes tags(200'000, '\xc1');
  expect_sound_cut(tags + '\x00');
}

TEST(StateCut, a_change_of_one_entry_changes_one_chunk) {
  std::mt19937_64 random(testing::test_seed());
  Names names;
  for (int i = 0; i < 3'000; ++i) names["key" + std::to_string(i)] = random_text(random, 30);
  const Bytes before = encode_names(names);
  std::size_t by_values = 0;
  std::size_t by_entries = 0;
  for (int i = 0; i < 100; ++i) {
    Names changed = names;
    changed["key" + std::to_string(random() % 3'000)] = random_text(random, 10 + random() % 40);
    auto count = new_chunks(before, encode_names(changed));
    EXPECT_LE(count, 4u);
    by_values += count;
    changed = names;
    if (i % 2 == 0) {
      changed["new" + std::to_string(random())] = "value";
    } else {
      changed.erase("key" + std::to_string(random() % 3'000));
    }
    count = new_chunks(before, encode_names(changed));
    EXPECT_LE(count, 8u);
    by_entries += count;
  }
  EXPECT_LE(by_values, 130u) << "where an entry grows, its chunk may end elsewhere";
  EXPECT_LE(by_entries, 260u) << "the count of entries is in the first chunk";
}

TEST(StateCut, a_record_put_in_or_taken_out_anywhere_changes_few_chunks) {
  std::mt19937_64 random(testing::test_seed());
  Records records;
  for (int i = 0; i < 3'000; ++i) records.push_back(random_text(random, 30 + random() % 50));
  for (const auto& encode : {encode_records, encode_message}) {
    const Bytes before = encode(records);
    std::size_t changed_in_all = 0;
    for (int i = 0; i < 100; ++i) {
      Records changed = records;
      const auto at = static_cast<std::ptrdiff_t>(i == 0 ? 0 : random() % changed.size());
      if (i % 2 == 0) {
        changed.insert(changed.begin() + at, random_text(random, 40));
      } else {
        changed.erase(changed.begin() + at);
      }
      const auto count = new_chunks(before, encode(changed));
      EXPECT_LE(count, 8u);
      changed_in_all += count;
    }
    EXPECT_LE(changed_in_all, 400u);
  }
}

TEST(StateCut, a_change_before_a_long_text_or_within_it_changes_one_chunk) {
  std::mt19937_64 random(testing::test_seed());
  Names names;
  for (int i = 0; i < 10; ++i) names["a" + std::to_string(i)] = random_text(random, 20);
  names["b"] = random_text(random, 200'000);
  const Bytes before = encode_names(names);
  Names changed = names;
  changed["a5"] = "short";
  EXPECT_LE(new_chunks(before, encode_names(changed)), 1u);
  changed["a5"] = random_text(random, 900);
  EXPECT_LE(new_chunks(before, encode_names(changed)), 2u);
  changed = names;
  changed["b"][100'000] = '!';
  EXPECT_LE(new_chunks(before, encode_names(changed)), 1u);
  changed = names;
  changed["b"] += "appended";
  EXPECT_LE(new_chunks(before, encode_names(changed)), 2u) << "its length is in the first one";
}

// The rows of one state, as a store keeps them.
class Rows {
 public:
  // Returns how many were written, with those that were removed.
  std::size_t become(const Bytes& state, std::size_t aim = kChunkAimMinimum) {
    auto rewrite = rewrite_chunks(state_, chunks_, state, aim);
    for (const auto place : rewrite.cleared) EXPECT_EQ(rows_.erase(place), 1u);
    for (const auto& [place, contents] : rewrite.set) {
      EXPECT_LT(place, kPlacesEnd);
      rows_[place] = contents;
    }
    state_ = state;
    chunks_ = std::move(rewrite.chunks);
    Bytes together;
    std::size_t at = 0;
    for (const auto& [place, contents] : rows_) {
      together += contents;
      if (at == chunks_.size() || !(chunks_[at] == StateChunk{place, chunk_bytes(contents)})) {
        ADD_FAILURE() << "what is there is not what is said to be";
        return 0;
      }
      ++at;
    }
    EXPECT_EQ(at, chunks_.size());
    EXPECT_TRUE(together == state);
    return rewrite.cleared.size() + rewrite.set.size();
  }
  std::size_t count() const { return rows_.size(); }

 private:
  static std::uint32_t chunk_bytes(const Bytes& contents) {
    return static_cast<std::uint32_t>(contents.size());
  }
  Bytes state_;
  StateChunks chunks_;
  std::map<std::uint64_t, Bytes> rows_;
};

TEST(StateChunks, rows_are_the_state_after_any_changes) {
  std::mt19937_64 random(testing::test_seed());
  for (int round = 0; round < 20; ++round) {
    Rows rows;
    Records records;
    for (int step = 0; step < 60; ++step) {
      const auto at = static_cast<std::ptrdiff_t>(records.empty() ? 0 : random() % records.size());
      switch (random() % 7) {
        case 0:
          records.insert(records.begin() + at, random() % 200, random_text(random, random() % 90));
          break;
        case 1:
          for (int i = 0; i < 100; ++i) records.push_back(random_text(random, random() % 200));
          break;
        case 2:
          records.erase(records.begin(), records.begin() + at);
          break;
        case 3:
          std::rotate(records.begin(), records.begin() + at, records.end());
          break;
        case 4:
          std::shuffle(records.begin(), records.end(), random);
          break;
        case 5:
          if (!records.empty()) records[static_cast<std::size_t>(at)] = "changed";
          break;
        default:
          if (random() % 10 == 0) records.clear();
      }
      const auto aim = kChunkAimMinimum << (random() % 20 == 0 ? random() % 4 : 0);
      rows.become(encode_records(records), aim);
      ASSERT_FALSE(HasFailure());
    }
  }
}

TEST(StateChunks, nothing_is_written_where_nothing_differs) {
  Rows rows;
  const Bytes state = encode_records(Records(1'000, "the same"));
  EXPECT_GT(rows.become(state), 0u);
  EXPECT_EQ(rows.become(state), 0u);
}

// Numbers between two neighbours run out, wherever one always puts in.
TEST(StateChunks, putting_in_at_one_place_for_ever_moves_few_others) {
  std::mt19937_64 random(testing::test_seed());
  const std::vector<std::function<std::size_t(std::size_t)>> places = {
      [](std::size_t) { return std::size_t{0}; }, [](std::size_t size) { return size; },
      [](std::size_t) { return std::size_t{5}; }, [](std::size_t size) { return size - 5; },
      [&](std::size_t size) { return random() % size; }};
  for (const auto& place : places) {
    Rows rows;
    Records records(10, random_text(random, 2'000));
    std::size_t written = rows.become(encode_records(records));
    for (int i = 0; i < 300; ++i) {
      const auto at = static_cast<std::ptrdiff_t>(place(records.size()));
      records.insert(records.begin() + at, random_text(random, 2'000));
      written += rows.become(encode_records(records));
      ASSERT_FALSE(HasFailure());
    }
    EXPECT_GE(rows.count(), 300u);
    EXPECT_LE(written, 8u * rows.count());
  }
}

TEST(StateChunks, all_of_it_takes_a_quarter_of_what_a_transaction_takes) {
  const std::size_t sizes[] = {5'000, 100'000, 1'000'000, 4'000'000};
  for (const auto size : sizes) {
    const auto records = Records(size / 50, std::string(46, 'r'));
    const Bytes state = encode_records(records);
    for (const std::size_t operations : {2'500u, 100'000u}) {
      Rows rows;
      const auto written = rows.become(state, chunk_aim(state.size(), operations));
      EXPECT_LE(written, operations / 2) << size;
    }
  }
}

}  // namespace
}  // namespace semper::internal
