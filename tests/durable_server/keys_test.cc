// Idempotency keys: what is sent again with its key runs once, and everybody gets the one reply.
#include <gmock/gmock.h>

#include <array>
#include <atomic>
#include <stdexcept>

#include "behaviours.h"
#include "semper/server/dead_letters.h"
#include "semper/server/list_keys.h"
#include "semper/server/list_timers.h"
#include "world.h"

namespace semper::testing {
namespace {

using namespace std::chrono_literals;
using namespace std::string_view_literals;
using ::testing::IsEmpty;

SERVER_SUITE(Keys);
SERVER_SUITE_ON(TimedKeys, worlds_in(TimeKind::simulated));

// Numbers what it does, so that two runs of one request have two replies.
struct Clerk {
  struct State {
    std::vector<std::string> done;
    std::vector<ReplyToken> waiting;
  };
  struct Do {
    std::string text;
    std::string how;
    using Reply = std::string;
  };
  struct Answer {
    std::string text;
  };
  struct Cancel {
    std::string timer;
  };
  struct Done {
    using Reply = std::vector<std::string>;
  };
  using Messages = semper::Messages<Do, Answer, Cancel, Done>;

  std::atomic<bool> is_mended{false};
  std::atomic<bool> may_go{false};

  Result<State> init(const EntityId&) { return State(); }
  static std::string receipt(const Do& m, State& s) {
    s.done.push_back(m.text);
    return std::to_string(s.done.size()) + " " + m.text;
  }
  Reply<std::string> handle_call(const Do& m, State& s, Context& context) {
    if (m.how == "throws" && !is_mended) throw std::runtime_error("it does not go");
    if (m.how == "locks") return lock();
    const std::string made = receipt(m, s);
    if (m.how == "refuses") return fail(ErrorKind::already_exists, made);
    if (m.how == "is long") return made + std::string(40'000, 'x');
    if (m.how == "later") {
      s.waiting.push_back(context.reply_token());
      return no_reply;
    }
    return made;
  }
  Outcome handle_cast(const Do& m, State& s, Context&) {
    if (m.how == "throws" && !is_mended) throw std::runtime_error("it does not go");
    if (m.how == "locks") return lock();
    receipt(m, s);
    return {};
  }
  Task<Reply<std::string>> handle_locked(const Do& m, State& s, LockedContext& context) {
    while (!may_go && !context.lost().stop_requested()) {
      static_cast<void>(co_await sleep_for(context.clock(), 2ms));
    }
    co_return receipt(m, s);
  }
  void handle_cast(const Cancel& m, State&, Context& context) { context.cancel_timer(m.timer); }
  void handle_cast(const Answer& m, State& s, Context& context) {
    for (const auto& token : s.waiting) context.reply(token, m.text);
    s.waiting.clear();
  }
  Reply<std::vector<std::string>> handle_call(const Done&, State& s, Context&) { return s.done; }
};

// Functions, for the sake of g++ 12 (behaviours.h).
Clerk::Do work_for_clerk(std::string text, std::string how = "") {
  return {std::move(text), std::move(how)};
}
CallOptions with(World& world, std::string_view key, Duration retention = 24h) {
  return {world.patience(), IdempotencyKey{key, retention}};
}
CastOptions cast_with(std::string_view key) {
  return {IdempotencyKey{key}};
}
std::vector<Ref<Clerk>> both(Ref<Clerk> one, Ref<Clerk> other) {
  std::vector<Ref<Clerk>> made;
  made.push_back(std::move(one));
  made.push_back(std::move(other));
  return made;
}
using Known = KeyedReply<std::string>::State;

Task<std::vector<std::string>> done_of(const Ref<Clerk>& clerk) {
  co_return must(co_await clerk.call<Clerk::Done>());
}
// Of the only key.
Task<std::size_t> attached_to(const Store& store, const Ref<Clerk>& clerk) {
  const auto keys = must(co_await list_keys(store, clerk.entity()));
  co_return keys.size() == 1 ? keys.front().attached_calls : 0;
}
Task<Known> state_of(const Ref<Clerk>& clerk, std::string_view key) {
  const auto known = must(co_await clerk.result_of<Clerk::Do>(key));
  co_return known.state;
}

SERVER_TEST(Keys, a_repeated_call_gets_the_first_ones_reply_wherever_it_comes_from) {
  auto& server = *co_await world.serve<Clerk>();
  const auto inside = server.ref<Clerk>("c");
  const auto outside = world.ref<Clerk>("c");
  const auto first = work_for_clerk("a");
  const auto second = work_for_clerk("b");
  EXPECT_EQ(must(co_await inside.call(first, with(world, "1"))), "1 a");
  EXPECT_EQ(must(co_await outside.call(first, with(world, "1"))), "1 a");
  EXPECT_EQ(must(co_await inside.call(first, with(world, "1"))), "1 a");
  EXPECT_EQ(must(co_await outside.call(second, with(world, "2"))), "2 b");
  EXPECT_EQ(must(co_await inside.call(second, with(world, "2"))), "2 b");
  EXPECT_EQ(must(co_await outside.call(second, with(world, "3"))), "3 b") << "another key";
  EXPECT_EQ(must(co_await outside.call(second)), "4 b") << "without a key it is a message like any";
  EXPECT_EQ(co_await done_of(inside), list("a", "b", "b", "b"));
  co_await world.until_clean();
}

SERVER_TEST(Keys, an_error_that_the_callback_replied_is_replied_again) {
  auto& server = *co_await world.serve<Clerk>();
  const auto refused = work_for_clerk("a", "refuses");
  const auto clerks = both(world.ref<Clerk>("c"), server.ref<Clerk>("c"));
  for (const auto& clerk : clerks) {
    const Error error = must_fail(co_await clerk.call(refused, with(world, "1")));
    EXPECT_EQ(error.kind(), ErrorKind::already_exists);
    EXPECT_EQ(error.message(), "1 a");
  }
  EXPECT_EQ(co_await done_of(server.ref<Clerk>("c")), list("a"));
}

SERVER_TEST(Keys, a_repeated_cast_does_nothing) {
  auto& server = *co_await world.serve<Clerk>();
  const auto outside = world.ref<Clerk>("c");
  const auto inside = server.ref<Clerk>("c");
  const auto note = work_for_clerk("a");
  for (int i = 0; i < 3; ++i) {
    must(co_await outside.cast(note, cast_with("1")));
    must(co_await inside.cast(note, cast_with("1")));
    must(co_await inside.cast(note, cast_with("2")));
    must(co_await outside.cast<Clerk::Do>(cast_with("2"), std::string("a"), std::string()));
  }
  co_await world.until_processed(outside.untyped());
  EXPECT_EQ(co_await done_of(inside), list("a", "a"));
  const auto known = must(co_await outside.result_of<Clerk::Do>("1"));
  EXPECT_EQ(known.state, Known::done);
  EXPECT_FALSE(known.reply) << "a cast has none";
}

SERVER_TEST(Keys, a_key_that_was_used_for_something_else_is_refused) {
  auto& server = *co_await world.serve<Clerk>();
  const auto first = work_for_clerk("a");
  const auto other = work_for_clerk("b");
  const auto clerks = both(server.ref<Clerk>("in"), world.ref<Clerk>("out"));
  for (const auto& clerk : clerks) {
    must(co_await clerk.call(first, with(world, "1")));
    const Error error = must_fail(co_await clerk.call(other, with(world, "1")));
    EXPECT_EQ(error.kind(), ErrorKind::invalid_argument) << error.to_string();
    EXPECT_EQ(must_fail(co_await clerk.cast(first, cast_with("1"))).kind(),
              ErrorKind::invalid_argument);
    EXPECT_EQ(co_await done_of(clerk), list("a"));
  }
  const auto elsewhere = world.ref<Clerk>("elsewhere");
  EXPECT_EQ(must(co_await elsewhere.call(other, with(world, "1"))), "1 b") << "another's key";
}

SERVER_TEST(Keys, calls_with_the_key_of_one_that_waits_in_the_queue_get_its_reply) {
  const auto clerk = world.ref<Clerk>("c");
  const auto request = work_for_clerk("a");
  const CallOptions hasty{50ms, IdempotencyKey{"1"}};
  EXPECT_EQ(co_await state_of(clerk, "1"), Known::absent);
  EXPECT_EQ(must_fail(co_await clerk.call(request, hasty)).kind(), ErrorKind::timeout);
  EXPECT_EQ(co_await state_of(clerk, "1"), Known::pending);
  EXPECT_EQ(must_fail(co_await clerk.call(request, hasty)).kind(), ErrorKind::timeout);
  EXPECT_EQ(must(co_await clerk.queue_length()), 1u) << "the second one is not queued";
  auto& other = *co_await world.process();
  co_await world.in_parallel(4, [&](int who) -> Task<void> {
    if (who == 3) {
      must(co_await sleep_for(world.clock(), 20ms));
      co_await world.serve<Clerk>();
      co_return;
    }
    const auto mine = who == 0 ? other.ref<Clerk>("c") : clerk;
    EXPECT_EQ(must(co_await mine.call(request, with(world, "1"))), "1 a");
  });
  EXPECT_EQ(co_await done_of(clerk), list("a"));
  const auto known = must(co_await clerk.result_of<Clerk::Do>("1"));
  EXPECT_EQ(known.state, Known::done);
  EXPECT_EQ(must(*known.reply), "1 a");
  EXPECT_GT(*known.kept_until, world.clock().wall_time() + 23h);
  co_await world.until_clean();
}

SERVER_TEST(Keys, calls_with_the_key_of_one_that_holds_the_lock_get_its_reply) {
  auto behaviour = std::make_shared<Clerk>();
  auto& server = *co_await world.serve<Clerk>(behaviour);
  const auto outside = world.ref<Clerk>("c");
  const auto request = work_for_clerk("a", "locks");
  co_await world.in_parallel(4, [&](int who) -> Task<void> {
    if (who == 3) {
      must(co_await sleep_for(world.clock(), 50ms));
      EXPECT_EQ(co_await state_of(outside, "1"), Known::pending);
      behaviour->may_go = true;
      co_return;
    }
    const auto clerk = who == 0 ? server.ref<Clerk>("c") : outside;
    EXPECT_EQ(must(co_await clerk.call(request, with(world, "1"))), "1 a");
  });
  EXPECT_EQ(must(co_await outside.call(request, with(world, "1"))), "1 a");
  EXPECT_EQ(co_await done_of(outside), list("a"));
  co_await world.until_clean();
}

SERVER_TEST(Keys, calls_with_the_key_of_one_that_is_answered_later_get_that_answer) {
  auto& server = *co_await world.serve<Clerk>();
  const auto outside = world.ref<Clerk>("c");
  const auto request = work_for_clerk("a", "later");
  const Clerk::Answer answer{"at last"};
  co_await world.in_parallel(5, [&](int who) -> Task<void> {
    if (who == 4) {
      co_await world.eventually(
          [&]() -> Task<bool> { co_return (co_await done_of(outside)).size() == 1; });
      must(co_await sleep_for(world.clock(), 50ms));
      EXPECT_EQ(co_await state_of(outside, "1"), Known::pending);
      must(co_await outside.cast(answer));
      co_return;
    }
    const auto clerk = who % 2 == 0 ? server.ref<Clerk>("c") : outside;
    EXPECT_EQ(must(co_await clerk.call(request, with(world, "1"))), "at last");
  });
  EXPECT_EQ(must(co_await outside.call(request, with(world, "1"))), "at last");
  EXPECT_EQ(must(co_await server.ref<Clerk>("c").call(request, with(world, "1"))), "at last");
  EXPECT_EQ(co_await done_of(outside), list("a"));
  co_await world.until_clean();
}

SERVER_TEST(TimedKeys, calls_that_wait_for_one_reply_are_bounded) {
  const auto clerk = world.ref<Clerk>("c");
  const auto request = work_for_clerk("a");
  const int waiting = static_cast<int>(kAttachedCallsMaximum) + 1;
  co_await world.in_parallel(waiting + 1, [&](int who) -> Task<void> {
    if (who < waiting) {
      EXPECT_EQ(must(co_await clerk.call(request, with(world, "1"))), "1 a");
      co_return;
    }
    co_await world.eventually([&]() -> Task<bool> {
      co_return co_await attached_to(world.store(), clerk) == kAttachedCallsMaximum;
    });
    const Error error = must_fail(co_await clerk.call(request, with(world, "1")));
    EXPECT_EQ(error.kind(), ErrorKind::retry);
    EXPECT_EQ(error.limit()->name, std::string("kAttachedCallsMaximum"));
    EXPECT_EQ(must_fail(co_await clerk.cast(request, cast_with("1"))).kind(),
              ErrorKind::invalid_argument);
    co_await world.serve<Clerk>();
  });
  EXPECT_EQ(must(co_await clerk.call(request, with(world, "2"))), "2 a");
  EXPECT_EQ(must(co_await clerk.call(request, with(world, "1"))), "1 a");
  co_await world.until_clean();
}

SERVER_TEST(TimedKeys, calls_that_do_not_wait_any_more_leave_their_places_to_others) {
  const auto clerk = world.ref<Clerk>("c");
  const auto request = work_for_clerk("a");
  const CallOptions hasty{20ms, IdempotencyKey{"1"}};
  for (std::size_t i = 0; i <= 2 * kAttachedCallsMaximum; ++i) {
    EXPECT_EQ(must_fail(co_await clerk.call(request, hasty)).kind(), ErrorKind::timeout) << i;
  }
  co_await world.eventually(
      [&]() -> Task<bool> { co_return co_await attached_to(world.store(), clerk) == 0; });
  co_await world.serve<Clerk>();
  EXPECT_EQ(must(co_await clerk.call(request, with(world, "1"))), "1 a");
  co_await world.until_clean();
}

SERVER_TEST(Keys, a_long_reply_is_kept_whole) {
  auto& server = *co_await world.serve<Clerk>();
  const auto request = work_for_clerk("a", "is long");
  const auto clerk = server.ref<Clerk>("c");
  const std::string whole = must(co_await clerk.call(request, with(world, "1")));
  EXPECT_EQ(whole.size(), 40'003u);
  EXPECT_EQ(must(co_await clerk.call(request, with(world, "1"))), whole);
  const auto outside = world.ref<Clerk>("c");
  EXPECT_EQ(must(co_await outside.call(request, with(world, "1"))), whole);
  must(co_await outside.kill());
  EXPECT_TRUE((co_await world.rows(entity_range(outside.entity(), 17))).empty());
}

SERVER_TEST(Keys, a_message_that_was_set_aside_answers_so_until_it_is_redriven) {
  auto behaviour = std::make_shared<Clerk>();
  co_await world.serve<Clerk>(behaviour);
  const auto clerk = world.ref<Clerk>("c");
  const auto request = work_for_clerk("a", "throws");
  for (int i = 0; i < 3; ++i) {
    const Error error = must_fail(co_await clerk.call(request, with(world, "1")));
    EXPECT_EQ(dead_letter_attempts(error), 3u) << error.to_string();
  }
  EXPECT_EQ(must(co_await count_dead_letters(world.store(), clerk.entity())), 1u);
  behaviour->is_mended = true;
  EXPECT_EQ(must(co_await redrive_dead_letters(world.store(), clerk.entity())), 1u);
  EXPECT_EQ(must(co_await clerk.call(request, with(world, "1"))), "1 a");
  EXPECT_EQ(must(co_await clerk.call(request, with(world, "1"))), "1 a");
  EXPECT_EQ(co_await done_of(clerk), list("a"));
  // A cast, too: the repeat does nothing, whatever became of the first.
  behaviour->is_mended = false;
  must(co_await clerk.cast(request, cast_with("2")));
  co_await world.until_processed(clerk.untyped());
  must(co_await clerk.cast(request, cast_with("2")));
  EXPECT_EQ(must(co_await count_dead_letters(world.store(), clerk.entity())), 1u);
  behaviour->is_mended = true;
  EXPECT_EQ(must(co_await redrive_dead_letters(world.store(), clerk.entity())), 1u);
  co_await world.until_processed(clerk.untyped());
  must(co_await clerk.cast(request, cast_with("2")));
  EXPECT_EQ(co_await done_of(clerk), list("a", "a"));
  co_await world.until_clean();
}

SERVER_TEST(TimedKeys, a_key_is_forgotten_when_its_retention_is_over_and_its_rows_go) {
  auto& server = *co_await world.serve<Clerk>();
  const auto clerk = world.ref<Clerk>("c");
  const auto inside = server.ref<Clerk>("c");
  const auto request = work_for_clerk("a");
  const auto later = work_for_clerk("b", "later");
  const auto long_one = work_for_clerk("c", "is long");
  EXPECT_EQ(must(co_await clerk.call(request, with(world, "1", 10min))), "1 a");
  const CallOptions hasty{20ms, IdempotencyKey{"2", 10min}};
  EXPECT_EQ(must_fail(co_await clerk.call(later, hasty)).kind(), ErrorKind::timeout);
  must(co_await inside.call(long_one, with(world, "3", 10min)));
  must(co_await sleep_for(world.clock(), 9min));
  EXPECT_EQ(must(co_await clerk.call(request, with(world, "1", 10min))), "1 a");
  must(co_await sleep_for(world.clock(), 61s));
  EXPECT_EQ(co_await state_of(clerk, "1"), Known::absent) << "reaped or not";
  EXPECT_EQ(co_await state_of(clerk, "2"), Known::pending) << "it is not done";
  co_await world.eventually([&]() -> Task<bool> {
    co_return (co_await world.rows(entity_range(clerk.entity(), 17))).size() == 1;
  });
  EXPECT_EQ(must(co_await clerk.call(request, with(world, "1", 10min))), "4 a") << "it runs again";
  const Clerk::Answer answer{"at last"};
  must(co_await clerk.cast(answer));
  co_await world.until_processed(clerk.untyped());
  EXPECT_EQ(must(co_await clerk.call(later, with(world, "2"))), "at last");
  must(co_await sleep_for(world.clock(), 12min));
  EXPECT_TRUE((co_await world.rows(entity_range(clerk.entity(), 17))).empty());
  const auto count = co_await world.rows(KeyRange::point(entity_key(clerk.entity(), 16)));
  EXPECT_EQ(count.size(), 1u);
  for (const auto& row : count) EXPECT_EQ(row.value, Bytes(8, '\0'));
}

SERVER_TEST(TimedKeys, a_key_that_is_beyond_a_host_keeps_it_from_forgetting_no_other) {
  co_await world.serve<Clerk>();
  const auto clerk = world.ref<Clerk>("c");
  const auto request = work_for_clerk("a");
  must(co_await clerk.call(request, with(world, "newer", 1min)));
  const auto rows = co_await world.rows(entity_range(clerk.entity(), 17));
  EXPECT_EQ(rows.size(), 1u);
  Bytes changed = rows.front().value;
  changed[Versionstamp::size + 1] = 9;  // the format of a newer program
  co_await world.put(rows.front().key, changed);
  must(co_await clerk.call(request, with(world, "mine", 2min)));
  must(co_await sleep_for(world.clock(), 4min));
  auto left = co_await world.rows(entity_range(clerk.entity(), 17));
  EXPECT_EQ(left.size(), 1u) << "the one that can be read is forgotten";
  for (const auto& row : left) EXPECT_EQ(row.value, changed);
  // Here again is a program that knows it.
  co_await world.put(rows.front().key, rows.front().value);
  must(co_await sleep_for(world.clock(), 1min));
  left = co_await world.rows(entity_range(clerk.entity(), 17));
  EXPECT_TRUE(left.empty()) << "its entry was lost";
}

SERVER_TEST(Keys, kill_forgets_keys_and_reset_does_not) {
  auto& server = *co_await world.serve<Clerk>();
  const auto clerk = world.ref<Clerk>("c");
  const auto request = work_for_clerk("a");
  const auto later = work_for_clerk("b", "later");
  must(co_await clerk.call(request, with(world, "1")));
  must(co_await clerk.reset());
  EXPECT_EQ(must(co_await clerk.call(request, with(world, "1"))), "1 a") << "it is done already";
  EXPECT_TRUE((co_await done_of(clerk)).empty());
  co_await world.in_parallel(3, [&](int who) -> Task<void> {
    if (who == 2) {
      co_await world.eventually(
          [&]() -> Task<bool> { co_return (co_await done_of(clerk)).size() == 1; });
      must(co_await sleep_for(world.clock(), 50ms));
      must(co_await server.ref<Clerk>("c").kill());
      co_return;
    }
    EXPECT_EQ(must_fail(co_await clerk.call(later, with(world, "2"))).kind(), ErrorKind::closed);
  });
  EXPECT_EQ(co_await state_of(clerk, "1"), Known::absent);
  EXPECT_TRUE((co_await world.rows(entity_range(clerk.entity(), 17))).empty());
  EXPECT_EQ(must(co_await clerk.call(request, with(world, "1"))), "1 a");
  EXPECT_EQ(co_await done_of(clerk), list("a"));
  co_await world.until_clean();
}

SERVER_TEST(Keys, keys_past_the_bound_of_an_entity_are_refused) {
  auto& server = *co_await world.serve<Clerk>();
  const auto clerk = world.ref<Clerk>("c");
  const auto request = work_for_clerk("a");
  must(co_await clerk.call(request, with(world, "old")));
  Bytes count;
  append_little_endian_u64(count, kIdempotencyKeysPerEntity);
  co_await world.put(entity_key(clerk.entity(), 16), count);
  const auto clerks = both(clerk, server.ref<Clerk>("c"));
  for (const auto& from : clerks) {
    const Error error = must_fail(co_await from.call(request, with(world, "new")));
    EXPECT_EQ(error.kind(), ErrorKind::exhausted) << error.to_string();
    EXPECT_EQ(error.limit()->name, std::string("kIdempotencyKeysPerEntity"));
    EXPECT_EQ(must_fail(co_await from.cast(request, cast_with("new"))).kind(),
              ErrorKind::exhausted);
    EXPECT_EQ(must(co_await from.call(request, with(world, "old"))), "1 a");
  }
  EXPECT_EQ(must(co_await clerk.call(request)), "2 a");
}

SERVER_TEST(Keys, what_is_no_key_is_refused) {
  auto& server = *co_await world.serve<Clerk>();
  const auto clerk = server.ref<Clerk>("c");
  const auto request = work_for_clerk("a");
  const std::string too_long(kIdempotencyKeyBytesMaximum + 1, 'k');
  std::vector<std::string> keys = list("", "\xff", too_long);
  for (const auto& key : keys) {
    EXPECT_EQ(must_fail(co_await clerk.call(request, with(world, key))).kind(),
              ErrorKind::invalid_argument);
    EXPECT_EQ(must_fail(co_await clerk.cast(request, cast_with(key))).kind(),
              ErrorKind::invalid_argument);
    EXPECT_EQ(must_fail(co_await clerk.result_of<Clerk::Do>(key)).kind(),
              ErrorKind::invalid_argument);
  }
  const std::array<Duration, 3> wrong = {Duration(0), Duration(-1s), kKeyRetentionMaximum + 1s};
  for (const Duration retention : wrong) {
    EXPECT_EQ(must_fail(co_await clerk.call(request, with(world, "1", retention))).kind(),
              ErrorKind::invalid_argument);
  }
  EXPECT_EQ(must_fail(co_await clerk.priority_call(request, with(world, "1"))).kind(),
            ErrorKind::invalid_argument);
  EXPECT_TRUE((co_await done_of(clerk)).empty());
}

SERVER_TEST(Keys, what_an_entity_remembers_is_listed_and_can_be_forgotten) {
  auto& server = *co_await world.serve<Clerk>();
  const auto clerk = world.ref<Clerk>("c");
  const auto done = work_for_clerk("a");
  const auto refused = work_for_clerk("b", "refuses");
  const auto long_one = work_for_clerk("c", "is long");
  const auto later = work_for_clerk("d", "later");
  must(co_await clerk.call(done, with(world, "1")));
  EXPECT_EQ(must_fail(co_await clerk.call(refused, with(world, "2"))).kind(),
            ErrorKind::already_exists);
  must(co_await clerk.call(long_one, with(world, "3")));
  const CallOptions hasty{50ms, IdempotencyKey{"4"}};
  EXPECT_EQ(must_fail(co_await clerk.call(later, hasty)).kind(), ErrorKind::timeout);
  EXPECT_EQ(must(co_await count_keys(world.store(), clerk.entity())), 4u);
  const auto keys = must(co_await list_keys(world.store(), clerk.entity()));
  EXPECT_EQ(keys.size(), 4u);
  if (keys.size() == 4) {
    EXPECT_EQ(keys[0].message, "Do");
    EXPECT_EQ(keys[0].key, "1");
    EXPECT_EQ(keys[0].state, KeyView::State::done);
    EXPECT_EQ(must(decode<std::string>(must(*keys[0].reply))), "1 a");
    EXPECT_EQ(must_fail(*keys[1].reply).kind(), ErrorKind::already_exists);
    EXPECT_GT(must(*keys[2].reply).size(), 40'000u);
    EXPECT_EQ(keys[3].state, KeyView::State::waiting);
    EXPECT_EQ(keys[3].attached_calls, 0u);
    EXPECT_FALSE(keys[3].kept_until);
  }
  KeyListOptions second;
  second.after_message = "Do";
  second.after_key = "1";
  second.limit = 1;
  const auto page = must(co_await list_keys(world.store(), clerk.entity(), second));
  EXPECT_EQ(page.size(), 1u);
  for (const auto& key : page) EXPECT_EQ(key.key, "2");
  second.after_key = "3";
  EXPECT_EQ(must(co_await list_keys(world.store(), clerk.entity(), second)).size(), 1u)
      << "the chunks of the one before are none";
  co_await world.in_parallel(2, [&](int who) -> Task<void> {
    if (who == 0) {
      EXPECT_EQ(must_fail(co_await clerk.call(later, with(world, "4"))).kind(), ErrorKind::closed);
    } else {
      co_await world.eventually([&]() -> Task<bool> {
        const auto now = must(co_await list_keys(world.store(), clerk.entity()));
        co_return now.size() == 4 && now[3].attached_calls == 1;
      });
      must(co_await forget_key(world.store(), clerk.entity(), "Do", "4"));
    }
  });
  must(co_await forget_key(world.store(), clerk.entity(), "Do", "1"));
  EXPECT_EQ(must_fail(co_await forget_key(world.store(), clerk.entity(), "Do", "1")).kind(),
            ErrorKind::not_found);
  EXPECT_EQ(must(co_await count_keys(world.store(), clerk.entity())), 2u);
  EXPECT_EQ(must(co_await server.ref<Clerk>("c").call(done, with(world, "1"))), "5 a");
}

// A call that failed in its caller's process took no effect, and is not remembered.
SERVER_TEST(Keys, a_call_that_failed_before_it_was_accepted_runs_when_it_is_repeated) {
  auto behaviour = std::make_shared<Clerk>();
  auto& server = *co_await world.serve<Clerk>(behaviour);
  const auto clerk = server.ref<Clerk>("c");
  const auto request = work_for_clerk("a", "throws");
  EXPECT_EQ(must_fail(co_await clerk.call(request, with(world, "1"))).kind(), ErrorKind::internal);
  EXPECT_EQ(co_await state_of(clerk, "1"), Known::absent);
  behaviour->is_mended = true;
  EXPECT_EQ(must(co_await clerk.call(request, with(world, "1"))), "1 a");
}

SERVER_TEST(Keys, of_delayed_casts_make_a_repeat_do_nothing) {
  auto& server = *co_await world.serve<Clerk>();
  const auto outside = world.ref<Clerk>("c");
  const auto inside = server.ref<Clerk>("c");
  const auto note = work_for_clerk("a");
  const auto clerks = both(outside, inside);
  for (const auto& clerk : clerks) {
    must(co_await clerk.cast_after(20ms, note, cast_with("1")));
    const auto key = cast_with("1");
    must(co_await clerk.cast_after(1h, note, key));
    must(co_await clerk.cast_at(WallTime(), note, key));
    must(co_await clerk.cast_after<Clerk::Do>(1h, key, "a", ""));
    must(co_await clerk.cast_at<Clerk::Do>(WallTime(), key, "a", ""));
    must(co_await clerk.cast(note, key));
    const auto another = work_for_clerk("b");
    const auto refused = co_await clerk.cast_after(20ms, another, cast_with("1"));
    EXPECT_EQ(must_fail(refused).kind(), ErrorKind::invalid_argument);
  }
  co_await world.eventually([&]() -> Task<bool> {
    const Known state = co_await state_of(outside, "1");
    co_return state == Known::done;
  });
  for (const auto& clerk : clerks) must(co_await clerk.cast_after(1ms, note, cast_with("1")));
  EXPECT_THAT(must(co_await list_timers(Tenant(world.store()), outside.entity())), IsEmpty());
  EXPECT_EQ(co_await done_of(inside), list("a"));
  co_await world.until_clean();
}

SERVER_TEST(Keys, of_a_delayed_cast_wait_with_it_and_go_when_it_is_cancelled) {
  const auto outside = world.ref<Clerk>("c");
  const Tenant tenant(world.store());
  const auto note = work_for_clerk("a");
  must(co_await outside.cast_after(1h, note, cast_with("1")));
  EXPECT_EQ(co_await state_of(outside, "1"), Known::pending);
  EXPECT_EQ(must(co_await count_keys(tenant, outside.entity())), 1u);
  const auto timers = must(co_await list_timers(tenant, outside.entity()));
  EXPECT_EQ(timers.size(), 1u);
  must(co_await cancel_timer(tenant, outside.entity(), timers.front().name));
  EXPECT_EQ(co_await state_of(outside, "1"), Known::absent);
  EXPECT_EQ(must(co_await count_keys(tenant, outside.entity())), 0u);
  // A repeat is the first, then.
  must(co_await outside.cast_after(1ms, note, cast_with("1")));
  auto& server = *co_await world.serve<Clerk>();
  co_await world.eventually([&]() -> Task<bool> {
    const Known state = co_await state_of(outside, "1");
    co_return state == Known::done;
  });
  EXPECT_EQ(co_await done_of(server.ref<Clerk>("c")), list("a"));
  // A callback may do it, too.
  must(co_await outside.cast_after(1h, note, cast_with("3")));
  const auto third = must(co_await list_timers(tenant, outside.entity()));
  EXPECT_EQ(third.size(), 1u);
  must(co_await outside.cast<Clerk::Cancel>(third.front().name));
  co_await world.until_processed(outside.untyped());
  EXPECT_EQ(co_await state_of(outside, "3"), Known::absent);
  // So may one that comes past the queue.
  must(co_await outside.cast_after(1h, note, cast_with("4")));
  const auto fourth = must(co_await list_timers(tenant, outside.entity()));
  EXPECT_EQ(fourth.size(), 1u);
  const auto inside = server.ref<Clerk>("c");
  must(co_await inside.priority_cast<Clerk::Cancel>(fourth.front().name));
  EXPECT_EQ(co_await state_of(outside, "4"), Known::absent);
  // Nothing makes it come early.
  must(co_await inside.cast_after(1h, note, cast_with("5")));
  must(co_await inside.cast(note, cast_with("5")));
  must(co_await outside.cast(note, cast_with("5")));
  EXPECT_EQ(co_await state_of(outside, "5"), Known::pending);
  EXPECT_EQ(co_await done_of(inside), list("a"));
  // And with its entity.
  must(co_await outside.cast_after(1h, note, cast_with("2")));
  must(co_await outside.kill());
  EXPECT_EQ(co_await state_of(outside, "2"), Known::absent);
  co_await world.until_clean();
}

SERVER_TEST(Keys, of_a_delayed_cast_that_fails_answer_with_its_dead_letter) {
  const auto clerk = std::make_shared<Clerk>();
  auto& server = *co_await world.serve(clerk);
  const auto outside = world.ref<Clerk>("c");
  const auto note = work_for_clerk("a", "throws");
  must(co_await outside.cast_after(1ms, note, cast_with("1")));
  co_await world.eventually([&]() -> Task<bool> {
    const auto letters = co_await world.letters_of(outside.entity());
    co_return letters.size() == 1;
  });
  const auto known = must(co_await outside.result_of<Clerk::Do>("1"));
  EXPECT_EQ(known.state, Known::done);
  must(co_await outside.cast_after(1ms, note, cast_with("1")));
  clerk->is_mended = true;
  EXPECT_EQ(must(co_await redrive_dead_letters(Tenant(world.store()), outside.entity())), 1u);
  co_await world.until_processed(outside.untyped());
  EXPECT_EQ(co_await done_of(server.ref<Clerk>("c")), list("a"));
  co_await world.until_clean();
}

SERVER_TEST(Keys, of_a_delayed_cast_that_is_cancelled_while_it_runs_are_of_the_repeat) {
  const auto clerk = std::make_shared<Clerk>();
  auto& server = *co_await world.serve(clerk);
  const Tenant tenant(world.store());
  const auto outside = world.ref<Clerk>("c");
  const auto note = work_for_clerk("a", "locks");
  must(co_await outside.cast_after(1ms, note, cast_with("1")));
  co_await world.eventually([&]() -> Task<bool> {
    const auto view = co_await world.look(outside);
    co_return view.lock.has_value();
  });
  const auto timers = must(co_await list_timers(tenant, outside.entity()));
  EXPECT_EQ(timers.size(), 1u);
  must(co_await cancel_timer(tenant, outside.entity(), timers.front().name));
  EXPECT_EQ(co_await state_of(outside, "1"), Known::absent);
  // It is too late for the first one, and the repeat finds it done.
  must(co_await outside.cast_after(1ms, note, cast_with("1")));
  EXPECT_EQ(co_await state_of(outside, "1"), Known::pending);
  clerk->may_go = true;
  co_await world.eventually([&]() -> Task<bool> {
    const auto left = co_await count_timers(tenant, outside.entity());
    co_return left.value_or(1) == 0;
  });
  co_await world.until_processed(outside.untyped());
  EXPECT_EQ(co_await state_of(outside, "1"), Known::done);
  EXPECT_EQ(co_await done_of(server.ref<Clerk>("c")), list("a"));
  co_await world.until_clean();
}

// Cancels a timer when it is told that its work under the lock has failed.
struct Quitter {
  using State = std::string;
  struct Quit {
    std::string timer;
  };
  struct Later {};
  using Messages = semper::Messages<Quit, Later>;
  static constexpr int kMessageAttempts = 1;
  Result<State> init(const EntityId&) { return State(); }
  Outcome handle_cast(const Quit& m, State& s, Context&) {
    s = m.timer;
    return lock();
  }
  void handle_cast(const Later&, State&, Context&) {}
  Outcome handle_locked(const Quit&, State&, LockedContext&) {
    return fail(ErrorKind::internal, "it does not go");
  }
  void handle_dead_letter(const DeadLetterInfo& letter, State&, Context& context) {
    const auto quit = decode<Quit>(letter.message.payload);
    if (quit) context.cancel_timer(quit->timer);
  }
};

SERVER_TEST(Keys, of_a_delayed_cast_go_when_it_is_cancelled_by_who_is_told_of_a_dead_letter) {
  co_await world.serve<Quitter>();
  const Tenant tenant(world.store());
  const auto quitter = world.ref<Quitter>("q");
  const Quitter::Later later;
  const CastOptions once = cast_with("1");
  must(co_await quitter.cast_after(1h, later, once));
  const auto timers = must(co_await list_timers(tenant, quitter.entity()));
  EXPECT_EQ(timers.size(), 1u);
  must(co_await quitter.cast<Quitter::Quit>(timers.front().name));
  co_await world.until_processed(quitter.untyped());
  EXPECT_THAT(must(co_await list_timers(tenant, quitter.entity())), IsEmpty());
  EXPECT_EQ(must(co_await count_keys(tenant, quitter.entity())), 0u);
}

SERVER_TEST(Keys, of_delayed_casts_have_the_bounds_of_all_keys) {
  const auto clerk = world.ref<Clerk>("c");
  const auto note = work_for_clerk("a");
  const std::string large(1 << 20, 'k');
  for (const std::string_view text : {std::string_view(large), std::string_view(), "\xff"sv}) {
    const auto refused = co_await clerk.cast_after(1ms, note, cast_with(text));
    EXPECT_EQ(must_fail(refused).kind(), ErrorKind::invalid_argument);
  }
  EXPECT_EQ(must(co_await count_timers(Tenant(world.store()), clerk.entity())), 0u);
}

SERVER_TEST(TimedKeys, of_two_that_send_one_delayed_cast_at_once_one_is_the_first) {
  auto& server = *co_await world.serve<Clerk>();
  const auto note = work_for_clerk("a");
  int told = 0;
  for (int i = 0; i < 8; ++i) {
    asio::co_spawn(
        co_await asio::this_coro::executor,
        [](Ref<Clerk> clerk, Clerk::Do what, int& count) -> Task<void> {
          if (co_await clerk.cast_after(5ms, what, cast_with("1"))) ++count;
        }(world.ref<Clerk>("c"), note, told),
        asio::detached);
  }
  co_await world.eventually([&] { return told == 8; });
  co_await world.eventually([&]() -> Task<bool> {
    const Known state = co_await state_of(world.ref<Clerk>("c"), "1");
    co_return state == Known::done;
  });
  EXPECT_EQ(co_await done_of(server.ref<Clerk>("c")), list("a"));
  co_await world.until_clean();
}

}  // namespace
}  // namespace semper::testing
