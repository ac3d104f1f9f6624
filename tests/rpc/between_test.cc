// Servers that say goodbye, and callers that die without a word.
#include <gtest/gtest.h>

#include <atomic>
#include <optional>

#include "processes.h"
#include "semper/env/one_shot.h"
#include "semper/env/scheduler.h"
#include "semper/rpc/call.h"
#include "semper/rpc/server.h"

namespace semper::rpc_faults {
namespace {

using namespace std::chrono_literals;

constexpr char kEcho[] = "/test.Between/Echo";
constexpr char kWatch[] = "/test.Between/Watch";

class RpcBetween : public ::testing::Test {
 protected:
  RpcBetween() {
    rpc::Methods methods;
    methods
        .unary(kEcho,
               [this](rpc::CallInfo, Bytes request) -> Async<Bytes> {
                 ++echoed;
                 co_return request;
               })
        .streaming(kWatch, [this](rpc::CallInfo, Bytes, rpc::StreamWriter) { return watch(); });
    rpc::ServerOptions options;
    options.executor = scheduler.executor();
    options.keepalive = 1s;  // as often as gRPC pings
    options.keepalive_timeout = 100ms;
    server.emplace(rpc::Server::start(methods, options).value());
    proxy.emplace(server->port());
    to.address = "127.0.0.1:" + std::to_string(proxy->port());
  }
  ~RpcBetween() override { server->shutdown(0s); }

  Async<void> watch() {
    begun.set(1);
    OneShot<int> never;
    auto woken = co_await never.wait();
    ended.set(1);
    co_return fail(woken.error());
  }

  Scheduler scheduler{{.threads = 2}};
  std::optional<rpc::Server> server;
  std::optional<Proxy> proxy;
  rpc::ChannelOptions to;
  std::atomic<int> echoed = 0;
  OneShot<int> begun;
  OneShot<int> ended;
};

TEST_F(RpcBetween, a_call_that_was_sent_to_a_server_that_goes_away_is_sent_to_its_successor) {
  proxy->go_away_once();
  const auto channel = rpc::durable_channel(to);
  rpc::CallOptions options;
  options.deadline = 20s;
  const auto use = [&](rpc::Channel& c) { return rpc::call(c, kEcho, "hello", options); };
  const auto answer = scheduler.block_on(channel.with(use));
  ASSERT_TRUE(answer) << answer.error().to_string();
  EXPECT_EQ(*answer, "hello");
  EXPECT_EQ(echoed, 1);
}

TEST_F(RpcBetween, a_caller_that_vanished_is_noticed_and_its_handler_ended) {
  auto channel = scheduler.block_on(rpc::connect(to));
  ASSERT_TRUE(channel);
  auto stream = rpc::open_stream(*channel, kWatch, "");
  ASSERT_TRUE(scheduler.block_on(begun.wait()));
  proxy->black_hole(true);  // as if it were stopped: nothing is closed, no ping is answered
  const auto noticed =
      scheduler.block_on(ended.wait_until(system_clock(), system_clock().after(30s)));
  EXPECT_TRUE(noticed) << "the handler of a caller that is gone goes on";
}

TEST_F(RpcBetween, a_channel_that_was_given_up_is_made_again_and_its_successor_is_kept) {
  const auto channel = rpc::durable_channel(to);
  const auto copy = [](rpc::Channel& c) { return c; };
  auto first = scheduler.block_on(channel.with(copy));
  ASSERT_TRUE(first);
  first->give_up();
  auto second = scheduler.block_on(channel.with(copy));
  ASSERT_TRUE(second);
  first->give_up();
  EXPECT_TRUE(second->is_ready());
  EXPECT_TRUE(scheduler.block_on(rpc::call(*first, kEcho, "x"))) << "what runs on it goes on";
  EXPECT_TRUE(scheduler.block_on(channel.with(copy)));
  EXPECT_EQ(channel.statistics().attempts, 2u);
}

}  // namespace
}  // namespace semper::rpc_faults
