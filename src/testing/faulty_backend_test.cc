#include "semper/testing/faulty_backend.h"

#include <gtest/gtest.h>

#include <string>

#include "backends/memory/memory.h"
#include "semper/store/store.h"
#include "semper/testing/seed.h"
#include "semper/testing/simulated_run.h"

namespace semper::testing {
namespace {

using namespace std::chrono_literals;

class Faulty : public ::testing::Test {
 protected:
  Faulty() {
    memory_ = *simulated_run(clock_, open_memory(*StoreUrl::parse("memory:"), env_));
    faulty_ = std::make_shared<FaultyBackend>(memory_, env_);
  }

  static CommitRequest setting(Bytes key, Bytes value) {
    CommitRequest request;
    request.mutations.push_back({Mutation::Type::set, std::move(key), std::move(value), 0});
    return request;
  }

  // In a run of its own, so that what is still on its way is lost with it.
  Result<CommitReceipt> commit(CommitRequest request) {
    return simulated_run(clock_, faulty_->commit(std::move(request)));
  }

  std::optional<Bytes> stored(BytesView key) {
    auto snapshot = *simulated_run(clock_, memory_->snapshot());
    return *simulated_run(clock_, snapshot->get(key));
  }

  SimulatedClock clock_;
  SeededRandom random_{1};
  Env env_{&clock_, &random_};
  std::shared_ptr<Backend> memory_;
  std::shared_ptr<FaultyBackend> faulty_;
};

TEST_F(Faulty, without_faults_it_is_the_backend_behind_it) {
  EXPECT_TRUE(commit(setting("key", "1")));
  EXPECT_EQ(stored("key"), "1");
  EXPECT_TRUE(faulty_->happened().empty());
  EXPECT_EQ(faulty_->url(), "memory:");
  EXPECT_EQ(faulty_->limits().key_bytes, memory_->limits().key_bytes);
  EXPECT_TRUE(simulated_run(clock_, faulty_->check()));
}

TEST_F(Faulty, a_scripted_conflict_applies_nothing) {
  faulty_->script({CommitFault::conflict});
  EXPECT_EQ(commit(setting("key", "1")).error().kind(), ErrorKind::conflict);
  EXPECT_EQ(stored("key"), std::nullopt);
  EXPECT_TRUE(commit(setting("key", "2"))) << "the script has ended";
  EXPECT_EQ(faulty_->happened().at("conflict"), 1u);
}

TEST_F(Faulty, an_unknown_outcome_was_applied_or_not_as_scripted) {
  faulty_->script({CommitFault::unknown_applied, CommitFault::unknown_lost});
  EXPECT_EQ(commit(setting("applied", "1")).error().kind(), ErrorKind::outcome_unknown);
  EXPECT_EQ(commit(setting("lost", "1")).error().kind(), ErrorKind::outcome_unknown);
  EXPECT_EQ(stored("applied"), "1");
  EXPECT_EQ(stored("lost"), std::nullopt);
}

// An answer is lost, not changed: what would have been refused is refused.
TEST_F(Faulty, a_real_conflict_is_not_hidden_by_a_lost_answer) {
  const auto version = simulated_run(clock_, memory_->snapshot()).value()->version();
  EXPECT_TRUE(commit(setting("key", "1")));
  auto request = setting("other", "");
  request.read_version = version;
  request.reads.push_back({KeyRange::point("key"), 0});
  faulty_->script({CommitFault::unknown_applied});
  EXPECT_EQ(commit(std::move(request)).error().kind(), ErrorKind::conflict);
}

TEST_F(Faulty, a_late_commit_arrives_after_its_answer_was_lost) {
  faulty_->script({CommitFault::unknown_late});
  simulated_run(clock_, [&]() -> Task<void> {
    const auto receipt = co_await faulty_->commit(setting("late", "1"));
    EXPECT_EQ(receipt.error().kind(), ErrorKind::outcome_unknown);
    EXPECT_EQ(faulty_->on_their_way(), 1u);
    const auto early = co_await memory_->snapshot();
    EXPECT_FALSE((co_await (*early)->get("late"))->has_value());
    EXPECT_TRUE(co_await sleep_for(clock_, 51ms));
    EXPECT_EQ(faulty_->on_their_way(), 0u);
    const auto later = co_await memory_->snapshot();
    EXPECT_EQ((co_await (*later)->get("late"))->value_or("nothing"), "1");
  }());
}

TEST_F(Faulty, a_late_commit_finds_a_closed_store_and_is_not_applied) {
  faulty_->script({CommitFault::unknown_late});
  simulated_run(clock_, [&]() -> Task<void> {
    static_cast<void>(co_await faulty_->commit(setting("late", "1")));
    EXPECT_TRUE(co_await faulty_->close());
    EXPECT_TRUE(co_await sleep_for(clock_, 51ms));
    EXPECT_EQ(faulty_->on_their_way(), 0u);
  }());
}

TEST_F(Faulty, delays_take_simulated_time_and_calm_ends_them) {
  faulty_->set_faults({.delay = 1.0, .delay_by = 1s});
  const auto before = clock_.now();
  EXPECT_TRUE(commit(setting("key", "1")));
  EXPECT_GT(clock_.now(), before);
  EXPECT_LE(clock_.now(), before + 2s);
  EXPECT_EQ(faulty_->happened().at("delay"), 2u);
  faulty_->calm();
  const auto calm = clock_.now();
  EXPECT_TRUE(commit(setting("key", "2")));
  EXPECT_EQ(clock_.now(), calm);
}

TEST_F(Faulty, refused_snapshots_say_retry) {
  faulty_->set_faults({.snapshot_refused = 1.0});
  EXPECT_EQ(simulated_run(clock_, faulty_->snapshot()).error().kind(), ErrorKind::retry);
  faulty_->calm();
  EXPECT_TRUE(simulated_run(clock_, faulty_->snapshot()));
}

TEST_F(Faulty, a_spurious_watch_returns_without_a_change_but_never_past_its_deadline) {
  faulty_->set_faults({.watch_late_by = 1s, .watch_spurious = 1.0});
  auto snapshot = *simulated_run(clock_, faulty_->snapshot());
  auto watch = *simulated_run(clock_, faulty_->watch("key", *snapshot));
  EXPECT_TRUE(simulated_run(clock_, watch->changed(kNever)));
  EXPECT_LE(clock_.now(), SimulatedClock::kStart + 1s);
  const auto deadline = clock_.now() + 1ns;
  static_cast<void>(simulated_run(clock_, watch->changed(deadline)));
  EXPECT_LE(clock_.now(), deadline);
}

TEST_F(Faulty, a_late_watch_fires_all_the_same) {
  faulty_->set_faults({.watch_late = 1.0, .watch_late_by = 1s});
  auto snapshot = *simulated_run(clock_, faulty_->snapshot());
  auto watch = *simulated_run(clock_, faulty_->watch("key", *snapshot));
  EXPECT_TRUE(commit(setting("key", "1")));
  EXPECT_TRUE(simulated_run(clock_, watch->changed(kNever)));
  EXPECT_GT(clock_.now(), SimulatedClock::kStart);
}

TEST_F(Faulty, one_seed_gives_the_same_faults_again) {
  std::map<std::string, std::uint64_t> runs[2];
  for (auto& run : runs) {
    SeededRandom random(test_seed());
    FaultyBackend faulty(memory_, Env{&clock_, &random},
                         {.conflict = 0.2, .unknown_applied = 0.2, .unknown_lost = 0.2});
    for (int i = 0; i < 100; ++i) {
      static_cast<void>(simulated_run(clock_, faulty.commit(setting("key", "value"))));
    }
    run = faulty.happened();
  }
  EXPECT_EQ(runs[0], runs[1]);
  EXPECT_GT(runs[0]["conflict"] + runs[0]["unknown_applied"], 0u);
}

}  // namespace
}  // namespace semper::testing
