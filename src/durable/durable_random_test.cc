// Several hundred seeded interleavings of callers, breaks, failing and slow builders, deadlines and
// closings, each checked against a simple model: which builder must run next, which attempt may
// answer whom, and that every value is disposed of once.
#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>

#include "semper/durable/durable.h"
#include "semper/testing/seed.h"
#include "semper/testing/simulated_run.h"

namespace semper {
namespace {

using namespace std::chrono_literals;
using testing::simulated_run;
using testing::SimulatedClock;

class Interleaving {
 public:
  explicit Interleaving(std::uint64_t seed) : random_(seed) {}

  void run() {
    Durable<int>::Options options;
    options.env = Env{&clock_, &random_};
    options.dispose = [this](int& id) { ++disposed_[id]; };
    if (random_.chance(0.5)) options.attempt_deadline = 2s;
    Durable<int>::Rebuild rebuild;
    rebuilds_ = random_.chance(0.6);
    if (rebuilds_) {
      rebuild = [this](int& id) {
        EXPECT_EQ(value_, id) << "to_rebuild gets the present value";
        EXPECT_GT(broken_.count(id), 0u) << "to_rebuild is for broken values";
        return build(id);
      };
    }
    auto create = [this] {
      EXPECT_FALSE(rebuilds_ && value_) << "there is a value to rebuild";
      return build(0);
    };
    auto is_broken = [this](const int& id) { return broken_.count(id) > 0; };
    simulated_run(clock_, play(Durable<int>::create(create, is_broken, rebuild, options)));
    check_disposed();
  }

 private:
  struct Attempt {
    MonotonicTime begun;
    MonotonicTime ended = kNever;
  };

  Duration pause(std::uint64_t most_ms) {
    return std::chrono::milliseconds(1 + random_.below(most_ms));
  }

  // The number of the attempt is in the value, and in the text of the error.
  Async<int> build(int from) {
    const int number = static_cast<int>(attempts_.size()) + 1;
    attempts_[number] = {clock_.now()};
    EXPECT_FALSE(building_) << "one attempt at a time";
    building_ = true;
    if (random_.chance(0.7)) {
      auto slept = co_await sleep_for(clock_, 2 * pause(1500) + 1ms);
      if (!slept) {  // past its deadline, or closed: the value is dropped
        over(number, std::nullopt);
        co_return fail(slept.error());
      }
    }
    const auto fate = random_.below(10);
    if (fate < 2) {
      over(number, std::nullopt);
      co_return fail(ErrorKind::io, "attempt " + std::to_string(number));
    }
    if (fate == 2) {
      over(number, std::nullopt);
      throw std::runtime_error("attempt " + std::to_string(number));
    }
    if (fate == 3) broken_.insert(number);
    if (from != 0) taken_over_.insert(from);
    built_.insert(number);
    over(number, number);
    co_return number;
  }

  void over(int number, std::optional<int> value) {
    building_ = false;
    attempts_[number].ended = clock_.now();
    value_ = value;
  }

  Task<void> caller(Durable<int> durable) {
    for (int i = 0; i < 8; ++i) {
      static_cast<void>(co_await sleep_for(clock_, pause(1500)));
      const auto begun = clock_.now();
      const auto attempts_before = attempts_.size();
      const bool was_building = building_;
      auto called = co_await durable.with([&](int& id) -> Async<int> {
        EXPECT_EQ(broken_.count(id), 0u) << "f on a broken value";
        EXPECT_EQ(value_, id) << "f on a value that was replaced";
        const int mine = id;
        co_await use(id);
        co_return mine;
      });
      if (called) continue;
      judge(called.error(), begun, was_building, attempts_before);
    }
    ++callers_done_;
  }

  Task<void> use(const int& id) {
    const int before = id;
    static_cast<void>(co_await sleep_for(clock_, pause(1000)));
    EXPECT_EQ(disposed_[before], 0) << "disposed of while it is used";
  }

  // The error of a `with` is that of an attempt which ran while it waited.
  void judge(const Error& error, MonotonicTime begun, bool was_building, std::size_t before) {
    const auto place = error.message().find("attempt ");
    switch (error.kind()) {
      case ErrorKind::io:
      case ErrorKind::internal: {
        ASSERT_NE(place, std::string::npos) << error.message();
        const auto& attempt = attempts_.at(std::stoi(error.message().substr(place + 8)));
        EXPECT_GE(attempt.ended, begun) << "the outcome of an attempt that was over";
        EXPECT_EQ(attempt.ended, clock_.now()) << "callers hear of it at once";
        break;
      }
      case ErrorKind::retry:
        EXPECT_NE(error.message().find("broken right after"), std::string::npos);
        break;
      case ErrorKind::timeout:
        EXPECT_TRUE(was_building || attempts_.size() > before);
        break;
      case ErrorKind::closed:
        EXPECT_TRUE(closed_);
        break;
      default:
        ADD_FAILURE() << "an error nobody made: " << error.to_string();
    }
  }

  Task<void> breaker(Durable<int> durable) {
    while (callers_done_ < kCallers) {
      static_cast<void>(co_await sleep_for(clock_, pause(1200)));
      if (value_) broken_.insert(*value_);
      if (random_.chance(0.3)) {
        const auto intact = durable.check();
        EXPECT_TRUE(intact && (!*intact || value_));
      }
      if (random_.chance(0.04)) {
        closed_ = true;
        durable.close();
      }
    }
    closed_ = true;
    co_await durable.join();
  }

  Task<void> play(Durable<int> durable) {
    const auto executor = co_await asio::this_coro::executor;
    bool last = true;
    auto heard = durable.is_intact().subscribe([&](bool intact) {
      EXPECT_NE(intact, last) << "published without a change";
      last = intact;
    });
    for (int i = 0; i < kCallers; ++i) {
      asio::co_spawn(executor, caller(durable), asio::detached);
    }
    co_await breaker(durable);
    EXPECT_FALSE(last) << "a closed value is not intact";
  }

  void check_disposed() {
    for (const int id : built_) {
      EXPECT_EQ(disposed_[id], taken_over_.count(id) > 0 ? 0 : 1) << "value " << id;
    }
  }

  static constexpr int kCallers = 3;
  SimulatedClock clock_;
  SeededRandom random_;
  bool rebuilds_ = false;
  std::map<int, Attempt> attempts_;
  std::optional<int> value_;  // the model: what the next attempt begins with
  std::set<int> broken_, built_, taken_over_;
  std::map<int, int> disposed_;
  bool building_ = false;
  bool closed_ = false;
  int callers_done_ = 0;
};

TEST(DurableInterleavings, no_seed_breaks_the_model) {
  const auto first = testing::test_seed();
  for (std::uint64_t i = 0; i < 500; ++i) {
    Interleaving(first + i).run();
    if (::testing::Test::HasFailure()) {
      FAIL() << "first with seed " << first + i << " (SEMPER_TEST_SEED replays from it)";
    }
  }
}

}  // namespace
}  // namespace semper
