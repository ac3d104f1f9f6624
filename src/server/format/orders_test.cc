#include "server/format/orders.h"

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "semper/open_store.h"
#include "semper/server/host.h"
#include "semper/server/inspect.h"
#include "semper/server/ref.h"
#include "semper/testing/faulty_backend.h"
#include "semper/testing/simulated_run.h"
#include "server/format/enqueue.h"
#include "server/format/idempotency.h"
#include "server/tally_test_support.h"

namespace semper::internal {
namespace {

using namespace std::chrono_literals;
using testing::simulated_run;
using testing::SimulatedClock;
using testing::Tally;

// Not in coroutines: g++ 12 destroys the members of aggregates there twice.
std::pair<QueuedMessage, QueuedMessage> a_cast_and_a_call() {
  const Bytes seven = encode(Tally::Add{7});
  return {QueuedMessage{Event::cast, {"Add", seven}, {}},
          QueuedMessage{Event::call, {"Add", seven}, {"12345678", 5}}};
}
Bytes a_living_session() {
  return encode_alive({"p", 1, 0, {}});
}

// A process with a host.
class Orders : public ::testing::Test {
 protected:
  void run(std::function<Task<void>()> body) {
    const auto whole = [&]() -> Task<void> {
      register_builtin_backends();
      auto inner = co_await open_backend("memory:", env());
      inner_ = std::move(inner).value();
      store_ = std::make_unique<Store>(inner_, env());
      HostOptions options;
      options.executor = co_await asio::this_coro::executor;
      host_ = std::make_unique<Host>(*store_, options);
      host_->serve<Tally>();
      EXPECT_TRUE(co_await host_->start());
      co_await body();
      EXPECT_TRUE(co_await host_->stop());
    };
    simulated_run(clock_, whole());
  }

  Env env() {
    Env made;
    made.clock = &clock_;
    return made;
  }
  Ref<Tally> local() { return ref<Tally>(*store_, "t"); }

  SimulatedClock clock_;
  std::shared_ptr<Backend> inner_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<Host> host_;
};

// A hold is no more than a wish: an order that is given meanwhile takes its place, and what has no
// order is free.
TEST_F(Orders, a_hold_gives_way_to_orders_and_is_given_by_one_at_a_time) {
  run([this]() -> Task<void> {
    const Target target(*store_, EntityId{"unserved", "t"});
    const auto ask = [&](HoldStamp instead_of) -> Async<bool> {
      co_return co_await store_->transact([&](Transaction& tx) {
        return ask_to_hold(tx, target.keys, std::chrono::hours(1), instead_of);
      });
    };
    const auto standing = [&]() -> Async<Standing> {
      co_return co_await store_->transact(
          [&](Transaction& tx) { return read_standing(tx, target.keys, ReadMode::serializable); });
    };
    const HoldStamp nobodys;
    EXPECT_EQ(co_await ask(nobodys), true);
    EXPECT_EQ(co_await ask(nobodys), false) << "another's stands";
    auto held = co_await standing();
    EXPECT_TRUE(held && held->order && held->order->kind == Order::Kind::hold);
    if (!held || !held->order) co_return;
    EXPECT_TRUE(held->has_collections());
    EXPECT_EQ(held->order->hold_ms, static_cast<std::uint64_t>(kHoldMaximum / 1ms));
    const HoldStamp stamp = hold_stamp(held->order->stamp);
    EXPECT_EQ(co_await ask(stamp), true) << "that one is over";
    EXPECT_TRUE(co_await store_->transact(
        [&](Transaction& tx) { return end_hold(tx, target.keys, stamp); }));
    held = co_await standing();
    EXPECT_TRUE(held && held->order) << "it is another's by now";
    const auto reset =
        co_await store_->transact([&](Transaction& tx) { return order_reset(tx, target); });
    EXPECT_EQ(reset, true);
    EXPECT_EQ(co_await ask(nobodys), true) << "the order is carried out first";
    held = co_await standing();
    EXPECT_TRUE(held && held->order && held->order->kind == Order::Kind::reset);
  });
}

TEST_F(Orders, a_hold_is_heeded_for_its_time_from_when_it_is_seen) {
  SeenHold seen;
  const MonotonicTime start = clock_.now();
  EXPECT_FALSE(seen.stands(std::nullopt, start));
  const std::optional<Hold> first = Hold{"first", 100ms};
  EXPECT_TRUE(seen.stands(first, start + 1s));
  EXPECT_TRUE(seen.stands(first, start + 1099ms));
  EXPECT_FALSE(seen.stands(first, start + 1100ms));
  const std::optional<Hold> second = Hold{"second", 24h};
  EXPECT_TRUE(seen.stands(second, start + 1100ms));
  EXPECT_FALSE(seen.stands(second, start + 1100ms + kHoldMaximum)) << "whatever its row says";
}

// An operator's process that is stopped right after the entity was killed.
TEST_F(Orders, a_kill_that_was_cut_off_is_carried_out_by_the_host_that_meets_it) {
  run([this]() -> Task<void> {
    const EntityId id{std::string(type_name<Tally>()), "t"};
    const Target target(*store_, id);
    auto called = co_await local().call(Tally::Add{100});
    EXPECT_TRUE(called);
    const auto [cast, call] = a_cast_and_a_call();
    const DeadLetterRecord letter{cast, "why", 0};
    const auto fill = [&](Transaction& tx) -> Async<void> {
      tx.set(session_key(target.tenant.prefix(), "12345678"), a_living_session());
      Enqueuer enqueuer(tx);
      enqueuer.to(target.keys);
      for (const auto* message : {&cast, &call}) {
        enqueuer.add(message->event, message->content, message->caller);
      }
      enqueuer.end_queue();
      tx.set_versionstamped_key(target.keys.dead_letter(0), target.keys.stamp_offset(),
                                encode_dead_letter(letter));
      co_return Status{};
    };
    EXPECT_TRUE(co_await store_->transact(fill));
    const auto ordered =
        co_await store_->transact([&](Transaction& tx) { return order_kill(tx, target); });
    EXPECT_TRUE(ordered && *ordered);
    auto view = co_await inspect(*store_, id);
    EXPECT_FALSE(view) << "it is dead, whatever still lies about";
    EXPECT_EQ((co_await local().queue_length()).value_or(99), 0u);
    EXPECT_TRUE((co_await peek_queue(*store_, id)).value_or(std::vector<QueuedView>()).empty());
    EXPECT_FALSE(co_await redrive_dead_letters(*store_, id)) << "dead letters are dead too";
    called = co_await local().call(Tally::Add{1});
    EXPECT_EQ(called.value_or(-1), 1);
    view = co_await inspect(*store_, id);
    EXPECT_TRUE(view);
    if (!view) co_return;
    EXPECT_EQ(view->dead_letters, 0u);
    EXPECT_EQ(view->queue_length, 0u);
    const Bytes address = reply_key(target.tenant.prefix(), "12345678", 5);
    const auto reply = co_await store_->transact([&](Transaction& tx) { return tx.get(address); });
    EXPECT_TRUE(reply && *reply);
    if (!reply || !*reply) co_return;
    const auto told = decode_reply(**reply);
    EXPECT_TRUE(told && !*told && told->error().kind() == ErrorKind::closed);
    const Bytes place = target.keys.order();
    const auto order = co_await store_->transact([&](Transaction& tx) { return tx.get(place); });
    EXPECT_TRUE(order && !*order);
  });
}

// The commit that removes it is on its way while somebody sends with the key again.
TEST_F(Orders, a_key_that_is_used_anew_while_a_killed_entity_is_removed_stays) {
  run([this]() -> Task<void> {
    const EntityId id{"unserved", "t"};
    const Target target(*store_, id);
    const Bytes row = target.keys.key("Add", "k");
    const auto use = [&](Transaction& tx) -> Async<void> {
      const KeyRecord record;
      tx.set_versionstamped_value(row, record.encode(), 0);
      co_return Status{};
    };
    EXPECT_TRUE(co_await store_->transact(use));
    const auto ordered =
        co_await store_->transact([&](Transaction& tx) { return order_kill(tx, target); });
    EXPECT_TRUE(ordered && *ordered);

    testing::StoreFaults all_are_slow;
    all_are_slow.slow = 1;
    const auto slow = std::make_shared<testing::FaultyBackend>(inner_, env(), all_are_slow);
    const Store slow_store(slow, env());
    const Target elsewhere(slow_store, id);
    bool is_over = false;
    const auto remove = [&]() -> Task<void> {
      EXPECT_EQ(co_await remove_killed(elsewhere, 10), true);
      is_over = true;
    };
    asio::co_spawn(co_await asio::this_coro::executor, remove(), asio::detached);
    EXPECT_TRUE(co_await sleep_for(clock_, 1us));
    EXPECT_FALSE(is_over);
    EXPECT_TRUE(co_await store_->transact(use));
    for (int i = 0; i < 100 && !is_over; ++i) EXPECT_TRUE(co_await sleep_for(clock_, 1s));
    EXPECT_TRUE(is_over);
    const auto left = co_await store_->transact([&](Transaction& tx) { return tx.get(row); });
    EXPECT_TRUE(left && *left);
  });
}

TEST_F(Orders, messages_of_the_first_segment_that_were_answered_are_not_answered_again) {
  run([this]() -> Task<void> {
    const EntityId id{"unserved", "t"};
    const Target target(*store_, id);
    auto [cast, first] = a_cast_and_a_call();
    auto second = first;
    second.caller.number = 6;
    Header header;
    header.popped = 1;
    header.head_offset = 1;
    const auto write = [&](Transaction& tx) -> Async<void> {
      tx.set(session_key(target.tenant.prefix(), "12345678"), a_living_session());
      Enqueuer enqueuer(tx);
      enqueuer.to(target.keys);
      for (const auto* message : {&first, &second}) {
        enqueuer.add(message->event, message->content, message->caller);
      }
      enqueuer.end_queue();
      tx.set_versionstamped_value(target.keys.header(), header.encode(), 0);
      co_return Status{};
    };
    EXPECT_TRUE(co_await store_->transact(write));
    EXPECT_TRUE(co_await RawRef(*store_, id).kill());
    const auto replies = co_await store_->transact([&](Transaction& tx) {
      return tx.get_range(replies_of(target.tenant.prefix(), "12345678"));
    });
    EXPECT_TRUE(replies);
    if (!replies) co_return;
    EXPECT_EQ(replies->rows.size(), 1u);
    const auto left = co_await store_->transact(
        [&](Transaction& tx) { return tx.get_range(target.keys.everything()); });
    EXPECT_TRUE(left && left->rows.empty());
  });
}

TEST(Order, survives_its_encoding_and_one_of_a_newer_kind_is_refused) {
  Order order;
  order.kind = Order::Kind::kill;
  order.stamp = Versionstamp::complete(7, 1, 0);
  order.done_of_first = 12;
  const auto decoded = Order::decode(order.encode());
  ASSERT_TRUE(decoded);
  EXPECT_EQ(decoded->kind, order.kind);
  EXPECT_EQ(decoded->stamp, order.stamp);
  EXPECT_EQ(decoded->done_of_first, order.done_of_first);
  Bytes newer = order.encode();
  newer[Versionstamp::size + 1] = 4;
  EXPECT_EQ(Order::decode(newer).error().kind(), ErrorKind::unsupported);
  for (std::size_t size = 0; size < order.encode().size(); ++size) {
    EXPECT_FALSE(Order::decode(BytesView(order.encode()).substr(0, size)));
  }
  Order hold;
  hold.kind = Order::Kind::hold;
  hold.stamp = order.stamp;
  hold.hold_ms = 250;
  const auto wish = Order::decode(hold.encode());
  ASSERT_TRUE(wish);
  EXPECT_EQ(wish->kind, Order::Kind::hold);
  EXPECT_EQ(wish->hold_ms, 250u);
  EXPECT_FALSE(wish->unlocks);
  EXPECT_FALSE(wish->done_of_first);
  order.done_of_first = 70'000;
  for (const char elements : {'\x80', '\x83'}) {
    Bytes other = order.encode();
    other[Versionstamp::size] = elements;
    EXPECT_FALSE(Order::decode(other)) << "it announces other elements than there are";
  }
}

}  // namespace
}  // namespace semper::internal
