// Hosts: they come, share, stop and die, and no message waits for one that is gone.
#include <atomic>
#include <set>

#include "behaviours.h"
#include "world.h"

namespace semper::testing {
namespace {

using namespace std::chrono_literals;

SERVER_SUITE(Hosts);
SERVER_SUITE_ON(HostThreads, worlds_in(TimeKind::real));
SERVER_SUITE_ON(HostTimes, worlds_in(TimeKind::simulated));

constexpr int kSpreadEntities = 40;  // so that every host has some of the index's shards

SERVER_TEST(Hosts, one_that_was_killed_is_missed_and_another_takes_its_work_over) {
  auto& doomed = *co_await world.serve<Counter>();
  co_await world.serve<Counter>();
  for (int i = 0; i < kSpreadEntities; ++i) {
    must(co_await world.ref<Counter>(std::to_string(i)).cast(Counter::Add{1}));
    if (i == kSpreadEntities / 2) doomed.kill();
  }
  for (int i = 0; i < kSpreadEntities; ++i) {
    co_await world.until_processed(world.ref<Counter>(std::to_string(i)).untyped());
  }
  co_await world.eventually(
      [&]() -> Task<bool> { co_return must(co_await list_hosts(world.store())).size() == 1; });
  co_await world.until_clean();
}

SERVER_TEST(Hosts, one_that_stopped_leaves_the_store_and_hands_over) {
  auto options = quick_options();
  options.name = "the first";
  auto& first = *co_await world.serve<Counter>(std::make_shared<Counter>(), options);
  options.name = "the second";
  auto& second = *co_await world.serve<Counter>(std::make_shared<Counter>(), options);
  co_await world.eventually(
      [&]() -> Task<bool> { co_return must(co_await list_hosts(world.store())).size() == 2; });
  must(co_await first.run(first.host().stop()));
  const auto hosts = must(co_await list_hosts(world.store()));
  EXPECT_EQ(hosts.size(), 1u);
  if (!hosts.empty()) {
    EXPECT_EQ(hosts[0].name, "the second");
    EXPECT_EQ(hosts[0].types, (std::vector<std::string>{std::string(type_name<Counter>())}));
  }
  for (int i = 0; i < kSpreadEntities; ++i) {
    must(co_await world.ref<Counter>(std::to_string(i)).cast(Counter::Add{1}));
  }
  for (int i = 0; i < kSpreadEntities; ++i) {
    co_await world.until_processed(world.ref<Counter>(std::to_string(i)).untyped());
  }
  // Counted once the commit that shows it is known to be made.
  co_await world.eventually([&] { return second.host().statistics().messages >= kSpreadEntities; });
  EXPECT_EQ(second.host().statistics().messages, static_cast<std::uint64_t>(kSpreadEntities));
  co_await world.until_clean();
}

SERVER_TEST(HostTimes, a_clean_stop_hands_over_at_once_and_a_death_after_the_lease) {
  for (const bool clean : {true, false}) {
    auto options = quick_options();
    options.host_lease = 60s;
    auto& first = *co_await world.serve<Counter>(std::make_shared<Counter>(), options);
    auto& second = *co_await world.serve<Counter>(std::make_shared<Counter>(), options);
    // Let them see each other, so that the first one's share is left to it.
    must(co_await sleep_for(world.clock(), 1s));
    if (clean) {
      must(co_await first.run(first.host().stop()));
    } else {
      first.kill();
    }
    const auto start = world.clock().now();
    for (int i = 0; i < kSpreadEntities; ++i) {
      must(co_await world.ref<Counter>(std::to_string(i)).cast(Counter::Add{1}));
    }
    for (int i = 0; i < kSpreadEntities; ++i) {
      co_await world.until_processed(world.ref<Counter>(std::to_string(i)).untyped());
    }
    const auto took = world.clock().now() - start;
    if (clean) {
      EXPECT_LT(took, 2s);
    } else {
      EXPECT_GT(took, 10s) << "it had a share of the work";
      // Renewals that fail by chance make a host look dead, and the work moves once more.
      EXPECT_LT(took, world.is_steady() ? 120s : 600s);
    }
    must(co_await second.run(second.host().stop()));
  }
}

SERVER_TEST(Hosts, those_that_do_not_consume_leave_the_queue_alone) {
  ServeOptions publish_only{ServeOptions::Consume::no};
  auto& publisher =
      *co_await world.serve<Counter>(std::make_shared<Counter>(), quick_options(), publish_only);
  auto inside = publisher.ref<Counter>("c");
  EXPECT_EQ(must(co_await inside.call(Counter::Add{1})), 1) << "its own, and nothing waits";
  must(co_await world.ref<Counter>("c").cast(Counter::Add{10}));
  must(co_await inside.cast(Counter::Add{100}));
  CallOptions hasty{50ms};
  EXPECT_EQ(must_fail(co_await inside.call(Counter::Read{}, hasty)).kind(), ErrorKind::timeout);
  EXPECT_EQ(must(co_await inside.queue_length()), 3u);
  EXPECT_EQ(must(co_await inside.priority_call(Counter::Read{})), 1);
  co_await world.serve<Counter>();
  co_await world.until_processed(inside.untyped());
  EXPECT_EQ(must(co_await inside.call(Counter::Read{})), 111);
  co_await world.until_clean();
}

SERVER_TEST(Hosts, a_store_that_could_not_be_opened_is_the_error_of_everything) {
  const Result<Store> unopened = fail(ErrorKind::io, "the disk is not there");
  std::vector<Error> errors;
  try {
    const Host host(unopened, quick_options());
    ADD_FAILURE() << "a host of nothing was made";
  } catch (const ErrorException& refused) {
    errors.push_back(refused.error());
  }
  auto counter = ref<Counter>(unopened, "c");
  errors.push_back(must_fail(co_await counter.call(Counter::Read{})));
  errors.push_back(must_fail(co_await counter.cast(Counter::Add{})));
  errors.push_back(must_fail(co_await counter.priority_call(Counter::Read{})));
  errors.push_back(must_fail(co_await counter.priority_cast(Counter::Add{})));
  errors.push_back(must_fail(co_await counter.kill()));
  errors.push_back(must_fail(co_await counter.reset()));
  errors.push_back(must_fail(co_await counter.queue_length()));
  errors.push_back(must_fail(co_await inspect(unopened, counter.entity())));
  errors.push_back(must_fail(co_await list_types(unopened)));
  errors.push_back(must_fail(co_await count_outstanding(unopened)));
  for (const auto& error : errors) {
    EXPECT_EQ(error.kind(), ErrorKind::io);
    EXPECT_NE(error.message().find("the disk is not there"), std::string::npos);
  }
}

SERVER_TEST(Hosts, types_served_later_take_effect_too) {
  auto& server = *co_await world.serve<Counter>();
  auto diary = world.ref<Diary>("d");
  const auto early = note("early");
  must(co_await diary.cast(early));
  server.host().serve<Diary>();
  co_await world.until_processed(diary.untyped());
  EXPECT_EQ(must(co_await server.ref<Diary>("d").call(Diary::Lines{})).size(), 1u);
  const auto types = must(co_await list_types(world.store()));
  std::set<std::string> names;
  for (const auto& type : types) names.insert(type.type);
  EXPECT_EQ(names, (std::set<std::string>{std::string(type_name<Counter>()),
                                          std::string(type_name<Diary>())}));
}

SERVER_TEST(Hosts, a_stopped_host_takes_no_calls_and_its_process_uses_the_queue) {
  auto& server = *co_await world.serve<Counter>();
  auto counter = server.ref<Counter>("c");
  must(co_await counter.call(Counter::Add{1}));
  must(co_await server.run(server.host().stop()));
  must(co_await server.run(server.host().stop()));
  EXPECT_EQ(must_fail(co_await server.run(server.host().start())).kind(), ErrorKind::closed);
  must(co_await counter.cast(Counter::Add{1}));
  EXPECT_EQ(must(co_await counter.queue_length()), 1u);
  co_await world.serve<Counter>();
  EXPECT_EQ(must(co_await counter.call(Counter::Read{})), 2);
  co_await world.until_clean();
}

// Its threads are real ones, for which a simulation does not wait.
SERVER_TEST(HostThreads, one_with_threads_of_its_own_serves_and_ends_without_stop) {
  Store store = co_await world.open();
  for (int round = 0; round < 3; ++round) {
    HostOptions options = quick_options();
    options.threads = 2;
    Host host(store, options);
    host.serve<Counter>();
    auto counter = ref<Counter>(store, "c");
    for (int i = 0; i < 20; ++i) must(co_await counter.cast(Counter::Add{1}));
    EXPECT_EQ(must(co_await counter.call(Counter::Read{})), 20 * (round + 1));
  }
}

SERVER_TEST(Hosts, many_idle_entities_are_not_kept_in_memory) {
  auto options = quick_options();
  options.cache_entities = 5;
  for (int i = 0; i < 200; ++i) {
    must(co_await world.ref<Counter>(std::to_string(i)).cast(Counter::Add{1}));
  }
  auto& server = *co_await world.serve<Counter>(std::make_shared<Counter>(), options);
  for (int i = 0; i < 200; ++i) {
    co_await world.until_processed(world.ref<Counter>(std::to_string(i)).untyped());
  }
  co_await world.eventually([&] {
    const auto figures = server.host().statistics();
    return figures.cached_entities <= 5;
  });
  co_await world.until_clean();
}

SERVER_TEST(Hosts, callers_on_a_loop_that_goes_away_do_not_take_others_with_them) {
  // Two loops of one process send to one entity; what runs the messages may be on either.
  auto& server = *co_await world.serve<Counter>();
  for (int round = 0; round < 10; ++round) {
    auto& doomed = *world.loop(server.store());
    for (int i = 0; i < 5; ++i) {
      asio::co_spawn(
          doomed.executor(),
          [](Ref<Counter> counter) -> Task<void> {
            for (int k = 0; k < 50; ++k) static_cast<void>(co_await counter.cast(Counter::Add{1}));
          }(server.ref<Counter>("c")),
          asio::detached);
    }
    co_await world.in_parallel(4, [&](int who) -> Task<void> {
      if (who == 0) doomed.kill();
      CallOptions patient{world.patience()};
      auto answer = co_await server.ref<Counter>("c").call(Counter::Add{1}, patient);
      if (!answer) {
        EXPECT_TRUE(answer.error().kind() == ErrorKind::closed ||
                    answer.error().kind() == ErrorKind::outcome_unknown)
            << answer.error().to_string();
      }
      auto cast = co_await server.ref<Counter>("c").cast(Counter::Add{1});
      if (!cast) {
        EXPECT_TRUE(cast.error().kind() == ErrorKind::closed ||
                    cast.error().kind() == ErrorKind::outcome_unknown)
            << cast.error().to_string();
      }
    });
  }
}

}  // namespace
}  // namespace semper::testing
