// The age of the oldest message: measured by hosts, never more than the truth, whoever asks.
#include <gmock/gmock.h>

#include <atomic>

#include "behaviours.h"
#include "semper/base/metrics.h"
#include "semper/server/list_loads.h"
#include "world.h"

namespace semper::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

SERVER_SUITE(Ages);

// Never succeeds, and is never given up.
struct Stuck {
  using State = std::int64_t;
  static constexpr int kMessageAttempts = 0;
  struct Push {};
  using Messages = semper::Messages<Push>;
  Result<State> init(const EntityId&) { return 0; }
  void handle_cast(const Push&, State&, Context&) {
    if (!works) throw std::runtime_error("not yet");
  }
  std::atomic<bool> works = false;
};

Task<std::optional<Duration>> listed_age(World& world, const Ref<Stuck>& ref) {
  LoadListOptions options;
  options.ages = LoadListOptions::Ages::yes;
  const auto page = must(co_await list_loads(world.store(), ref.entity().type, options));
  for (const auto& load : page.entities) {
    if (load.id == ref.entity()) co_return load.oldest;
  }
  co_return std::nullopt;
}

// (14, host), as docs/formats.md says.
KeyRange version_times_space() {
  KeyRange space = host_space();
  for (Bytes* key : {&space.begin, &space.end}) (*key)[key->size() - 2] = '\x0e';
  return space;
}

// A day ahead: nothing of it is in what is said.
constexpr Duration kAhead = 24h;

SERVER_TEST(Ages, grow_while_a_message_waits_and_are_never_more_than_the_truth) {
  metrics::Registry registry;
  auto options = quick_options();
  options.metrics = &registry;
  auto behaviour = std::make_shared<Stuck>();
  auto& server = *co_await world.serve<Stuck>(behaviour, options, {},
                                              world.is_simulated() ? kAhead : Duration());
  auto stuck = world.ref<Stuck>("s");
  EXPECT_EQ(server.host().statistics().oldest_message, Duration());
  const MonotonicTime before = world.clock().now();
  must(co_await stuck.cast<Stuck::Push>());
  const Duration wanted = world.is_simulated() ? 20s : 2s;
  co_await world.eventually([&]() -> Task<bool> {
    const auto view = co_await world.look(stuck);
    const auto listed = co_await listed_age(world, stuck);
    const Duration counted = server.host().statistics().oldest_message;
    const Duration truth = world.clock().now() - before;
    EXPECT_LE(view.oldest.value_or(Duration()), truth);
    EXPECT_LE(listed.value_or(Duration()), truth);
    EXPECT_LE(counted, truth);
    co_return view.oldest&&* view.oldest >= wanted&& listed&&* listed >= wanted&& counted >= wanted;
  });
  // At most a third, and a renewal, less.
  const Duration truth = world.clock().now() - before;
  if (world.is_steady()) {
    EXPECT_GE(server.host().statistics().oldest_message + 2s, truth * 2 / 3);
  }
  behaviour->works = true;
  co_await world.until_processed(stuck.untyped());
  const MonotonicTime emptied = world.clock().now();
  co_await world.eventually(
      [&] { return server.host().statistics().oldest_message == Duration(); });
  EXPECT_LT(world.clock().now() - emptied, 10s);  // not only when the host forgets what it saw
  EXPECT_EQ((co_await world.look(stuck)).oldest, std::nullopt);
  EXPECT_EQ(co_await listed_age(world, stuck), std::nullopt);
  EXPECT_THAT(registry.to_prometheus(),
              HasSubstr("semper_server_oldest_message_seconds{type=\"" + stuck.entity().type));
}

SERVER_TEST(Ages, are_not_known_where_no_host_has_seen_the_message) {
  auto stuck = world.ref<Stuck>("s");
  must(co_await stuck.cast<Stuck::Push>());
  EXPECT_EQ((co_await world.look(stuck)).oldest, std::nullopt);
}

SERVER_TEST(Ages, a_host_that_stops_leaves_no_row) {
  auto& server = *co_await world.serve<Counter>();
  const KeyRange space = version_times_space();
  EXPECT_EQ((co_await world.rows(space)).size(), 1u);
  must(co_await server.run(server.host().stop()));
  EXPECT_EQ((co_await world.rows(space)).size(), 0u);
}

SERVER_TEST(Ages, the_row_of_a_host_that_died_is_removed_by_another) {
  auto& first = *co_await world.serve<Counter>();
  first.kill();
  co_await world.serve<Counter>();
  const KeyRange space = version_times_space();
  co_await world.eventually(
      [&]() -> Task<bool> { co_return (co_await world.rows(space)).size() == 1; });
}

}  // namespace
}  // namespace semper::testing
