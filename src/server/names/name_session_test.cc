#include "server/names/name_session.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "semper/testing/simulated_clock.h"

namespace semper::internal {
namespace {

using namespace std::chrono_literals;

struct SessionInTime {
  testing::SimulatedClock clock;
  asio::io_context loop{1};
  std::shared_ptr<NameSession> session =
      NameSession::begin("id", clock, Loop(loop.get_executor()), clock.now() + 900ms);
  std::shared_ptr<HoldingSign> sign = std::make_shared<HoldingSign>();

  void run() {
    loop.restart();
    loop.poll();
  }
};

TEST(NameSessions, end_by_their_own_clock_where_nothing_renews_them) {
  SessionInTime world;
  ASSERT_TRUE(world.session->add(world.sign));
  world.clock.advance(899ms);
  world.run();
  EXPECT_TRUE(world.session->is_valid());
  EXPECT_FALSE(world.sign->token().stop_requested());
  world.clock.advance(1ms);
  EXPECT_FALSE(world.session->is_valid()) << "at once, before its loop has run";
  world.run();
  EXPECT_TRUE(world.sign->token().stop_requested());
  EXPECT_FALSE(world.session->add(std::make_shared<HoldingSign>())) << "what is over stays so";
}

TEST(NameSessions, live_as_long_as_they_are_renewed) {
  SessionInTime world;
  ASSERT_TRUE(world.session->add(world.sign));
  for (int i = 0; i < 20; ++i) {
    world.clock.advance(300ms);
    EXPECT_TRUE(world.session->extend(world.clock.now() + 900ms));
    world.run();
  }
  EXPECT_TRUE(world.session->is_valid());
  EXPECT_FALSE(world.sign->is_over());
  EXPECT_TRUE(
      world.session->extend(world.clock.now()));  // a renewal that was late takes nothing away
  EXPECT_TRUE(world.session->is_valid());
  world.clock.advance(900ms);
  world.run();
  EXPECT_TRUE(world.sign->is_over());
}

TEST(NameSessions, sessions_that_are_over_are_not_renewed_again) {
  SessionInTime world;
  world.clock.advance(1s);
  EXPECT_FALSE(world.session->extend(world.clock.now() + 10s));
  EXPECT_FALSE(world.session->is_valid());
}

// Its timers come late, as those of a busy machine do.
class LateClock final : public Clock {
 public:
  explicit LateClock(testing::SimulatedClock& clock) : clock_(clock) {}
  MonotonicTime now() const noexcept override { return clock_.now(); }
  WallTime wall_time() const noexcept override { return clock_.wall_time(); }
  TimerId call_at(MonotonicTime when, std::function<void()> callback) override {
    return clock_.call_at(when + 50ms, std::move(callback));
  }
  bool cancel(TimerId timer) noexcept override { return clock_.cancel(timer); }

 private:
  testing::SimulatedClock& clock_;
};

TEST(NameSessions, sessions_whose_time_is_over_do_not_come_back_before_their_timer) {
  SessionInTime world;
  LateClock late(world.clock);
  const auto session =
      NameSession::begin("id", late, Loop(world.loop.get_executor()), late.now() + 900ms);
  ASSERT_TRUE(session->add(world.sign));
  world.clock.advance(910ms);
  EXPECT_FALSE(session->is_valid());
  EXPECT_FALSE(session->extend(late.now() + 900ms)) << "the answer to a renewal is late";
  EXPECT_FALSE(session->is_valid()) << "others were told that the name is not held";
  world.clock.advance(40ms);
  world.run();
  EXPECT_TRUE(world.sign->is_over());
}

TEST(NameSessions, may_go_before_their_timer_and_their_loop) {
  auto world = std::make_unique<SessionInTime>();
  std::weak_ptr<NameSession> gone = world->session;
  world->session.reset();
  EXPECT_TRUE(gone.expired());
  world->clock.advance(10s);
  world->run();
}

TEST(NameSessions, sessions_of_a_parent_are_not_valid_in_a_forked_child) {
  SessionInTime world;
  const pid_t child = ::fork();
  if (child == 0) ::_exit(world.session->is_valid() ? 1 : 0);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), 0) << "two processes hold one name";
  EXPECT_TRUE(world.session->is_valid());
}

TEST(TrustedPart, is_shorter_than_what_others_wait_for) {
  EXPECT_EQ(trusted_part(1s), 900ms);
  EXPECT_EQ(trusted_part(kForever), kForever);
}

}  // namespace
}  // namespace semper::internal
