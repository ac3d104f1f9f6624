// What the guide to rings and journals says about its lessons, held against them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "lessons.h"
#include "semper/testing/temporary_folder.h"

namespace guide {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using Texts = std::vector<std::string>;

class GuideRingsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(scheduler_.block_on(make_ring(path())));
    open();
  }

  std::string path() const { return folder_.path("readings.ring"); }
  void open() { device_ = semper::open_block_device(path()).value(); }

  semper::Status record_one(const std::string& reading) {
    return scheduler_.block_on(record(*device_, {reading})).map([](ring::Position) {});
  }
  Texts forwarded() {
    Texts sent;
    const Send keep = [&](const std::string& reading) -> semper::Status {
      sent.push_back(reading);
      return {};
    };
    const std::uint64_t count = scheduler_.block_on(forward(*device_, keep)).value();
    EXPECT_EQ(count, sent.size());
    return sent;
  }

  const semper::testing::TemporaryFolder folder_;
  semper::Scheduler scheduler_;
  std::unique_ptr<semper::BlockDevice> device_;
};

TEST_F(GuideRingsTest, readings_come_out_in_order_and_only_once) {
  ASSERT_TRUE(record_one("a"));
  ASSERT_TRUE(scheduler_.block_on(record_in_two_steps(*device_, "b")));
  EXPECT_THAT(forwarded(), ElementsAre("a", "b"));
  EXPECT_THAT(forwarded(), IsEmpty());
}

TEST_F(GuideRingsTest, a_reading_that_could_not_be_sent_stays) {
  ASSERT_TRUE(record_one("a"));
  const Send refuse = [](const std::string&) -> semper::Status {
    return semper::fail(semper::ErrorKind::io, "nobody listens");
  };
  EXPECT_FALSE(scheduler_.block_on(forward(*device_, refuse)));
  EXPECT_THAT(forwarded(), ElementsAre("a"));
}

TEST_F(GuideRingsTest, a_paused_producer_is_told_so) {
  const ring::AttachOptions options;
  auto producer = scheduler_.block_on(ring::Producer::attach(*device_, options)).value();
  auto consumer = scheduler_.block_on(ring::Consumer::attach(*device_, options)).value();
  ASSERT_TRUE(scheduler_.block_on(consumer.suspend()));
  const auto refused = scheduler_.block_on(producer.publish("a"));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), semper::ErrorKind::suspended);
  EXPECT_TRUE(scheduler_.block_on(pause(consumer)));
  ASSERT_TRUE(scheduler_.block_on(consumer.resume()));
  EXPECT_TRUE(scheduler_.block_on(producer.publish("a")));
}

TEST_F(GuideRingsTest, a_journal_sends_again_what_failed) {
  Texts sent;
  bool is_away = true;
  const Send send = [&](const std::string& reading) -> semper::Status {
    if (std::exchange(is_away, false)) return semper::fail(semper::ErrorKind::io, "away");
    sent.push_back(reading);
    return {};
  };
  ASSERT_TRUE(scheduler_.block_on(journal_and_send(*device_, {"a", "b"}, send)));
  EXPECT_THAT(sent, ElementsAre("a", "b"));
}

TEST_F(GuideRingsTest, a_damaged_record_costs_that_record_alone) {
  ASSERT_TRUE(record_one("a"));
  ASSERT_TRUE(record_one("b"));
  ASSERT_TRUE(record_one("c"));
  const auto info = scheduler_.block_on(ring::inspect(*device_)).value();
  ring::Position start;
  const auto found = scheduler_.block_on(ring::read_all(
      *device_,
      [&](const ring::ItemView& item) -> semper::Status {
        if (item.bytes == "b") start = item.start;
        return {};
      },
      [](const ring::Damage&) -> semper::Status { return {}; }, ring::AttachOptions()));
  ASSERT_TRUE(found);
  device_.reset();
  {
    std::fstream file(path(), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(info.data_start + start.offset() + 32));
    file.put('x');
  }
  open();
  std::uint64_t damaged = 0;
  EXPECT_THAT(scheduler_.block_on(rescue(*device_, damaged)).value(), ElementsAre("a", "c"));
  EXPECT_EQ(damaged, 1u);
  EXPECT_THAT(forwarded(), IsEmpty());
}

TEST(GuideRingsProgram, prints_what_the_guide_shows) {
  std::FILE* pipe = ::popen("'" SEMPER_PROGRAM "' 2>/dev/null", "r");
  ASSERT_NE(pipe, nullptr);
  Texts lines;
  char line[256];
  while (std::fgets(line, sizeof line, pipe) != nullptr) lines.emplace_back(line);
  EXPECT_EQ(::pclose(pipe), 0);
  EXPECT_THAT(lines, ElementsAre("07:00 300 Wh\n", "08:00 200 Wh\n", "09:00 250 Wh\n",
                                 "3 readings sent\n", "10:00 100 Wh\n", "house 12: 500 Wh\n"));
}

}  // namespace
}  // namespace guide
