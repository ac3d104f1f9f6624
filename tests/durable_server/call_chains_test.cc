// Calls of callbacks that would wait for themselves.
#include <gmock/gmock.h>

#include <atomic>

#include "behaviours.h"
#include "semper/server/atomically.h"
#include "semper/sync/ref.h"
#include "world.h"

namespace semper::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

SERVER_SUITE(CallChains);

enum class ChainStep : std::uint8_t { call, cast, priority, together };

// Walks along a path, each step a call of the entity that has come so far; answers with the way
// back, or with the error of the call that failed.
template <int kSide>
struct WalkerOf {
  static constexpr std::string_view kName = kSide == 0 ? "East" : "West";
  using Other = WalkerOf<1 - kSide>;
  using State = std::int64_t;
  struct Walk {
    std::string path;       // ids, each of one letter; a capital: of the other type
    std::int64_t last = 0;  // how the last step is taken
    bool is_keyed = false;
    using Reply = std::string;
  };
  struct Hold {  // the same, under the lock
    std::string path;
    std::int64_t last = 0;
    using Reply = std::string;
  };
  struct Beside {  // what it starts goes on when it has ended
    using Reply = std::string;
  };
  struct Touch {
    using Reply = std::int64_t;
  };
  using Messages = semper::Messages<Walk, Hold, Beside, Touch>;

  Result<State> init(const EntityId&) { return 0; }

  template <class B>
  static Async<std::string> step(Ref<B> to, std::string rest, std::int64_t last, bool is_keyed) {
    const ChainStep how = rest.empty() ? static_cast<ChainStep>(last) : ChainStep::call;
    CallOptions patient{1h};
    std::string key = to.entity().id + rest;
    if (is_keyed) patient.key = IdempotencyKey{key};
    const typename B::Walk walk{rest, last, is_keyed};
    if (how == ChainStep::call) co_return co_await to.call(walk, patient);
    const typename B::Touch touch{};
    if (how == ChainStep::cast) {
      SEMPER_CO_TRY_STATUS(co_await to.cast(touch));
    } else if (how == ChainStep::priority) {
      SEMPER_CO_TRY_STATUS(co_await to.priority_call(touch));
    } else {
      auto change = [](Atomic&, std::int64_t& state) -> Async<void> {
        ++state;
        co_return Status{};
      };
      SEMPER_CO_TRY_STATUS(co_await atomically(to.untyped().tenant(), std::tuple(to), change));
    }
    co_return std::string("sent");
  }

  template <class C>
  static Async<std::string> go_on(std::string path, std::int64_t last, bool is_keyed,
                                  const C& context) {
    if (path.empty()) co_return std::string("there");
    const char next = path.front();
    path.erase(0, 1);
    const bool is_other = next >= 'A' && next <= 'Z';
    const std::string id(1, is_other ? static_cast<char>(next - 'A' + 'a') : next);
    if (is_other) {
      auto to = semper::ref<Other>(context.tenant(), id);
      co_return co_await step<Other>(to, path, last, is_keyed);
    }
    auto to = semper::ref<WalkerOf>(context.tenant(), id);
    co_return co_await step<WalkerOf>(to, path, last, is_keyed);
  }

  Async<std::string> handle_call(const Walk& m, State& s, Context& context) {
    ++s;
    SEMPER_CO_TRY(std::string way, co_await go_on(m.path, m.last, m.is_keyed, context));
    co_return context.id().id + way;
  }
  Reply<std::string> handle_call(const Hold&, State&, Context&) { return lock(); }
  Async<std::string> handle_locked(const Hold& m, State& s, LockedContext& context) {
    ++s;
    SEMPER_CO_TRY(std::string way, co_await go_on(m.path, m.last, false, context));
    co_return context.id().id + way;
  }
  Async<std::string> handle_call(const Beside&, State& s, Context& context) {
    ++s;
    auto self = semper::ref<WalkerOf>(context.tenant(), context.id().id);
    auto later = [](Ref<WalkerOf> to, Clock* time,
                    OneShot<Result<std::int64_t>> done) -> Task<void> {
      static_cast<void>(co_await sleep_for(*time, 1s));
      CallOptions patient{1h};
      const Touch touch{};
      done.set(co_await to.call(touch, patient));
    };
    asio::co_spawn(co_await asio::this_coro::executor, later(self, clock, beside), asio::detached);
    co_return std::string("begun");
  }
  Reply<std::int64_t> handle_call(const Touch&, State& s, Context&) { return ++s; }
  void handle_cast(const Touch&, State& s, Context&) { ++s; }

  Clock* clock = nullptr;
  OneShot<Result<std::int64_t>> beside{};
};
using East = WalkerOf<0>;
using West = WalkerOf<1>;

Task<Result<std::string>> walk(World& world, Ref<East> from, std::string path,
                               ChainStep last = ChainStep::call, bool is_keyed = false) {
  CallOptions patient{world.patience()};
  const East::Walk message{path, static_cast<std::int64_t>(last), is_keyed};
  co_return co_await from.call(message, patient);
}

// It came at once, not when somebody's time was over, and says which entities.
void expect_refused(const Result<std::string>& result, const std::string& chain) {
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().kind(), ErrorKind::unsupported) << result.error().to_string();
  EXPECT_THAT(result.error().message(), HasSubstr(chain + ": "));
  EXPECT_THAT(result.error().message(), HasSubstr("would wait for itself"));
  EXPECT_THAT(result.error().message(), HasSubstr("Context::cast"));
}

SERVER_TEST(CallChains, a_call_to_oneself_is_refused_at_once) {
  auto& server = *co_await world.serve<East>();
  const MonotonicTime began = world.clock().now();
  expect_refused(co_await walk(world, server.ref<East>("a"), "a"), "East/a -> East/a");
  expect_refused(co_await walk(world, world.ref<East>("a"), "a"), "East/a -> East/a");
  if (world.is_steady()) {
    EXPECT_LT(world.clock().now() - began, 3s);
  }
  co_await world.until_clean();
}

SERVER_TEST(CallChains, a_chain_that_comes_back_is_refused_and_named_whole) {
  auto& server = *co_await world.serve<East>();
  expect_refused(co_await walk(world, server.ref<East>("a"), "ba"), "East/a -> East/b -> East/a");
  expect_refused(co_await walk(world, world.ref<East>("a"), "bcb"),
                 "East/a -> East/b -> East/c -> East/b");
  co_await world.until_clean();
}

SERVER_TEST(CallChains, a_chain_goes_from_host_to_host_through_the_queues) {
  co_await world.serve<East>();
  co_await world.serve<West>();
  expect_refused(co_await walk(world, world.ref<East>("a"), "BA"), "East/a -> West/b -> East/a");
  expect_refused(co_await walk(world, world.ref<East>("a"), "bCB"),
                 "East/a -> East/b -> West/c -> East/b");
  // With idempotency keys, too.
  expect_refused(co_await walk(world, world.ref<East>("k"), "LK", ChainStep::call, true),
                 "East/k -> West/l -> East/k");
  co_await world.until_clean();
}

SERVER_TEST(CallChains, calls_that_do_not_come_back_are_none_of_its_business) {
  auto& server = *co_await world.serve<East>();
  co_await world.serve<West>();
  EXPECT_EQ(must(co_await walk(world, server.ref<East>("a"), "bcd")), "abcdthere");
  // Another type's entity of the same id.
  EXPECT_EQ(must(co_await walk(world, world.ref<East>("e"), "Ef")), "eefthere");
  // One that has answered may be called again.
  EXPECT_EQ(must(co_await walk(world, server.ref<East>("a"), "b")), "abthere");
  EXPECT_EQ(must(co_await walk(world, server.ref<East>("b"), "a")), "bathere");
  co_await world.until_clean();
}

SERVER_TEST(CallChains, a_cast_and_a_priority_message_to_one_that_waits_in_its_transaction_too) {
  auto& server = *co_await world.serve<East>();
  auto a = server.ref<East>("a");
  expect_refused(co_await walk(world, a, "ba", ChainStep::cast), "East/a -> East/b -> East/a");
  expect_refused(co_await walk(world, a, "a", ChainStep::priority), "East/a -> East/a");
  expect_refused(co_await walk(world, a, "ba", ChainStep::together), "East/a -> East/b -> East/a");
  co_await world.until_clean();
}

SERVER_TEST(CallChains, one_that_waits_under_its_lock_is_called_with_priority_only) {
  auto& server = *co_await world.serve<East>();
  auto a = server.ref<East>("a");
  CallOptions patient{world.patience()};
  const East::Hold itself{"a", 0};
  expect_refused(co_await a.call(itself, patient), "East/a -> East/a");
  const East::Hold round{"ba", 0};
  expect_refused(co_await a.call(round, patient), "East/a -> East/b -> East/a");
  const East::Hold together{"a", static_cast<std::int64_t>(ChainStep::together)};
  expect_refused(co_await a.call(together, patient), "East/a -> East/a");
  const East::Hold by_cast{"ba", static_cast<std::int64_t>(ChainStep::cast)};
  EXPECT_EQ(must(co_await a.call(by_cast, patient)), "absent");
  const East::Hold urgent{"ba", static_cast<std::int64_t>(ChainStep::priority)};
  EXPECT_EQ(must(co_await a.call(urgent, patient)), "absent");
  co_await world.until_clean();
}

SERVER_TEST(CallChains, what_goes_on_when_the_callback_has_ended_may_call_its_entity) {
  auto east = std::make_shared<East>();
  east->clock = &world.clock();
  auto& server = *co_await world.serve(east);
  const East::Beside beside{};
  CallOptions patient{world.patience()};
  EXPECT_EQ(must(co_await server.ref<East>("a").call(beside, patient)), "begun");
  const auto called = must(co_await east->beside.wait());
  EXPECT_TRUE(called) << called.error().to_string();
  co_await world.until_clean();
}

SERVER_TEST(CallChains, a_chain_has_a_bound) {
  co_await world.serve<East>();
  co_await world.serve<West>();
  // More entities than may wait for each other, and none twice.
  std::string path;
  for (char id = 'b'; id <= 'z'; ++id) path += id;
  path += 'A';
  for (char id = 'b'; id <= 'z'; ++id) path += id;
  const auto result = co_await walk(world, world.ref<East>("a"), path);
  EXPECT_FALSE(result);
  if (result) co_return;
  // Or its time was over before it came so far.
  if (result.error().kind() == ErrorKind::exhausted) {
    EXPECT_THAT(result.error().message(), HasSubstr("more than 32 entities would wait"));
  } else {
    EXPECT_FALSE(world.is_steady()) << result.error().to_string();
  }
  co_await world.until_clean();
}

// A thread that blocks in handle_locked waits through semper::sync.
struct Sitter {
  static constexpr std::string_view kName = "Sitter";
  using State = std::int64_t;
  struct Block {
    using Reply = std::string;
  };
  using Messages = semper::Messages<Block>;
  Result<State> init(const EntityId&) { return 0; }
  Reply<std::string> handle_call(const Block&, State&, Context&) { return lock(); }
  Reply<std::string> handle_locked(const Block&, State&, LockedContext& context) {
    const semper::sync::Ref<Sitter> self(context.tenant(), context.id().id);
    const auto answer = self.call(Block{}, 1h);
    if (!answer) return fail(answer.error());
    return *answer;
  }
};

SERVER_TEST(CallChains, a_thread_that_blocks_under_the_lock_is_told_too) {
  if (world.is_simulated()) co_return;
  const Store store = co_await world.open();
  Host host(store, quick_options());  // with threads of its own
  host.serve<Sitter>();
  must(co_await host.start());
  CallOptions patient{world.patience()};
  const Sitter::Block block{};
  expect_refused(co_await semper::ref<Sitter>(store, "a").call(block, patient),
                 "Sitter/a -> Sitter/a");
  must(co_await host.stop());
}

}  // namespace
}  // namespace semper::testing
