#include "semper/base/cbor.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "base/hex_test_support.h"

namespace semper::cbor {
namespace {

using testing::from_hex;

template <class Write>
std::string written(const Write& write) {
  Bytes out;
  Writer writer(out);
  write(writer);
  return to_hex(out);
}

std::string unsigned_as_hex(std::uint64_t value) {
  return written([&](Writer& writer) { writer.unsigned_integer(value); });
}
std::string signed_as_hex(std::int64_t value) {
  return written([&](Writer& writer) { writer.integer(value); });
}
std::string double_as_hex(double value) {
  return written([&](Writer& writer) { writer.floating(value); });
}

// RFC 8949, appendix A.
TEST(CborWriterTest, integers_are_written_in_their_shortest_form) {
  EXPECT_EQ(unsigned_as_hex(0), "00");
  EXPECT_EQ(unsigned_as_hex(23), "17");
  EXPECT_EQ(unsigned_as_hex(24), "1818");
  EXPECT_EQ(unsigned_as_hex(100), "1864");
  EXPECT_EQ(unsigned_as_hex(255), "18ff");
  EXPECT_EQ(unsigned_as_hex(256), "190100");
  EXPECT_EQ(unsigned_as_hex(1000), "1903e8");
  EXPECT_EQ(unsigned_as_hex(65535), "19ffff");
  EXPECT_EQ(unsigned_as_hex(65536), "1a00010000");
  EXPECT_EQ(unsigned_as_hex(1000000), "1a000f4240");
  EXPECT_EQ(unsigned_as_hex(0xffffffff), "1affffffff");
  EXPECT_EQ(unsigned_as_hex(1000000000000), "1b000000e8d4a51000");
  EXPECT_EQ(unsigned_as_hex(18446744073709551615u), "1bffffffffffffffff");
  EXPECT_EQ(signed_as_hex(-1), "20");
  EXPECT_EQ(signed_as_hex(-10), "29");
  EXPECT_EQ(signed_as_hex(-100), "3863");
  EXPECT_EQ(signed_as_hex(-1000), "3903e7");
  EXPECT_EQ(signed_as_hex(1000), "1903e8");
  EXPECT_EQ(signed_as_hex(std::numeric_limits<std::int64_t>::min()), "3b7fffffffffffffff");
  EXPECT_EQ(written([](Writer& w) { w.minus_one_minus(UINT64_MAX); }), "3bffffffffffffffff");
}

TEST(CborWriterTest, floats_are_written_in_the_width_they_are_given) {
  EXPECT_EQ(double_as_hex(1.1), "fb3ff199999999999a");
  EXPECT_EQ(double_as_hex(-4.1), "fbc010666666666666");
  EXPECT_EQ(double_as_hex(1.0e+300), "fb7e37e43c8800759c");
  EXPECT_EQ(double_as_hex(0.0), "fb0000000000000000");
  EXPECT_EQ(written([](Writer& w) { w.floating(100000.0f); }), "fa47c35000");
  EXPECT_EQ(written([](Writer& w) { w.floating(std::numeric_limits<float>::infinity()); }),
            "fa7f800000");
}

TEST(CborWriterTest, strings_containers_tags_and_simple_values_are_those_of_the_standard) {
  EXPECT_EQ(written([](Writer& w) { w.bytes(bytes_of({1, 2, 3, 4})); }), "4401020304");
  EXPECT_EQ(written([](Writer& w) { w.text(""); }), "60");
  EXPECT_EQ(written([](Writer& w) { w.text("IETF"); }), "6449455446");
  EXPECT_EQ(written([](Writer& w) { w.text("\xe6\xb0\xb4"); }), "63e6b0b4");
  EXPECT_EQ(written([](Writer& w) {
              w.array(3);
              w.integer(1);
              w.array(2);
              w.integer(2);
              w.integer(3);
              w.array(0);
            }),
            "830182020380");
  EXPECT_EQ(written([](Writer& w) {
              w.map(2);
              w.text("a");
              w.integer(1);
              w.text("b");
              w.array(2);
              w.integer(2);
              w.integer(3);
            }),
            "a26161016162820203");
  EXPECT_EQ(written([](Writer& w) {
              w.tag(1);
              w.integer(1363896240);
            }),
            "c11a514b67b0");
  EXPECT_EQ(written([](Writer& w) { w.boolean(false); }), "f4");
  EXPECT_EQ(written([](Writer& w) { w.boolean(true); }), "f5");
  EXPECT_EQ(written([](Writer& w) { w.null(); }), "f6");
  EXPECT_EQ(written([](Writer& w) { w.simple(23); }), "f7");
  EXPECT_EQ(written([](Writer& w) { w.simple(16); }), "f0");
  EXPECT_EQ(written([](Writer& w) { w.simple(255); }), "f8ff");
  EXPECT_EQ(written([](Writer& w) { w.array(25); }), "9819");
}

TEST(CborWriterDeathTest, a_reserved_simple_value_aborts) {
  Bytes out;
  Writer writer(out);
  EXPECT_DEATH(writer.simple(24), "reserved");
}

Item read_one(std::string_view hex) {
  const Bytes bytes = from_hex(hex);
  Reader reader(bytes);
  Item item;
  EXPECT_TRUE(reader.read(item)) << hex;
  EXPECT_TRUE(reader.finish()) << hex;
  item.string = {};
  return item;
}

TEST(CborReaderTest, half_and_single_floats_of_other_writers_keep_their_value) {
  EXPECT_EQ(read_one("f90000").number, 0.0);
  EXPECT_TRUE(std::signbit(read_one("f98000").number));
  EXPECT_EQ(read_one("f93c00").number, 1.0);
  EXPECT_EQ(read_one("f93e00").number, 1.5);
  EXPECT_EQ(read_one("f97bff").number, 65504.0);
  EXPECT_EQ(read_one("f90001").number, 5.960464477539063e-8);
  EXPECT_EQ(read_one("f90400").number, 0.00006103515625);
  EXPECT_EQ(read_one("f9c400").number, -4.0);
  EXPECT_EQ(read_one("f97c00").number, std::numeric_limits<double>::infinity());
  EXPECT_EQ(read_one("f9fc00").number, -std::numeric_limits<double>::infinity());
  EXPECT_TRUE(std::isnan(read_one("f97e00").number));
  EXPECT_EQ(read_one("fa7f7fffff").number, 3.4028234663852886e+38);
  EXPECT_EQ(read_one("fbc010666666666666").number, -4.1);
  EXPECT_TRUE(read_one("f93c00").is_single);
  EXPECT_FALSE(read_one("fbc010666666666666").is_single);
}

TEST(CborReaderTest, an_integer_longer_than_its_shortest_form_is_accepted) {
  EXPECT_EQ(read_one("1b0000000000000005").argument, 5u);
  EXPECT_EQ(read_one("1805").argument, 5u);
}

TEST(CborReaderTest, signed_integers_come_back_at_their_borders) {
  for (const std::int64_t value :
       {std::int64_t{0}, std::int64_t{-1}, std::int64_t{23}, std::int64_t{-24}, std::int64_t{-25},
        std::numeric_limits<std::int64_t>::min(), std::numeric_limits<std::int64_t>::max()}) {
    Bytes out;
    Writer(out).integer(value);
    Reader reader(out);
    std::int64_t back = 0;
    EXPECT_TRUE(reader.read_signed(back) && reader.finish()) << value;
    EXPECT_EQ(back, value);
  }
}

template <class Read>
std::string failure(std::string_view hex, const Read& read) {
  const Bytes bytes = from_hex(hex);
  Reader reader(bytes);
  if (read(reader)) return "read without a failure";
  EXPECT_EQ(reader.error().kind(), ErrorKind::invalid_argument);
  return reader.error().message();
}
std::string item_failure(std::string_view hex) {
  return failure(hex, [](Reader& reader) {
    Item item;
    return reader.read(item);
  });
}

TEST(CborReaderTest, a_damaged_item_is_refused_and_named_with_its_place) {
  EXPECT_EQ(item_failure(""), "the input ends at byte 0 where an item should start");
  EXPECT_EQ(item_failure("18"), "found an item that is cut short at byte 0");
  EXPECT_EQ(item_failure("1b00000000000000"), "found an item that is cut short at byte 0");
  EXPECT_EQ(item_failure("fb000000"), "found an item that is cut short at byte 0");
  EXPECT_EQ(item_failure("1c"), "found an initial byte that CBOR reserves at byte 0");
  EXPECT_EQ(item_failure("fe"), "found an initial byte that CBOR reserves at byte 0");
  EXPECT_EQ(item_failure("9f01ff"),
            "found an indefinite length or a break, neither of which is accepted at byte 0");
  EXPECT_EQ(item_failure("ff"),
            "found an indefinite length or a break, neither of which is accepted at byte 0");
  EXPECT_EQ(item_failure("4401020"), "found a string longer than the input at byte 0");
  EXPECT_EQ(item_failure("5bffffffffffffffff"), "found a string longer than the input at byte 0");
  EXPECT_EQ(item_failure("62c328"), "found text that is not UTF-8 at byte 0");
  EXPECT_EQ(item_failure("820"), "found an array longer than the input at byte 0");
  EXPECT_EQ(item_failure("9bffffffffffffffff"), "found an array longer than the input at byte 0");
  EXPECT_EQ(item_failure("a20102"), "found a map longer than the input at byte 0");
  EXPECT_EQ(item_failure("bbffffffffffffffff"), "found a map longer than the input at byte 0");
  EXPECT_EQ(item_failure("f817"), "found a simple value in a form CBOR forbids at byte 0");
}

TEST(CborReaderTest, an_item_of_another_kind_is_refused_and_named) {
  std::uint64_t number = 0;
  std::int64_t signed_number = 0;
  double floating = 0;
  bool truth = false;
  std::string_view text;
  BytesView bytes;
  EXPECT_EQ(failure("6161", [&](Reader& r) { return r.read_unsigned(number); }),
            "expected an integer from 0, found text at byte 0");
  EXPECT_EQ(failure("20", [&](Reader& r) { return r.read_unsigned(number); }),
            "expected an integer from 0, found a negative integer at byte 0");
  EXPECT_EQ(failure("f6", [&](Reader& r) { return r.read_signed(signed_number); }),
            "expected an integer, found null at byte 0");
  EXPECT_EQ(failure("1b8000000000000000", [&](Reader& r) { return r.read_signed(signed_number); }),
            "found an integer outside 64 bits with sign at byte 0");
  EXPECT_EQ(failure("3b8000000000000000", [&](Reader& r) { return r.read_signed(signed_number); }),
            "found an integer outside 64 bits with sign at byte 0");
  EXPECT_EQ(failure("00", [&](Reader& r) { return r.read_boolean(truth); }),
            "expected a boolean, found an integer at byte 0");
  EXPECT_EQ(failure("f4", [&](Reader& r) { return r.read_null(); }),
            "expected null, found a boolean at byte 0");
  EXPECT_EQ(failure("80", [&](Reader& r) { return r.read_floating(floating); }),
            "expected a floating-point number, found an array at byte 0");
  EXPECT_EQ(failure("40", [&](Reader& r) { return r.read_text(text); }),
            "expected text, found a byte string at byte 0");
  EXPECT_EQ(failure("a0", [&](Reader& r) { return r.read_bytes(bytes); }),
            "expected a byte string, found a map at byte 0");
  EXPECT_EQ(failure("f93c00", [&](Reader& r) { return r.read_array(number); }),
            "expected an array, found a floating-point number at byte 0");
  EXPECT_EQ(failure("f7", [&](Reader& r) { return r.read_map(number); }),
            "expected a map, found a simple value at byte 0");
  EXPECT_EQ(failure("00", [&](Reader& r) { return r.read_tag(number); }),
            "expected a tag, found an integer at byte 0");
}

TEST(CborReaderTest, the_first_failure_stays) {
  const Bytes bytes = from_hex("8201f6");
  Reader reader(bytes);
  std::uint64_t number = 0;
  ASSERT_TRUE(reader.read_array(number));
  ASSERT_TRUE(reader.read_unsigned(number));
  EXPECT_FALSE(reader.read_unsigned(number));
  EXPECT_FALSE(reader.read_null());
  EXPECT_FALSE(reader.skip());
  EXPECT_FALSE(reader.finish());
  EXPECT_EQ(reader.peek(), Kind::end);
  reader.add_place("element 2");
  EXPECT_EQ(reader.error().message(),
            "element 2: expected an integer from 0, found null at byte 2");
}

TEST(CborReaderTest, bytes_after_the_item_are_refused) {
  const Bytes bytes = from_hex("010203");
  Reader reader(bytes);
  std::uint64_t number = 0;
  ASSERT_TRUE(reader.read_unsigned(number));
  EXPECT_FALSE(reader.finish());
  EXPECT_EQ(reader.error().message(), "2 bytes too many after the item that ends at byte 1");
}

TEST(CborReaderTest, peek_tells_the_kind_that_read_gives) {
  for (int initial = 0; initial < 256; ++initial) {
    Bytes bytes(1, static_cast<char>(initial));
    bytes.append(300, '\x40');  // enough valid items or string bytes for any one-byte argument
    Reader reader(bytes);
    const Kind peeked = reader.peek();
    Item item;
    if (reader.read(item)) {
      EXPECT_EQ(item.kind, peeked) << initial;
    }
  }
}

TEST(CborReaderTest, skip_ends_where_the_item_ends) {
  // [1, {"a": [2, h'00']}, tag 1 (1.5), "x"] and then 7
  const Bytes bytes = from_hex(
      "8401a16161820241"
      "00c1f93e006178"
      "07");
  Reader reader(bytes);
  BytesView raw;
  ASSERT_TRUE(reader.read_raw(raw));
  EXPECT_EQ(raw.size(), bytes.size() - 1);
  std::uint64_t number = 0;
  EXPECT_TRUE(reader.read_unsigned(number) && reader.finish());
  EXPECT_EQ(number, 7u);
}

TEST(CborReaderTest, skip_passes_over_nesting_of_any_depth) {
  Bytes bytes(1000000, '\x81');
  bytes.push_back('\0');
  Reader reader(bytes);
  EXPECT_TRUE(reader.skip() && reader.finish());
}

TEST(CborReaderTest, skip_refuses_more_items_than_the_input_can_hold) {
  // Arrays that each announce almost all that is left: together far more than the input holds.
  EXPECT_EQ(failure("84838200", [](Reader& r) { return r.skip(); }),
            "found an array longer than the input at byte 0");
  EXPECT_EQ(failure("828200", [](Reader& r) { return r.skip(); }),
            "found an array longer than the input at byte 1");
  EXPECT_EQ(failure("83820000", [](Reader& r) { return r.skip(); }),
            "found more items than the input holds at byte 1");
}

TEST(CborReaderTest, nesting_past_the_bound_is_not_entered) {
  const Bytes bytes(kMaxDepth + 1, '\x81');
  Reader reader(bytes);
  std::uint64_t elements = 0;
  for (int level = 0; level < kMaxDepth; ++level) {
    ASSERT_TRUE(reader.read_array(elements));
    ASSERT_TRUE(reader.enter()) << level;
  }
  EXPECT_FALSE(reader.enter());
  EXPECT_EQ(reader.error().message(), "nested deeper than 64 levels at byte 64");
}

TEST(CborReaderTest, random_bytes_are_read_to_an_end_or_an_error) {
  constexpr std::uint64_t kSeed = 8949;
  SCOPED_TRACE("seed " + std::to_string(kSeed));
  std::mt19937_64 random(kSeed);
  for (int round = 0; round < 20000; ++round) {
    Bytes bytes(random() % 64, '\0');
    for (char& octet : bytes) octet = static_cast<char>(random());
    Reader reader(bytes);
    std::size_t before = 0;
    for (Item item; reader.read(item); before = reader.offset()) {
      ASSERT_GT(reader.offset(), before) << to_hex(bytes);
      ASSERT_LE(reader.offset(), bytes.size()) << to_hex(bytes);
    }
    ASSERT_FALSE(reader.error().message().empty());
    Reader skipper(bytes);
    while (skipper.skip()) {
      ASSERT_LE(skipper.offset(), bytes.size()) << to_hex(bytes);
    }
  }
}

}  // namespace
}  // namespace semper::cbor
