// The contract of DeviceCompanion: what handles of one device share, in one process and several.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <utility>

#include "block_device_contract_test_support.h"
#include "file_worlds_test_support.h"
#include "semper/env/one_shot.h"
#include "semper/testing/simulated_clock.h"

namespace semper::testing {
namespace {

using ::testing::HasSubstr;
using namespace std::chrono_literals;
using Access = DeviceWorld::Access;

class DeviceCompanionContract : public ::testing::TestWithParam<DeviceKind> {
 protected:
  void SetUp() override {
    world_ = GetParam().make();
    if (!world_) GTEST_SKIP() << GetParam().name << " is not possible here; the reason is above";
    one_ = open();
    other_ = open();
  }
  std::unique_ptr<BlockDevice> open(Access access = Access::read_write) {
    auto opened = world_->open(access);
    EXPECT_TRUE(opened) << opened.error().to_string();
    EXPECT_NE((*opened)->companion(), nullptr);
    return std::move(*opened);
  }
  template <class T>
  Result<T> run(Async<T> operation) {
    return scheduler_.block_on(std::move(operation));
  }
  // Starts a wait by one handle, does something when it waits, and returns what it came to.
  template <class Meanwhile>
  Status wait_while(DeviceCompanion& waiting, std::size_t index, std::uint64_t seen,
                    Meanwhile meanwhile) {
    return run([](DeviceCompanion& companion, std::size_t word, std::uint64_t value,
                  Meanwhile& then) -> Async<void> {
      const auto executor = co_await asio::this_coro::executor;
      OneShot<int> ended;
      Status status;
      auto wait = [&]() -> Task<void> {
        status = co_await companion.wait(word, value, system_clock(), kNever);
        ended.set(1);
      };
      asio::co_spawn(executor, wait(), asio::detached);
      co_await yield_now();
      then();
      EXPECT_TRUE(co_await ended.wait());
      co_return status;
    }(waiting, index, seen, meanwhile));
  }

  std::unique_ptr<DeviceWorld> world_;
  std::unique_ptr<BlockDevice> one_;
  std::unique_ptr<BlockDevice> other_;
  Scheduler scheduler_;
};

TEST_P(DeviceCompanionContract, a_role_is_held_by_one_handle_until_it_is_given_up) {
  auto held = one_->companion()->take(3);
  ASSERT_TRUE(held) << held.error().to_string();
  for (auto* device : {other_.get(), one_.get()}) {
    const auto refused = device->companion()->take(3);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind(), ErrorKind::conflict);
    EXPECT_THAT(refused.error().message(), HasSubstr(std::string(one_->name())));
  }
  EXPECT_TRUE(other_->companion()->take(4)) << "another role is free";
  held->reset();
  EXPECT_TRUE(other_->companion()->take(3));
}

TEST_P(DeviceCompanionContract,
       a_role_outlives_the_close_of_its_handle_only_as_long_as_it_is_held) {
  auto held = one_->companion()->take(0);
  ASSERT_TRUE(held);
  ASSERT_TRUE(run(one_->close()));
  EXPECT_FALSE(other_->companion()->take(0));
  held->reset();
  EXPECT_TRUE(other_->companion()->take(0));
}

TEST_P(DeviceCompanionContract, words_are_shared_and_begin_at_zero_for_the_first_handle) {
  for (std::size_t i = 0; i < DeviceCompanion::kWords; ++i) {
    EXPECT_EQ(one_->companion()->word(i).load(), 0u);
    one_->companion()->word(i).store(i + 1);
    EXPECT_EQ(other_->companion()->word(i).load(), i + 1);
  }
  one_.reset();
  EXPECT_EQ(other_->companion()->word(5).load(), 6u);
  other_.reset();
  EXPECT_EQ(open()->companion()->word(5).load(), 0u);
}

TEST_P(DeviceCompanionContract, a_wait_ends_when_the_other_handle_changes_the_word) {
  auto& there = *other_->companion();
  for (std::uint64_t round = 0; round < 20; ++round) {
    ASSERT_TRUE(wait_while(*one_->companion(), 7, round, [&] {
      there.word(7).store(round + 1);
      there.notify(7);
    }));
  }
}

TEST_P(DeviceCompanionContract, a_wait_for_a_word_that_has_changed_already_ends_at_once) {
  one_->companion()->word(1).store(5);
  EXPECT_TRUE(run(one_->companion()->wait(1, 4, system_clock(), kNever)));
}

TEST_P(DeviceCompanionContract, a_change_of_the_upper_half_of_a_word_is_a_change) {
  auto& there = *other_->companion();
  EXPECT_TRUE(wait_while(*one_->companion(), 2, 0, [&] {
    there.word(2).store(std::uint64_t{1} << 40);
    there.notify(2);
  }));
}

TEST_P(DeviceCompanionContract, a_wait_ends_at_its_deadline) {
  SimulatedClock clock;
  const auto late = run(one_->companion()->wait(1, 0, clock, clock.now()));
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().kind(), ErrorKind::timeout);
}

TEST_P(DeviceCompanionContract, closing_the_handle_ends_its_waits_and_no_others) {
  auto& there = *other_->companion();
  const auto closed = wait_while(*one_->companion(), 1, 0, [&] {
    asio::co_spawn(scheduler_.executor(), one_->close(), asio::detached);
  });
  ASSERT_FALSE(closed);
  EXPECT_EQ(closed.error().kind(), ErrorKind::closed);
  EXPECT_EQ(run(one_->companion()->wait(1, 0, system_clock(), kNever)).error().kind(),
            ErrorKind::closed);
  EXPECT_EQ(one_->companion()->take(1).error().kind(), ErrorKind::closed);
  EXPECT_TRUE(wait_while(there, 1, 0, [&] {
    there.word(1).store(1);
    there.notify(1);
  }));
}

TEST_P(DeviceCompanionContract, many_waits_on_many_words_are_each_woken_by_their_own) {
  constexpr std::size_t kWaits = 40;
  std::size_t left = kWaits;
  ASSERT_TRUE(run([&]() -> Async<void> {
    const auto executor = co_await asio::this_coro::executor;
    OneShot<int> all_ended;
    auto wait = [&](std::size_t i) -> Task<void> {
      auto& mine = *(i % 2 == 0 ? one_ : other_)->companion();
      EXPECT_TRUE(co_await mine.wait(i, 0, system_clock(), kNever));
      EXPECT_EQ(mine.word(i).load(), i + 1);
      if (--left == 0) all_ended.set(1);
    };
    for (std::size_t i = 0; i < kWaits; ++i) {
      asio::co_spawn(executor, wait(i), asio::detached);
    }
    co_await yield_now();
    for (std::size_t i = 0; i < kWaits; ++i) {
      auto& there = *(i % 2 == 0 ? other_ : one_)->companion();
      there.word(i).store(i + 1);
      there.notify(i);
    }
    SEMPER_CO_TRY_STATUS(co_await all_ended.wait());
    co_return Status{};
  }()));
}

INSTANTIATE_TEST_SUITE_P(Devices, DeviceCompanionContract, ::testing::ValuesIn(all_device_kinds()),
                         [](const auto& kind) { return kind.param.name; });

// Across processes: files and raw devices.
class SharedCompanionTest : public ::testing::Test {
 protected:
  FileWorld world_{{}};
};

SEMPER_CHILD(keeps_role_0) {
  auto device = open_block_device(child_argument());
  ASSERT_TRUE(device);
  auto role = (*device)->companion()->take(0);
  say(role ? "taken" : role.error().to_string());
  hear();
}

TEST_F(SharedCompanionTest, a_role_is_free_when_its_process_was_killed) {
  auto device = world_.open(Access::read_write);
  ASSERT_TRUE(device);
  ChildProcess child("keeps_role_0", world_.path());
  ASSERT_EQ(child.read_line(), "taken");
  const auto refused = (*device)->companion()->take(0);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::conflict);
  child.kill_hard();
  EXPECT_EQ(child.wait(), 128 + SIGKILL);
  EXPECT_TRUE((*device)->companion()->take(0));
}

// Adds one to word 1 whenever word 0 has grown, until it is 100.
SEMPER_CHILD(answers) {
  auto device = open_block_device(child_argument());
  ASSERT_TRUE(device);
  auto& companion = *(*device)->companion();
  say("ready");
  const auto answered = run_on_a_scheduler([](DeviceCompanion& words) -> Async<void> {
    for (std::uint64_t n = 0; n < 100; ++n) {
      SEMPER_CO_TRY_STATUS(co_await words.wait(0, n, system_clock(), kNever));
      words.word(1).store(n + 1);
      words.notify(1);
    }
    co_return Status{};
  }(companion));
  ASSERT_TRUE(answered);
}

TEST_F(SharedCompanionTest, two_processes_wake_each_other) {
  auto device = world_.open(Access::read_write);
  ASSERT_TRUE(device);
  auto& companion = *(*device)->companion();
  ChildProcess child("answers", world_.path());
  ASSERT_EQ(child.read_line(), "ready");
  const auto asked = run_on_a_scheduler([](DeviceCompanion& words) -> Async<void> {
    for (std::uint64_t n = 0; n < 100; ++n) {
      words.word(0).store(n + 1);
      words.notify(0);
      SEMPER_CO_TRY_STATUS(co_await words.wait(1, n, system_clock(), kNever));
    }
    co_return Status{};
  }(companion));
  EXPECT_TRUE(asked);
  EXPECT_EQ(child.wait(), 0);
}

SEMPER_CHILD(leaves_a_word_behind) {
  auto device = open_block_device(child_argument());
  ASSERT_TRUE(device);
  (*device)->companion()->word(9).store(99);
  say("written");
  hear();
}

TEST_F(SharedCompanionTest, words_of_killed_processes_are_not_found_by_the_next_opener) {
  ChildProcess child("leaves_a_word_behind", world_.path());
  ASSERT_EQ(child.read_line(), "written");
  {
    auto device = world_.open(Access::read_write);
    ASSERT_TRUE(device);
    EXPECT_EQ((*device)->companion()->word(9).load(), 99u);
  }
  child.kill_hard();
  child.wait();
  auto device = world_.open(Access::read_write);
  ASSERT_TRUE(device);
  EXPECT_EQ((*device)->companion()->word(9).load(), 0u);
}

TEST_F(SharedCompanionTest, a_read_only_handle_takes_no_role) {
  auto device = world_.open(Access::read_only);
  ASSERT_TRUE(device);
  const auto refused = (*device)->companion()->take(0);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::permission);
}

}  // namespace
}  // namespace semper::testing
