// Durable values and streams in a forked child: the parent's are the parent's.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <memory>
#include <optional>

#include "durable/durable_test_support.h"
#include "env/sanitizer_test_support.h"
#include "semper/durable/pool.h"
#include "semper/durable/stream.h"
#include "semper/env/scheduler.h"

namespace semper::durable_test {
namespace {

using namespace std::chrono_literals;

constexpr unsigned kForkHangsSeconds = 30;

bool holds_in_a_child(const std::function<bool()>& holds) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(kForkHangsSeconds);
    ::_exit(holds() ? 0 : 1);
  }
  int status = 0;
  return ::waitpid(child, &status, 0) == child && status == 0;
}

// Its end is seen by the other side, which is the parent's too.
struct ForkSession {
  explicit ForkSession(int* from) : said_goodbye(from) {}
  ForkSession(ForkSession&& other) noexcept
      : said_goodbye(std::exchange(other.said_goodbye, nullptr)) {}
  ~ForkSession() {
    if (said_goodbye != nullptr) ++*said_goodbye;
  }
  int* said_goodbye;
};

class DurableFork : public ::testing::Test {
 protected:
  void SetUp() override { SEMPER_FORKS_BESIDE_THREADS(); }

  Durable<ForkSession>::Create builder() {
    return [this]() -> Async<ForkSession> { co_return ForkSession(&goodbyes); };
  }
  static bool is_well(const ForkSession&) { return false; }
  static bool is_refused(const Status& status) {
    return !status && status.error().kind() == ErrorKind::unsupported;
  }

  int goodbyes = 0;
  int disposed = 0;
  Scheduler scheduler;
};

TEST_F(DurableFork, a_value_of_the_parents_is_refused_and_lives_on_whatever_the_child_destroys) {
  for (const Access access : {Access::shared, Access::exclusive}) {
    goodbyes = disposed = 0;
    DurableOptions<ForkSession> options;
    options.access = access;
    options.dispose = [this](ForkSession&) { ++disposed; };
    auto durable = std::make_optional(Durable<ForkSession>::create(builder(), is_well, options));
    auto nothing = [](ForkSession&) {};
    ASSERT_TRUE(scheduler.block_on(durable->with(nothing)));
    EXPECT_TRUE(holds_in_a_child([&] {
      Scheduler own;
      bool told = is_refused(own.block_on(durable->with(nothing)));
      const auto checked = durable->check();
      told = told && !checked && checked.error().kind() == ErrorKind::unsupported;
      durable->invalidate();
      durable->reset();
      durable->close();
      own.block_on(durable->join());
      durable.reset();
      return told && goodbyes == 0 && disposed == 0;
    }));
    EXPECT_TRUE(scheduler.block_on(durable->with(nothing)));
    EXPECT_EQ(durable->statistics().created, 1u);
  }
}

// In the child nobody ever ends what the parent's threads do.
TEST_F(DurableFork, a_child_waits_for_no_turn_and_no_builder_of_its_parent) {
  OneShot<int> entered, leave;
  auto build = [&]() -> Async<int> {
    entered.set(1);
    SEMPER_CO_TRY(const int left, co_await leave.wait());
    co_return left;
  };
  DurableOptions<int> options;
  options.access = Access::exclusive;
  auto durable = Durable<int>::create(build, never_broken, options);
  PoolOptions<int> pool_options;
  pool_options.connections = 2;
  auto pool = Pool<int>::create([]() -> Async<int> { co_return 1; }, never_broken, pool_options);
  auto nothing = [](int&) {};
  ASSERT_TRUE(scheduler.block_on(pool.with(nothing)));
  auto waits = [](Durable<int> on) -> Task<void> {
    static_cast<void>(co_await on.with([](int&) {}));
  };
  asio::co_spawn(scheduler.executor(), waits(durable), asio::detached);
  ASSERT_TRUE(scheduler.block_on(entered.wait()));
  EXPECT_TRUE(holds_in_a_child([&] {
    Scheduler own;
    const bool told = is_refused(own.block_on(durable.with(nothing))) &&
                      is_refused(own.block_on(pool.with(nothing)));
    own.block_on(durable.join());
    own.block_on(pool.join());
    return told && pool.statistics().connections == 0;
  }));
  leave.set(1);
  EXPECT_TRUE(scheduler.block_on(durable.with(nothing)));
}

TEST_F(DurableFork, a_stream_of_the_parents_is_refused_and_goes_without_waiting) {
  using Numbers = PipeStream<int>;
  auto never = [](stream::DispatchRequest) -> Task<Numbers::Dispatched> {
    OneShot<int> answer;
    static_cast<void>(co_await answer.wait());
    co_return stream::failed_to_connect(Error(ErrorKind::io, "never"));
  };
  auto numbers = std::make_optional(Numbers::create(scheduler.executor(), never));
  ASSERT_TRUE(scheduler.block_on(numbers->next()));
  EXPECT_TRUE(holds_in_a_child([&] {
    Scheduler own;
    const auto event = own.block_on(numbers->next());
    own.block_on(numbers->join());
    numbers.reset();
    return !event && event.error().kind() == ErrorKind::unsupported;
  }));
  scheduler.block_on(numbers->join());
}

}  // namespace
}  // namespace semper::durable_test
