// Timers seen and cancelled from the command line.
#include <chrono>

#include "semper/semper.h"
#include "tool.h"

namespace semper::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

class CliTimers : public CliTest {
 protected:
  void SetUp() override {
    create_store();
    store_.emplace(scheduler_.block_on(open_store(url())).value());
  }
  void TearDown() override {
    if (!store_) return;
    ASSERT_TRUE(scheduler_.block_on(store_->close()));
  }
  void cast_after(const std::string& id, Duration delay) {
    const RawRef ref(*store_, EntityId{"Order", id});
    RawMessage message{"Expire", encode(std::int64_t{7})};
    ASSERT_TRUE(scheduler_.block_on(ref.cast_after(delay, std::move(message))));
  }

  Scheduler scheduler_;
  std::optional<Store> store_;
};

TEST_F(CliTimers, timers_are_listed_in_the_order_of_their_times) {
  cast_after("a", 3h);
  cast_after("b", 30min);
  cast_after("c", 2h);
  cast_after("c", 4h);
  const auto all = must_json({"timers", "Order"});
  ASSERT_EQ(all.size(), 4u) << all;
  EXPECT_EQ(all[0]["entity"], "Order/b");
  EXPECT_EQ(all[1]["entity"], "Order/c");
  EXPECT_EQ(all[2]["entity"], "Order/a");
  EXPECT_EQ(all[0]["message"], "Expire");
  EXPECT_EQ(all[0]["content"], 7);
  EXPECT_EQ(all[0]["ticks"], 0);
  EXPECT_EQ(must_json({"timers", "Order", "--within", "1h"}).size(), 1u);
  EXPECT_EQ(must_json({"timers", "Order", "--limit", "2"}).size(), 2u);
  EXPECT_EQ(must_json({"timers", "Order/c"}).size(), 2u);
  EXPECT_EQ(must_json({"show", "Order/c"})["timers"], 2);
  EXPECT_EQ(must_json({"timers", "Order/c", "--within", "3h"}).size(), 1u);
  EXPECT_THAT(must({"timers", "Order"}), HasSubstr("Order/b"));
  EXPECT_THAT(run({"timers", "Nothing"}).err, HasSubstr("no timer of Nothing"));
  refused(2, "--within", {"timers", "Order", "--within", "soon"});
}

TEST_F(CliTimers, a_timer_can_be_cancelled) {
  cast_after("a", 3h);
  const auto listed = must_json({"timers", "Order/a"});
  ASSERT_EQ(listed.size(), 1u);
  const std::string name = listed[0]["name"];
  EXPECT_THAT(must({"timer", "cancel", "Order/a", name}), HasSubstr("is cancelled"));
  EXPECT_TRUE(must_json({"timers", "Order"}).empty());
  refused(3, "has no timer", {"timer", "cancel", "Order/a", name});
}

// Sets a timer by the calendar.
struct Shop {
  static constexpr std::string_view kName = "Shop";
  using State = std::int64_t;
  struct Open {
    using Reply = bool;
  };
  struct Close {};
  using Messages = semper::Messages<Open, Close>;
  Result<State> init(const EntityId&) { return 0; }
  Reply<bool> handle_call(const Open&, State&, Context& context) {
    const CronOptions closing{.schedule = "30 17 * * mon-fri", .zone = "Europe/Berlin"};
    context.send_cron("closing", closing, Close{});
    return true;
  }
  void handle_cast(const Close&, State& s, Context&) { ++s; }
};

TEST_F(CliTimers, a_schedule_is_shown_paused_and_triggered) {
  Host host(*store_, HostOptions());
  host.serve<Shop>();
  ASSERT_TRUE(scheduler_.block_on(host.start()));
  auto shop = ref<Shop>(*store_, "main");
  ASSERT_TRUE(scheduler_.block_on(shop.call(Shop::Open{})));
  const auto listed = must_json({"timers", "Shop"});
  ASSERT_EQ(listed.size(), 1u) << listed;
  EXPECT_EQ(listed[0]["cron"]["schedule"], "30 17 * * mon-fri");
  EXPECT_EQ(listed[0]["cron"]["zone"], "Europe/Berlin");
  EXPECT_EQ(listed[0]["paused"], false);
  EXPECT_THAT(must({"timers", "Shop"}), HasSubstr("30 17 * * mon-fri Europe/Berlin"));
  EXPECT_THAT(must({"timer", "pause", "Shop/main", "closing"}), HasSubstr("is paused"));
  EXPECT_TRUE(must_json({"timers", "Shop"}).empty()) << "it waits for no time";
  EXPECT_EQ(must_json({"timers", "Shop/main"})[0]["paused"], true);
  EXPECT_THAT(must({"timers", "Shop/main"}), HasSubstr("paused"));
  EXPECT_THAT(must({"timer", "resume", "Shop/main", "closing"}), HasSubstr("is resumed"));
  EXPECT_EQ(must_json({"timers", "Shop"}).size(), 1u);
  EXPECT_THAT(must({"timer", "trigger", "Shop/main", "closing"}), HasSubstr("is triggered"));
  EXPECT_EQ(must_json({"timers", "Shop/main"})[0]["ticks"], 1);
  refused(3, "has no timer", {"timer", "trigger", "Shop/main", "opening"});
  ASSERT_TRUE(scheduler_.block_on(host.stop()));
}

}  // namespace
}  // namespace semper::testing
