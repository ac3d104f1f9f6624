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
    world.session->extend(world.clock.now() + 900ms);
    world.run();
  }
  EXPECT_TRUE(world.session->is_valid());
  EXPECT_FALSE(world.sign->is_over());
  world.session->extend(world.clock.now());  // a renewal that was late takes nothing away
  EXPECT_TRUE(world.session->is_valid());
  world.clock.advance(900ms);
  world.run();
  EXPECT_TRUE(world.sign->is_over());
}

TEST(NameSessions, sessions_that_are_over_are_not_renewed_again) {
  SessionInTime world;
  world.clock.advance(1s);
  world.session->extend(world.clock.now() + 10s);
  EXPECT_FALSE(world.session->is_valid());
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
