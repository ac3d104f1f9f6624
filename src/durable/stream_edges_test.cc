// Streams at the edge: readers that are cancelled, dispatches that do not listen, loops that starve
// or go, functions that throw or destroy their stream.
#include <gtest/gtest.h>

#include <algorithm>
#include <asio/experimental/awaitable_operators.hpp>
#include <atomic>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include "durable/stream_test_support.h"
#include "semper/env/scheduler.h"
#include "semper/testing/simulated_run.h"

namespace semper::durable_test {
namespace {

using namespace asio::experimental::awaitable_operators;
using testing::simulated_run;
using testing::SimulatedClock;
using NumberPipe = PipeStream<int>;

// Batches of one number each, 1 to `count`, as fast as they are asked for; then it stays.
class Counting final : public stream::UpdateSource<int> {
 public:
  Counting(Clock& clock, int count) : clock_(clock), count_(count) {}
  Async<std::optional<stream::UpdateBatch<int>>> next() override {
    if (sent_ == count_) static_cast<void>(co_await sleep_for(clock_, 1000h));
    std::optional<stream::UpdateBatch<int>> batch;
    batch.emplace(std::vector<int>{++sent_});
    co_return batch;
  }

 private:
  Clock& clock_;
  const int count_;
  int sent_ = 0;
};

NumberPipe::Dispatch counting(Clock& clock, int count) {
  return [&clock, count](stream::DispatchRequest) -> Task<NumberPipe::Dispatched> {
    co_return NumberPipe::Connection(std::make_unique<Counting>(clock, count));
  };
}

std::optional<int> number_of(const Result<NumberPipe::Event>& event) {
  if (!event) return std::nullopt;
  const auto* batch = std::get_if<stream::UpdateBatch<int>>(&*event);
  return batch != nullptr ? std::optional<int>(batch->updates.at(0)) : std::nullopt;
}

// ---- readers that are cancelled ----

enum class Rival { is_set_from_outside, is_ready_every_second_time };

// Reads until it has `count` numbers, each time against something that may be faster.
Task<void> read_in_races(NumberPipe& stream, int count, OneShot<int>& rival, Rival how,
                         bool rival_first, std::vector<int>& numbers) {
  for (int race = 0; static_cast<int>(numbers.size()) < count; ++race) {
    rival = OneShot<int>();
    if (how == Rival::is_ready_every_second_time && race % 2 == 0) rival.set(1);
    std::optional<Result<NumberPipe::Event>> event;
    if (rival_first) {
      auto first = co_await (rival.wait() || stream.next());
      if (first.index() == 1) event = std::get<1>(std::move(first));
    } else {
      auto first = co_await (stream.next() || rival.wait());
      if (first.index() == 0) event = std::get<0>(std::move(first));
    }
    if (!event) continue;
    if (auto number = number_of(*event)) numbers.push_back(*number);
  }
}

TEST(StreamEdges, a_reader_that_loses_a_race_after_it_was_woken_loses_no_event) {
  for (const bool rival_first : {false, true}) {
    SimulatedClock clock;
    asio::io_context driver(1), reader(1);
    StreamOptions options;
    options.env.clock = &clock;
    options.max_buffered_updates = 1;  // each batch waits for the reader
    auto stream = NumberPipe::create(driver.get_executor(), counting(clock, 1000), options);
    OneShot<int> rival;
    std::vector<int> numbers;
    asio::co_spawn(
        reader, read_in_races(stream, 50, rival, Rival::is_set_from_outside, rival_first, numbers),
        asio::detached);
    for (int turn = 0; numbers.size() < 50 && turn < 1000; ++turn) {
      reader.restart();
      reader.poll();
      // The rival's end is posted to the reader's loop first, the wake-up behind it.
      rival.set(1);
      driver.restart();
      driver.poll();
    }
    std::vector<int> expected;
    for (int i = 1; i <= 50; ++i) expected.push_back(i);
    EXPECT_EQ(numbers, expected);
    stream.close();
    driver.restart();
    driver.poll();
  }
}

TEST(StreamEdges, a_reader_whose_rival_was_ready_first_loses_no_event) {
  SimulatedClock clock;
  std::vector<int> numbers;
  simulated_run(clock, [&]() -> Task<void> {
    StreamOptions options;
    options.env.clock = &clock;
    auto stream =
        NumberPipe::create(co_await asio::this_coro::executor, counting(clock, 50), options);
    static_cast<void>(co_await sleep_for(clock, 1s));  // all is in the buffer
    OneShot<int> rival;
    co_await read_in_races(stream, 50, rival, Rival::is_ready_every_second_time, true, numbers);
    co_await stream.join();
  }());
  std::vector<int> expected;
  for (int i = 1; i <= 50; ++i) expected.push_back(i);
  EXPECT_EQ(numbers, expected);
}

// ---- loops that starve ----

struct Turns {
  int since = 0, most = 0;
  bool over = false;
};

Task<void> count_turns(Turns& turns) {
  while (!turns.over) {
    co_await yield_now();
    turns.most = std::max(turns.most, turns.since);
    turns.since = 0;
  }
}

// ---- readers whose loops do not run ----

TEST(StreamEdges, a_reader_takes_over_from_one_whose_loop_does_not_run) {
  SimulatedClock clock;
  asio::io_context driver(1), running(1);
  auto stands_still = std::make_unique<asio::io_context>(1);
  StreamOptions options;
  options.env.clock = &clock;
  OneShot<int> gate;
  auto dispatch = [&](stream::DispatchRequest) -> Task<NumberPipe::Dispatched> {
    static_cast<void>(co_await gate.wait());
    co_return NumberPipe::Connection(std::make_unique<Counting>(clock, 3));
  };
  auto stream = NumberPipe::create(driver.get_executor(), dispatch, options);
  std::vector<int> numbers;
  std::string end;
  auto reads = [&](std::vector<int>& into) -> Task<void> {
    while (true) {
      auto event = co_await stream.next();
      if (!event) {
        end = to_string(event.error().kind());
        co_return;
      }
      if (auto number = number_of(*event)) into.push_back(*number);
    }
  };
  std::vector<int> none;
  asio::co_spawn(*stands_still, reads(none), asio::detached);
  const auto poll = [&](asio::io_context& context) {
    context.restart();
    context.poll();
  };
  poll(driver);
  poll(*stands_still);
  asio::co_spawn(running, reads(numbers), asio::detached);
  poll(running);
  poll(*stands_still);
  EXPECT_EQ(end, "conflict") << "of the first one";
  end.clear();
  asio::co_spawn(*stands_still, reads(none), asio::detached);
  poll(*stands_still);
  poll(running);
  EXPECT_EQ(end, "conflict");
  asio::co_spawn(running, reads(numbers), asio::detached);
  poll(running);
  stands_still.reset();  // and with it one that was told, but has not heard of it
  gate.set(1);
  constexpr int kPolls = 10;
  for (int i = 0; i < kPolls; ++i) {
    poll(driver);
    poll(running);
  }
  EXPECT_EQ(numbers, (std::vector{1, 2, 3}));
  EXPECT_EQ(none, std::vector<int>());
}

TEST(StreamEdges, a_source_that_always_has_something_leaves_turns_to_others) {
  for (const bool filled_first : {false, true}) {
    SimulatedClock clock;
    Turns turns;
    simulated_run(clock, [&]() -> Task<void> {
      StreamOptions options;
      options.env.clock = &clock;
      const auto executor = co_await asio::this_coro::executor;
      auto stream = NumberPipe::create(executor, counting(clock, 1000), options);
      if (filled_first) static_cast<void>(co_await sleep_for(clock, 1s));
      asio::co_spawn(executor, count_turns(turns), asio::detached);
      for (int last = 0; last < 1000;) {
        auto event = co_await stream.next();
        ++turns.since;
        if (auto number = number_of(event)) last = *number;
      }
      turns.over = true;
      co_await yield_now();
      co_await stream.join();
    }());
    EXPECT_LE(turns.most, 2 * internal::kTurnsBeforeYield);
    EXPECT_GT(turns.most, 0);
  }
}

// ---- dispatches that do not listen ----

struct Counted {
  Counted(int& alive, int& most_alive) : count(alive) {
    most_alive = std::max(most_alive, ++count);
  }
  ~Counted() { --count; }
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;
  int& count;
};

TEST(StreamEdges, join_waits_for_a_dispatch_that_ignores_its_cancellation) {
  SimulatedClock clock;
  int alive = 0, most = 0, open = 0;
  simulated_run(clock, [&]() -> Task<void> {
    auto deaf = [&](stream::DispatchRequest) -> Task<PipeStream<int, int>::Dispatched> {
      const Counted counted(alive, most);
      co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
      static_cast<void>(co_await sleep_for(clock, 300ms));
      co_return PipeStream<int, int>::Connection(
          std::make_unique<ScriptedSource>(clock, "stay", open), 1);
    };
    StreamOptions options;
    options.env.clock = &clock;
    options.dispatch_deadline = 20ms;
    options.resubscribe_delay = 10ms;
    auto stream = PipeStream<int, int>::create(co_await asio::this_coro::executor, deaf, options);
    static_cast<void>(co_await sleep_for(clock, 1s));
    co_await stream.join();
    EXPECT_EQ(alive, 0);
    EXPECT_EQ(open, 0) << "a connection that came too late is released";
  }());
  EXPECT_GT(most, 1);
  EXPECT_LE(most, static_cast<int>(internal::kDispatchesAtOnce));
}

TEST(StreamEdges, join_waits_for_a_dispatch_that_is_cancelled) {
  SimulatedClock clock;
  int alive = 0, most = 0;
  simulated_run(clock, [&]() -> Task<void> {
    auto hang = [&](stream::DispatchRequest) -> Task<NumberPipe::Dispatched> {
      const Counted counted(alive, most);
      static_cast<void>(co_await sleep_for(clock, 1h));
      co_return stream::rpc_error(Error(ErrorKind::io, "never"));
    };
    StreamOptions options;
    options.env.clock = &clock;
    auto stream = NumberPipe::create(co_await asio::this_coro::executor, hang, options);
    static_cast<void>(co_await sleep_for(clock, 1s));
    EXPECT_EQ(alive, 1);
    co_await stream.join();
    EXPECT_EQ(alive, 0);
  }());
}

TEST(StreamEdges, create_or_fail_that_failed_dispatches_no_more) {
  for (const bool connect : {false, true}) {
    SimulatedClock clock;
    int dispatches = 0;
    simulated_run(clock, [&]() -> Task<void> {
      auto refuse = [&](stream::DispatchRequest) -> Task<NumberPipe::Dispatched> {
        ++dispatches;
        const Error error(ErrorKind::io, "the same text");
        if (connect) co_return stream::failed_to_connect(error);
        co_return stream::rpc_error(error);
      };
      StreamOptions options;
      options.env.clock = &clock;
      options.resubscribe_delay = 0s;
      auto made = co_await NumberPipe::create_or_fail(refuse, options);
      EXPECT_FALSE(made);
      static_cast<void>(co_await sleep_for(clock, 1s));
    }());
    EXPECT_EQ(dispatches, 1);
  }
}

// ---- what a reader throws and destroys ----

TEST(StreamEdges, what_a_reader_throws_is_not_the_sources_trouble) {
  SimulatedClock clock;
  asio::io_context context(1);
  const Executor strand = asio::make_strand(context);
  StreamOptions options;
  options.env.clock = &clock;
  auto stream = NumberPipe::create(strand, counting(clock, 3), options);
  std::vector<int> numbers;
  int lost = 0;
  auto read = [](NumberPipe& from, bool throws, std::vector<int>& out, int& losses) -> Task<void> {
    while (out.size() < 3) {
      auto event = co_await from.next();
      if (!event) co_return;
      if (std::holds_alternative<stream::LostConnection>(*event)) ++losses;
      auto number = number_of(event);
      if (!number) continue;
      out.push_back(*number);
      if (throws) throw std::runtime_error("the reader's own");
    }
  };
  auto rethrow = [](std::exception_ptr thrown) {
    if (thrown) std::rethrow_exception(thrown);
  };
  asio::co_spawn(strand, read(stream, true, numbers, lost), rethrow);
  int thrown = 0;
  for (int i = 0; i < 3; ++i) {
    try {
      context.restart();
      context.poll();
    } catch (const std::runtime_error&) {
      ++thrown;
    }
  }
  asio::co_spawn(strand, read(stream, false, numbers, lost), rethrow);
  context.restart();
  context.poll();
  EXPECT_EQ(thrown, 1) << "out of run(), as from any handler";
  EXPECT_EQ(numbers, (std::vector<int>{1, 2, 3}));
  EXPECT_EQ(lost, 0);
  stream.close();
  context.restart();
  context.poll();
}

TEST(StreamEdges, a_reader_may_destroy_the_stream_and_its_metrics_at_any_event) {
  // Each event of a resumption that did not work: try, gap, up, a batch, lost.
  for (int last = 1; last <= 5; ++last) {
    SimulatedClock clock;
    int open = 0;
    simulated_run(clock, [&]() -> Task<void> {
      auto registry = std::make_unique<metrics::Registry>();
      StreamOptions options;
      options.env.clock = &clock;
      options.resume_after = "x";
      options.metrics = registry.get();
      auto dispatch = [&](stream::DispatchRequest) -> Task<PipeStream<int, int>::Dispatched> {
        co_return PipeStream<int, int>::Connection(
            std::make_unique<ScriptedSource>(clock, "1.cut", open), 1);
      };
      auto stream = std::make_unique<PipeStream<int, int>>(
          PipeStream<int, int>::create(co_await asio::this_coro::executor, dispatch, options));
      for (int i = 0; i < last; ++i) EXPECT_TRUE(co_await stream->next());
      stream.reset();
      registry.reset();
      static_cast<void>(co_await sleep_for(clock, 10s));
    }());
    EXPECT_EQ(open, 0);
  }
}

TEST(StreamEdges,
     a_stream_with_a_change_on_the_way_may_be_destroyed_by_it_and_while_its_reader_waits) {
  SimulatedClock clock;
  std::string seen;
  simulated_run(clock, [&]() -> Task<void> {
    StreamOptions options;
    options.env.clock = &clock;
    const auto executor = co_await asio::this_coro::executor;
    std::unique_ptr<NumberPipe> stream;
    const std::string text(100, 'x');
    auto destroy = [&stream, text](int number) {
      if (number == 2) stream.reset();
      return number + static_cast<int>(text.size());
    };
    stream = std::make_unique<NumberPipe>(
        NumberPipe::create(executor, counting(clock, 2), options).map_update(destroy));
    while (stream) {
      auto event = co_await stream->next();
      if (auto number = number_of(event)) seen += std::to_string(*number) + " ";
    }
    stream = std::make_unique<NumberPipe>(
        NumberPipe::create(executor, counting(clock, 0), options).map_update(destroy));
    auto wait = [&]() -> Task<void> {
      while (true) {
        auto event = co_await stream->next();
        if (event) continue;
        seen += to_string(event.error().kind());
        co_return;
      }
    };
    asio::co_spawn(executor, wait(), asio::detached);
    static_cast<void>(co_await sleep_for(clock, 1s));
    stream.reset();
    static_cast<void>(co_await sleep_for(clock, 1s));
  }());
  EXPECT_EQ(seen, "101 102 closed");
}

// ---- loops that go ----

TEST(StreamEdges, a_stream_whose_loop_goes_before_it_began_ends) {
  SimulatedClock clock;
  auto never_run = std::make_unique<asio::io_context>(1);
  StreamOptions options;
  options.env.clock = &clock;
  auto stream = NumberPipe::create(never_run->get_executor(), counting(clock, 1), options);
  asio::io_context context(1);
  std::string seen;
  auto wait = [&]() -> Task<void> {
    auto event = co_await stream.next();
    seen = event ? "an event" : std::string(to_string(event.error().kind()));
  };
  asio::co_spawn(context, wait(), asio::detached);
  context.poll();
  never_run.reset();
  context.restart();
  context.poll();
  EXPECT_EQ(seen, "closed");
}

TEST(StreamEdges, a_dispatch_that_is_destroyed_with_what_it_waits_for_has_failed) {
  SimulatedClock clock;
  auto other = std::make_unique<asio::io_context>(1);
  std::vector<std::string> seen;
  simulated_run(clock, [&]() -> Task<void> {
    const auto executor = co_await asio::this_coro::executor;
    int dispatches = 0;
    auto dispatch = [&](stream::DispatchRequest) -> Task<NumberPipe::Dispatched> {
      if (++dispatches == 1) co_await asio::post(other->get_executor(), asio::use_awaitable);
      co_return NumberPipe::Connection(std::make_unique<Counting>(clock, 1));
    };
    StreamOptions options;
    options.env.clock = &clock;
    auto stream = NumberPipe::create(executor, dispatch, options);
    auto read = [&]() -> Task<void> {
      while (true) {
        auto event = co_await stream.next();
        if (!event) co_return;
        if (std::holds_alternative<stream::AttemptingNewConnection>(*event)) seen.push_back("try");
        if (std::holds_alternative<stream::UpdateBatch<int>>(*event)) seen.push_back("a batch");
        const auto* failed = std::get_if<stream::FailedToConnect>(&*event);
        if (failed != nullptr) seen.emplace_back(to_string(failed->error.kind()));
      }
    };
    asio::co_spawn(executor, read(), asio::detached);
    static_cast<void>(co_await sleep_for(clock, 1h));
    EXPECT_EQ(dispatches, 1);
    other.reset();
    static_cast<void>(co_await sleep_for(clock, 1h));
    co_await stream.join();
  }());
  EXPECT_EQ(seen, (std::vector<std::string>{"try", "closed", "try", "a batch"}));
}

// ---- close() ----

// As fast as it is asked for, for ever.
class EndlessNumbers final : public stream::UpdateSource<int> {
 public:
  Async<std::optional<stream::UpdateBatch<int>>> next() override {
    std::optional<stream::UpdateBatch<int>> batch;
    batch.emplace(std::vector<int>{sent_++});
    co_return batch;
  }

 private:
  int sent_ = 0;
};

TEST(StreamEdges, a_reader_sees_no_hole_before_the_end_that_another_thread_makes) {
  constexpr int kRounds = 300;
  Scheduler drives, reads;
  int holes = 0;
  for (int round = 0; round < kRounds; ++round) {
    auto dispatch = [](stream::DispatchRequest) -> Task<NumberPipe::Dispatched> {
      co_return NumberPipe::Connection(std::make_unique<EndlessNumbers>());
    };
    auto stream = NumberPipe::create(drives.executor(), dispatch);
    std::atomic<int> read = 0;
    OneShot<bool> ended;
    auto reader = [](NumberPipe& from, std::atomic<int>& count, OneShot<bool> to) -> Task<void> {
      bool has_hole = false;
      int expected = 0;
      while (true) {
        auto event = co_await from.next();
        if (!event) break;
        const auto* batch = std::get_if<stream::UpdateBatch<int>>(&*event);
        if (batch == nullptr) continue;
        has_hole = has_hole || batch->updates.front() != expected;
        expected = batch->updates.front() + 1;
        ++count;
      }
      to.set(has_hole);
    };
    asio::co_spawn(reads.executor(), reader(stream, read, ended), asio::detached);
    while (read <= round % 50) std::this_thread::yield();
    stream.close();
    holes += *drives.block_on(ended.wait()) ? 1 : 0;
    drives.block_on(stream.join());
  }
  EXPECT_EQ(holes, 0);
}

}  // namespace
}  // namespace semper::durable_test
