#include "semper/base/bytes.h"

#include <gtest/gtest.h>

#include <limits>

namespace semper {
namespace {

TEST(BytesTest, octets_with_the_high_bit_keep_their_value_and_order) {
  const Bytes bytes = bytes_of({0x00, 0x7f, 0x80, 0xff});
  ASSERT_EQ(bytes.size(), 4u);
  EXPECT_EQ(static_cast<unsigned char>(bytes[2]), 0x80);
  EXPECT_LT(bytes_of({0x7f}), bytes_of({0x80})) << "comparison is unsigned: keys depend on it";
}

TEST(BytesTest, each_nibble_has_its_hex_digit) {
  EXPECT_EQ(to_hex(bytes_of({0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef})), "0123456789abcdef");
  EXPECT_EQ(to_hex(""), "");
}

TEST(BytesTest, printable_text_escapes_control_characters_and_backslashes) {
  EXPECT_EQ(to_printable(bytes_of({'a', 0x00, '\\', 0xff, ' ', 0x7f, '~'})),
            "a\\x00\\\\\\xff \\x7f~");
}

TEST(BytesTest, printable_text_stops_at_the_limit_and_says_the_length) {
  EXPECT_EQ(to_printable("abcdef", 3), "abc…(6 bytes)");
  EXPECT_EQ(to_printable("abc", 3), "abc");
}

TEST(BytesTest, utf8_of_every_length_is_accepted_at_its_borders) {
  EXPECT_TRUE(is_utf8(""));
  EXPECT_TRUE(is_utf8("plain ASCII that is longer than one machine word"));
  EXPECT_TRUE(is_utf8("\xc2\x80"));          // U+0080
  EXPECT_TRUE(is_utf8("\xdf\xbf"));          // U+07FF
  EXPECT_TRUE(is_utf8("\xe0\xa0\x80"));      // U+0800
  EXPECT_TRUE(is_utf8("\xed\x9f\xbf"));      // U+D7FF
  EXPECT_TRUE(is_utf8("\xee\x80\x80"));      // U+E000
  EXPECT_TRUE(is_utf8("\xef\xbf\xbf"));      // U+FFFF
  EXPECT_TRUE(is_utf8("\xf0\x90\x80\x80"));  // U+10000
  EXPECT_TRUE(is_utf8("\xf4\x8f\xbf\xbf"));  // U+10FFFF
  EXPECT_TRUE(is_utf8("1234567\xc3\xa4 across a word border"));
}

TEST(BytesTest, utf8_overlong_surrogate_too_big_or_cut_short_is_refused) {
  EXPECT_FALSE(is_utf8("\x80"));              // continuation alone
  EXPECT_FALSE(is_utf8("\xc0\x80"));          // overlong U+0000
  EXPECT_FALSE(is_utf8("\xc1\xbf"));          // overlong
  EXPECT_FALSE(is_utf8("\xe0\x9f\xbf"));      // overlong
  EXPECT_FALSE(is_utf8("\xf0\x8f\xbf\xbf"));  // overlong
  EXPECT_FALSE(is_utf8("\xed\xa0\x80"));      // surrogate U+D800
  EXPECT_FALSE(is_utf8("\xf4\x90\x80\x80"));  // U+110000
  EXPECT_FALSE(is_utf8("\xf5\x80\x80\x80"));
  EXPECT_FALSE(is_utf8("\xff"));
  EXPECT_FALSE(is_utf8("abcdefg\xc3"));  // cut short at the end
  EXPECT_FALSE(is_utf8("\xe2\x82"));
  EXPECT_FALSE(is_utf8("\xe2\x28\xa1"));      // second byte is no continuation
  EXPECT_FALSE(is_utf8("\xf0\x9f\x98\x28"));  // fourth byte is no continuation
}

TEST(BytesTest, integers_come_back_in_both_byte_orders) {
  Bytes out;
  append_big_endian_u16(out, 0x0102);
  append_big_endian_u32(out, 0x01020304);
  append_big_endian_u64(out, 0xf102030405060708u);
  EXPECT_EQ(to_hex(out), "010201020304f102030405060708");
  EXPECT_EQ(load_big_endian_u16(out), 0x0102);
  EXPECT_EQ(load_big_endian_u32(BytesView(out).substr(2)), 0x01020304u);
  EXPECT_EQ(load_big_endian_u64(BytesView(out).substr(6)), 0xf102030405060708u);

  out.clear();
  append_little_endian_u32(out, 0x01020304);
  append_little_endian_u64(out, 0xf102030405060708u);
  EXPECT_EQ(to_hex(out), "0403020108070605040302f1");
  EXPECT_EQ(load_little_endian_u32(out), 0x01020304u);
  EXPECT_EQ(load_little_endian_u64(BytesView(out).substr(4)), 0xf102030405060708u);
}

TEST(BytesDeathTest, a_load_from_too_short_a_view_aborts) {
  EXPECT_DEATH(load_big_endian_u32("abc"), "checks the length");
  EXPECT_DEATH(load_little_endian_u64("abcdefg"), "checks the length");
}

}  // namespace
}  // namespace semper
