// kill as an operator's last resort: whatever waits, and whoever goes on sending.
#include <atomic>

#include "behaviours.h"
#include "world.h"

namespace semper::testing {
namespace {

SERVER_SUITE(Kill);
SERVER_SUITE_ON(KillInSmallStores, worlds_in(TimeKind::simulated));

constexpr int kKilledBatches = 3;
constexpr int kPerBatch = 1'000;
// Casts after which a publisher that was to go on until the end gives up.
constexpr int kWithoutEnd = 20'000;

// Time passes in a simulation only when everybody waits.
Task<void> breathe(World& world) {
  if (world.is_simulated()) must(co_await sleep_for(world.clock(), std::chrono::milliseconds(1)));
}

Task<void> fill(Ref<Counter> counter) {
  for (int i = 0; i < kKilledBatches; ++i) {
    Batch<Counter> batch;
    for (int k = 0; k < kPerBatch; ++k) batch.add(Counter::Add{1});
    must(co_await counter.cast(std::move(batch)));
  }
}

SERVER_TEST(Kill, gets_through_a_long_queue_and_a_publisher_that_never_pauses) {
  auto counter = world.ref<Counter>("c");
  co_await fill(counter);
  auto& other = *co_await world.process();
  std::atomic<bool> killed = false;
  std::atomic<int> sent = 0;
  int sent_before = 0;
  int sent_after = 0;
  co_await world.in_parallel(2, [&](int who) -> Task<void> {
    if (who == 1) {
      const auto publish = [&]() -> Task<void> {
        auto mine = other.ref<Counter>("c");
        for (int i = 0; i < kWithoutEnd && !killed; ++i) {
          must(co_await mine.cast(Counter::Add{1}));
          ++sent;
          co_await breathe(world);
        }
        for (int i = 0; i < 5; ++i) {
          must(co_await mine.cast(Counter::Add{1}));
          ++sent;
        }
      };
      co_await other.run(publish());
      co_return;
    }
    co_await world.eventually([&] { return sent >= 3; });
    sent_before = sent;
    must(co_await counter.kill());
    sent_after = sent;
    killed = true;
  });
  EXPECT_LT(sent_after, kWithoutEnd) << "the publisher had to give up first";
  co_await world.serve<Counter>();
  co_await world.until_processed(counter.untyped());
  CallOptions patient{world.patience()};
  const auto left = must(co_await counter.call(Counter::Read{}, patient));
  EXPECT_GE(left, sent - sent_after - 1) << "what was sent after the kill is there";
  EXPECT_LE(left, sent - sent_before) << "what was sent before it is not";
  co_await world.until_clean();
}

SERVER_TEST(Kill, gets_through_a_host_that_never_pauses_and_what_runs_then_begins_anew) {
  auto& server = *co_await world.serve<Counter>();
  auto counter = world.ref<Counter>("c");
  co_await fill(counter);
  std::atomic<bool> over = false;
  std::atomic<int> calls = 0;
  co_await world.in_parallel(2, [&](int who) -> Task<void> {
    if (who == 1) {
      const auto call = [&]() -> Task<void> {
        auto mine = server.ref<Counter>("c");
        CallOptions patient{world.patience()};
        for (int i = 0; i < kWithoutEnd && !over; ++i) {
          auto called = co_await mine.call(Counter::Add{1}, patient);
          if (!called) {
            EXPECT_EQ(called.error().kind(), ErrorKind::closed) << called.error().to_string();
          }
          ++calls;
          co_await breathe(world);
        }
      };
      co_await server.run(call());
      co_return;
    }
    co_await world.eventually([&] { return calls >= 3; });
    must(co_await counter.kill());
    over = true;
  });
  EXPECT_LT(calls, kWithoutEnd);
  co_await world.until_processed(counter.untyped());
  EXPECT_LT(must(co_await server.ref<Counter>("c").call(Counter::Read{})),
            kKilledBatches * kPerBatch);
  co_await world.until_clean();
}

SERVER_TEST(Kill, tells_every_caller_in_a_queue_of_many_segments) {
  auto counter = world.ref<Counter>("c");
  constexpr int kCallers = 200;
  CallOptions patient{world.patience()};
  co_await world.in_parallel(kCallers + 1, [&](int who) -> Task<void> {
    if (who < kCallers) {
      const Error error = must_fail(co_await counter.call(Counter::Add{6}, patient));
      EXPECT_EQ(error.kind(), ErrorKind::closed) << error.to_string();
      co_return;
    }
    co_await world.eventually(
        [&]() -> Task<bool> { co_return must(co_await counter.queue_length()) == kCallers; });
    must(co_await counter.kill());
  });
  EXPECT_EQ(must_fail(co_await counter.kill()).kind(), ErrorKind::not_found);
  co_await world.until_clean();
}

// More callers wait than one transaction of the store can tell.
SERVER_TEST_WITH(KillInSmallStores, tells_more_callers_than_a_transaction_has_operations,
                 "?transaction_operations=1500") {
  auto counter = world.ref<Counter>("c");
  constexpr int kCallers = 2'000;
  CallOptions patient{world.patience()};
  co_await world.in_parallel(kCallers + 1, [&](int who) -> Task<void> {
    if (who < kCallers) {
      const Error error = must_fail(co_await counter.call(Counter::Add{6}, patient));
      EXPECT_EQ(error.kind(), ErrorKind::closed) << error.to_string();
      co_return;
    }
    co_await world.eventually(
        [&]() -> Task<bool> { co_return must(co_await counter.queue_length()) == kCallers; });
    must(co_await counter.kill());
    EXPECT_EQ(must(co_await counter.queue_length()), 0u);
  });
  co_await world.until_clean();
}

}  // namespace
}  // namespace semper::testing
