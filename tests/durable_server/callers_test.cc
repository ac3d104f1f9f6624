// Who waits for a message, as it is seen from outside; and that its trace goes with the call.
#include <gmock/gmock.h>

#include "behaviours.h"
#include "semper/env/trace_context.h"
#include "world.h"

namespace semper::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

SERVER_SUITE(Callers);

// Asks a Counter, in its transaction or under the lock.
struct Asker {
  using State = std::int64_t;
  struct Ask {
    std::string whom;
    using Reply = std::int64_t;
  };
  struct AskLocked {
    std::string whom;
    using Reply = std::int64_t;
  };
  using Messages = semper::Messages<Ask, AskLocked>;
  Result<State> init(const EntityId&) { return 0; }
  static Async<std::int64_t> ask(Tenant tenant, std::string whom) {
    const auto counter = semper::ref<Counter>(tenant, whom);
    const CallOptions patient{std::chrono::hours(1)};
    const Counter::Read read;
    co_return co_await counter.call(read, patient);
  }
  Async<std::int64_t> handle_call(const Ask& m, State&, Context& context) {
    return ask(context.tenant(), m.whom);
  }
  Reply<std::int64_t> handle_call(const AskLocked&, State&, Context&) { return lock(); }
  Async<std::int64_t> handle_locked(const AskLocked& m, State&, LockedContext& context) {
    return ask(context.tenant(), m.whom);
  }
};

Task<std::vector<QueuedView>> queue_of(World& world, EntityId id) {
  auto queue = co_await peek_queue(Tenant(world.store()), std::move(id));
  if (!queue) co_return std::vector<QueuedView>();
  co_return std::move(*queue);
}

template <class Message>
Task<void> check(World& world, Process* asking) {
  const TraceContext trace = TraceContext::start(*world.env().random, Sampled::no);
  auto asker = world.ref<Asker>("a").traced(trace);
  auto counter = world.ref<Counter>("c");
  const CallOptions patient{world.patience()};
  const Message ask{"c"};
  OneShot<Result<std::int64_t>> told;
  auto in_background = [](Ref<Asker> to, Message message, CallOptions options,
                          OneShot<Result<std::int64_t>> answer) -> Task<void> {
    answer.set(co_await to.call(message, options));
  };
  asio::co_spawn(asking->executor(), in_background(asker, ask, patient, told), asio::detached);
  std::vector<QueuedView> queue;
  co_await world.eventually([&]() -> Task<bool> {
    queue = co_await queue_of(world, counter.entity());
    co_return !queue.empty();
  });
  EXPECT_THAT(queue.front().callers, ElementsAre(asker.entity()));
  EXPECT_EQ(queue.front().traceparent, trace.traceparent());
  const EntityId nobody{asker.entity().type, "nobody"};
  EXPECT_THAT(co_await queue_of(world, nobody), IsEmpty());
  co_await world.serve<Counter>();
  co_await world.eventually([&] { return told.is_set(); });
  auto answer = must(co_await told.wait());
  EXPECT_EQ(must(std::move(answer)), 0);
}

SERVER_TEST(Callers, of_a_callback_that_waits_are_named) {
  Process* const asking = co_await world.serve<Asker>();
  co_await check<Asker::Ask>(world, asking);
}

SERVER_TEST(Callers, under_the_lock_are_named) {
  Process* const asking = co_await world.serve<Asker>();
  co_await check<Asker::AskLocked>(world, asking);
}

}  // namespace
}  // namespace semper::testing
