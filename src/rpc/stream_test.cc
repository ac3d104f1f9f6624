// Streams of messages whose two ends go at the same time.
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "semper/env/scheduler.h"
#include "semper/rpc/call.h"
#include "semper/rpc/server.h"

namespace semper::rpc::rpc_test {
namespace {

using namespace std::chrono_literals;

constexpr char kFlood[] = "/test.Flood/Flood";

Async<void> flood(CallInfo, Bytes, StreamWriter writer) {
  while (true) SEMPER_CO_TRY_STATUS(co_await writer.write(Bytes("more")));
}

Task<void> take_message(Async<std::optional<Bytes>> next) {
  static_cast<void>(co_await std::move(next));
}

// A reader that takes a message begins the next read, and gRPC may end the call meanwhile.
TEST(RpcStreams, one_that_is_dropped_while_its_reader_takes_a_message_is_left_in_order) {
  Scheduler scheduler;
  Methods methods;
  methods.streaming(kFlood, flood);
  ServerOptions serving;
  serving.executor = scheduler.executor();
  auto server = Server::start(methods, serving);
  ASSERT_TRUE(server);
  ChannelOptions there;
  there.address = "127.0.0.1:" + std::to_string(server->port());
  const auto channel = scheduler.block_on(connect(there));
  ASSERT_TRUE(channel);
  CallOptions one_by_one;
  one_by_one.read_ahead = 1;
  constexpr int kStreams = 40;
  constexpr auto kLongEnough = 100ms;  // for a reader that does not stand still
  for (int i = 0; i < kStreams; ++i) {
    auto stream = std::make_optional(open_stream(*channel, kFlood, "", one_by_one));
    ASSERT_TRUE(scheduler.block_on(stream->next()));
    std::atomic<bool> has_ended = false;
    std::thread reader([&has_ended, next = stream->next()]() mutable {
      asio::io_context loop(1);
      asio::co_spawn(loop, take_message(std::move(next)), asio::detached);
      loop.run();
      has_ended = true;
    });
    const auto until = std::chrono::steady_clock::now() + kLongEnough;
    const bool at_once = i % 2 == 1;
    while (!at_once && !has_ended && std::chrono::steady_clock::now() < until) {
      std::this_thread::yield();
    }
    stream.reset();
    reader.join();
  }
  server->shutdown(0s);
}

}  // namespace
}  // namespace semper::rpc::rpc_test
