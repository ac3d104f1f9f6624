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

TEST_F(CliTimers, a_timer_is_not_listed_or_stands_in_another_place) {
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

TEST_F(CliTimers, a_timer_can_not_be_cancelled) {
  cast_after("a", 3h);
  const auto listed = must_json({"timers", "Order/a"});
  ASSERT_EQ(listed.size(), 1u);
  const std::string name = listed[0]["name"];
  EXPECT_THAT(must({"timer", "cancel", "Order/a", name}), HasSubstr("is cancelled"));
  EXPECT_TRUE(must_json({"timers", "Order"}).empty());
  refused(3, "has no timer", {"timer", "cancel", "Order/a", name});
}

}  // namespace
}  // namespace semper::testing
