// Every public coroutine of a ring's sides, cut off at each of its awaits, by a cancellation or
// because its loop is destroyed. Afterwards the same handle goes on, and the ring is in order.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>

#include "ring/interruption_test_support.h"
#include "semper/env/cancellation.h"
#include "semper/ring/journal.h"

namespace semper::ring {
namespace {

using namespace std::chrono_literals;
using semper::testing::at_each_await;
using semper::testing::Interruption;
using ::testing::AnyOf;
using testing::Case;
using testing::Cut;

class RingInterruption : public ::testing::TestWithParam<Case> {
 protected:
  // Does `operation` on a fresh ring for each await of it, cuts it off there, and looks at the
  // ring.
  template <class Operation, class Check>
  void at_each(Operation operation, Check check) {
    const auto tried = at_each_await([&](std::size_t steps) {
      SCOPED_TRACE("interrupted after " + std::to_string(steps) + " steps");
      Cut world(GetParam());
      world.attach();
      const auto outcome = world.cut(operation(world), steps);
      check(world, outcome.result);
      return outcome.interrupted && !HasFatalFailure();
    });
    EXPECT_GT(tried, 0u);
  }
};

INSTANTIATE_TEST_SUITE_P(, RingInterruption, ::testing::ValuesIn(testing::all_cases()),
                         [](const auto& instance) { return testing::name_of(instance.param); });

TEST_P(RingInterruption, a_publish_leaves_all_of_its_item_or_nothing) {
  at_each([](Cut& world) { return world.producer->publish("cut"); },
          [](Cut& world, const std::optional<Result<Position>>& result) {
            if (result && *result) {
              world.expect_in_order({"two", "three", "cut"});
            } else {
              world.expect_in_order({"two", "three"}, "cut");
            }
          });
}

TEST_P(RingInterruption, a_push_and_its_advance_leave_all_of_the_item_or_nothing) {
  at_each(
      [](Cut& world) -> Async<void> {
        auto& producer = *world.producer;
        SEMPER_CO_TRY(const Position end, co_await producer.push("cut"));
        SEMPER_CO_TRY_STATUS(
            not_cancelled(co_await asio::this_coro::cancellation_state));
        co_return co_await producer.advance(end);
      },
      [](Cut& world, const auto&) { world.expect_in_order({"two", "three"}, "cut"); });
}

TEST_P(RingInterruption, a_publish_that_waits_for_room_gives_its_place_up) {
  const Bytes large(40 << 10, 'x');
  at_each(
      [&](Cut& world) {
        while (world.loop.run(world.producer->publish(large))) {
        }
        return world.producer->publish(large, world.clock.after(1s));
      },
      [&](Cut& world, const auto&) {
        const auto end = world.loop.run(
            world.consumer->for_each([](const ItemView&) -> Status { return {}; }));
        ASSERT_OK(end);
        ASSERT_OK(world.loop.run(world.consumer->advance(*end)));
        EXPECT_OK(world.loop.run(world.producer->publish(large, world.clock.after(10s))));
      });
}

TEST_P(RingInterruption, a_publish_that_waits_for_the_end_of_a_pause_gives_its_place_up) {
  at_each(
      [](Cut& world) {
        EXPECT_OK(world.loop.run(world.consumer->suspend()));
        EXPECT_OK(world.loop.run(world.producer->state()));
        return world.producer->publish("cut", world.clock.after(3s));
      },
      [](Cut& world, const std::optional<Result<Position>>& result) {
        EXPECT_FALSE(result && *result) << "a suspended ring has taken an item";
        ASSERT_OK(world.loop.run(world.consumer->resume()));
        ASSERT_OK(world.loop.run(world.producer->state()));
        world.expect_in_order({"two", "three"});
      });
}

TEST_P(RingInterruption, passing_over_items_or_telling_about_oneself_changes_nothing) {
  at_each(
      [](Cut& world) -> Async<void> {
        auto& producer = *world.producer;
        auto& consumer = *world.consumer;
        SEMPER_CO_TRY(const DebugInfo of_producer, co_await producer.debug_info());
        SEMPER_CO_TRY_STATUS(not_cancelled(co_await asio::this_coro::cancellation_state));
        SEMPER_CO_TRY(const DebugInfo of_consumer, co_await consumer.debug_info());
        SEMPER_CO_TRY_STATUS(not_cancelled(co_await asio::this_coro::cancellation_state));
        SEMPER_CO_TRY(const Position next, co_await consumer.resync(consumer.consumed()));
        EXPECT_GT(next, consumer.consumed());
        co_return Status{};
      },
      [](Cut& world, const auto&) {
        world.expect_in_order({"two", "three"});
      });
}

TEST_P(RingInterruption, a_producers_detach_frees_its_role_when_all_is_written_and_not_before) {
  at_each([](Cut& world) { return world.producer->detach(); },
          [](Cut& world, const auto&) {
            auto other = world.loop.run(Producer::attach(*world.producer_device, world.options()));
            if (!other) {  // it had not begun
              EXPECT_EQ(other.error().kind(), ErrorKind::conflict);
              EXPECT_OK(world.loop.run(world.producer->detach()));
              other = world.loop.run(Producer::attach(*world.producer_device, world.options()));
            }
            ASSERT_OK(other);
            world.producer.emplace(std::move(*other));
            world.expect_in_order({"two", "three"});
          });
}

TEST_P(RingInterruption, a_consumers_detach_can_be_called_again) {
  at_each([](Cut& world) { return world.consumer->detach(); },
          [](Cut& world, const auto&) {
            EXPECT_OK(world.loop.run(world.consumer->detach()));
            auto other = world.loop.run(Consumer::attach(*world.consumer_device, world.options()));
            ASSERT_OK(other);
            world.consumer.emplace(std::move(*other));
            world.expect_in_order({"two", "three"});
          });
}

TEST_P(RingInterruption, a_pop_spoils_nothing_for_the_next_one) {
  at_each([](Cut& world) { return world.consumer->pop(); },
          [](Cut& world, const std::optional<Result<Item>>& result) {
            if (result && *result) {
              EXPECT_EQ((*result)->bytes, "two");
            }
            EXPECT_EQ(world.loop.run(world.consumer->pop())->bytes, "two");
            world.expect_in_order({"two", "three"});
          });
}

TEST_P(RingInterruption, a_pop_that_waits_gives_its_place_up) {
  at_each(
      [](Cut& world) -> Async<std::vector<Item>> {
        auto& consumer = *world.consumer;
        SEMPER_CO_TRY(const auto items, co_await consumer.pop_many());
        SEMPER_CO_TRY_STATUS(
            not_cancelled(co_await asio::this_coro::cancellation_state));
        const MonotonicTime deadline = world.clock.after(3s);
        co_return co_await consumer.pop_many(items.back().after, {}, deadline);
      },
      [](Cut& world, const auto&) { world.expect_in_order({"two", "three"}); });
}

TEST_P(RingInterruption, an_advance_does_not_kill_the_consumer) {
  at_each(
      [](Cut& world) {
        const auto second = world.loop.run(world.consumer->pop());
        return world.consumer->advance(second->after);
      },
      [](Cut& world, const auto&) {
        const auto next = world.loop.run(world.consumer->pop());
        ASSERT_OK(next);
        EXPECT_THAT(next->bytes, AnyOf("two", "three"));
        ASSERT_OK(world.loop.run(world.consumer->advance(next->after)));
        if (next->bytes == "two") {
          world.expect_in_order({"three"});
        } else {
          world.expect_in_order({});
        }
      });
}

TEST_P(RingInterruption, a_suspend_can_be_asked_for_again_and_reaches_the_producer) {
  at_each([](Cut& world) { return world.consumer->suspend(); },
          [](Cut& world, const auto&) {
            ASSERT_OK(world.loop.run(world.consumer->suspend()));
            EXPECT_EQ(testing::kind_of(world.loop.run(world.producer->publish("no"))),
                      ErrorKind::suspended);
            ASSERT_OK(world.loop.run(world.consumer->resume()));
            EXPECT_OK(world.loop.run(world.producer->state()));
            world.expect_in_order({"two", "three"});
          });
}

TEST_P(RingInterruption, questions_change_nothing) {
  at_each(
      [](Cut& world) -> Async<void> {
        auto& producer = *world.producer;
        auto& consumer = *world.consumer;
        SEMPER_CO_TRY(const State one, co_await producer.state());
        if ((co_await asio::this_coro::cancellation_state).cancelled() !=
            asio::cancellation_type::none) {
          co_return Status{};
        }
        SEMPER_CO_TRY(const State other, co_await consumer.state());
        if ((co_await asio::this_coro::cancellation_state).cancelled() !=
            asio::cancellation_type::none) {
          co_return Status{};
        }
        EXPECT_EQ(one, other);
        SEMPER_CO_TRY(const Info info, co_await inspect(*world.consumer_device));
        EXPECT_GT(info.capacity, 0u);
        co_return Status{};
      },
      [](Cut& world, const auto&) { world.expect_in_order({"two", "three"}); });
}

TEST_P(RingInterruption, an_attach_leaves_a_ring_that_can_be_attached) {
  at_each(
      [](Cut& world) -> Async<void> {
        world.producer.reset();
        world.consumer.reset();
        SEMPER_CO_TRY(auto made_producer,
                      co_await Producer::attach(*world.producer_device, world.options()));
        world.producer.emplace(std::move(made_producer));
        if ((co_await asio::this_coro::cancellation_state).cancelled() !=
            asio::cancellation_type::none) {
          co_return Status{};
        }
        SEMPER_CO_TRY(auto made_consumer,
                      co_await Consumer::attach(*world.consumer_device, world.options()));
        world.consumer.emplace(std::move(made_consumer));
        co_return Status{};
      },
      [](Cut& world, const auto&) {
        world.producer.reset();
        world.consumer.reset();
        auto producer = world.loop.run(Producer::attach(*world.producer_device, world.options()));
        ASSERT_OK(producer);
        world.producer.emplace(std::move(*producer));
        auto consumer = world.loop.run(Consumer::attach(*world.consumer_device, world.options()));
        ASSERT_OK(consumer);
        world.consumer.emplace(std::move(*consumer));
        world.expect_in_order({"two", "three"});
      });
}

// A write that hangs, and a detach that is given up meanwhile: the old write must not land on what
// a successor was told is there.
TEST(RingInterruptionOfWrites, a_role_is_not_let_go_while_a_write_is_under_way) {
  Cut world({Format::semper_1, Interruption::cancel});
  world.attach();
  world.disk->set_faults({});
  world.disk->fail_write(1, semper::testing::WriteFault::stuck);
  const auto push = world.loop.interrupt(world.producer->publish("old"), 20, Interruption::cancel);
  EXPECT_TRUE(push.interrupted);
  const auto left = world.loop.interrupt(world.producer->detach(), 20, Interruption::cancel);
  ASSERT_TRUE(left.interrupted);
  EXPECT_EQ(testing::kind_of(*left.result), ErrorKind::cancelled);
  auto other = world.loop.run(Producer::attach(*world.producer_device, world.options()));
  EXPECT_EQ(testing::kind_of(other), ErrorKind::conflict);
  world.disk->release();
  EXPECT_OK(world.loop.run(world.producer->detach()));
  other = world.loop.run(Producer::attach(*world.producer_device, world.options()));
  ASSERT_OK(other);
  world.producer.emplace(std::move(*other));
  world.expect_in_order({"two", "three", "old"});
}

// Who comes first must not decide for the others: its loop may go, or never run again.
TEST(RingOfSeveralLoops, a_write_goes_on_when_the_loop_that_began_it_is_destroyed) {
  Cut world({Format::semper_1, Interruption::destroy_loop});
  world.attach();
  world.disk->set_faults({});
  world.disk->fail_write(1, semper::testing::WriteFault::stuck);
  const auto first =
      world.loop.interrupt(world.producer->publish("first"), 20, Interruption::destroy_loop);
  EXPECT_TRUE(first.interrupted);
  world.disk->release();
  EXPECT_OK(world.loop.run(world.producer->publish("other")));
  world.expect_in_order({"two", "three", "first", "other"});
}

TEST(RingOfSeveralLoops, a_loop_that_never_runs_again_holds_nobody_up) {
  Cut world({Format::semper_1, Interruption::destroy_loop});
  world.attach();
  world.disk->set_faults({});
  asio::io_context idle(1);
  const auto publish = [](Cut& on) -> Task<void> {
    static_cast<void>(co_await on.producer->publish("first"));
  };
  asio::co_spawn(idle, publish(world), asio::detached);
  idle.poll_one();  // it has handed its item over, and is not run any more
  EXPECT_OK(world.loop.run(world.producer->publish("other")));
  world.expect_in_order({"two", "three", "first", "other"});
}

// A call that was begun on a loop which is run for so many steps and never again.
struct Abandoned {
  const char* name;
  Task<void> (*run)(Cut& world);
  const char* item = "";  // that may be in the ring afterwards
};

Task<void> pop_abandoned(Cut& world) {
  static_cast<void>(co_await world.consumer->pop());
}
Task<void> visit_abandoned(Cut& world) {
  static_cast<void>(
      co_await world.consumer->for_each([](const ItemView&) -> Status { return {}; }));
}
Task<void> ask_the_consumer_abandoned(Cut& world) {
  static_cast<void>(co_await world.consumer->state());
}
Task<void> resync_abandoned(Cut& world) {
  static_cast<void>(co_await world.consumer->resync(world.consumer->consumed()));
}
Task<void> ask_the_producer_abandoned(Cut& world) {
  static_cast<void>(co_await world.producer->state());
}
Task<void> publish_abandoned(Cut& world) {
  const Bytes item = "abandoned";
  static_cast<void>(co_await world.producer->publish(item));
}
Task<void> wait_and_publish_abandoned(Cut& world) {
  const Bytes item = "abandoned";
  static_cast<void>(co_await world.producer->publish(item, kNever));
}

constexpr Abandoned kAbandoned[] = {
    {"pop", pop_abandoned},
    {"for_each", visit_abandoned},
    {"Consumer::state", ask_the_consumer_abandoned},
    {"resync", resync_abandoned},
    {"Producer::state", ask_the_producer_abandoned},
    {"publish", publish_abandoned, "abandoned"},
    {"publish with a deadline", wait_and_publish_abandoned, "abandoned"},
};

// False: it came to its end before.
bool run_and_abandon(Cut& world, asio::io_context& idle, Task<void> call, std::size_t steps) {
  const auto ended = std::make_shared<bool>(false);  // some run on later
  asio::co_spawn(idle, std::move(call), [ended](std::exception_ptr) { *ended = true; });
  for (std::size_t done = 0; done < steps && !*ended; ++done) {
    idle.restart();
    if (idle.poll_one() == 0) world.clock.advance_to_next_timer(world.clock.after(1s));
  }
  return !*ended;
}

TEST(RingOfSeveralLoops, a_call_on_a_loop_that_never_runs_again_holds_nobody_up) {
  for (const Format format : {Format::semper_1, Format::mirage_1_0}) {
    for (const auto& call : kAbandoned) {
      const auto tried = at_each_await([&](std::size_t steps) {
        SCOPED_TRACE(std::string(call.name) + " after " + std::to_string(steps) + " steps");
        Cut world({format, Interruption::destroy_loop});
        world.attach();
        asio::io_context idle(1);
        const bool abandoned = run_and_abandon(world, idle, call.run(world), steps);
        world.expect_in_order({"two", "three"}, call.item);
        return abandoned && !::testing::Test::HasFailure();
      });
      EXPECT_GT(tried, 1u) << call.name;
    }
  }
}

// What takes a side, on a loop that is run for so many steps and never again.
struct Taken {
  std::optional<Result<Producer>> producer;
  std::optional<Result<Consumer>> consumer;
  std::optional<Result<Journal>> journal;

  bool is_held() const {
    return (producer && *producer) || (consumer && *consumer) || (journal && *journal);
  }
};
struct Taker {
  const char* name;
  Task<void> (*run)(Cut& world, Taken& taken);
};

Task<void> take_producer(Cut& world, Taken& taken) {
  auto attached = co_await Producer::attach(*world.producer_device, world.options());
  taken.producer.emplace(std::move(attached));
}
Task<void> take_consumer(Cut& world, Taken& taken) {
  auto attached = co_await Consumer::attach(*world.consumer_device, world.options());
  taken.consumer.emplace(std::move(attached));
}
Task<void> take_both(Cut& world, Taken& taken) {
  JournalOptions chosen;
  chosen.ring = world.options();
  const Journal::Perform perform = [](const std::vector<Item>&) -> Async<void> {
    co_return Status{};
  };
  auto started = co_await Journal::start(*world.producer_device, perform, chosen);
  taken.journal.emplace(std::move(started));
}
Task<void> make_anew(Cut& world, Taken&) {
  CreateOptions chosen;
  chosen.env = world.env();
  chosen.overwrite = Overwrite::also_a_ring;
  static_cast<void>(co_await create(*world.producer_device, chosen));
}

constexpr Taker kTakers[] = {
    {"Producer::attach", take_producer},
    {"Consumer::attach", take_consumer},
    {"Journal::start", take_both},
    {"create", make_anew},
};

TEST(RingOfSeveralLoops, what_takes_a_side_on_a_loop_that_never_runs_again_lets_it_go) {
  for (const bool alone : {false, true}) {
    for (const auto& taker : kTakers) {
      const auto tried = at_each_await([&](std::size_t steps) {
        SCOPED_TRACE(std::string(taker.name) + (alone ? " alone" : "") + " after " +
                     std::to_string(steps) + " steps");
        Cut world({Format::semper_1, Interruption::destroy_loop, alone});
        Taken taken;
        asio::io_context idle(1);
        if (!run_and_abandon(world, idle, taker.run(world, taken), steps)) return false;
        if (taken.is_held()) return true;  // it has come to its end, and is in the caller's hand
        world.loop.pass(10s);
        const auto producer_device = world.open();
        const auto consumer_device = world.open();
        auto options = world.options();
        if (std::string(taker.name) != "create") options.take_over = TakeOver::no;
        auto producer = world.loop.run(Producer::attach(*producer_device, options));
        auto consumer = world.loop.run(Consumer::attach(*consumer_device, options));
        EXPECT_OK(producer);
        EXPECT_OK(consumer);
        if (!producer || !consumer) return false;
        EXPECT_OK(world.loop.run(producer->publish("one")));
        EXPECT_OK(world.loop.run(consumer->pop()));
        // It runs again after all, and takes nothing from those who have the sides now.
        for (int step = 0; step < 1'000; ++step) {
          idle.restart();
          if (idle.poll_one() == 0) world.clock.advance_to_next_timer(world.clock.after(1s));
        }
        if (!alone) {
          EXPECT_FALSE(taken.is_held());
          EXPECT_OK(world.loop.run(producer->publish("two")));
        }
        return !::testing::Test::HasFailure();
      });
      EXPECT_GT(tried, 1u) << taker.name;
    }
  }
}

Task<void> wait_for_room_abandoned(Cut& world, const Bytes& item) {
  static_cast<void>(co_await world.producer->publish(item, kNever));
}

// Who waits for room has a place in the line; where its loop does not run, the line goes on without
// it.
TEST(RingOfSeveralLoops, one_that_waits_for_room_and_never_runs_again_keeps_nobody_out) {
  Cut world({Format::semper_1, Interruption::destroy_loop});
  world.attach();
  world.disk->set_faults({});
  const Bytes large(40 << 10, 'x');
  while (world.loop.run(world.producer->publish(large))) {
  }
  asio::io_context idle(1);
  asio::co_spawn(idle, wait_for_room_abandoned(world, large), asio::detached);
  while (idle.poll() > 0) {  // it waits
  }
  const auto end =
      world.loop.run(world.consumer->for_each([](const ItemView&) -> Status { return {}; }));
  ASSERT_OK(end);
  ASSERT_OK(world.loop.run(world.consumer->advance(*end)));
  const MonotonicTime limit = world.clock.after(10s);
  EXPECT_OK(world.loop.run(world.producer->publish(large, limit)));
  EXPECT_OK(world.loop.run(world.producer->publish("small")));
  EXPECT_LT(world.clock.now(), limit);
  const auto items =
      world.loop.run(world.consumer->for_each([](const ItemView&) -> Status { return {}; }));
  EXPECT_OK(items);
}

}  // namespace
}  // namespace semper::ring
