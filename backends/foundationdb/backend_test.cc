// Opening, limits, closing, and what an open store says of itself.
#include "backend.h"

#include "fdb_world_test_support.h"

namespace semper::foundationdb {
namespace {

TEST(FoundationDbBackend, keys_lie_behind_the_prefix_of_the_store) {
  FdbWorld world;
  ASSERT_TRUE(put(world.store(), "key", "value"));
  EXPECT_EQ(get(world.store(), "key").value(), "value");
  bool found = false;
  for (const auto& row : world.fdb().rows()) {
    EXPECT_TRUE(row.key.starts_with(Bytes("\x02semper\0", 8))) << to_printable(row.key);
    found = found || row.key == Bytes("\x02semper\0key", 11);
  }
  EXPECT_TRUE(found);
}

TEST(FoundationDbBackend, a_cluster_that_does_not_answer_is_named_with_its_coordinators) {
  FdbWorld world;
  world.fdb().set_reachable(false);
  const auto opened = world.try_open(world.options());
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().kind(), ErrorKind::retry) << opened.error().to_string();
  for (const auto& part :
       {world.cluster_file(), std::string("127.0.0.1:4500"), std::string("start the cluster")}) {
    EXPECT_NE(opened.error().message().find(part), std::string::npos) << opened.error().message();
  }
}

TEST(FoundationDbBackend, a_cluster_file_that_is_not_there_is_named) {
  FdbWorld world;
  auto options = world.options();
  options.cluster_file = "/nowhere/fdb.cluster";
  const auto opened = world.try_open(options);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().kind(), ErrorKind::not_found);
  EXPECT_NE(opened.error().message().find("/nowhere/fdb.cluster"), std::string::npos);
}

TEST(FoundationDbBackend, a_tenant_is_made_once_and_keeps_its_own_keys) {
  FdbWorld world;
  auto options = world.options();
  options.tenant = "orders";
  for (const int number : {1, 2}) {
    auto opened = world.try_open(options);
    ASSERT_TRUE(opened) << opened.error().to_string();
    const Store store(*opened, {});
    ASSERT_TRUE(put(store, "key", std::to_string(number)));
  }
  EXPECT_EQ(world.fdb().counts().tenant_names, std::set<std::string>{"orders"});
  EXPECT_TRUE(world.fdb().rows().empty()) << "keys lie outside the tenant";
  EXPECT_FALSE(world.fdb().rows("orders").empty());
}

TEST(FoundationDbBackend, a_cluster_without_tenants_says_how_to_switch_them_on) {
  FdbWorld world;
  world.fdb().set_tenants_enabled(false);
  auto options = world.options();
  options.tenant = "orders";
  const auto opened = world.try_open(options);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().kind(), ErrorKind::unsupported) << opened.error().to_string();
  EXPECT_NE(opened.error().message().find("tenant_mode"), std::string::npos);
}

TEST(FoundationDbBackend, a_client_of_6_3_refuses_tenants_and_does_everything_else) {
  FdbWorld world(kApiVersionMinimum);
  EXPECT_EQ(world.client()->api_version(), kApiVersionMinimum);
  ASSERT_TRUE(put(world.store(), "key", "value"));
  auto options = world.options();
  options.tenant = "orders";
  const auto opened = world.try_open(options);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().kind(), ErrorKind::unsupported);
  EXPECT_NE(opened.error().message().find("710"), std::string::npos) << opened.error().message();
}

TEST(FoundationDbBackend, limits_leave_room_for_what_foundationdb_adds) {
  FdbWorld world;
  const auto& limits = world.store().limits();
  const KeySpace keys("semper");
  EXPECT_LE(keys.prefix().size() + limits.key_bytes + 4, 10'000u);
  EXPECT_LE(limits.value_bytes + 4, 100'000u);
  EXPECT_LE(limits.transaction_bytes, 10'000'000u);
  EXPECT_EQ(limits.transaction_duration, std::chrono::seconds(5));
}

TEST(FoundationDbBackend, a_closed_store_refuses_everything) {
  FdbWorld world;
  auto backend = world.backend();
  auto snapshot = wait_for(backend->snapshot());
  ASSERT_TRUE(snapshot);
  ASSERT_TRUE(wait_for(backend->close()));
  ASSERT_TRUE(wait_for(backend->close()));
  EXPECT_EQ(wait_for(backend->snapshot()).error().kind(), ErrorKind::closed);
  EXPECT_EQ(wait_for(backend->commit({})).error().kind(), ErrorKind::closed);
  EXPECT_EQ(wait_for((*snapshot)->get("key")).error().kind(), ErrorKind::closed);
  EXPECT_EQ(wait_for(backend->watch("key", **snapshot)).error().kind(), ErrorKind::closed);
}

TEST(FoundationDbBackend, close_waits_for_a_commit_that_is_under_way) {
  FdbWorld world;
  Store store = world.store();
  world.fdb().hold(Call::commit);
  std::optional<Result<Versionstamp>> committed;
  std::thread committing([&] { committed = put(store, "key", "value"); });
  ASSERT_TRUE(FdbWorld::eventually([&] { return world.fdb().is_held(Call::commit); }));
  std::atomic<bool> closed = false;
  std::thread closing([&] {
    EXPECT_TRUE(wait_for(store.close()));
    closed = true;
  });
  ASSERT_TRUE(FdbWorld::eventually(
      [&] { return wait_for(store.backend().snapshot()).error().kind() == ErrorKind::closed; }));
  EXPECT_FALSE(closed);
  world.fdb().release();
  committing.join();
  closing.join();
  EXPECT_TRUE(*committed) << committed->error().to_string();
}

TEST(FoundationDbBackend, check_reads_everything_and_says_how_much) {
  FdbWorld world;
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(put(world.store(), "key" + std::to_string(i), "v"));
  const auto checked = wait_for(world.backend()->check());
  ASSERT_TRUE(checked) << checked.error().to_string();
  EXPECT_TRUE(std::stoi(*checked) >= 10) << *checked;
}

TEST(FoundationDbBackend, the_url_is_the_one_it_was_opened_by) {
  FdbWorld world;
  EXPECT_EQ(world.backend()->url(), "fdb:" + world.cluster_file());
}

}  // namespace
}  // namespace semper::foundationdb
