// A round that is large goes to the device in parts, several at a time, while more of it gathers.
// One flush makes it durable, and nothing of it is acknowledged before: whatever the power, or one
// of the parts, does.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "ring_test_support.h"
#include "semper/testing/seed.h"
#include "semper/testing/simulated_disk.h"

namespace semper::ring::testing {
namespace {

using namespace std::chrono_literals;
using semper::testing::simulated_run;
using semper::testing::SimulatedClock;
using semper::testing::SimulatedDisk;

constexpr std::size_t kCallers = 12;
constexpr std::size_t kCallsOfEach = 6;

class RingParts : public ::testing::Test {
 protected:
  // Parts of 4 KiB, buffers of 16 KiB.
  AttachOptions options() {
    AttachOptions options;
    options.memory_bytes = std::size_t{64} << 10;
    options.env = env_;
    return options;
  }

  struct Acknowledged {
    Bytes item;
    Position end;
    std::size_t interval = 0;  // of the disk
  };

  // All callers together, each one call after another; ends with the first call that fails.
  Task<void> publish_all(Producer& producer) {
    const auto caller = [&](std::size_t number) -> Task<void> {
      for (std::size_t call = 0; call < kCallsOfEach; ++call) {
        const Bytes item = std::to_string(number) + "." + std::to_string(call) + " " +
                           Bytes(1'000 + random_.below(4'000), static_cast<char>('a' + call));
        const auto end = co_await producer.publish(item);
        if (end) {
          acknowledged_.push_back({item, *end, disk_.interval()});
        } else {
          errors_.push_back(end.error().kind());
          break;
        }
      }
      if (--callers_left_ == 0) ended_.set(true);
    };
    callers_left_ = kCallers;
    for (std::size_t i = 0; i < kCallers; ++i) {
      asio::co_spawn(co_await asio::this_coro::executor, caller(i), asio::detached);
    }
    EXPECT_TRUE(co_await ended_.wait());
  }

  Task<void> make_and_publish(BlockDevice& device, semper::testing::DiskFaults faults) {
    CreateOptions create_options;
    create_options.env = env_;
    EXPECT_TRUE(co_await create(device, create_options));
    auto producer = co_await Producer::attach(device, options());
    EXPECT_TRUE(producer);
    disk_.set_faults(faults);
    if (producer) co_await publish_all(*producer);
    disk_.set_faults({});
    if (producer) {
      const auto info = co_await producer->debug_info();
      if (info) info_ = *info;
      EXPECT_TRUE(co_await producer->detach());
    }
  }

  // What is acknowledged up to the flush interval is there, in order and as it was.
  void check(const SimulatedDisk& image, std::size_t interval) {
    World world({[&] { return image.open(); }});
    const auto device = world.open();
    auto producer = world.producer(*device);
    ASSERT_OK(producer);
    auto consumer = world.consumer(*device);
    ASSERT_OK(consumer);
    const std::vector<Bytes> items = all_items(world, *consumer);
    std::size_t known = 0;
    for (const auto& each : acknowledged_) {
      if (each.interval > interval) continue;
      ++known;
      const auto found = std::find(items.begin(), items.end(), each.item);
      ASSERT_TRUE(found != items.end()) << "lost: " << each.item.substr(0, 6);
    }
    ASSERT_GE(items.size(), known);
    ASSERT_OK(world.run(producer->publish("goes on")));
  }

  SimulatedClock clock_;
  SeededRandom random_{semper::testing::test_seed()};
  Env env_{&clock_, &random_};
  SimulatedDisk disk_{{.size = 1u << 20, .sector_size = 4096, .keep_history = true}, env_};
  std::vector<Acknowledged> acknowledged_;
  std::vector<ErrorKind> errors_;
  std::size_t callers_left_ = 0;
  OneShot<bool> ended_;
  DebugInfo info_;
};

semper::testing::DiskFaults slow() {
  semper::testing::DiskFaults faults;
  faults.delay = 0.5;
  faults.delay_by = 3ms;
  return faults;
}

TEST_F(RingParts, a_power_loss_at_any_flush_takes_nothing_that_was_acknowledged) {
  const auto device = disk_.open();
  simulated_run(clock_, make_and_publish(*device, slow()));
  ASSERT_EQ(acknowledged_.size(), kCallers * kCallsOfEach);
  for (std::size_t interval = 0; interval <= disk_.interval(); ++interval) {
    if (interval < acknowledged_.front().interval) continue;
    for (int drawn = 0; drawn < 6; ++drawn) {
      SCOPED_TRACE("interval " + std::to_string(interval) + ", draw " + std::to_string(drawn));
      std::vector<semper::testing::SectorFate> fates;
      for (std::size_t i = 0; i < disk_.unsynced(interval).size(); ++i) {
        // First all of it is gone, then it comes as it likes.
        const auto fate = drawn == 0 ? 0 : random_.below(3);
        fates.push_back(static_cast<semper::testing::SectorFate>(fate));
      }
      check(disk_.crash_image(interval, fates), interval);
      if (HasFatalFailure()) return;
    }
  }
}

// Not one write for each call, nor one flush.
TEST_F(RingParts, many_calls_share_a_flush) {
  const auto device = disk_.open();
  simulated_run(clock_, make_and_publish(*device, slow()));
  for (const auto& [key, value] : info_) {
    if (key != "writes") continue;
    EXPECT_LT(std::stoul(value), kCallers * kCallsOfEach / 2);
  }
  check(disk_.crash_image(0), disk_.interval());
}

TEST_F(RingParts, a_part_that_fails_fails_its_round_and_everything_after) {
  for (int life = 0; life < 40; ++life) {
    SCOPED_TRACE("life " + std::to_string(life));
    acknowledged_.clear();
    errors_.clear();
    ended_ = OneShot<bool>();
    disk_ = SimulatedDisk({.size = 1u << 20, .sector_size = 4096, .keep_history = true}, env_);
    const auto device = disk_.open();
    auto faults = slow();
    faults.write_error = 0.05;
    simulated_run(clock_, make_and_publish(*device, faults));
    for (const ErrorKind kind : errors_) EXPECT_EQ(kind, ErrorKind::io);
    if (errors_.empty()) {
      EXPECT_EQ(acknowledged_.size(), kCallers * kCallsOfEach);
    }
    // The next one finds all that was acknowledged.
    check(disk_.crash_image(disk_.interval(), std::uint64_t{0}), disk_.interval());
    if (HasFailure()) return;
  }
}

// The role is free when detach() has ended; no part of the one before comes after that.
TEST_F(RingParts, what_was_under_way_has_ended_when_the_role_is_free) {
  const auto device = disk_.open();
  simulated_run(clock_, [&]() -> Task<void> {
    CreateOptions create_options;
    create_options.env = env_;
    EXPECT_TRUE(co_await create(*device, create_options));
    for (int life = 0; life < 20; ++life) {
      auto producer = co_await Producer::attach(*device, options());
      EXPECT_TRUE(producer) << producer.error().to_string();
      if (!producer) co_return;
      disk_.set_faults(slow());
      std::size_t left = kCallers;
      OneShot<bool> ended;
      const auto caller = [&]() -> Task<void> {
        const Bytes item(4'000, 'x');
        const auto end = co_await producer->publish(item);
        EXPECT_TRUE(end || end.error().kind() == ErrorKind::closed ||
                    end.error().kind() == ErrorKind::retry);
        if (--left == 0) ended.set(true);
      };
      for (std::size_t i = 0; i < kCallers; ++i) {
        asio::co_spawn(co_await asio::this_coro::executor, caller(), asio::detached);
      }
      EXPECT_TRUE(co_await sleep_for(clock_, Duration(random_.below(4'000'000))));
      EXPECT_TRUE(co_await producer->detach());
      EXPECT_TRUE(co_await ended.wait());
      disk_.set_faults({});
      auto consumer = co_await Consumer::attach(*device, options());
      EXPECT_TRUE(consumer);
      if (!consumer) co_return;
      for (;;) {
        const auto items = co_await consumer->pop_many();
        if (!items) {
          EXPECT_EQ(kind_of(items), ErrorKind::retry) << items.error().to_string();
          break;
        }
        EXPECT_TRUE(co_await consumer->advance(items->back().after));
      }
      EXPECT_TRUE(co_await consumer->detach());
    }
  }());
}

}  // namespace
}  // namespace semper::ring::testing
