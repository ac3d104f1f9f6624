#include "semper/env/gate.h"

#include <gtest/gtest.h>

#include <optional>
#include <utility>

#include "semper/testing/simulated_run.h"

namespace semper {
namespace {

using namespace std::chrono_literals;
using testing::simulated_run;
using testing::SimulatedClock;

TEST(Gate, closing_an_empty_gate_returns_at_once) {
  SimulatedClock clock;
  Gate gate("the test");
  simulated_run(clock, gate.close());
  EXPECT_TRUE(gate.is_closed());
}

TEST(Gate, a_closed_gate_refuses_and_names_its_owner) {
  Gate gate("the host");
  gate.shut();
  const auto entered = gate.enter();
  ASSERT_FALSE(entered);
  EXPECT_EQ(entered.error().kind(), ErrorKind::closed);
  EXPECT_NE(entered.error().message().find("the host"), std::string::npos);
  EXPECT_EQ(gate.count(), 0u);
}

TEST(Gate, closing_waits_for_the_last_to_leave) {
  SimulatedClock clock;
  Gate gate("the test");
  simulated_run(clock, [&]() -> Task<void> {
    const auto executor = co_await asio::this_coro::executor;
    auto worker = [&](Duration span) -> Task<void> {
      auto inside = gate.enter();
      EXPECT_TRUE(inside);
      EXPECT_TRUE(co_await sleep_for(clock, span));
    };
    asio::co_spawn(executor, worker(1s), asio::detached);
    asio::co_spawn(executor, worker(3s), asio::detached);
    co_await yield_now();
    EXPECT_EQ(gate.count(), 2u);
    co_await gate.close();
    EXPECT_EQ(clock.now(), SimulatedClock::kStart + 3s);
    EXPECT_EQ(gate.count(), 0u);
  }());
}

TEST(Gate, everyone_who_closes_is_told) {
  SimulatedClock clock;
  Gate gate("the test");
  int told = 0;
  simulated_run(clock, [&]() -> Task<void> {
    const auto executor = co_await asio::this_coro::executor;
    std::optional<Gate::Holder> inside(*gate.enter());
    auto closer = [&]() -> Task<void> {
      co_await gate.close();
      ++told;
    };
    for (int i = 0; i < 3; ++i) asio::co_spawn(executor, closer(), asio::detached);
    EXPECT_TRUE(co_await sleep_for(clock, 1s));
    EXPECT_EQ(told, 0);
    inside.reset();
    EXPECT_TRUE(co_await sleep_for(clock, 1s));
  }());
  EXPECT_EQ(told, 3);
}

TEST(Gate, closing_until_a_deadline_says_who_is_still_inside_and_can_be_called_again) {
  SimulatedClock clock;
  Gate gate("the test");
  simulated_run(clock, [&]() -> Task<void> {
    std::optional<Gate::Holder> inside(*gate.enter());
    const Status late = co_await gate.close_until(clock, clock.now() + 1s);
    EXPECT_EQ(clock.now(), SimulatedClock::kStart + 1s);
    EXPECT_FALSE(late);
    if (late) co_return;
    EXPECT_EQ(late.error().kind(), ErrorKind::timeout);
    EXPECT_NE(late.error().message().find("the test is still at work (1)"), std::string::npos);
    EXPECT_FALSE(gate.enter()) << "it is shut";
    inside.reset();
    EXPECT_TRUE(co_await gate.close_until(clock, clock.now() + 1s));
    EXPECT_EQ(clock.now(), SimulatedClock::kStart + 1s) << "nobody was inside";
  }());
}

TEST(Gate, a_holder_that_is_moved_leaves_once) {
  Gate gate("the test");
  Gate other("the other");
  {
    auto first = *gate.enter();
    Gate::Holder moved = std::move(first);
    EXPECT_EQ(gate.count(), 1u);
    auto elsewhere = *other.enter();
    moved = std::move(elsewhere);
    EXPECT_EQ(gate.count(), 0u) << "what a holder held before is left on assignment";
    EXPECT_EQ(other.count(), 1u);
    auto& same = moved;
    moved = std::move(same);
    EXPECT_EQ(other.count(), 1u);
  }
  EXPECT_EQ(other.count(), 0u);
}

TEST(GateDeathTest, destroying_a_gate_with_somebody_inside_stops_the_program) {
  EXPECT_DEATH(
      {
        auto gate = std::make_unique<Gate>("the test");
        auto inside = gate->enter();
        gate.reset();
      },
      "outlives");
}

}  // namespace
}  // namespace semper
