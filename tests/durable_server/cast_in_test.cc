// Casts within a transaction of the program's own: sent with its commit, in order, or not at all.
#include "behaviours.h"
#include "world.h"

namespace semper::testing {
namespace {

SERVER_SUITE(CastIn);
SERVER_SUITE_ON(SmallCastIn, worlds_in(TimeKind::simulated));

Batch<Diary> two_notes(std::string first, std::string second) {
  return Batch<Diary>().add<Diary::Note>(std::move(first)).add<Diary::Note>(std::move(second));
}

SERVER_TEST(CastIn, what_is_sent_in_a_transaction_comes_with_it_in_the_order_of_the_calls) {
  co_await world.serve<Diary>();
  auto diary = world.ref<Diary>("d");
  auto other = world.ref<Diary>("other");
  must(co_await world.store().transact([&](Transaction& tx) -> Async<void> {
    tx.set("order/17", "paid");
    SEMPER_CO_TRY_STATUS(co_await diary.cast_in<Diary::Note>(tx, "one"));
    SEMPER_CO_TRY_STATUS(co_await other.cast_in<Diary::Note>(tx, "elsewhere"));
    auto both = two_notes("two", "three");
    SEMPER_CO_TRY_STATUS(co_await diary.cast_in(tx, std::move(both)));
    tx.set("order/18", "paid");
    const auto last = note("four");
    co_return co_await diary.cast_in(tx, last);
  }));
  co_await world.until_processed(diary.untyped());
  co_await world.until_processed(other.untyped());
  EXPECT_EQ(must(co_await diary.call<Diary::Lines>()), list("one", "two", "three", "four"));
  EXPECT_EQ(must(co_await other.call<Diary::Lines>()), list("elsewhere"));
  co_await world.until_clean();
}

SERVER_TEST(CastIn, a_transaction_that_is_given_up_sends_nothing) {
  co_await world.serve<Diary>();
  auto diary = world.ref<Diary>("d");
  const Error error =
      must_fail(co_await world.store().transact([&](Transaction& tx) -> Async<void> {
        SEMPER_CO_TRY_STATUS(co_await diary.cast_in<Diary::Note>(tx, "never"));
        co_return fail(ErrorKind::not_found, "no such order");
      }));
  EXPECT_EQ(error.kind(), ErrorKind::not_found);
  EXPECT_EQ(must(co_await diary.queue_length()), 0u);
  must(co_await diary.cast<Diary::Note>("after"));
  co_await world.until_processed(diary.untyped());
  EXPECT_EQ(must(co_await diary.call<Diary::Lines>()), list("after"));
}

SERVER_TEST(CastIn, a_transaction_that_runs_again_after_a_conflict_sends_once) {
  co_await world.serve<Diary>();
  auto diary = world.ref<Diary>("d");
  int runs = 0;
  must(co_await world.store().transact([&](Transaction& tx) -> Async<void> {
    ++runs;
    SEMPER_CO_TRY(const auto seen, co_await tx.get("seat"));
    SEMPER_CO_TRY_STATUS(co_await diary.cast_in<Diary::Note>(tx, "run " + std::to_string(runs)));
    if (runs == 1) {
      SEMPER_CO_TRY_STATUS(co_await world.store().transact([](Transaction& faster) -> Async<void> {
        faster.set("seat", "taken");
        co_return Status{};
      }));
    }
    tx.set("seat", "mine");
    co_return Status{};
  }));
  EXPECT_GE(runs, 2);
  co_await world.until_processed(diary.untyped());
  EXPECT_EQ(must(co_await diary.call<Diary::Lines>()), list("run " + std::to_string(runs)));
}

// The process that serves the type knows the entity, and runs calls without reading: they come
// behind.
SERVER_TEST(CastIn, a_call_of_the_serving_process_does_not_overtake_what_was_sent_before) {
  auto& server = *co_await world.serve<Diary>();
  const auto at_home = [&]() -> Task<void> {
    auto diary = server.ref<Diary>("d");
    for (int round = 0; round < 20; ++round) {
      const std::string number = std::to_string(round);
      must(co_await diary.call<Diary::Note>("call " + number));
      must(co_await server.store().transact([&](Transaction& tx) -> Async<void> {
        co_return co_await diary.cast_in<Diary::Note>(tx, "cast " + number);
      }));
      const auto lines = must(co_await diary.call<Diary::Lines>());
      EXPECT_EQ(lines.size(), static_cast<std::size_t>(2 * round + 2));
      EXPECT_EQ(lines.back(), "cast " + number);
    }
  };
  co_await server.run(at_home());
}

SERVER_TEST_WITH(SmallCastIn, what_is_too_large_or_of_another_store_is_refused_and_writes_nothing,
                 "?value_bytes=20000&transaction_bytes=60000") {
  auto diary = world.ref<Diary>("d");
  auto stranger = must(co_await open_store("memory:"));
  must(co_await world.store().transact([&](Transaction& tx) -> Async<void> {
    const Error large =
        must_fail(co_await diary.cast_in<Diary::Note>(tx, std::string(30'000, 'x')));
    EXPECT_EQ(large.kind(), ErrorKind::exhausted);
    EXPECT_STREQ(large.limit()->name, "value_bytes");
    Batch<Diary> batch;
    for (int i = 0; i < 4; ++i) batch.add<Diary::Note>(std::string(10'000, 'x'));
    const Error batch_error = must_fail(co_await diary.cast_in(tx, std::move(batch)));
    EXPECT_EQ(batch_error.kind(), ErrorKind::exhausted);
    EXPECT_STREQ(batch_error.limit()->name, "transaction_bytes");
    auto nameless = world.ref<Diary>("");
    EXPECT_EQ(must_fail(co_await nameless.cast_in<Diary::Note>(tx, "x")).kind(),
              ErrorKind::invalid_argument);
    EXPECT_EQ(tx.operation_count(), 0u);
    co_return Status{};
  }));
  must(co_await stranger.transact([&](Transaction& tx) -> Async<void> {
    const Error error = must_fail(co_await diary.cast_in<Diary::Note>(tx, "x"));
    EXPECT_EQ(error.kind(), ErrorKind::invalid_argument);
    EXPECT_NE(error.message().find("not of the store"), std::string::npos) << error.to_string();
    EXPECT_EQ(tx.operation_count(), 0u);
    co_return Status{};
  }));
}

SERVER_TEST(SmallCastIn, a_cast_past_the_writes_that_can_be_numbered_is_refused) {
  auto diary = world.ref<Diary>("d");
  Transaction tx = world.store().begin();
  for (std::size_t i = 0; i < kCastInOperations; ++i) tx.add("count", 1);
  const Error error = must_fail(co_await diary.cast_in<Diary::Note>(tx, "x"));
  EXPECT_EQ(error.kind(), ErrorKind::exhausted);
  EXPECT_STREQ(error.limit()->name, "kCastInOperations");
  EXPECT_EQ(tx.operation_count(), kCastInOperations);
}

}  // namespace
}  // namespace semper::testing
