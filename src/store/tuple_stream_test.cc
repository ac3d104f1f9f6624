#include "semper/store/tuple_stream.h"

#include <gtest/gtest.h>

#include <limits>
#include <random>
#include <string>

#include "store/tuple_test_support.h"

namespace semper {
namespace {

using testing::TupleSource;

Bytes unhex(std::string_view hex) {
  Bytes bytes;
  for (std::size_t i = 0; i < hex.size(); i += 2) {
    bytes.push_back(static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16)));
  }
  return bytes;
}

TEST(TupleWriter, it_writes_what_tuple_writes) {
  const auto uuid = Uuid::from_string("00112233-4455-6677-8899-aabbccddeeff").value();
  const auto stamp = Versionstamp::complete(1, 2, 3);
  Bytes written = "prefix";
  TupleWriter(written)
      .add_null()
      .add_bytes(Bytes("a\0b", 3))
      .add_text("text")
      .begin_nested()
      .add_null()
      .begin_nested()
      .end_nested()
      .add(-7)
      .end_nested()
      .add_null()
      .add(std::numeric_limits<std::uint64_t>::max())
      .add(1.5f)
      .add(-1.5)
      .add(true)
      .add(false)
      .add(uuid)
      .add(stamp)
      .add_nested({1})
      .add_all({2, 3});
  const Tuple tuple{nullptr,
                    ByteString{Bytes("a\0b", 3)},
                    "text",
                    nested_tuple({nullptr, nested_tuple({}), -7}),
                    nullptr,
                    std::numeric_limits<std::uint64_t>::max(),
                    1.5f,
                    -1.5,
                    true,
                    false,
                    uuid,
                    stamp,
                    nested_tuple({1}),
                    2,
                    3};
  EXPECT_EQ(written, "prefix" + tuple.pack());
}

TEST(TupleWriter, the_stamp_offset_counts_from_the_beginning_of_the_string) {
  Bytes written = "prefix";
  TupleWriter writer(written);
  EXPECT_FALSE(writer.stamp_offset());
  writer.add(Versionstamp::complete(1, 1, 1)).add(Versionstamp::incomplete(4)).add(7);
  const auto offset = writer.stamp_offset().value();
  EXPECT_EQ(written.substr(offset, Versionstamp::size), Versionstamp::incomplete(4).bytes());
  writer.add(Versionstamp::incomplete(5));
  EXPECT_EQ(writer.stamp_offset().error().kind(), ErrorKind::invalid_argument);
}

TEST(TupleReader, it_reads_element_by_element) {
  const Bytes key = Tuple{"queue",        7,
                          nullptr,        nested_tuple({nullptr, "in", nullptr}),
                          Versionstamp(), 2.5f,
                          -2.5,           true,
                          Uuid{},         BigInteger(-300)}
                        .pack();
  TupleReader reader(key);
  Bytes scratch;
  EXPECT_EQ(reader.read_text(scratch).value(), "queue");
  EXPECT_EQ(reader.read_uint64().value(), 7u);
  EXPECT_TRUE(reader.read_null());
  EXPECT_EQ(reader.peek().value(), TupleType::nested);
  ASSERT_TRUE(reader.enter_nested());
  EXPECT_TRUE(reader.read_null());
  EXPECT_EQ(reader.read_text(scratch).value(), "in");
  EXPECT_FALSE(reader.at_end());
  EXPECT_TRUE(reader.read_null());
  EXPECT_TRUE(reader.at_end());
  EXPECT_FALSE(reader.expect_end());
  ASSERT_TRUE(reader.leave_nested());
  EXPECT_EQ(reader.read_versionstamp().value(), Versionstamp());
  EXPECT_EQ(reader.read_float().value(), 2.5f);
  EXPECT_EQ(reader.read_double().value(), -2.5);
  EXPECT_EQ(reader.read_boolean().value(), true);
  EXPECT_EQ(reader.read_uuid().value(), Uuid{});
  EXPECT_EQ(reader.rest(), Tuple{-300}.pack());
  EXPECT_EQ(reader.read_integer().value(), BigInteger(-300));
  EXPECT_TRUE(reader.expect_end());
  EXPECT_EQ(reader.offset(), key.size());
}

TEST(TupleReader, strings_without_escapes_are_views_into_the_key) {
  const Bytes key = Tuple{ByteString{"plain"}, ByteString{Bytes("a\0\0b", 4)}}.pack();
  TupleReader reader(key);
  Bytes scratch = "untouched";
  const auto plain = reader.read_bytes(scratch).value();
  EXPECT_EQ(plain, "plain");
  EXPECT_EQ(plain.data(), key.data() + 1);
  EXPECT_EQ(scratch, "untouched");
  const auto escaped = reader.read_bytes(scratch).value();
  EXPECT_EQ(escaped, BytesView("a\0\0b", 4));
  EXPECT_EQ(escaped.data(), scratch.data());
}

TEST(TupleReader, another_type_than_asked_for_is_an_error_and_moves_nothing) {
  const Bytes key = Tuple{1, "text"}.pack();
  TupleReader reader(key);
  Bytes scratch;
  const auto result = reader.read_text(scratch);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().kind(), ErrorKind::corrupt);
  EXPECT_EQ(result.error().message(),
            "not a tuple key of the expected shape: at byte 0: an integer where text is expected");
  EXPECT_FALSE(reader.read_null());
  EXPECT_FALSE(reader.enter_nested());
  EXPECT_FALSE(reader.leave_nested());
  EXPECT_FALSE(reader.expect_end());
  EXPECT_EQ(reader.offset(), 0u);
  EXPECT_EQ(reader.read_int64().value(), 1);
  EXPECT_NE(reader.read_versionstamp().error().message().find("at byte 2"), std::string::npos);
}

TEST(TupleReader, integers_that_do_not_fit_are_refused_not_cut) {
  const auto reads_int64 = [](const TupleElement& element) {
    const Bytes key = Tuple{element}.pack();
    return TupleReader(key).read_int64().has_value();
  };
  const auto reads_uint64 = [](const TupleElement& element) {
    const Bytes key = Tuple{element}.pack();
    return TupleReader(key).read_uint64().has_value();
  };
  EXPECT_TRUE(reads_int64(std::numeric_limits<std::int64_t>::max()));
  EXPECT_TRUE(reads_int64(std::numeric_limits<std::int64_t>::min()));
  EXPECT_FALSE(reads_int64(std::uint64_t{1} << 63));
  EXPECT_FALSE(reads_int64(BigInteger::from_string("-9223372036854775809").value()));
  EXPECT_FALSE(reads_int64(BigInteger::from_string("18446744073709551616").value()));
  EXPECT_TRUE(reads_uint64(std::numeric_limits<std::uint64_t>::max()));
  EXPECT_FALSE(reads_uint64(-1));
  EXPECT_FALSE(reads_uint64(BigInteger::from_string("18446744073709551616").value()));
}

TEST(TupleReader, skip_goes_exactly_one_element_further) {
  constexpr std::uint64_t seed = 11;
  SCOPED_TRACE("seed " + std::to_string(seed));
  TupleSource source(seed);
  for (int i = 0; i < 3000; ++i) {
    const Tuple tuple = source.tuple(4);
    const Bytes key = tuple.pack();
    TupleReader skipping(key);
    TupleReader reading(key);
    for (std::size_t n = 0; n < tuple.size(); ++n) {
      ASSERT_TRUE(skipping.skip());
      ASSERT_EQ(reading.read_element().value(), tuple[n]);
      ASSERT_EQ(skipping.offset(), reading.offset()) << to_hex(key);
    }
    ASSERT_TRUE(skipping.expect_end());
  }
}

struct Malformed {
  std::string_view name;
  std::string_view hex;
  std::size_t offset;  // of the byte that the error must name
};

const Malformed malformed[] = {
    {"bytes without an end", "01deadc0de", 0},
    {"bytes whose only zero is escaped", "01dead00ffc0de", 0},
    {"text without an end",
     "1501"
     "0268656c6c6f",
     2},
    {"text whose only zero is escaped", "0268656c00ff6c6f", 0},
    {"text that is no UTF-8: stray continuation",
     "02757466"
     "8000",
     1},
    {"text that is no UTF-8: cut sequence", "02c00100", 1},
    {"text that is no UTF-8: high surrogate", "02eda0bd00", 1},
    {"text that is no UTF-8 after an escape", "026100ff8000", 4},
    {"text that is no UTF-8: sequence cut by an escape", "02c300ff9400", 1},
    {"nested without an end", "050268656c6c6f00", 8},
    {"nested that ends in a null",
     "051501"
     "00ff",
     5},
    {"nested that holds a broken element",
     "0515"
     "01"
     "1601",
     3},
    {"integer cut", "1601", 0},
    {"negative integer cut", "1201", 0},
    {"big integer cut", "1d090102030405060708", 0},
    {"negative big integer cut", "0bf60102030405060708", 0},
    {"big integer without a length", "141d", 1},
    {"float cut", "20010203", 0},
    {"double cut", "2101020304050607", 0},
    {"uuid cut", "300102030405060708090a0b0c0d0e", 0},
    {"versionstamp cut", "330102030405060708090a0b", 0},
    {"integer with a leading zero", "160001", 0},
    {"negative integer with a leading zero", "12fffe", 0},
    {"zero written as one byte", "1500", 0},
    {"minus zero", "13ff", 0},
    {"big integer that fits in eight bytes", "1d08ffffffffffffffff", 0},
    {"big integer of no bytes", "1d00", 0},
    {"negative big integer of no bytes", "0bff", 0},
    {"big integer with a leading zero", "1d0900ffffffffffffffff", 0},
    {"negative big integer with a leading zero", "0bf6ff0000000000000000", 0},
    {"code of the abandoned nested form", "1403", 1},
    {"code 0x1e", "1e", 0},
    {"code of long double", "22", 0},
    {"code of the abandoned true", "25", 0},
    {"code of an application's own type",
     "140240"
     "0040",
     4},
    {"code 0xff", "ff", 0},
    {"escape outside of a nested tuple", "00ff", 1},
};

TEST(TupleUnpack, every_malformed_input_names_the_byte) {
  for (const auto& [name, hex, offset] : malformed) {
    const auto result = Tuple::unpack(unhex(hex));
    ASSERT_FALSE(result) << name;
    EXPECT_EQ(result.error().kind(), ErrorKind::corrupt) << name;
    EXPECT_NE(result.error().message().find("at byte " + std::to_string(offset) + ":"),
              std::string::npos)
        << name << ": " << result.error().message();
  }
}

TEST(TupleUnpack, skip_refuses_what_read_refuses) {
  for (const auto& [name, hex, offset] : malformed) {
    const Bytes key = unhex(hex);
    TupleReader reader(key);
    Status status;
    while (status && !reader.at_end()) status = reader.skip();
    ASSERT_FALSE(status) << name;
    EXPECT_EQ(status.error(), Tuple::unpack(key).error()) << name;
  }
}

TEST(TupleUnpack, nesting_past_the_bound_is_refused_not_followed) {
  const std::size_t too_deep = kTupleDepthMaximum + 1;
  const auto result = Tuple::unpack(Bytes(too_deep, '\x05') + Bytes(too_deep, '\0'));
  ASSERT_FALSE(result);
  EXPECT_NE(result.error().message().find("at byte " + std::to_string(kTupleDepthMaximum)),
            std::string::npos);
  EXPECT_TRUE(Tuple::unpack(Bytes(kTupleDepthMaximum, '\x05') + Bytes(kTupleDepthMaximum, '\0')));
  EXPECT_FALSE(Tuple::unpack(Bytes(1 << 20, '\x05')));
}

TEST(TupleUnpack, any_cut_of_an_encoding_is_a_shorter_tuple_or_an_error) {
  constexpr std::uint64_t seed = 21;
  SCOPED_TRACE("seed " + std::to_string(seed));
  TupleSource source(seed);
  for (int i = 0; i < 300; ++i) {
    const Bytes key = source.tuple().pack();
    for (std::size_t length = 0; length < key.size(); ++length) {
      const auto cut = Tuple::unpack(BytesView(key).substr(0, length));
      if (!cut) continue;
      ASSERT_EQ(cut->pack(), key.substr(0, length)) << to_hex(key);
    }
  }
}

TEST(TupleUnpack, whatever_bytes_it_accepts_are_the_one_encoding_of_the_result) {
  constexpr std::uint64_t seed = 31;
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  TupleSource source(seed);
  static constexpr std::uint8_t octets[] = {0x00, 0xff, 0x01, 0x02, 0x05, 0x0b, 0x0c, 0x13, 0x14,
                                            0x15, 0x1c, 0x1d, 0x20, 0x21, 0x26, 0x27, 0x30, 0x33};
  int accepted = 0;
  for (int i = 0; i < 60000; ++i) {
    Bytes key = i % 2 == 0 ? source.tuple().pack() : Bytes();
    for (auto changes = 1 + random() % 5; changes > 0; --changes) {
      const auto octet = static_cast<char>(octets[random() % std::size(octets)]);
      if (key.empty() || random() % 2 == 0) {
        key.insert(random() % (key.size() + 1), 1, octet);
      } else {
        key[random() % key.size()] = octet;
      }
    }
    const auto tuple = Tuple::unpack(key);
    if (!tuple) continue;
    ++accepted;
    ASSERT_EQ(to_hex(tuple->pack()), to_hex(key));
  }
  EXPECT_GT(accepted, 1000);
}

TEST(TupleWriterDeathTest, an_end_without_a_begin_is_a_bug_in_the_caller) {
  Bytes out;
  EXPECT_DEATH(TupleWriter(out).end_nested(), "begin_nested");
}

}  // namespace
}  // namespace semper
