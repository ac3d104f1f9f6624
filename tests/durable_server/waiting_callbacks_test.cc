// Callbacks that wait inside their transaction: for keys of one's own, for another entity's state,
// for time.
#include <gmock/gmock.h>

#include <algorithm>
#include <map>

#include "behaviours.h"
#include "world.h"

namespace semper::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

SERVER_SUITE(WaitingCallbacks);

// What may be spent of the other one's limit.
struct Limit {
  using State = std::int64_t;
  struct Set {
    std::int64_t to = 0;
    using Reply = std::int64_t;
  };
  using Messages = semper::Messages<Set>;
  Result<State> init(const EntityId&) { return 0; }
  Reply<std::int64_t> handle_call(const Set& m, State& s, Context&) { return s = m.to; }
};

constexpr const char* kTally = "tally of all spenders";

struct Spender {
  using State = std::vector<std::string>;
  struct Spend {  // as far as the limit allows; all that is spent is counted in a key of its own
    std::int64_t amount = 0;
    std::string limit;
    using Reply = std::int64_t;
  };
  struct Count {  // itself in the tally
    std::string name;
  };
  struct Sleep {
    std::string name;
    std::int64_t ms = 0;
    using Reply = std::string;
  };
  struct Note {  // does not wait
    std::string name;
  };
  struct Fail {  // when it has waited, and changed the state and the tally
    std::string name;
  };
  struct Read {
    using Reply = std::vector<std::string>;
  };
  using Messages = semper::Messages<Spend, Count, Sleep, Note, Fail, Read>;

  explicit Spender(Clock& time) : clock(&time) {}

  Result<State> init(const EntityId&) { return State(); }

  static Async<std::int64_t> add_to_tally(Transaction& transaction, std::int64_t amount) {
    SEMPER_CO_TRY(const auto there, co_await transaction.get(kTally));
    const std::int64_t sum = (there ? std::stoll(*there) : 0) + amount;
    transaction.set(kTally, std::to_string(sum));
    co_return sum;
  }

  Async<std::int64_t> handle_call(const Spend& m, State& s, Context& context) {
    SEMPER_CO_TRY(const auto limit,
                  co_await context.state_of(semper::ref<Limit>(context.tenant(), m.limit)));
    SEMPER_CO_TRY(const std::int64_t sum, co_await add_to_tally(context.transaction(), m.amount));
    if (sum > limit.value_or(0)) co_return fail(ErrorKind::exhausted, "over the limit");
    s.push_back(std::to_string(m.amount));
    co_return sum;
  }
  Task<void> handle_cast(const Count& m, State& s, Context& context) {
    const std::string name = m.name;
    const auto sum = co_await add_to_tally(context.transaction(), 1);
    if (sum) s.push_back(name);
    if (!sum) throw std::runtime_error(sum.error().to_string());
  }
  Task<Reply<std::string>> handle_call(const Sleep& m, State& s, Context&) {
    co_await sleep_for(*clock, std::chrono::milliseconds(m.ms));
    s.push_back(m.name);
    Reply<std::string> reply(m.name);
    co_return reply;
  }
  Task<Outcome> handle_cast(const Sleep& m, State& s, Context&) {
    co_await sleep_for(*clock, std::chrono::milliseconds(m.ms));
    s.push_back(m.name);
    co_return Outcome();
  }
  void handle_cast(const Note& m, State& s, Context&) { s.push_back(m.name); }
  Async<void> handle_cast(const Fail& m, State& s, Context& context) {
    s.push_back(m.name);
    SEMPER_CO_TRY_STATUS(co_await add_to_tally(context.transaction(), 1000));
    co_return fail(ErrorKind::not_found, "there is none");
  }
  Reply<State> handle_call(const Read&, State& s, Context&) { return s; }

  Clock* clock;
};

Task<std::vector<std::string>> lines_of_spender(World& world, const std::string& id) {
  co_await world.until_processed(world.ref<Spender>(id).untyped());
  CallOptions patient{world.patience()};
  co_return must(co_await world.ref<Spender>(id).call(Spender::Read{}, patient));
}

Task<std::int64_t> tally(World& world) {
  auto transaction = world.store().begin();
  const auto there = must(co_await transaction.get(kTally));
  co_return there ? std::stoll(*there) : 0;
}

SERVER_TEST(WaitingCallbacks, keys_that_they_read_and_write_are_of_their_commit) {
  auto& server = *co_await world.serve(std::make_shared<Spender>(world.clock()));
  constexpr int kEach = 6;
  // From the host's process and from another; to entities that all change one key.
  co_await world.in_parallel(6, [&](int who) -> Task<void> {
    const std::string id = std::to_string(who % 3);
    auto to = who % 2 == 0 ? server.ref<Spender>(id) : world.ref<Spender>(id);
    for (int i = 0; i < kEach; ++i) {
      const Spender::Count one{std::to_string(who)};
      must(co_await to.cast(one));
    }
  });
  std::size_t lines = 0;
  for (const char* id : {"0", "1", "2"}) lines += (co_await lines_of_spender(world, id)).size();
  EXPECT_EQ(lines, 6u * kEach);
  EXPECT_EQ(co_await tally(world), 6 * kEach);
  co_await world.until_clean();
}

SERVER_TEST(WaitingCallbacks, another_entitys_state_is_unchanged_when_they_commit) {
  auto& server = *co_await world.process();
  server.host().serve(std::make_shared<Spender>(world.clock()));
  server.host().serve<Limit>();
  must(co_await server.run(server.host().start()));
  CallOptions patient{world.patience()};
  Spender::Spend spend{10, "all"};
  const auto early = co_await world.ref<Spender>("a").call(spend, patient);
  EXPECT_EQ(must_fail(early).kind(), ErrorKind::exhausted) << "there is no limit yet";
  must(co_await world.ref<Limit>("all").call(Limit::Set{1000}, patient));
  std::int64_t spent = 10;  // an answer that is an error keeps what the callback did
  co_await world.in_parallel(4, [&](int who) -> Task<void> {
    auto to = who % 2 == 0 ? server.ref<Spender>("a") : world.ref<Spender>("b");
    for (int i = 0; i < 5; ++i) {
      CallOptions long_enough{world.patience()};
      if (who == 3) {
        must(co_await world.ref<Limit>("all").call(Limit::Set{1000 + i}, long_enough));
        continue;
      }
      Spender::Spend one{1, "all"};
      must(co_await to.call(one, long_enough));
      ++spent;
    }
  });
  EXPECT_EQ(co_await tally(world), spent);
  co_await world.until_clean();
}

SERVER_TEST(WaitingCallbacks, what_comes_meanwhile_waits_its_turn) {
  auto& server = *co_await world.serve(std::make_shared<Spender>(world.clock()));
  for (auto* from : {&server, world.loop(world.store())}) {
    auto to = from->ref<Spender>("in order");
    Spender::Sleep slow{"slow", 20};
    Spender::Note quick{"quick"};
    must(co_await to.cast(slow));
    must(co_await to.cast(quick));
  }
  const auto lines = co_await lines_of_spender(world, "in order");
  EXPECT_THAT(lines, ElementsAre("slow", "quick", "slow", "quick"));
  co_await world.until_clean();
}

SERVER_TEST(WaitingCallbacks, several_messages_of_one_cast_keep_their_order) {
  auto& server = *co_await world.serve(std::make_shared<Spender>(world.clock()));
  for (const auto& to : {server.ref<Spender>("e"), world.ref<Spender>("e")}) {
    Batch<Spender> all;
    for (int i = 0; i < 5; ++i) {
      const std::string name = std::to_string(i);
      if (i % 2 == 0) {
        all.add<Spender::Sleep>(name, 1);
      } else {
        all.add<Spender::Note>(name);
      }
    }
    must(co_await to.cast(all));
  }
  EXPECT_THAT(co_await lines_of_spender(world, "e"),
              ElementsAre("0", "1", "2", "3", "4", "0", "1", "2", "3", "4"));
  co_await world.until_clean();
}

SERVER_TEST(WaitingCallbacks, one_that_fails_after_waiting_leaves_nothing) {
  auto options = quick_options();
  options.message_attempts = 2;
  auto& server =
      *co_await world.serve(std::make_shared<Spender>(world.clock()), std::move(options));
  Spender::Fail fails{"never"};
  must(co_await world.ref<Spender>("f").cast(fails));
  Spender::Note note{"after"};
  must(co_await world.ref<Spender>("f").cast(note));
  co_await world.eventually([&] { return server.host().statistics().dead_letters == 1; });
  EXPECT_THAT(co_await lines_of_spender(world, "f"), ElementsAre("after"));
  EXPECT_EQ(co_await tally(world), 0);
  co_await world.until_clean();
}

SERVER_TEST(WaitingCallbacks, one_that_waits_for_too_long_is_cancelled_and_fails) {
  if (!world.is_simulated()) co_return;  // seconds
  auto options = quick_options();
  options.message_attempts = 1;
  auto& server =
      *co_await world.serve(std::make_shared<Spender>(world.clock()), std::move(options));
  CallOptions patient{world.patience()};
  Spender::Sleep sleep{"an hour", 3'600'000};
  const auto before = world.clock().now();
  for (const auto& to : {server.ref<Spender>("late"), world.ref<Spender>("late")}) {
    const auto told = co_await to.call(sleep, patient);
    EXPECT_THAT(must_fail(told).message(), HasSubstr("waited for longer"));
  }
  EXPECT_LT(world.clock().now() - before, 60s);
  EXPECT_THAT(co_await lines_of_spender(world, "late"), ElementsAre());
}

SERVER_TEST(WaitingCallbacks, a_priority_message_waits_as_well) {
  auto& server = *co_await world.serve(std::make_shared<Spender>(world.clock()));
  Spender::Sleep sleep{"soon", 5};
  EXPECT_EQ(must(co_await server.ref<Spender>("p").priority_call(sleep)), "soon");
  EXPECT_THAT(co_await lines_of_spender(world, "p"), ElementsAre("soon"));
}

}  // namespace
}  // namespace semper::testing
