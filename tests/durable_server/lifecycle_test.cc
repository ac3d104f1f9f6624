// kill, reset, queue length, ids.
#include "behaviours.h"
#include "world.h"

namespace semper::testing {
namespace {

SERVER_SUITE(Lifecycle);

using Lines = std::vector<std::string>;

SERVER_TEST(Lifecycle, kill_deletes_state_and_the_next_message_begins_anew) {
  auto& server = *co_await world.serve<Counter>();
  auto counter = server.ref<Counter>("c");
  must(co_await counter.call(Counter::Add{5}));
  must(co_await counter.kill());
  EXPECT_EQ(must_fail(co_await inspect(world.store(), counter.entity())).kind(),
            ErrorKind::not_found);
  EXPECT_EQ(must(co_await counter.call(Counter::Add{1})), 1);
  co_await world.until_clean();
}

SERVER_TEST(Lifecycle, kill_is_noticed_by_a_host_that_has_the_entity_in_its_cache) {
  auto& first = *co_await world.serve<Counter>();
  auto& second = *co_await world.serve<Counter>();
  must(co_await first.ref<Counter>("c").call(Counter::Add{5}));
  EXPECT_EQ(must(co_await first.ref<Counter>("c").call(Counter::Read{})), 5);
  must(co_await second.ref<Counter>("c").kill());
  EXPECT_EQ(must(co_await first.ref<Counter>("c").call(Counter::Read{})), 0);
  EXPECT_EQ(must(co_await first.ref<Counter>("c").call(Counter::Add{1})), 1);
  co_await world.until_clean();
}

SERVER_TEST(Lifecycle, kill_deletes_the_queue_and_tells_waiting_callers) {
  auto counter = world.ref<Counter>("c");
  must(co_await counter.cast(Counter::Add{5}));
  CallOptions patient{world.patience()};
  co_await world.in_parallel(2, [&](int who) -> Task<void> {
    if (who == 0) {
      const Error error = must_fail(co_await counter.call(Counter::Add{6}, patient));
      EXPECT_EQ(error.kind(), ErrorKind::closed);
      EXPECT_NE(error.message().find("killed"), std::string::npos) << error.to_string();
      co_return;
    }
    co_await world.eventually(
        [&]() -> Task<bool> { co_return must(co_await counter.queue_length()) == 2; });
    must(co_await counter.kill());
    EXPECT_EQ(must(co_await counter.queue_length()), 0u);
  });
  co_await world.serve<Counter>();
  EXPECT_EQ(must(co_await counter.call(Counter::Add{1}, patient)), 1);
  co_await world.until_clean();
}

SERVER_TEST(Lifecycle, kill_deletes_dead_letters_and_chunks_of_a_large_state) {
  auto& server = *co_await world.serve<Diary>();
  auto diary = server.ref<Diary>("d");
  const auto large = note(std::string(50'000, 'x'));
  must(co_await diary.call(large));
  std::vector<RawMessage> damaged(1);
  damaged[0].name = "Note";
  damaged[0].payload = "\xff\xff";
  must(co_await world.ref<Diary>("d").untyped().cast(damaged));
  co_await world.eventually(
      [&]() -> Task<bool> { co_return (co_await world.look(diary)).dead_letters == 1; });
  must(co_await diary.kill());
  for (std::int64_t part = 0; part < 10; ++part) {
    KeyRange range = entity_range(diary.entity(), part);
    range.begin.pop_back();
    EXPECT_TRUE((co_await world.rows(range)).empty()) << "part " << part;
  }
  co_await world.until_clean();
}

SERVER_TEST(Lifecycle, kill_of_what_is_not_there_says_so) {
  const Error error = must_fail(co_await world.ref<Counter>("nobody").kill());
  EXPECT_EQ(error.kind(), ErrorKind::not_found);
  EXPECT_NE(error.message().find("nobody"), std::string::npos);
}

SERVER_TEST(Lifecycle, kill_under_traffic_loses_nothing_that_comes_after_it) {
  co_await world.serve<Counter>();
  auto& local = *co_await world.serve<Counter>();
  constexpr int kCallers = 4;
  constexpr int kRounds = 8;
  CallOptions patient{world.patience()};
  co_await world.in_parallel(kCallers + 1, [&](int who) -> Task<void> {
    auto counter = who % 2 == 0 ? world.ref<Counter>("c") : local.ref<Counter>("c");
    for (int i = 0; i < kRounds; ++i) {
      if (who == kCallers) {
        auto killed = co_await counter.kill();
        if (!killed) {
          EXPECT_EQ(killed.error().kind(), ErrorKind::not_found);
        }
        must(co_await sleep_for(world.clock(), world.poll_interval()));
        continue;
      }
      auto n = co_await counter.call(Counter::Add{1}, patient);
      if (!n) {
        EXPECT_EQ(n.error().kind(), ErrorKind::closed) << n.error().to_string();
      }
    }
  });
  co_await world.until_processed(world.ref<Counter>("c").untyped());
  static_cast<void>(co_await world.ref<Counter>("c").kill());
  EXPECT_EQ(must(co_await world.ref<Counter>("c").call(Counter::Add{1}, patient)), 1);
  co_await world.until_clean();
}

SERVER_TEST(Lifecycle, reset_makes_the_state_anew_and_keeps_the_queue) {
  auto diary = world.ref<Diary>("d");
  {
    auto& server = *co_await world.serve<Diary>();
    const auto old = note("old");
    must(co_await server.ref<Diary>("d").cast(old));
    must(co_await server.run(server.host().stop()));
  }
  const auto waiting = note("waits");
  must(co_await diary.cast(waiting));
  must(co_await diary.reset());
  EXPECT_EQ(must(co_await diary.queue_length()), 1u);
  EXPECT_FALSE((co_await world.look(diary)).state.has_value());
  auto& server = *co_await world.serve<Diary>();
  co_await world.until_processed(diary.untyped());
  EXPECT_EQ(must(co_await server.ref<Diary>("d").call(Diary::Lines{})), list("waits"));
  co_await world.until_clean();
}

SERVER_TEST(Lifecycle, reset_is_noticed_by_a_host_that_has_the_entity_in_its_cache) {
  auto& server = *co_await world.serve<Diary>();
  auto diary = server.ref<Diary>("d");
  const auto large = note(std::string(50'000, 'x'));
  must(co_await diary.call(large));
  must(co_await world.ref<Diary>("d").reset());
  EXPECT_TRUE(must(co_await diary.call(Diary::Lines{})).empty());
  EXPECT_TRUE((co_await world.rows(entity_range(diary.entity(), 3))).empty()) << "chunks";
  must(co_await world.ref<Diary>("nobody").reset());
  co_await world.until_clean();
}

SERVER_TEST(Lifecycle, the_queue_length_counts_what_waits) {
  auto diary = world.ref<Diary>("d");
  EXPECT_EQ(must(co_await diary.queue_length()), 0u);
  for (std::uint64_t i = 1; i <= 5; ++i) {
    const auto message = note("x");
    must(co_await diary.cast(message));
    EXPECT_EQ(must(co_await diary.queue_length()), i);
  }
  Batch<Diary> batch;
  for (int i = 0; i < 10; ++i) batch.add(note("y"));
  must(co_await diary.cast(batch));
  EXPECT_EQ(must(co_await diary.queue_length()), 15u);
  co_await world.serve<Diary>();
  co_await world.until_processed(diary.untyped());
  EXPECT_EQ((co_await world.look(diary)).processed, 15u);
}

SERVER_TEST(Lifecycle, an_id_that_can_not_be_is_refused_by_every_operation) {
  auto& server = *co_await world.serve<Counter>();
  const std::vector<std::string> bad = {"", std::string(kEntityIdBytesMaximum + 1, 'x'),
                                        "not \xff utf-8", "a\ncontrol"};
  for (const auto& id : bad) {
    for (const bool local : {true, false}) {
      auto counter = local ? server.ref<Counter>(id) : world.ref<Counter>(id);
      EXPECT_EQ(must_fail(co_await counter.call(Counter::Read{})).kind(),
                ErrorKind::invalid_argument);
      EXPECT_EQ(must_fail(co_await counter.cast(Counter::Add{})).kind(),
                ErrorKind::invalid_argument);
      EXPECT_EQ(must_fail(co_await counter.priority_call(Counter::Read{})).kind(),
                ErrorKind::invalid_argument);
      EXPECT_EQ(must_fail(co_await counter.kill()).kind(), ErrorKind::invalid_argument);
      EXPECT_EQ(must_fail(co_await counter.reset()).kind(), ErrorKind::invalid_argument);
      EXPECT_EQ(must_fail(co_await counter.queue_length()).kind(), ErrorKind::invalid_argument);
      EXPECT_EQ(must_fail(co_await counter.untyped().unlock()).kind(), ErrorKind::invalid_argument);
    }
  }
  auto longest = server.ref<Counter>(std::string(kEntityIdBytesMaximum, 'x'));
  EXPECT_EQ(must(co_await longest.call(Counter::Add{3})), 3);
  auto odd = world.ref<Counter>("a/slash, \"quotes\" and gr\xc3\xbc\xc3\x9f");
  EXPECT_EQ(must(co_await odd.call(Counter::Add{4})), 4);
  co_await world.until_clean();
}

SERVER_TEST(Lifecycle, priority_messages_without_a_local_host_are_refused_with_advice) {
  auto counter = world.ref<Counter>("c");
  std::vector<Error> errors;
  errors.push_back(must_fail(co_await counter.priority_call(Counter::Read{})));
  errors.push_back(must_fail(co_await counter.priority_cast(Counter::Add{})));
  for (const Error& error : errors) {
    EXPECT_EQ(error.kind(), ErrorKind::unsupported);
    EXPECT_NE(error.message().find(type_name<Counter>()), std::string::npos);
  }
}

}  // namespace
}  // namespace semper::testing
