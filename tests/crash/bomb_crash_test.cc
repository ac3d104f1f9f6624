// Messages that end every process that runs them: abort, exit, SIGKILL, a stack that overflows.
#include <fstream>
#include <iterator>

#include "bomb.h"
#include "crash_test_support.h"
#include "semper/testing/child_process.h"
#include "workers.h"

namespace semper::testing {
namespace {

class BombCrash : public CrashTest {
 protected:
  std::size_t runs() const {
    std::ifstream file(folder_ + "/runs");
    return static_cast<std::size_t>(
        std::distance(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()));
  }

  // One host after the other, as a supervisor starts them, until the queues are empty. How many
  // died.
  int supervise(std::size_t hosts, const std::vector<std::string>& ids) {
    const auto is_done = [&] {
      for (const auto& id : ids) {
        if (view("bomb", id).queue_length > 0) return false;
      }
      return true;
    };
    std::vector<std::optional<ChildProcess>> fleet(hosts);
    int deaths = 0;
    const bool ended = wait_until(
        [&] {
          for (auto& host : fleet) {
            if (host && host->is_running()) continue;
            if (host) ++deaths;
            host.emplace(bomb_host_arguments(url_, folder_));
          }
          return deaths > 40 || is_done();
        },
        std::chrono::seconds(60));
    EXPECT_TRUE(ended) << to_string(residue());
    for (auto& host : fleet) {
      if (host) {
        EXPECT_EQ(host->finish(), 0);
      }
    }
    return deaths;
  }

  void cast_tick(const std::string& id) {
    auto bomb = ref<Bomb>(*store_, id);
    ASSERT_TRUE(scheduler_.block_on(bomb.cast(Bomb::Tick{})).has_value());
  }
  void cast_explosion(const std::string& id, const std::string& how) {
    auto bomb = ref<Bomb>(*store_, id);
    const Bomb::Explode message{how};
    ASSERT_TRUE(scheduler_.block_on(bomb.cast(message)).has_value());
  }
  // As many as a message may fail, and the run that nobody could suspect.
  static std::size_t runs_allowed() {
    return static_cast<std::size_t>(crash_host_options("").message_attempts) + 1;
  }
};

TEST_F(BombCrash, a_message_that_ends_each_process_is_set_aside_however_it_does_so) {
  for (const std::string how : {"abort", "exit", "kill", "stack"}) {
    SCOPED_TRACE(how);
    std::filesystem::remove(folder_ + "/runs");
    cast_tick(how);
    cast_explosion(how, how);
    cast_tick(how);
    supervise(1, {how});
    EXPECT_GE(runs(), 2u);
    EXPECT_LE(runs(), runs_allowed());
    const auto seen = view("bomb", how);
    EXPECT_EQ(state<Bomb::State>(seen), 2u);
    EXPECT_EQ(seen.dead_letters, 1u);
    EXPECT_EQ(seen.queue_length, 0u);
  }
}

TEST_F(BombCrash, a_fleet_survives_it_and_loses_no_message_of_others) {
  std::vector<std::string> ids;
  for (int i = 0; i < 20; ++i) {
    ids.push_back("b" + std::to_string(i));
    cast_tick(ids.back());
    if (i == 7) cast_explosion(ids.back(), "abort");
    cast_tick(ids.back());
  }
  supervise(3, ids);
  EXPECT_LE(runs(), runs_allowed() + 2) << "each of the three may run it unsuspecting once";
  for (int i = 0; i < 20; ++i) {
    const auto seen = view("bomb", ids[static_cast<std::size_t>(i)]);
    EXPECT_EQ(state<Bomb::State>(seen), 2u) << i;
    EXPECT_EQ(seen.dead_letters, i == 7 ? 1u : 0u) << i;
  }
}

}  // namespace
}  // namespace semper::testing
