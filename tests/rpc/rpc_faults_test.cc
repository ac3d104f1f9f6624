// Streams over gRPC to a real server in another process, which is killed, stopped, restarted and
// cut off. Every stream recovers; a State follows every success; what resumes loses and repeats
// nothing.
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <stdexcept>
#include <string>

#include "processes.h"
#include "semper/env/scheduler.h"
#include "semper/rpc/subscribe.h"
#include "semper/testing/free_port.h"

namespace semper::rpc_faults {
namespace {

using namespace std::chrono_literals;
using Pipe = PipeStream<std::int64_t>;
using States = StateStream<std::int64_t, std::int64_t>;
using Success = stream::ConnectionSuccess<stream::NoMetadata>;
using Resumed = stream::ConnectionResumed<stream::NoMetadata>;
using Batch = stream::UpdateBatch<std::int64_t>;

class RpcFaults : public ::testing::Test {
 protected:
  RpcFaults() {
    server.start(testing::free_port());
    proxy.emplace(server.port());
    rpc::ChannelOptions to;
    to.resolve = [this]() -> Async<std::string> {
      co_return "127.0.0.1:" + std::to_string(proxy->port());
    };
    to.connect_deadline = 500ms;
    to.keepalive = 200ms;  // gRPC's own floor may be higher
    to.keepalive_timeout = 300ms;
    DurableOptions<rpc::Channel> durable;
    channel.emplace(rpc::durable_channel(to, durable));
    StreamOptions options;
    options.resubscribe_delay = 10ms;
    options.dispatch_deadline = 2s;
    pipe.emplace(Pipe::create(scheduler.executor(), *channel,
                              rpc::subscribe<Pipe>("/test.Count/Pipe"), options));
    states.emplace(States::create(scheduler.executor(), *channel,
                                  rpc::subscribe<States>("/test.Count/State"), options));
    follow(50);
  }
  ~RpcFaults() override {
    pipe->close();
    states->close();
  }

  // One event of the pipe, checked. Sets `updates` to how many it brought.
  void read_pipe(int& updates) {
    updates = 0;
    auto event = scheduler.block_on(pipe->next());
    ASSERT_TRUE(event) << event.error().to_string();
    if (std::holds_alternative<stream::Gap>(*event)) ++gaps;
    if (std::holds_alternative<stream::LostConnection>(*event)) ++lost;
    auto* batch = std::get_if<Batch>(&*event);
    if (batch == nullptr) return;
    for (const auto number : batch->updates) {
      ASSERT_EQ(number, last.value_or(number - 1) + 1) << "lost or repeated";
      last = number;
      ++updates;
    }
  }
  // Reads the pipe until it says that it was lost, without a fault on the way: by this side's own
  // pings, long before the server's.
  void wait_for_loss() {
    const int before = lost;
    const auto timer = system_clock().call_at(system_clock().after(10s), [&] { pipe->close(); });
    for (int updates = 0; lost == before && !HasFatalFailure();) read_pipe(updates);
    system_clock().cancel(timer);
  }
  // Reads both streams until each has seen that many more updates in a row.
  void follow(int count) {
    for (int seen = 0, updates = 0; seen < count;) {
      const int before = lost;
      ASSERT_NO_FATAL_FAILURE(read_pipe(updates));
      seen = lost == before ? seen + updates : 0;
    }
    for (int seen = 0; seen < count;) {
      auto event = scheduler.block_on(states->next());
      ASSERT_TRUE(event) << event.error().to_string();
      ASSERT_TRUE(!state_due || std::holds_alternative<stream::State<std::int64_t>>(*event));
      state_due = std::holds_alternative<Success>(*event);
      if (auto* now = std::get_if<stream::State<std::int64_t>>(&*event)) copy = now->state;
      if (std::holds_alternative<stream::LostConnection>(*event)) seen = 0;
      if (auto* batch = std::get_if<Batch>(&*event)) {
        for (const auto number : batch->updates) {
          ASSERT_EQ(number, copy + 1) << "the copy is wrong";
          copy = number;
          ++seen;
        }
      }
    }
  }
  // Until the pipe has been lost once more since `before`, then on.
  void recover(int before) {
    while (lost == before && !HasFatalFailure()) follow(1);
    follow(50);
    EXPECT_EQ(gaps, 0) << "it could not resume";
  }

  Scheduler scheduler{{.threads = 1}};
  ServerProcess server;
  std::optional<Proxy> proxy;
  std::optional<Durable<rpc::Channel>> channel;
  std::optional<Pipe> pipe;
  std::optional<States> states;
  std::optional<std::int64_t> last;
  std::int64_t copy = 0;
  bool state_due = false;
  int lost = 0;
  int gaps = 0;
};

TEST_F(RpcFaults, a_killed_server_comes_back_on_the_same_port) {
  for (int i = 0; i < 3; ++i) {
    const int before = lost;
    const int port = server.port();
    server.kill(SIGKILL);
    server.start(port);
    recover(before);
  }
}

TEST_F(RpcFaults, a_killed_server_comes_back_on_another_port) {
  for (int i = 0; i < 3; ++i) {
    const int before = lost;
    server.kill(SIGKILL);
    server.start(testing::free_port());
    proxy->retarget(server.port());
    recover(before);
  }
}

TEST_F(RpcFaults, a_stopped_server_goes_on) {
  server.kill(SIGSTOP);
  server.kill(SIGCONT);
  follow(200);
  EXPECT_EQ(gaps, 0);
}

TEST_F(RpcFaults, a_stopped_server_is_noticed_and_replaced) {
  server.kill(SIGSTOP);
  // Nothing is closed: only pings that are not answered tell.
  wait_for_loss();
  server.kill(SIGKILL);
  server.start(testing::free_port());
  proxy->retarget(server.port());
  follow(50);
  EXPECT_EQ(gaps, 0);
}

TEST_F(RpcFaults, connections_that_are_reset_are_made_again) {
  for (int i = 0; i < 5; ++i) {
    const int before = lost;
    proxy->cut();
    recover(before);
  }
}

TEST_F(RpcFaults, a_cut_in_the_middle_of_a_message_loses_nothing) {
  for (int i = 0; i < 10; ++i) {
    const int before = lost;
    proxy->cut_after(1000 + 17 * i);
    recover(before);
  }
}

TEST_F(RpcFaults, a_half_closed_connection_is_made_again) {
  const int before = lost;
  proxy->half_close();
  recover(before);
}

TEST_F(RpcFaults, a_black_hole_is_noticed_by_pings) {
  proxy->black_hole(true);
  wait_for_loss();
  proxy->black_hole(false);
  proxy->cut();
  follow(50);
  EXPECT_EQ(gaps, 0);
}

TEST_F(RpcFaults, a_slow_network_loses_nothing) {
  proxy->delay_ms(5);
  follow(300);
  EXPECT_EQ(lost, 0);
}

}  // namespace
}  // namespace semper::rpc_faults

int main(int argc, char** argv) {
  if (argc == 5 && std::strcmp(argv[1], "--serve") == 0) {
    return semper::rpc_faults::serve(std::atoi(argv[2]), {std::atoll(argv[3]), std::atoi(argv[4])});
  }
  ::testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
