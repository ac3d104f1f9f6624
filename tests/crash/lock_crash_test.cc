// What becomes of a lock when the process that holds it is killed, or only stopped for too long.
#include <signal.h>

#include <fstream>
#include <future>

#include "crash_test_support.h"
#include "semper/testing/child_process.h"
#include "vault.h"
#include "workers.h"

namespace semper::testing {
namespace {

constexpr auto kCallLimit = std::chrono::seconds(60);

class LockCrash : public CrashTest {
 protected:
  ChildProcess start_host() { return ChildProcess(vault_host_arguments(url_, folder_)); }

  bool has_note(const std::string& what, const ChildProcess& host) const {
    return std::filesystem::exists(Vault::note_path(folder_, what, host.pid()));
  }
  bool wait_held(const ChildProcess& host) const {
    return wait_until([&] { return has_note("held", host); });
  }
  std::uint64_t token(const ChildProcess& host) const {
    std::uint64_t token = 0;
    std::ifstream(Vault::note_path(folder_, "held", host.pid())) >> token;
    return token;
  }
  void release(const ChildProcess& host) const {
    std::ofstream(folder_ + "/release-" + std::to_string(host.pid())) << "\n";
  }

  // A call from this process, which serves nothing: through the queue.
  std::future<Result<Vault::Turn>> call_work() {
    return std::async(std::launch::async, [this] {
      Scheduler scheduler;
      const CallOptions limit{kCallLimit};
      return scheduler.block_on(vault_.call(Vault::Work{}, limit));
    });
  }

  Vault::State vault_state() { return state<Vault::State>(view("vault", "v")); }

  void SetUp() override {
    CrashTest::SetUp();
    vault_ = ref<Vault>(*store_, "v");
  }
  void TearDown() override {
    vault_ = ref<Vault>(Tenant(Result<Store>(fail(ErrorKind::closed, "the test is over"))), "v");
    CrashTest::TearDown();
  }

  Ref<Vault> vault_ = ref<Vault>(Tenant(Result<Store>(fail(ErrorKind::closed, "not open"))), "v");
};

TEST_F(LockCrash,
       another_host_takes_the_lock_over_from_a_killed_holder_and_handles_the_same_message) {
  auto first = start_host();
  auto reply = call_work();
  ASSERT_TRUE(wait_held(first));
  ASSERT_TRUE(scheduler_.block_on(vault_.cast(Vault::Note{})).has_value());
  auto second = start_host();
  ASSERT_TRUE(wait_until([&] { return second.has_written("ready"); }));
  first.kill_hard();
  ASSERT_TRUE(wait_held(second)) << to_string(residue());
  EXPECT_GT(token(second), token(first));
  EXPECT_EQ(vault_state().notes, 0u) << "a queued message did not wait for the lock";
  release(second);
  const auto turn = reply.get();
  ASSERT_TRUE(turn.has_value()) << turn.error().to_string();
  EXPECT_EQ(turn->process, second.pid());
  EXPECT_EQ(turn->token, token(second));
  ASSERT_TRUE(wait_until([&] { return vault_state().notes == 1; }));
  ASSERT_EQ(vault_state().turns.size(), 1u);
  EXPECT_EQ(vault_state().turns[0].process, second.pid());
  EXPECT_FALSE(view("vault", "v").lock.has_value());
  EXPECT_EQ(view("vault", "v").queue_length, 0u);
  EXPECT_TRUE(wait_until([&] { return residue().locks == 0 && residue().entities_with_work == 0; }))
      << to_string(residue());
  EXPECT_EQ(second.finish(), 0);
}

TEST_F(LockCrash, a_late_write_of_a_stopped_holder_is_refused) {
  auto first = start_host();
  auto reply = call_work();
  ASSERT_TRUE(wait_held(first));
  first.send_signal(SIGSTOP);
  auto second = start_host();
  ASSERT_TRUE(wait_held(second)) << "a stopped holder was not taken over; " << to_string(residue());
  EXPECT_GT(token(second), token(first));
  release(second);
  const auto turn = reply.get();
  ASSERT_TRUE(turn.has_value()) << turn.error().to_string();
  EXPECT_EQ(turn->process, second.pid());

  release(first);
  first.send_signal(SIGCONT);
  ASSERT_TRUE(wait_until([&] { return has_note("done", first); }));
  EXPECT_EQ(first.finish(), 0) << "the late holder did not end in order";
  EXPECT_TRUE(first.has_written("processed 0")) << first.output();
  ASSERT_EQ(vault_state().turns.size(), 1u) << "a late write went through";
  EXPECT_EQ(vault_state().turns[0].process, second.pid());
  EXPECT_EQ(second.finish(), 0);
}

TEST_F(LockCrash, a_late_write_is_refused_while_the_new_holder_still_works) {
  auto first = start_host();
  auto reply = call_work();
  ASSERT_TRUE(wait_held(first));
  first.send_signal(SIGSTOP);
  auto second = start_host();
  ASSERT_TRUE(wait_held(second)) << to_string(residue());

  release(first);
  first.send_signal(SIGCONT);
  ASSERT_TRUE(wait_until([&] { return has_note("done", first); }));
  EXPECT_EQ(first.finish(), 0);
  EXPECT_EQ(vault_state().turns.size(), 0u) << "a late write went through";
  const auto lock = view("vault", "v").lock;
  ASSERT_TRUE(lock.has_value()) << "the late holder gave the lock of another away";
  EXPECT_NE(lock->owner.find(std::to_string(second.pid())), std::string::npos) << lock->owner;

  release(second);
  const auto turn = reply.get();
  ASSERT_TRUE(turn.has_value()) << turn.error().to_string();
  EXPECT_EQ(turn->process, second.pid());
  EXPECT_EQ(second.finish(), 0);
}

TEST_F(LockCrash, a_message_outlives_every_holder_in_turn) {
  constexpr int kHolders = 5;
  auto reply = call_work();
  std::uint64_t last_token = 0;
  for (int i = 0; i < kHolders; ++i) {
    auto host = start_host();
    ASSERT_TRUE(wait_held(host)) << "holder " << i << "; " << to_string(residue());
    EXPECT_GT(token(host), last_token);
    last_token = token(host);
    host.kill_hard();
  }
  auto host = start_host();
  ASSERT_TRUE(wait_held(host)) << to_string(residue());
  release(host);
  const auto turn = reply.get();
  ASSERT_TRUE(turn.has_value()) << turn.error().to_string();
  EXPECT_EQ(turn->process, host.pid());
  EXPECT_EQ(vault_state().turns.size(), 1u);
  EXPECT_EQ(host.finish(), 0);
}

}  // namespace
}  // namespace semper::testing
