// Publishers and consumers are killed with SIGKILL at random moments, and started again. Whenever
// all is quiet: every acknowledged message is in its ledger exactly once and in order, every reply
// was its call's, what ledgers sent on has arrived exactly once, and at the end nothing is left
// lying in the store.
//
//   SEMPER_CRASH_ROUNDS   kills; default 300
//   SEMPER_CRASH_SEED     decides who is killed and when the next kill is due; printed
#include <cstdlib>
#include <iostream>
#include <map>
#include <memory>
#include <thread>

#include "crash_test_support.h"
#include "journal.h"
#include "ledger.h"
#include "semper/testing/child_process.h"
#include "verdict.h"
#include "workers.h"

namespace semper::testing {
namespace {

constexpr std::uint64_t kDefaultRounds = 300;
constexpr std::uint64_t kRoundsPerEpoch = 50;
// Journal bytes that have to be written between two kills, at most.
constexpr std::uint64_t kProgressBytes = 6'000;
constexpr auto kFinishLimit = std::chrono::seconds(30);
// Sessions of the dead are swept after their lease, which is not the test's to choose.
constexpr auto kSweepLimit = std::chrono::seconds(40);
constexpr std::size_t kShown = 20;

std::uint64_t number_from_environment(const char* name, std::uint64_t otherwise) {
  const char* const text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

class CrashRounds : public CrashTest {
 protected:
  enum class Kind { consumer, publisher, serving_publisher };
  struct Member {
    Kind kind;
    ChildProcess process;
  };

  void SetUp() override {
    CrashTest::SetUp();
    std::filesystem::create_directory(folder_ + "/journals");
  }

  std::string journals() const { return folder_ + "/journals"; }
  std::string epoch_name() const { return "epoch" + std::to_string(epoch_); }

  ChildProcess start(Kind kind) {
    const std::string name = "p" + std::to_string(++started_);
    if (kind == Kind::consumer) return ChildProcess(consumer_arguments(url_, name));
    PublisherOptions options;
    options.store = url_;
    options.journal = journals() + "/" + name;
    options.name = name;
    options.ledgers = epoch_name();
    options.total = epoch_name() + "-" + Ledger::kTotal;
    options.seed = random_->next() % 1'000'000;
    options.serves = kind == Kind::serving_publisher;
    return ChildProcess(to_arguments(options));
  }

  // Waits until the journals have grown by a random amount, lets a random moment pass, kills one.
  void round(std::vector<Member>& members) {
    const std::uint64_t wanted = journal_bytes(journals()) + random_->below(kProgressBytes);
    ASSERT_TRUE(wait_until([&] { return journal_bytes(journals()) >= wanted; }))
        << "nothing moves: " << to_string(residue());
    const auto until =
        std::chrono::steady_clock::now() + std::chrono::microseconds(random_->below(2'000));
    while (std::chrono::steady_clock::now() < until) std::this_thread::yield();
    Member& victim = members[random_->below(members.size())];
    ASSERT_TRUE(victim.process.is_running()) << "a process ended by itself, see its words above";
    victim.process.kill_hard();
    victim.process = start(victim.kind);
  }

  // Publishers end their work; the consumers go on until every queue is empty.
  void quiesce(std::vector<Member>& members) {
    for (auto& member : members) {
      if (member.kind == Kind::consumer) continue;
      EXPECT_EQ(member.process.finish(kFinishLimit), 0) << "a publisher did not finish";
    }
    ASSERT_TRUE(wait_until([&] { return waiting_messages() == 0; }, kFinishLimit))
        << waiting_messages() << " messages wait and are not processed; " << to_string(residue());
  }

  std::vector<std::string> ledger_ids() const {
    std::vector<std::string> ids;
    for (int i = 0; i < kLedgers; ++i) ids.push_back(epoch_name() + "-" + std::to_string(i));
    return ids;
  }
  std::string total_id() const { return epoch_name() + "-" + Ledger::kTotal; }

  // Along the way that messages take: a ledger sends to the total in the commit that empties its
  // queue, so whoever looked at the total first could miss what was on its way.
  std::uint64_t waiting_messages() {
    std::uint64_t waiting = 0;
    for (const auto& id : ledger_ids()) waiting += view("ledger", id).queue_length;
    return waiting + view("ledger", total_id()).queue_length;
  }

  void check_accounts() {
    std::map<std::string, Ledger::State> ledgers;
    for (const auto& id : ledger_ids()) ledgers[id] = checked_state(id);
    const Ledger::State total = checked_state(total_id());
    const Verdict verdict = judge(read_journals(journals()), ledgers, total);
    for (std::size_t i = 0; i < std::min(verdict.wrong.size(), kShown); ++i) {
      ADD_FAILURE() << verdict.wrong[i];
    }
    EXPECT_EQ(verdict.wrong.size(), 0u);
    acknowledged_ += verdict.acknowledged;
    open_ += verdict.open;
    open_applied_ += verdict.open_applied;
  }

  Ledger::State checked_state(const std::string& id) {
    const EntityView found = view("ledger", id);
    EXPECT_EQ(found.dead_letters, 0u) << id;
    EXPECT_EQ(found.parked.value_or(""), "") << id;
    EXPECT_FALSE(found.lock.has_value()) << id;
    return state<Ledger::State>(found);
  }

  void forget_epoch() {
    auto ids = ledger_ids();
    ids.push_back(total_id());
    for (const auto& id : ids) {
      const auto killed = scheduler_.block_on(ref<Ledger>(*store_, id).kill());
      EXPECT_TRUE(killed.has_value() || killed.error().kind() == ErrorKind::not_found);
    }
    std::filesystem::remove_all(journals());
    std::filesystem::create_directory(journals());
    ++epoch_;
  }

  // One host that lives long enough removes what the dead have left.
  void check_residue(std::vector<Member>& members) {
    while (members.size() > 1) {
      EXPECT_EQ(members.back().process.finish(kFinishLimit), 0);
      members.pop_back();
    }
    const auto is_clean = [&] {
      const Outstanding left = residue();
      return left.entities_with_work == 0 && left.sessions == 0 && left.replies == 0 &&
             left.locks == 0 && left.hosts == 1;
    };
    EXPECT_TRUE(wait_until(is_clean, kSweepLimit)) << to_string(residue());
    EXPECT_EQ(members.front().process.finish(kFinishLimit), 0);
    EXPECT_EQ(residue().hosts, 0u) << "a host that stopped in order is still registered";
  }

  std::unique_ptr<SeededRandom> random_;
  std::uint64_t epoch_ = 0;
  std::uint64_t started_ = 0;
  std::uint64_t acknowledged_ = 0;
  std::uint64_t open_ = 0;
  std::uint64_t open_applied_ = 0;
};

TEST_F(CrashRounds, killed_processes_lose_nothing_and_apply_nothing_twice) {
  const auto rounds = number_from_environment("SEMPER_CRASH_ROUNDS", kDefaultRounds);
  const auto seed =
      number_from_environment("SEMPER_CRASH_SEED", system_random().next() % 1'000'000);
  std::cout << rounds << " rounds, SEMPER_CRASH_SEED=" << seed << std::endl;
  random_ = std::make_unique<SeededRandom>(seed);

  std::vector<Member> consumers;
  for (int i = 0; i < 2; ++i) consumers.push_back({Kind::consumer, start(Kind::consumer)});
  for (std::uint64_t done = 0; done < rounds;) {
    std::vector<Member> members = std::move(consumers);
    members.push_back({Kind::publisher, start(Kind::publisher)});
    members.push_back({Kind::serving_publisher, start(Kind::serving_publisher)});
    for (std::uint64_t i = 0; i < kRoundsPerEpoch && done < rounds; ++i, ++done) {
      round(members);
      if (HasFatalFailure()) FAIL() << "in round " << done << " of seed " << seed;
    }
    quiesce(members);
    if (HasFatalFailure()) FAIL() << "after round " << done << " of seed " << seed;
    check_accounts();
    if (HasFailure()) FAIL() << "after round " << done << " of seed " << seed;
    forget_epoch();
    std::erase_if(members, [](const Member& member) { return member.kind != Kind::consumer; });
    consumers = std::move(members);
  }
  check_residue(consumers);
  std::cout << started_ << " processes, " << acknowledged_ << " acknowledged posts all there once, "
            << open_ << " without an answer of which " << open_applied_ << " took effect"
            << std::endl;
  EXPECT_GT(acknowledged_, rounds) << "the processes hardly did anything between the kills";
}

}  // namespace
}  // namespace semper::testing
