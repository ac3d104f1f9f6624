// Futures: who frees what, whatever comes first.
#include "future.h"

#include "fdb_world_test_support.h"

namespace semper::foundationdb {
namespace {

std::shared_ptr<RawTransaction> begin(FdbWorld& world) {
  auto database = Database::open(world.client(), world.options());
  if (!database) throw std::runtime_error(database.error().to_string());
  auto transaction = (*database)->begin();
  if (!transaction) throw std::runtime_error(transaction.error().to_string());
  return *transaction;
}

TEST(FoundationDbFuture, one_that_is_ready_already_answers_at_once) {
  FdbWorld world;
  auto transaction = begin(world);
  Future version = transaction->get_read_version();
  ASSERT_TRUE(FdbWorld::eventually(
      [&] { return world.fdb().counts().calls[Call::get_read_version] == 1; }));
  EXPECT_EQ(wait_for(version.ready()).value(), 0);
  EXPECT_EQ(version.number(), 0);
}

TEST(FoundationDbFuture, the_codes_of_the_cluster_come_through) {
  FdbWorld world;
  auto transaction = begin(world);
  world.fdb().fail_next(Call::get, {code::kProcessBehind});
  Future value = transaction->get("key");
  EXPECT_EQ(wait_for(value.ready()).value(), code::kProcessBehind);
}

TEST(FoundationDbFuture, a_transaction_stays_until_its_futures_are_done) {
  FdbWorld world;
  world.fdb().hold(Call::get);
  auto transaction = begin(world);
  std::optional<Future> value(transaction->get("key"));
  transaction.reset();
  EXPECT_EQ(world.fdb().counts().transactions, 1);
  EXPECT_EQ(world.fdb().counts().databases, 1);
  world.fdb().release();
  EXPECT_EQ(wait_for(value->ready()).value(), 0);
  value.reset();
  EXPECT_TRUE(FdbWorld::eventually([&] { return world.fdb().counts().transactions == 0; }));
}

TEST(FoundationDbFuture, one_that_nobody_waits_for_any_more_is_cancelled_and_freed_once) {
  FdbWorld world;
  world.fdb().hold(Call::get);
  {
    auto transaction = begin(world);
    const Future value = transaction->get("key");
  }
  EXPECT_TRUE(FdbWorld::eventually([&] {
    const auto counts = world.fdb().counts();
    return counts.futures == 0 && counts.transactions == 0 && counts.databases == 0;
  }));
  world.fdb().release();
}

TEST(FoundationDbFuture, a_canceller_ends_a_wait_and_may_come_too_late) {
  FdbWorld world;
  world.fdb().hold(Call::get);
  auto transaction = begin(world);
  Future::Canceller cancel;
  cancel();  // of nothing
  {
    Future value = transaction->get("key");
    cancel = value.canceller();
    cancel();
    EXPECT_EQ(wait_for(value.ready()).value(), code::kOperationCancelled);
  }
  cancel();
  world.fdb().release();
}

TEST(FoundationDbFuture, after_the_network_has_stopped_nothing_of_the_library_is_called) {
  FdbWorld world;
  auto transaction = begin(world);
  {
    Future version = transaction->get_read_version();
    EXPECT_EQ(wait_for(version.ready()).value(), 0);
  }
  world.client()->stop();
  const auto before = world.fdb().counts();
  transaction.reset();
  EXPECT_EQ(world.fdb().counts().transactions, before.transactions);
  // What the process leaves behind at its end.
  world.expect_leftovers();
}

}  // namespace
}  // namespace semper::foundationdb
