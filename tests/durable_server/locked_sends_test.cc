// What handle_locked sends goes out with its result, or not at all.
#include <gmock/gmock.h>

#include <atomic>

#include "behaviours.h"
#include "world.h"

namespace semper::testing {
namespace {

using ::testing::ElementsAre;

SERVER_SUITE(LockedSends);

constexpr const char* kKey = "written with a result";

struct Courier {
  struct State {
    std::vector<std::string> lines;
    ReplyToken waiting;
  };
  struct Wait {  // for the next delivery
    using Reply = std::string;
  };
  struct Deliver {
    std::string to;
    std::int64_t failures = 0;  // of handle_locked before it is done
  };
  struct Note {
    std::string text;
  };
  struct Flood {};  // more than a message may hold
  struct Read {
    using Reply = std::vector<std::string>;
  };
  using Messages = semper::Messages<Wait, Deliver, Note, Flood, Read>;

  Result<State> init(const EntityId&) { return State(); }
  Reply<std::string> handle_call(const Wait&, State& s, Context& context) {
    s.waiting = context.reply_token();
    return no_reply;
  }
  Outcome handle_cast(const Deliver&, State&, Context&) { return lock(); }
  Outcome handle_locked(const Deliver& m, State& s, LockedContext& context) {
    context.cast(semper::ref<Courier>(context.tenant(), m.to), Note{"from " + context.id().id});
    context.cast(semper::ref<Courier>(context.tenant(), context.id().id), Note{"to itself"});
    context.reply(s.waiting, std::string("delivered"));
    context.with_result([](Transaction& transaction) { transaction.set(kKey, "yes"); });
    if (++attempts <= m.failures) throw std::runtime_error("not yet");
    s.waiting = ReplyToken();
    s.lines.push_back("delivered");
    return {};
  }
  void handle_cast(const Note& m, State& s, Context&) { s.lines.push_back(m.text); }
  Outcome handle_cast(const Flood&, State&, Context&) { return lock(); }
  void handle_locked(const Flood&, State&, LockedContext& context) {
    context.cast(semper::ref<Courier>(context.tenant(), "flooded"), Note{"small"});
    const Bytes large(std::size_t{64} << 20, 'x');
    context.cast(semper::ref<Courier>(context.tenant(), "flooded"), Note{large});
  }
  Reply<std::vector<std::string>> handle_call(const Read&, State& s, Context&) { return s.lines; }

  std::atomic<std::int64_t> attempts{0};
};

Task<std::vector<std::string>> lines_of_courier(World& world, const std::string& id) {
  co_await world.until_processed(world.ref<Courier>(id).untyped());
  CallOptions patient{world.patience()};
  co_return must(co_await world.ref<Courier>(id).call(Courier::Read{}, patient));
}

Task<bool> is_key_written(World& world) {
  auto transaction = world.store().begin();
  co_return must(co_await transaction.get(kKey)).has_value();
}

SERVER_TEST(LockedSends, all_of_it_comes_with_the_result_once) {
  auto& server = *co_await world.serve<Courier>();
  CallOptions patient{world.patience()};
  std::string told;
  co_await world.in_parallel(2, [&](int who) -> Task<void> {
    if (who == 0) {
      told = must(co_await world.ref<Courier>("a").call(Courier::Wait{}, patient));
      co_return;
    }
    co_await world.eventually([&] { return server.host().statistics().messages == 1; });
    Courier::Deliver deliver{"b", 1};
    must(co_await world.ref<Courier>("a").cast(deliver));
  });
  EXPECT_EQ(told, "delivered");
  co_await world.eventually([&]() -> Task<bool> {
    co_return (co_await lines_of_courier(world, "b")).size() == 1 &&
        (co_await lines_of_courier(world, "a")).size() == 2;
  });
  EXPECT_THAT(co_await lines_of_courier(world, "a"), ElementsAre("delivered", "to itself"));
  EXPECT_THAT(co_await lines_of_courier(world, "b"), ElementsAre("from a"));
  EXPECT_TRUE(co_await is_key_written(world));
  co_await world.until_clean();
}

SERVER_TEST(LockedSends, none_of_it_comes_from_one_that_fails) {
  auto options = quick_options();
  options.message_attempts = 2;
  auto& server = *co_await world.serve(std::make_shared<Courier>(), std::move(options));
  Courier::Deliver deliver{"b", 100};
  must(co_await world.ref<Courier>("a").cast(deliver));
  co_await world.eventually([&] { return server.host().statistics().dead_letters == 1; });
  EXPECT_THAT(co_await lines_of_courier(world, "a"), ElementsAre());
  EXPECT_THAT(co_await lines_of_courier(world, "b"), ElementsAre());
  EXPECT_FALSE(co_await is_key_written(world));
  co_await world.until_clean();
}

SERVER_TEST(LockedSends, what_cannot_be_sent_sets_the_message_aside) {
  auto& server = *co_await world.serve<Courier>();
  must(co_await world.ref<Courier>("a").cast(Courier::Flood{}));
  co_await world.eventually([&] { return server.host().statistics().dead_letters == 1; });
  EXPECT_THAT(co_await lines_of_courier(world, "flooded"), ElementsAre());
  co_await world.until_clean();
}

}  // namespace
}  // namespace semper::testing
