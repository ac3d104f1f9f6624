#include "semper/base/log.h"

#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace semper {
namespace {

class LogTest : public ::testing::Test {
 protected:
  void SetUp() override {
    level_before_ = log_level();
    set_log_level(LogLevel::info);
    set_log_sink([this](LogLevel level, std::string_view component, std::string_view message) {
      lines_.push_back(std::string(to_string(level)) + "|" + std::string(component) + "|" +
                       std::string(message));
    });
  }
  void TearDown() override {
    set_log_sink(nullptr);
    set_log_level(level_before_);
  }

  std::vector<std::string> lines_;
  LogLevel level_before_ = LogLevel::info;
};

TEST_F(LogTest, a_line_reaches_the_sink_as_it_was) {
  log_info("host", "serving Counter");
  log_warning("sqlite", std::string("checkpoint is late"));
  log_error("queue", [] { return "parked"; });
  EXPECT_EQ(lines_,
            (std::vector<std::string>{"info|host|serving Counter",
                                      "warning|sqlite|checkpoint is late", "error|queue|parked"}));
}

TEST_F(LogTest, what_others_say_stays_on_its_line_and_is_bounded) {
  log_info("host", "an action failed: no\n2026-01-01 error host: forged \x1b[2J\r\xc3\xa9");
  log_info("host", std::string(100'000, 'x'));
  ASSERT_EQ(lines_.size(), 2u);
  EXPECT_EQ(lines_[0],
            "info|host|an action failed: no\\n2026-01-01 error host: forged \\x1b[2J\\x0d\xc3\xa9");
  EXPECT_LT(lines_[1].size(), 9'000u);
  EXPECT_NE(lines_[1].find("(100000 bytes)"), std::string::npos);
}

TEST_F(LogTest, a_line_below_the_level_is_not_shown_nor_its_message_made) {
  bool was_made = false;
  log_debug("host", [&] {
    was_made = true;
    return std::string("expensive");
  });
  log_trace("host", "step");
  EXPECT_FALSE(was_made);
  EXPECT_TRUE(lines_.empty());
  EXPECT_FALSE(is_logged(LogLevel::debug));
  set_log_level(LogLevel::trace);
  log_trace("host", "step");
  EXPECT_EQ(lines_, std::vector<std::string>{"trace|host|step"});
}

TEST_F(LogTest, off_shows_not_even_errors) {
  set_log_level(LogLevel::off);
  log_error("host", "stopped");
  log(LogLevel::off, "host", "no line has this level");
  EXPECT_TRUE(lines_.empty());
}

TEST_F(LogTest, a_sink_that_throws_does_not_stop_the_caller) {
  set_log_sink(
      [](LogLevel, std::string_view, std::string_view) { throw std::runtime_error("disk full"); });
  EXPECT_NO_THROW(log_info("host", "one"));
  EXPECT_NO_THROW(log_info("host", "two"));
}

TEST_F(LogTest, a_sink_that_logs_does_not_recurse) {
  std::atomic<int> calls{0};
  set_log_sink([&](LogLevel, std::string_view, std::string_view) {
    ++calls;
    log_info("sink", "about to write");
  });
  log_info("host", "one");
  log_info("host", "two");
  EXPECT_EQ(calls, 2);
}

TEST_F(LogTest, a_sink_can_be_replaced_while_another_thread_logs) {
  std::atomic<int> seen{0};
  std::atomic<bool> done{false};
  std::thread writer([&] {
    while (!done) log_info("host", "line");
  });
  for (int round = 0; round < 200; ++round) {
    set_log_sink([&seen](LogLevel, std::string_view, std::string_view) { ++seen; });
  }
  while (seen == 0) std::this_thread::yield();
  done = true;
  writer.join();
  EXPECT_GT(seen, 0);
}

TEST_F(LogTest, the_default_sink_writes_every_part_of_a_line) {
  set_log_sink(nullptr);
  ::testing::internal::CaptureStderr();
  log_warning("host", "braces {} and % stay");
  const std::string shown = ::testing::internal::GetCapturedStderr();
  EXPECT_NE(shown.find("warning host: braces {} and % stay\n"), std::string::npos) << shown;
}

TEST(LogLevelTest, every_level_comes_back_from_its_name) {
  for (const char* name : {"trace", "debug", "info", "warning", "error", "off"}) {
    const auto level = log_level_from(name);
    ASSERT_TRUE(level.has_value()) << name;
    EXPECT_EQ(to_string(*level), name);
  }
  EXPECT_FALSE(log_level_from("loud").has_value());
  EXPECT_FALSE(log_level_from("").has_value());
}

}  // namespace
}  // namespace semper
