#include "semper/durable/stream.h"

#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <vector>

#include "durable/stream_test_support.h"
#include "semper/env/scheduler.h"
#include "semper/testing/simulated_run.h"

namespace semper::durable_test {
namespace {

using testing::simulated_run;
using testing::SimulatedClock;
using States = StateStream<int, int, int>;
using Pipe = PipeStream<int, int>;

struct StreamSide {
  explicit StreamSide(const std::string& attempts) : server(clock, attempts) {
    options.env.clock = &clock;
  }
  SimulatedClock clock;
  ScriptedServer server;
  StreamOptions options;
};

template <class Stream>
Task<std::string> read(Stream& stream, int events) {
  std::string seen;
  for (int i = 0; i < events; ++i) {
    auto event = co_await stream.next();
    seen += (seen.empty() ? "" : " ");
    seen += event ? shown(*event) : std::string(to_string(event.error().kind()));
  }
  co_return seen;
}

TEST(Stream, create_or_fail_begins_with_the_first_attempt_or_is_its_error) {
  StreamSide side("c:1.stay rpc no");
  simulated_run(side.clock, [&]() -> Task<void> {
    const auto dispatch = side.server.dispatcher<States::Connection>();
    auto good = co_await States::create_or_fail(dispatch, side.options);
    EXPECT_TRUE(good);
    EXPECT_EQ(co_await read(*good, 4), "try up(1) state(100) [1]");
    EXPECT_TRUE(good->statistics().connected);
    auto refused = co_await States::create_or_fail(dispatch, side.options);
    EXPECT_EQ(refused.error(), Error(ErrorKind::not_found, "no such stream"));
    EXPECT_EQ(refused.error().stage, stream::DispatchFailure::Stage::rpc);
    auto failed = co_await States::create_or_fail(dispatch, side.options);
    EXPECT_EQ(failed.error(), Error(ErrorKind::io, "nobody there"));
    EXPECT_EQ(failed.error().stage, stream::DispatchFailure::Stage::connect);
    co_await good->join();
  }());
  EXPECT_EQ(side.server.open, 0);
}

struct Channel {
  int number;
};

TEST(Stream, over_a_durable_errors_of_the_connection_are_failed_to_connect_and_others_rpc_errors) {
  StreamSide side("");
  int channels = 0, calls = 0;
  simulated_run(side.clock, [&]() -> Task<void> {
    DurableOptions<Channel> durable;
    durable.env.clock = &side.clock;
    auto channel = Durable<Channel>::create(
        [&]() -> Async<Channel> {
          if (++channels == 1) co_return fail(ErrorKind::io, "no route");
          co_return Channel{channels};
        },
        [](const Channel&) { return false; }, durable);
    auto dispatch = [&](Channel& on, stream::DispatchRequest) -> Async<States::Connection> {
      ++calls;
      if (calls == 1) co_return fail(ErrorKind::permission, "not you");
      if (calls == 2) throw std::runtime_error("trouble");
      if (calls == 3) co_return fail(ErrorKind::timeout, "no answer");
      auto source = std::make_unique<ScriptedSource>(side.clock, "7.stay", side.server.open);
      co_return States::Connection(std::move(source), on.number, 5);
    };
    const auto executor = co_await asio::this_coro::executor;
    auto stream = States::create(executor, channel, dispatch, side.options);
    EXPECT_EQ(co_await read(stream, 12),
              "try failed(io) try rpc(permission) try failed(internal) try failed(timeout) try "
              "up(2) state(5) [7]");
    co_await stream.join();
  }());
}

TEST(Stream, map_update_and_map_state_change_what_they_name_and_batches_stay_batches) {
  StreamSide side("c:12.3.stay");
  simulated_run(side.clock, [&]() -> Task<void> {
    const auto executor = co_await asio::this_coro::executor;
    auto stream =
        States::create(executor, side.server.dispatcher<States::Connection>(), side.options)
            .map_update([](int update) { return "u" + std::to_string(update); })
            .map_state([](int state) { return "s" + std::to_string(state); });
    using Mapped = decltype(stream);
    static_assert(std::is_same_v<Mapped, StateStream<std::string, std::string, int>>);
    std::string seen;
    for (int i = 0; i < 5; ++i) {
      auto event = co_await stream.next();
      if (!event) break;
      if (auto* state = std::get_if<stream::State<std::string>>(&*event)) seen += state->state;
      if (auto* batch = std::get_if<stream::UpdateBatch<std::string>>(&*event)) {
        for (const auto& update : batch->updates) seen += " " + update;
        seen += ";";
      }
    }
    EXPECT_EQ(seen, "s100 u1 u2; u3;");
    co_await stream.join();
  }());
}

TEST(Stream, a_mapping_that_throws_is_an_error_of_that_event_and_the_stream_goes_on) {
  StreamSide side("c:1.2.stay");
  simulated_run(side.clock, [&]() -> Task<void> {
    const auto executor = co_await asio::this_coro::executor;
    auto stream = Pipe::create(executor, side.server.dispatcher<Pipe::Connection>(), side.options)
                      .map_update([](int update) {
                        if (update == 1) throw std::runtime_error("one is too few");
                        return update * 10;
                      });
    EXPECT_EQ(co_await read(stream, 4), "try up(1) internal [20]");
    stream.close();
    EXPECT_EQ(co_await read(stream, 1), "closed");
  }());
}

TEST(Stream, a_reader_that_is_cancelled_loses_nothing) {
  StreamSide side("c:wait.1.stay");
  simulated_run(side.clock, [&]() -> Task<void> {
    const auto executor = co_await asio::this_coro::executor;
    auto stream = Pipe::create(executor, side.server.dispatcher<Pipe::Connection>(), side.options);
    EXPECT_EQ(co_await read(stream, 2), "try up(1)");
    asio::cancellation_signal signal;
    auto wait = [&]() -> Task<void> { static_cast<void>(co_await stream.next()); };
    asio::co_spawn(executor, wait(), asio::bind_cancellation_slot(signal.slot(), asio::detached));
    co_await yield_now();
    signal.emit(asio::cancellation_type::terminal);
    co_await yield_now();
    EXPECT_EQ(co_await read(stream, 1), "[1]");
    co_await stream.join();
  }());
}

TEST(Stream, a_stream_whose_executor_dies_ends) {
  StreamSide side("c:1.stay");
  std::optional<Pipe> stream;
  simulated_run(side.clock, [&]() -> Task<void> {
    const auto executor = co_await asio::this_coro::executor;
    stream.emplace(
        Pipe::create(executor, side.server.dispatcher<Pipe::Connection>(), side.options));
    EXPECT_EQ(co_await read(*stream, 2), "try up(1)");
  }());
  EXPECT_EQ(side.server.open, 0) << "the connection went with the executor";
  EXPECT_EQ(simulated_run(side.clock, read(*stream, 2)), "[1] closed");
}

TEST(Stream, growing_delays_begin_anew_after_a_connection_that_lasted) {
  StreamSide side("no no no c:wait.wait.wait.end no c:stay");
  SeededRandom random(1);
  side.options.env.random = &random;
  side.options.retry = RetryOptions{.initial = 1s, .maximum = 60s, .healthy_after = 2s};
  std::vector<std::int64_t> delays;
  simulated_run(side.clock, [&]() -> Task<void> {
    const auto executor = co_await asio::this_coro::executor;
    auto stream = Pipe::create(executor, side.server.dispatcher<Pipe::Connection>(), side.options);
    auto ended = side.clock.now();
    while (delays.size() < 6) {
      auto event = co_await stream.next();
      if (!event) break;
      if (event->index() == 0) {
        delays.push_back(
            std::chrono::duration_cast<std::chrono::milliseconds>(side.clock.now() - ended)
                .count());
      }
      ended = side.clock.now();
    }
    co_await stream.join();
  }());
  ASSERT_EQ(delays.size(), 6u);
  const std::int64_t longest[] = {0, 1000, 2000, 4000, 1000, 2000};
  for (std::size_t i = 0; i < delays.size(); ++i) {
    EXPECT_LE(delays[i], longest[i]) << i;
    EXPECT_GE(delays[i], longest[i] / 2) << i;
  }
}

TEST(Stream, statistics_and_metrics_count_what_happened) {
  metrics::Registry registry;
  StreamSide side("no c:12.3.end c:stay");
  side.options.metrics = &registry;
  side.options.name = "numbers";
  simulated_run(side.clock, [&]() -> Task<void> {
    const auto executor = co_await asio::this_coro::executor;
    auto stream = Pipe::create(executor, side.server.dispatcher<Pipe::Connection>(), side.options);
    EXPECT_EQ(co_await read(stream, 9),
              "try failed(io) try up(2) [1,2] [3] lost(closed) try up(3)");
    const auto statistics = stream.statistics();
    EXPECT_EQ(statistics.attempts, 3u);
    EXPECT_EQ(statistics.connections, 2u);
    EXPECT_EQ(statistics.lost, 1u);
    EXPECT_EQ(statistics.batches, 2u);
    EXPECT_EQ(statistics.updates, 3u);
    EXPECT_EQ(statistics.buffered_events + statistics.buffered_updates, 0u);
    const auto page = registry.to_prometheus();
    EXPECT_NE(page.find("semper_stream_connected{name=\"numbers\"} 1"), std::string::npos) << page;
    EXPECT_NE(page.find("semper_stream_updates_total{name=\"numbers\"} 3"), std::string::npos);
    co_await stream.join();
  }());
  EXPECT_NE(registry.to_prometheus().find("semper_stream_connected{name=\"numbers\"} 0"),
            std::string::npos);
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
TEST(Stream, the_older_name_is_the_same_stream) {
  static_assert(std::is_same_v<Subscription<int, int>, PipeStream<int, int>>);
}
#pragma GCC diagnostic pop

// For the thread sanitizer, and for lost wake-ups: it would not end.
TEST(Stream, a_reader_on_another_thread_gets_every_update_and_may_close_at_any_time) {
  class Endless final : public stream::UpdateSource<int> {
    Async<std::optional<stream::UpdateBatch<int>>> next() override {
      if (++sent_ % 3 == 0) co_await yield_now();
      std::optional<stream::UpdateBatch<int>> batch;
      batch.emplace(std::vector<int>{sent_});
      co_return batch;
    }
    int sent_ = 0;
  };
  using Numbers = PipeStream<int>;
  Scheduler driver({.threads = 2});
  Scheduler reader({.threads = 1});
  StreamOptions options;
  options.max_buffered_updates = 16;
  for (int round = 0; round < 20; ++round) {
    auto dispatch = [](stream::DispatchRequest) -> Task<Numbers::Dispatched> {
      co_return Numbers::Connection(std::make_unique<Endless>());
    };
    auto stream = Numbers::create(driver.executor(), dispatch, options);
    reader.block_on([&]() -> Task<void> {
      for (int expected = 1; expected <= 50 * round;) {
        auto event = co_await stream.next();
        EXPECT_TRUE(event);
        if (!event) co_return;
        auto* batch = std::get_if<stream::UpdateBatch<int>>(&*event);
        if (batch == nullptr) continue;
        for (const int update : batch->updates) EXPECT_EQ(update, expected++);
      }
    }());
    stream.close();
    reader.block_on(stream.join());
  }
}

}  // namespace
}  // namespace semper::durable_test
