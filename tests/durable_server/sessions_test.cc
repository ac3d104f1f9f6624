// Sessions: a call from another process gets its reply, or an error that says why there is none,
// whatever happens to the process that waits, to those that wait beside it, and to the store.
#include <optional>

#include "behaviours.h"
#include "semper/store/tuple.h"
#include "world.h"

namespace semper::testing {
namespace {

using namespace std::chrono_literals;

SERVER_SUITE_ON(PausedCallers, worlds_in(TimeKind::simulated));
SERVER_SUITE_ON(Sessions, worlds_in(TimeKind::simulated));

using Answer = std::optional<Result<std::int64_t>>;

// Calls from that loop, with all the time in the world.
void call_from(Process& caller, const Store& store, std::string id, std::shared_ptr<Answer> answer,
               Duration timeout = kForever) {
  asio::co_spawn(
      caller.executor(),
      [](Ref<Counter> counter, std::shared_ptr<Answer> out, Duration patience) -> Task<void> {
        const CallOptions options{patience};
        *out = co_await counter.call(Counter::Add{1}, options);
      }(ref<Counter>(store, std::move(id)), answer, timeout),
      asio::detached);
}

Task<void> until_queued(World& world, const Ref<Counter>& counter, std::uint64_t messages = 1) {
  auto look = [&]() -> Task<bool> { co_return must(co_await counter.queue_length()) == messages; };
  co_await world.eventually(look);
}

Task<std::size_t> count_sessions(World& world) {
  co_return must(co_await count_outstanding(world.store())).sessions;
}

SERVER_TEST(PausedCallers, whose_reply_came_and_was_swept_are_told_that_the_outcome_is_unknown) {
  co_await world.serve<Counter>();
  std::shared_ptr<FaultyBackend> faults;
  auto& caller = *world.loop(co_await world.open_faulty(faults));
  StoreFaults slow_to_wake;
  slow_to_wake.watch_late = 1;
  slow_to_wake.watch_late_by = 5s;
  faults->set_faults(slow_to_wake);
  auto answer = std::make_shared<Answer>();
  call_from(caller, caller.store(), "c", answer);
  auto counter = world.ref<Counter>("c");
  co_await world.eventually([&]() -> Task<bool> {
    const auto view = co_await inspect(world.store(), counter.entity());
    co_return view && view->processed == 1;
  });
  caller.freeze();
  must(co_await sleep_for(world.clock(), 30s));
  EXPECT_EQ(co_await count_sessions(world), 0u);
  caller.thaw();
  co_await world.eventually([&] { return answer->has_value(); });
  if (**answer) co_return;  // it was quicker than the freeze
  EXPECT_EQ((*answer)->error().kind(), ErrorKind::outcome_unknown)
      << (*answer)->error().to_string();
}

SERVER_TEST(PausedCallers, whose_message_was_processed_without_them_are_told_the_same) {
  // A host that sweeps, and does not serve the type yet.
  auto& server = *co_await world.serve<Diary>();
  auto& caller = *world.loop(co_await world.open());
  auto answer = std::make_shared<Answer>();
  call_from(caller, caller.store(), "c", answer);
  auto counter = world.ref<Counter>("c");
  co_await until_queued(world, counter);
  caller.freeze();
  co_await world.eventually([&]() -> Task<bool> { co_return co_await count_sessions(world) == 0; });
  server.host().serve<Counter>();
  co_await world.until_processed(counter.untyped());
  const auto left = must(co_await count_outstanding(world.store()));
  EXPECT_EQ(left.replies, 0u) << "for nobody, until somebody sweeps it";
  caller.thaw();
  co_await world.eventually([&] { return answer->has_value(); });
  EXPECT_EQ(must_fail(**answer).kind(), ErrorKind::outcome_unknown);
  // The process has a session again, and the next call a reply.
  auto next = std::make_shared<Answer>();
  call_from(caller, caller.store(), "c", next);
  co_await world.eventually([&] { return next->has_value(); });
  EXPECT_EQ(must(**next), 2);
  co_await world.until_clean();
}

SERVER_TEST(PausedCallers, that_come_back_within_the_lease_get_their_reply) {
  co_await world.serve<Diary>();
  auto& caller = *world.loop(co_await world.open());
  auto answer = std::make_shared<Answer>();
  call_from(caller, caller.store(), "c", answer);
  auto counter = world.ref<Counter>("c");
  co_await until_queued(world, counter);
  for (int pause = 0; pause < 5; ++pause) {
    caller.freeze();
    must(co_await sleep_for(world.clock(), 6s));
    caller.thaw();
    must(co_await sleep_for(world.clock(), 3s));
  }
  co_await world.serve<Counter>();
  co_await world.eventually([&] { return answer->has_value(); });
  EXPECT_EQ(must(**answer), 1);
  co_await world.until_clean();
}

SERVER_TEST_WITH(Sessions, more_replies_than_the_store_takes_operations_reach_their_callers,
                 "?transaction_operations=60") {
  constexpr int kCalls = 200;
  auto& caller = *world.loop(co_await world.open());
  std::vector<std::shared_ptr<Answer>> answers;
  for (int i = 0; i < kCalls; ++i) {
    answers.push_back(std::make_shared<Answer>());
    call_from(caller, caller.store(), std::to_string(i), answers.back());
  }
  for (int i = 0; i < kCalls; ++i) {
    co_await until_queued(world, world.ref<Counter>(std::to_string(i)));
  }
  // All of them have come when it looks.
  caller.freeze();
  co_await world.serve<Counter>();
  for (int i = 0; i < kCalls; ++i) {
    co_await world.until_processed(world.ref<Counter>(std::to_string(i)).untyped());
  }
  caller.thaw();
  for (const auto& answer : answers) {
    co_await world.eventually([&] { return answer->has_value(); });
    EXPECT_EQ(must(**answer), 1);
  }
  for (const auto& line : world.logged()) {
    EXPECT_EQ(line.find("replies of this process"), std::string::npos) << line;
  }
  co_await world.until_clean();
}

// A process that waits in vain, and then ends, leaves nothing that says that somebody waits.
SERVER_TEST(Sessions, whose_last_call_gives_up_are_removed_at_once_and_the_next_call_has_its_own) {
  auto& caller = *world.loop(co_await world.open());
  auto answer = std::make_shared<Answer>();
  call_from(caller, caller.store(), "c", answer, 500ms);
  co_await world.eventually([&] { return answer->has_value(); });
  EXPECT_EQ(must_fail(**answer).kind(), ErrorKind::timeout);
  const auto given_up = world.clock().now();
  co_await world.eventually([&]() -> Task<bool> { co_return co_await count_sessions(world) == 0; });
  EXPECT_LT(world.clock().now() - given_up, 500ms) << "somebody else found that out";
  co_await world.serve<Counter>();
  auto next = std::make_shared<Answer>();
  call_from(caller, caller.store(), "c", next);
  const auto sent = world.clock().now();
  co_await world.eventually([&] { return next->has_value(); });
  EXPECT_EQ(must(**next), 2);
  EXPECT_LT(world.clock().now() - sent, 500ms) << "the reply waited for whoever collected before";
  co_await world.until_clean();
}

SERVER_TEST(Sessions, a_call_gets_its_reply_although_the_one_before_it_could_not_be_sent) {
  co_await world.serve<Counter>();
  std::shared_ptr<FaultyBackend> faults;
  Store store = co_await world.open_faulty(faults);
  auto& caller = *world.loop(store);
  // The first message loses every attempt; the second call begins meanwhile, and its reply is there
  // before its process hears that it was sent.
  StoreFaults slow;
  slow.delay = 1;
  slow.delay_by = 200ms;
  faults->set_faults(slow);
  const TransactOptions defaults;
  for (int i = 0; i < defaults.max_attempts; ++i) faults->script({CommitFault::conflict});
  auto first = std::make_shared<Answer>();
  auto second = std::make_shared<Answer>();
  call_from(caller, store, "a", first);
  call_from(caller, store, "b", second);
  co_await world.eventually([&] { return first->has_value(); });
  static_cast<void>(must_fail(**first));
  co_await world.eventually([&] { return second->has_value(); });
  EXPECT_EQ(must(**second), 1);
  co_await world.until_clean();
}

SERVER_TEST(Sessions, replies_are_taken_in_although_the_loop_of_the_first_caller_is_run_no_more) {
  Store store = co_await world.open();
  auto& one = *world.loop(store);
  auto& two = *world.loop(store);
  auto early = std::make_shared<Answer>();
  auto late = std::make_shared<Answer>();
  call_from(one, store, "c", early, 2s);
  co_await until_queued(world, world.ref<Counter>("c"));
  call_from(two, store, "c", late);
  co_await until_queued(world, world.ref<Counter>("c"), 2);
  co_await world.eventually([&] { return early->has_value(); });
  EXPECT_EQ(must_fail(**early).kind(), ErrorKind::timeout);
  one.freeze();
  co_await world.serve<Counter>();
  co_await world.eventually([&] { return late->has_value(); });
  EXPECT_EQ(must(**late), 2);
  co_await world.until_clean();
}

SERVER_TEST(Sessions, those_of_dead_callers_are_swept_however_many_living_ones_are_before_them) {
  constexpr int kLiving = 1050;
  constexpr int kDead = 300;
  const auto name = [](char first, int number) {
    return std::string(1, first) + std::to_string(1'000'000 + number);
  };
  std::uint64_t renewals = 0;
  auto write = [&](char first, int count) -> Task<void> {
    ++renewals;
    auto all = [&](Transaction& transaction) -> Async<void> {
      for (int i = 0; i < count; ++i) {
        transaction.set(session_row_key(name(first, i)),
                        alive_row_of_0_1_0("a process", renewals, 0, {}));
      }
      co_return Status{};
    };
    must(co_await world.store().transact(all));
  };
  co_await write('\x01', kLiving);
  co_await write('\xfe', kDead);
  co_await world.serve<Counter>(std::make_shared<Counter>(), HostOptions());
  const auto until = world.clock().after(world.patience());
  while (co_await count_sessions(world) > kLiving) {
    if (world.clock().now() > until) throw CaseFailure("sessions of the dead are still there");
    co_await write('\x01', kLiving);
    must(co_await sleep_for(world.clock(), 2s));
  }
  EXPECT_EQ(co_await count_sessions(world), static_cast<std::size_t>(kLiving));
}

SERVER_TEST(Sessions, those_of_dead_callers_are_swept_behind_a_row_that_is_none) {
  auto write = [](Transaction& transaction) -> Async<void> {
    transaction.set(Tenant::default_prefix() + Tuple{4, "0x"}.pack(), "of somebody else");
    transaction.set(session_row_key("\xfe"), alive_row_of_0_1_0("a process", 1, 0, {}));
    co_return Status{};
  };
  must(co_await world.store().transact(write));
  co_await world.serve<Counter>(std::make_shared<Counter>(), HostOptions());
  co_await world.eventually([&]() -> Task<bool> {
    co_return !must(co_await world.store().transact(
        [](Transaction& transaction) { return transaction.get(session_row_key("\xfe")); }));
  });
}

}  // namespace
}  // namespace semper::testing
