// A batch by itself, without the slot that runs it: what it leaves to whoever ran it.
#include "server/serve/batch.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "semper/open_store.h"
#include "semper/server/behaviour.h"
#include "semper/server/internal/behaviour_of.h"
#include "semper/testing/faulty_backend.h"
#include "semper/testing/simulated_run.h"
#include "server/format/enqueue.h"
#include "server/send/store_in_process.h"

namespace semper::internal {
namespace {

using testing::simulated_run;
using testing::SimulatedClock;

struct Till {
  using State = std::int64_t;
  struct Put {
    std::int64_t by = 1;
    using Reply = std::int64_t;
  };
  struct Close {};
  using Messages = semper::Messages<Put, Close>;
  Result<State> init(const EntityId&) { return 0; }
  Reply<std::int64_t> handle_call(const Put& m, State& s, Context&) { return s += m.by; }
  void handle_cast(const Put& m, State& s, Context&) { s += m.by; }
  Outcome handle_cast(const Close&, State&, Context&) { return lock(); }
  void handle_locked(const Close&, State& s, LockedContext&) { s = 0; }
};

RawMessage put(std::int64_t by) {
  return {"Put", encode(Till::Put{by})};
}

// A turn that a test ends when it likes.
class GivenTurn final : public EntityTurn {
 public:
  explicit GivenTurn(Desk& desk) : desk_(desk) {}
  bool lasts() const override { return !is_over; }
  bool enter_callbacks() override {
    if (!is_over) desk_.in_callbacks.store(true);
    return !is_over;
  }
  Async<void> pause(Duration duration) override {
    paused += duration;
    if (paused > kPausesMaximum) is_over = true;  // or a wait without a bound would never end
    co_return Status{};
  }
  void keep(std::shared_ptr<Permit>) override {}

  static constexpr Duration kPausesMaximum = 2 * kAlonePatience;
  bool is_over = false;
  Duration paused{};

 private:
  Desk& desk_;
};

// One entity, with a desk of its own for each test.
struct Fixture {
  Fixture(Store on, Executor executor, HostOptions options) : store(std::move(on)) {
    core = std::make_shared<HostCore>(Tenant(store), std::move(options));
    core->name = "a till's host";
    core->executor = executor;
    core->home = Loop(executor);
    core->suspicion.clear();
    core->publishers = StoreInProcess::of(store)->publishers.of(core->tenant);
    auto behaviour = std::make_shared<BehaviourOf<Till>>(std::make_shared<Till>());
    served = std::make_shared<ServedBehaviour>(core, std::move(behaviour), ServeOptions());
    target = std::make_shared<const Target>(core->tenant, EntityId{served->type(), "1"});
    desk = std::make_shared<Desk>(target);
    turn = std::make_unique<GivenTurn>(*desk);
  }

  Task<BatchOutcome> run(std::vector<Operation> operations, Batch::Notice notice) {
    Batch batch(*served, target, *desk, *turn, std::move(operations), notice);
    co_return co_await batch.run();
  }
  Task<BatchOutcome> run_queue() { return run(std::vector<Operation>(), Batch::Notice::queue); }
  Async<void> enqueue(std::vector<RawMessage> casts) {
    co_return co_await store.transact([&](Transaction& transaction) -> Async<void> {
      Enqueuer enqueuer(transaction);
      enqueuer.to(target->keys);
      for (const auto& cast : casts) enqueuer.add(Event::cast, cast);
      enqueuer.finish();
      co_return Status{};
    });
  }
  Async<Header> header() {
    const Bytes key = target->keys.header();
    SEMPER_CO_TRY(const auto raw, co_await store.transact([&](Transaction& transaction) {
      return transaction.get(key);
    }));
    if (!raw) co_return Header();
    co_return Header::decode(*raw);
  }

  Store store;
  std::shared_ptr<HostCore> core;
  std::shared_ptr<const ServedBehaviour> served;
  std::shared_ptr<const Target> target;
  std::shared_ptr<Desk> desk;
  std::unique_ptr<GivenTurn> turn;
};

// Runs a case in simulated time.
template <class F>
void with_till(HostOptions options, F f) {
  SimulatedClock clock;
  Env env;
  env.clock = &clock;
  simulated_run(clock, [&]() -> Task<void> {
    register_builtin_backends();
    auto backend = co_await open_backend("memory:", env);
    const Executor executor = co_await asio::this_coro::executor;
    Fixture till(Store(std::move(backend).value(), env), executor, options);
    co_await f(till);
  }());
}

std::vector<Operation> one_call(std::int64_t by) {
  std::vector<Operation> operations(1);
  operations.front().event = Event::call;
  operations.front().messages.push_back(put(by));
  return operations;
}
std::vector<RawMessage> casts_of(std::int64_t by, std::size_t count) {
  return std::vector<RawMessage>(count, put(by));
}
std::vector<RawMessage> one_close() {
  return std::vector<RawMessage>(1, RawMessage{"Close", encode(Till::Close())});
}

TEST(Batch, an_operation_is_answered_and_nothing_is_left) {
  with_till({}, [](Fixture& till) -> Task<void> {
    auto operations = one_call(5);
    auto done = operations.front().done;
    const BatchOutcome outcome = co_await till.run(std::move(operations), Batch::Notice::none);
    const auto answer = co_await done.wait();
    EXPECT_EQ(decode<std::int64_t>(answer.value().value()), 5);
    EXPECT_TRUE(outcome.undone.empty());
    EXPECT_FALSE(outcome.look_again);
    EXPECT_FALSE(outcome.lock);
    EXPECT_FALSE(outcome.is_locked_by_others);
  });
}

TEST(Batch, a_batch_whose_turn_was_lost_gives_its_operations_back_unanswered) {
  with_till({}, [](Fixture& till) -> Task<void> {
    till.turn->is_over = true;
    auto operations = one_call(5);
    auto done = operations.front().done;
    const BatchOutcome outcome = co_await till.run(std::move(operations), Batch::Notice::none);
    EXPECT_EQ(outcome.undone.size(), 1u);
    EXPECT_FALSE(done.is_set());
    const auto header = co_await till.header();
    EXPECT_FALSE(header.value().has_state) << "no callback has run";
  });
}

TEST(Batch, a_batch_that_took_a_part_of_the_queue_says_to_look_again) {
  HostOptions options;
  options.batch_messages = 2;
  with_till(options, [](Fixture& till) -> Task<void> {
    EXPECT_TRUE(co_await till.enqueue(casts_of(1, 3)));
    const BatchOutcome first = co_await till.run_queue();
    EXPECT_TRUE(first.look_again);
    EXPECT_EQ((co_await till.header()).value().popped, 2u);
    const BatchOutcome second = co_await till.run_queue();
    EXPECT_FALSE(second.look_again);
    EXPECT_EQ((co_await till.header()).value().popped, 3u);
  });
}

TEST(Batch, a_batch_that_took_the_lock_hands_it_out_and_the_next_leaves_it_to_its_holder) {
  with_till({}, [](Fixture& till) -> Task<void> {
    EXPECT_TRUE(co_await till.enqueue(one_close()));
    const BatchOutcome taking = co_await till.run_queue();
    EXPECT_TRUE(taking.lock);
    if (!taking.lock) co_return;
    const auto header = co_await till.header();
    EXPECT_EQ(header.value().lock.value().nonce, taking.lock->nonce);
    EXPECT_EQ(taking.lock->message.content.name, "Close");
    EXPECT_GT(taking.lock->fencing_token, 0u);

    auto operations = one_call(5);
    auto done = operations.front().done;
    const BatchOutcome waiting = co_await till.run(std::move(operations), Batch::Notice::queue);
    EXPECT_TRUE(waiting.is_locked_by_others);
    EXPECT_FALSE(waiting.lock);
    EXPECT_FALSE(done.is_set()) << "it waits in the queue";
  });
}

// A host ended while it ran the first message of the queue.
Async<void> suspect(Fixture& till) {
  SEMPER_CO_TRY_STATUS(co_await till.enqueue(casts_of(1, 1)));
  till.core->suspicion.renew();
  co_return co_await till.store.transact([&](Transaction& transaction) -> Async<void> {
    SEMPER_CO_TRY(const auto page,
                  co_await transaction.get_range(till.target->keys.queue(), RangeOptions()));
    SEMPER_CO_TRY(const auto stamp, EntityKeys::stamp_in(page.rows.at(0).key));
    const Announcement announced{QueuePlace{stamp, 0}, 0, 1, 1, false, "gone"};
    transaction.set(till.target->keys.announcement(), announced.encode());
    co_return Status{};
  });
}

TEST(Batch, a_suspected_message_waits_for_its_permit_up_to_a_bound_and_then_lets_others_by) {
  with_till({}, [](Fixture& till) -> Task<void> {
    EXPECT_TRUE(co_await suspect(till));
    till.core->lone_runs = std::make_shared<Permits>(1);
    auto taken = till.core->lone_runs->try_acquire();
    const BatchOutcome outcome = co_await till.run_queue();
    EXPECT_EQ(till.turn->paused, kAlonePatience);
    EXPECT_FALSE(till.turn->is_over);
    EXPECT_FALSE(outcome.look_again);
    EXPECT_EQ((co_await till.header()).value().popped, 0u) << "it has not run";
    EXPECT_FALSE(till.served->left_alone().is_empty()) << "it is looked at again";
    taken.reset();
    static_cast<void>(co_await till.run_queue());
    EXPECT_EQ((co_await till.header()).value().popped, 1u);
  });
}

TEST(Batch, an_announcement_that_loses_to_others_for_ever_ends_with_a_conflict) {
  SimulatedClock clock;
  SeededRandom random(1);
  simulated_run(clock, [&]() -> Task<void> {
    register_builtin_backends();
    const Env env{&clock, &random};
    auto backend = co_await open_backend("memory:", env);
    auto faulty = std::make_shared<testing::FaultyBackend>(std::move(backend).value(), env);
    const Executor executor = co_await asio::this_coro::executor;
    Fixture till(Store(faulty, env), executor, {});
    EXPECT_TRUE(co_await till.enqueue(casts_of(1, 1)));
    till.core->suspicion.renew();
    using Fault = testing::CommitFault;
    for (int i = 0; i < kConflictAttempts; ++i) faulty->script({Fault::conflict});
    static_cast<void>(co_await till.run_queue());
    EXPECT_EQ(faulty->happened()["conflict"], static_cast<std::uint64_t>(kConflictAttempts));
    EXPECT_EQ((co_await till.header()).value().popped, 0u) << "the queue waits for the next look";
    static_cast<void>(co_await till.run_queue());
    EXPECT_EQ((co_await till.header()).value().popped, 1u);
  }());
}

TEST(Batch, a_batch_of_a_host_that_takes_nothing_from_queues_leaves_the_lock_alone) {
  with_till({}, [](Fixture& till) -> Task<void> {
    EXPECT_TRUE(co_await till.enqueue(one_close()));
    static_cast<void>(co_await till.run_queue());
    auto behaviour = std::make_shared<BehaviourOf<Till>>(std::make_shared<Till>());
    const ServeOptions own_only{ServeOptions::Consume::no};
    till.served = std::make_shared<ServedBehaviour>(till.core, std::move(behaviour), own_only);
    const BatchOutcome outcome = co_await till.run(one_call(5), Batch::Notice::none);
    EXPECT_FALSE(outcome.is_locked_by_others);
    EXPECT_FALSE(outcome.lock);
  });
}

}  // namespace
}  // namespace semper::internal
