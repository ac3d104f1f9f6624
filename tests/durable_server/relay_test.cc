// Casts that a host of another process of this machine takes, past the queue: each once, in order,
// whoever is killed or stands still meanwhile.
#include <gmock/gmock.h>

#include <functional>
#include <map>
#include <optional>
#include <set>

#include "behaviours.h"
#include "semper/store/neighbours.h"
#include "world.h"

namespace semper::testing {
namespace {

using namespace std::chrono_literals;

SERVER_SUITE(CastsPastTheQueue);

constexpr int kPublishers = 24;
constexpr int kRounds = 30;

bool has_neighbours(World& world) {
  return find_neighbours(world.store()) != nullptr;
}

std::string line_of(int publisher, int round) {
  return std::to_string(publisher) + "." + std::to_string(round);
}

// Each publisher's lines, in order, each once; those that are not there are in `uncertain`.
Task<void> expect_lines(World& world, int entities, std::set<std::string> uncertain = {}) {
  std::map<int, int> last;
  std::size_t count = 0;
  std::set<std::string> seen;
  for (int entity = 0; entity < entities; ++entity) {
    const auto diary = world.ref<Diary>("d" + std::to_string(entity));
    for (const auto& line : must(co_await diary.call(Diary::Lines{}))) {
      EXPECT_TRUE(seen.insert(line).second) << line << " is there twice";
      const int publisher = std::stoi(line);
      const int round = std::stoi(line.substr(line.find('.') + 1));
      EXPECT_LT(last[publisher * 1000 + entity] - 1, round) << line << " is out of order";
      last[publisher * 1000 + entity] = round + 1;
      ++count;
    }
  }
  for (int publisher = 0; publisher < kPublishers; ++publisher) {
    for (int round = 0; round < kRounds; ++round) {
      const std::string line = line_of(publisher, round);
      EXPECT_TRUE(seen.contains(line) || uncertain.contains(line)) << line << " is lost";
    }
  }
  EXPECT_LE(count, std::size_t{kPublishers} * kRounds);
}

// All publishers of one process at once, each its lines one after another.
Task<std::set<std::string>> publish(World& world, int entities) {
  std::set<std::string> uncertain;
  co_await world.in_parallel(kPublishers, [&](int publisher) -> Task<void> {
    const auto diary = world.ref<Diary>("d" + std::to_string(publisher % entities));
    for (int round = 0; round < kRounds; ++round) {
      Diary::Note note{line_of(publisher, round)};
      const Status sent = co_await diary.cast(std::move(note));
      if (sent) continue;
      EXPECT_EQ(sent.error().kind(), ErrorKind::outcome_unknown) << sent.error().to_string();
      uncertain.insert(line_of(publisher, round));
    }
  });
  co_return uncertain;
}

// Publishes, and once that host has taken some, does something to it. None is lost or doubled.
Task<void> publish_while(World& world, Process& host, std::function<Task<void>()> something) {
  std::set<std::string> uncertain;
  bool is_over = false;
  co_await world.in_parallel(2, [&](int which) -> Task<void> {
    if (which == 0) {
      uncertain = co_await publish(world, 5);
      is_over = true;
      co_return;
    }
    co_await world.eventually([&] { return host.host().statistics().messages > 40 || is_over; });
    co_await something();
  });
  EXPECT_TRUE(uncertain.empty()) << uncertain.size();
  co_await expect_lines(world, 5, uncertain);
  co_await world.until_clean();
}

SERVER_TEST(CastsPastTheQueue, casts_of_another_process_are_run_in_groups_past_the_queue) {
  auto& server = *co_await world.serve<Diary>();
  EXPECT_TRUE((co_await publish(world, kPublishers)).empty());
  co_await expect_lines(world, kPublishers);
  if (world.is_steady()) {
    // A reply may be there before its host has counted the message.
    constexpr std::uint64_t kAll = std::uint64_t{kPublishers} * (kRounds + 1);
    co_await world.eventually([&] { return server.host().statistics().messages >= kAll; });
    EXPECT_EQ(server.host().statistics().messages, kAll);
  }
  if (has_neighbours(world) && world.is_steady()) {
    std::size_t queued = 0;
    for (int i = 0; i < kPublishers; ++i) {
      const EntityId id{"Diary", "d" + std::to_string(i)};
      const auto pushed = co_await world.rows(entity_range(id, 1));
      if (!pushed.empty()) queued += static_cast<unsigned char>(pushed.front().value.front());
    }
    EXPECT_LT(queued, std::size_t{kPublishers} * kRounds / 2);
  }
  co_await world.until_clean();
}

SERVER_TEST(CastsPastTheQueue, casts_to_one_entity_stay_in_order) {
  co_await world.serve<Diary>();
  EXPECT_TRUE((co_await publish(world, 1)).empty());
  co_await expect_lines(world, 1);
  co_await world.until_clean();
}

SERVER_TEST(CastsPastTheQueue,
            a_host_that_is_killed_with_casts_in_hand_loses_none_and_doubles_none) {
  auto& first = *co_await world.serve<Diary>();
  co_await world.serve<Diary>();
  co_await publish_while(world, first, [&]() -> Task<void> {
    first.kill();
    co_return;
  });
}

SERVER_TEST(CastsPastTheQueue, a_host_that_stands_still_with_casts_in_hand_takes_none_later) {
  if (!world.is_simulated()) co_return;
  auto& first = *co_await world.serve<Diary>();
  co_await publish_while(world, first, [&]() -> Task<void> {
    first.freeze();
    co_await world.serve<Diary>();
    must(co_await sleep_for(world.clock(), 5s));
    first.thaw();
  });
}

// Draws the most that may be drawn: a fault takes as long as it may.
class LongestDraws final : public Random {
 public:
  std::uint64_t next() override { return ~std::uint64_t{0}; }
};

// Tells when a cast is handled.
struct WatchedTally : Counter {
  std::function<void()> then = [] {};
  void handle_cast(const Add& m, State& s, Context& c) {
    then();
    Counter::handle_cast(m, s, c);
  }
};

// The host hears nothing of a publisher for kRelayedIdle, while a commit that has taken effect is
// not answered: the publisher is no idle one.
SERVER_TEST(CastsPastTheQueue,
            a_publisher_that_stands_still_while_its_commit_runs_is_not_forgotten) {
  if (!world.is_simulated() || !world.is_steady()) co_return;
  static LongestDraws longest;
  register_builtin_backends();
  auto backend = must(co_await open_backend(world.url(), world.env()));
  const Env env{&world.clock(), &longest};
  const auto slow = std::make_shared<FaultyBackend>(std::move(backend), env);
  Process& server = *world.process(Store(slow, world.env()));
  const auto behaviour = std::make_shared<WatchedTally>();
  server.host().serve(behaviour);
  must(co_await server.run(server.host().start()));
  Process& publisher = *co_await world.process();
  const auto tally = [&](int i) { return publisher.ref<WatchedTally>(std::to_string(i)); };
  co_await publisher.run(world.in_parallel(kPublishers, [&](int i) -> Task<void> {
    for (int round = 0; round < 10; ++round) must(co_await tally(i).cast(Counter::Add{}));
  }));

  const auto commits_take = [&](Duration before_and_after) {
    StoreFaults faults;
    faults.delay = 1;
    faults.delay_by = before_and_after;
    slow->set_faults(faults);
  };
  bool is_handled = false;
  behaviour->then = [&] {
    commits_take(600ms);
    is_handled = true;
  };
  std::optional<Status> sent;
  const auto send = [&]() -> Task<void> { sent = co_await tally(0).cast(Counter::Add{}); };
  asio::co_spawn(publisher.executor(), send(), asio::detached);
  co_await world.eventually([&] { return is_handled; });
  publisher.freeze();
  must(co_await sleep_for(world.clock(), 300ms));
  commits_take(2500ms);  // the commit takes effect 0.6 s after its callback, and is answered later
  must(co_await sleep_for(world.clock(), 500ms));
  slow->calm();
  behaviour->then = [] {};
  must(co_await sleep_for(world.clock(), 1400ms));
  EXPECT_FALSE(sent);
  publisher.thaw();
  co_await world.eventually([&] { return sent.has_value(); });
  EXPECT_TRUE(*sent) << sent->error().to_string();
  EXPECT_EQ(must(co_await world.ref<WatchedTally>("0").call(Counter::Read{})), 11);
  co_await world.until_clean();
}

SERVER_TEST(CastsPastTheQueue, a_publisher_that_is_killed_leaves_nothing_behind) {
  co_await world.serve<Counter>();
  Process& publisher = *co_await world.process();
  const auto counters = [&](int i) { return publisher.ref<Counter>(std::to_string(i)); };
  co_await publisher.run(world.in_parallel(kPublishers, [&](int i) -> Task<void> {
    for (int round = 0; round < 10; ++round) must(co_await counters(i).cast(Counter::Add{}));
  }));
  publisher.kill();
  for (int i = 0; i < kPublishers; ++i) {
    const auto total = co_await world.ref<Counter>(std::to_string(i)).call(Counter::Read{});
    EXPECT_EQ(must(total), 10);
  }
  co_await world.until_clean();
}

}  // namespace
}  // namespace semper::testing
