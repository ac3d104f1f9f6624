// The lock: one holder at a time, by lease; its work is done once more rather than lost, and a late
// result is refused.
#include <algorithm>
#include <atomic>
#include <mutex>

#include "behaviours.h"
#include "world.h"

namespace semper::testing {
namespace {

using namespace std::chrono_literals;

SERVER_SUITE(Locks);
SERVER_SUITE_ON(FrozenLocks, worlds_in(TimeKind::simulated));
SERVER_SUITE_ON(BlockedLocks, worlds_in(TimeKind::real));

// Work and Quick take the lock. Work then waits until the door of its process is open.
struct Workshop {
  using State = std::vector<std::string>;
  struct Work {
    std::string text;
    using Reply = std::uint64_t;
  };
  struct Quick {
    std::string text;
    using Reply = std::uint64_t;
  };
  struct Break {
    using Reply = std::uint64_t;
  };
  struct Measure {
    std::string text;
    using Reply = std::uint64_t;
  };
  struct Refuse {
    using Reply = std::uint64_t;
  };
  struct Finish {};
  struct Unhandled {
    using Reply = std::uint64_t;
  };
  struct Note {
    std::string text;
    using Reply = std::uint64_t;
  };
  struct Lines {
    using Reply = std::vector<std::string>;
  };
  using Messages =
      semper::Messages<Work, Quick, Break, Measure, Refuse, Finish, Unhandled, Note, Lines>;

  Result<State> init(const EntityId&) { return State(); }

  Reply<std::uint64_t> handle_call(const Work& m, State& s, Context&) {
    s.push_back("begin " + m.text);
    return lock();
  }
  Outcome handle_cast(const Work& m, State& s, Context&) {
    s.push_back("begin " + m.text);
    return lock();
  }
  Task<Reply<std::uint64_t>> handle_locked(const Work& m, State& s, LockedContext& context) {
    {
      std::lock_guard guard(mutex);
      tokens.push_back(context.fencing_token());
      events.push_back(context.event());
    }
    ++entered;
    while (!door_is_open) {
      if (context.lost().stop_requested()) {
        ++lost;
        if (leaves_when_lost) break;
      }
      static_cast<void>(co_await sleep_for(context.clock(), 2ms));
    }
    s.push_back(name + " did " + m.text);
    co_return s.size();
  }

  Reply<std::uint64_t> handle_call(const Quick&, State&, Context&) { return lock(); }
  Outcome handle_cast(const Quick&, State&, Context&) { return lock(); }
  Reply<std::uint64_t> handle_locked(const Quick& m, State& s, LockedContext&) {
    s.push_back(m.text);
    return s.size();
  }

  Reply<std::uint64_t> handle_call(const Measure&, State&, Context&) { return lock(); }
  Async<std::uint64_t> handle_locked(const Measure& m, State& s, LockedContext& context) {
    const auto length = m.text.size();
    const Duration a_while = 1ms;
    SEMPER_CO_TRY_STATUS(co_await sleep_for(context.clock(), a_while));
    if (length == 0) co_return fail(ErrorKind::invalid_argument, "nothing to measure");
    s.push_back(m.text);
    co_return length;
  }

  Reply<std::uint64_t> handle_call(const Break&, State&, Context&) { return lock(); }
  Outcome handle_cast(const Break&, State&, Context&) { return lock(); }
  Reply<std::uint64_t> handle_locked(const Break&, State& s, LockedContext&) {
    ++entered;
    s.push_back("must not be seen");
    throw std::runtime_error("broken in the workshop");
  }

  Reply<std::uint64_t> handle_call(const Refuse&, State&, Context&) { return lock(); }
  Reply<std::uint64_t> handle_locked(const Refuse&, State& s, LockedContext&) {
    s.push_back("refused");
    return fail(ErrorKind::permission, "not in this workshop");
  }

  Outcome handle_cast(const Finish&, State&, Context&) { return lock(); }
  Outcome handle_locked(const Finish&, State& s, LockedContext&) {
    s.push_back("finish");
    return Outcome(stop("finished"));
  }
  void terminate(const State& s, const std::string& reason) {
    std::lock_guard guard(mutex);
    ends.push_back(reason + " " + std::to_string(s.size()));
  }

  Reply<std::uint64_t> handle_call(const Unhandled&, State&, Context&) { return lock(); }

  Reply<std::uint64_t> handle_call(const Note& m, State& s, Context&) {
    s.push_back(m.text);
    return s.size();
  }
  void handle_cast(const Note& m, State& s, Context&) { s.push_back(m.text); }
  Reply<std::vector<std::string>> handle_call(const Lines&, State& s, Context&) { return s; }

  explicit Workshop(std::string whose = "host") : name(std::move(whose)) {}

  const std::string name;
  std::atomic<bool> door_is_open{false};
  std::atomic<bool> leaves_when_lost{false};
  std::atomic<int> entered{0};
  std::atomic<int> lost{0};
  std::mutex mutex;
  std::vector<std::uint64_t> tokens;
  std::vector<Event> events;
  std::vector<std::string> ends;
};

using Lines = std::vector<std::string>;

Workshop::Work work(std::string text) {
  return {std::move(text)};
}
Workshop::Quick quick(std::string text) {
  return {std::move(text)};
}
Workshop::Note jot(std::string text) {
  return {std::move(text)};
}

// Waits until a message holds the lock.
Task<void> until_locked(World& world, const Ref<Workshop>& shop) {
  co_await world.eventually([&]() -> Task<bool> {
    auto view = co_await inspect(world.store(), shop.entity());
    co_return view && view->lock.has_value();
  });
}

SERVER_TEST(Locks, a_locked_result_is_written_back_and_answers_the_caller) {
  auto& server = *co_await world.serve<Workshop>();
  for (const bool local : {true, false}) {
    auto shop = local ? server.ref<Workshop>("local") : world.ref<Workshop>("queued");
    const auto call = quick("called");
    EXPECT_EQ(must(co_await shop.call(call)), 1u);
    const auto cast = quick("cast");
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
    const auto call = work("w");
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
  const auto first = jot("before");
  must(co_await outside.cast(first));
  const auto locking = work("w");
  must(co_await outside.cast(locking));
  co_await until_locked(world, outside);
  co_await world.eventually([&] { return workshop->entered == 1; });

  CallOptions patient{world.patience()};
  co_await world.in_parallel(3, [&](int who) -> Task<void> {
    if (who == 0) {
      const auto waits = jot("from inside");
      must(co_await inside.call(waits, patient));
      co_return;
    }
    if (who == 1) {
      const auto waits = jot("from outside");
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
  const auto locking = work("w");
  must(co_await shop.cast(locking));
  co_await world.eventually([&] { return holder->entered == 1; });
  auto other = std::make_shared<Workshop>("other");
  auto& watching = *co_await world.serve(other, options);
  // A message there makes the other host look at the lock, and wait for it.
  const auto waits = jot("waits");
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
      const auto locking = work("w");
      EXPECT_EQ(must(co_await shop.call(locking, patient)), 2u);
      co_return;
    }
    co_await world.eventually([&] { return holder->entered == 1; });
    const auto waits = jot("waits");
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

SERVER_TEST(FrozenLocks, a_finished_result_outlasts_whatever_the_store_answers_meanwhile) {
  std::vector<StoreFaults> troubles(3);
  troubles[0].snapshot_refused = 1;
  troubles[1].conflict = 1;
  troubles[2].unknown_lost = 1;
  int entity = 0;
  for (const auto& trouble : troubles) {
    // Passing, and longer than the lease where nobody else is there to take the lock.
    for (const Duration span : {Duration(500ms), Duration(20s)}) {
      std::shared_ptr<FaultyBackend> faults;
      const Store store = co_await world.open_faulty(faults);
      auto workshop = std::make_shared<Workshop>();
      auto& server = *world.process(store);
      server.host().serve(workshop);
      must(co_await server.run(server.host().start()));
      auto shop = world.ref<Workshop>(std::to_string(++entity));
      const auto locking = work("w");
      must(co_await shop.cast(locking));
      co_await world.eventually([&] { return workshop->entered == 1; });
      faults->set_faults(trouble);
      workshop->door_is_open = true;
      must(co_await sleep_for(world.clock(), span));
      faults->calm();
      co_await world.until_processed(shop.untyped());
      EXPECT_EQ(workshop->entered.load(), 1) << "the work was done again, entity " << entity;
      EXPECT_EQ(must(co_await shop.call(Workshop::Lines{})), list("begin w", "host did w"));
      must(co_await server.run(server.host().stop()));
    }
  }
  co_await world.until_clean();
}

SERVER_TEST(FrozenLocks, a_late_result_of_a_holder_that_slept_past_its_lease_is_refused) {
  auto holder = std::make_shared<Workshop>("holder");
  auto& sleepy = *co_await world.serve(holder);
  auto shop = world.ref<Workshop>("w");
  const auto locking = work("w");
  must(co_await shop.cast(locking));
  co_await world.eventually([&] { return holder->entered == 1; });
  sleepy.freeze();
  auto heir = std::make_shared<Workshop>("heir");
  co_await world.serve(heir);
  co_await world.eventually([&] { return heir->entered == 1; });
  holder->door_is_open = true;
  sleepy.thaw();
  co_await world.eventually([&] {
    const auto log = world.logged();
    return std::any_of(log.begin(), log.end(), [](const std::string& line) {
      return line.find("the locked result was not written") != std::string::npos;
    });
  });
  EXPECT_TRUE((co_await world.look(shop)).lock.has_value()) << "the heir holds it still";
  heir->door_is_open = true;
  co_await world.until_processed(shop.untyped());
  EXPECT_EQ(must(co_await shop.call(Workshop::Lines{})), list("begin w", "heir did w"));
  co_await world.until_clean();
}

// Blocks its thread.
struct Blocker {
  using State = std::vector<std::string>;
  struct Work {};
  struct Lines {
    using Reply = std::vector<std::string>;
  };
  using Messages = semper::Messages<Work, Lines>;
  Result<State> init(const EntityId&) { return State(); }
  Outcome handle_cast(const Work&, State&, Context&) { return lock(); }
  void handle_locked(const Work&, State& s, LockedContext&) {
    ++runs;
    entered = true;
    door_is_open.wait(false);
    s.push_back(name);
  }
  Reply<std::vector<std::string>> handle_call(const Lines&, State& s, Context&) { return s; }

  explicit Blocker(std::string whose) : name(std::move(whose)) {}
  const std::string name;
  void open_door() {
    door_is_open = true;
    door_is_open.notify_all();
  }
  std::atomic<int> runs{0};
  std::atomic<bool> entered{false};
  std::atomic<bool> door_is_open{false};
};

// How often the holder has renewed the lock.
Task<std::uint64_t> renewals_of(World& world, const EntityId& id) {
  const auto rows = co_await world.rows(KeyRange::point(entity_key(id, 4)));
  co_return rows.empty() ? 0 : load_little_endian_u64(BytesView(rows.front().value).substr(0, 8));
}

SERVER_TEST(BlockedLocks, a_holder_that_blocks_its_thread_keeps_its_lock_and_holds_up_nobody) {
  // Hosts with threads of their own, one for callbacks.
  const Store first_store = co_await world.open();
  const Store second_store = co_await world.open();
  auto holder = std::make_shared<Blocker>("holder");
  auto other = std::make_shared<Blocker>("other");
  Host first(first_store, quick_options());
  Host second(second_store, quick_options());
  struct OpenDoors {
    ~OpenDoors() {
      for (auto& blocker : blockers) blocker->open_door();
    }
    std::vector<std::shared_ptr<Blocker>> blockers;
  } at_the_end;
  at_the_end.blockers.push_back(holder);
  at_the_end.blockers.push_back(other);
  first.serve(holder);
  first.serve<Counter>();
  must(co_await first.start());
  auto shop = world.ref<Blocker>("w");
  must(co_await shop.cast(Blocker::Work{}));
  co_await world.eventually([&] { return holder->entered.load(); });
  second.serve(other);
  must(co_await second.start());
  must(co_await ref<Blocker>(second_store, "w").cast(Blocker::Work{}));  // finds the lock
  // Two leases.
  const auto before = co_await renewals_of(world, shop.entity());
  co_await world.eventually([&]() -> Task<bool> {
    co_return co_await renewals_of(world, shop.entity()) >= before + 6;
  });
  EXPECT_FALSE(other->entered.load());
  EXPECT_EQ(second.statistics().takeovers, 0u);
  CallOptions patient{world.patience()};
  EXPECT_EQ(must(co_await world.ref<Counter>("c").call(Counter::Add{1}, patient)), 1)
      << "the same host, another entity";
  holder->open_door();
  other->open_door();
  co_await world.until_processed(shop.untyped());
  EXPECT_EQ(holder->runs + other->runs, 2) << "once for each message";
  co_await world.until_clean();
}

SERVER_TEST(BlockedLocks, a_late_result_of_a_holder_whose_renewals_were_blocked_is_refused) {
  auto holder = std::make_shared<Blocker>("holder");
  auto& blocked = *co_await world.serve(holder);
  auto shop = world.ref<Blocker>("w");
  must(co_await shop.cast(Blocker::Work{}));
  co_await world.eventually([&] { return holder->entered.load(); });
  auto heir = std::make_shared<Blocker>("heir");
  auto& second = *co_await world.serve(heir);
  co_await world.eventually([&] { return heir->entered.load(); });
  EXPECT_EQ(second.host().statistics().takeovers, 1u);
  holder->door_is_open = true;
  holder->door_is_open.notify_all();
  co_await world.eventually([&] {
    const auto log = world.logged();
    return std::any_of(log.begin(), log.end(), [](const std::string& line) {
      return line.find("the locked result was not written") != std::string::npos;
    });
  });
  heir->door_is_open = true;
  heir->door_is_open.notify_all();
  co_await world.until_processed(shop.untyped());
  EXPECT_EQ(must(co_await shop.call(Blocker::Lines{})), list("heir"));
  static_cast<void>(blocked);
  co_await world.until_clean();
}

SERVER_TEST(Locks, unlock_takes_it_away_and_the_message_is_handled_again) {
  auto workshop = std::make_shared<Workshop>();
  auto& server = *co_await world.serve(workshop);
  auto shop = world.ref<Workshop>("w");
  EXPECT_EQ(must_fail(co_await shop.untyped().unlock()).kind(), ErrorKind::not_found);
  const auto locking = work("w");
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
    const auto locking = work(std::to_string(i));
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
  const auto locking = work("w");
  must(co_await shop.cast(locking));
  co_await world.eventually([&] { return workshop->entered == 1; });
  must(co_await server.run(server.host().stop()));
  EXPECT_EQ(workshop->lost.load(), 1);
  const auto view = co_await world.look(shop);
  EXPECT_FALSE(view.lock.has_value());
  EXPECT_EQ(view.queue_length, 0u);
  EXPECT_EQ(decode<Lines>(*view.state).value(), list("begin w", "host did w"));
}

SERVER_TEST(FrozenLocks, a_host_whose_locked_task_outlasts_its_patience_says_so_and_loses_nothing) {
  auto options = quick_options();
  options.stop_patience = 30s;
  auto workshop = std::make_shared<Workshop>();
  auto& server = *co_await world.serve(workshop, options);
  auto shop = world.ref<Workshop>("w");
  const auto locking = work("w");
  must(co_await shop.cast(locking));
  co_await world.eventually([&] { return workshop->entered == 1; });
  const MonotonicTime asked = world.clock().now();
  const Error error = must_fail(co_await server.run(server.host().stop()));
  EXPECT_EQ(error.kind(), ErrorKind::timeout);
  EXPECT_NE(error.message().find("stop_patience"), std::string::npos);
  EXPECT_GE(world.clock().now() - asked, Duration(30s));
  EXPECT_TRUE((co_await world.look(shop)).lock.has_value())
      << "it runs on, and its lock is renewed";
  workshop->door_is_open = true;
  must(co_await server.run(server.host().close()));
  const auto view = co_await world.look(shop);
  EXPECT_FALSE(view.lock.has_value());
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
  const auto next = jot("goes on");
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
  const auto next = jot("goes on");
  must(co_await shop.call(next));
  co_await world.until_clean();
}

SERVER_TEST(Locks, a_priority_message_can_not_take_it) {
  auto& server = *co_await world.serve<Workshop>();
  auto shop = server.ref<Workshop>("w");
  const auto locking = quick("q");
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
      const auto locking = work("w");
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
