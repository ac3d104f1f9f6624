#include "common/text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace semper::cli {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;

TEST(Text, control_characters_are_escaped) {
  EXPECT_EQ(shown("a\x1b[2J\nb\x7f"), "a\\u{1b}[2J\\u{a}b\\u{7f}");
  EXPECT_EQ(shown("caf\xc3\xa9 \xc2\x9b"), "caf\xc3\xa9 \\u{9b}");
  EXPECT_EQ(shown("\xff\n"), "\\xff\\x0a");
}

TEST(Text, a_span_is_read_as_it_is_written_or_refused) {
  EXPECT_EQ(parse_span("500ms"), milliseconds(500));
  EXPECT_EQ(parse_span("2s"), seconds(2));
  EXPECT_EQ(parse_span("2"), seconds(2));
  EXPECT_EQ(parse_span("1.5m"), seconds(90));
  EXPECT_EQ(parse_span("1h"), seconds(3600));
  EXPECT_EQ(parse_span("0"), seconds(0));
  EXPECT_EQ(parse_span("forever"), kForever);
  for (const char* wrong :
       {"", "s", "-1s", "+1s", "1 s", " 1s", "1e3", "0x10", "nan", "inf", "1d", "9000h", "1s2"}) {
    const auto parsed = parse_span(wrong);
    ASSERT_FALSE(parsed) << wrong;
    EXPECT_EQ(parsed.error().kind(), ErrorKind::invalid_argument);
    EXPECT_THAT(parsed.error().message(), HasSubstr(std::string("\"") + wrong + "\""));
  }
}

TEST(Text, a_count_is_read_as_it_is_written_or_refused) {
  EXPECT_EQ(parse_count("0"), 0u);
  EXPECT_EQ(parse_count("010"), 10u);
  EXPECT_EQ(parse_count("18446744073709551615"), ~std::uint64_t{0});
  for (const char* wrong :
       {"", "-1", "+1", " 1", "1 ", "0x10", "1.0", "1k", "18446744073709551616"}) {
    EXPECT_FALSE(parse_count(wrong)) << wrong;
  }
}

TEST(Text, a_size_is_read_as_it_is_written_or_refused) {
  EXPECT_EQ(parse_size("4096"), 4096u);
  EXPECT_EQ(parse_size("64KiB"), 65536u);
  EXPECT_EQ(parse_size("8M"), 8u << 20);
  EXPECT_EQ(parse_size("1TiB"), std::uint64_t{1} << 40);
  for (const char* wrong :
       {"", "K", "-1", "1.5G", "1kB", "1KB", "1iB", "1 K", "16777216T", "1KiBs"}) {
    EXPECT_FALSE(parse_size(wrong)) << wrong;
  }
  EXPECT_EQ(shown_size(512), "512 B");
  EXPECT_EQ(shown_size(1536), "1.5 KiB");
  EXPECT_EQ(shown_size(std::uint64_t{3} << 40), "3.0 TiB");
}

TEST(Text, spans_and_latencies_are_shown_with_fitting_units) {
  EXPECT_EQ(shown_span(milliseconds(400)), "0.4 s");
  EXPECT_EQ(shown_span(seconds(12)), "12 s");
  EXPECT_EQ(shown_span(seconds(180)), "3 min");
  EXPECT_EQ(shown_span(seconds(5 * 3600)), "5 h");
  EXPECT_EQ(shown_span(seconds(3 * 24 * 3600)), "3 d");
  EXPECT_EQ(shown_span(seconds(-5)), "0.0 s") << "the clock of another machine";
  EXPECT_EQ(shown_latency(std::chrono::nanoseconds(98100)), "98.1 us");
  EXPECT_EQ(shown_latency(std::chrono::microseconds(4200)), "4.20 ms");
  EXPECT_EQ(shown_latency(seconds(1)), "1.00 s");
  EXPECT_EQ(shown_time(WallTime(seconds(0))), "1970-01-01 00:00:00 UTC");
}

TEST(Text, columns_line_up_and_no_line_ends_in_spaces) {
  EXPECT_EQ(table({{"A", "LONG"}, {"caf\xc3\xa9", ""}, {"x", "y"}}),
            "A     LONG\ncaf\xc3\xa9\nx     y\n");
  EXPECT_EQ(table({}), "");
}

TEST(Text, a_value_comes_back_in_the_form_it_was_typed) {
  const std::pair<ValueForm, const char*> typed[] = {{ValueForm::json, R"({"a":[1,2.5,null]})"},
                                                     {ValueForm::automatic, R"(["x"])"},
                                                     {ValueForm::text, "hello"},
                                                     {ValueForm::hex, "00ff"},
                                                     {ValueForm::integer, "-42"},
                                                     {ValueForm::raw, "any\nthing"}};
  for (const auto& [form, text] : typed) {
    const auto value = parse_value(text, form);
    ASSERT_TRUE(value) << text;
    EXPECT_EQ(show_value(*value, form), text);
  }
  EXPECT_FALSE(parse_value("hello", ValueForm::automatic));
  EXPECT_FALSE(parse_value("0ff", ValueForm::hex));
  EXPECT_FALSE(parse_value("1.0", ValueForm::integer));
  EXPECT_FALSE(show_value("hello", ValueForm::integer));
  EXPECT_FALSE(show_value("hello", ValueForm::json));
  EXPECT_EQ(show_value("\x01hello", ValueForm::automatic), "\\x01hello");
  EXPECT_FALSE(parse_value_form("JSON"));
}

TEST(Text, a_sentence_repeats_the_beginning_of_a_long_word_only) {
  const std::string word(kShownOfAWord, 'k');
  EXPECT_EQ(with_words_cut("is " + word, {"is", word, ""}), "is " + word);
  EXPECT_EQ(with_words_cut(word + "k is " + word + "k", {word + "k"}),
            word + "... (257 bytes) is " + word + "... (257 bytes)");
  EXPECT_EQ(with_words_cut("k\u00e9" + word, {"k\u00e9" + word}),
            "k\u00e9" + word.substr(3) + "... (259 bytes)");
  const std::string wide = word.substr(1) + "\u00e9";
  EXPECT_EQ(with_words_cut(wide, {wide}), word.substr(1) + "... (257 bytes)");
}

TEST(Text, a_key_is_read_as_it_is_written_or_refused) {
  EXPECT_EQ(parse_key("0x6100"), Bytes("a\0", 2));
  EXPECT_EQ(parse_key("a\\x00"), Bytes("a\0", 2));
  EXPECT_EQ(parse_key("(\"a\",)"), Bytes("\x02"
                                         "a\0",
                                         3));
  for (const char* wrong : {"", "0x", "0x0", "0xgg", "(\"a\"", "\\x0"}) {
    const auto key = parse_key(wrong);
    ASSERT_FALSE(key) << wrong;
    EXPECT_EQ(key.error().kind(), ErrorKind::invalid_argument);
  }
}

}  // namespace
}  // namespace semper::cli
