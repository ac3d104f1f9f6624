// What becomes of a commit, whatever the cluster answers.
#include "committer.h"

#include "fdb_world_test_support.h"

namespace semper::foundationdb {
namespace {

CommitRequest setting(Bytes key, Bytes value) {
  CommitRequest request;
  request.mutations.push_back({Mutation::Type::set, std::move(key), std::move(value), 0});
  return request;
}

Result<CommitReceipt> commit(FdbWorld& world, CommitRequest request) {
  return wait_for(world.backend()->commit(std::move(request)));
}

TEST(FoundationDbCommitter, an_overloaded_cluster_is_asked_again_and_nothing_is_lost) {
  FdbWorld world;
  auto backend = world.backend();
  world.fdb().fail_next(Call::commit, {code::kCommitProxyMemoryLimit, code::kTagThrottled,
                                       code::kBatchThrottled, code::kProcessBehind});
  const auto done = commit(world, setting("key", "value"));
  ASSERT_TRUE(done) << done.error().to_string();
  EXPECT_EQ(get(world.store(), "key").value(), "value");
  EXPECT_EQ(world.fdb().counts().calls[Call::on_error], 4);
  EXPECT_EQ(figure(*backend, "retries"), 4);
}

TEST(FoundationDbCommitter, a_cluster_that_stays_overloaded_is_given_up_after_a_bound) {
  FdbWorld world;
  auto backend = world.backend();
  world.fdb().fail_next(Call::commit, std::vector<FdbError>(100, code::kDatabaseLocked));
  const auto done = commit(world, setting("key", "value"));
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().kind(), ErrorKind::retry) << done.error().to_string();
  EXPECT_EQ(world.fdb().counts().calls[Call::commit], kCommitAttempts);
}

TEST(FoundationDbCommitter, a_conflict_is_the_callers_to_run_again) {
  FdbWorld world;
  auto backend = world.backend();
  for (const auto code : {code::kNotCommitted, code::kTransactionTooOld, code::kFutureVersion}) {
    world.fdb().fail_next(Call::commit, {code});
    const auto done = commit(world, setting("key", "value"));
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().kind(), ErrorKind::conflict) << done.error().to_string();
  }
  EXPECT_EQ(figure(*backend, "conflicts"), 3);
  EXPECT_EQ(world.fdb().counts().calls[Call::on_error], 0);
}

TEST(FoundationDbCommitter, a_lost_answer_is_an_unknown_outcome) {
  FdbWorld world;
  auto backend = world.backend();
  for (const auto code :
       {code::kCommitUnknownResult, code::kClusterVersionChanged, code::kTransactionTimedOut,
        code::kTransactionCancelled, FdbError{4100}}) {
    world.fdb().lose_next_answer(code);
    const auto done = commit(world, setting("key", std::to_string(code)));
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().kind(), ErrorKind::outcome_unknown) << done.error().to_string();
  }
  EXPECT_EQ(figure(*backend, "outcomes_unknown"), 5);
}

TEST(FoundationDbCommitter, the_marker_tells_a_lost_answer_from_a_lost_commit) {
  FdbWorld world;
  Store& store = world.store();
  world.fdb().lose_next_answer(code::kCommitUnknownResult);
  const auto applied = put(store, "applied", "once");
  ASSERT_TRUE(applied) << applied.error().to_string();
  EXPECT_EQ(get(store, "applied").value(), "once");

  world.fdb().fail_next(Call::commit, {code::kCommitUnknownResult});
  const auto lost = put(store, "lost", "never");
  ASSERT_FALSE(lost);
  EXPECT_EQ(lost.error().kind(), ErrorKind::conflict) << lost.error().to_string();
  EXPECT_EQ(get(store, "lost").value(), std::nullopt);
}

TEST(FoundationDbCommitter, limits_of_the_client_library_are_exhausted_and_nothing_is_applied) {
  FdbWorld world;
  auto backend = world.backend();
  for (const auto code : {code::kTransactionTooLarge, code::kKeyTooLarge, code::kValueTooLarge}) {
    world.fdb().fail_next(Call::commit, {code});
    EXPECT_EQ(commit(world, setting("key", "value")).error().kind(), ErrorKind::exhausted);
  }
}

TEST(FoundationDbCommitter, blind_writes_share_a_version_and_ask_for_none) {
  FdbWorld world;
  Store& store = world.store();
  const auto before = figure(store.backend(), "read_versions");
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(put(store, "key", std::to_string(i)));
  EXPECT_EQ(figure(store.backend(), "read_versions"), before);
  EXPECT_EQ(figure(store.backend(), "read_versions_reused"), 10);
}

TEST(FoundationDbCommitter, a_version_from_before_a_recovery_is_asked_anew) {
  FdbWorld world;
  Store& store = world.store();
  ASSERT_TRUE(put(store, "key", "before"));
  world.fdb().recover();
  const auto done = wait_for(store.transact([](Transaction& transaction) -> Async<int> {
    transaction.set("key", "after");
    co_return 0;
  }));
  ASSERT_TRUE(done) << done.error().to_string();
  EXPECT_EQ(get(store, "key").value(), "after");
  EXPECT_EQ(figure(store.backend(), "conflicts"), 1);
}

TEST(FoundationDbCommitter, a_recent_version_is_forgotten_after_its_age) {
  RecentVersion recent;
  const MonotonicTime start{};
  EXPECT_EQ(recent.at(start), std::nullopt);
  recent.saw(7, start);
  recent.saw(5, start + std::chrono::hours(1));  // an answer that came late
  EXPECT_EQ(recent.at(start + RecentVersion::kAgeMaximum), Version{7});
  EXPECT_EQ(recent.at(start + RecentVersion::kAgeMaximum + Duration(1)), std::nullopt);
  recent.saw(8, start);
  recent.forget();
  EXPECT_EQ(recent.at(start), std::nullopt);
}

TEST(FoundationDbCommitter, a_cancelled_commit_is_an_unknown_outcome_and_throws_nothing) {
  FdbWorld world;
  Store store = world.store();
  ASSERT_TRUE(put(store, "before", ""));
  world.fdb().hold(Call::commit);
  asio::cancellation_signal signal;
  std::promise<std::optional<ErrorKind>> ended;
  auto strand = asio::make_strand(test_scheduler().executor());
  asio::co_spawn(
      strand,
      [](Store in, std::promise<std::optional<ErrorKind>>& out) -> Task<void> {
        auto transaction = in.begin();
        transaction.set("key", "value");
        const auto done = co_await transaction.commit();
        out.set_value(done ? std::nullopt : std::optional(done.error().kind()));
      }(store, ended),
      asio::bind_cancellation_slot(signal.slot(), asio::detached));
  ASSERT_TRUE(FdbWorld::eventually([&] { return world.fdb().is_held(Call::commit); }));
  asio::post(strand, [&] { signal.emit(asio::cancellation_type::terminal); });
  EXPECT_EQ(ended.get_future().get(), ErrorKind::outcome_unknown);
  world.fdb().release();
}

TEST(FoundationDbCommitter, commits_under_way_take_a_bounded_number_of_bytes) {
  Budget budget(100);
  {
    const auto large = budget.take(1000);
    EXPECT_TRUE(large) << "alone, it would never get through";
    EXPECT_EQ(budget.take(1).error().kind(), ErrorKind::retry);
  }
  const auto first = budget.take(60);
  const auto second = budget.take(40);
  ASSERT_TRUE(first && second);
  const auto third = budget.take(1);
  ASSERT_FALSE(third);
  EXPECT_NE(third.error().message().find("100"), std::string::npos) << third.error().message();
}

TEST(FoundationDbCommitter, writes_go_out_in_their_order) {
  FdbWorld world;
  Store& store = world.store();
  ASSERT_TRUE(wait_for([](Store in) -> Async<Versionstamp> {
    auto transaction = in.begin();
    transaction.set("a/1", "old");
    transaction.clear_range({"a/", "a0"});
    transaction.set("a/2", "new");
    transaction.add("sum", 40);
    transaction.add("sum", 2);
    co_return co_await transaction.commit();
  }(store)));
  EXPECT_EQ(get(store, "a/1").value(), std::nullopt);
  EXPECT_EQ(get(store, "a/2").value(), "new");
  EXPECT_EQ(get(store, "sum").value(), Bytes("\x2a\0\0\0\0\0\0\0", 8));
}

}  // namespace
}  // namespace semper::foundationdb
