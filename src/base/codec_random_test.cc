// Random and damaged bytes into decode: it must not crash, loop, or take memory on the word of a
// length. Every round can be repeated from the printed seed.
#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <deque>
#include <map>
#include <new>
#include <nlohmann/json.hpp>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <unordered_map>
#include <variant>
#include <vector>

#include "semper/base/codec.h"
#include "semper/base/codec_json.h"

namespace {
// What the thread has asked the allocator for, in all.
thread_local std::size_t allocated_bytes = 0;
}  // namespace

// Not inlined: GCC takes the malloc and free of a pair that it sees only half of for a mistake.
[[gnu::noinline]] void* operator new(std::size_t size) {
  allocated_bytes += size;
  void* memory = std::malloc(size == 0 ? 1 : size);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
[[gnu::noinline]] void operator delete(void* memory) noexcept {
  std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}

namespace semper {
namespace {

struct Leaf {
  std::int32_t number = 0;
  std::optional<std::string> text;
  std::vector<std::uint8_t> octets;
};
struct Everything {
  bool flag = false;
  std::int8_t small = 0;
  double ratio = 0;
  std::string name;
  std::vector<Leaf> leaves;
  std::map<std::string, std::vector<std::int64_t>> by_name;
  std::unordered_map<std::int32_t, Leaf> by_number;
  std::set<std::string> set;
  std::deque<std::pair<int, std::string>> pairs;
  std::array<std::uint16_t, 3> three{};
  std::variant<std::monostate, Leaf, std::string, std::vector<bool>> choice;
  std::chrono::nanoseconds delay{};
  nlohmann::json document;
};
struct RandomTree {
  std::vector<RandomTree> children;
  std::map<std::string, RandomTree> named;
};

Everything example() {
  Everything value;
  value.name = "page/home";
  value.leaves = {{1, "one", {1, 2}}, {2, std::nullopt, {}}};
  value.by_name = {{"a", {1, 1000, -70000}}, {"b", {}}};
  value.by_number = {{5, {7, "x", {9}}}};
  value.set = {"p", "q"};
  value.pairs = {{1, "first"}};
  value.choice = Leaf{3, "three", {}};
  value.document = {{"k", {1, 2.5, nullptr, "v"}}};
  return value;
}

// The most that any of these types takes per byte of input: a RandomTree or Leaf in a node of a
// map, whose containers start empty; json objects are alike. And something to start with, errors
// included.
constexpr std::size_t kBytesPerInputByte = 512;
constexpr std::size_t kBytesToStart = 3 * internal::codec::kMaxReservedBytes;

template <class T>
void expect_bounded(BytesView bytes) {
  const std::size_t before = allocated_bytes;
  const auto result = decode<T>(bytes);
  const std::size_t taken = allocated_bytes - before;
  ASSERT_LE(taken, kBytesToStart + kBytesPerInputByte * bytes.size()) << to_hex(bytes);
  if (!result) {
    ASSERT_EQ(result.error().kind(), ErrorKind::invalid_argument) << to_hex(bytes);
    ASSERT_FALSE(result.error().message().empty()) << to_hex(bytes);
    return;
  }
  // What was accepted is a value like any other: it can be written and read again.
  const Bytes written = encode(*result);
  ASSERT_TRUE(decode<T>(written).has_value()) << to_hex(bytes) << " became " << to_hex(written);
}

void expect_bounded_for_all(BytesView bytes) {
  expect_bounded<Everything>(bytes);
  expect_bounded<RandomTree>(bytes);
  expect_bounded<std::vector<Leaf>>(bytes);
  expect_bounded<std::map<std::string, std::vector<std::int64_t>>>(bytes);
  expect_bounded<nlohmann::json>(bytes);
  expect_bounded<std::variant<std::monostate, Leaf, std::string>>(bytes);
  expect_bounded<std::string>(bytes);
}

TEST(CodecRandomTest, random_bytes_are_decoded_in_bounded_memory) {
  constexpr std::uint64_t kSeed = 1;
  SCOPED_TRACE("seed " + std::to_string(kSeed));
  std::mt19937_64 random(kSeed);
  for (int round = 0; round < 20000; ++round) {
    Bytes bytes(random() % 48, '\0');
    for (char& octet : bytes) octet = static_cast<char>(random());
    ASSERT_NO_FATAL_FAILURE(expect_bounded_for_all(bytes)) << "round " << round;
  }
}

// Bytes that are mostly well-formed get much deeper than random ones.
TEST(CodecRandomTest, random_well_formed_items_are_decoded_in_bounded_memory) {
  constexpr std::uint64_t kSeed = 2;
  SCOPED_TRACE("seed " + std::to_string(kSeed));
  std::mt19937_64 random(kSeed);
  constexpr std::array<unsigned char, 8> kMajors = {0x00, 0x20, 0x40, 0x60, 0x80, 0x80, 0xa0, 0xe0};
  for (int round = 0; round < 20000; ++round) {
    Bytes bytes;
    const std::size_t size = random() % 200;
    while (bytes.size() < size) {
      const unsigned char major = kMajors[random() % kMajors.size()];
      const std::uint64_t small = major == 0xe0 ? 20 + random() % 4 : random() % 14;
      bytes.push_back(static_cast<char>(major | small));
      if (major == 0x40 || major == 0x60) bytes.append(small, 'a');
    }
    ASSERT_NO_FATAL_FAILURE(expect_bounded_for_all(bytes)) << "round " << round;
  }
}

TEST(CodecRandomTest, damaged_values_are_decoded_in_bounded_memory) {
  constexpr std::uint64_t kSeed = 3;
  SCOPED_TRACE("seed " + std::to_string(kSeed));
  std::mt19937_64 random(kSeed);
  const Bytes whole = encode(example());
  ASSERT_TRUE(decode<Everything>(whole).has_value());
  for (int round = 0; round < 20000; ++round) {
    Bytes bytes = whole;
    for (std::uint64_t hits = 1 + random() % 3; hits > 0; --hits) {
      bytes[random() % bytes.size()] = static_cast<char>(random());
    }
    if (random() % 4 == 0) bytes.resize(random() % bytes.size());
    ASSERT_NO_FATAL_FAILURE(expect_bounded<Everything>(bytes)) << "round " << round;
  }
}

TEST(CodecRandomTest, a_value_cut_short_anywhere_is_refused) {
  const Bytes whole = encode(example());
  for (std::size_t size = 0; size < whole.size(); ++size) {
    EXPECT_FALSE(decode<Everything>(BytesView(whole).substr(0, size)).has_value()) << size;
  }
}

TEST(CodecRandomTest, no_memory_is_taken_on_the_word_of_an_arrays_length) {
  // One mebibyte that says it holds as many elements, the first of which is of the wrong kind.
  Bytes bytes = encode(std::vector<std::uint8_t>(1 << 20));
  bytes[0] = '\x9a';
  bytes[5] = '\x60';
  const std::size_t before = allocated_bytes;
  EXPECT_FALSE((decode<std::vector<std::array<std::int64_t, 16>>>(bytes).has_value()));
  EXPECT_LE(allocated_bytes - before, internal::codec::kMaxReservedBytes + 4096);
}

TEST(CodecRandomTest, encode_takes_no_memory_but_its_output) {
  struct LeanMessage {
    std::int64_t by = 5;
    std::string text = std::string(100, 'x');
  };
  const LeanMessage message;
  (void)encode(message);  // the thread's buffer grows once
  std::size_t before = allocated_bytes;
  const Bytes bytes = encode(message);
  EXPECT_LE(allocated_bytes - before, bytes.size() + 1);
  Bytes out;
  out.reserve(200);
  before = allocated_bytes;
  encode_to(message, out);
  EXPECT_EQ(allocated_bytes - before, 0u);
}

}  // namespace
}  // namespace semper
