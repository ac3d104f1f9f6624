// The client library: found or not, its version, its thread, and what a fork does to it.
#include "client.h"

#include <sys/wait.h>
#include <unistd.h>

#include "fdb_world_test_support.h"
#include "library.h"

namespace semper::foundationdb {
namespace {

TEST(FoundationDbLibrary, one_that_is_missing_is_named_with_what_to_install) {
  const auto loaded = load_library("/nowhere/libfdb_c.so");
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().kind(), ErrorKind::unsupported);
  for (const char* part :
       {"/nowhere/libfdb_c.so", "foundationdb-clients", "SEMPER_FDB_LIBRARY", "?library="}) {
    EXPECT_NE(loaded.error().message().find(part), std::string::npos) << loaded.error().message();
  }
}

TEST(FoundationDbLibrary, another_library_is_told_from_foundationdbs) {
  const auto loaded = load_library("libm.so.6");
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().kind(), ErrorKind::unsupported);
  EXPECT_NE(loaded.error().message().find("fdb_get_max_api_version"), std::string::npos)
      << loaded.error().message();
}

TEST(FoundationDbLibrary, the_version_is_the_highest_that_both_know) {
  const FdbApi newest = FakeFdb::api();
  const FdbApi old = FakeFdb::api(kApiVersionMinimum);
  EXPECT_EQ(choose_api_version(newest, {}, "").value(), 730);
  EXPECT_EQ(choose_api_version(newest, 710, "").value(), 710);
  EXPECT_EQ(choose_api_version(old, {}, "").value(), 630);
  const auto too_new = choose_api_version(old, 730, "libold.so");
  ASSERT_FALSE(too_new);
  EXPECT_EQ(too_new.error().kind(), ErrorKind::unsupported);
  EXPECT_NE(too_new.error().message().find("libold.so"), std::string::npos);

  FdbApi ancient = old;
  ancient.get_max_api_version = [] { return 520; };
  EXPECT_EQ(choose_api_version(ancient, {}, "").error().kind(), ErrorKind::unsupported);
  FdbApi coming = newest;
  coming.get_max_api_version = [] { return 800; };
  EXPECT_EQ(choose_api_version(coming, {}, "").value(), 730);
}

TEST(FoundationDbClient, one_that_gets_no_thread_leaves_the_library_alone_and_starts_later) {
  FakeFdb fdb;
  {
    const NoThreads none;
    const auto refused = Client::start(FakeFdb::api(), {});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind(), ErrorKind::exhausted) << refused.error().to_string();
    EXPECT_TRUE(fdb.counts().api_versions.empty()) << "it cannot be set up twice";
  }
  const auto client = Client::start(FakeFdb::api(), {});
  ASSERT_TRUE(client) << client.error().to_string();
  EXPECT_TRUE((*client)->is_running());
}

TEST(FoundationDbClient, one_network_serves_stores_that_come_and_go) {
  FdbWorld world;
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(put(world.store(), "key", std::to_string(i)));
    ASSERT_TRUE(wait_for(world.store().close()));
    world.forget_store();
  }
  EXPECT_EQ(world.fdb().counts().networks_run, 1);
  EXPECT_EQ(world.fdb().counts().networks_stopped, 0);
  world.client()->stop();
  world.client()->stop();
  EXPECT_EQ(world.fdb().counts().networks_stopped, 1);
  EXPECT_FALSE(world.client()->is_running());
}

TEST(FoundationDbClient, one_whose_last_holder_is_a_callback_of_its_thread_ends) {
  FakeFdb fdb;
  auto started = Client::start(FakeFdb::api(), {});
  ASSERT_TRUE(started) << started.error().to_string();
  auto last = std::make_shared<std::shared_ptr<Client>>(std::move(*started));
  const std::weak_ptr<Client> seen = *last;
  // As a future's callback that is still there when everybody else has let go of the store.
  fdb.run_on_network([last] { last->reset(); });
  ASSERT_TRUE(FdbWorld::eventually([&] { return fdb.counts().networks_stopped == 1; }));
  ASSERT_TRUE(FdbWorld::eventually([&] { return seen.expired(); }));
}

TEST(FoundationDbClient, a_version_that_the_library_refuses_is_an_error) {
  const FakeFdb fdb;
  FdbApi api = FakeFdb::api();
  api.select_api_version = [](int, int) -> FdbError { return code::kApiVersionAlreadySet; };
  const auto started = Client::start(api, {});
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().kind(), ErrorKind::io);
  EXPECT_NE(started.error().message().find("2201"), std::string::npos);
  EXPECT_EQ(fdb.counts().networks_run, 0);
}

TEST(FoundationDbClient, a_forked_child_is_told_to_open_its_own) {
  FdbWorld world;
  const Store store = world.store();
  ASSERT_TRUE(put(store, "key", "value"));
  const pid_t child = ::fork();
  if (child == 0) {
    // Nothing but this: the threads of the parent are not here.
    auto backend = world.backend();
    asio::io_context context;
    ErrorKind kind = ErrorKind::internal;
    asio::co_spawn(
        context,
        [&]() -> Task<void> {
          const auto snapshot = co_await backend->snapshot();
          if (!snapshot) kind = snapshot.error().kind();
        },
        asio::detached);
    context.run();
    ::_exit(kind == ErrorKind::unsupported ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  EXPECT_TRUE(put(store, "key", "the parent goes on"));
}

}  // namespace
}  // namespace semper::foundationdb
