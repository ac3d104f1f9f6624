// States, replies and sends at and over the limits of the store: what is too much fails alone, by
// the limit's name, and nothing else waits for it.
#include <string>
#include <vector>

#include "behaviours.h"
#include "world.h"

namespace semper::testing {
namespace {

constexpr std::int64_t kTooMuch = 70'000;  // for one transaction of the small store
constexpr std::int64_t kTooMuchForAValue = 30'000;

// A text that grows and shrinks, and sends.
struct Hoard {
  struct State {
    std::string text;
    ReplyToken waiting;
  };
  struct Resize {
    std::int64_t size = 0;
    using Reply = std::int64_t;
  };
  struct Append {
    std::string text;
    using Reply = std::int64_t;
  };
  struct Size {
    using Reply = std::int64_t;
  };
  struct Give {  // a reply of this size, and one character more in the state
    std::int64_t size = 0;
    using Reply = std::string;
  };
  struct GiveLater {
    using Reply = std::string;
  };
  struct GiveNow {  // answers GiveLater
    std::int64_t size = 0;
  };
  struct Send {  // so many notes of this size to this diary, and one character more in the state
    std::string to;
    std::int64_t count = 1;
    std::int64_t size = 10;
    using Reply = std::int64_t;
  };
  struct ResizeLocked {
    std::int64_t size = 0;
    using Reply = std::int64_t;
  };
  using Messages =
      semper::Messages<Resize, Append, Size, Give, GiveLater, GiveNow, Send, ResizeLocked>;

  Result<State> init(const EntityId&) { return State(); }

  static std::int64_t size_of(const State& s) { return static_cast<std::int64_t>(s.text.size()); }
  static std::string text_of(std::int64_t size) {
    return std::string(static_cast<std::size_t>(size), 'x');
  }

  Reply<std::int64_t> handle_call(const Resize& m, State& s, Context&) {
    s.text = text_of(m.size);
    return size_of(s);
  }
  void handle_cast(const Resize& m, State& s, Context&) { s.text = text_of(m.size); }
  Reply<std::int64_t> handle_call(const Append& m, State& s, Context&) {
    s.text += m.text;
    return size_of(s);
  }
  void handle_cast(const Append& m, State& s, Context&) { s.text += m.text; }
  Reply<std::int64_t> handle_call(const Size&, State& s, Context&) { return size_of(s); }
  Reply<std::string> handle_call(const Give& m, State& s, Context&) {
    s.text += '.';
    return text_of(m.size);
  }
  Reply<std::string> handle_call(const GiveLater&, State& s, Context& context) {
    s.waiting = context.reply_token();
    return no_reply;
  }
  void handle_cast(const GiveNow& m, State& s, Context& context) {
    context.reply(s.waiting, text_of(m.size));
  }
  Reply<std::int64_t> handle_call(const Send& m, State& s, Context& context) {
    send(m, s, context);
    return size_of(s);
  }
  void handle_cast(const Send& m, State& s, Context& context) { send(m, s, context); }
  static void send(const Send& m, State& s, Context& context) {
    s.text += '.';
    const auto to = semper::ref<Diary>(context.tenant(), m.to);
    for (std::int64_t i = 0; i < m.count; ++i) context.cast(to, note(text_of(m.size)));
  }
  Reply<std::int64_t> handle_call(const ResizeLocked&, State&, Context&) { return semper::lock(); }
  Reply<std::int64_t> handle_locked(const ResizeLocked& m, State& s, LockedContext&) {
    s.text = text_of(m.size);
    return size_of(s);
  }
};

SERVER_SUITE(States);
SERVER_SUITE_ON(SmallStores, worlds_in(TimeKind::simulated));

Hoard::Resize resize(std::int64_t size) {
  return {size};
}
Hoard::Append append(std::string text) {
  return {std::move(text)};
}
Hoard::Give give(std::int64_t size) {
  return {size};
}
Hoard::Send send(std::string to, std::int64_t count, std::int64_t size) {
  return {std::move(to), count, size};
}

Task<std::int64_t> size_of(World& world, const Ref<Hoard>& hoard) {
  const CallOptions patient{world.patience()};
  co_return must(co_await hoard.call(Hoard::Size{}, patient));
}

SERVER_TEST(States, one_grows_into_chunks_and_shrinks_back) {
  co_await world.serve<Hoard>();
  auto hoard = world.ref<Hoard>("h");
  const CallOptions patient{world.patience()};
  for (const std::int64_t size :
       {10, 4'000, 5'000, 100'000, 1'000'000, 16'384, 70'000, 4'096, 3, 0}) {
    const auto message = resize(size);
    EXPECT_EQ(must(co_await hoard.call(message, patient)), size);
    const auto view = co_await world.look(hoard);
    const auto chunks = co_await world.rows(entity_range(hoard.entity(), 3));
    EXPECT_EQ(chunks.empty(), size < 4'090) << size;
    // Another process reads what was stored.
    EXPECT_EQ(co_await size_of(world, world.ref<Hoard>("h")), size);
  }
  co_await world.until_clean();
}

SERVER_TEST(States, a_large_one_that_changes_a_little_writes_a_little) {
  auto& server = *co_await world.serve<Hoard>();
  auto hoard = server.ref<Hoard>("h");
  const auto large = resize(1'000'000);
  must(co_await hoard.call(large));
  const auto before = co_await world.rows(entity_range(hoard.entity(), 3));
  const auto more = append("tail");
  EXPECT_EQ(must(co_await hoard.call(more)), 1'000'004);
  const auto after = co_await world.rows(entity_range(hoard.entity(), 3));
  EXPECT_EQ(before.size(), after.size());
}

SERVER_TEST_WITH(SmallStores, a_call_that_grows_the_state_past_the_limits_fails_and_changes_nothing,
                 kSmallStore) {
  auto& server = *co_await world.serve<Hoard>();
  auto hoard = server.ref<Hoard>("h");
  const auto small = resize(10);
  must(co_await hoard.call(small));
  const auto large = resize(kTooMuch);
  const Error error = must_fail(co_await hoard.call(large));
  EXPECT_EQ(error.kind(), ErrorKind::exhausted);
  EXPECT_NE(error.message().find("transaction_bytes"), std::string::npos) << error.message();
  EXPECT_EQ(co_await size_of(world, hoard), 10);
  co_await world.until_clean();
}

SERVER_TEST_WITH(SmallStores,
                 of_calls_at_once_only_the_one_that_grows_the_state_past_the_limits_is_refused,
                 kSmallStore) {
  auto& server = *co_await world.serve<Hoard>();
  auto hoard = server.ref<Hoard>("h");
  int refused = 0;
  constexpr int kCalls = 21;
  co_await world.in_parallel(kCalls, [&](int i) -> Task<void> {
    const auto message = append(i == 7 ? Hoard::text_of(kTooMuch) : "a");
    const auto done = co_await hoard.call(message);
    if (!done) {
      ++refused;
      EXPECT_EQ(i, 7);
      EXPECT_EQ(done.error().kind(), ErrorKind::exhausted);
    }
  });
  EXPECT_EQ(refused, 1);
  EXPECT_EQ(co_await size_of(world, hoard), kCalls - 1);
}

SERVER_TEST_WITH(SmallStores, a_queued_message_that_grows_the_state_past_the_limits_is_set_aside,
                 kSmallStore) {
  auto hoard = world.ref<Hoard>("h");
  for (int i = 0; i < 20; ++i) {
    if (i == 7) {
      const auto large = resize(kTooMuch);
      must(co_await hoard.cast(large));
    }
    const auto message = append("a");
    must(co_await hoard.cast(message));
  }
  co_await world.serve<Hoard>();
  co_await world.until_processed(hoard.untyped());
  EXPECT_EQ(co_await size_of(world, hoard), 20);
  const auto view = co_await world.look(hoard);
  EXPECT_EQ(view.dead_letters, 1u);
  co_await world.until_clean();
}

SERVER_TEST_WITH(SmallStores, the_caller_of_a_queued_call_that_grows_the_state_too_far_is_told,
                 kSmallStore) {
  co_await world.serve<Hoard>();
  auto hoard = world.ref<Hoard>("h");
  const auto large = resize(kTooMuch);
  const CallOptions patient{world.patience()};
  const Error error = must_fail(co_await hoard.call(large, patient));
  EXPECT_EQ(error.kind(), ErrorKind::exhausted);
  EXPECT_EQ(co_await size_of(world, hoard), 0);
  co_await world.until_clean();
}

SERVER_TEST_WITH(SmallStores, a_locked_result_over_the_limits_is_refused_and_the_lock_given_back,
                 kSmallStore) {
  co_await world.serve<Hoard>();
  auto hoard = world.ref<Hoard>("h");
  const Hoard::ResizeLocked large{kTooMuch};
  const CallOptions patient{world.patience()};
  const Error error = must_fail(co_await hoard.call(large, patient));
  EXPECT_EQ(error.kind(), ErrorKind::exhausted);
  EXPECT_EQ(co_await size_of(world, hoard), 0);
  co_await world.until_clean();
}

SERVER_TEST_WITH(SmallStores, many_large_replies_of_one_batch_are_all_delivered, kSmallStore) {
  auto& publisher = *co_await world.process();
  auto hoard = publisher.ref<Hoard>("h");
  constexpr int kCalls = 30;  // ten times what one transaction holds
  int delivered = 0;
  bool served = false;
  co_await world.in_parallel(kCalls + 1, [&](int i) -> Task<void> {
    if (i == kCalls) {
      co_await world.serve<Hoard>();
      served = true;
      co_return;
    }
    const auto message = give(15'000);
    const CallOptions patient{world.patience()};
    const auto text = must(co_await hoard.call(message, patient));
    EXPECT_EQ(text.size(), 15'000u);
    ++delivered;
  });
  EXPECT_TRUE(served);
  EXPECT_EQ(delivered, kCalls);
  EXPECT_EQ(co_await size_of(world, hoard), kCalls);
  co_await world.until_clean();
}

SERVER_TEST_WITH(SmallStores, a_reply_over_the_stores_limits_is_an_error_to_its_caller_alone,
                 kSmallStore) {
  co_await world.serve<Hoard>();
  auto hoard = world.ref<Hoard>("h");
  const CallOptions patient{world.patience()};
  const auto message = give(kTooMuchForAValue);
  const Error error = must_fail(co_await hoard.call(message, patient));
  EXPECT_EQ(error.kind(), ErrorKind::exhausted);
  EXPECT_NE(error.message().find("value_bytes"), std::string::npos) << error.message();
  EXPECT_EQ(co_await size_of(world, hoard), 1) << "the message was processed";
  co_await world.until_clean();
}

SERVER_TEST_WITH(SmallStores, a_late_answer_over_the_stores_limits_is_an_error_to_its_caller_alone,
                 kSmallStore) {
  co_await world.serve<Hoard>();
  auto hoard = world.ref<Hoard>("h");
  std::optional<Error> error;
  co_await world.in_parallel(2, [&](int i) -> Task<void> {
    const CallOptions patient{world.patience()};
    if (i == 0) {
      error = must_fail(co_await hoard.call(Hoard::GiveLater{}, patient));
    } else {
      co_await world.eventually([&]() -> Task<bool> {
        const auto header = KeyRange::point(entity_key(hoard.entity(), 0));
        co_return !(co_await world.rows(header)).empty();
      });
      must(co_await hoard.cast(Hoard::GiveNow{kTooMuchForAValue}));
    }
  });
  EXPECT_EQ(error->kind(), ErrorKind::exhausted);
  co_await world.until_clean();
}

SERVER_TEST_WITH(SmallStores, a_message_that_sends_more_than_a_transaction_holds_fails_alone,
                 kSmallStore) {
  co_await world.serve<Diary>();
  auto hoard = world.ref<Hoard>("h");
  for (int i = 0; i < 10; ++i) {
    const auto message = send("d", i == 4 ? 100 : 1, 1'000);
    must(co_await hoard.cast(message));
  }
  co_await world.serve<Hoard>();
  co_await world.until_processed(hoard.untyped());
  EXPECT_EQ(co_await size_of(world, hoard), 9);
  EXPECT_EQ((co_await world.look(hoard)).dead_letters, 1u);
  const CallOptions patient{world.patience()};
  auto diary = world.ref<Diary>("d");
  co_await world.until_processed(diary.untyped());
  EXPECT_EQ(must(co_await diary.call(Diary::Lines{}, patient)).size(), 9u);
}

SERVER_TEST_WITH(SmallStores, messages_that_together_send_more_than_a_transaction_holds_all_succeed,
                 kSmallStore) {
  co_await world.serve<Diary>();
  auto hoard = world.ref<Hoard>("h");
  for (int i = 0; i < 12; ++i) {
    const auto message = send("d", 2, 10'000);
    must(co_await hoard.cast(message));
  }
  co_await world.serve<Hoard>();
  co_await world.until_processed(hoard.untyped());
  EXPECT_EQ(co_await size_of(world, hoard), 12);
  auto diary = world.ref<Diary>("d");
  co_await world.until_processed(diary.untyped());
  EXPECT_EQ((co_await world.rows(entity_range(hoard.entity(), 5))).size(), 0u);
}

SERVER_TEST_WITH(SmallStores, a_message_sent_that_fits_into_no_value_fails_its_sender_alone,
                 kSmallStore) {
  auto& server = *co_await world.serve<Hoard>();
  auto hoard = server.ref<Hoard>("h");
  const auto message = send("d", 1, kTooMuchForAValue);
  const Error error = must_fail(co_await hoard.call(message));
  EXPECT_EQ(error.kind(), ErrorKind::exhausted);
  EXPECT_EQ(co_await size_of(world, hoard), 0);
}

SERVER_TEST(States, a_message_sent_to_an_id_that_can_not_be_fails_its_sender_alone) {
  auto& server = *co_await world.serve<Hoard>();
  auto hoard = server.ref<Hoard>("h");
  const auto message = send("", 1, 10);
  EXPECT_EQ(must_fail(co_await hoard.call(message)).kind(), ErrorKind::invalid_argument);
  auto queued = world.ref<Hoard>("q");
  must(co_await queued.cast(message));
  const auto good = send("d", 1, 10);
  must(co_await queued.cast(good));
  co_await world.until_processed(queued.untyped());
  EXPECT_EQ(co_await size_of(world, queued), 1);
  EXPECT_EQ((co_await world.look(queued)).dead_letters, 1u);
}

SERVER_TEST(States, more_sends_than_a_transaction_numbers_fail_their_message_alone) {
  auto& server = *co_await world.serve<Hoard>();
  auto hoard = server.ref<Hoard>("h");
  const auto message = send("d", 65'536, 1);
  const Error error = must_fail(co_await hoard.call(message));
  EXPECT_EQ(error.kind(), ErrorKind::exhausted);
  EXPECT_EQ(co_await size_of(world, hoard), 0);
}

SERVER_TEST(States, a_batch_over_the_stores_limits_is_refused_by_the_limits_name) {
  auto hoard = world.ref<Hoard>("h");
  const std::size_t each = 50'000;
  const std::size_t count = world.store().limits().transaction_bytes / each + 1;
  Batch<Hoard> batch;
  for (std::size_t i = 0; i < count; ++i) batch.add(append(std::string(each, 'x')));
  const Error error = must_fail(co_await hoard.cast(batch));
  EXPECT_EQ(error.kind(), ErrorKind::exhausted);
  EXPECT_NE(error.message().find("transaction_bytes"), std::string::npos) << error.message();
  EXPECT_EQ(must(co_await hoard.queue_length()), 0u);
}

}  // namespace
}  // namespace semper::testing
