// The bound of a queue holds for what callbacks send as for what programs do.
#include <optional>

#include "behaviours.h"
#include "world.h"

namespace semper::testing {
namespace {

using namespace std::chrono_literals;

SERVER_SUITE_ON(QueueBound, worlds_in(TimeKind::simulated));

struct Sender {
  using State = std::int64_t;
  struct Send {
    std::string to;
    std::int64_t count = 1;
    using Reply = std::int64_t;
  };
  struct Breed {  // two of itself
    std::int64_t left = 0;
  };
  struct Lock {
    std::string to;
  };
  using Messages = semper::Messages<Send, Breed, Lock>;
  Result<State> init(const EntityId&) { return 0; }
  static void send(const Send& m, State& s, Context& context) {
    const auto to = semper::ref<Diary>(context.tenant(), m.to);
    for (std::int64_t i = 0; i < m.count; ++i) context.cast(to, note("x"));
    s += m.count;
  }
  Reply<std::int64_t> handle_call(const Send& m, State& s, Context& context) {
    send(m, s, context);
    return s;
  }
  void handle_cast(const Send& m, State& s, Context& context) { send(m, s, context); }
  void handle_cast(const Breed& m, State& s, Context& context) {
    ++s;
    const auto self = semper::ref<Sender>(context.tenant(), context.id().id);
    context.cast(self, Breed{m.left - 1});
    context.cast(self, Breed{m.left - 1});
  }
  Outcome handle_cast(const Lock&, State&, Context&) { return lock(); }
  void handle_locked(const Lock& m, State& s, LockedContext& context) {
    ++s;
    context.cast(semper::ref<Diary>(context.tenant(), m.to), note("x"));
  }
};

Sender::Send send(std::string to, std::int64_t count) {
  return {std::move(to), count};
}

// As if so many had been pushed to the entity, and nobody took them.
Task<void> fill(World& world, const EntityId& id, std::uint64_t pushed) {
  Bytes counter;
  append_little_endian_u64(counter, pushed);
  co_await world.put(entity_key(id, 1), counter);
}

SERVER_TEST(QueueBound, holds_for_casts_of_callbacks_to_others) {
  auto& server = *co_await world.serve<Sender>();
  auto full = world.ref<Diary>("full");
  co_await fill(world, full.entity(), kQueueMessagesMaximum);
  auto local = server.ref<Sender>("local");
  int sent = 0;
  std::optional<Error> refused;
  const auto message = send("full", 100);
  for (; sent < 100 && !refused; ++sent) {
    const auto done = co_await local.call(message);
    if (!done) refused = done.error();
  }
  EXPECT_TRUE(refused);
  if (refused) {
    EXPECT_EQ(refused->kind(), ErrorKind::retry) << refused->to_string();
    EXPECT_TRUE(refused->is_retryable());
    EXPECT_TRUE(refused->limit());
    EXPECT_NE(refused->message().find("full"), std::string::npos) << refused->to_string();
  }
  // Each of the next is refused too; a queued one is tried again, then set aside.
  EXPECT_FALSE(co_await local.call(message));
  auto queued = world.ref<Sender>("queued");
  must(co_await queued.cast(message));
  co_await world.until_processed(queued.untyped());
  EXPECT_EQ((co_await world.look(queued)).dead_letters, 1u);
  EXPECT_LE(must(co_await full.queue_length()), kQueueMessagesMaximum + kQueueCheckInterval);
  // When there is room again it goes on.
  co_await fill(world, full.entity(), 0);
  EXPECT_TRUE(co_await local.call(message));
  const auto elsewhere = send("empty", 5'000);
  EXPECT_TRUE(co_await local.call(elsewhere));
}

SERVER_TEST(QueueBound, holds_beside_more_entities_than_a_process_counts_its_messages_to) {
  const auto full = world.ref<Diary>("full");
  co_await fill(world, full.entity(), kQueueMessagesMaximum);
  std::optional<Error> refused;
  for (int round = 0; round < 6 && !refused; ++round) {
    semper::Batch<Diary> batch;
    for (std::uint64_t i = 0; i < kQueueCheckInterval - 100; ++i) batch.add(note("x"));
    const auto sent = co_await full.cast(std::move(batch));
    if (!sent) refused = sent.error();
    co_await world.in_parallel(5'000, [&](int i) -> Task<void> {
      const auto other = world.ref<Counter>(std::to_string(i));
      must(co_await other.cast(Counter::Add{1}));
    });
  }
  EXPECT_TRUE(refused);
  if (refused) {
    EXPECT_EQ(refused->kind(), ErrorKind::retry) << refused->to_string();
  }
}

SERVER_TEST(QueueBound, holds_for_casts_of_an_entity_to_itself) {
  auto self = world.ref<Sender>("s");
  must(co_await self.cast(Sender::Breed{3}));
  // The counter says that the queue is at its bound.
  co_await fill(world, self.entity(), kQueueMessagesMaximum);
  co_await world.serve<Sender>();
  co_await world.eventually(
      [&]() -> Task<bool> { co_return (co_await world.look(self)).dead_letters == 1; });
  EXPECT_EQ(must(co_await self.queue_length()), kQueueMessagesMaximum - 1);
}

SERVER_TEST(QueueBound, holds_for_results_of_handle_locked_which_wait_for_room) {
  auto& server = *co_await world.serve<Sender>();
  const auto full = world.ref<Diary>("full");
  co_await fill(world, full.entity(), kQueueMessagesMaximum);
  // So many that it is looked at.
  const auto many = send("full", 2 * static_cast<std::int64_t>(kQueueCheckInterval));
  EXPECT_FALSE(co_await server.ref<Sender>("many").call(many));
  auto sender = world.ref<Sender>("s");
  const Sender::Lock message{"full"};
  must(co_await sender.cast(message));
  must(co_await sleep_for(world.clock(), 10s));
  EXPECT_EQ(must(co_await sender.queue_length()), 1u);
  EXPECT_LE(must(co_await full.queue_length()), kQueueMessagesMaximum);
  co_await fill(world, full.entity(), 0);
  co_await world.until_processed(sender.untyped());
  EXPECT_EQ((co_await world.look(sender)).dead_letters, 0u);
  EXPECT_EQ(must(co_await full.queue_length()), 1u);
  // For a while, not for ever.
  co_await fill(world, full.entity(), kQueueMessagesMaximum + 1);
  EXPECT_FALSE(co_await server.ref<Sender>("many").call(many));
  must(co_await sender.cast(message));
  co_await world.until_processed(sender.untyped());
  const auto letters = must(co_await list_dead_letters(world.store(), sender.entity()));
  EXPECT_EQ(letters.size(), 1u);
  if (!letters.empty()) {
    EXPECT_NE(letters[0].reason.find("full"), std::string::npos) << letters[0].reason;
  }
}

}  // namespace
}  // namespace semper::testing
