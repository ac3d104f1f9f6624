// Directories made by many coroutines at once, on the memory backend with its real conflicts.
#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "backends/memory/memory.h"
#include "semper/store/directory.h"
#include "semper/store/store.h"
#include "semper/testing/simulated_run.h"

namespace semper {
namespace {

using testing::simulated_run;
using testing::SimulatedClock;

class DirectoriesAtOnce : public ::testing::Test {
 protected:
  // Runs every operation as a transaction in a coroutine of its own; between what an operation does
  // and its commit all others get their turn. How many failed.
  template <class F>
  int run_at_once(std::vector<F> operations) {
    int failed = 0;
    std::size_t running = operations.size();
    auto one = [&](F& operation) -> Task<void> {
      auto attempt = [&](Transaction& tx) -> Async<bool> {
        SEMPER_CO_TRY_STATUS(co_await operation(tx));
        co_await yield_now();
        co_return true;
      };
      const auto done = co_await store_.transact(attempt);
      if (!done) {
        ADD_FAILURE() << done.error().to_string();
        ++failed;
      }
      --running;
    };
    auto all = [&]() -> Task<void> {
      const auto executor = co_await asio::this_coro::executor;
      for (F& operation : operations) asio::co_spawn(executor, one(operation), asio::detached);
      while (running > 0) co_await yield_or_sleep();
    };
    simulated_run(clock_, all());
    return failed;
  }

  Task<void> yield_or_sleep() { (void)co_await sleep_for(clock_, std::chrono::milliseconds(1)); }

  std::int64_t conflicts() const {
    for (const auto& [name, figure] : store_.backend().statistics()) {
      if (name == "conflicts") return figure;
    }
    ADD_FAILURE() << "the memory backend does not count conflicts";
    return 0;
  }

  Store open_memory_store() {
    StoreUrl url;
    url.scheme = "memory";
    return Store(simulated_run(clock_, open_memory(url, env_)).value(), env_);
  }

  static constexpr std::uint64_t seed = 12;

  SimulatedClock clock_;
  SeededRandom random_{seed};
  Env env_{&clock_, &random_};
  Store store_ = open_memory_store();
  DirectoryLayer layer_{env_};
};

TEST_F(DirectoriesAtOnce, hundreds_made_at_once_all_get_prefixes_of_their_own) {
  SCOPED_TRACE("seed " + std::to_string(seed));
  constexpr int count = 300;
  std::vector<Directory> made(count);
  auto maker = [&](int i) {
    return [this, i, &made](Transaction& tx) -> Async<void> {
      DirectoryPath path{"tenants", std::to_string(i)};
      SEMPER_CO_TRY(made[static_cast<std::size_t>(i)], co_await layer_.create(tx, path));
      co_return Status{};
    };
  };
  std::vector<decltype(maker(0))> makers;
  for (int i = 0; i < count; ++i) makers.push_back(maker(i));
  ASSERT_EQ(run_at_once(std::move(makers)), 0);
  EXPECT_GE(conflicts(), count - 1) << "all but one found the parent missing, so they did not meet";
  EXPECT_LE(conflicts(), 20 * count);

  std::set<Bytes> prefixes;
  for (const Directory& directory : made) {
    EXPECT_TRUE(prefixes.insert(directory.contents.prefix()).second);
    const auto opened = simulated_run(
        clock_, store_.transact([&](Transaction& tx) { return layer_.open(tx, directory.path); }));
    ASSERT_TRUE(opened) << opened.error().to_string();
    EXPECT_EQ(*opened, directory);
  }
  const DirectoryPath tenants{"tenants"};
  const auto names = simulated_run(
      clock_, store_.transact([&](Transaction& tx) { return layer_.list(tx, tenants); }));
  EXPECT_EQ(names.value().size(), static_cast<std::size_t>(count));
}

TEST_F(DirectoriesAtOnce, one_name_opened_or_created_by_all_is_one_directory) {
  constexpr int count = 50;
  std::vector<Directory> opened(count);
  auto opener = [&](int i) {
    return [this, i, &opened](Transaction& tx) -> Async<void> {
      DirectoryPath path{"shared"};
      SEMPER_CO_TRY(opened[static_cast<std::size_t>(i)], co_await layer_.create_or_open(tx, path));
      co_return Status{};
    };
  };
  std::vector<decltype(opener(0))> openers;
  for (int i = 0; i < count; ++i) openers.push_back(opener(i));
  ASSERT_EQ(run_at_once(std::move(openers)), 0);
  for (const Directory& directory : opened) EXPECT_EQ(directory, opened.front());
}

}  // namespace
}  // namespace semper
