// What a server owes to handlers that do not listen, and to those who run it.
#include "semper/rpc/server.h"

#include <gtest/gtest.h>

#include <atomic>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "semper/env/one_shot.h"
#include "semper/env/scheduler.h"
#include "semper/rpc/call.h"

namespace semper::rpc::rpc_test {
namespace {

using namespace std::chrono_literals;

constexpr char kDeaf[] = "/test.Deaf/Hang";
constexpr char kYield[] = "/test.Deaf/Yield";
constexpr char kWordy[] = "/test.Deaf/Wordy";

// What a handler refers to; nobody may be left in it when shutdown() has returned.
struct House {
  OneShot<int> place_for_one() {
    std::lock_guard lock(mutex);
    return places.emplace_back();
  }
  void let_all_go() {
    std::lock_guard lock(mutex);
    for (auto& place : places) place.set(1);
  }

  std::atomic<int> inside = 0;
  OneShot<int> entered;
  std::mutex mutex;
  std::vector<OneShot<int>> places;
};

struct Guest {
  explicit Guest(House& in) : house(in) {
    ++house.inside;
    house.entered.set(1);
  }
  Guest(const Guest&) = delete;
  Guest& operator=(const Guest&) = delete;
  ~Guest() { --house.inside; }
  House& house;
};

Task<void> be_deaf() {
  co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
}

Async<Bytes> hang_deaf(House& house) {
  const Guest guest(house);
  co_await be_deaf();
  co_await asio::this_coro::throw_if_cancelled(false);
  auto place = house.place_for_one();
  static_cast<void>(co_await place.wait());
  co_return Bytes();
}

// Works on for a while after its caller has gone.
Async<void> yield_deaf(House& house, StreamWriter writer) {
  const Guest guest(house);
  co_await be_deaf();
  co_await asio::this_coro::throw_if_cancelled(false);
  while (co_await writer.write(Bytes("still here"))) co_await yield_now();
  constexpr int kLongerThanTheCall = 500'000;
  for (int i = 0; i < kLongerThanTheCall; ++i) co_await yield_now();
  co_return Status();
}

Async<Bytes> be_wordy(CallInfo, Bytes) {
  std::string words;
  for (int i = 0; i < 10'000; ++i) words += "\xc3\xa4";
  co_return fail(ErrorKind::corrupt, "page 7 is damaged: " + words);
}

class RpcServer : public ::testing::Test {
 protected:
  Server start(ServerOptions options = ServerOptions()) {
    Methods methods;
    methods.unary(kDeaf, [this](CallInfo, Bytes) { return hang_deaf(house); })
        .streaming(kYield, [this](CallInfo, Bytes,
                                  StreamWriter to) { return yield_deaf(house, std::move(to)); })
        .unary(kWordy, be_wordy);
    options.executor = scheduler.executor();
    auto started = Server::start(methods, options);
    if (!started) throw std::runtime_error(started.error().to_string());
    return std::move(*started);
  }
  Channel channel_to(const Server& server) {
    ChannelOptions options;
    options.address = "127.0.0.1:" + std::to_string(server.port());
    auto made = scheduler.block_on(connect(options));
    if (!made) throw std::runtime_error(made.error().to_string());
    return std::move(*made);
  }

  House house;
  Scheduler scheduler{{.threads = 1}};
};

TEST_F(RpcServer, shutdown_returns_after_the_last_handler) {
  auto server = start();
  const auto channel = channel_to(server);
  auto stream = open_stream(channel, kYield, "");
  ASSERT_TRUE(scheduler.block_on(house.entered.wait()));
  server.shutdown(0s);
  EXPECT_EQ(house.inside, 0);
  EXPECT_EQ(server.calls(), 0u);
  server.shutdown(0s);
}

TEST_F(RpcServer, handlers_whose_callers_have_gone_count_as_calls) {
  ServerOptions options;
  options.max_calls = 3;
  auto server = start(options);
  const auto channel = channel_to(server);
  CallOptions brief;
  brief.deadline = 20ms;
  constexpr int kAttempts = 1'000;  // one may time out before it arrived
  for (int i = 0; i < kAttempts && house.inside < 3; ++i) {
    EXPECT_FALSE(scheduler.block_on(call(channel, kDeaf, "", brief)));
  }
  ASSERT_EQ(house.inside, 3);
  CallOptions patient;
  patient.deadline = 5s;
  const auto one_more = scheduler.block_on(call(channel, kDeaf, "", patient));
  ASSERT_FALSE(one_more);
  EXPECT_EQ(one_more.error().kind(), ErrorKind::exhausted) << one_more.error().to_string();
  EXPECT_GE(server.calls(), 3u) << "gRPC may not be done yet with the one that was refused";
  house.let_all_go();
  server.shutdown(0s);
  EXPECT_EQ(house.inside, 0);
}

// However the loop was given: Asio's own executors are of several types.
TEST_F(RpcServer, shutdown_leaves_to_a_stopped_loop_what_hangs_in_it) {
  asio::io_context loop;
  const auto plain = loop.get_executor();
  const std::vector<Executor> executors = {
      plain, asio::make_strand(plain), asio::make_strand(Executor(plain)),
      asio::prefer(plain, asio::execution::outstanding_work.tracked)};
  int hanging = 0;
  for (const auto& executor : executors) {
    Methods methods;
    methods.unary(kDeaf, [this](CallInfo, Bytes) { return hang_deaf(house); });
    ServerOptions options;
    options.executor = executor;
    auto server = Server::start(methods, options);
    ASSERT_TRUE(server);
    loop.restart();
    std::thread runs([&] {
      auto work = asio::make_work_guard(loop);
      loop.run();
    });
    const auto channel = channel_to(*server);
    house.entered = OneShot<int>();
    asio::co_spawn(
        scheduler.executor(),
        [](Channel to) -> Task<void> { static_cast<void>(co_await call(to, kDeaf, "")); }(channel),
        asio::detached);
    EXPECT_TRUE(scheduler.block_on(house.entered.wait()));
    loop.stop();
    runs.join();
    server->shutdown(0s);
    EXPECT_EQ(house.inside, ++hanging) << "its frame goes with the loop";
  }
}

TEST_F(RpcServer, a_server_that_its_own_executor_destroys_does_not_wait_forever) {
  auto owning = [this]() -> Task<void> {
    std::optional<Server> server(start());
    ChannelOptions to;
    to.address = "127.0.0.1:" + std::to_string(server->port());
    auto channel = co_await connect(to);
    auto stream = open_stream(*channel, kYield, "");
    static_cast<void>(co_await house.entered.wait());
    EXPECT_EQ(house.inside, 1);
    server.reset();
  };
  scheduler.block_on(owning());
  while (house.inside > 0) std::this_thread::yield();
}

TEST_F(RpcServer, an_error_with_a_long_message_keeps_its_kind) {
  auto server = start();
  const auto answer = scheduler.block_on(call(channel_to(server), kWordy, ""));
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().kind(), ErrorKind::corrupt) << answer.error().to_string();
  EXPECT_NE(answer.error().message().find("page 7 is damaged"), std::string::npos);
  EXPECT_LT(answer.error().message().size(), 3'000u);
}

TEST(RpcServerOptions, callers_that_died_are_noticed_within_half_a_minute) {
  const ServerOptions options;
  EXPECT_LE(options.keepalive + options.keepalive_timeout, 30s);
}

}  // namespace
}  // namespace semper::rpc::rpc_test
