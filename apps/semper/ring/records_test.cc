#include "ring/records.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace semper::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// All records of `input`, fed in pieces of `piece` bytes; the error's words as the last one.
std::vector<std::string> cut(RecordForm form, std::string_view input, std::size_t piece,
                             std::size_t maximum = 100) {
  RecordCutter cutter(form, maximum);
  std::vector<std::string> records;
  const auto drain = [&](auto next) {
    while (true) {
      const auto record = next();
      if (!record) records.push_back(record.error().message());
      if (!record || !*record) return record.has_value();
      records.emplace_back(**record);
    }
  };
  for (std::size_t at = 0; at < input.size(); at += piece) {
    cutter.add(input.substr(at, piece));
    if (!drain([&] { return cutter.next(); })) return records;
  }
  drain([&] { return cutter.last(); });
  return records;
}

TEST(Records, lines_are_the_same_however_the_input_arrives) {
  for (const std::size_t piece : {1u, 2u, 3u, 100u}) {
    EXPECT_THAT(cut(RecordForm::lines, "one\n\ntwo\r\nthree", piece),
                ElementsAre("one", "", "two\r", "three"));
    EXPECT_THAT(cut(RecordForm::lines, "one\n", piece), ElementsAre("one"));
    EXPECT_THAT(cut(RecordForm::lines, "", piece), ElementsAre());
  }
}

TEST(Records, framed_records_come_back) {
  const std::vector<std::string> records = {"one", "", std::string(90, '\n'), std::string(1, '\0')};
  Bytes input;
  for (const auto& record : records) append_record(input, record, RecordForm::framed);
  for (const std::size_t piece : {1u, 5u, 1000u}) {
    EXPECT_EQ(cut(RecordForm::framed, input, piece), records);
  }
}

TEST(Records, a_long_input_is_cut_at_the_right_places) {
  Bytes input;
  for (int i = 0; i < 30'000; ++i) append_record(input, std::to_string(i), RecordForm::lines);
  const auto records = cut(RecordForm::lines, input, 4096);
  ASSERT_EQ(records.size(), 30'000u);
  for (std::size_t i = 0; i < records.size(); ++i) ASSERT_EQ(records[i], std::to_string(i));
}

TEST(Records, a_record_without_an_end_is_refused_and_its_place_is_named) {
  EXPECT_THAT(cut(RecordForm::lines, "ok\n" + std::string(101, 'x'), 7),
              ElementsAre("ok", HasSubstr("the record at byte 3 of the input has at least 101")));
  EXPECT_THAT(cut(RecordForm::framed, std::string("\x01\0\0\0a\xff\xff\xff\x7f", 9), 9),
              ElementsAre("a", HasSubstr("at byte 5 of the input has 2147483647 bytes")));
  EXPECT_THAT(
      cut(RecordForm::framed, std::string("\x01\0\0\0a\x05\0\0\0bc", 11), 4),
      ElementsAre("a", HasSubstr("ends inside a record, that at byte 5, of which 6 bytes")));
  EXPECT_THAT(cut(RecordForm::framed, std::string("\x01\0", 2), 2),
              ElementsAre(HasSubstr("ends inside a record, that at byte 0")));
}

}  // namespace
}  // namespace semper::cli
