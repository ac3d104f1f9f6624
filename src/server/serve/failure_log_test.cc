#include "server/serve/failure_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "semper/base/log.h"

namespace semper::internal {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::SizeIs;

class FailureLines : public ::testing::Test {
 protected:
  FailureLines() {
    set_log_sink([this](LogLevel, std::string_view, std::string_view message) {
      lines_.emplace_back(message);
    });
  }
  ~FailureLines() override { set_log_sink({}); }

  void fail_at(Duration when, ErrorKind kind = ErrorKind::internal) {
    log_.failed(MonotonicTime(when), {"Order", "17"}, run_, Error(kind, "no"));
  }

  FailureLog log_;
  FailedRun run_{"Ship", Event::call, FailedRun::How::queued, 2, 3, FailedRun::Next::retry, 20ms};
  std::vector<std::string> lines_;
};

TEST_F(FailureLines, are_fields_with_values_that_a_program_can_tell_apart) {
  EXPECT_EQ(
      failure_line({"Order", "17"}, run_, Error(ErrorKind::internal, "no such shelf")),
      "message failed: type=Order entity=17 message=Ship event=call how=queued attempt=2 of=3 "
      "error=internal text=\"no such shelf\" next=retry after_ms=20");
  run_.next = FailedRun::Next::dead_letter;
  run_.of = std::numeric_limits<int>::max();
  EXPECT_EQ(failure_line({"Order", "a=\"b\"\n\x01"}, run_, Error(ErrorKind::io, "")),
            "message failed: type=Order entity=\"a=\\\"b\\\"\\n\\u0001\" message=Ship event=call "
            "how=queued attempt=2 of=unlimited error=io text=\"\" next=dead_letter");
}

TEST_F(FailureLines, cut_long_texts_between_characters) {
  const std::string text = std::string(kFailureTextBytes - 1, 'x') + "\xc3\xa4 and more";
  const auto line = failure_line({"Order", "17"}, run_, Error(ErrorKind::internal, text));
  EXPECT_THAT(line, HasSubstr("text=" + std::string(kFailureTextBytes - 1, 'x') + " next=retry"));
}

TEST_F(FailureLines, of_one_kind_have_a_bound_and_those_left_out_are_counted) {
  for (std::uint64_t i = 0; i < kFailureLines + 7; ++i) fail_at(1s);
  EXPECT_THAT(lines_, SizeIs(kFailureLines));
  fail_at(2s, ErrorKind::io);  // another kind has its own
  EXPECT_THAT(lines_, SizeIs(kFailureLines + 1));
  fail_at(1s + kFailureLinesPeriod);
  ASSERT_THAT(lines_, SizeIs(kFailureLines + 2));
  EXPECT_THAT(lines_.back(), HasSubstr(" not_logged=7"));
  fail_at(1s + kFailureLinesPeriod);
  EXPECT_THAT(lines_.back(), ::testing::Not(HasSubstr("not_logged")));
}

}  // namespace
}  // namespace semper::internal
