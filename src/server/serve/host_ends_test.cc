// A host among others, at the moments when it comes, stops, or the store refuses: nothing is
// forgotten, left behind, or looked at for ever.
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "semper/server/dead_letters.h"
#include "semper/server/name_registry.h"
#include "semper/server/recording.h"
#include "server/format/keys.h"
#include "server/format/records.h"
#include "server/loops_test_support.h"

namespace semper {
namespace {

using testing::Loop;
using testing::LoopsWorld;
using namespace std::chrono_literals;

constexpr Duration kEndsBound = 20s;

struct PlainCounter {
  using State = std::int64_t;
  struct Add {
    using Reply = std::int64_t;
  };
  using Messages = semper::Messages<Add>;
  int handled = 0;

  Result<State> init(const EntityId&) { return 0; }
  void handle_cast(const Add&, State& s, Context&) {
    ++s;
    ++handled;
  }
  Reply<std::int64_t> handle_call(const Add&, State& s, Context&) { return ++s; }
};
struct LaterCounter : PlainCounter {};

struct LockTaker {
  using State = std::int64_t;
  struct Lock {};
  struct Add {};
  using Messages = semper::Messages<Lock, Add>;
  std::function<void()> locks = [] {};
  int handled = 0;

  Result<State> init(const EntityId&) { return 0; }
  Outcome handle_cast(const Lock&, State&, Context&) {
    locks();
    return lock();
  }
  Outcome handle_locked(const Lock&, State& s, LockedContext&) {
    ++handled;
    ++s;
    return {};
  }
  Outcome handle_cast(const Add&, State& s, Context&) {
    ++handled;
    ++s;
    return {};
  }
};

using HostDone = std::shared_ptr<std::optional<Status>>;

HostDone begin_on(Loop& loop, std::function<Async<void>()> what) {
  auto done = std::make_shared<std::optional<Status>>();
  asio::co_spawn(
      loop,
      [](std::function<Async<void>()> run, HostDone out) -> Task<void> {
        const Status status = co_await run();
        out->emplace(status);
      }(std::move(what), done),
      asio::detached);
  return done;
}

// The world's host, and a second one with a loop and a handle of its own.
struct HostPair : LoopsWorld {
  explicit HostPair(Pace pace = Pace::at_once) : LoopsWorld(pace), other_store(gate, env_) {
    make_host();
    HostOptions options;
    options.executor = other_loop.get_executor();
    options.name = "the other";
    other = std::make_unique<Host>(other_store, options);
  }
  ~HostPair() { gate->open(); }
  HostPair(const HostPair&) = delete;
  HostPair& operator=(const HostPair&) = delete;

  std::vector<Loop*> all() { return {&b, &host_loop, &other_loop}; }
  bool does(const std::function<Async<void>()>& what) {
    const auto done = begin_on(b, what);
    return run_until([&] { return done->has_value(); }, kEndsBound, all()) && (*done)->has_value();
  }
  bool start(Host& which) {
    return does([&] { return which.start(); });
  }
  bool stop(Host& which) {
    return does([&] { return which.stop(); });
  }
  // Exactly, or to the timer behind that.
  void until(MonotonicTime when) {
    while (clock_.now() < when && clock_.advance_to_next_timer(when)) run(all());
    if (clock_.now() < when) clock_.advance(when - clock_.now());
    run(all());
  }

  Store other_store;
  Loop other_loop{1};
  std::unique_ptr<Host> other;
};

TEST(HostEnds, others_take_the_work_of_a_host_that_stops_at_once_whenever_that_is) {
  for (Duration when{}; when < 1s; when += 25ms) {
    HostPair world(LoopsWorld::Pace::slow);
    const auto behaviour = std::make_shared<PlainCounter>();
    world.host->serve(behaviour);
    world.other->serve(behaviour);
    ASSERT_TRUE(world.start(*world.host) && world.start(*world.other));
    world.until(world.clock_.now() + 3s + when);
    ASSERT_TRUE(world.stop(*world.host));
    const auto began = world.clock_.now();
    const Store remote(world.gate, world.env_);
    constexpr int kEntities = 32;  // in shards of both
    std::vector<HostDone> sent;
    for (int i = 0; i < kEntities; ++i) {
      const auto plain = ref<PlainCounter>(remote, std::to_string(i));
      sent.push_back(begin_on(world.b, [plain] { return plain.cast(PlainCounter::Add{}); }));
    }
    ASSERT_TRUE(
        world.run_until([&] { return behaviour->handled >= kEntities; }, kEndsBound, world.all()));
    EXPECT_LT(world.clock_.now() - began, 300ms) << "stopped at " << when / 1ms << " ms";
  }
}

TEST(HostEnds, a_type_served_later_is_begun_with_when_the_store_answers_again) {
  HostPair world;
  const auto later = std::make_shared<LaterCounter>();
  world.host->serve<PlainCounter>();
  ASSERT_TRUE(world.start(*world.host));
  world.gate->refuses = ErrorKind::exhausted;
  world.host->serve(later);
  world.pass(2s, {&world.host_loop});
  world.gate->refuses.reset();
  const Store remote(world.gate, world.env_);
  const auto entity = ref<LaterCounter>(remote, "e");
  ASSERT_TRUE(world.does([&] { return entity.cast(LaterCounter::Add{}); }));
  EXPECT_TRUE(world.run_until([&] { return later->handled == 1; }, kEndsBound, world.all()));
  EXPECT_TRUE(world.stop(*world.host));
}

TEST(HostEnds, a_type_served_later_does_not_keep_a_host_whose_store_refuses) {
  HostPair world;
  world.host->serve<PlainCounter>();
  ASSERT_TRUE(world.start(*world.host));
  world.gate->refuses = ErrorKind::exhausted;
  world.host->serve<LaterCounter>();
  world.pass(20s, {&world.host_loop});
  EXPECT_TRUE(world.stop(*world.host));
}

// Runs into a full disk with its first run, and with the commits behind it.
struct FullDiskWriter {
  using State = std::int64_t;
  struct Add {
    using Reply = std::int64_t;
  };
  struct Lock {};
  using Messages = semper::Messages<Add, Lock>;
  std::function<void()> fill = [] {};
  int handled = 0;

  Result<State> init(const EntityId&) { return 0; }
  Outcome handle_cast(const Add&, State& s, Context&) {
    std::exchange(fill, [] {})();
    handled = static_cast<int>(++s);
    return {};
  }
  Reply<std::int64_t> handle_call(const Add&, State& s, Context&) {
    std::exchange(fill, [] {})();
    return ++s;
  }
  Outcome handle_cast(const Lock&, State&, Context&) {
    std::exchange(fill, [] {})();
    return lock();
  }
  Outcome handle_locked(const Lock&, State& s, LockedContext&) {
    handled = static_cast<int>(++s);
    return {};
  }
};

TEST(HostEnds, messages_wait_while_the_disk_is_full_and_are_not_set_aside) {
  for (const int commits : {1, 2, 3, 5, 20}) {
    for (const bool locks : {false, true}) {
      HostPair world;
      const auto behaviour = std::make_shared<FullDiskWriter>();
      behaviour->fill = [&world, commits] { world.gate->full_for = commits; };
      world.host->serve(behaviour);
      const Store remote(world.gate, world.env_);
      const auto entity = ref<FullDiskWriter>(remote, "e");
      ASSERT_TRUE(world.does([&] {
        return locks ? entity.cast(FullDiskWriter::Lock{}) : entity.cast(FullDiskWriter::Add{});
      }));
      ASSERT_TRUE(world.does([&] { return entity.cast(FullDiskWriter::Add{}); }));
      ASSERT_TRUE(world.start(*world.host));
      EXPECT_TRUE(world.run_until([&] { return behaviour->handled == 2; }, 200s, world.all()))
          << commits << " commits";
      std::uint64_t letters = 0;
      EXPECT_TRUE(world.does([&]() -> Async<void> {
        SEMPER_CO_TRY(letters, co_await count_dead_letters(remote, entity.entity()));
        co_return Status{};
      }));
      EXPECT_EQ(letters, 0u) << commits << " commits";
      EXPECT_TRUE(world.stop(*world.host));
    }
  }
}

TEST(HostEnds, a_host_stopped_while_it_takes_a_lock_leaves_it_to_the_next_at_once) {
  HostPair world;
  const auto behaviour = std::make_shared<LockTaker>();
  behaviour->locks = [&] { world.gate->closed = true; };
  world.host->serve(behaviour);
  const Store remote(world.gate, world.env_);
  const auto entity = ref<LockTaker>(remote, "e");
  ASSERT_TRUE(world.does([&] { return entity.cast(LockTaker::Lock{}); }));
  const auto started = begin_on(world.host_loop, [&] { return world.host->start(); });
  world.run({&world.host_loop});
  ASSERT_EQ(world.gate->waiting.size(), 1u) << "the commit that takes the lock";
  const auto stopped = begin_on(world.b, [&] { return world.host->stop(); });
  world.run({&world.b});
  world.gate->open();
  ASSERT_TRUE(world.run_until([&] { return stopped->has_value(); }, kEndsBound, world.all()));
  EXPECT_EQ(behaviour->handled, 0);
  const auto again = std::make_shared<LockTaker>();
  world.other->serve(again);
  const auto began = world.clock_.now();
  ASSERT_TRUE(world.start(*world.other));
  ASSERT_TRUE(world.run_until([&] { return again->handled == 1; }, kEndsBound, world.all()));
  EXPECT_LT(world.clock_.now() - began, 1s) << "its lease was waited out";
}

TEST(HostEnds, a_host_stopped_at_any_moment_of_a_lock_keeps_it_from_nobody) {
  for (int handlers = 0; handlers < 80; ++handlers) {
    HostPair world(LoopsWorld::Pace::slow);
    const auto behaviour = std::make_shared<LockTaker>();
    world.host->serve(behaviour);
    world.other->serve(behaviour);
    const Store remote(world.gate, world.env_);
    const auto entity = ref<LockTaker>(remote, "e");
    ASSERT_TRUE(world.start(*world.host));
    ASSERT_TRUE(world.does([&] { return entity.cast(LockTaker::Lock{}); }));
    for (int i = 0; i < handlers; ++i) {
      world.host_loop.restart();
      if (world.host_loop.poll_one() == 0) {
        world.clock_.advance_to_next_timer(world.clock_.after(1s));
      }
    }
    ASSERT_TRUE(world.stop(*world.host));
    const auto began = world.clock_.now();
    ASSERT_TRUE(world.start(*world.other));
    ASSERT_TRUE(world.does([&] { return entity.cast(LockTaker::Add{}); }));
    ASSERT_TRUE(world.run_until([&] { return behaviour->handled == 2; }, kEndsBound, world.all()))
        << "stopped after " << handlers << " handlers";
    EXPECT_LT(world.clock_.now() - began, 2s) << "stopped after " << handlers << " handlers";
    ASSERT_TRUE(world.stop(*world.other));
  }
}

TEST(HostEnds, a_start_under_way_leaves_no_row_of_a_host_that_has_stopped) {
  for (int handlers = 0; handlers < 60; ++handlers) {
    HostPair world(LoopsWorld::Pace::slow);
    world.host->serve<PlainCounter>();
    ASSERT_TRUE(world.start(*world.host));
    world.host->serve<LaterCounter>();
    for (int i = 0; i < handlers; ++i) {
      world.host_loop.restart();
      if (world.host_loop.poll_one() == 0) {
        world.clock_.advance_to_next_timer(world.clock_.after(1s));
      }
    }
    ASSERT_TRUE(world.stop(*world.host));
    std::size_t rows = 0;
    const Tenant tenant(*world.store);
    const auto count = [&](Transaction& transaction) -> Async<void> {
      const KeyRange hosts = internal::host_range(tenant.prefix());
      SEMPER_CO_TRY(const auto page, co_await transaction.get_range(hosts));
      rows = page.rows.size();
      co_return Status{};
    };
    ASSERT_TRUE(world.does([&] { return world.store->transact(count); }));
    EXPECT_EQ(rows, 0u) << "stopped after " << handlers << " handlers";
  }
}

// A lock that its host has left in order.
class LeftLock : public HostPair {
 public:
  LeftLock() : behaviour(std::make_shared<LockTaker>()) {
    behaviour->locks = [this] { gate->closed = true; };
    host->serve(behaviour);
    other->serve(behaviour);
    EXPECT_TRUE(does([&] { return entity.cast(LockTaker::Lock{}); }));
    const auto started = begin_on(host_loop, [&] { return host->start(); });
    run({&host_loop});
    const auto stopped = begin_on(b, [&] { return host->stop(); });
    run({&b});
    gate->open();
    EXPECT_TRUE(run_until([&] { return stopped->has_value(); }, kEndsBound, all()));
    behaviour->locks = [] {};
  }

  const Store remote{gate, env_};
  const Ref<LockTaker> entity = ref<LockTaker>(remote, "e");
  std::shared_ptr<LockTaker> behaviour;
};

TEST(HostEnds, a_lock_without_a_message_is_removed_and_not_looked_at_for_ever) {
  LeftLock world;
  const Tenant tenant(world.remote);
  const internal::EntityKeys keys(tenant.prefix(), world.entity.entity());
  const auto lose_queue = [&](Transaction& transaction) -> Async<void> {
    transaction.clear_range(keys.queue());
    transaction.set(keys.pushed(), Bytes(8, '\0'));
    co_return Status{};
  };
  ASSERT_TRUE(world.does([&] { return world.remote.transact(lose_queue); }));
  const auto started = begin_on(world.other_loop, [&] { return world.other->start(); });
  std::size_t handlers = 0;
  for (int second = 0; second < 10; ++second) {
    world.clock_.advance(1s);
    world.other_loop.restart();
    for (std::size_t ran = 0; ran < 10'000 && world.other_loop.poll_one() > 0; ++ran) ++handlers;
  }
  ASSERT_LT(handlers, 10'000u) << "the host spins";
  ASSERT_TRUE(world.does([&] { return world.entity.cast(LockTaker::Add{}); }));
  EXPECT_TRUE(
      world.run_until([&] { return world.behaviour->handled == 1; }, kEndsBound, world.all()))
      << "the entity is locked for ever";
}

TEST(HostEnds, a_recording_of_a_locked_entity_has_the_message_of_its_lock) {
  LeftLock world;
  RecordOptions none;
  none.messages = 0;
  std::optional<Recording> recording;
  ASSERT_TRUE(world.does([&]() -> Async<void> {
    SEMPER_CO_TRY(recording,
                  co_await record_entity(Tenant(world.remote), world.entity.entity(), none));
    co_return Status{};
  }));
  ASSERT_TRUE(world.does([&] { return world.entity.kill(); }));
  ASSERT_TRUE(world.does([&] { return restore_recording(Tenant(world.remote), *recording); }));
  ASSERT_TRUE(world.start(*world.other));
  EXPECT_TRUE(
      world.run_until([&] { return world.behaviour->handled == 1; }, kEndsBound, world.all()));
}

TEST(HostEnds, a_host_that_has_stopped_leaves_nothing_on_its_executor) {
  HostPair world;
  world.host->serve<PlainCounter>();
  const auto all = begin_on(world.host_loop, [&]() -> Async<void> {
    SEMPER_CO_TRY_STATUS(co_await world.host->start());
    const auto plain = ref<PlainCounter>(*world.store, "e");
    const PlainCounter::Add message;
    SEMPER_CO_TRY(const auto count, co_await plain.call(message));
    EXPECT_EQ(count, 1);
    co_return co_await world.host->stop();
  });
  world.run({&world.host_loop});
  ASSERT_TRUE(all->has_value() && (*all)->has_value());
  EXPECT_TRUE(world.host_loop.stopped()) << "run() would not return for some time";
}

TEST(HostEnds, a_registry_that_was_closed_leaves_nothing_on_its_executor) {
  HostPair world;
  NameRegistryOptions options;
  options.executor = world.b.get_executor();
  NameRegistry holder(*world.store, options);
  options.executor = world.host_loop.get_executor();
  NameRegistry waiter(*world.store, options);
  std::optional<Holding> held;
  const auto holds = begin_on(world.b, [&]() -> Async<void> {
    auto got = co_await holder.acquire("name");
    if (!got) co_return fail(got.error());
    held.emplace(std::move(*got));
    co_return Status{};
  });
  world.run({&world.b});
  ASSERT_TRUE(held);
  const auto waits = begin_on(world.host_loop, [&]() -> Async<void> {
    auto got = co_await waiter.campaign("name");
    EXPECT_FALSE(got);
    co_return Status{};
  });
  world.run({&world.host_loop});
  ASSERT_FALSE(waits->has_value());
  const auto closed = begin_on(world.host_loop, [&] { return waiter.close(); });
  world.run({&world.host_loop});
  EXPECT_TRUE(waits->has_value() && closed->has_value());
  EXPECT_TRUE(world.host_loop.stopped()) << "run() would not return for some time";
}

}  // namespace
}  // namespace semper
