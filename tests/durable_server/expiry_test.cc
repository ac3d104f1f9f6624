// Entities that nobody sends anything are removed: once, whoever hosts them, and none too early.
#include <gmock/gmock.h>

#include <algorithm>
#include <stdexcept>

#include "behaviours.h"
#include "semper/server/atomically.h"
#include "semper/server/list_timers.h"
#include "world.h"

namespace semper::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

SERVER_SUITE_ON(Expiries, worlds_in(TimeKind::simulated));
SERVER_SUITE(ExpiriesInAnyTime);

// Hears of those that have gone.
struct GuestBook {
  using State = std::vector<std::string>;
  struct Gone {
    std::string who;
  };
  struct Read {
    using Reply = std::vector<std::string>;
  };
  using Messages = semper::Messages<Gone, Read>;
  Result<State> init(const EntityId&) { return State(); }
  void handle_cast(const Gone& m, State& s, Context&) { s.push_back(m.who); }
  Reply<State> handle_call(const Read&, State& s, Context&) { return s; }
};

enum class Leaves : std::uint8_t { quietly, fails, writes_to_itself, sets_a_timer };

template <int kKind>
struct GuestOf {
  static constexpr std::string_view kName = kKind == 1 ? "Lodger" : "Guest";
  static constexpr auto kExpireAfter = kKind == 2 ? Duration(1s) : Duration(60s);
  static constexpr bool kExpireWithTimers = kKind == 1;
  static constexpr bool kExpireWithDeadLetters = kKind == 1;
  struct State {
    std::int64_t visits = 0;
    std::int64_t leaves = 0;  // how
  };
  struct Visit {
    std::int64_t leaves = 0;
    using Reply = std::int64_t;
  };
  struct Look {
    using Reply = std::int64_t;
  };
  struct Fall {};
  struct Remind {
    std::string name;
    std::int64_t ms = 0;
    using Reply = bool;
  };
  struct Sleep {
    std::int64_t ms = 0;
  };
  using Messages = semper::Messages<Visit, Look, Fall, Remind, Sleep>;

  Result<State> init(const EntityId&) { return State(); }
  Reply<std::int64_t> handle_call(const Visit& m, State& s, Context&) {
    s.leaves = m.leaves;
    return ++s.visits;
  }
  void handle_cast(const Visit&, State& s, Context&) { ++s.visits; }
  Reply<std::int64_t> handle_call(const Look&, State& s, Context&) { return s.visits; }
  void handle_cast(const Look&, State&, Context&) {}
  void handle_info(const Look&, State& s, Context&) { ++s.visits; }
  void handle_cast(const Fall&, State&, Context&) { throw std::runtime_error("fell"); }
  Reply<bool> handle_call(const Remind& m, State&, Context& context) {
    context.send_after(m.name, std::chrono::milliseconds(m.ms), Look{});
    return true;
  }
  Outcome handle_cast(const Sleep&, State&, Context&) { return lock(); }
  Task<void> handle_locked(const Sleep& m, State& s, LockedContext& context) {
    static_cast<void>(co_await sleep_for(context.clock(), std::chrono::milliseconds(m.ms)));
    ++s.visits;
  }
  Outcome handle_expiry(State& s, Context& context) {
    const auto how = static_cast<Leaves>(s.leaves);
    const std::string who = context.id().id + ": " + std::to_string(s.visits);
    context.cast(semper::ref<GuestBook>(context.tenant(), "d"), GuestBook::Gone{who});
    s.visits = -1;
    if (how == Leaves::fails) throw std::runtime_error("no");
    if (how == Leaves::writes_to_itself) {
      s.leaves = 0;
      context.cast(semper::ref<GuestOf>(context.tenant(), context.id().id), Look{});
    }
    if (how == Leaves::sets_a_timer) {
      s.leaves = 0;
      context.send_after("soon", 1s, Look{});
    }
    return {};
  }
};
using Guest = GuestOf<0>;
using Lodger = GuestOf<1>;
using Hurried = GuestOf<2>;

// Of the name, in a program whose guests stay.
struct Settled {
  static constexpr std::string_view kName = "Guest";
  using State = Guest::State;
  using Look = Guest::Look;
  using Messages = semper::Messages<Look>;
  Result<State> init(const EntityId&) { return State(); }
  Reply<std::int64_t> handle_call(const Look&, State& s, Context&) { return s.visits; }
  void handle_cast(const Look&, State&, Context&) {}
};

Task<Process*> serve_guests(World& world, HostOptions options = quick_options()) {
  Process* const made = co_await world.process(std::move(options));
  made->host().serve<Guest>();
  made->host().serve<Lodger>();
  made->host().serve<GuestBook>();
  must(co_await made->run(made->host().start()));
  co_return made;
}

template <class B>
Task<std::int64_t> visit(World& world, Ref<B> to, Leaves how = Leaves::quietly) {
  CallOptions patient{world.patience()};
  const typename B::Visit message{static_cast<std::int64_t>(how)};
  co_return must(co_await to.call(message, patient));
}

Task<bool> is_there(World& world, std::string id, std::string type = "Guest") {
  const auto there = must(co_await list_entities(world.store(), type));
  co_return std::find(there.begin(), there.end(), id) != there.end();
}

Task<void> until_gone(World& world, std::string id, std::string type = "Guest") {
  auto look = [&]() -> Task<bool> { co_return !(co_await is_there(world, id, type)); };
  co_await world.eventually(look);
}

Task<std::vector<std::string>> gone(World& world) {
  co_await world.until_processed(world.ref<GuestBook>("d").untyped());
  CallOptions patient{world.patience()};
  co_return must(co_await world.ref<GuestBook>("d").call(GuestBook::Read{}, patient));
}

Task<std::vector<KeyValue>> timers_of(World& world, std::string type, std::string id) {
  const EntityId entity{type, id};
  co_return co_await world.rows(entity_range(entity, 13));
}

Task<std::vector<DeadLetterView>> letters(World& world, std::string id) {
  const EntityId entity{"Guest", id};
  co_return co_await world.letters_of(entity);
}

Task<void> pass(World& world, Duration span) {
  must(co_await sleep_for(world.clock(), span));
}

SERVER_TEST(Expiries, one_that_nobody_sends_anything_is_removed_once_and_not_before) {
  auto& server = *co_await serve_guests(world);
  EXPECT_EQ(co_await visit(world, server.ref<Guest>("a")), 1);
  EXPECT_EQ(co_await visit(world, world.ref<Guest>("a")), 2);
  co_await pass(world, 58s);
  EXPECT_TRUE(co_await is_there(world, "a"));
  EXPECT_THAT(co_await gone(world), IsEmpty());
  co_await pass(world, 7s);
  co_await until_gone(world, "a");
  co_await pass(world, 200s);
  EXPECT_THAT(co_await gone(world), ElementsAre("a: 2"));
  EXPECT_EQ(server.host().statistics().expired, 1u);
  EXPECT_THAT(co_await timers_of(world, "Guest", "a"), IsEmpty());
  // The next message begins anew.
  EXPECT_EQ(co_await visit(world, server.ref<Guest>("a")), 1);
  co_await pass(world, 66s);
  co_await until_gone(world, "a");
  EXPECT_THAT(co_await gone(world), ElementsAre("a: 2", "a: 1"));
  co_await world.until_clean();
}

SERVER_TEST(Expiries, every_kind_of_message_puts_it_off) {
  auto& server = *co_await serve_guests(world);
  auto guest = server.ref<Guest>("a");
  CallOptions patient{world.patience()};
  EXPECT_EQ(co_await visit(world, guest), 1);
  co_await pass(world, 40s);
  EXPECT_EQ(must(co_await guest.call(Guest::Look{}, patient)), 1);  // changes nothing
  co_await pass(world, 40s);
  must(co_await world.ref<Guest>("a").cast(Guest::Look{}));
  co_await pass(world, 40s);
  must(co_await guest.info(Guest::Look{}));
  co_await pass(world, 40s);
  EXPECT_EQ(must(co_await guest.priority_call(Guest::Look{}, patient)), 2);
  co_await pass(world, 40s);
  auto change = [](Atomic&, Guest::State& state) -> Async<void> {
    ++state.visits;
    co_return Status{};
  };
  must(co_await atomically(world.store(), std::tuple(world.ref<Guest>("a")), change));
  co_await pass(world, 40s);
  EXPECT_TRUE(co_await is_there(world, "a"));
  co_await pass(world, 26s);
  co_await until_gone(world, "a");
  EXPECT_THAT(co_await gone(world), ElementsAre("a: 3"));
  // So does one that begins it: with priority, or from outside.
  must(co_await server.ref<Guest>("b").info(Guest::Look{}));
  must(co_await atomically(world.store(), std::tuple(world.ref<Guest>("c")), change));
  co_await pass(world, 66s);
  co_await until_gone(world, "b");
  co_await until_gone(world, "c");
  co_await world.until_clean();
}

SERVER_TEST(Expiries, hosts_that_come_and_go_remove_each_once) {
  constexpr int kGuests = 20;
  auto& first = *co_await serve_guests(world);
  auto& second = *co_await serve_guests(world);
  for (int i = 0; i < kGuests; ++i) {
    auto& at = i % 2 == 0 ? first : second;
    EXPECT_EQ(co_await visit(world, at.ref<Guest>(std::to_string(i))), 1);
  }
  co_await pass(world, 62s);
  first.kill();
  auto& third = *co_await serve_guests(world);
  co_await pass(world, 30s);
  for (int i = 0; i < kGuests; ++i) co_await until_gone(world, std::to_string(i));
  std::vector<std::string> all = co_await gone(world);
  std::sort(all.begin(), all.end());
  EXPECT_EQ(all.size(), std::size_t{kGuests});
  EXPECT_EQ(std::unique(all.begin(), all.end()), all.end());
  EXPECT_LE(second.host().statistics().expired + third.host().statistics().expired,
            std::uint64_t{kGuests});
  co_await world.until_clean();
}

SERVER_TEST(Expiries, what_waited_for_a_host_is_handled_and_puts_it_off) {
  auto& first = *co_await serve_guests(world);
  EXPECT_EQ(co_await visit(world, first.ref<Guest>("a")), 1);
  must(co_await first.run(first.host().stop()));
  co_await pass(world, 100s);
  must(co_await world.ref<Guest>("a").cast(Guest::Visit{}));
  auto& second = *co_await serve_guests(world);
  CallOptions patient{world.patience()};
  // In the same queue as the tick, ahead of it or behind it.
  must(co_await world.ref<Guest>("a").cast(Guest::Visit{}));
  EXPECT_EQ(must(co_await world.ref<Guest>("a").call(Guest::Look{}, patient)), 3);
  co_await pass(world, 50s);
  EXPECT_TRUE(co_await is_there(world, "a"));
  EXPECT_EQ(second.host().statistics().expired, 0u);
  co_await pass(world, 20s);
  co_await until_gone(world, "a");
  EXPECT_THAT(co_await gone(world), ElementsAre("a: 3"));
}

SERVER_TEST(Expiries, dead_letters_timers_and_keys_keep_it) {
  auto& server = *co_await serve_guests(world);
  CallOptions patient{world.patience()};
  must(co_await world.ref<Guest>("fallen").cast(Guest::Fall{}));
  const Guest::Remind later{"later", 150'000};
  EXPECT_TRUE(must(co_await server.ref<Guest>("waits").call(later, patient)));
  const std::string key = "once";
  const CallOptions keyed{world.patience(), IdempotencyKey{key, 100s}};
  const Guest::Visit once{};
  EXPECT_EQ(must(co_await server.ref<Guest>("keyed").call(once, keyed)), 1);
  co_await pass(world, 90s);
  for (const char* id : {"fallen", "waits", "keyed"}) EXPECT_TRUE(co_await is_there(world, id));
  EXPECT_THAT(co_await gone(world), IsEmpty());
  const EntityId fallen{"Guest", "fallen"};
  must(co_await purge_dead_letters(world.store(), fallen));
  co_await pass(world, 400s);
  for (const char* id : {"fallen", "waits", "keyed"}) co_await until_gone(world, id);
  EXPECT_EQ((co_await gone(world)).size(), 2u);  // "fallen" never had a state
  co_await world.until_clean();
}

SERVER_TEST(Expiries, a_type_may_say_that_they_do_not) {
  auto& server = *co_await serve_guests(world);
  CallOptions patient{world.patience()};
  EXPECT_EQ(co_await visit(world, server.ref<Lodger>("a")), 1);
  must(co_await world.ref<Lodger>("a").cast(Lodger::Fall{}));
  const Lodger::Remind later{"later", 1'000'000};
  EXPECT_TRUE(must(co_await server.ref<Lodger>("a").call(later, patient)));
  co_await pass(world, 80s);
  co_await until_gone(world, "a", "Lodger");
  EXPECT_THAT(co_await gone(world), ElementsAre("a: 1"));
  EXPECT_THAT(co_await timers_of(world, "Lodger", "a"), IsEmpty());
  co_await world.until_clean();
}

SERVER_TEST(Expiries, one_whose_handle_expiry_fails_stays_and_is_asked_again) {
  auto& server = *co_await serve_guests(world);
  EXPECT_EQ(co_await visit(world, server.ref<Guest>("a"), Leaves::fails), 1);
  co_await pass(world, 70s);
  EXPECT_THAT(co_await gone(world), IsEmpty());
  EXPECT_TRUE(co_await is_there(world, "a"));
  EXPECT_THAT(world.logged(), ::testing::Contains(HasSubstr("has expired, and stays")));
  EXPECT_THAT(co_await letters(world, "a"), IsEmpty());
  co_await pass(world, 70s);
  EXPECT_GE(server.host().statistics().failures, 2u);
  EXPECT_EQ(co_await visit(world, server.ref<Guest>("a")), 2);
  co_await pass(world, 70s);
  co_await until_gone(world, "a");
  EXPECT_THAT(co_await gone(world), ElementsAre("a: 2"));
  co_await world.until_clean();
}

SERVER_TEST(Expiries, one_that_sends_itself_something_stays) {
  auto& server = *co_await serve_guests(world);
  EXPECT_EQ(co_await visit(world, server.ref<Guest>("a"), Leaves::writes_to_itself), 1);
  EXPECT_EQ(co_await visit(world, server.ref<Guest>("b"), Leaves::sets_a_timer), 1);
  co_await pass(world, 70s);
  EXPECT_TRUE(co_await is_there(world, "a"));
  EXPECT_TRUE(co_await is_there(world, "b"));
  EXPECT_THAT(co_await gone(world), UnorderedElementsAre("a: 1", "b: 1"));
  co_await pass(world, 140s);
  co_await until_gone(world, "a");
  co_await until_gone(world, "b");
  EXPECT_THAT(co_await gone(world), UnorderedElementsAre("a: 1", "b: 1", "a: -1", "b: -1"));
  co_await world.until_clean();
}

SERVER_TEST(Expiries, one_that_is_locked_stays_until_its_lock_is_gone) {
  auto& server = *co_await serve_guests(world);
  EXPECT_EQ(co_await visit(world, server.ref<Guest>("a")), 1);
  const Guest::Sleep sleep{120'000};
  must(co_await server.ref<Guest>("a").cast(sleep));
  co_await pass(world, 100s);
  EXPECT_TRUE(co_await is_there(world, "a"));
  EXPECT_THAT(co_await gone(world), IsEmpty());
  co_await pass(world, 100s);
  co_await until_gone(world, "a");
  EXPECT_THAT(co_await gone(world), ElementsAre("a: 2"));
  co_await world.until_clean();
}

SERVER_TEST(Expiries, one_that_was_killed_begins_its_time_anew) {
  auto& server = *co_await serve_guests(world);
  auto guest = server.ref<Guest>("a");
  EXPECT_EQ(co_await visit(world, guest), 1);
  co_await pass(world, 40s);
  must(co_await world.ref<Guest>("a").kill());
  EXPECT_EQ(co_await visit(world, guest), 1);
  co_await pass(world, 40s);
  EXPECT_TRUE(co_await is_there(world, "a"));
  co_await pass(world, 30s);
  co_await until_gone(world, "a");
  EXPECT_THAT(co_await gone(world), ElementsAre("a: 1"));
  co_await world.until_clean();
}

SERVER_TEST(Expiries, a_program_whose_entities_stay_takes_the_tick_away) {
  auto& first = *co_await serve_guests(world);
  EXPECT_EQ(co_await visit(world, first.ref<Guest>("a")), 1);
  must(co_await first.run(first.host().stop()));
  auto& second = *co_await world.serve<Settled>();
  co_await pass(world, 200s);
  CallOptions patient{world.patience()};
  EXPECT_EQ(must(co_await second.ref<Settled>("a").call(Settled::Look{}, patient)), 1);
  EXPECT_THAT(co_await letters(world, "a"), IsEmpty());
  EXPECT_THAT(co_await timers_of(world, "Guest", "a"), IsEmpty());
  co_await world.until_clean();
}

SERVER_TEST(Expiries, a_busy_entity_writes_its_time_once_in_a_while_and_others_never) {
  auto& server = *co_await serve_guests(world);
  co_await world.serve<Counter>();
  must(co_await world.ref<Counter>("c").cast(Counter::Add{1}));
  co_await world.until_processed(world.ref<Counter>("c").untyped());
  EXPECT_THAT(co_await timers_of(world, "Counter", "c"), IsEmpty());
  auto guest = server.ref<Guest>("a");
  EXPECT_EQ(co_await visit(world, guest), 1);
  const auto before = co_await timers_of(world, "Guest", "a");
  EXPECT_EQ(before.size(), 1u);
  for (int i = 0; i < 10; ++i) co_await visit(world, guest);
  const auto after = co_await timers_of(world, "Guest", "a");
  EXPECT_TRUE(after.size() == 1 && after[0].value == before[0].value);
  co_await pass(world, 5s);
  co_await visit(world, guest);
  const auto later = co_await timers_of(world, "Guest", "a");
  EXPECT_TRUE(later.size() == 1 && later[0].value != before[0].value);
}

SERVER_TEST(Expiries, the_name_of_its_timer_is_its_own) {
  auto& server = *co_await serve_guests(world);
  CallOptions patient{world.patience()};
  const Guest::Remind mine{"semper.expiry", 1000};
  const auto error = must_fail(co_await server.ref<Guest>("a").call(mine, patient));
  EXPECT_EQ(error.kind(), ErrorKind::invalid_argument) << error.to_string();
}

SERVER_TEST(ExpiriesInAnyTime, one_that_nobody_sends_anything_is_removed) {
  auto& server = *co_await world.serve<Hurried>();
  auto& book = *co_await world.serve<GuestBook>();
  static_cast<void>(book);
  EXPECT_EQ(co_await visit(world, server.ref<Hurried>("a")), 1);
  co_await until_gone(world, "a");
  EXPECT_THAT(co_await gone(world), ElementsAre("a: 1"));
  co_await world.until_clean();
}

}  // namespace
}  // namespace semper::testing
