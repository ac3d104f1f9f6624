// A behaviour whose state has versions, and messages that went by other names: what one host does
// with them.
#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "semper/open_store.h"
#include "semper/server/host.h"
#include "semper/server/inspect.h"
#include "semper/server/ref.h"
#include "semper/testing/simulated_run.h"
#include "server/format/keys.h"
#include "server/format/needs.h"
#include "server/format/records.h"
#include "server/format/speech.h"
#include "server/serve/left_alone.h"
#include "server/serve/waiting.h"

namespace semper {
namespace {

using internal::Header;
using internal::LeftAlone;
using internal::Needs;
using internal::QueuePlace;
using internal::SpokenType;
using testing::simulated_run;
using testing::SimulatedClock;

struct Put {
  static constexpr std::string_view kName = "Put";
  std::int64_t cents = 0;
  using Reply = std::string;  // what the account is by now
};
struct Look {
  static constexpr std::string_view kName = "Look";
  using Reply = std::string;
};

// One type of entity as three programs know it.
struct First {
  static constexpr std::string_view kName = "account";
  struct State {
    std::int64_t cents = 0;
  };
  using Messages = semper::Messages<Put, Look>;
  Result<State> init(const EntityId&) { return State(); }
  static std::string text(const State& s) { return std::to_string(s.cents); }
  Reply<std::string> handle_call(const Put& m, State& s, Context&) {
    s.cents += m.cents;
    return text(s);
  }
  void handle_cast(const Put& m, State& s, Context&) { s.cents += m.cents; }
  Reply<std::string> handle_call(const Look&, State& s, Context&) { return text(s); }
};

struct Second {
  static constexpr std::string_view kName = "account";
  static constexpr int kStateVersion = 2;
  struct State {
    std::string currency;
    std::int64_t cents = 0;
  };
  using Messages = semper::Messages<Put, Look>;
  Result<State> init(const EntityId&) { return State{"EUR", 0}; }
  Result<State> upgrade(int from, BytesView old) {
    ++upgrades;
    if (fails) return fail(ErrorKind::internal, "no rates yet");
    EXPECT_EQ(from, 1);
    SEMPER_TRY(const auto first, decode<First::State>(old));
    return State{"EUR", first.cents};
  }
  static std::string text(const State& s) { return s.currency + " " + std::to_string(s.cents); }
  Reply<std::string> handle_call(const Put& m, State& s, Context&) {
    s.cents += m.cents;
    return text(s);
  }
  void handle_cast(const Put& m, State& s, Context&) { s.cents += m.cents; }
  Reply<std::string> handle_call(const Look&, State& s, Context&) { return text(s); }
  int upgrades = 0;
  bool fails = false;
};

struct Third {
  static constexpr std::string_view kName = "account";
  static constexpr int kStateVersion = 3;
  // Written as an item of the same bytes as version 2's: only the number tells them apart.
  using State = Second::State;
  using Messages = semper::Messages<Put, Look>;
  Result<State> init(const EntityId&) { return State{"EUR", 0}; }
  Result<State> upgrade(int from, BytesView old) {
    if (from == 2) return decode<State>(old);
    SEMPER_TRY(const auto first, decode<First::State>(old));
    return State{"EUR", first.cents};
  }
  Reply<std::string> handle_call(const Put& m, State& s, Context&) {
    s.cents += m.cents;
    return Second::text(s);
  }
  void handle_cast(const Put& m, State& s, Context&) { s.cents += m.cents; }
  Reply<std::string> handle_call(const Look&, State& s, Context&) { return Second::text(s); }
};

// First, with a message renamed.
struct Renamed {
  static constexpr std::string_view kName = "account";
  struct Deposit {
    static constexpr std::string_view kName = "Deposit";
    static constexpr std::array<std::string_view, 2> kFormerNames = {"Put", "Add"};
    std::int64_t cents = 0;
    using Reply = std::string;
  };
  using State = First::State;
  using Messages = semper::Messages<Deposit, Look>;
  Result<State> init(const EntityId&) { return State(); }
  Reply<std::string> handle_call(const Deposit& m, State& s, Context&) {
    s.cents += m.cents;
    return First::text(s);
  }
  void handle_cast(const Deposit& m, State& s, Context&) { s.cents += m.cents; }
  Reply<std::string> handle_call(const Look&, State& s, Context&) { return First::text(s); }
};

class StateVersions : public ::testing::Test {
 protected:
  // The body in a process whose host serves B.
  template <class B, class Body>
  Task<void> with_host(Store store, std::shared_ptr<B> behaviour, Body body) {
    HostOptions options;
    options.executor = co_await asio::this_coro::executor;
    options.message_backoff = {.initial = std::chrono::milliseconds(1),
                               .maximum = std::chrono::milliseconds(1)};
    Host host(store, options);
    host.serve(behaviour);
    EXPECT_TRUE(co_await host.start());
    const Ref<B> account = ref<B>(store, "a");
    co_await body(account, host);
    EXPECT_TRUE(co_await host.stop());
  }

  Task<Store> open() {
    StoreOptions options;
    options.env.clock = &clock_;
    auto opened = co_await open_store("memory:", options);
    EXPECT_TRUE(opened);
    co_return *opened;
  }
  Task<void> until_empty(RawRef account) {
    for (int i = 0; i < 1'000; ++i) {
      const auto length = co_await account.queue_length();
      if (length && *length == 0) co_return;
      EXPECT_TRUE(co_await sleep_for(clock_, std::chrono::milliseconds(10)));
    }
    ADD_FAILURE() << "the queue is not empty";
  }

  SimulatedClock clock_;
};

TEST_F(StateVersions, an_older_state_is_upgraded_within_the_first_transaction_and_once) {
  const auto body = [this]() -> Task<void> {
    const Store store = co_await open();
    const EntityId id{"account", "a"};
    co_await with_host(store, std::make_shared<First>(),
                       [](Ref<First> account, Host&) -> Task<void> {
                         EXPECT_EQ((co_await account.call<Put>(7)).value_or("?"), "7");
                       });
    const auto before = co_await inspect(store, id);
    EXPECT_TRUE(before && before->state_version == 1);
    auto second = std::make_shared<Second>();
    co_await with_host(store, second, [](Ref<Second> account, Host&) -> Task<void> {
      EXPECT_EQ((co_await account.call<Look>()).value_or("?"), "EUR 7");
      EXPECT_EQ((co_await account.priority_call<Look>()).value_or("?"), "EUR 7");
      EXPECT_EQ((co_await account.call<Put>(1)).value_or("?"), "EUR 8");
    });
    EXPECT_EQ(second->upgrades, 1);
    const auto after = co_await inspect(store, id);
    EXPECT_TRUE(after && after->state_version == 2);
    // To the same bytes: the number alone has to be written.
    co_await with_host(store, std::make_shared<Third>(),
                       [](Ref<Third> account, Host&) -> Task<void> {
                         EXPECT_EQ((co_await account.call<Look>()).value_or("?"), "EUR 8");
                       });
    const auto last = co_await inspect(store, id);
    EXPECT_TRUE(last && last->state_version == 3);
  };
  simulated_run(clock_, body());
}

TEST_F(StateVersions, a_priority_call_upgrades_too) {
  const auto body = [this]() -> Task<void> {
    const Store store = co_await open();
    co_await with_host(store, std::make_shared<First>(),
                       [](Ref<First> account, Host&) -> Task<void> {
                         EXPECT_TRUE(co_await account.call<Put>(7));
                       });
    co_await with_host(store, std::make_shared<Second>(),
                       [](Ref<Second> account, Host&) -> Task<void> {
                         EXPECT_EQ((co_await account.priority_call<Look>()).value_or("?"), "EUR 7");
                       });
    const EntityId id{"account", "a"};
    const auto after = co_await inspect(store, id);
    EXPECT_TRUE(after && after->state_version == 2);
  };
  simulated_run(clock_, body());
}

TEST_F(StateVersions, an_upgrade_that_fails_is_a_failed_attempt_and_changes_nothing) {
  const auto body = [this]() -> Task<void> {
    const Store store = co_await open();
    const EntityId id{"account", "a"};
    co_await with_host(store, std::make_shared<First>(),
                       [](Ref<First> account, Host&) -> Task<void> {
                         EXPECT_TRUE(co_await account.call<Put>(7));
                       });
    auto second = std::make_shared<Second>();
    second->fails = true;
    co_await with_host(store, second, [&](Ref<Second> account, Host&) -> Task<void> {
      const auto local = co_await account.call<Look>();
      EXPECT_FALSE(local);
      if (!local) {
        const std::string& message = local.error().message();
        EXPECT_NE(message.find("from version 1 to 2"), std::string::npos) << message;
        EXPECT_NE(message.find("no rates yet"), std::string::npos) << message;
      }
      EXPECT_TRUE(co_await account.cast<Put>(1));
      co_await until_empty(account.untyped());
    });
    EXPECT_EQ(second->upgrades, 1 + 1 + HostOptions().message_attempts);
    const auto letters = co_await list_dead_letters(store, id);
    EXPECT_TRUE(letters && letters->size() == 1);
    if (letters && !letters->empty()) {
      EXPECT_NE(letters->front().reason.find("from version 1 to 2"), std::string::npos);
    }
    const auto after = co_await inspect(store, id);
    EXPECT_TRUE(after && after->state_version == 1 && !after->parked);
    second->fails = false;
    co_await with_host(store, second, [](Ref<Second> account, Host&) -> Task<void> {
      EXPECT_EQ((co_await account.call<Look>()).value_or("?"), "EUR 7");
    });
  };
  simulated_run(clock_, body());
}

TEST_F(StateVersions, a_host_that_knows_less_neither_decodes_nor_writes_and_names_both_versions) {
  const auto body = [this]() -> Task<void> {
    const Store store = co_await open();
    const EntityId id{"account", "a"};
    co_await with_host(store, std::make_shared<Third>(),
                       [](Ref<Third> account, Host&) -> Task<void> {
                         EXPECT_TRUE(co_await account.call<Put>(7));
                       });
    const auto before = co_await inspect(store, id);
    co_await with_host(
        store, std::make_shared<Second>(), [&](Ref<Second> account, Host& host) -> Task<void> {
          for (const bool priority : {false, true}) {
            Result<std::string> refused = std::string();
            if (priority) {
              refused = co_await account.priority_call<Look>();
            } else {
              refused = co_await account.call<Look>();
            }
            EXPECT_FALSE(refused);
            if (refused) continue;
            EXPECT_EQ(refused.error().kind(), ErrorKind::unsupported);
            const std::string& message = refused.error().message();
            EXPECT_NE(message.find("version 3"), std::string::npos) << message;
            EXPECT_NE(message.find("up to 2"), std::string::npos) << message;
          }
          EXPECT_TRUE(co_await account.cast<Put>(1)) << "it waits in the queue";
          EXPECT_TRUE(co_await sleep_for(clock_, std::chrono::minutes(30)));
          const auto waiting = co_await account.queue_length();
          EXPECT_TRUE(waiting && *waiting == 1);
          const auto statistics = host.statistics();
          EXPECT_EQ(statistics.failures, 0u);
          EXPECT_EQ(statistics.parked, 0u);
          EXPECT_GT(statistics.left_alone, 1u) << "what it needs may change";
          EXPECT_LE(statistics.left_alone, 2u + 30u) << "once a minute";
          const auto left = co_await inspect(store, id);
          EXPECT_TRUE(left && left->needs == "version >= 3");
          EXPECT_TRUE(left && before && left->state == before->state && left->state_version == 3);
        });
    co_await with_host(store, std::make_shared<Third>(),
                       [&](Ref<Third> account, Host&) -> Task<void> {
                         co_await until_empty(account.untyped());
                         EXPECT_EQ((co_await account.call<Look>()).value_or("?"), "EUR 8");
                       });
    const auto letters = co_await list_dead_letters(store, id);
    EXPECT_TRUE(letters && letters->empty());
    const auto done = co_await inspect(store, id);
    EXPECT_TRUE(done && !done->needs && !done->indexed);
  };
  simulated_run(clock_, body());
}

TEST_F(StateVersions, a_host_says_what_it_speaks_and_takes_that_away_when_it_stops) {
  const auto body = [this]() -> Task<void> {
    const Store store = co_await open();
    co_await with_host(store, std::make_shared<Second>(), [&](Ref<Second>, Host&) -> Task<void> {
      const auto hosts = co_await list_hosts(store);
      EXPECT_TRUE(hosts && hosts->size() == 1 && hosts->front().speaks.size() == 1);
      if (!hosts || hosts->empty() || hosts->front().speaks.empty()) co_return;
      const ServedTypeView& type = hosts->front().speaks.front();
      EXPECT_EQ(type.type, "account");
      EXPECT_EQ(type.state_version, 2u);
      EXPECT_FALSE(type.is_behind || type.has_more);
      EXPECT_EQ(type.messages.size(), 2u);
      if (type.messages.size() != 2) co_return;
      EXPECT_EQ(type.messages[0].name, "Look");
      EXPECT_TRUE(type.messages[0].call && !type.messages[0].cast);
      EXPECT_TRUE(type.messages[1].call && type.messages[1].cast);
    });
    const Tenant tenant(store);
    const KeyRange range = internal::speech_range(tenant.prefix());
    const auto rows = co_await store.transact([&](Transaction& transaction) -> Async<std::size_t> {
      SEMPER_CO_TRY(const auto page, co_await transaction.get_range(range));
      co_return page.rows.size();
    });
    EXPECT_TRUE(rows && *rows == 0);
  };
  simulated_run(clock_, body());
}

TEST_F(StateVersions, a_message_is_found_under_the_names_that_it_had) {
  const auto body = [this]() -> Task<void> {
    const Store store = co_await open();
    const auto old = ref<First>(store, "a");
    const Put seven{7};
    EXPECT_TRUE(co_await old.cast(seven));
    const RawMessage older{"Add", encode(Put{1})};
    std::vector<RawMessage> messages;
    messages.push_back(older);
    EXPECT_TRUE(co_await old.untyped().cast(messages));
    co_await with_host(
        store, std::make_shared<Renamed>(), [&](Ref<Renamed> account, Host&) -> Task<void> {
          co_await until_empty(account.untyped());
          EXPECT_EQ((co_await account.call<Renamed::Deposit>(2)).value_or("?"), "10");
        });
    const EntityId id{"account", "a"};
    const auto letters = co_await list_dead_letters(store, id);
    EXPECT_TRUE(letters && letters->empty());
  };
  simulated_run(clock_, body());
}

struct Clash {
  static constexpr std::string_view kName = "Clash";
  static constexpr std::array<std::string_view, 1> kFormerNames = {"Look"};
};
static_assert(internal::have_names_of_their_own(std::type_identity<std::tuple<Put, Look>>()));
static_assert(!internal::have_names_of_their_own(std::type_identity<std::tuple<Clash, Look>>()));
static_assert(!internal::have_names_of_their_own(std::type_identity<std::tuple<Look, Clash>>()));

TEST(HeaderVersion, is_stored_where_it_is_over_one_and_such_a_header_is_none_for_0_1_0) {
  for (const std::uint32_t version : {1u, 2u, 70'000u}) {
    for (const std::uint32_t chunks : {0u, 3u}) {
      Header header;
      header.has_state = true;
      header.chunks = chunks;
      if (chunks == 0) header.state = encode(std::int64_t{7});
      header.state_version = version;
      const Bytes bytes = header.encode();
      // Behind the stamp: an array head, then the format.
      EXPECT_EQ(bytes.at(Versionstamp::size + 1), version > 1 ? 2 : 1);
      const auto read = Header::decode(bytes);
      ASSERT_TRUE(read) << read.error().to_string();
      EXPECT_EQ(read->state_version, version);
      EXPECT_EQ(read->state, header.state);
      EXPECT_EQ(read->chunks, chunks);
      EXPECT_TRUE(read->has_state);
    }
  }
  Header none;
  none.state_version = 5;
  const auto read = Header::decode(none.encode());
  ASSERT_TRUE(read);
  EXPECT_EQ(read->state_version, 1u) << "of no state";
}

TEST(NeedsOfAnEntity, are_read_as_they_were_written_and_nothing_else_is) {
  Needs needs;
  needs.state_version = 3;
  EXPECT_EQ(needs.to_string(), "version >= 3");
  needs.message = "Foo";
  needs.way = internal::Way::cast;
  needs.newer_program = true;
  EXPECT_EQ(Needs::decode(needs.encode()), needs);
  EXPECT_FALSE(Needs::decode(""));
  EXPECT_FALSE(Needs::decode("anything"));
  const Bytes whole = needs.encode();
  for (std::size_t size = 1; size < whole.size(); ++size) {
    EXPECT_FALSE(Needs::decode(BytesView(whole).substr(0, size))) << size;
  }
}

SpokenType spoken(std::uint32_t version, std::vector<std::string> messages) {
  SpokenType type;
  type.type = "t";
  type.state_version = version;
  for (auto& name : messages) {
    type.digest = type.digest * 31 + name.size() + static_cast<unsigned char>(name[0]);
    type.messages.push_back({std::move(name), 2});
  }
  return type;
}

TEST(Speech, covers_what_can_be_done_with_as_much_or_less) {
  const auto a1 = spoken(1, {"a"});
  const auto ab1 = spoken(1, {"a", "b"});
  const auto a2 = spoken(2, {"a"});
  EXPECT_TRUE(a1.covers(a1) && ab1.covers(a1) && a2.covers(a1));
  EXPECT_FALSE(a1.covers(ab1));
  EXPECT_FALSE(a1.covers(a2));
  EXPECT_FALSE(ab1.covers(a2));
  EXPECT_FALSE(a2.covers(ab1));
  auto behind = a1;
  behind.is_behind = true;
  EXPECT_FALSE(behind.covers(a1));
  EXPECT_TRUE(behind.covers(behind));
  auto called = a1;
  called.messages[0].ways = 3;
  called.digest = 99;
  EXPECT_FALSE(a1.covers(called));
  EXPECT_TRUE(called.covers(a1));
}

TEST(Speech, is_read_as_it_was_written_and_bounded) {
  auto type =
      internal::spoken_of(internal::BehaviourOf<Renamed>(std::make_shared<Renamed>()), true);
  ASSERT_EQ(type.messages.size(), 4u) << "former names too";
  EXPECT_EQ(type.messages[0].name, "Add");
  EXPECT_EQ(type.messages[0].ways, 3);
  std::vector<SpokenType> types;
  types.push_back(type);
  const auto read = internal::decode_speech(internal::encode_speech(types));
  ASSERT_TRUE(read);
  EXPECT_EQ(*read, types);
  auto& limits = types.front().limits;
  limits.rate = {8, std::chrono::seconds(1), 2};
  limits.type_running = 3;
  limits.by_key = true;
  limits.over = OverLimit::refuse;
  types.push_back(type);
  const Bytes with_limits = internal::encode_speech(types);
  const auto again = internal::decode_speech(with_limits);
  ASSERT_TRUE(again);
  EXPECT_EQ(*again, types);
  for (std::size_t size = 0; size < with_limits.size(); ++size) {
    EXPECT_FALSE(internal::decode_speech(BytesView(with_limits).substr(0, size))) << size;
  }
  types.assign(2 * internal::kSpokenTypes, type);
  for (auto& one : types) one.messages.assign(10, {std::string(1'000, 'x'), 1});
  const Bytes most = internal::encode_speech(types);
  EXPECT_LT(most.size(), 2 * internal::kSpokenBytes);
  const auto some = internal::decode_speech(most);
  ASSERT_TRUE(some);
  EXPECT_EQ(some->size(), internal::kSpokenTypes);
  EXPECT_TRUE(some->back().has_more);
  EXPECT_FALSE(internal::decode_speech("no"));
}

TEST(LeftAloneEntities, are_looked_at_seldom_and_sooner_where_somebody_sent_something) {
  LeftAlone left(std::chrono::minutes(10));
  MonotonicTime now{};
  now += std::chrono::hours(1);
  EXPECT_EQ(left.until_look("a", true, now), Duration(0));
  EXPECT_TRUE(left.leave("a", {}, now).wants_mark);
  EXPECT_FALSE(left.leave("a", {}, now).is_new);
  EXPECT_EQ(left.until_look("a", true, now), internal::kLeftAloneLook);
  EXPECT_EQ(left.until_look("a", false, now), internal::kLeftAloneMark);
  EXPECT_EQ(left.until_look("b", false, now), Duration(0));
  now += internal::kLeftAloneMark;
  EXPECT_EQ(left.until_look("a", false, now), Duration(0));
  left.forget("a");
  EXPECT_TRUE(left.is_empty());
}

TEST(LeftAloneEntities, an_unknown_message_waits_for_the_time_that_it_was_seen_and_no_less) {
  const Duration wait = std::chrono::minutes(10);
  LeftAlone left(wait);
  const QueuePlace head{Versionstamp(), 3};
  MonotonicTime now{};
  now += std::chrono::hours(1);
  static_cast<void>(left.leave("a", head, now));
  // The host stands still for an hour: that counts as one step.
  now += std::chrono::hours(1);
  EXPECT_FALSE(left.is_over(left.leave("a", head, now)));
  Duration seen{};
  while (!left.is_over(left.leave("a", head, now))) {
    now += internal::kSafetyInterval;
    seen += internal::kSafetyInterval;
    ASSERT_LE(seen, wait);
  }
  EXPECT_GE(seen, wait - 2 * internal::kSafetyInterval);
  const QueuePlace next{Versionstamp(), 4};
  EXPECT_FALSE(left.is_over(left.leave("a", next, now))) << "another message's time";
}

TEST(LeftAloneEntities, are_bounded) {
  LeftAlone left(std::chrono::minutes(10));
  MonotonicTime now{};
  now += std::chrono::hours(1);
  for (std::size_t i = 0; i < internal::kLeftAloneEntities + 100; ++i) {
    static_cast<void>(left.leave(std::to_string(i), {}, now));
  }
  EXPECT_GT(left.until_look("0", true, now), Duration(0)) << "forgotten, and marked";
  EXPECT_EQ(left.until_look("0", false, now), Duration(0));
  EXPECT_GT(left.until_look("200", false, now), Duration(0));
}

}  // namespace
}  // namespace semper
