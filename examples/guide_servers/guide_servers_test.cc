// What the guide to durable servers says about its lessons, held against them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>

#include "hall.h"
#include "lessons.h"
#include "semper/env/one_shot.h"
#include "threads.h"

namespace guide {
namespace {

using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

class Provider : public PaymentProvider {
 public:
  semper::Result<std::string> charge(const std::string& order, std::int64_t cents,
                                     std::uint64_t fencing_token) override {
    ++charges;
    last_cents = cents;
    last_token = fencing_token;
    if (is_declining) return semper::fail(semper::ErrorKind::permission, "the card was declined");
    return "receipt of " + order;
  }
  int charges = 0;
  std::int64_t last_cents = 0;
  std::uint64_t last_token = 0;
  bool is_declining = false;
};

class GuideServersTest : public ::testing::Test {
 protected:
  void SetUp() override {
    shop_.emplace(scheduler_.block_on(semper::open_store("memory:")).value());
    host_.emplace(*shop_);
    host_->serve<Stock>();
    host_->serve(std::make_shared<Order>(
        provider_, [this](const std::string& article) { notified_.set(article); }));
    host_->serve(
        std::make_shared<Shipping>([this](const std::string& order) { printed_.set(order); }));
    ASSERT_TRUE(scheduler_.block_on(host_->start()));
  }
  void TearDown() override { ASSERT_TRUE(scheduler_.block_on(host_->stop())); }

  std::int64_t count(const std::string& article) {
    const auto stock = semper::ref<Stock>(*shop_, article);
    return scheduler_.block_on(stock.call(Stock::Count())).value();
  }
  void deliver(const std::string& article, std::int64_t amount) {
    const auto stock = semper::ref<Stock>(*shop_, article);
    ASSERT_TRUE(scheduler_.block_on(stock.cast(Stock::Deliver{amount})));
  }
  void place(const std::string& order, const std::string& article, std::int64_t amount) {
    const auto ordered = semper::ref<Order>(*shop_, order);
    const Order::Place message{article, amount};
    ASSERT_TRUE(scheduler_.block_on(ordered.cast(message)));
  }

  std::shared_ptr<Provider> provider_ = std::make_shared<Provider>();
  semper::OneShot<std::string> notified_;
  semper::OneShot<std::string> printed_;
  semper::Scheduler scheduler_;
  std::optional<semper::Store> shop_;
  std::optional<semper::Host> host_;
};

TEST_F(GuideServersTest, an_order_sees_what_its_article_lacks) {
  deliver("chair", 2);
  place("1001", "chair", 5);
  const auto ordered = semper::ref<Order>(*shop_, "1001");
  EXPECT_EQ(scheduler_.block_on(ordered.call(Order::Missing())).value(), 3);
  deliver("chair", 9);
  EXPECT_EQ(scheduler_.block_on(ordered.call(Order::Missing())).value(), 0);
}

TEST_F(GuideServersTest, an_order_reserves_its_goods_once_however_often_it_asks) {
  deliver("desk", 5);
  auto ordered = semper::ref<Order>(*shop_, "1003");
  const Order::Place place{"desk", 2};
  ASSERT_TRUE(scheduler_.block_on(ordered.cast(place)));
  EXPECT_EQ(scheduler_.block_on(ordered.call(Order::Reserve())).value(), 3);
  EXPECT_EQ(scheduler_.block_on(ordered.call(Order::Reserve())).value(), 3);
  EXPECT_EQ(count("desk"), 3);
}

TEST_F(GuideServersTest, a_second_release_finds_what_the_first_one_stored) {
  {
    semper::Host first(*shop_);
    first.serve<HallOfOld>();
    ASSERT_TRUE(scheduler_.block_on(first.start()));
    const auto hall = semper::ref<HallOfOld>(*shop_, "chair");
    ASSERT_TRUE(scheduler_.block_on(hall.cast(HallOfOld::Deliver{4})));
    ASSERT_TRUE(scheduler_.block_on(first.stop()));
  }
  semper::Host second(*shop_);
  second.serve<Hall>();
  ASSERT_TRUE(scheduler_.block_on(second.start()));
  const auto hall = semper::ref<Hall>(*shop_, "chair");
  const Hall::Deliver more{3, "north"};
  ASSERT_TRUE(scheduler_.block_on(hall.cast(more)));
  EXPECT_EQ(scheduler_.block_on(hall.call(Hall::Count())).value(), 7);
  ASSERT_TRUE(scheduler_.block_on(second.stop()));
}

TEST_F(GuideServersTest, a_thread_sells_without_a_coroutine) {
  const semper::sync::Store shop(*shop_);
  EXPECT_EQ(sell_on_a_thread(shop, "bench"), 7);
  EXPECT_EQ(count("bench"), 7);
}

TEST(GuideServersTermination, a_server_without_coroutines_ends_in_order_by_sigterm) {
  const pid_t child = ::fork();
  if (child == 0) {
    sigset_t end;
    sigemptyset(&end);
    sigaddset(&end, SIGTERM);
    ::sigprocmask(SIG_BLOCK, &end, nullptr);
    ::kill(::getpid(), SIGTERM);  // comes when somebody listens
    ::_exit(serve_until_told("memory:") ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
}

TEST_F(GuideServersTest, a_call_sees_what_an_earlier_cast_delivered) {
  EXPECT_EQ(scheduler_.block_on(sell(*shop_, "chair")).value(), 7);
  ASSERT_TRUE(scheduler_.block_on(unload(*shop_, "chair")));
  EXPECT_EQ(scheduler_.block_on(look(*shop_, "chair")).value(), 107);
}

TEST_F(GuideServersTest, a_replied_error_changes_nothing_in_the_stock) {
  const auto stock = semper::ref<Stock>(*shop_, "chair");
  const auto refused = scheduler_.block_on(stock.call(Stock::Reserve{1}));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message(), "only 0 left");
  EXPECT_EQ(count("chair"), 0);
}

TEST_F(GuideServersTest, a_later_reply_comes_with_the_delivery_that_allows_it) {
  semper::OneShot<std::int64_t> answered;
  asio::co_spawn(
      scheduler_.executor(),
      [](semper::Store shop, semper::OneShot<std::int64_t> to) -> semper::Task<void> {
        to.set((co_await wait_for_goods(shop, "lamp")).value());
      }(*shop_, answered),
      asio::detached);
  deliver("lamp", 4);
  deliver("lamp", 4);
  EXPECT_EQ(scheduler_.block_on(answered.wait()).value(), 3);
  EXPECT_EQ(count("lamp"), 3);
}

TEST_F(GuideServersTest, what_is_booked_is_shipped_and_an_order_without_a_number_is_told_of) {
  ASSERT_TRUE(scheduler_.block_on(book(*shop_, "")));
  ASSERT_TRUE(scheduler_.block_on(book(*shop_, "1001")));
  EXPECT_EQ(scheduler_.block_on(printed_.wait()).value(), "1001");
  const semper::EntityId main{"Shipping", "main"};
  const auto view = scheduler_.block_on(semper::inspect(*shop_, main)).value();
  const auto state = semper::decode<Shipping::State>(view.state.value()).value();
  EXPECT_EQ(state.failed, 1);
  EXPECT_THAT(state.last_failure, HasSubstr("after 4 attempts"));
  EXPECT_THAT(state.prepared, UnorderedElementsAre("1001"));
}

TEST_F(GuideServersTest, what_is_repacked_is_taken_here_and_there_at_once_or_not_at_all) {
  deliver("nails", 100);
  EXPECT_EQ(scheduler_.block_on(repack(*shop_, "nails", "box of nails", 60)).value(), 40);
  EXPECT_EQ(scheduler_.block_on(printed_.wait()).value(), "labels for box of nails");
  const auto refused = scheduler_.block_on(repack(*shop_, "nails", "box of nails", 60));
  EXPECT_EQ(refused.error().kind(), semper::ErrorKind::exhausted);
  EXPECT_EQ(count("nails"), 40);
  EXPECT_EQ(count("box of nails"), 60);
}

TEST_F(GuideServersTest, an_order_is_charged_once_and_returns_its_goods) {
  place("1001", "chair", 3);
  EXPECT_EQ(scheduler_.block_on(pay(*shop_, "1001")).value(), "receipt of 1001");
  EXPECT_EQ(scheduler_.block_on(pay(*shop_, "1001")).value(), "receipt of 1001");
  EXPECT_EQ(provider_->charges, 1);
  EXPECT_EQ(provider_->last_cents, 4900);
  EXPECT_GT(provider_->last_token, 0u);
  EXPECT_EQ(scheduler_.block_on(cancel(*shop_, "1001")).value(), 3);
  EXPECT_EQ(scheduler_.block_on(cancel(*shop_, "1001")).value(), 0);
  EXPECT_EQ(scheduler_.block_on(notified_.wait()).value(), "chair");
  EXPECT_EQ(count("chair"), 3);
}

TEST_F(GuideServersTest, a_declined_card_is_told_to_the_caller_and_may_be_tried_again) {
  provider_->is_declining = true;
  const auto declined = scheduler_.block_on(pay(*shop_, "1002"));
  ASSERT_FALSE(declined);
  EXPECT_EQ(declined.error().message(), "the card was declined");
  provider_->is_declining = false;
  EXPECT_TRUE(scheduler_.block_on(pay(*shop_, "1002")));
}

TEST_F(GuideServersTest, a_failing_message_is_set_aside_with_its_reason_and_redriven) {
  const auto reason = scheduler_.block_on(deliver_nothing(*shop_, "lamp"));
  ASSERT_TRUE(reason) << reason.error().to_string();
  EXPECT_THAT(*reason, HasSubstr("a delivery of nothing"));
}

TEST_F(GuideServersTest, lines_that_are_sent_again_count_once) {
  std::vector<Delivery> lines;
  lines.push_back({1, "sofa", 5});
  lines.push_back({2, "sofa", 7});
  ASSERT_TRUE(scheduler_.block_on(import_deliveries(*shop_, lines)));
  lines.push_back({3, "sofa", 1});
  ASSERT_TRUE(scheduler_.block_on(import_deliveries(*shop_, lines)));
  EXPECT_EQ(count("sofa"), 13);
}

TEST_F(GuideServersTest, a_request_that_is_repeated_is_carried_out_once) {
  deliver("chair", 9);
  EXPECT_EQ(scheduler_.block_on(ask_about(*shop_, "chair", "ann/1")).value(), "nothing");
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(scheduler_.block_on(reserve_once(*shop_, "chair", 4, "ann/1")).value(), 5);
  }
  EXPECT_EQ(scheduler_.block_on(reserve_once(*shop_, "chair", 4, "bob/1")).value(), 1);
  EXPECT_EQ(scheduler_.block_on(ask_about(*shop_, "chair", "ann/1")).value(), "5 left");
  const auto other = scheduler_.block_on(reserve_once(*shop_, "chair", 1, "ann/1"));
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().kind(), semper::ErrorKind::invalid_argument);
}

TEST_F(GuideServersTest, stocktakings_are_numbered_one_after_the_other) {
  EXPECT_EQ(scheduler_.block_on(take_stock(*shop_, "ann")).value(), 1);
  EXPECT_EQ(scheduler_.block_on(take_stock(*shop_, "bob")).value(), 2);
}

TEST_F(GuideServersTest, what_a_customer_bought_lies_next_to_the_state_entry_by_entry) {
  host_->serve<Customer>();
  auto customer = semper::ref<Customer>(*shop_, "ann");
  for (std::int64_t i = 1; i <= 250; ++i) {
    const Customer::Buy lamp{"lamp", 100};
    ASSERT_TRUE(scheduler_.block_on(customer.cast(lamp)));
  }
  const Customer::Return second{2};
  EXPECT_EQ(scheduler_.block_on(customer.call(second)).value(), 100);
  EXPECT_FALSE(scheduler_.block_on(customer.call(second)));
  EXPECT_EQ(scheduler_.block_on(add_up(*shop_, "ann")).value(), 24'900);
}

TEST_F(GuideServersTest, a_killed_article_starts_anew) {
  deliver("chair", 9);
  ASSERT_TRUE(scheduler_.block_on(discontinue(*shop_, "chair")));
  EXPECT_EQ(count("chair"), 0);
}

TEST_F(GuideServersTest, a_state_of_the_first_release_is_read_by_the_second) {
  struct FirstRelease {
    std::int64_t available = 0;
  };
  const auto state = semper::decode<Stock::State>(semper::encode(FirstRelease{7}));
  ASSERT_TRUE(state) << state.error().to_string();
  EXPECT_EQ(state->available, 7);
  EXPECT_TRUE(state->waiting.empty());
}

TEST(GuideServersProgram, prints_what_the_guide_shows) {
  std::FILE* pipe = ::popen("'" SEMPER_PROGRAM "' memory: 2>/dev/null", "r");
  ASSERT_NE(pipe, nullptr);
  std::vector<std::string> lines;
  char line[256];
  while (std::fgets(line, sizeof line, pipe) != nullptr) lines.emplace_back(line);
  EXPECT_EQ(::pclose(pipe), 0);
  // The action may run a little after the call has returned: the order is not promised.
  EXPECT_THAT(lines,
              UnorderedElementsAre("chairs left: 7\n", "tables: 100\n", "paid: receipt of 1001\n",
                                   "cancelled an order of chair\n", "returned: 3\n",
                                   HasSubstr("set aside: "), "sofas: 12\n"));
}

}  // namespace
}  // namespace guide
