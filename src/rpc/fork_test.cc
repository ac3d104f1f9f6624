// gRPC does not survive a fork: a child is told, and does not hang; its parent notices nothing.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <optional>

#include "env/sanitizer_test_support.h"
#include "semper/env/scheduler.h"
#include "semper/rpc/call.h"
#include "semper/rpc/channel.h"
#include "semper/rpc/duplex.h"
#include "semper/rpc/server.h"

namespace semper::rpc::fork_test {
namespace {

using namespace std::chrono_literals;

constexpr unsigned kHangsSeconds = 30;
constexpr char kEcho[] = "/test.Fork/Echo";

Async<Bytes> echo(CallInfo, Bytes request) {
  co_return request;
}

Result<Server> serve(Scheduler& scheduler) {
  Methods methods;
  methods.unary(kEcho, echo);
  ServerOptions options;
  options.executor = scheduler.executor();
  return Server::start(methods, options);
}

ChannelOptions options_for(int port) {
  ChannelOptions options;
  options.address = "127.0.0.1:" + std::to_string(port);
  options.connect_deadline = 5s;
  return options;
}

bool is_told(const Error& error) {
  return error.kind() == ErrorKind::unsupported;
}

// Whether `holds` in a child, which ends without destroying anything.
int status_of_child(const std::function<bool()>& holds) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(kHangsSeconds);
    ::_exit(holds() ? 0 : 1);
  }
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  return status;
}

class RpcFork : public ::testing::Test {
 protected:
  void SetUp() override { SEMPER_FORKS_BESIDE_THREADS(); }

  Server start() {
    auto started = serve(scheduler);
    if (!started) throw std::runtime_error(started.error().to_string());
    return std::move(*started);
  }
  Channel channel_to(const Server& server) {
    auto made = scheduler.block_on(connect(options_for(server.port())));
    if (!made) throw std::runtime_error(made.error().to_string());
    return std::move(*made);
  }
  Result<Bytes> ask(const Channel& channel, Scheduler& on) {
    CallOptions options;
    options.deadline = 10s;
    return on.block_on(call(channel, kEcho, "hello", options));
  }

  Scheduler scheduler;
};

TEST_F(RpcFork, a_child_of_a_process_that_has_served_or_connected_is_told_what_it_can_do) {
  const auto server = start();
  const int port = server.port();
  EXPECT_EQ(status_of_child([&] {
              Scheduler own;
              const auto channel = own.block_on(connect(options_for(port)));
              const auto served = serve(own);
              return !channel && is_told(channel.error()) && !served && is_told(served.error()) &&
                     served.error().message().find("exec") != std::string::npos;
            }),
            0);
}

TEST_F(RpcFork, what_the_parent_opened_is_refused_in_the_child) {
  const auto server = start();
  const auto channel = channel_to(server);
  const auto durable = durable_channel(options_for(server.port()));
  ASSERT_TRUE(scheduler.block_on(durable.with([](Channel&) {})));
  auto stream = open_stream(channel, kEcho, "");
  auto duplex = open_duplex(channel, kEcho);
  EXPECT_EQ(status_of_child([&] {
              Scheduler own;
              const auto answer = ask(channel, own);
              const auto used = own.block_on(durable.with([](Channel&) {}));
              const auto next = own.block_on(stream.next());
              const auto sent = duplex.send("hello");
              auto opened = open_stream(channel, kEcho, "");
              const auto first = own.block_on(opened.next());
              return !channel.is_ready() && !answer && is_told(answer.error()) && !used &&
                     is_told(used.error()) && !next && is_told(next.error()) && !sent &&
                     is_told(sent.error()) && !first && is_told(first.error());
            }),
            0);
  EXPECT_EQ(ask(channel, scheduler), Bytes("hello"));
}

// Its port is the parent's too.
TEST_F(RpcFork, a_child_that_destroys_its_parents_handles_takes_nothing_from_the_parent) {
  auto server = std::make_optional(start());
  std::optional<Channel> channel = channel_to(*server);
  auto stream = std::make_optional(open_stream(*channel, kEcho, ""));
  EXPECT_EQ(status_of_child([&] {
              server->shutdown(0s);
              stream.reset();
              channel.reset();
              server.reset();
              return true;
            }),
            0);
  const auto anew = channel_to(*server);
  EXPECT_EQ(ask(anew, scheduler), Bytes("hello"));
  EXPECT_EQ(ask(*channel, scheduler), Bytes("hello"));
}

}  // namespace
}  // namespace semper::rpc::fork_test
