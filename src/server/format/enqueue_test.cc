// What an Enqueuer writes into the queues of one transaction.
#include "server/format/enqueue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "semper/open_store.h"
#include "semper/testing/simulated_run.h"
#include "server/format/target.h"

namespace semper::internal {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::simulated_run;
using testing::SimulatedClock;

// Runs a case on a store in memory, in simulated time.
template <class F>
void with_store(F f) {
  SimulatedClock clock;
  Env env;
  env.clock = &clock;
  simulated_run(clock, [&]() -> Task<void> {
    register_builtin_backends();
    auto backend = co_await open_backend("memory:", env);
    const Store store(std::move(backend).value(), env);
    co_await f(store);
  }());
}

RawMessage named(std::string name, std::size_t bytes = 1) {
  return {std::move(name), Bytes(bytes, 'x')};
}

// The names of the messages in each segment of the queue.
Async<std::vector<std::vector<std::string>>> segments_of(Store store, const Target& target) {
  const KeyRange queue = target.keys.queue();
  SEMPER_CO_TRY(const auto page, co_await store.transact([&](Transaction& transaction) {
    return transaction.get_range(queue);
  }));
  std::vector<std::vector<std::string>> segments;
  for (const auto& row : page.rows) {
    SEMPER_CO_TRY(const auto messages, decode_segment(row.value));
    auto& names = segments.emplace_back();
    for (const auto& message : messages) names.push_back(message.content.name);
  }
  co_return segments;
}
Async<std::uint64_t> pushed_to(Store store, const Target& target) {
  const Bytes key = target.keys.pushed();
  SEMPER_CO_TRY(const auto pushed, co_await store.transact([&](Transaction& transaction) {
    return transaction.get(key);
  }));
  co_return counter_value(pushed);
}

TEST(Enqueuer, messages_of_several_senders_to_one_queue_share_a_segment_in_their_order) {
  with_store([](const Store& store) -> Task<void> {
    const Target to(store, {"Log", "1"});
    const ReplyToken caller{"12345678", 7};
    const Status sent = co_await store.transact([&](Transaction& transaction) -> Async<void> {
      Enqueuer enqueuer(transaction);
      enqueuer.to(to.keys);
      enqueuer.add(Event::cast, named("a"));
      enqueuer.add(Event::call, named("b"), caller);
      enqueuer.add(Event::cast, named("c"));
      enqueuer.finish();
      co_return Status{};
    });
    EXPECT_TRUE(sent);
    const auto segments = co_await segments_of(store, to);
    EXPECT_THAT(segments.value(), ElementsAre(ElementsAre("a", "b", "c")));
    EXPECT_EQ((co_await pushed_to(store, to)).value(), 3u);
  });
}

TEST(Enqueuer, a_segment_is_closed_before_it_would_hold_more_than_its_bound) {
  with_store([](const Store& store) -> Task<void> {
    const Target to(store, {"Log", "1"});
    const Status sent = co_await store.transact([&](Transaction& transaction) -> Async<void> {
      Enqueuer enqueuer(transaction);
      enqueuer.to(to.keys);
      enqueuer.add(Event::cast, named("half", kSegmentBytes / 2));
      enqueuer.add(Event::cast, named("more than half", kSegmentBytes / 2));
      enqueuer.add(Event::cast, named("small"));
      enqueuer.finish();
      co_return Status{};
    });
    EXPECT_TRUE(sent);
    const auto segments = co_await segments_of(store, to);
    EXPECT_THAT(segments.value(),
                ElementsAre(ElementsAre("half"), ElementsAre("more than half", "small")));
  });
}

TEST(Enqueuer, each_queue_gets_its_own_and_one_without_messages_is_not_touched) {
  with_store([](const Store& store) -> Task<void> {
    const Target first(store, {"Log", "1"});
    const Target none(store, {"Log", "2"});
    const Target last(store, {"Log", "3"});
    const Status sent = co_await store.transact([&](Transaction& transaction) -> Async<void> {
      Enqueuer enqueuer(transaction);
      enqueuer.to(first.keys);
      enqueuer.add(Event::cast, named("to the first"));
      enqueuer.to(none.keys);
      enqueuer.to(last.keys);
      enqueuer.add(Event::cast, named("to the last"));
      enqueuer.finish();
      co_return Status{};
    });
    EXPECT_TRUE(sent);
    const auto to_first = co_await segments_of(store, first);
    const auto to_none = co_await segments_of(store, none);
    const auto to_last = co_await segments_of(store, last);
    EXPECT_THAT(to_first.value(), ElementsAre(ElementsAre("to the first")));
    EXPECT_THAT(to_none.value(), IsEmpty());
    EXPECT_THAT(to_last.value(), ElementsAre(ElementsAre("to the last")));
    const KeyRange nothing = none.keys.everything();
    const auto rows = co_await store.transact(
        [&](Transaction& transaction) { return transaction.get_range(nothing); });
    EXPECT_THAT(rows.value().rows, IsEmpty());
  });
}

}  // namespace
}  // namespace semper::internal
