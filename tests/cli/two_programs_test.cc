// Two programs of one fleet on a store, as the tool shows them and meets them: what their hosts
// have differently, a message that one of them does not know, calls that go round between them, and
// messages that fail.
#include <chrono>
#include <map>
#include <string>

#include "semper/sync.h"
#include "tool.h"

namespace semper::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

// The first release.
struct Order {
  static constexpr std::string_view kName = "Order";
  using State = std::int64_t;
  struct Add {
    std::int64_t by = 1;
    using Reply = std::int64_t;
  };
  struct Spoil {};
  using Messages = semper::Messages<Add, Spoil>;
  static constexpr int kMessageAttempts = 2;
  static constexpr auto kExpireAfter = std::chrono::hours(1);

  Result<State> init(const EntityId&) { return 0; }
  Reply<std::int64_t> handle_call(const Add& m, State& s, Context&) { return s += m.by; }
  void handle_cast(const Add& m, State& s, Context&) { s += m.by; }
  Outcome handle_cast(const Spoil&, State&, Context&) {
    return fail(ErrorKind::internal, "it is spoilt");
  }
  void handle_dead_letter(const DeadLetterInfo&, State& s, Context&) { s += 1'000; }
};

// The second one, which knows more and does less at a time.
struct NewOrder : Order {
  static constexpr std::string_view kName = "Order";
  static constexpr int kStateVersion = 2;
  static constexpr RateLimit kRateLimit{.messages = 1'000, .per = 1s, .burst = 1'000};
  struct Clear {};
  using Messages = semper::Messages<Add, Spoil, Clear>;
  using Order::handle_cast;
  void handle_cast(const Clear&, State& s, Context&) { s = 0; }
  Result<State> upgrade(int, BytesView old) { return decode<State>(old); }
};

// Each calls the other one, which is served by the other program.
struct There;
struct Here {
  static constexpr std::string_view kName = "Here";
  using State = std::int64_t;
  struct Go {
    using Reply = std::string;
  };
  using Messages = semper::Messages<Go>;
  Result<State> init(const EntityId&) { return 0; }
  Async<std::string> handle_call(const Go&, State&, Context& context);
};
struct There {
  static constexpr std::string_view kName = "There";
  using State = std::int64_t;
  using Go = Here::Go;
  using Messages = semper::Messages<Go>;
  Result<State> init(const EntityId&) { return 0; }
  Async<std::string> handle_call(const Go&, State&, Context& context) {
    co_return co_await semper::ref<Here>(context.tenant(), context.id().id).call<Go>();
  }
};
Async<std::string> Here::handle_call(const Go&, State&, Context& context) {
  co_return co_await semper::ref<There>(context.tenant(), context.id().id).call<Go>();
}

HostOptions named(std::string name) {
  HostOptions options;
  options.name = std::move(name);
  return options;
}

SEMPER_CHILD(serves_the_second_release) {
  auto store = sync::open_store(child_argument());
  if (!store) return say(store.error().to_string());
  sync::Host host(*store, named("second"));
  host.serve<NewOrder>();
  host.serve<There>();
  if (const auto started = host.start(); !started) return say(started.error().to_string());
  say("serves");
  hear();
  static_cast<void>(host.stop());
  static_cast<void>(store->close());
}

SEMPER_CHILD(serves_the_first_release_too) {
  auto store = sync::open_store(child_argument());
  if (!store) return say(store.error().to_string());
  sync::Host host(*store, named("third"));
  host.serve<Order>();
  if (const auto started = host.start(); !started) return say(started.error().to_string());
  say("serves");
  hear();
  static_cast<void>(host.stop());
  static_cast<void>(store->close());
}

class CliTwoPrograms : public CliTest {
 protected:
  void SetUp() override {
    create_store();
    store_.emplace(sync::open_store(url()).value());
    host_.emplace(*store_, named("first"));
    host_->serve<Order>();
    host_->serve<Here>();
    ASSERT_TRUE(host_->start());
  }
  void TearDown() override {
    if (host_) {
      EXPECT_TRUE(host_->stop());
    }
    host_.reset();
    if (store_) {
      EXPECT_TRUE(store_->close());
    }
  }
  ChildProcess start_second() {
    ChildProcess second("serves_the_second_release", url());
    EXPECT_EQ(second.read_line().value_or("nothing"), "serves");
    return second;
  }

  std::optional<sync::Store> store_;
  std::optional<sync::Host> host_;
};

TEST_F(CliTwoPrograms, what_their_hosts_have_differently_is_compared) {
  const Ran same = run({"types", "--compare"});
  EXPECT_EQ(same.code, 0) << same;
  EXPECT_THAT(same.err, HasSubstr("know the same"));
  EXPECT_THAT(must({"types"}), Not(HasSubstr("messages in")));
  ChildProcess second = start_second();
  const Ran differ = run({"types", "--compare"});
  EXPECT_EQ(differ.code, 7) << differ;
  EXPECT_THAT(differ.out, AllOf(HasSubstr("state version"), HasSubstr("Clear"),
                                HasSubstr("1000 messages in 1"), HasSubstr("none")));
  EXPECT_THAT(differ.out, Not(HasSubstr("Spoil")));
  EXPECT_THAT(differ.err, HasSubstr("the hosts of Order differ"));
  const auto document = parse_json(run({"--json", "types", "--compare"}).out);
  ASSERT_EQ(document.size(), 3u) << document;
  EXPECT_EQ(document[1]["type"], "Order");
  EXPECT_EQ(document[1]["hosts"], 2);
  EXPECT_EQ(document[1]["differences"].size(), 3u) << document;
  EXPECT_EQ(document[0]["differences"].size(), 0u) << document;
  const auto types = must_json({"types"});
  bool has_limits = false;
  for (const auto& host : types[1]["hosts"]) {
    if (host["name"] != "second") continue;
    has_limits = host["limits"]["rate"]["messages"] == 1'000;
  }
  EXPECT_TRUE(has_limits) << types;
  EXPECT_THAT(must({"types"}), AllOf(HasSubstr("LIMITS"), HasSubstr("lacks Clear")));
  EXPECT_TRUE(second.tell("end"));
  EXPECT_EQ(second.wait(), 0);
  EXPECT_EQ(run({"types", "--compare"}).code, 0);
}

TEST_F(CliTwoPrograms, of_three_hosts_each_is_compared_and_one_that_was_killed_is_for_a_while) {
  ChildProcess third("serves_the_first_release_too", url());
  EXPECT_EQ(third.read_line().value_or("nothing"), "serves");
  EXPECT_EQ(run({"types", "--compare"}).code, 0);
  ChildProcess second = start_second();
  const auto document = parse_json(run({"--json", "types", "--compare"}).out);
  ASSERT_EQ(document.size(), 3u) << document;
  EXPECT_EQ(document[1]["hosts"], 3);
  for (const auto& difference : document[1]["differences"]) {
    ASSERT_EQ(difference["hosts"].size(), 3u) << difference;
    std::map<std::string, std::string> has;
    for (const auto& host : difference["hosts"]) has[host["name"]] = host["has"];
    EXPECT_EQ(has["first"], has["third"]);
    EXPECT_NE(has["first"], has["second"]);
  }
  second.kill_hard();
  EXPECT_EQ(run({"types", "--compare"}).code, 7) << "nobody has noticed yet";
  EXPECT_TRUE(third.tell("end"));
  EXPECT_EQ(third.wait(), 0);
}

TEST_F(CliTwoPrograms, a_message_that_only_the_newer_one_knows_waits_for_it) {
  must({"cast", "Order/1", "Add", "[5]"});
  must({"cast", "Order/1", "Clear", "--force"});
  must({"cast", "Order/1", "Add", "[2]"});
  EXPECT_EQ(must_json({"dead", "Order/1"}).size(), 0u);
  ChildProcess second = start_second();
  EXPECT_TRUE(wait_until([&] { return must_json({"show", "Order/1"})["queue_length"] == 0; }));
  EXPECT_EQ(must_json({"show", "Order/1"})["state"], 2);
}

TEST_F(CliTwoPrograms, a_call_that_comes_back_to_who_waits_for_it_is_refused_with_the_whole_chain) {
  ChildProcess second = start_second();
  const Ran ran = run({"call", "Here/1", "Go", "--timeout", "30s"});
  EXPECT_EQ(ran.code, 1) << ran;
  EXPECT_THAT(ran.err, HasSubstr("Here/1 -> There/1 -> Here/1"));
  EXPECT_THAT(must({"explain", "Here/1"}), HasSubstr("nothing waits"));
}

TEST_F(CliTwoPrograms, a_message_that_fails_is_told_to_its_entity_and_can_be_asked_for) {
  must({"cast", "Order/1", "Spoil", "--key", "once"});
  EXPECT_TRUE(wait_until([&] { return must_json({"dead", "Order/1"}).size() == 1; }));
  EXPECT_EQ(must_json({"show", "Order/1"})["state"], 1'000) << "by handle_dead_letter";
  const auto letters = must_json({"dead", "Order/1"});
  EXPECT_EQ(letters[0]["attempts"], 2) << letters;
  const auto order = sync::ref<Order>(*store_, "1");
  const auto known = order.result_of<Order::Spoil>("once");
  ASSERT_TRUE(known);
  EXPECT_EQ(known->state, KeyedReply<void>::State::done);
  ASSERT_TRUE(known->reply && !*known->reply);
  EXPECT_EQ(dead_letter_attempts(known->reply->error()), 2u);
  must({"cast", "Order/1", "Spoil", "--key", "once"});
  EXPECT_EQ(must_json({"dead", "Order/1"}).size(), 1u) << "a repeat does nothing";
}

TEST_F(CliTwoPrograms, a_delayed_cast_with_a_key_is_sent_once_and_an_expiry_is_no_users_timer) {
  must({"cast", "Order/1", "Add", "[1]"});
  must({"cast", "Order/1", "Add", "[7]", "--after", "1h", "--key", "later"});
  must({"cast", "Order/1", "Add", "[7]", "--after", "2h", "--key", "later"});
  EXPECT_TRUE(wait_until([&] { return must_json({"timers", "Order/1"}).size() == 2; }));
  int expiries = 0;
  for (const auto& timer : must_json({"timers", "Order/1"})) {
    if (timer["expiry"] == true) ++expiries;
    if (timer["expiry"] == false) {
      EXPECT_EQ(timer["message"], "Add");
    }
  }
  EXPECT_EQ(expiries, 1);
  EXPECT_THAT(must({"timers", "Order"}),
              AllOf(HasSubstr("(expires)"), Not(HasSubstr("semper.expiry"))));
  EXPECT_EQ(must_json({"keys", "Order/1"}).size(), 1u);
  for (const char* odd :
       {"soon", "forever", "", "-1s", "1e3s", "inf", "nan", "1d", "9000h", "1 s"}) {
    refused(2, "--after", {"cast", "Order/1", "Add", std::string("--after=") + odd});
  }
  EXPECT_EQ(must_json({"timers", "Order/1"}).size(), 2u);
  EXPECT_THAT(must({"cast", "Order/2", "Add", "[3]", "--after", "0"}), HasSubstr("in 0.0 s"));
  EXPECT_TRUE(wait_until([&] { return must_json({"show", "Order/2"})["state"] == 3; }));
}

}  // namespace
}  // namespace semper::testing
