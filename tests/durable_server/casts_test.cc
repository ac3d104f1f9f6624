// Casts: each takes effect once, in the order that it was sent.
#include <algorithm>
#include <map>

#include "behaviours.h"
#include "world.h"

namespace semper::testing {
namespace {

SERVER_SUITE(Casts);

std::string line(int publisher, int number) {
  return std::to_string(publisher) + ":" + std::to_string(number);
}

// Every publisher's lines, 0 to count - 1, each once and in order.
void expect_in_order_per_publisher(const std::vector<std::string>& lines, int publishers,
                                   int count) {
  EXPECT_EQ(lines.size(), static_cast<std::size_t>(publishers * count));
  std::map<int, int> next;
  for (const auto& text : lines) {
    const auto colon = text.find(':');
    const int publisher = std::stoi(text.substr(0, colon));
    const int number = std::stoi(text.substr(colon + 1));
    EXPECT_EQ(number, next[publisher]) << "of publisher " << publisher;
    next[publisher] = number + 1;
  }
}

Task<std::vector<std::string>> lines_of(World& world, Ref<Diary> diary) {
  co_await world.until_processed(diary.untyped());
  CallOptions patient{world.patience()};
  co_return must(co_await diary.call(Diary::Lines{}, patient));
}

SERVER_TEST(Casts, one_publishers_order_is_kept_through_the_queue) {
  co_await world.serve<Diary>();
  auto diary = world.ref<Diary>("d");
  constexpr int kCount = 100;
  for (int i = 0; i < kCount; ++i) {
    const auto message = note(line(0, i));
    must(co_await diary.cast(message));
  }
  expect_in_order_per_publisher(co_await lines_of(world, diary), 1, kCount);
  co_await world.until_clean();
}

SERVER_TEST(Casts, those_sent_before_there_was_a_host_come_first_and_in_order) {
  auto diary = world.ref<Diary>("d");
  constexpr int kCount = 50;
  for (int i = 0; i < kCount; ++i) {
    const auto message = note(line(0, i));
    must(co_await diary.cast(message));
  }
  EXPECT_EQ(must(co_await diary.queue_length()), static_cast<std::uint64_t>(kCount));
  auto& server = *co_await world.serve<Diary>();
  // From the host's own process: it waits for the queue all the same.
  for (int i = kCount; i < 2 * kCount; ++i) {
    const auto message = note(line(0, i));
    must(co_await server.ref<Diary>("d").cast(message));
  }
  expect_in_order_per_publisher(co_await lines_of(world, diary), 1, 2 * kCount);
  co_await world.until_clean();
}

SERVER_TEST(Casts, the_order_of_many_publishers_in_many_processes_is_kept_for_each) {
  auto& server = *co_await world.serve<Diary>();
  auto& other = *co_await world.process();
  constexpr int kPublishers = 12;
  constexpr int kCount = 15;
  co_await world.in_parallel(kPublishers, [&](int who) -> Task<void> {
    const Process& from = who % 2 == 0 ? server : other;
    auto diary = who % 3 == 0 ? world.ref<Diary>("d") : from.ref<Diary>("d");
    for (int i = 0; i < kCount; ++i) {
      const auto message = note(line(who, i));
      must(co_await diary.cast(message));
    }
  });
  expect_in_order_per_publisher(co_await lines_of(world, world.ref<Diary>("d")), kPublishers,
                                kCount);
  co_await world.until_clean();
}

SERVER_TEST(Casts, a_batch_is_applied_whole_in_order_and_with_nothing_in_between) {
  auto& server = *co_await world.serve<Diary>();
  constexpr int kPublishers = 6;
  constexpr int kBatches = 6;
  constexpr int kBatch = 7;
  co_await world.in_parallel(kPublishers, [&](int who) -> Task<void> {
    auto diary = who % 2 == 0 ? world.ref<Diary>("d") : server.ref<Diary>("d");
    for (int b = 0; b < kBatches; ++b) {
      Batch<Diary> batch;
      for (int i = 0; i < kBatch; ++i) batch.add(note(line(who, b * kBatch + i)));
      must(co_await diary.cast(batch));
    }
  });
  const auto lines = co_await lines_of(world, world.ref<Diary>("d"));
  expect_in_order_per_publisher(lines, kPublishers, kBatches * kBatch);
  for (std::size_t i = 0; i < lines.size(); i += kBatch) {
    const auto publisher = lines[i].substr(0, lines[i].find(':'));
    for (std::size_t k = i; k < std::min(i + kBatch, lines.size()); ++k) {
      EXPECT_EQ(lines[k].substr(0, lines[k].find(':')), publisher) << "batch at line " << i;
    }
  }
  co_await world.until_clean();
}

SERVER_TEST(Casts, an_empty_batch_does_nothing) {
  auto diary = world.ref<Diary>("d");
  const Batch<Diary> nothing;
  must(co_await diary.cast(nothing));
  EXPECT_EQ(must(co_await diary.queue_length()), 0u);
  EXPECT_EQ(must_fail(co_await inspect(world.store(), diary.entity())).kind(),
            ErrorKind::not_found);
}

SERVER_TEST(Casts, a_batch_larger_than_a_host_takes_at_once_keeps_its_order) {
  auto diary = world.ref<Diary>("d");
  constexpr int kCount = 200;
  Batch<Diary> batch;
  for (int i = 0; i < kCount; ++i) batch.add(note(line(0, i)));
  must(co_await diary.cast(batch));
  auto options = quick_options();
  options.batch_messages = 7;
  co_await world.serve<Diary>(std::make_shared<Diary>(), options);
  expect_in_order_per_publisher(co_await lines_of(world, diary), 1, kCount);
  co_await world.until_clean();
}

SERVER_TEST(Casts, many_entities_at_once_are_all_served) {
  auto& server = *co_await world.serve<Counter>();
  constexpr int kEntities = 300;
  constexpr int kPublishers = 8;
  co_await world.in_parallel(kPublishers, [&](int who) -> Task<void> {
    for (int i = who; i < kEntities; i += kPublishers) {
      must(co_await world.ref<Counter>(std::to_string(i)).cast(Counter::Add{i}));
    }
  });
  for (int i = 0; i < kEntities; ++i) {
    auto counter = server.ref<Counter>(std::to_string(i));
    co_await world.until_processed(counter.untyped());
    EXPECT_EQ(must(co_await counter.call(Counter::Read{})), i);
  }
  co_await world.until_clean();
}

SERVER_TEST(Casts, more_entities_than_may_be_active_are_all_served) {
  auto options = quick_options();
  options.active_entities = 3;
  constexpr int kEntities = 40;
  for (int i = 0; i < kEntities; ++i) {
    must(co_await world.ref<Counter>(std::to_string(i)).cast(Counter::Add{i}));
  }
  auto& server = *co_await world.serve<Counter>(std::make_shared<Counter>(), options);
  for (int i = 0; i < kEntities; ++i) {
    auto counter = server.ref<Counter>(std::to_string(i));
    co_await world.until_processed(counter.untyped());
    EXPECT_EQ(must(co_await counter.call(Counter::Read{})), i);
  }
  co_await world.until_clean();
}

SERVER_TEST(Casts, several_hosts_on_one_entity_apply_each_message_once) {
  constexpr int kHosts = 3;
  constexpr int kPublishers = 6;
  constexpr int kCount = 20;
  std::vector<Process*> hosts;
  for (int i = 0; i < kHosts; ++i) hosts.push_back(co_await world.serve<Diary>());
  CallOptions patient{world.patience()};
  co_await world.in_parallel(kPublishers, [&](int who) -> Task<void> {
    auto diary = hosts[who % kHosts]->ref<Diary>("d");
    for (int i = 0; i < kCount; ++i) {
      const auto message = note(line(who, i));
      if (i % 2 == 0) {
        must(co_await diary.cast(message));
      } else {
        must(co_await diary.call(message, patient));
      }
    }
  });
  expect_in_order_per_publisher(co_await lines_of(world, world.ref<Diary>("d")), kPublishers,
                                kCount);
  co_await world.until_clean();
}

struct Careful {
  using State = std::int64_t;
  struct Add {
    using Reply = std::int64_t;
  };
  using Messages = semper::Messages<Add>;
  Result<State> init(const EntityId&) { return 0; }
  Reply<std::int64_t> handle_call(const Add&, State& s, Context&) { return step(s); }
  void handle_cast(const Add&, State& s, Context&) { step(s); }
  std::int64_t step(State& s) {
    if (++inside > 1) ++overlaps;
    ++s;
    --inside;
    return s;
  }
  std::atomic<int> inside{0};
  std::atomic<int> overlaps{0};
};

SERVER_TEST(Casts, a_host_with_several_threads_runs_one_entity_one_message_at_a_time) {
  auto careful = std::make_shared<Careful>();
  auto options = quick_options();
  options.threads = 3;
  auto& server = *co_await world.serve<Careful>(careful, options);
  constexpr int kPublishers = 9;
  constexpr int kCount = 15;
  CallOptions patient{world.patience()};
  co_await world.in_parallel(kPublishers, [&](int who) -> Task<void> {
    for (int i = 0; i < kCount; ++i) {
      auto outside = world.ref<Careful>("c");
      auto inside = server.ref<Careful>("c");
      if (who % 3 == 0) must(co_await server.run(inside.call(Careful::Add{}, patient)));
      if (who % 3 == 1) must(co_await inside.call(Careful::Add{}, patient));
      if (who % 3 == 2) must(co_await outside.cast(Careful::Add{}));
    }
  });
  auto counter = server.ref<Careful>("c");
  co_await world.until_processed(counter.untyped());
  EXPECT_EQ(must(co_await counter.call(Careful::Add{}, patient)), kPublishers * kCount + 1);
  EXPECT_EQ(careful->overlaps.load(), 0);
  co_await world.until_clean();
}

}  // namespace
}  // namespace semper::testing
