// A right stream passes, and so does no spoilt one.
#include "stream_laws.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace semper::testing {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Step = StreamStep;

struct Told {
  Step step;
  std::uint64_t number = 0;
};

std::vector<std::string> wrong(const std::vector<Told>& events,
                               StreamLaws::Kind kind = StreamLaws::Kind::with_state) {
  StreamLaws laws(kind);
  for (const auto& event : events) laws.told(event.step, event.number);
  return laws.wrong();
}

TEST(StreamLawsTest, a_right_stream_is_accepted) {
  EXPECT_THAT(wrong({{Step::attempting},
                     {Step::failed},
                     {Step::attempting},
                     {Step::success},
                     {Step::state, 4},
                     {Step::update, 5},
                     {Step::update, 6},
                     {Step::lost},
                     {Step::attempting},
                     {Step::resumed},
                     {Step::update, 7},
                     {Step::gap},
                     {Step::lost},
                     {Step::attempting},
                     {Step::gap},
                     {Step::success},
                     {Step::state, 20},
                     {Step::update, 21}}),
              IsEmpty());
  EXPECT_THAT(wrong({{Step::attempting}, {Step::success}, {Step::update, 9}, {Step::update, 10}},
                    StreamLaws::Kind::without_state),
              IsEmpty());
}

TEST(StreamLawsTest, a_lost_repeated_or_overtaken_update_is_found) {
  const std::vector<Told> begun = {{Step::attempting}, {Step::success}, {Step::state, 4}};
  for (const std::uint64_t number : {6u, 4u, 3u}) {
    auto events = begun;
    events.push_back({Step::update, number});
    EXPECT_THAT(wrong(events), Contains(HasSubstr("after 4"))) << number;
  }
  auto events = begun;
  events.insert(events.end(),
                {{Step::lost}, {Step::attempting}, {Step::resumed}, {Step::update, 6}});
  EXPECT_THAT(wrong(events), Contains(HasSubstr("gave update 6 after 4")));
}

TEST(StreamLawsTest, an_unannounced_gap_is_found) {
  const std::vector<Told> events = {{Step::attempting}, {Step::success},    {Step::update, 4},
                                    {Step::lost},       {Step::attempting}, {Step::success},
                                    {Step::update, 9}};
  EXPECT_THAT(wrong(events, StreamLaws::Kind::without_state),
              Contains(HasSubstr("did not say that updates may be lost")));
}

TEST(StreamLawsTest, a_missing_or_extra_state_is_found) {
  EXPECT_THAT(wrong({{Step::attempting}, {Step::success}, {Step::update, 1}}),
              Contains(HasSubstr("no State directly")));
  EXPECT_THAT(wrong({{Step::attempting}, {Step::success}, {Step::state, 1}, {Step::state, 2}}),
              Contains(HasSubstr("does not follow a Success")));
  EXPECT_THAT(wrong({{Step::attempting}, {Step::resumed}, {Step::state, 1}}),
              Contains(HasSubstr("does not follow a Success")));
}

TEST(StreamLawsTest, events_out_of_order_are_found) {
  EXPECT_THAT(wrong({{Step::success}}), Contains(HasSubstr("without an attempt")));
  EXPECT_THAT(wrong({{Step::attempting}, {Step::attempting}}), Contains(HasSubstr("beside")));
  EXPECT_THAT(wrong({{Step::attempting}, {Step::lost}}), Contains(HasSubstr("was not there")));
  EXPECT_THAT(wrong({{Step::failed}}), Contains(HasSubstr("failed without")));
  EXPECT_THAT(wrong({{Step::attempting}, {Step::update, 1}}), Contains(HasSubstr("not connected")));
}

}  // namespace
}  // namespace semper::testing
