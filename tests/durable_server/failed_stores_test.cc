// A store that fails while hosts work on it: what they say of it, and when they end.
#include <algorithm>
#include <filesystem>

#include "behaviours.h"
#include "semper/server/inspect.h"
#include "semper/server/name_registry.h"
#include "world.h"

namespace semper::testing {
namespace {

using namespace std::chrono_literals;

SERVER_SUITE_ON(FailedStores, worlds_in(TimeKind::real));
SERVER_SUITE_ON(FailingStores, worlds_in(TimeKind::simulated));

std::size_t lines_of_the_server(World& world) {
  const auto lines = world.logged();
  return static_cast<std::size_t>(std::count_if(lines.begin(), lines.end(), [](const auto& line) {
    return line.find("looking for work") != std::string::npos ||
           line.find("registration") != std::string::npos ||
           line.find("host ") != std::string::npos || line.find("waits") != std::string::npos;
  }));
}

SERVER_TEST(FailedStores, whose_file_was_deleted_end_their_host_with_an_error) {
  constexpr std::string_view kScheme = "sqlite:";
  if (!world.url().starts_with(kScheme)) co_return;
  auto& server = *co_await world.serve<Counter>();
  must(co_await server.run(server.ref<Counter>("c").call(Counter::Add{1})));
  const std::string path = world.url().substr(kScheme.size());
  std::filesystem::remove(path);
  const auto ended = co_await server.run(server.host().join());
  const Error error = must_fail(ended);
  EXPECT_EQ(error.kind(), ErrorKind::io) << error.to_string();
  EXPECT_NE(error.message().find(path), std::string::npos) << error.to_string();
  EXPECT_LE(lines_of_the_server(world), 4u);
  EXPECT_FALSE(co_await server.run(server.host().stop())) << "a program's exit code goes by it";
  // It is no host of this process any more.
  const auto refused = co_await server.run(server.ref<Counter>("c").call(Counter::Add{1}));
  EXPECT_EQ(must_fail(refused).kind(), ErrorKind::io);
}

// The call waits for a host that does not come, without a bound.
SERVER_TEST(FailedStores, whose_file_was_deleted_answer_a_call_that_waits) {
  constexpr std::string_view kScheme = "sqlite:";
  if (!world.url().starts_with(kScheme)) co_return;
  const CallOptions patient{kForever};
  std::optional<Error> heard;
  co_await world.in_parallel(2, [&](int i) -> Task<void> {
    if (i == 0) {
      heard = must_fail(co_await world.ref<Counter>("c").call(Counter::Add{1}, patient));
      co_return;
    }
    const EntityId id = world.ref<Counter>("c").entity();
    while (true) {
      const auto view = co_await inspect(world.store(), id);
      if (view && view->queue_length > 0) break;
      must(co_await sleep_for(world.clock(), 5ms));
    }
    std::filesystem::remove(world.url().substr(kScheme.size()));
  });
  EXPECT_EQ(heard->kind(), ErrorKind::outcome_unknown) << heard->to_string();
  EXPECT_NE(heard->message().find("was deleted"), std::string::npos) << heard->to_string();
}

SERVER_TEST(FailedStores, whose_file_was_deleted_end_a_campaign_that_waits) {
  constexpr std::string_view kScheme = "sqlite:";
  if (!world.url().starts_with(kScheme)) co_return;
  NameRegistry names(world.store());
  NameRegistry others(world.store());
  const auto leader = must(co_await others.acquire("leader"));
  std::optional<Error> heard;
  co_await world.in_parallel(2, [&](int i) -> Task<void> {
    if (i == 0) {
      heard = must_fail(co_await names.campaign("leader"));
      co_return;
    }
    must(co_await sleep_for(world.clock(), 50ms));
    std::filesystem::remove(world.url().substr(kScheme.size()));
  });
  EXPECT_EQ(heard->kind(), ErrorKind::io) << heard->to_string();
  EXPECT_NE(heard->message().find("was deleted"), std::string::npos) << heard->to_string();
}

SERVER_TEST(FailingStores, that_are_closed_end_their_host) {
  auto& server = *co_await world.serve<Counter>();
  must(co_await server.run(server.store().close()));
  const auto ended = co_await server.run(server.host().join());
  EXPECT_EQ(must_fail(ended).kind(), ErrorKind::closed);
  EXPECT_LE(lines_of_the_server(world), 4u);
}

SERVER_TEST(FailingStores, are_reported_once_and_not_by_each_coroutine_in_each_round) {
  std::shared_ptr<FaultyBackend> faults;
  Store store = co_await world.open_faulty(faults);
  auto& server = *world.process(store);
  server.host().serve<Counter>();
  must(co_await server.run(server.host().start()));
  StoreFaults away;
  away.snapshot_refused = 1;
  faults->set_faults(away);
  must(co_await sleep_for(world.clock(), 59s));
  EXPECT_GE(lines_of_the_server(world), 1u);
  EXPECT_LE(lines_of_the_server(world), 3u);
  must(co_await sleep_for(world.clock(), 5min));
  EXPECT_LE(lines_of_the_server(world), 10u) << "a reminder each minute";
  // It goes on when the store does.
  faults->calm();
  const CallOptions patient{60s};
  EXPECT_EQ(must(co_await world.ref<Counter>("c").call(Counter::Add{1}, patient)), 1);
  must(co_await server.run(server.host().stop()));
}

SERVER_TEST(FailingStores, hosts_that_are_stopped_end_without_an_error) {
  auto& server = *co_await world.serve<Counter>();
  auto joined = std::make_shared<std::optional<Status>>();
  asio::co_spawn(
      server.executor(),
      [](Host* host, std::shared_ptr<std::optional<Status>> out) -> Task<void> {
        out->emplace(co_await host->join());
      }(&server.host(), joined),
      asio::detached);
  must(co_await sleep_for(world.clock(), 1s));
  EXPECT_FALSE(*joined);
  must(co_await server.run(server.host().stop()));
  co_await world.eventually([&] { return joined->has_value(); });
  EXPECT_TRUE(**joined);
  EXPECT_TRUE(co_await server.run(server.host().join()));
}

}  // namespace
}  // namespace semper::testing
