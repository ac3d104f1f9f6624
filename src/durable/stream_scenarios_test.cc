// What a stream promises, as a table: what the other side does (stream_test_support.h), and what
// its reader must see, each with the second at which it sees it. The table was written from the
// promises alone. The delay is 5 s.
#include <gtest/gtest.h>

#include <string>

#include "durable/stream_test_support.h"
#include "semper/testing/simulated_run.h"

namespace semper::durable_test {
namespace {

using testing::simulated_run;
using testing::SimulatedClock;

struct Reader {
  int begins = 0;  // the second it begins to read
  int ends = 30;   // the second it closes the stream
};

struct Scenario {
  const char* name;
  const char* attempts;
  const char* seen;
  Reader reader = {};
  void (*set)(StreamOptions&) = nullptr;
  const char* asked = "";
};

void fresh_state(StreamOptions& options) {
  options.when_full = WhenFull::fresh_state;
  options.max_buffered_updates = 3;
}
void give_up(StreamOptions& options) {
  options.when_full = WhenFull::fail;
  options.max_buffered_updates = 3;
}
void few_events(StreamOptions& options) {
  options.max_buffered_events = 4;
}
void few_events_or_fail(StreamOptions& options) {
  options.max_buffered_events = 4;
  options.when_full = WhenFull::fail;
}
void deadline(StreamOptions& options) {
  options.dispatch_deadline = 3s;
}
void limit(StreamOptions& options) {
  options.attempt_limit = 2;
}
void permanent(StreamOptions& options) {
  options.is_permanent = [](const Error& error) { return error.kind() == ErrorKind::not_found; };
}
void from_seven(StreamOptions& options) {
  options.resume_after = "7";
}

const Scenario kStates[] = {
    {"success_then_state_then_updates_then_loss_then_delay", "c:12.3.end c:stay",
     "0:try 0:up(1) 0:state(100) 0:[1,2] 0:[3] 0:lost(closed) 5:try 5:up(2) 5:state(200) "
     "30:closed"},
    {"the_first_attempt_has_no_delay_and_each_failure_has_one", "no rpc throw c:stay",
     "0:try 0:failed(io) 5:try 5:rpc(not_found) 10:try 10:failed(internal) 15:try 15:up(4) "
     "15:state(400) 30:closed"},
    {"an_error_of_the_source_is_a_loss_with_its_reason", "c:1.cut c:stay",
     "0:try 0:up(1) 0:state(100) 0:[1] 0:lost(io) 5:try 5:up(2) 5:state(200) 30:closed"},
    {"a_source_that_throws_is_a_loss", "c:1.boom c:stay",
     "0:try 0:up(1) 0:state(100) 0:[1] 0:lost(internal) 5:try 5:up(2) 5:state(200) 30:closed"},
    {"a_connection_that_gives_nothing_still_has_its_state", "c:end c:stay",
     "0:try 0:up(1) 0:state(100) 0:lost(closed) 5:try 5:up(2) 5:state(200) 30:closed"},
    {"a_connection_without_a_state_is_refused", "bare c:stay",
     "0:try 0:rpc(internal) 5:try 5:up(2) 5:state(200) 30:closed"},
    {"a_connection_that_resumes_unasked_is_refused", "r:1.stay c:stay",
     "0:try 0:rpc(internal) 5:try 5:up(2) 5:state(200) 30:closed"},
    {"closing_during_the_delay_ends_it_at_once", "no", "0:try 0:failed(io) 3:closed", {0, 3}},
    {"closing_during_a_dispatch_ends_it_at_once", "hang", "0:try 2:closed", {0, 2}},
    {"closing_while_updates_flow_ends_it_at_once",
     "c:1.wait.2.wait.3.wait.4.stay",
     "0:try 0:up(1) 0:state(100) 0:[1] 1:[2] 2:closed",
     {0, 2}},
    {"closing_drops_what_nobody_read", "c:1.2.3.stay", "4:closed", {4, 4}},
    {"a_dispatch_past_its_deadline_failed",
     "hang c:stay",
     "0:try 3:failed(timeout) 8:try 8:up(2) 8:state(200) 30:closed",
     {},
     deadline},
    {"a_permanent_failure_ends_the_stream", "no never",
     "0:try 0:failed(io) 5:try 5:rpc(permission) 5:permission"},
    {"what_the_options_call_permanent_ends_the_stream",
     "no rpc",
     "0:try 0:failed(io) 5:try 5:rpc(not_found) 5:not_found",
     {},
     permanent},
    {"at_the_attempt_limit_the_stream_ends",
     "no c:end no no",
     "0:try 0:failed(io) 5:try 5:up(2) 5:state(200) 5:lost(closed) 10:try 10:failed(io) 15:try "
     "15:failed(io) 15:exhausted",
     {},
     limit},
    {"a_slow_reader_holds_the_updates_back_and_loses_none",
     "c:1.2.3.4.5.stay",
     "9:try 9:up(1) 9:state(100) 9:[1] 9:[2] 9:[3] 9:[4] 9:[5] 30:closed",
     {9, 30},
     [](StreamOptions& options) { options.max_buffered_updates = 2; }},
    {"with_a_full_buffer_of_events_no_attempt_is_made",
     "no",
     "20:try 20:failed(io) 20:try 20:failed(io) 20:try 20:failed(io) 25:try 25:failed(io) "
     "30:closed",
     {20, 30},
     few_events},
    {"a_slow_reader_gets_a_gap_and_a_fresh_state",
     "c:12.3.4.stay c:5.stay",
     "9:try 9:up(1) 9:state(100) 9:gap(4) 9:lost(exhausted) 14:try 14:up(2) 14:state(200) 14:[5] "
     "30:closed",
     {9, 30},
     fresh_state},
    {"a_batch_larger_than_the_buffer_is_delivered_whole",
     "c:12345.stay",
     "0:try 0:up(1) 0:state(100) 0:[1,2,3,4,5] 30:closed",
     {},
     fresh_state},
    {"a_slow_reader_ends_a_stream_that_may_fail",
     "c:12.3.4.stay",
     "9:try 9:up(1) 9:state(100) 9:[1,2] 9:[3] 9:exhausted",
     {9, 30},
     give_up},
    {"a_slow_reader_of_events_ends_a_stream_that_may_fail",
     "no",
     "20:try 20:failed(io) 20:try 20:failed(io) 20:exhausted",
     {20, 30},
     few_events_or_fail},
    {"a_stream_that_can_resume_goes_on_after_the_last_whole_batch",
     "c:12t.3t.cut no r:4t.cut r:5t.stay",
     "0:try 0:up(1) 0:state(100) 0:[1,2] 0:[3] 0:lost(io) 5:try 5:failed(io) 10:try 10:resumed(3) "
     "10:[4] 10:lost(io) 15:try 15:resumed(4) 15:[5] 30:closed",
     {},
     nullptr,
     "3 3 4"},
    {"a_stream_that_can_not_resume_announces_the_gap_and_sends_a_state",
     "c:1t.cut c:5t.stay",
     "0:try 0:up(1) 0:state(100) 0:[1] 0:lost(io) 5:try 5:gap(0) 5:up(2) 5:state(200) 5:[5] "
     "30:closed",
     {},
     nullptr,
     "1"},
    {"after_a_batch_without_a_token_nothing_older_is_resumed", "c:1t.2.cut c:stay",
     "0:try 0:up(1) 0:state(100) 0:[1] 0:[2] 0:lost(io) 5:try 5:up(2) 5:state(200) 30:closed"},
    {"after_dropped_updates_nothing_is_resumed",
     "c:1t.23t.4t.stay c:stay",
     "9:try 9:up(1) 9:state(100) 9:gap(4) 9:lost(exhausted) 14:try 14:up(2) 14:state(200) "
     "30:closed",
     {9, 30},
     fresh_state},
    {"what_can_not_be_read_is_asked_for_twice_and_then_passed_over",
     "c:1t.bad r:bad c:2.stay",
     "0:try 0:up(1) 0:state(100) 0:[1] 0:lost(invalid_argument) 5:try 5:resumed(2) "
     "5:lost(invalid_argument) 10:try 10:gap(0) 10:up(3) 10:state(300) 10:[2] 30:closed",
     {},
     nullptr,
     "1"},
    {"what_was_passed_over_is_not_resumed_after_a_failure_either",
     "c:1t.bad r:bad no c:2t.cut r:stay",
     "0:try 0:up(1) 0:state(100) 0:[1] 0:lost(invalid_argument) 5:try 5:resumed(2) "
     "5:lost(invalid_argument) 10:try 10:failed(io) 15:try 15:gap(0) 15:up(4) 15:state(400) 15:[2] "
     "15:lost(io) 20:try 20:resumed(5) 30:closed",
     {},
     nullptr,
     "1 2"},
    {"a_loss_that_the_options_call_permanent_ends_the_stream",
     "c:1t.bad r:stay",
     "0:try 0:up(1) 0:state(100) 0:[1] 0:lost(invalid_argument) 0:invalid_argument",
     {},
     [](StreamOptions& options) { options.is_permanent = is_permanent_error; }},
    {"a_source_that_throws_what_is_no_exception_is_a_loss", "c:1.seven c:stay",
     "0:try 0:up(1) 0:state(100) 0:[1] 0:lost(internal) 5:try 5:up(2) 5:state(200) 30:closed"},
    {"an_is_permanent_that_throws_is_not_permanent",
     "no c:stay",
     "0:try 0:failed(io) 5:try 5:up(2) 5:state(200) 30:closed",
     {},
     [](StreamOptions& options) {
       options.is_permanent = [](const Error&) -> bool { throw std::runtime_error("no idea"); };
     }},
    {"a_new_stream_goes_on_where_an_older_one_ended",
     "r:8t.stay",
     "0:try 0:resumed(1) 0:[8] 30:closed",
     {},
     from_seven,
     "7"},
};

const Scenario kPipes[] = {
    {"success_then_updates_then_loss_then_delay", "c:12.end no c:3.stay",
     "0:try 0:up(1) 0:[1,2] 0:lost(closed) 5:try 5:failed(io) 10:try 10:up(3) 10:[3] 30:closed"},
    {"a_connection_without_a_source_is_refused", "bare c:stay",
     "0:try 0:rpc(internal) 5:try 5:up(2) 30:closed"},
    {"connections_that_bring_nothing_count_as_failures",
     "c:cut",
     "0:try 0:up(1) 0:lost(io) 5:try 5:up(2) 5:lost(io) 5:exhausted",
     {},
     limit},
    {"connections_that_lasted_or_ended_in_good_order_do_not",
     "c:wait.wait.wait.wait.wait.wait.wait.wait.wait.wait.cut c:end",
     "0:try 0:up(1) 10:lost(io) 15:try 15:up(2) 15:lost(closed) 20:try 20:up(3) 20:lost(closed) "
     "25:try 25:up(4) 25:lost(closed) 30:try 30:up(5) 30:lost(closed) 33:closed",
     {0, 33},
     limit},
    {"it_resumes_without_a_state",
     "c:1t.cut r:2t.cut c:3.stay",
     "0:try 0:up(1) 0:[1] 0:lost(io) 5:try 5:resumed(2) 5:[2] 5:lost(io) 10:try 10:gap(0) 10:up(3) "
     "10:[3] 30:closed",
     {},
     nullptr,
     "1 2"},
};

template <class Stream>
class Player {
 public:
  explicit Player(const Scenario& scenario)
      : scenario_(scenario), server_(clock_, scenario.attempts) {
    options_.name = "the stream";
    options_.env = Env{&clock_, &random_};
    options_.resubscribe_delay = 5s;
    if (scenario.set != nullptr) scenario.set(options_);
  }

  void play() {
    simulated_run(clock_, run());
    EXPECT_EQ(seen_, scenario_.seen);
    EXPECT_EQ(server_.asked(), scenario_.asked) << "resume tokens that were sent";
    EXPECT_EQ(server_.open, 0) << "a connection was not released";
  }

 private:
  void see(const std::string& what) {
    const auto second =
        std::chrono::duration_cast<std::chrono::seconds>(clock_.now() - SimulatedClock::kStart);
    seen_ += (seen_.empty() ? "" : " ") + std::to_string(second.count()) + ":" + what;
  }

  static Task<void> close_at(Clock& clock, int second, Stream& stream) {
    EXPECT_TRUE(co_await sleep_until(clock, SimulatedClock::kStart + std::chrono::seconds(second)));
    stream.close();
  }

  Task<void> run() {
    const auto executor = co_await asio::this_coro::executor;
    auto dispatch = server_.dispatcher<typename Stream::Connection>();
    auto stream = Stream::create(executor, dispatch, options_);
    asio::co_spawn(executor, close_at(clock_, scenario_.reader.ends, stream), asio::detached);
    const auto begin = SimulatedClock::kStart + std::chrono::seconds(scenario_.reader.begins);
    if (begin > clock_.now()) static_cast<void>(co_await sleep_until(clock_, begin));
    if (scenario_.reader.begins == scenario_.reader.ends) stream.close();
    while (true) {
      auto event = co_await stream.next();
      see(event ? shown(*event) : std::string(to_string(event.error().kind())));
      if (!event) break;
    }
    auto again = co_await stream.next();
    EXPECT_FALSE(again) << "a stream that has ended stays so";
    co_await stream.join();
  }

  const Scenario& scenario_;
  SimulatedClock clock_;
  SeededRandom random_{1};
  ScriptedServer server_;
  StreamOptions options_;
  std::string seen_;
};

class StateStreamScenario : public ::testing::TestWithParam<Scenario> {};
TEST_P(StateStreamScenario, what_happens_is_what_the_table_says) {
  Player<StateStream<int, int, int>>(GetParam()).play();
}

class PipeStreamScenario : public ::testing::TestWithParam<Scenario> {};
TEST_P(PipeStreamScenario, what_happens_is_what_the_table_says) {
  Player<PipeStream<int, int>>(GetParam()).play();
}

std::string name_of(const ::testing::TestParamInfo<Scenario>& scenario) {
  return scenario.param.name;
}
INSTANTIATE_TEST_SUITE_P(table, StateStreamScenario, ::testing::ValuesIn(kStates), name_of);
INSTANTIATE_TEST_SUITE_P(table, PipeStreamScenario, ::testing::ValuesIn(kPipes), name_of);

}  // namespace
}  // namespace semper::durable_test
