#include "semper/store/tuple.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <unordered_map>

#include "store/tuple_test_support.h"

namespace semper {
namespace {

using testing::TupleSource;

std::string describe(const Tuple& tuple) {
  return to_hex(tuple.pack());
}

struct Vector {
  Tuple tuple;
  std::string_view hex;
};

BigInteger integer(std::string_view decimal) {
  return BigInteger::from_string(decimal).value();
}

// What the published encoding says of these values, and FoundationDB's own bindings produce.
const Vector vectors[] = {
    {{}, ""},
    {{nullptr}, "00"},
    {{ByteString{Bytes("foo\0bar", 7)}}, "01666f6f00ff62617200"},
    {{ByteString{}}, "0100"},
    {{ByteString{bytes_of({1, 2, 3})}}, "0101020300"},
    {{ByteString{bytes_of({0, 0, 0, 4})}}, "0100ff00ff00ff0400"},
    {{std::string("F\xc3\x94O\0bar", 8)}, "0246c3944f00ff62617200"},
    {{""}, "0200"},
    {{"hello"}, "0268656c6c6f00"},
    {{"\xe4\xb8\xad\xe6\x96\x87"}, "02e4b8ade6968700"},
    {{"\xf0\x9f\x94\xa5"}, "02f09f94a500"},
    {{"\xf4\x8f\xbf\xbf"}, "02f48fbfbf00"},
    {{nested_tuple({ByteString{Bytes("foo\0bar", 7)}, nullptr, nested_tuple({})})},
     "0501666f6f00ff6261720000ff050000"},
    {{nested_tuple({})}, "0500"},
    {{nested_tuple({nullptr})}, "0500ff00"},
    {{nested_tuple({nullptr, "hello"})}, "0500ff0268656c6c6f0000"},
    {{nested_tuple({nullptr, std::string("hell\0", 5)})}, "0500ff0268656c6c00ff0000"},
    {{nested_tuple({nullptr}), "hello"}, "0500ff000268656c6c6f00"},
    {{nested_tuple({nullptr}), "hello", ByteString{Bytes("\x01\0", 2)}, ByteString{}},
     "0500ff000268656c6c6f00010100ff000100"},
    {{0}, "14"},
    {{1}, "1501"},
    {{-1}, "13fe"},
    {{255}, "15ff"},
    {{-255}, "1300"},
    {{256}, "160100"},
    {{-256}, "12feff"},
    {{65536}, "17010000"},
    {{-65536}, "11feffff"},
    {{0x3019}, "163019"},
    {{-5551212}, "11ab4b93"},
    {{-4294967295}, "1000000000"},
    {{std::numeric_limits<std::int64_t>::max()}, "1c7fffffffffffffff"},
    {{std::uint64_t{1} << 63}, "1c8000000000000000"},
    {{std::numeric_limits<std::uint64_t>::max()}, "1cffffffffffffffff"},
    {{integer("18446744073709551616")}, "1d09010000000000000000"},
    {{std::numeric_limits<std::int64_t>::min() + 2}, "0c8000000000000001"},
    {{std::numeric_limits<std::int64_t>::min() + 1}, "0c8000000000000000"},
    {{std::numeric_limits<std::int64_t>::min()}, "0c7fffffffffffffff"},
    {{integer("-9223372036854775809")}, "0c7ffffffffffffffe"},
    {{integer("-18446744073709551615")}, "0c0000000000000000"},
    {{integer("-18446744073709551616")}, "0bf6feffffffffffffffff"},
    {{-42.0f}, "203dd7ffff"},
    {{3.14f}, "20c048f5c3"},
    {{-3.14f}, "203fb70a3c"},
    {{3.14}, "21c0091eb851eb851f"},
    {{-3.14}, "213ff6e147ae147ae0"},
    {{0.0f}, "2080000000"},
    {{-0.0f}, "207fffffff"},
    {{0.0}, "218000000000000000"},
    {{-0.0}, "217fffffffffffffff"},
    {{std::numeric_limits<float>::infinity()}, "20ff800000"},
    {{-std::numeric_limits<float>::infinity()}, "20007fffff"},
    {{std::numeric_limits<double>::infinity()}, "21fff0000000000000"},
    {{-std::numeric_limits<double>::infinity()}, "21000fffffffffffff"},
    {{std::bit_cast<float>(0x7fffffffu)}, "20ffffffff"},
    {{std::bit_cast<double>(~std::uint64_t{0})}, "210000000000000000"},
    {{false}, "26"},
    {{true}, "27"},
    {{Uuid::from_string("ffffffff-ba5e-ba11-0000-00005ca1ab1e").value()},
     "30ffffffffba5eba11000000005ca1ab1e"},
    {{Versionstamp::complete(0xaabbccddeeff0001, 0x0203, 0)}, "33aabbccddeeff000102030000"},
    {{Versionstamp::complete(0x0102030405060708, 0x090a, 657)}, "330102030405060708090a0291"},
    {{Versionstamp::incomplete(1)}, "33ffffffffffffffffffff0001"},
};

TEST(TupleVectors, they_pack_as_the_published_encoding_says) {
  for (const auto& [tuple, hex] : vectors) EXPECT_EQ(to_hex(tuple.pack()), hex);
}

TEST(TupleVectors, they_unpack_to_the_same_value) {
  for (const auto& [tuple, hex] : vectors) {
    const auto unpacked = Tuple::unpack(tuple.pack());
    ASSERT_TRUE(unpacked) << hex << " " << unpacked.error().to_string();
    EXPECT_EQ(*unpacked, tuple) << hex;
    EXPECT_EQ(unpacked->size(), tuple.size()) << hex;
    for (std::size_t i = 0; i < tuple.size(); ++i) {
      EXPECT_EQ((*unpacked)[i].value().index(), tuple[i].value().index()) << hex;
    }
  }
}

TEST(TupleVectors, encodings_of_neighbours_join_without_a_separator) {
  for (const auto& [first, first_hex] : vectors) {
    for (const auto& [second, second_hex] : vectors) {
      Tuple both = first;
      both.append_all(second);
      EXPECT_EQ(to_hex(both.pack()), std::string(first_hex) + std::string(second_hex));
      EXPECT_EQ(Tuple::unpack(both.pack()).value(), both);
    }
  }
}

TEST(TupleOrder, the_order_of_encodings_is_that_of_values_for_all_pairs_of_edges) {
  const auto edges = testing::edge_elements();
  for (const auto& a : edges) {
    const Bytes packed_a = Tuple{a}.pack();
    for (const auto& b : edges) {
      const Bytes packed_b = Tuple{b}.pack();
      ASSERT_EQ(packed_a <=> packed_b, a <=> b) << to_hex(packed_a) << " " << to_hex(packed_b);
      // The same in the middle of a key, and inside a nested tuple.
      const Tuple long_a{"k", nested_tuple({a, 1}), 7};
      const Tuple long_b{"k", nested_tuple({b, 0}), 6};
      ASSERT_EQ(long_a.pack() <=> long_b.pack(), long_a <=> long_b)
          << describe(long_a) << " " << describe(long_b);
    }
  }
}

TEST(TupleOrder, the_order_of_encodings_is_that_of_values_for_random_tuples) {
  for (const std::uint64_t seed : {1u, 2u, 3u, 4u}) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    TupleSource source(seed);
    for (int i = 0; i < 5000; ++i) {
      const Tuple a = source.tuple();
      Tuple b = source.tuple();
      if (source.below(2) == 0) b = Tuple(a).append(source.element());
      ASSERT_EQ(a.pack() <=> b.pack(), a <=> b) << describe(a) << " " << describe(b);
      ASSERT_EQ(a == b, a.pack() == b.pack());
    }
  }
}

TEST(TupleOrder, floats_sort_in_total_order_from_negative_to_positive_nan) {
  const double infinity = std::numeric_limits<double>::infinity();
  const double nan = std::bit_cast<double>(0x7ff8000000000000u);
  const double ascending[] = {-nan, -infinity, -1e300, -1.0,  -5e-324,  -0.0,
                              0.0,  5e-324,    1.0,    1e300, infinity, nan};
  for (std::size_t i = 1; i < std::size(ascending); ++i) {
    EXPECT_LT(Tuple{ascending[i - 1]}.pack(), Tuple{ascending[i]}.pack()) << i;
    EXPECT_LT(Tuple{ascending[i - 1]}, Tuple{ascending[i]}) << i;
  }
  EXPECT_EQ(Tuple{nan}, Tuple{nan});
}

TEST(TupleOrder, integers_sort_by_number_across_every_length) {
  std::vector<BigInteger> integers;
  for (const auto& element : testing::edge_integers()) {
    integers.push_back(element.as<BigInteger>().value());
  }
  for (const auto& a : integers) {
    for (const auto& b : integers) {
      EXPECT_EQ(Tuple{a}.pack() <=> Tuple{b}.pack(), a <=> b)
          << a.to_string() << " " << b.to_string();
    }
  }
}

TEST(TupleOrder, a_tuple_comes_before_its_extensions) {
  EXPECT_LT(Tuple({1}), Tuple({1, nullptr}));
  EXPECT_LT(Tuple({1}).pack(), Tuple({1, nullptr}).pack());
  EXPECT_LT(Tuple({nested_tuple({}), "z"}).pack(), Tuple({nested_tuple({nullptr}), "a"}).pack());
}

TEST(TupleRoundTrip, random_tuples_come_back_bit_for_bit) {
  constexpr std::uint64_t seed = 77;
  SCOPED_TRACE("seed " + std::to_string(seed));
  TupleSource source(seed);
  for (int i = 0; i < 5000; ++i) {
    const Tuple tuple = source.tuple(5);
    const auto unpacked = Tuple::unpack(tuple.pack());
    ASSERT_TRUE(unpacked) << describe(tuple) << " " << unpacked.error().to_string();
    ASSERT_EQ(*unpacked, tuple);
    ASSERT_EQ(unpacked->pack(), tuple.pack());
  }
}

TEST(Tuple, braces_around_a_tuple_alone_copy_it) {
  const Tuple tuple{1, 2};
  EXPECT_EQ(Tuple{tuple}, tuple);
  EXPECT_EQ(Tuple{nested_tuple(tuple)}.size(), 1u);
  EXPECT_EQ(Tuple{nested_tuple(tuple)}.get<Tuple>(0).value(), tuple);
}

TEST(TupleElement, an_integer_has_one_form_whatever_it_was_made_from) {
  EXPECT_EQ(TupleElement(5).value().index(), TupleElement(BigInteger(5u)).value().index());
  EXPECT_EQ(TupleElement(std::uint8_t{5}), TupleElement(std::int64_t{5}));
  EXPECT_EQ(TupleElement(std::uint64_t{5}), TupleElement(5));
  EXPECT_NE(TupleElement(5), TupleElement(5.0));
  EXPECT_NE(TupleElement("a"), TupleElement(ByteString{"a"}));
  EXPECT_NE(TupleElement(1), TupleElement(true));
}

TEST(TupleGet, it_gives_the_value_or_says_what_is_there_instead) {
  const Tuple tuple{"users", 42, ByteString{"b"}, std::numeric_limits<std::uint64_t>::max(), -1};
  EXPECT_EQ(tuple.get<std::string>(0).value(), "users");
  EXPECT_EQ(tuple.get<std::int64_t>(1).value(), 42);
  EXPECT_EQ(tuple.get<std::uint64_t>(1).value(), 42u);
  EXPECT_EQ(tuple.get<ByteString>(2).value().bytes, "b");
  EXPECT_EQ(tuple.get<std::uint64_t>(3).value(), std::numeric_limits<std::uint64_t>::max());
  EXPECT_EQ(tuple.get<BigInteger>(4).value(), BigInteger(-1));

  const auto message = [](const auto& result) {
    EXPECT_FALSE(result);
    if (result) return std::string();
    EXPECT_EQ(result.error().kind(), ErrorKind::corrupt);
    return result.error().message();
  };
  EXPECT_EQ(message(tuple.get<std::int64_t>(0)),
            "element 0 of the tuple should be an integer: it is text");
  EXPECT_EQ(message(tuple.get<std::string>(2)),
            "element 2 of the tuple should be text: it is bytes");
  EXPECT_NE(message(tuple.get<std::int64_t>(3)).find("does not fit"), std::string::npos);
  EXPECT_NE(message(tuple.get<std::uint64_t>(4)).find("does not fit"), std::string::npos);
  EXPECT_NE(message(tuple.get<bool>(5)).find("has 5 elements"), std::string::npos);
}

TEST(TupleVersionstamp, the_offset_points_at_the_ten_bytes_the_store_fills) {
  const Tuple inner{nullptr, Versionstamp::incomplete(9)};
  for (const Tuple& tuple :
       {Tuple{Versionstamp::incomplete(9)}, Tuple{"q", 7, nested_tuple(inner), "tail"},
        Tuple{Versionstamp::complete(1, 2, 3), nested_tuple(inner)}}) {
    for (const std::string_view prefix : {"", "some prefix"}) {
      auto stamped = tuple.pack_with_versionstamp(prefix).value();
      EXPECT_EQ(stamped.bytes, Bytes(prefix) + tuple.pack());
      const auto filled = Versionstamp::complete(0x1122334455667788, 0x99aa, 9);
      stamped.bytes.replace(stamped.stamp_offset, Versionstamp::store_size,
                            filled.bytes().substr(0, Versionstamp::store_size));
      const auto unpacked = Tuple::unpack(stamped.bytes.substr(prefix.size())).value();
      Bytes expected = tuple.pack();
      const auto place = expected.find(Versionstamp::incomplete(9).bytes());
      expected.replace(place, Versionstamp::size, filled.bytes());
      EXPECT_EQ(unpacked.pack(), expected);
    }
  }
}

TEST(TupleVersionstamp, none_or_two_incomplete_ones_are_refused) {
  const auto open = Versionstamp::incomplete(1);
  for (const Tuple& tuple :
       {Tuple{}, Tuple{"a", Versionstamp::complete(1, 1, 1)}, Tuple{open, open},
        Tuple{nested_tuple({open}), nested_tuple({open})}}) {
    const auto result = tuple.pack_with_versionstamp();
    ASSERT_FALSE(result) << describe(tuple);
    EXPECT_EQ(result.error().kind(), ErrorKind::invalid_argument);
  }
}

TEST(TupleRange, it_holds_longer_tuples_only) {
  const auto range = tuple_range({"users", 42});
  EXPECT_TRUE(range.contains(Tuple({"users", 42, nullptr}).pack()));
  EXPECT_TRUE(range.contains(Tuple({"users", 42, Versionstamp::incomplete(0xffff)}).pack()));
  EXPECT_FALSE(range.contains(Tuple({"users", 42}).pack()));
  EXPECT_FALSE(range.contains(Tuple({"users", 41, "x"}).pack()));
  EXPECT_FALSE(range.contains(Tuple({"users", 43}).pack()));
  EXPECT_EQ(tuple_range({}), (KeyRange{Bytes(1, '\0'), "\xff"}));
}

TEST(TupleRange, the_range_of_a_random_tuple_holds_its_extensions) {
  constexpr std::uint64_t seed = 5;
  SCOPED_TRACE("seed " + std::to_string(seed));
  TupleSource source(seed);
  for (int i = 0; i < 2000; ++i) {
    const Tuple tuple = source.tuple();
    const auto range = tuple_range(tuple);
    ASSERT_TRUE(range.contains(Tuple(tuple).append(source.element()).pack())) << describe(tuple);
    ASSERT_FALSE(range.contains(tuple.pack())) << describe(tuple);
  }
}

TEST(TupleDeathTest, text_that_is_not_utf8_is_a_bug_in_the_caller) {
  EXPECT_DEATH(Tuple{"\xff"}.pack(), "UTF-8");
}

TEST(TupleDeathTest, nesting_that_could_not_be_read_again_is_a_bug_in_the_caller) {
  Tuple tuple;
  for (std::size_t depth = 0; depth < kTupleDepthMaximum; ++depth) {
    tuple = Tuple().append(nested_tuple(std::move(tuple)));
  }
  EXPECT_EQ(Tuple::unpack(tuple.pack()).value(), tuple);
  tuple = Tuple().append(nested_tuple(std::move(tuple)));
  EXPECT_DEATH(tuple.pack(), "nested");
}

TEST(TupleDeathTest, an_element_past_the_end_is_a_bug_in_the_caller) {
  const Tuple tuple{1};
  EXPECT_DEATH(tuple[1], "size");
}

}  // namespace
}  // namespace semper
