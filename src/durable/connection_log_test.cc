// What the room says to whoever runs the program: once per change, never per attempt, never a
// secret.
#include "semper/durable/internal/connection_log.h"

#include <gtest/gtest.h>

#include <mutex>
#include <string>
#include <vector>

#include "durable/stream_test_support.h"
#include "semper/durable/stream.h"
#include "semper/testing/simulated_run.h"

namespace semper {
namespace {

using namespace std::chrono_literals;
using testing::simulated_run;
using testing::SimulatedClock;

class DebugLog {
 public:
  DebugLog() {
    set_log_level(LogLevel::debug);
    set_log_sink([this](LogLevel level, std::string_view component, std::string_view line) {
      std::lock_guard lock(mutex_);
      if (component == "durable") {
        lines.push_back(std::string(to_string(level)) + " " + std::string(line));
      }
    });
  }
  ~DebugLog() {
    set_log_sink({});
    set_log_level(LogLevel::info);
  }
  DebugLog(const DebugLog&) = delete;
  DebugLog& operator=(const DebugLog&) = delete;

  std::string text() const {
    std::string all;
    for (const auto& line : lines) all += line + "\n";
    return all;
  }
  std::vector<std::string> lines;

 private:
  std::mutex mutex_;
};

bool starts_with(const std::string& text, const std::string& head) {
  return text.rfind(head, 0) == 0;
}

struct LogWorld {
  LogWorld() {
    options.name = "billing";
    options.env = Env{&clock, &random};
  }
  Async<int> connect() {
    if (!is_up) co_return fail(ErrorKind::io, why);
    co_return ++connections;
  }
  Durable<int> durable() {
    return Durable<int>::create([this] { return connect(); },
                                [this](const int& number) { return number == broken; }, options);
  }
  SimulatedClock clock;
  SeededRandom random{1};
  DurableOptions<int> options;
  bool is_up = true;
  std::string why = "connection refused";
  int connections = 0, broken = 0;
};

Task<void> use(Durable<int> durable) {
  static_cast<void>(co_await durable.with([](int&) {}));
}

TEST(ConnectionLog, a_durable_says_each_change_once_and_no_attempt) {
  LogWorld world;
  DebugLog log;
  simulated_run(world.clock, [&]() -> Task<void> {
    auto durable = world.durable();
    for (int i = 0; i < 5; ++i) co_await use(durable);
    world.broken = 1;
    world.is_up = false;
    for (int i = 0; i < 20; ++i) co_await use(durable);
    world.is_up = true;
    for (int i = 0; i < 5; ++i) co_await use(durable);
  }());
  ASSERT_EQ(log.lines.size(), 4u) << log.text();
  EXPECT_EQ(log.lines[0], "info billing: connected");
  EXPECT_EQ(log.lines[1], "warning billing: lost: it was found broken");
  EXPECT_TRUE(starts_with(log.lines[2], "warning billing: cannot connect: io: connection refused"));
  EXPECT_TRUE(
      starts_with(log.lines[3], "info billing: connected again after 20 failed attempts, "));
}

TEST(ConnectionLog, a_failed_first_connection_and_giving_up_are_each_logged_once) {
  LogWorld world;
  DebugLog log;
  world.options.attempt_limit = 3;
  world.is_up = false;
  simulated_run(world.clock, [&]() -> Task<void> {
    auto durable = world.durable();
    for (int i = 0; i < 10; ++i) co_await use(durable);
    world.is_up = true;
    durable.reset();
    co_await use(durable);
  }());
  ASSERT_EQ(log.lines.size(), 3u) << log.text();
  EXPECT_TRUE(starts_with(log.lines[0], "info billing: cannot connect: io")) << log.text();
  EXPECT_TRUE(starts_with(log.lines[1], "error billing: given up after 3 failed attempts"));
  EXPECT_TRUE(starts_with(log.lines[2], "info billing: connected after 3 failed attempts"));
}

TEST(ConnectionLog, what_broke_it_is_named_and_a_deadline_of_a_caller_is_logged_at_debug) {
  LogWorld world;
  DebugLog log;
  world.options.access = Access::exclusive;
  simulated_run(world.clock, [&]() -> Task<void> {
    auto durable = world.durable();
    static_cast<void>(co_await durable.with(
        [](int&) -> Result<void> { return fail(ErrorKind::io, "row 17 of customer Bob"); }));
    co_await use(durable);
    const WithOptions soon{.deadline = 1s};
    auto f = [&](int&) { return sleep_for(world.clock, 1h); };
    static_cast<void>(co_await durable.with(soon, f));
    co_await use(durable);
    durable.invalidate();
  }());
  ASSERT_EQ(log.lines.size(), 6u) << log.text();
  EXPECT_EQ(log.lines[1], "warning billing: lost: an f on it failed with io");
  EXPECT_TRUE(starts_with(log.lines[3], "debug billing: lost: an f on it")) << log.text();
  EXPECT_TRUE(starts_with(log.lines[4], "debug billing: connected again")) << log.text();
  EXPECT_EQ(log.lines[5], "warning billing: lost: invalidate() was called");
  EXPECT_EQ(log.text().find("Bob"), std::string::npos) << "what an f says may be anything";
}

TEST(ConnectionLog, a_stream_says_each_change_once) {
  DebugLog log;
  SimulatedClock clock;
  durable_test::ScriptedServer server(clock, "no no c:1.cut no rpc c:2.end never");
  StreamOptions options;
  options.name = "prices";
  options.env.clock = &clock;
  options.resubscribe_delay = 1s;
  simulated_run(clock, [&]() -> Task<void> {
    const auto executor = co_await asio::this_coro::executor;
    using Pipe = PipeStream<int, int>;
    auto stream = Pipe::create(executor, server.dispatcher<Pipe::Connection>(), options);
    while (co_await stream.next()) {
    }
  }());
  const std::vector<std::string> expected = {
      "info prices: cannot connect: io: nobody there; further failures are not logged",
      "info prices: connected after 2 failed attempts, 2.00 s",
      "warning prices: lost: io: cut off",
      "warning prices: cannot connect: io: nobody there; further failures are not logged",
      "info prices: connected again after 2 failed attempts, 3.00 s",
      "warning prices: lost: closed: the other side ended the updates",
      "warning prices: cannot connect: permission: never; further failures are not logged",
      "error prices: given up after 1 failed attempt, 1.00 s: this error is permanent: permission: "
      "never",
  };
  EXPECT_EQ(log.lines, expected) << log.text();
}

TEST(ConnectionLog, a_sink_may_use_what_the_line_is_about) {
  LogWorld world;
  std::optional<Durable<int>> durable;
  int lines = 0;
  set_log_sink([&](LogLevel, std::string_view, std::string_view) {
    ++lines;
    static_cast<void>(durable->statistics());
    durable->close();
  });
  simulated_run(world.clock, [&]() -> Task<void> {
    durable.emplace(world.durable());
    co_await use(*durable);
  }());
  set_log_sink({});
  EXPECT_EQ(lines, 1);
}

TEST(ConnectionLog, secrets_are_taken_out_of_what_others_say) {
  const std::pair<const char*, const char*> cases[] = {
      {"missing \"=\" after \"postgresql://bob:hunter2@db:5432/x\" in connection info string",
       "missing \"=\" after \"postgresql://***@db:5432/x\" in connection info string"},
      {"redis://:hunter2@cache: refused", "redis://***@cache: refused"},
      {"host=db password=hunter2 user=bob", "host=db password=*** user=bob"},
      {"host=db password='hunter 2' user=bob", "host=db password=*** user=bob"},
      {"{\"api_key\": \"hunter2\", \"x\": 1}", "{\"api_key\": ***, \"x\": 1}"},
      {"Authorization: Bearer hunter2, retry", "Authorization: ***, retry"},
      {"GET /x?access_token=hunter2&y=1", "GET /x?access_token=***&y=1"},
      {"PGPASSWORD=hunter2", "PGPASSWORD=***"},
      {"password authentication failed for user \"bob\"",
       "password authentication failed for user \"bob\""},
      {"first line\nsecond line hunter2", "first line"},
      {"http://db:5432/a@b", "http://db:5432/a@b"},
  };
  for (const auto& [given, shown] : cases) {
    EXPECT_EQ(internal::without_secrets(given), shown);
    EXPECT_EQ(internal::without_secrets(given).find("hunter2"), std::string::npos);
  }
  EXPECT_LE(internal::without_secrets(std::string(100'000, 'x')).size(), internal::kLogTextMaximum);
}

}  // namespace
}  // namespace semper
