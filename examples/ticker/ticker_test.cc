#include "ticker.h"

#include <gtest/gtest.h>

#include <optional>

namespace ticker {
namespace {

TEST(Ticker, the_copy_is_right_again_after_the_server_was_restarted) {
  semper::Scheduler scheduler;
  auto before = make_publisher();
  auto started = start_server(scheduler.executor(), before, "127.0.0.1:0");
  ASSERT_TRUE(started) << started.error().to_string();
  std::optional<semper::rpc::Server> server(std::move(*started));
  const std::string address = "127.0.0.1:" + std::to_string(server->port());
  auto prices = watch(scheduler.executor(), address);
  Copy copy;
  const auto follow_until = [&](const Table& table) {
    while (copy.is_stale() || copy.table() != table) {
      auto event = scheduler.block_on(prices.next());
      ASSERT_TRUE(event) << event.error().to_string();
      ASSERT_FALSE(copy.take(*event).empty());
    }
  };
  before.publish({Price("ACME", 1)});
  follow_until(Table{{"ACME", 1}, {"INIT", 2'550}});

  server.reset();
  while (!copy.is_stale()) {
    auto event = scheduler.block_on(prices.next());
    ASSERT_TRUE(event);
    copy.take(*event);
  }
  auto after = make_publisher();
  after.publish({Price("NEWS", 7)});
  auto again = start_server(scheduler.executor(), after, address);
  ASSERT_TRUE(again) << again.error().to_string();
  follow_until(Table{{"ACME", 10'000}, {"INIT", 2'550}, {"NEWS", 7}});
  prices.close();
}

}  // namespace
}  // namespace ticker
