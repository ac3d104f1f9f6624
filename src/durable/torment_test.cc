// Every hook, callback and await of a Durable and of a stream, each made to throw, to destroy its
// owner, to close it; cancelled and left without a loop at every step. Whatever happens: every
// value is disposed of once, every connection is released, nothing keeps the core alive, nothing is
// used after its end (run this under the sanitizers), and whoever is left gets its answer.
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "semper/base/log.h"
#include "semper/durable/stream.h"
#include "semper/testing/simulated_clock.h"

namespace semper {
namespace {

using namespace std::chrono_literals;
using testing::SimulatedClock;

constexpr int kStepsMaximum = 20'000;

// A loop that is run step by step.
class Loop {
 public:
  Executor executor() { return context_->get_executor(); }
  // False: there is nothing to do within an hour.
  bool step() {
    if (context_) {
      context_->restart();
      if (context_->poll_one() > 0) return true;
    }
    return clock.advance_to_next_timer(latest_);
  }
  void run(int steps) {
    for (int i = 0; i < steps && step(); ++i) {
    }
  }
  void run_out() { run(kStepsMaximum); }
  void destroy() { context_ = nullptr; }

  SimulatedClock clock;

 private:
  const MonotonicTime latest_ = clock.after(1h);
  std::unique_ptr<asio::io_context> context_ = std::make_unique<asio::io_context>(1);
};

class Quiet {
 public:
  Quiet() {
    set_log_sink([](LogLevel, std::string_view, std::string_view) {});
  }
  ~Quiet() { set_log_sink({}); }
  Quiet(const Quiet&) = delete;
  Quiet& operator=(const Quiet&) = delete;
};

// ---- a durable value ----

enum class Place { create, rebuild, is_broken, probe, dispose, is_permanent, subscriber, f, end };
enum class Action { none, destroy, close, throw_error, throw_int, invalidate, reset, end };

struct Trouble {
  Place place = Place::end;
  Action action = Action::none;
  int at = 1;  // the how manieth time
};

struct Value {
  Value(int number, int& count) : id(number), alive(&count) { ++*alive; }
  Value(Value&& other) noexcept : id(other.id), alive(other.alive) { ++*alive; }
  Value(const Value&) = delete;
  Value& operator=(const Value&) = delete;
  ~Value() { --*alive; }
  int id;
  int* alive;
};

class DurableWorld {
 public:
  explicit DurableWorld(Trouble trouble, bool rebuilds = true)
      : trouble_(trouble), token_(std::make_shared<int>(0)) {
    DurableOptions<Value> options;
    options.env.clock = &loop.clock;
    options.executor = loop.executor();
    options.attempt_deadline = 30s;
    options.repair_every = 10s;
    options.is_permanent = [this](const Error&) {
      at(Place::is_permanent);
      return false;
    };
    options.probe = [this](Value&) -> Async<void> {
      at(Place::probe);
      SEMPER_CO_TRY_STATUS(co_await sleep_for(loop.clock, 1s));
      if (++probes_ == 2) co_return fail(ErrorKind::timeout, "no answer");
      co_return Status();
    };
    options.dispose = [this](Value&) {
      ++disposed;
      at(Place::dispose);
    };
    Durable<Value>::Rebuild rebuild;
    if (rebuilds) {
      rebuild = [this](Value&) {
        at(Place::rebuild);
        return build();
      };
    }
    durable = Durable<Value>::create(
        [this, token = token_] {
          at(Place::create);
          return build();
        },
        [this](const Value& value) {
          at(Place::is_broken);
          return value.id == broken_;
        },
        rebuild, options);
    heard = durable->is_intact().subscribe([this](bool) { at(Place::subscriber); });
  }
  ~DurableWorld() {
    over_ = true;
    durable.reset();
    loop.run_out();
  }

  void call(asio::cancellation_slot slot = {}) {
    ++begun;
    auto ended = [this](std::exception_ptr) { ++answered; };
    asio::co_spawn(loop.executor(), use(*durable), asio::bind_cancellation_slot(slot, ended));
  }
  void break_it() { broken_ = last_; }

  // A life with trouble in it.
  void live() {
    for (int i = 0; i < 3 && durable; ++i) {
      call();
      loop.run(30);
      break_it();
      if (durable) call();
      loop.run(30);
    }
    loop.run_out();
  }

  void expect_nothing_left(const std::string& where) {
    over_ = true;
    durable.reset();
    heard.unsubscribe();
    loop.run_out();
    EXPECT_EQ(alive, 0) << where;
    EXPECT_EQ(token_.use_count(), 1) << where << ": something keeps the core";
  }

  Loop loop;
  std::optional<Durable<Value>> durable;
  BusSubscription heard;
  int alive = 0, built = 0, disposed = 0, begun = 0, answered = 0;

 private:
  void at(Place place) {
    if (over_ || place != trouble_.place || ++seen_ != trouble_.at) return;
    switch (trouble_.action) {
      case Action::destroy:
        heard.unsubscribe();
        return durable.reset();
      case Action::close:
        return durable->close();
      case Action::throw_error:
        throw std::runtime_error("trouble");
      case Action::throw_int:
        throw 7;  // NOLINT: not every exception is a std::exception
      case Action::invalidate:
        return durable->invalidate();
      case Action::reset:
        durable->reset();
        static_cast<void>(durable->statistics());
        return;
      case Action::none:
      case Action::end:
        return;
    }
  }

  Async<Value> build() {
    SEMPER_CO_TRY_STATUS(co_await sleep_for(loop.clock, 100ms));
    if (++built % 3 == 2) co_return fail(ErrorKind::io, "refused");
    Value value(last_ = built, alive);
    co_return value;
  }

  Task<void> use(Durable<Value> on) {
    auto f = [this](Value& value) -> Async<int> {
      at(Place::f);
      const int before = value.id;
      SEMPER_CO_TRY_STATUS(co_await sleep_for(loop.clock, 50ms));
      EXPECT_EQ(value.id, before) << "it is there as long as f is";
      co_return before;
    };
    static_cast<void>(co_await on.with(f));
  }

  const Trouble trouble_;
  const std::shared_ptr<int> token_;
  int seen_ = 0, probes_ = 0, last_ = 0, broken_ = 0;
  bool over_ = false;
};

TEST(DurableTorment, any_hook_may_throw_or_end_its_durable) {
  const Quiet quiet;
  for (int place = 0; place < static_cast<int>(Place::end); ++place) {
    for (int action = 0; action < static_cast<int>(Action::end); ++action) {
      for (const int at : {1, 2, 4}) {
        for (const bool rebuilds : {true, false}) {
          const std::string where = "place " + std::to_string(place) + ", action " +
                                    std::to_string(action) + ", time " + std::to_string(at);
          DurableWorld world({static_cast<Place>(place), static_cast<Action>(action), at},
                             rebuilds);
          world.live();
          EXPECT_EQ(world.answered, world.begun) << where;
          world.expect_nothing_left(where);
        }
      }
    }
  }
}

TEST(DurableTorment, a_caller_may_be_cancelled_at_any_step) {
  bool was_over = false;
  for (int step = 0; !was_over; ++step) {
    ASSERT_LT(step, 1000);
    asio::cancellation_signal signal;
    DurableWorld world({});
    world.call();
    world.loop.run(20);
    world.break_it();
    world.call(signal.slot());
    world.call();
    world.loop.run(step);
    was_over = world.answered == world.begun;
    signal.emit(asio::cancellation_type::terminal);
    world.loop.run(200);
    EXPECT_EQ(world.answered, world.begun) << "step " << step;
    EXPECT_EQ(world.durable->statistics().waiting, 0u) << "step " << step;
    world.call();
    world.loop.run(200);
    EXPECT_EQ(world.answered, world.begun) << "step " << step << ": it can be used afterwards";
    world.expect_nothing_left("step " + std::to_string(step));
  }
}

TEST(DurableTorment, its_loop_may_go_at_any_step) {
  for (int step = 0; step < 120; ++step) {
    DurableWorld world({});
    world.call();
    world.loop.run(std::min(step, 20));
    world.break_it();
    world.call();
    world.loop.run(std::max(0, step - 20));
    world.loop.destroy();
    world.expect_nothing_left("step " + std::to_string(step));
  }
}

TEST(DurableTorment, join_may_be_called_at_any_step_and_is_the_end_of_all_that_runs) {
  for (int step = 0; step < 120; ++step) {
    DurableWorld world({});
    world.call();
    world.loop.run(std::min(step, 20));
    world.break_it();
    world.call();
    world.loop.run(std::max(0, step - 20));
    bool joined = false;
    int built = 0;
    auto join = [&]() -> Task<void> {
      co_await world.durable->join();
      joined = true;
      built = world.built;
    };
    asio::co_spawn(world.loop.executor(), join(), asio::detached);
    world.loop.run_out();
    EXPECT_TRUE(joined) << step;
    EXPECT_EQ(world.built, built) << step;
    EXPECT_EQ(world.answered, world.begun) << step;
    world.expect_nothing_left("step " + std::to_string(step));
  }
}

// ---- a stream ----

enum class Spot { dispatch, next, release, is_permanent, map, reader, end };

struct StreamTrouble {
  Spot spot = Spot::end;
  Action action = Action::none;
  int at = 1;
};

class TormentWorld {
 public:
  using Numbers = StateStream<int, int>;

  explicit TormentWorld(StreamTrouble trouble) : trouble_(trouble) {
    StreamOptions options;
    options.env.clock = &loop.clock;
    options.metrics = registry.get();
    options.dispatch_deadline = 30s;
    options.is_permanent = [this](const Error&) {
      at(Spot::is_permanent);
      return false;
    };
    auto dispatch = [this, token = token_](stream::DispatchRequest request) {
      at(Spot::dispatch);
      return connect(std::move(request));
    };
    numbers = std::make_unique<Numbers>(
        Numbers::create(loop.executor(), dispatch, options).map_update([this](int number) {
          at(Spot::map);
          return number;
        }));
  }
  ~TormentWorld() {
    over_ = true;
    numbers.reset();
    loop.run_out();
  }

  // Reads to the end, or until `count` numbers have come.
  Task<void> read(int count) {
    while (numbers && static_cast<int>(seen.size()) < count) {
      auto event = co_await numbers->next();
      if (!event && event.error().kind() != ErrorKind::internal) break;
      at(Spot::reader);
      if (!event) continue;
      if (auto* state = std::get_if<stream::State<int>>(&*event)) last_state = state->state;
      auto* batch = std::get_if<stream::UpdateBatch<int>>(&*event);
      if (batch != nullptr) seen.push_back(batch->updates.at(0));
    }
  }
  void start_reading(int count, asio::cancellation_slot slot = {}) {
    ++begun;
    auto ended = [this](std::exception_ptr) { ++answered; };
    asio::co_spawn(loop.executor(), read(count), asio::bind_cancellation_slot(slot, ended));
  }

  void expect_nothing_left(const std::string& where) {
    over_ = true;
    numbers.reset();
    registry.reset();  // it must outlive the stream, and no more
    loop.run_out();
    EXPECT_EQ(open, 0) << where;
    EXPECT_EQ(token_.use_count(), 1) << where << ": something keeps the stream";
  }

  Loop loop;
  std::unique_ptr<metrics::Registry> registry = std::make_unique<metrics::Registry>();
  std::unique_ptr<Numbers> numbers;
  std::vector<int> seen;
  int last_state = 0, open = 0, begun = 0, answered = 0;

 private:
  // Numbers that go on from one connection to the next; each connection is cut after seven.
  class Source final : public stream::UpdateSource<int> {
   public:
    explicit Source(TormentWorld& world) : world_(world) { ++world_.open; }
    ~Source() override {
      --world_.open;
      try {
        world_.at(Spot::release);
      } catch (...) {  // a destructor may not
      }
    }
    Async<std::optional<stream::UpdateBatch<int>>> next() override {
      world_.at(Spot::next);
      if (sent_ == 7) co_return fail(ErrorKind::io, "cut off");
      if (++sent_ % 3 == 0) SEMPER_CO_TRY_STATUS(co_await sleep_for(world_.loop.clock, 100ms));
      std::optional<stream::UpdateBatch<int>> batch;
      batch.emplace(std::vector<int>{++world_.last_number_});
      batch->resume_token = std::to_string(world_.last_number_);
      co_return batch;
    }

   private:
    TormentWorld& world_;
    int sent_ = 0;
  };

  Task<Numbers::Dispatched> connect(stream::DispatchRequest request) {
    static_cast<void>(co_await sleep_for(loop.clock, 100ms));
    if (++attempts_ % 3 == 2) {
      co_return stream::failed_to_connect(Error(ErrorKind::io, "nobody there"));
    }
    Numbers::Connection connection(std::make_unique<Source>(*this));
    if (request.resume_after) {
      last_number_ = std::stoi(*request.resume_after);
      connection.continuity = stream::Continuity::resumed;
    } else {
      connection.state = last_number_;
    }
    co_return connection;
  }

  void at(Spot spot) {
    if (over_ || spot != trouble_.spot || ++count_ != trouble_.at) return;
    switch (trouble_.action) {
      case Action::destroy:
        return numbers.reset();
      case Action::close:
        return numbers->close();
      case Action::throw_error:
        throw std::runtime_error("trouble");
      case Action::throw_int:
        throw 7;  // NOLINT: not every exception is a std::exception
      default:
        return;
    }
  }

  const StreamTrouble trouble_;
  const std::shared_ptr<int> token_ = std::make_shared<int>(0);
  int count_ = 0, attempts_ = 0, last_number_ = 0;
  bool over_ = false;
};

TEST(StreamTorment, any_function_may_throw_or_end_its_stream) {
  const Quiet quiet;
  for (int spot = 0; spot < static_cast<int>(Spot::end); ++spot) {
    for (const Action action :
         {Action::none, Action::destroy, Action::close, Action::throw_error, Action::throw_int}) {
      for (const int at : {1, 2, 5, 9}) {
        const std::string where = "spot " + std::to_string(spot) + ", action " +
                                  std::to_string(static_cast<int>(action)) + ", time " +
                                  std::to_string(at);
        TormentWorld world({static_cast<Spot>(spot), action, at});
        world.start_reading(40);
        world.loop.run(2000);
        EXPECT_EQ(world.answered, world.begun) << where;
        const bool goes_on =
            action == Action::none || action == Action::throw_error || action == Action::throw_int;
        if (goes_on) {
          world.start_reading(80);
          world.loop.run(4000);
          EXPECT_EQ(world.seen.size(), 80u) << where;
        }
        world.expect_nothing_left(where);
      }
    }
  }
}

TEST(StreamTorment, a_reader_may_be_cancelled_at_any_step_and_nothing_is_lost_or_repeated) {
  for (int every = 2; every <= 14; ++every) {
    TormentWorld world({});
    int rounds = 0;
    for (; world.seen.size() < 60; ++rounds) {
      ASSERT_LT(rounds, 5000) << "every " << every << " steps";
      asio::cancellation_signal signal;
      world.start_reading(60, signal.slot());
      world.loop.run(every);
      signal.emit(asio::cancellation_type::terminal);
      while (world.answered < world.begun && world.loop.step()) {
      }
    }
    for (std::size_t i = 1; i < world.seen.size(); ++i) {
      ASSERT_EQ(world.seen[i], world.seen[i - 1] + 1) << "every " << every << " steps";
    }
    world.expect_nothing_left("every " + std::to_string(every) + " steps");
  }
}

TEST(StreamTorment, its_loop_may_go_at_any_step) {
  for (int step = 0; step < 150; ++step) {
    TormentWorld world({});
    world.start_reading(1000);
    world.loop.run(step);
    world.loop.destroy();
    world.expect_nothing_left("step " + std::to_string(step));
  }
}

TEST(StreamTorment, join_may_be_called_at_any_step_and_is_the_end_of_all_that_runs) {
  for (int step = 0; step < 150; ++step) {
    TormentWorld world({});
    world.start_reading(1000);
    world.loop.run(step);
    bool joined = false;
    int open = -1;
    auto join = [&]() -> Task<void> {
      co_await world.numbers->join();
      joined = true;
      open = world.open;
    };
    asio::co_spawn(world.loop.executor(), join(), asio::detached);
    world.loop.run_out();
    EXPECT_TRUE(joined) << step;
    EXPECT_EQ(open, 0) << step;
    EXPECT_EQ(world.answered, world.begun) << step;
    world.expect_nothing_left("step " + std::to_string(step));
  }
}

}  // namespace
}  // namespace semper
