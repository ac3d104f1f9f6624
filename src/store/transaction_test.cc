// What the conformance suite does not reach: lost answers one by one, and the bookkeeping of sizes
// and markers. The rest of Transaction is tested there, on every backend.
#include "semper/store/transaction.h"

#include <gtest/gtest.h>

#include <string>

#include "backends/memory/memory.h"
#include "marker.h"
#include "semper/store/store.h"
#include "semper/testing/faulty_backend.h"
#include "semper/testing/seed.h"
#include "semper/testing/simulated_run.h"

namespace semper {
namespace {

using namespace std::chrono_literals;
using testing::CommitFault;
using testing::simulated_run;
using testing::SimulatedClock;

const KeyRange kMarkers("\xff/semper/marker/", "\xff/semper/marker0");

class TransactionTest : public ::testing::Test {
 protected:
  TransactionTest() {
    memory_ = *simulated_run(clock_, open_memory(*StoreUrl::parse("memory:"), env_));
    faulty_ = std::make_shared<testing::FaultyBackend>(memory_, env_);
  }

  Transaction begin(TransactionOptions options = {}) { return {faulty_, env_, options}; }

  std::optional<Bytes> stored(BytesView key) {
    auto snapshot = *simulated_run(clock_, memory_->snapshot());
    return *simulated_run(clock_, snapshot->get(key));
  }

  std::size_t markers() {
    auto snapshot = *simulated_run(clock_, memory_->snapshot());
    return simulated_run(clock_, snapshot->get_range(PageRequest(kMarkers, 100'000)))->rows.size();
  }

  // Adds 1 to "n" with these faults before it, and waits until nothing is on its way any more.
  Result<Versionstamp> add_one(std::initializer_list<CommitFault> faults) {
    faulty_->script(faults);
    return simulated_run(clock_, [&]() -> Async<Versionstamp> {
      auto transaction = begin();
      transaction.add("n", 1);
      transaction.set_versionstamped_value("stamp", Bytes(Versionstamp::store_size, '\0'), 0);
      auto committed = co_await transaction.commit();
      while (faulty_->on_their_way() > 0) SEMPER_CO_TRY_STATUS(co_await sleep_for(clock_, 10ms));
      co_return committed;
    }());
  }

  // As another process.
  Result<Versionstamp> commit_through(const std::shared_ptr<Backend>& backend, Env env) {
    return simulated_run(clock_, [&]() -> Async<Versionstamp> {
      Transaction transaction(backend, env);
      transaction.set("other", "1");
      co_return co_await transaction.commit();
    }());
  }

  std::uint64_t n() {
    const auto value = stored("n");
    return value ? load_little_endian_u64(*value) : 0;
  }

  SimulatedClock clock_;
  SeededRandom random_{testing::test_seed()};
  Env env_{&clock_, &random_};
  std::shared_ptr<Backend> memory_;
  std::shared_ptr<testing::FaultyBackend> faulty_;
};

// Strings that are longer than they can hold in themselves: what is destroyed twice is seen by the
// address sanitizer.
TEST_F(TransactionTest, transact_keeps_its_arguments_over_all_attempts) {
  const Store store(faulty_, env_);
  faulty_->script({CommitFault::conflict, CommitFault::conflict});
  const std::string key(100, 'k');
  int attempts = 0;
  const auto size = simulated_run(clock_, [&]() -> Async<std::size_t> {
    co_return co_await store.transact(
        [](Transaction& tx, const std::string& where, std::string what,
           int* count) -> Async<std::size_t> {
          ++*count;
          SEMPER_CO_TRY(const auto old, co_await tx.get(where));
          tx.set(where, what);
          co_return where.size() + what.size() + old.value_or("").size();
        },
        key, std::string(50, 'v'), &attempts);
  }());
  EXPECT_EQ(size, 150u);
  EXPECT_EQ(attempts, 3);
  EXPECT_EQ(stored(key), std::string(50, 'v'));
}

TEST_F(TransactionTest, transact_takes_options_before_a_function_with_arguments) {
  const Store store(faulty_, env_);
  faulty_->script({CommitFault::conflict});
  TransactOptions once;
  once.max_attempts = 1;
  const std::string key(100, 'k');
  const auto done = simulated_run(clock_, [&]() -> Async<void> {
    co_return co_await store.transact(
        once,
        [](Transaction& tx, const std::string& where) -> Async<void> {
          tx.set(where, "1");
          co_return Status{};
        },
        key);
  }());
  EXPECT_EQ(done.error().kind(), ErrorKind::conflict);
}

TEST_F(TransactionTest, an_applied_commit_whose_answer_was_lost_is_a_success_with_its_stamp) {
  const auto committed = add_one({CommitFault::unknown_applied});
  ASSERT_TRUE(committed) << committed.error().to_string();
  EXPECT_EQ(n(), 1u);
  EXPECT_EQ(stored("stamp"), Bytes(committed->bytes().substr(0, Versionstamp::store_size)));
}

TEST_F(TransactionTest, a_commit_that_was_lost_with_its_answer_is_a_conflict) {
  const auto committed = add_one({CommitFault::unknown_lost});
  ASSERT_FALSE(committed);
  EXPECT_EQ(committed.error().kind(), ErrorKind::conflict);
  EXPECT_EQ(n(), 0u);
}

TEST_F(TransactionTest, a_commit_that_arrives_after_its_fence_is_never_applied) {
  const auto committed = add_one({CommitFault::unknown_late});
  ASSERT_FALSE(committed);
  EXPECT_EQ(committed.error().kind(), ErrorKind::conflict);
  EXPECT_EQ(n(), 0u) << "reported as not applied, but it was";
}

TEST_F(TransactionTest, late_commits_and_late_fences_end_in_the_truth) {
  int applied = 0;
  for (int i = 0; i < 200; ++i) {
    const auto before = n();
    const auto committed = add_one({CommitFault::unknown_late, CommitFault::unknown_late,
                                    CommitFault::unknown_late, CommitFault::unknown_late});
    ASSERT_TRUE(committed || committed.error().kind() == ErrorKind::conflict);
    ASSERT_EQ(n() - before, committed ? 1u : 0u) << "in round " << i;
    applied += committed ? 1 : 0;
  }
  EXPECT_GT(applied, 0) << "no late commit ever won";
  EXPECT_LT(applied, 200) << "no fence ever won";
}

TEST_F(TransactionTest, lost_answers_to_the_fence_are_resolved_too) {
  const auto applied_fence = add_one({CommitFault::unknown_lost, CommitFault::unknown_applied});
  ASSERT_FALSE(applied_fence);
  EXPECT_EQ(applied_fence.error().kind(), ErrorKind::conflict);
  const auto lost_fence = add_one({CommitFault::unknown_lost, CommitFault::unknown_lost});
  ASSERT_FALSE(lost_fence);
  EXPECT_EQ(lost_fence.error().kind(), ErrorKind::conflict);
  EXPECT_EQ(n(), 0u);
}

TEST_F(TransactionTest, a_store_that_cannot_be_asked_leaves_the_outcome_unknown) {
  simulated_run(clock_, [&]() -> Task<void> {
    auto transaction = begin();
    EXPECT_TRUE(co_await transaction.read_version());
    transaction.set("key", "1");
    faulty_->script({CommitFault::unknown_applied});
    faulty_->set_faults({.snapshot_refused = 1.0});
    const auto committed = co_await transaction.commit();
    EXPECT_EQ(committed.error().kind(), ErrorKind::outcome_unknown);
    EXPECT_NE(committed.error().message().find("retry"), std::string::npos)
        << "the reason is not named: " << committed.error().message();
  }());
  EXPECT_GT(clock_.now(), SimulatedClock::kStart + 1s) << "it gave up at once";
  EXPECT_EQ(stored("key"), "1");
}

TEST_F(TransactionTest, markers_of_known_commits_are_taken_away_by_later_ones) {
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(add_one({}));
  EXPECT_LE(markers(), 2u);
}

TEST_F(TransactionTest, a_refused_commit_gives_back_the_markers_it_would_have_taken_away) {
  ASSERT_TRUE(add_one({}));
  for (int i = 0; i < 50; ++i) ASSERT_FALSE(add_one({CommitFault::conflict}));
  ASSERT_TRUE(add_one({}));
  ASSERT_TRUE(add_one({}));
  EXPECT_LE(markers(), 1u);
}

TEST_F(TransactionTest, markers_left_by_a_crash_are_removed_after_their_lifetime) {
  ASSERT_TRUE(add_one({CommitFault::unknown_applied}));
  ASSERT_FALSE(add_one({CommitFault::unknown_lost}));
  // Another process, without the ledger of the one that crashed.
  faulty_ = std::make_shared<testing::FaultyBackend>(memory_, env_);
  ASSERT_TRUE(add_one({}));
  EXPECT_GE(markers(), 2u);
  // Who comes later has seen nothing of the store's past, whatever its calendar says.
  clock_.advance(internal::kMarkerLifetime - 1h);
  ASSERT_TRUE(add_one({}));
  const auto newcomer = std::make_shared<testing::FaultyBackend>(memory_, env_);
  ASSERT_TRUE(commit_through(newcomer, env_));
  EXPECT_GE(markers(), 3u);
  clock_.advance(2h);
  ASSERT_TRUE(commit_through(newcomer, env_));
  EXPECT_GE(markers(), 3u);
  ASSERT_TRUE(add_one({}));
  EXPECT_LE(markers(), 2u) << "what the crash left is still there";
  EXPECT_LE(internal::BackendParts::marker_ledger(*faulty_).seen.size(),
            static_cast<std::size_t>(internal::kMarkerLifetime / internal::kMarkerSightings) + 2);
}

TEST_F(TransactionTest, a_process_whose_calendar_is_wrong_removes_no_marker_that_is_needed) {
  // Committed, and its process does not know yet.
  ASSERT_TRUE(add_one({CommitFault::unknown_applied}));
  const auto before = markers();
  ASSERT_GE(before, 1u);
  class Ahead final : public Clock {
   public:
    explicit Ahead(SimulatedClock& clock) : clock_(clock) {}
    MonotonicTime now() const noexcept override { return clock_.now(); }
    WallTime wall_time() const noexcept override { return clock_.wall_time() + 48h; }
    TimerId call_at(MonotonicTime when, std::function<void()> callback) override {
      return clock_.call_at(when, std::move(callback));
    }
    bool cancel(TimerId timer) noexcept override { return clock_.cancel(timer); }

   private:
    SimulatedClock& clock_;
  } ahead(clock_);
  Env other = env_;
  other.clock = &ahead;
  ASSERT_TRUE(commit_through(std::make_shared<testing::FaultyBackend>(memory_, other), other));
  EXPECT_EQ(markers(), before + 1);
}

TEST_F(TransactionTest, a_process_that_stood_still_until_its_marker_was_swept_away_does_not_guess) {
  // Its commit takes effect, the answer is lost, and it is stopped before it asks.
  Bytes marker;
  const auto committed = simulated_run(clock_, [&]() -> Async<CommitReceipt> {
    CommitRequest request;
    SEMPER_CO_TRY(const auto snapshot, co_await memory_->snapshot());
    request.read_version = snapshot->version();
    request.mutations.push_back({Mutation::Type::set, "n", "1", 0});
    marker = internal::add_marker(*faulty_, env_, request).key;
    co_return co_await memory_->commit(std::move(request));
  }());
  ASSERT_TRUE(committed);
  const auto other = std::make_shared<testing::FaultyBackend>(memory_, env_);
  ASSERT_TRUE(commit_through(other, env_));
  clock_.advance(internal::kMarkerLifetime + 1h);
  ASSERT_TRUE(commit_through(other, env_));
  ASSERT_EQ(stored(marker), std::nullopt) << "nothing was swept";
  const auto told = simulated_run(clock_, internal::resolve_marker(*faulty_, env_, marker));
  ASSERT_FALSE(told);
  EXPECT_EQ(told.error().kind(), ErrorKind::outcome_unknown) << told.error().to_string();
}

TEST_F(TransactionTest, a_stopped_calendar_does_not_make_markers_meet) {
  for (int i = 0; i < 50; ++i) ASSERT_FALSE(add_one({CommitFault::unknown_lost}));
  EXPECT_EQ(markers(), 50u);
}

TEST_F(TransactionTest, size_and_count_grow_with_each_write_as_limits_count_them) {
  auto transaction = begin();
  EXPECT_EQ(transaction.size_bytes(), 0u);
  transaction.set("key", "value");
  EXPECT_EQ(transaction.size_bytes(), 8u);
  transaction.add("sum", 1);
  EXPECT_EQ(transaction.size_bytes(), 8u + 3u + 8u);
  transaction.add_write_conflict_range({"a", "bc"});
  EXPECT_EQ(transaction.size_bytes(), 19u + 3u);
  EXPECT_EQ(transaction.operation_count(), 2u);
  transaction.clear_range({"b", "a"});
  EXPECT_EQ(transaction.operation_count(), 2u) << "an empty range is no write";
}

TEST_F(TransactionTest, the_first_mistake_is_the_one_that_commit_reports) {
  auto transaction = begin();
  transaction.set("", "no key");
  transaction.set(Bytes(20'000, 'k'), "too long");
  transaction.set("good", "");
  const auto committed = simulated_run(clock_, transaction.commit());
  EXPECT_EQ(committed.error().kind(), ErrorKind::invalid_argument);
  EXPECT_EQ(stored("good"), std::nullopt);
}

TEST_F(TransactionTest, a_held_version_that_is_past_refuses_every_read_not_only_the_first) {
  ASSERT_TRUE(add_one({}));
  auto reader = begin();
  const auto version = *simulated_run(clock_, reader.read_version());
  ASSERT_TRUE(add_one({}));
  auto past = begin({.read_version = version});
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(simulated_run(clock_, past.get("n")).error().kind(), ErrorKind::conflict);
    EXPECT_EQ(simulated_run(clock_, past.get_range({"a", "z"})).error().kind(),
              ErrorKind::conflict);
  }
}

TEST_F(TransactionTest, a_transaction_commits_once) {
  auto transaction = begin();
  transaction.set("key", "1");
  ASSERT_TRUE(simulated_run(clock_, transaction.commit()));
  EXPECT_DEATH(static_cast<void>(simulated_run(clock_, transaction.commit())), "committed once");
}

// Every fault at once, and a number that only exactly-once can keep right.
TEST_F(TransactionTest, transact_applies_exactly_once_whatever_the_store_answers) {
  faulty_->set_faults({.conflict = 0.1,
                       .unknown_applied = 0.15,
                       .unknown_lost = 0.15,
                       .unknown_late = 0.15,
                       .delay = 0.2});
  constexpr int kWorkers = 8;
  constexpr int kAdds = 50;
  const Store store(faulty_, env_);
  simulated_run(clock_, [&]() -> Task<void> {
    const auto executor = co_await asio::this_coro::executor;
    int left = kWorkers;
    for (int worker = 0; worker < kWorkers; ++worker) {
      asio::co_spawn(
          executor,
          [&]() -> Task<void> {
            for (int i = 0; i < kAdds; ++i) {
              const auto added =
                  co_await store.transact([](Transaction& transaction) -> Async<int> {
                    transaction.add("n", 1);
                    co_return 0;
                  });
              EXPECT_TRUE(added) << added.error().to_string();
            }
            --left;
          },
          asio::detached);
    }
    while (left > 0 || faulty_->on_their_way() > 0) {
      static_cast<void>(co_await sleep_for(clock_, 10ms));
    }
  }());
  EXPECT_EQ(n(), std::uint64_t{kWorkers} * kAdds);
  for (const char* fault : {"conflict", "unknown_applied", "unknown_lost", "unknown_late"}) {
    EXPECT_GT(faulty_->happened()[fault], 0u) << fault << " never happened: nothing was tested";
  }
}

}  // namespace
}  // namespace semper
