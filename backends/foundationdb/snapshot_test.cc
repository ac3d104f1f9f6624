// Reads: what is put off and asked again, what ends them, and what they leave behind.
#include "snapshot.h"

#include "fdb_world_test_support.h"
#include "semper/testing/simulated_clock.h"

namespace semper::foundationdb {
namespace {

TEST(FoundationDbSnapshot, reads_that_the_cluster_puts_off_are_made_again_at_the_same_version) {
  FdbWorld world;
  Store& store = world.store();
  ASSERT_TRUE(put(store, "key", "old"));
  auto snapshot = wait_for(store.backend().snapshot());
  ASSERT_TRUE(snapshot);
  ASSERT_TRUE(put(store, "key", "new"));
  world.fdb().fail_next(Call::get, {code::kFutureVersion, code::kProcessBehind,
                                    code::kClusterVersionChanged, code::kTagThrottled});
  const auto value = wait_for((*snapshot)->get("key"));
  ASSERT_TRUE(value) << value.error().to_string();
  EXPECT_EQ(*value, "old");
  world.fdb().fail_next(Call::get_range, {code::kProcessBehind});
  const PageRequest request({"a", "z"}, 10);
  const auto page = wait_for((*snapshot)->get_range(request));
  ASSERT_TRUE(page) << page.error().to_string();
  ASSERT_EQ(page->rows.size(), 1u);
  EXPECT_EQ(page->rows[0].value, "old");
}

TEST(FoundationDbSnapshot, a_cluster_that_stays_behind_is_given_up_after_a_bound) {
  FdbWorld world;
  auto backend = world.backend();
  auto snapshot = wait_for(backend->snapshot());
  ASSERT_TRUE(snapshot);
  world.fdb().fail_next(Call::get, std::vector<FdbError>(100, code::kProcessBehind));
  const auto value = wait_for((*snapshot)->get("key"));
  ASSERT_FALSE(value);
  EXPECT_EQ(value.error().kind(), ErrorKind::retry) << value.error().to_string();
  EXPECT_EQ(world.fdb().counts().calls[Call::get], kReadAttempts);
}

TEST(FoundationDbSnapshot, a_version_that_a_recovery_took_away_is_a_conflict) {
  FdbWorld world;
  auto backend = world.backend();
  auto snapshot = wait_for(backend->snapshot());
  ASSERT_TRUE(snapshot);
  ASSERT_TRUE(put(world.store(), "key", "value"));
  world.fdb().recover();
  const auto value = wait_for((*snapshot)->get("key"));
  ASSERT_FALSE(value);
  EXPECT_EQ(value.error().kind(), ErrorKind::conflict) << value.error().to_string();
}

TEST(FoundationDbSnapshot, one_that_is_over_its_duration_times_out_by_its_limit) {
  testing::SimulatedClock clock;
  FdbWorld world;
  auto backend = world.backend({.clock = &clock});
  auto snapshot = wait_for(backend->snapshot());
  ASSERT_TRUE(snapshot && wait_for((*snapshot)->fix_version()));
  clock.advance(kSnapshotLife + std::chrono::milliseconds(1));
  const auto value = wait_for((*snapshot)->get("key"));
  ASSERT_FALSE(value);
  EXPECT_EQ(value.error().kind(), ErrorKind::timeout);
  EXPECT_NE(value.error().message().find("transaction_duration"), std::string::npos);
}

TEST(FoundationDbSnapshot, a_version_is_asked_for_again_while_the_cluster_is_overloaded) {
  FdbWorld world;
  auto backend = world.backend();
  world.fdb().fail_next(Call::get_read_version, {code::kBatchThrottled, code::kGrvProxyMemoryLimit,
                                                 code::kClusterVersionChanged});
  auto answered = wait_for(backend->snapshot());
  ASSERT_TRUE(answered && wait_for((*answered)->fix_version()));
  EXPECT_EQ(figure(*backend, "retries"), 3);
  world.fdb().set_reachable(false);
  auto unanswered = wait_for(backend->snapshot());
  ASSERT_TRUE(unanswered);
  const auto none = wait_for((*unanswered)->get("key"));
  ASSERT_FALSE(none);
  EXPECT_FALSE(wait_for((*unanswered)->get("key"))) << "asked again, it answers again";
  EXPECT_EQ(none.error().kind(), ErrorKind::retry) << none.error().to_string();
}

TEST(FoundationDbSnapshot, snapshot_reads_leave_conflicts_to_the_transaction) {
  FdbWorld world;
  Store& store = world.store();
  ASSERT_TRUE(put(store, "key", "value"));
  const auto before = world.fdb().counts().conflict_ranges_read;
  ASSERT_TRUE(wait_for([](Store in) -> Async<Versionstamp> {
    auto transaction = in.begin();
    SEMPER_CO_TRY_STATUS(co_await transaction.get("key", ReadMode::snapshot));
    SEMPER_CO_TRY_STATUS(co_await transaction.get("other"));
    transaction.set("written", "");
    co_return co_await transaction.commit();
  }(store)));
  EXPECT_EQ(world.fdb().counts().conflict_ranges_read - before, 2) << "the other key, the marker";
}

TEST(FoundationDbSnapshot, a_cancelled_read_frees_everything) {
  FdbWorld world;
  auto backend = world.backend();
  auto opened = wait_for(backend->snapshot());
  ASSERT_TRUE(opened);
  std::shared_ptr<Snapshot> snapshot = std::move(*opened);
  world.fdb().hold(Call::get);
  asio::cancellation_signal signal;
  std::promise<ErrorKind> ended;
  auto strand = asio::make_strand(test_scheduler().executor());
  asio::co_spawn(
      strand,
      [](std::shared_ptr<Snapshot> from, std::promise<ErrorKind>& out) -> Task<void> {
        const auto value = co_await from->get("key");
        out.set_value(value ? ErrorKind::internal : value.error().kind());
      }(snapshot, ended),
      asio::bind_cancellation_slot(signal.slot(), asio::detached));
  ASSERT_TRUE(FdbWorld::eventually([&] { return world.fdb().is_held(Call::get); }));
  asio::post(strand, [&] { signal.emit(asio::cancellation_type::terminal); });
  EXPECT_EQ(ended.get_future().get(), ErrorKind::cancelled);
  snapshot.reset();
  // The world checks that no future and no transaction is left, before the held call is let go.
}

TEST(FoundationDbSnapshot, a_loop_that_goes_away_takes_its_reads_along) {
  FdbWorld world;
  auto backend = world.backend();
  world.fdb().hold(Call::get_read_version);
  {
    asio::io_context context;
    asio::co_spawn(
        context,
        [&]() -> Task<void> {
          auto snapshot = co_await backend->snapshot();
          if (snapshot) static_cast<void>(co_await (*snapshot)->get("key"));
        },
        asio::detached);
    context.poll();
    ASSERT_TRUE(world.fdb().is_held(Call::get_read_version));
  }
  EXPECT_EQ(figure(*backend, "under_way"), 0);
}

}  // namespace
}  // namespace semper::foundationdb
