#include "common/progress.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "semper/testing/simulated_clock.h"

namespace semper::cli {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::SimulatedClock;

constexpr Duration kSecond = std::chrono::seconds(1);

TEST(Progress, a_line_shows_the_share_the_items_the_bytes_the_rates_and_the_time_left) {
  SimulatedClock clock;
  std::ostringstream out;
  {
    Progress progress(out, Progress::Show::yes, clock);
    progress.update(1, 1, 10);
    EXPECT_EQ(out.str(), "") << "at once, before anybody waits";
    clock.advance(kSecond);
    progress.update(200, 25 * 1024, 100 * 1024);
    EXPECT_THAT(out.str(), EndsWith("[#####---------------] 25 % 200 items, 25.0 KiB of 100.0 KiB, "
                                    "200 items/s, 25.0 KiB/s, 3.0 s left"));
  }
  EXPECT_THAT(out.str(), EndsWith("\r\x1b[K")) << "the line was left behind";
}

TEST(Progress, more_than_was_expected_is_shown_as_100_percent) {
  SimulatedClock clock;
  std::ostringstream out;
  Progress progress(out, Progress::Show::yes, clock);
  clock.advance(kSecond);
  progress.update(1, 300, 100);
  EXPECT_THAT(out.str(), HasSubstr("[####################] 100 % "));
  EXPECT_THAT(out.str(), Not(HasSubstr("left")));
}

TEST(Progress, progress_that_is_not_to_be_shown_writes_nothing) {
  SimulatedClock clock;
  std::ostringstream out;
  Progress progress(out, Progress::Show::no, clock);
  clock.advance(kSecond);
  progress.update(1, 1, 1);
  EXPECT_EQ(out.str(), "");
}

}  // namespace
}  // namespace semper::cli
