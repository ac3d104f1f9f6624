// The cache: never stale, and never larger than its bounds.
#include <atomic>

#include "behaviours.h"
#include "world.h"

namespace semper::testing {
namespace {

SERVER_SUITE(Cache);

SERVER_TEST(Cache, what_another_host_changed_is_seen) {
  auto& first = *co_await world.serve<Counter>();
  auto& second = *co_await world.serve<Counter>();
  auto here = first.ref<Counter>("c");
  auto there = second.ref<Counter>("c");
  std::int64_t sum = 0;
  for (int i = 1; i <= 10; ++i) {
    EXPECT_EQ(must(co_await here.call(Counter::Add{i})), sum += i);
    EXPECT_EQ(must(co_await there.call(Counter::Read{})), sum);
    EXPECT_EQ(must(co_await there.call(Counter::Add{i})), sum += i);
    EXPECT_EQ(must(co_await here.call(Counter::Read{})), sum);
    EXPECT_EQ(must(co_await here.priority_call(Counter::Read{})), sum);
  }
  co_await world.until_clean();
}

SERVER_TEST(Cache, a_state_that_nobody_changed_is_not_read_again) {
  auto& server = *co_await world.serve<Counter>();
  auto counter = server.ref<Counter>("c");
  must(co_await counter.call(Counter::Add{1}));
  const auto before = server.host().statistics().cache_misses;
  for (int i = 0; i < 20; ++i) must(co_await counter.call(Counter::Add{1}));
  for (int i = 0; i < 20; ++i) must(co_await counter.call(Counter::Read{}));
  const auto misses = server.host().statistics().cache_misses - before;
  // Where a version is shared by several commits, it says too little: the entity is read each time.
  if (!server.store().backend().traits().versions_are_commits) co_return;
  // A refused commit makes it look again.
  if (world.is_steady()) {
    EXPECT_EQ(misses, 0u);
  }
  EXPECT_LT(misses, 20u);
}

SERVER_TEST(Cache, a_message_queued_by_another_process_comes_before_a_cached_call) {
  auto& server = *co_await world.serve<Counter>();
  auto inside = server.ref<Counter>("c");
  auto outside = world.ref<Counter>("c");
  for (int i = 1; i <= 10; ++i) {
    must(co_await outside.cast(Counter::Add{1}));
    EXPECT_EQ(must(co_await inside.call(Counter::Read{})), i) << "read what is acknowledged";
  }
  co_await world.until_clean();
}

SERVER_TEST(Cache, its_bounds_hold_over_a_thousand_entities) {
  auto options = quick_options();
  options.cache_entities = 10;
  auto& server = *co_await world.serve<Counter>(std::make_shared<Counter>(), options);
  constexpr int kEntities = 1000;
  for (int i = 0; i < kEntities; ++i) {
    must(co_await server.ref<Counter>(std::to_string(i)).cast(Counter::Add{i}));
    EXPECT_LE(server.host().statistics().cached_entities, 10u);
  }
  co_await world.in_parallel(20, [&](int who) -> Task<void> {
    for (int i = who; i < kEntities; i += 20) {
      EXPECT_EQ(must(co_await server.ref<Counter>(std::to_string(i)).call(Counter::Read{})), i);
    }
  });
  co_await world.eventually([&] { return server.host().statistics().cached_entities <= 10; });
}

SERVER_TEST(Cache, its_bound_in_bytes_holds) {
  auto options = quick_options();
  options.cache_bytes = 100'000;
  auto& server = *co_await world.serve<Diary>(std::make_shared<Diary>(), options);
  for (int i = 0; i < 50; ++i) {
    const auto large = note(std::string(10'000, 'x'));
    must(co_await server.ref<Diary>(std::to_string(i)).cast(large));
    EXPECT_LE(server.host().statistics().cached_bytes, 100'000u);
  }
  EXPECT_GE(server.host().statistics().cached_entities, 5u);
  for (int i = 0; i < 50; ++i) {
    const auto lines = must(co_await server.ref<Diary>(std::to_string(i)).call(Diary::Lines{}));
    EXPECT_EQ(lines.size(), 1u);
  }
}

struct Sloppy {
  using State = std::int64_t;
  struct AddThenThrow {
    using Reply = std::int64_t;
  };
  struct Read {
    using Reply = std::int64_t;
  };
  using Messages = semper::Messages<AddThenThrow, Read>;
  Result<State> init(const EntityId&) { return 7; }
  Reply<std::int64_t> handle_call(const AddThenThrow&, State& s, Context&) {
    ++s;
    throw std::runtime_error("after a change");
  }
  Reply<std::int64_t> handle_call(const Read&, State& s, Context&) { return s; }
};

SERVER_TEST(Cache, a_callback_that_threw_left_no_trace_in_it) {
  auto& server = *co_await world.serve<Sloppy>();
  auto sloppy = server.ref<Sloppy>("s");
  static_cast<void>(must_fail(co_await sloppy.call(Sloppy::AddThenThrow{})));
  EXPECT_EQ(must(co_await sloppy.call(Sloppy::Read{})), 7);
  static_cast<void>(must_fail(co_await sloppy.call(Sloppy::AddThenThrow{})));
  static_cast<void>(must_fail(co_await sloppy.priority_call(Sloppy::AddThenThrow{})));
  EXPECT_EQ(must(co_await sloppy.call(Sloppy::Read{})), 7);
  EXPECT_EQ(must(co_await sloppy.priority_call(Sloppy::Read{})), 7);
}

}  // namespace
}  // namespace semper::testing
