// The lock: one holder at a time, and its work is done once more rather than lost. Leases that are
// lost: lock_loss_test.cc.
#include <algorithm>

#include "workshop.h"

namespace semper::testing {
namespace {

SERVER_SUITE(Locks);

using Lines = std::vector<std::string>;

SERVER_TEST(Locks, a_locked_result_is_written_back_and_answers_the_caller) {
  auto& server = *co_await world.serve<Workshop>();
  for (const bool local : {true, false}) {
    auto shop = local ? server.ref<Workshop>("local") : world.ref<Workshop>("queued");
    const auto call = Workshop::quick("called");
    EXPECT_EQ(must(co_await shop.call(call)), 1u);
    const auto cast = Workshop::quick("cast");
    must(co_await shop.cast(cast));
    co_await world.until_processed(shop.untyped());
    EXPECT_EQ(must(co_await shop.call(Workshop::Lines{})), list("called", "cast"));
    EXPECT_FALSE((co_await world.look(shop)).lock.has_value());
  }
  co_await world.until_clean();
}

SERVER_TEST(Locks, an_asynchronous_result_is_written_back_and_answers_the_caller) {
  auto workshop = std::make_shared<Workshop>();
  workshop->door_is_open = true;
  auto& server = *co_await world.serve(workshop);
  for (const bool local : {true, false}) {
    auto shop = local ? server.ref<Workshop>("local") : world.ref<Workshop>("queued");
    const auto call = Workshop::work("w");
    EXPECT_EQ(must(co_await shop.call(call)), 2u);
    EXPECT_EQ(must(co_await shop.call(Workshop::Lines{})), list("begin w", "host did w"));
  }
  EXPECT_EQ(workshop->events, (std::vector<Event>{Event::call, Event::call}));
  co_await world.until_clean();
}

SERVER_TEST(Locks, an_async_value_is_the_reply_and_its_error_too) {
  co_await world.serve<Workshop>();
  auto shop = world.ref<Workshop>("a");
  const CallOptions patient{world.patience()};
  const Workshop::Measure four{"four"};
  EXPECT_EQ(must(co_await shop.call(four, patient)), 4u);
  const Workshop::Measure nothing;
  const auto refused = must_fail(co_await shop.call(nothing, patient));
  EXPECT_EQ(refused.kind(), ErrorKind::invalid_argument);
  EXPECT_EQ(refused.message(), "nothing to measure");
  EXPECT_EQ(must(co_await shop.call(Workshop::Lines{}, patient)), list("four"));
  co_await world.until_clean();
}

SERVER_TEST(Locks, queued_messages_wait_for_the_lock_and_priority_ones_do_not) {
  auto workshop = std::make_shared<Workshop>();
  auto& server = *co_await world.serve(workshop);
  auto inside = server.ref<Workshop>("w");
  auto outside = world.ref<Workshop>("w");
  const auto first = Workshop::jot("before");
  must(co_await outside.cast(first));
  const auto locking = Workshop::work("w");
  must(co_await outside.cast(locking));
  co_await until_locked(world, outside);
  co_await world.eventually([&] { return workshop->entered == 1; });

  CallOptions patient{world.patience()};
  co_await world.in_parallel(3, [&](int who) -> Task<void> {
    if (who == 0) {
      const auto waits = Workshop::jot("from inside");
      must(co_await inside.call(waits, patient));
      co_return;
    }
    if (who == 1) {
      const auto waits = Workshop::jot("from outside");
      must(co_await outside.call(waits, patient));
      co_return;
    }
    co_await world.eventually(
        [&]() -> Task<bool> { co_return must(co_await outside.queue_length()) == 3; });
    EXPECT_EQ(must(co_await inside.priority_call(Workshop::Lines{})), list("before", "begin w"));
    const auto view = co_await world.look(outside);
    EXPECT_TRUE(view.lock.has_value());
    EXPECT_EQ(view.queue_length, 3u) << "the locked message and two that wait";
    workshop->door_is_open = true;
  });
  auto lines = must(co_await outside.call(Workshop::Lines{}, patient));
  EXPECT_EQ(lines.size(), 5u);
  if (lines.size() == 5) {
    EXPECT_EQ(list(lines[0], lines[1], lines[2]), list("before", "begin w", "host did w"));
    std::sort(lines.begin() + 3, lines.end());
    EXPECT_EQ(list(lines[3], lines[4]), list("from inside", "from outside"));
  }
  co_await world.until_clean();
}

SERVER_TEST(Locks, a_long_locked_task_is_renewed_and_nobody_takes_it_over) {
  // Longer than a disk stalls that others write to.
  HostOptions options = quick_options();
  options.lock_lease = 3s;
  auto holder = std::make_shared<Workshop>("holder");
  auto& server = *co_await world.serve(holder, options);
  auto shop = server.ref<Workshop>("w");
  const auto locking = Workshop::work("w");
  must(co_await shop.cast(locking));
  co_await world.eventually([&] { return holder->entered == 1; });
  auto other = std::make_shared<Workshop>("other");
  auto& watching = *co_await world.serve(other, options);
  // A message there makes the other host look at the lock, and wait for it.
  const auto waits = Workshop::jot("waits");
  must(co_await watching.ref<Workshop>("w").cast(waits));
  const auto until = world.clock().after(2 * options.lock_lease);
  co_await world.eventually([&] { return world.clock().now() >= until; });
  EXPECT_EQ(other->entered.load(), 0);
  EXPECT_EQ(watching.host().statistics().takeovers, 0u);
  holder->door_is_open = true;
  co_await world.until_processed(shop.untyped());
  EXPECT_EQ(must(co_await shop.call(Workshop::Lines{})), list("begin w", "holder did w", "waits"));
  EXPECT_EQ(holder->lost.load(), 0);
  co_await world.until_clean();
}

SERVER_TEST(Locks, another_host_takes_over_from_a_killed_holder_and_handles_the_same_message) {
  auto holder = std::make_shared<Workshop>("holder");
  auto& doomed = *co_await world.serve(holder);
  auto shop = world.ref<Workshop>("w");
  CallOptions patient{world.patience()};
  co_await world.in_parallel(2, [&](int who) -> Task<void> {
    if (who == 0) {
      const auto locking = Workshop::work("w");
      EXPECT_EQ(must(co_await shop.call(locking, patient)), 2u);
      co_return;
    }
    co_await world.eventually([&] { return holder->entered == 1; });
    const auto waits = Workshop::jot("waits");
    must(co_await shop.cast(waits));
    auto heir = std::make_shared<Workshop>("heir");
    heir->door_is_open = true;
    auto& second = *co_await world.serve(heir);
    doomed.kill();
    co_await world.until_processed(shop.untyped());
    EXPECT_EQ(second.host().statistics().takeovers, 1u);
    EXPECT_EQ(heir->entered.load(), 1);
    EXPECT_GT(heir->tokens.at(0), holder->tokens.at(0));
  });
  EXPECT_EQ(must(co_await shop.call(Workshop::Lines{}, patient)),
            list("begin w", "heir did w", "waits"));
  co_await world.until_clean();
}

SERVER_TEST(Locks, unlock_takes_it_away_and_the_message_is_handled_again) {
  auto workshop = std::make_shared<Workshop>();
  auto& server = *co_await world.serve(workshop);
  auto shop = world.ref<Workshop>("w");
  EXPECT_EQ(must_fail(co_await shop.untyped().unlock()).kind(), ErrorKind::not_found);
  const auto locking = Workshop::work("w");
  must(co_await shop.cast(locking));
  co_await world.eventually([&] { return workshop->entered == 1; });
  must(co_await shop.untyped().unlock());
  // The first run learns of it, the second one holds the lock.
  co_await world.eventually([&] { return workshop->lost > 0; });
  workshop->door_is_open = true;
  co_await world.until_processed(shop.untyped());
  EXPECT_EQ(workshop->entered.load(), 2);
  EXPECT_EQ(must(co_await shop.call(Workshop::Lines{})), list("begin w", "begin w", "host did w"))
      << "what the callback did before the lock is kept, and done again";
  static_cast<void>(server);
  co_await world.until_clean();
}

SERVER_TEST(Locks, fencing_tokens_grow_from_lock_to_lock) {
  auto workshop = std::make_shared<Workshop>();
  workshop->door_is_open = true;
  co_await world.serve(workshop);
  for (int i = 0; i < 6; ++i) {
    const auto locking = Workshop::work(std::to_string(i));
    must(co_await world.ref<Workshop>(std::to_string(i % 2)).call(locking));
  }
  EXPECT_EQ(workshop->tokens.size(), 6u);
  EXPECT_TRUE(std::is_sorted(workshop->tokens.begin(), workshop->tokens.end()));
  EXPECT_EQ(std::adjacent_find(workshop->tokens.begin(), workshop->tokens.end()),
            workshop->tokens.end());
}

SERVER_TEST(Locks, a_host_that_stops_tells_its_locked_tasks_and_keeps_what_they_return) {
  auto workshop = std::make_shared<Workshop>();
  workshop->leaves_when_lost = true;
  auto& server = *co_await world.serve(workshop);
  auto shop = world.ref<Workshop>("w");
  const auto locking = Workshop::work("w");
  must(co_await shop.cast(locking));
  co_await world.eventually([&] { return workshop->entered == 1; });
  must(co_await server.run(server.host().stop()));
  EXPECT_EQ(workshop->lost.load(), 1);
  const auto view = co_await world.look(shop);
  EXPECT_FALSE(view.lock.has_value());
  EXPECT_EQ(view.queue_length, 0u);
  EXPECT_EQ(decode<Lines>(*view.state).value(), list("begin w", "host did w"));
}

SERVER_TEST(Locks, a_locked_task_that_throws_is_retried_set_aside_and_its_caller_told) {
  auto workshop = std::make_shared<Workshop>();
  co_await world.serve(workshop);
  auto shop = world.ref<Workshop>("w");
  const Error error = must_fail(co_await shop.call(Workshop::Break{}));
  EXPECT_EQ(error.kind(), ErrorKind::internal);
  EXPECT_NE(error.message().find("broken in the workshop"), std::string::npos);
  EXPECT_EQ(workshop->entered.load(), quick_options().message_attempts);
  must(co_await shop.cast(Workshop::Break{}));
  const auto next = Workshop::jot("goes on");
  must(co_await shop.cast(next));
  co_await world.until_processed(shop.untyped());
  EXPECT_EQ(must(co_await shop.call(Workshop::Lines{})), list("goes on"));
  const auto dead = must(co_await list_dead_letters(world.store(), shop.entity()));
  EXPECT_EQ(dead.size(), 2u);
  for (const auto& letter : dead) {
    EXPECT_EQ(letter.message.name, "Break");
    EXPECT_NE(letter.reason.find("broken in the workshop"), std::string::npos) << letter.reason;
  }
  co_await world.until_clean();
}

SERVER_TEST(Locks, an_error_that_a_locked_task_replies_is_an_answer_and_keeps_the_state) {
  co_await world.serve<Workshop>();
  auto shop = world.ref<Workshop>("w");
  const Error error = must_fail(co_await shop.call(Workshop::Refuse{}));
  EXPECT_EQ(error.kind(), ErrorKind::permission);
  EXPECT_NE(error.message().find("not in this workshop"), std::string::npos);
  EXPECT_EQ(must(co_await shop.call(Workshop::Lines{})), list("refused"));
  EXPECT_EQ((co_await world.look(shop)).dead_letters, 0u);
  co_await world.until_clean();
}

SERVER_TEST(Locks, a_locked_task_can_stop_the_entity) {
  auto workshop = std::make_shared<Workshop>();
  co_await world.serve(workshop);
  auto shop = world.ref<Workshop>("w");
  must(co_await shop.cast(Workshop::Finish{}));
  co_await world.until_processed(shop.untyped());
  co_await world.eventually([&] {
    std::lock_guard guard(workshop->mutex);
    return !workshop->ends.empty();
  });
  EXPECT_EQ(workshop->ends, list("finished 1"));
  EXPECT_EQ(must(co_await shop.call(Workshop::Lines{})), list("finish"));
}

SERVER_TEST(Locks, a_message_that_locks_but_has_no_locked_callback_is_refused) {
  co_await world.serve<Workshop>();
  auto shop = world.ref<Workshop>("w");
  const Error error = must_fail(co_await shop.call(Workshop::Unhandled{}));
  EXPECT_EQ(error.kind(), ErrorKind::not_found);
  EXPECT_NE(error.message().find("handle_locked"), std::string::npos) << error.to_string();
  const auto next = Workshop::jot("goes on");
  must(co_await shop.call(next));
  co_await world.until_clean();
}

SERVER_TEST(Locks, a_priority_message_can_not_take_it) {
  auto& server = *co_await world.serve<Workshop>();
  auto shop = server.ref<Workshop>("w");
  const auto locking = Workshop::quick("q");
  EXPECT_EQ(must_fail(co_await shop.priority_call(locking)).kind(), ErrorKind::unsupported);
  EXPECT_TRUE(must(co_await shop.call(Workshop::Lines{})).empty());
}

SERVER_TEST(Locks, an_entity_killed_while_locked_begins_anew_and_refuses_the_result) {
  auto workshop = std::make_shared<Workshop>();
  auto& server = *co_await world.serve(workshop);
  auto shop = world.ref<Workshop>("w");
  CallOptions patient{world.patience()};
  co_await world.in_parallel(2, [&](int who) -> Task<void> {
    if (who == 0) {
      const auto locking = Workshop::work("w");
      EXPECT_EQ(must_fail(co_await shop.call(locking, patient)).kind(), ErrorKind::closed);
      co_return;
    }
    co_await world.eventually([&] { return workshop->entered == 1; });
    must(co_await shop.kill());
    workshop->door_is_open = true;
  });
  co_await world.eventually([&] { return server.host().statistics().locks == 0; });
  EXPECT_TRUE(must(co_await shop.call(Workshop::Lines{}, patient)).empty());
  co_await world.until_clean();
}

}  // namespace
}  // namespace semper::testing
