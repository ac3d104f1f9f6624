#include "options.h"

#include "gtest/gtest.h"
#include "progress.h"

namespace packages {
namespace {

using namespace std::chrono_literals;

TEST(Options, the_defaults_are_three_consumers_and_this_machines_log) {
  const auto options = parse_options({});
  ASSERT_TRUE(options.has_value());
  EXPECT_EQ(options->role, Role::coordinator);
  EXPECT_EQ(options->consumers, 3);
  EXPECT_TRUE(options->logs.empty());
}

TEST(Options, they_take_values_as_the_next_argument_or_after_an_equals_sign) {
  const auto options =
      parse_options({"--store", "sqlite:a=b.db", "--consumers=6", "--log", "x", "--log=y"});
  ASSERT_TRUE(options.has_value()) << options.error().to_string();
  EXPECT_EQ(options->store, "sqlite:a=b.db");
  EXPECT_EQ(options->consumers, 6);
  EXPECT_EQ(options->logs, (std::vector<std::string>{"x", "y"}));
}

TEST(Options, the_roles_are_the_first_argument) {
  EXPECT_EQ(parse_options({"consumer", "--name", "c"})->role, Role::consumer);
  EXPECT_EQ(parse_options({"publisher", "--until", "5:7"})->until, (Position{5, 7}));
}

struct Wrong {
  std::vector<std::string> arguments;
  std::string in_message;
};
class WrongOptions : public ::testing::TestWithParam<Wrong> {};
TEST_P(WrongOptions, they_are_refused_by_name) {
  const auto options = parse_options(GetParam().arguments);
  ASSERT_FALSE(options.has_value());
  EXPECT_EQ(options.error().kind(), semper::ErrorKind::invalid_argument);
  EXPECT_NE(options.error().message().find(GetParam().in_message), std::string::npos)
      << options.error().message();
}
INSTANTIATE_TEST_SUITE_P(
    Each, WrongOptions,
    ::testing::Values(Wrong{{"--colour"}, "'--colour'"}, Wrong{{"--fresh=1"}, "--fresh=1"},
                      Wrong{{"--log"}, "--log needs a value"},
                      Wrong{{"--consumers", "0"}, "1 to 64"},
                      Wrong{{"--consumers", "65"}, "1 to 64"}, Wrong{{"--consumers", "3x"}, "'3x'"},
                      Wrong{{"--store", "memory:"}, "sqlite:PATH"},
                      Wrong{{"--until", "7"}, "SECOND:INDEX"}, Wrong{{"all"}, "'all'"}));

TEST(Progress, it_shows_count_share_rate_and_remaining_time) {
  const auto text = render_progress({500, 2000, 5s}, 80);
  EXPECT_EQ(text.substr(text.find(']')), "] 500/2000  25 %  100 events/s  0:15 left");
}

TEST(Progress, the_bar_is_filled_by_share) {
  EXPECT_EQ(render_progress({0, 10, 1s}, 100).substr(0, 3), "[> ");
  const auto full = render_progress({10, 10, 1s}, 100);
  EXPECT_EQ(full.find('>'), std::string::npos);
  EXPECT_EQ(full.find("left"), std::string::npos);
}

TEST(Progress, it_fits_into_every_width) {
  for (std::size_t columns = 0; columns <= 200; ++columns) {
    EXPECT_LE(render_progress({123'456, 1'000'000, 61s}, columns).size(), columns);
  }
}

TEST(Progress, it_shows_no_rate_without_time_and_never_divides_by_zero) {
  EXPECT_NE(render_progress({0, 10, 0s}, 80).find("waiting"), std::string::npos);
  EXPECT_NE(render_progress({0, 0, 0s}, 80).find("100 %"), std::string::npos);
}

}  // namespace
}  // namespace packages
