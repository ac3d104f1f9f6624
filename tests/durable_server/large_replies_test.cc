// Replies that are larger than one value of the store: they arrive whole, whichever way they go,
// and leave nothing behind.
#include <optional>
#include <string>

#include "behaviours.h"
#include "world.h"

namespace semper::testing {
namespace {

using namespace std::chrono_literals;

// Over the values of most stores, and within a quarter of the transactions of all of them.
constexpr std::int64_t kLarge = 250'000;

std::string text_of(std::int64_t size) {
  std::string text;
  text.reserve(static_cast<std::size_t>(size));
  for (std::int64_t i = 0; i < size; ++i) text += static_cast<char>('a' + (i * 7 + i / 31) % 26);
  return text;
}

// Replies with texts of any size, in each of the ways there are.
struct Speaker {
  struct State {
    std::vector<ReplyToken> waiting;
    std::int64_t said = 0;
  };
  struct Say {
    std::int64_t size = 0;
    using Reply = std::string;
  };
  struct SayLocked {
    std::int64_t size = 0;
    using Reply = std::string;
  };
  struct SayLater {
    using Reply = std::string;
  };
  struct SayNow {  // to who waits, so many times
    std::int64_t size = 0;
    std::int64_t then = -1;
  };
  struct SayNowLocked {
    std::int64_t size = 0;
  };
  struct Said {
    using Reply = std::int64_t;
  };
  struct Waiting {
    using Reply = std::uint64_t;
  };
  using Messages = semper::Messages<Say, SayLocked, SayLater, SayNow, SayNowLocked, Said, Waiting>;

  Result<State> init(const EntityId&) { return State(); }
  Reply<std::string> handle_call(const Say& m, State& s, Context&) {
    ++s.said;
    return text_of(m.size);
  }
  Reply<std::string> handle_call(const SayLocked&, State&, Context&) { return semper::lock(); }
  Reply<std::string> handle_locked(const SayLocked& m, State& s, LockedContext&) {
    ++s.said;
    return text_of(m.size);
  }
  Reply<std::string> handle_call(const SayLater&, State& s, Context& context) {
    s.waiting.push_back(context.reply_token());
    return no_reply;
  }
  void handle_cast(const SayNow& m, State& s, Context& context) {
    for (const auto& token : std::exchange(s.waiting, {})) {
      context.reply(token, text_of(m.size));
      if (m.then >= 0) context.reply(token, text_of(m.then));
    }
  }
  Outcome handle_cast(const SayNowLocked&, State&, Context&) { return semper::lock(); }
  void handle_locked(const SayNowLocked& m, State& s, LockedContext& context) {
    for (const auto& token : std::exchange(s.waiting, {})) context.reply(token, text_of(m.size));
  }
  Reply<std::int64_t> handle_call(const Said&, State& s, Context&) { return s.said; }
  Reply<std::uint64_t> handle_call(const Waiting&, State& s, Context&) { return s.waiting.size(); }
};

SERVER_SUITE(LargeReplies);
SERVER_SUITE_ON(SmallStoresReplies, worlds_in(TimeKind::simulated));

constexpr const char* kSmallValues = "?value_bytes=2000&transaction_bytes=60000";

Task<void> until_one_waits(World& world, const Ref<Speaker>& speaker) {
  auto look = [&]() -> Task<bool> {
    const CallOptions patient{world.patience()};
    co_return must(co_await speaker.call(Speaker::Waiting{}, patient)) == 1;
  };
  co_await world.eventually(look);
}

Task<void> expect_whole(World& world, const Ref<Speaker>& speaker, std::int64_t size) {
  const CallOptions patient{world.patience()};
  const auto said = must(co_await speaker.call(Speaker::Say{size}, patient));
  EXPECT_TRUE(said == text_of(size)) << said.size() << " of " << size;
}

SERVER_TEST(LargeReplies, one_arrives_whole_in_the_hosts_process_and_from_another) {
  auto& server = *co_await world.serve<Speaker>();
  co_await expect_whole(world, server.ref<Speaker>("s"), kLarge);
  co_await expect_whole(world, world.ref<Speaker>("s"), kLarge);
  co_await expect_whole(world, world.ref<Speaker>("s"), 3);
  co_await world.until_clean();
}

SERVER_TEST(LargeReplies, one_that_is_given_later_arrives_whole) {
  co_await world.serve<Speaker>();
  auto speaker = world.ref<Speaker>("s");
  for (const bool locked : {false, true}) {
    std::string said;
    co_await world.in_parallel(2, [&](int who) -> Task<void> {
      const CallOptions patient{world.patience()};
      if (who == 0) {
        said = must(co_await speaker.call(Speaker::SayLater{}, patient));
        co_return;
      }
      co_await until_one_waits(world, speaker);
      if (locked) {
        must(co_await speaker.cast(Speaker::SayNowLocked{kLarge}));
      } else {
        must(co_await speaker.cast(Speaker::SayNow{kLarge}));
      }
    });
    EXPECT_TRUE(said == text_of(kLarge)) << said.size();
  }
  co_await world.until_clean();
}

SERVER_TEST(LargeReplies, one_of_handle_locked_arrives_whole) {
  auto& server = *co_await world.serve<Speaker>();
  const CallOptions patient{world.patience()};
  for (const auto& speaker : {server.ref<Speaker>("s"), world.ref<Speaker>("s")}) {
    const auto said = must(co_await speaker.call(Speaker::SayLocked{kLarge}, patient));
    EXPECT_TRUE(said == text_of(kLarge)) << said.size();
  }
  co_await world.until_clean();
}

SERVER_TEST(LargeReplies, one_that_is_kept_for_its_key_arrives_whole_each_time) {
  auto& server = *co_await world.serve<Speaker>();
  CallOptions keyed{world.patience()};
  keyed.key = IdempotencyKey("once");
  for (const auto& speaker :
       {world.ref<Speaker>("s"), server.ref<Speaker>("s"), world.ref<Speaker>("s")}) {
    const auto said = must(co_await speaker.call(Speaker::Say{kLarge}, keyed));
    EXPECT_TRUE(said == text_of(kLarge)) << said.size();
  }
  const CallOptions patient{world.patience()};
  const auto said = must(co_await world.ref<Speaker>("s").call(Speaker::Said{}, patient));
  EXPECT_EQ(said, 1) << "it ran once";
  co_await world.until_clean();
}

SERVER_TEST_WITH(SmallStoresReplies, of_all_sizes_around_a_value_arrive_whole, kSmallValues) {
  co_await world.serve<Speaker>();
  auto speaker = world.ref<Speaker>("s");
  for (std::int64_t size = 1'980; size <= 2'010; ++size) {
    co_await expect_whole(world, speaker, size);
  }
  for (const std::int64_t size : {3'990, 4'000, 14'000, 14'980}) {
    co_await expect_whole(world, speaker, size);
  }
  co_await world.until_clean();
}

SERVER_TEST_WITH(SmallStoresReplies, over_a_quarter_of_a_transaction_are_errors_to_their_callers,
                 kSmallValues) {
  co_await world.serve<Speaker>();
  auto speaker = world.ref<Speaker>("s");
  const CallOptions patient{world.patience()};
  const Error error = must_fail(co_await speaker.call(Speaker::Say{15'001}, patient));
  EXPECT_EQ(error.kind(), ErrorKind::exhausted);
  EXPECT_NE(error.message().find("transaction_bytes = 60000"), std::string::npos)
      << error.message();
  EXPECT_NE(error.message().find("in parts"), std::string::npos) << error.message();
  EXPECT_EQ(must(co_await speaker.call(Speaker::Said{}, patient)), 1) << "it was processed";
  co_await world.until_clean();
}

// More than one look takes out, so that looks end between them.
SERVER_TEST_WITH(SmallStoresReplies, of_many_callers_at_once_arrive_whole, kSmallValues) {
  constexpr int kCalls = 40;
  auto& caller = *world.loop(co_await world.open());
  std::vector<std::shared_ptr<std::optional<Result<std::string>>>> said;
  for (int i = 0; i < kCalls; ++i) {
    said.push_back(std::make_shared<std::optional<Result<std::string>>>());
    asio::co_spawn(
        caller.executor(),
        [](Ref<Speaker> speaker, int size, auto out) -> Task<void> {
          const CallOptions options{kForever};
          *out = co_await speaker.call(Speaker::Say{size}, options);
        }(caller.ref<Speaker>("s"), i % 3 == 0 ? 100 : 9'000 + i, said.back()),
        asio::detached);
  }
  auto speaker = world.ref<Speaker>("s");
  co_await world.eventually(
      [&]() -> Task<bool> { co_return must(co_await speaker.queue_length()) == kCalls; });
  caller.freeze();
  co_await world.serve<Speaker>();
  co_await world.until_processed(speaker.untyped());
  EXPECT_EQ(must(co_await count_outstanding(world.store())).replies,
            static_cast<std::size_t>(kCalls));
  caller.thaw();
  for (int i = 0; i < kCalls; ++i) {
    co_await world.eventually([&] { return said[i]->has_value(); });
    EXPECT_TRUE(must(**said[i]) == text_of(i % 3 == 0 ? 100 : 9'000 + i)) << i;
  }
  co_await world.until_clean();
}

// The second answer to one call replaces the first one, whichever of them is large.
SERVER_TEST_WITH(SmallStoresReplies, given_twice_to_one_call_are_the_second_one, kSmallValues) {
  co_await world.serve<Speaker>();
  auto speaker = world.ref<Speaker>("s");
  for (const auto& [first, second] :
       std::vector<std::pair<int, int>>{{9'000, 5'000}, {9'000, 5}, {5, 9'000}}) {
    std::string said;
    co_await world.in_parallel(2, [&](int who) -> Task<void> {
      const CallOptions patient{world.patience()};
      if (who == 0) {
        said = must(co_await speaker.call(Speaker::SayLater{}, patient));
        co_return;
      }
      co_await until_one_waits(world, speaker);
      must(co_await speaker.cast(Speaker::SayNow{first, second}));
    });
    EXPECT_TRUE(said == text_of(second)) << said.size() << " of " << second;
    co_await world.until_clean();
  }
}

SERVER_TEST_WITH(SmallStoresReplies, that_come_too_late_are_taken_away_whole, kSmallValues) {
  auto& caller = *world.loop(co_await world.open());
  auto waits = std::make_shared<std::optional<Result<std::string>>>();
  const auto call = [](Ref<Speaker> speaker, Duration patience, auto out) -> Task<void> {
    const CallOptions options{patience};
    *out = co_await speaker.call(Speaker::SayLater{}, options);
  };
  asio::co_spawn(caller.executor(), call(caller.ref<Speaker>("waits"), kForever, waits),
                 asio::detached);
  auto gives_up = std::make_shared<std::optional<Result<std::string>>>();
  asio::co_spawn(caller.executor(), call(caller.ref<Speaker>("gives up"), 1s, gives_up),
                 asio::detached);
  co_await world.serve<Speaker>();
  co_await world.eventually([&] { return gives_up->has_value(); });
  auto late = world.ref<Speaker>("gives up");
  co_await until_one_waits(world, late);
  must(co_await late.cast(Speaker::SayNow{9'000}));
  // While the session goes on for the other call.
  co_await world.eventually([&]() -> Task<bool> {
    const auto rows = co_await world.rows(session_space());
    co_return must(co_await world.ref<Speaker>("gives up").queue_length()) == 0 && rows.size() <= 2;
  });
  auto in_time = world.ref<Speaker>("waits");
  co_await until_one_waits(world, in_time);
  must(co_await in_time.cast(Speaker::SayNow{9'001}));
  co_await world.eventually([&] { return waits->has_value(); });
  EXPECT_TRUE(must(**waits) == text_of(9'001));
  co_await world.until_clean();
}

SERVER_TEST_WITH(SmallStoresReplies, of_dead_callers_are_swept_whole, kSmallValues) {
  auto& caller = *world.loop(co_await world.open());
  asio::co_spawn(
      caller.executor(),
      [](Ref<Speaker> speaker) -> Task<void> {
        const CallOptions options{kForever};
        static_cast<void>(co_await speaker.call(Speaker::Say{9'000}, options));
      }(caller.ref<Speaker>("s")),
      asio::detached);
  auto speaker = world.ref<Speaker>("s");
  co_await world.eventually(
      [&]() -> Task<bool> { co_return must(co_await speaker.queue_length()) == 1; });
  caller.kill();
  co_await world.serve<Speaker>();
  co_await world.until_processed(speaker.untyped());
  EXPECT_GE((co_await world.rows(session_space())).size(), 6u) << "row, reply, five chunks";
  co_await world.until_clean();
}

}  // namespace
}  // namespace semper::testing
