// What a host does with publishers of other processes that say whatever they like.
#include "server/serve/relayed.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <optional>

#include "backends/memory/memory.h"
#include "semper/base/codec.h"
#include "semper/server/host.h"
#include "semper/server/inspect.h"
#include "semper/server/ref.h"
#include "semper/testing/seed.h"
#include "semper/testing/simulated_run.h"
#include "server/format/keys.h"
#include "server/tally_test_support.h"

namespace semper::internal {
namespace {

using namespace std::chrono_literals;
using testing::simulated_run;
using testing::Tally;

constexpr auto kSoon = 50ms;

// The publisher's end of a link.
class FrankPublisher final : public NeighbourReceiver {
 public:
  void on_message(Bytes message) override {
    const auto more = decode_relay_answers(message);
    ASSERT_TRUE(more);
    answers.insert(answers.end(), more->begin(), more->end());
  }
  void on_end(const Error&) override { has_ended = true; }

  RelayAnswers answers;
  bool has_ended = false;
  std::shared_ptr<NeighbourLink> link;
};

RelayAnswers taken(std::initializer_list<std::uint64_t> numbers) {
  RelayAnswers answers;
  for (const auto number : numbers) answers.emplace_back(number, RelayAnswer::taken);
  return answers;
}
RelayAnswers declined(std::initializer_list<std::uint64_t> numbers) {
  RelayAnswers answers;
  for (const auto number : numbers) answers.emplace_back(number, RelayAnswer::declined);
  return answers;
}

class RelayedTest : public ::testing::Test {
 protected:
  RelayedTest() {
    const auto url = *StoreUrl::parse("memory:relayed-test");
    hosts_.emplace(*simulated_run(clock_, open_memory(url, env_)), env_);
    store_.emplace(*simulated_run(clock_, open_memory(url, env_)), env_);
    prefix_ = Tenant(*store_).prefix();
  }

  // Beside a host that runs.
  void run(const std::function<Task<void>(Host& host)>& test) {
    auto whole = [](RelayedTest& self, const std::function<Task<void>(Host&)>& body) -> Task<void> {
      HostOptions options;
      options.executor = co_await asio::this_coro::executor;
      Host host(*self.hosts_, options);
      host.serve<Tally>();
      EXPECT_TRUE(co_await host.start());
      co_await body(host);
      EXPECT_TRUE(co_await host.stop());
    };
    simulated_run(clock_, whole(*this, test));
  }

  std::shared_ptr<FrankPublisher> connect() {
    auto made = std::make_shared<FrankPublisher>();
    auto link = find_neighbours(*store_)->connect(relay_topic(prefix_, type_name<Tally>()), made);
    if (link) made->link = std::move(*link);
    return made;
  }

  // One that has said hello, with the rows of its session.
  Task<std::shared_ptr<FrankPublisher>> begin(Bytes session) {
    const std::vector<KeyValue> rows = {
        {session_key(prefix_, session), encode_alive({"process 1", 1, 0, {}})},
        {relay_key(prefix_, session), {}}};
    EXPECT_TRUE(co_await store_->transact(
        [](Transaction& transaction, const std::vector<KeyValue>& all) -> Async<void> {
          for (const auto& row : all) transaction.set(row.key, row.value);
          co_return Status{};
        },
        rows));
    auto made = connect();
    EXPECT_TRUE(made->link->send(encode_relay_hello(session)));
    co_return made;
  }

  static Bytes add_segment(const std::string& name = "Add") {
    SegmentWriter segment;
    RawMessage message;
    message.name = name;
    message.payload = encode(Tally::Add{1});
    segment.add(Event::cast, message, {});
    return segment.finish();
  }
  static Bytes add_one(std::uint64_t number, const std::string& id, std::uint64_t floor = 0) {
    RelayCastsWriter writer(floor);
    writer.add(number, id, add_segment());
    return writer.finish();
  }

  Task<std::int64_t> total(std::string id) {
    co_return (co_await ref<Tally>(*store_, std::move(id)).call(Tally::Read{})).value_or(-1);
  }
  Task<std::size_t> rows_of(Bytes session) {
    Transaction reader = store_->begin();
    const KeyRange all = everything_of_session(prefix_, session);
    auto page = co_await reader.get_range(all);
    co_return page.value().rows.size();
  }
  Task<void> soon() { EXPECT_TRUE(co_await sleep_for(clock_, kSoon)); }

  testing::SimulatedClock clock_;
  SeededRandom random_{testing::test_seed()};
  Env env_{&clock_, &random_};
  std::optional<Store> hosts_;
  std::optional<Store> store_;
  Bytes prefix_;
};

TEST_F(RelayedTest, casts_are_taken_marked_and_forgotten_with_the_goodbye) {
  run([&](Host&) -> Task<void> {
    const auto publisher = co_await begin("session1");
    EXPECT_TRUE(publisher->link->send(add_one(1, "a")));
    co_await soon();
    EXPECT_EQ(publisher->answers, taken({1}));
    EXPECT_EQ(co_await rows_of("session1"), 3u);
    EXPECT_TRUE(publisher->link->send(add_one(2, "a", 1)));
    co_await soon();
    EXPECT_EQ(publisher->answers, taken({1, 2}));
    EXPECT_EQ(co_await rows_of("session1"), 3u) << "what the publisher knows needs no mark";
    EXPECT_EQ(co_await total("a"), 2);
    EXPECT_TRUE(publisher->link->send(encode_relay_goodbye()));
    co_await soon();
    EXPECT_TRUE(publisher->has_ended);
    EXPECT_EQ(co_await rows_of("session1"), 0u);
  });
}

TEST_F(RelayedTest, casts_to_one_entity_in_one_message_all_take_effect) {
  run([&](Host&) -> Task<void> {
    const auto publisher = co_await begin("session1");
    RelayCastsWriter writer(0);
    for (std::uint64_t i = 1; i <= 100; ++i) writer.add(i, i % 2 == 0 ? "a" : "b", add_segment());
    EXPECT_TRUE(publisher->link->send(writer.finish()));
    co_await soon();
    EXPECT_EQ(publisher->answers.size(), 100u);
    EXPECT_EQ(co_await total("a") + co_await total("b"), 100);
  });
}

TEST_F(RelayedTest, one_that_crowds_an_entity_holds_up_nobody_for_long) {
  run([&](Host&) -> Task<void> {
    constexpr std::uint64_t kCrowd = 20 * kRelayedBehind;
    const auto crowding = co_await begin("session1");
    const auto other = co_await begin("session2");
    for (std::uint64_t number = 1; number <= kCrowd;) {
      RelayCastsWriter writer(0);
      for (int i = 0; i < 512; ++i) writer.add(number++, "a", add_segment());
      EXPECT_TRUE(crowding->link->send(writer.finish()));
    }
    EXPECT_TRUE(other->link->send(add_one(1, "b")));
    while (other->answers.empty() && crowding->answers.size() < kCrowd) {
      co_await asio::post(asio::use_awaitable);
    }
    EXPECT_EQ(other->answers, taken({1}));
    EXPECT_LT(crowding->answers.size(), 100u);
    co_await soon();
    EXPECT_EQ(crowding->answers.size(), kCrowd);
    EXPECT_EQ(co_await total("a"), static_cast<std::int64_t>(kCrowd));
  });
}

TEST_F(RelayedTest, who_is_not_understood_is_shut_out_and_others_are_not) {
  run([&](Host&) -> Task<void> {
    const auto good = co_await begin("session1");
    const Bytes first_words[] = {"\xff", Bytes(), encode_relay_goodbye(), add_one(1, "a")};
    for (const auto& words : first_words) {
      const auto stranger = connect();
      EXPECT_TRUE(stranger->link->send(words));
      co_await soon();
      EXPECT_TRUE(stranger->has_ended);
      EXPECT_TRUE(stranger->answers.empty());
    }
    const Bytes later_words[] = {"\xff", encode_relay_hello("again"), encode_relay_answers({})};
    for (const auto& words : later_words) {
      const auto publisher = co_await begin("session2");
      EXPECT_TRUE(publisher->link->send(add_one(1, "a")));
      co_await soon();
      EXPECT_EQ(publisher->answers, taken({1}));
      EXPECT_TRUE(publisher->link->send(words));
      co_await soon();
      EXPECT_TRUE(publisher->has_ended);
    }
    EXPECT_TRUE(good->link->send(add_one(1, "a")));
    co_await soon();
    EXPECT_EQ(good->answers, taken({1}));
    EXPECT_EQ(co_await total("a"), 4);
  });
}

TEST_F(RelayedTest, casts_of_a_session_that_is_not_there_are_declined_and_its_link_ends) {
  run([&](Host&) -> Task<void> {
    const auto publisher = connect();
    EXPECT_TRUE(publisher->link->send(encode_relay_hello("nobody")));
    EXPECT_TRUE(publisher->link->send(add_one(1, "a")));
    co_await soon();
    EXPECT_EQ(publisher->answers, declined({1}));
    EXPECT_TRUE(publisher->has_ended);
    EXPECT_EQ(co_await total("a"), 0);
    EXPECT_EQ(co_await rows_of("nobody"), 0u);
  });
}

TEST_F(RelayedTest, what_no_entity_or_no_callback_takes_is_declined) {
  run([&](Host&) -> Task<void> {
    const auto publisher = co_await begin("session1");
    RelayCastsWriter writer(0);
    writer.add(1, "", add_segment());
    writer.add(2, std::string(100'000, 'i'), add_segment());
    writer.add(3, "a", add_segment("Unknown"));
    writer.add(4, "b", add_segment());
    EXPECT_TRUE(publisher->link->send(writer.finish()));
    co_await soon();
    std::sort(publisher->answers.begin(), publisher->answers.end());
    EXPECT_EQ(publisher->answers.size(), 4u);
    for (const auto& [number, answer] : publisher->answers) {
      EXPECT_TRUE(number == 4 || answer == RelayAnswer::declined) << number;
    }
    EXPECT_FALSE(publisher->has_ended);
    EXPECT_TRUE(publisher->link->send(add_one(5, "c")));
    co_await soon();
    EXPECT_EQ(publisher->answers.back(), taken({5}).front());
  });
}

TEST_F(RelayedTest, a_publisher_that_says_nothing_for_long_is_seen_off) {
  run([&](Host&) -> Task<void> {
    const auto publisher = co_await begin("session1");
    EXPECT_TRUE(publisher->link->send(add_one(1, "a")));
    co_await soon();
    // It does not say that it has heard of that: the mark is all that there is.
    EXPECT_TRUE(co_await sleep_for(clock_, 3 * kRelayedIdle));
    EXPECT_FALSE(publisher->has_ended);
    EXPECT_TRUE(publisher->link->send(RelayCastsWriter(1).finish()));
    EXPECT_TRUE(co_await sleep_for(clock_, 3 * kRelayedIdle));
    EXPECT_TRUE(publisher->has_ended);
    EXPECT_EQ(co_await rows_of("session1"), 0u);
  });
}

TEST_F(RelayedTest, no_more_publishers_are_taken_than_may_be) {
  run([&](Host&) -> Task<void> {
    std::vector<std::shared_ptr<FrankPublisher>> all;
    for (std::size_t i = 0; i < kRelayedLinks; ++i) {
      all.push_back(connect());
      EXPECT_TRUE(all.back()->link && !all.back()->has_ended) << i;
    }
    const auto one_more = connect();
    EXPECT_TRUE(one_more->link == nullptr || one_more->has_ended);
    all.front()->link->close();
    const auto later = connect();
    EXPECT_TRUE(later->link && !later->has_ended);
    co_return;
  });
}

TEST_F(RelayedTest, a_host_that_stops_lets_publishers_go) {
  std::shared_ptr<FrankPublisher> publisher;
  run([&](Host&) -> Task<void> {
    publisher = co_await begin("session1");
    EXPECT_TRUE(publisher->link->send(add_one(1, "a")));
  });
  EXPECT_TRUE(publisher->has_ended);
  // Taken or declined; nothing is left open.
  EXPECT_EQ(publisher->answers.size(), 1u);
}

TEST_F(RelayedTest, a_host_that_stops_takes_the_rows_of_who_knows_of_all_away) {
  run([&](Host&) -> Task<void> {
    const auto knows = co_await begin("session1");
    const auto does_not = co_await begin("session2");
    const auto silent = co_await begin("session3");
    EXPECT_TRUE(knows->link->send(add_one(1, "a")));
    EXPECT_TRUE(does_not->link->send(add_one(1, "b")));
    co_await soon();
    EXPECT_TRUE(knows->link->send(RelayCastsWriter(1).finish()));
    co_await soon();
  });
  EXPECT_EQ(simulated_run(clock_, rows_of("session1")), 0u);
  EXPECT_EQ(simulated_run(clock_, rows_of("session2")), 3u) << "it can only find out by its mark";
  EXPECT_EQ(simulated_run(clock_, rows_of("session3")), 0u);
}

}  // namespace
}  // namespace semper::internal
