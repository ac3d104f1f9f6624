// Many at once: a thousand streams over one channel, a thousand channels, and a server that is
// killed.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <string>
#include <vector>

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
using Batch = stream::UpdateBatch<std::int64_t>;

constexpr int kCrowd = 1000;
// So that a crowd's updates are no load of their own, under a sanitizer either.
constexpr int kTickMilliseconds = 250;
constexpr int kUpdatesEach = 3;

// The crowd has a socket each on both sides.
void allow_many_files() {
  rlimit files{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &files), 0);
  files.rlim_cur = files.rlim_max;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &files), 0);
  ASSERT_GE(files.rlim_cur, 4u * kCrowd) << "the limit of open files is too low for this test";
}

rpc::ChannelOptions to(const ServerProcess& server) {
  rpc::ChannelOptions options;
  options.address = "127.0.0.1:" + std::to_string(server.port());
  return options;
}

StreamOptions soon() {
  StreamOptions options;
  options.resubscribe_delay = 10ms;
  return options;
}

// Runs one coroutine for each number at once, to the end of all.
template <class F>
void all_at_once(Scheduler& scheduler, int count, F one) {
  OneShot<int> ended;
  int left = count;
  for (int i = 0; i < count; ++i) {
    auto run = [](F& work, int number, int& waiting, OneShot<int> all) -> Task<void> {
      co_await work(number);
      if (--waiting == 0) all.set(0);
    };
    asio::co_spawn(scheduler.executor(), run(one, i, left, ended), asio::detached);
  }
  ASSERT_TRUE(scheduler.block_on(ended.wait()));
}

// What one reader of the crowd has seen.
struct Reader {
  std::optional<std::int64_t> last;
  int losses = 0;
  int gaps = 0;
  bool state_due = false;
  std::string wrong;  // the first fault

  void check(std::int64_t number) {
    const std::int64_t expected = last.value_or(number - 1) + 1;
    if (number != expected && wrong.empty()) {
      wrong = std::to_string(number) + " came in the place of " + std::to_string(expected);
    }
    last = number;
  }
};

template <class Event>
int note(Reader& reader, const Event& event) {
  if (std::holds_alternative<stream::LostConnection>(event)) ++reader.losses;
  if (std::holds_alternative<stream::Gap>(event)) ++reader.gaps;
  const auto* batch = std::get_if<Batch>(&event);
  if (batch == nullptr) return 0;
  for (const auto number : batch->updates) reader.check(number);
  return static_cast<int>(batch->updates.size());
}

// Until the stream has been lost so often in all, and has brought as many updates since.
Task<void> follow(Pipe& pipe, Reader& reader, int losses) {
  for (int seen = 0; reader.losses < losses || seen < kUpdatesEach;) {
    auto event = co_await pipe.next();
    if (!event) {
      reader.wrong = event.error().to_string();
      co_return;
    }
    const int before = reader.losses;
    const int updates = note(reader, *event);
    seen = reader.losses == before ? seen + updates : 0;
  }
}

Task<void> follow(States& states, Reader& reader, int losses) {
  for (int seen = 0; reader.losses < losses || seen < kUpdatesEach;) {
    auto event = co_await states.next();
    if (!event) {
      reader.wrong = event.error().to_string();
      co_return;
    }
    const auto* state = std::get_if<stream::State<std::int64_t>>(&*event);
    if (reader.state_due && state == nullptr) reader.wrong = "no State follows a success";
    reader.state_due = std::holds_alternative<Success>(*event);
    if (state != nullptr) reader.last = state->state;
    const int before = reader.losses;
    const int updates = note(reader, *event);
    seen = reader.losses == before ? seen + updates : 0;
  }
}

template <class Stream>
void outlive_a_killed_server(const char* method) {
  Scheduler scheduler;
  ServerProcess server(kTickMilliseconds);
  server.start(testing::free_port());
  DurableOptions<rpc::Channel> durable;
  auto channel = rpc::durable_channel(to(server), durable);
  std::vector<Stream> streams;
  std::vector<Reader> readers(kCrowd);
  for (int i = 0; i < kCrowd; ++i) {
    streams.push_back(
        Stream::create(scheduler.executor(), channel, rpc::subscribe<Stream>(method), soon()));
  }
  for (int losses = 0; losses < 3; ++losses) {
    auto read = [&](int i) {
      const auto at = static_cast<std::size_t>(i);
      return follow(streams[at], readers[at], losses);
    };
    all_at_once(scheduler, kCrowd, read);
    const int port = server.port();
    server.kill(SIGKILL);
    server.start(port);
  }
  for (const auto& reader : readers) {
    ASSERT_EQ(reader.wrong, "");
    ASSERT_EQ(reader.gaps, 0) << "it could not resume";
  }
  for (auto& stream : streams) stream.close();
  for (auto& stream : streams) scheduler.block_on(stream.join());
}

TEST(RpcCrowd, a_thousand_pipes_over_one_channel_lose_nothing_with_their_server) {
  outlive_a_killed_server<Pipe>("/test.Count/Pipe");
}

TEST(RpcCrowd, a_thousand_states_over_one_channel_are_right_after_their_server_was_killed) {
  outlive_a_killed_server<States>("/test.Count/State");
}

TEST(RpcCrowd, a_thousand_durable_channels_heal_when_their_server_is_back) {
  ASSERT_NO_FATAL_FAILURE(allow_many_files());
  Scheduler scheduler;
  ServerProcess server(kTickMilliseconds);
  server.start(testing::free_port());
  std::vector<Durable<rpc::Channel>> channels;
  for (int i = 0; i < kCrowd; ++i) channels.push_back(rpc::durable_channel(to(server)));
  std::vector<int> answers(kCrowd);
  std::vector<int> refusals(kCrowd);
  // Each asks until it gets its answer; how often is bounded by the test's own time limit.
  auto ask = [&](int i) -> Task<void> {
    const auto at = static_cast<std::size_t>(i);
    const Bytes text = std::to_string(i);
    auto call = [&](rpc::Channel& channel) { return rpc::call(channel, "/test.Count/Echo", text); };
    while (true) {
      auto answer = co_await channels[at].with(call);
      if (answer) {
        EXPECT_EQ(*answer, text);
        ++answers[at];
        co_return;
      }
      ++refusals[at];
      static_cast<void>(co_await sleep_for(system_clock(), 10ms));
    }
  };
  for (int round = 0; round < 3; ++round) {
    all_at_once(scheduler, kCrowd, ask);
    const int port = server.port();
    server.kill(SIGKILL);
    if (round == 0) {
      // Each notices for itself, and each attempt fails.
      auto use = [](rpc::Channel& channel) { return rpc::call(channel, "/test.Count/Echo", "x"); };
      auto fail_once = [&](int i) -> Task<void> {
        auto answer = co_await channels[static_cast<std::size_t>(i)].with(use);
        EXPECT_FALSE(answer);
      };
      all_at_once(scheduler, kCrowd, fail_once);
    }
    server.start(port);
  }
  all_at_once(scheduler, kCrowd, ask);
  EXPECT_EQ(std::count(answers.begin(), answers.end(), 4), kCrowd);
  for (const auto& channel : channels) {
    EXPECT_GE(channel.statistics().created, 2u);
    EXPECT_TRUE(channel.statistics().intact);
  }
  for (auto& channel : channels) scheduler.block_on(channel.join());
}

}  // namespace
}  // namespace semper::rpc_faults
