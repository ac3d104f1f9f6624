#include "testing/conformance/world.h"

#include <atomic>
#include <mutex>
#include <utility>
#include <variant>

namespace semper::testing::conformance {
namespace {

// Threads that run a case in real time.
constexpr std::size_t kThreads = 4;
// Real time that a case may need before it counts as stuck.
constexpr auto kStuckAfter = std::chrono::seconds(100);
// Real time in which other threads may make ready what a moved clock has woken.
constexpr auto kSettleTime = std::chrono::milliseconds(1);

TransactOptions for_a_case() {
  return {.max_attempts = 10'000, .timeout = std::chrono::hours(1)};
}

}  // namespace

Bytes number(std::uint64_t value) {
  Bytes bytes;
  append_little_endian_u64(bytes, value);
  return bytes;
}

std::string at(const std::source_location& where) {
  return std::string(where.file_name()) + ":" + std::to_string(where.line()) + ": ";
}

World::World(const StoreUnderTest& store, ConformancePlace place, CaseTime time, std::uint64_t seed)
    : under_test_(store), place_(std::move(place)), time_(time), seed_(seed), random_(seed) {
  if (time_ == CaseTime::by_hand || under_test_.time == ConformanceTime::simulated) {
    env_.clock = &simulated_clock_;
  }
  if (under_test_.time == ConformanceTime::simulated) env_.random = &random_;
}

void World::run(const std::function<Task<void>(World&)>& body) {
  run_whole([](World& world, const std::function<Task<void>(World&)>& inner) -> Task<void> {
    co_await world.open();
    co_await inner(world);
    for (auto& store : world.stores_) must(co_await store.close());
    world.stores_.clear();
  }(*this, body));
  stores_.clear();
}

void World::run_whole(Task<void> whole) {
  if (under_test_.time == ConformanceTime::simulated) {
    simulated_run(simulated_clock_, std::move(whole));
    return;
  }
  Scheduler scheduler({.threads = kThreads, .name = "conformance"});
  std::promise<void> promise;
  auto ended = promise.get_future();
  asio::co_spawn(scheduler.executor(), std::move(whole), [&promise](std::exception_ptr error) {
    if (error) {
      promise.set_exception(error);
    } else {
      promise.set_value();
    }
  });
  if (ended.wait_for(kStuckAfter) == std::future_status::timeout) {
    scheduler.stop();
    throw CaseFailure("the case is stuck: it did not end in " +
                      std::to_string(kStuckAfter.count()) + " s");
  }
  ended.get();
}

Task<Store> World::open() {
  Store store(must(co_await open_at(under_test_, url(), env_)), env_);
  stores_.push_back(store);
  co_return store;
}

Task<void> World::close(const Store& store) {
  must(co_await store.close());
  std::erase(stores_, store);
}

Task<void> World::reopen() {
  for (auto& store : stores_) must(co_await store.close());
  stores_.clear();
  co_await open();
}

Task<void> World::advance(Duration span) {
  if (time_ != CaseTime::by_hand) throw CaseFailure("only a case by hand moves time");
  simulated_clock_.advance(span);
  if (under_test_.time == ConformanceTime::real) std::this_thread::sleep_for(kSettleTime);
  co_await yield_now();
}

Task<void> World::put(Rows rows) {
  must(co_await store().transact(
      [&](Transaction& tx) -> Async<int> {
        for (const auto& row : rows) tx.set(row.key, row.value);
        co_return 0;
      },
      for_a_case()));
}

Task<void> World::clear(Bytes key) {
  must(co_await store().transact(
      [&](Transaction& tx) -> Async<int> {
        tx.clear(key);
        co_return 0;
      },
      for_a_case()));
}

Task<std::optional<Bytes>> World::read(Bytes key) {
  auto transaction = begin();
  co_return must(co_await transaction.get(key));
}

Task<Rows> World::read_all(KeyRange range) {
  auto transaction = begin();
  Rows rows;
  for (bool more = true; more;) {
    auto page = must(co_await transaction.get_range(range));
    more = page.more;
    if (!page.rows.empty()) range.begin = key_after(page.rows.back().key);
    std::move(page.rows.begin(), page.rows.end(), std::back_inserter(rows));
  }
  co_return rows;
}

Task<Versionstamp> World::must_commit(Transaction& transaction, std::source_location where) {
  auto committed = co_await transaction.commit();
  if (committed) co_return *committed;
  if (committed.error().kind() == ErrorKind::conflict && under_test_.attempts > 1) {
    throw SpuriousConflict(at(where) + committed.error().to_string());
  }
  throw CaseFailure(at(where) +
                    "the commit should have succeeded: " + committed.error().to_string());
}

Task<void> World::must_conflict(Transaction& transaction, std::source_location where) {
  auto committed = co_await transaction.commit();
  if (committed) {
    throw CaseFailure(at(where) + "the commit should have been refused as a conflict");
  }
  EXPECT_EQ(committed.error().kind(), ErrorKind::conflict)
      << at(where) << committed.error().to_string();
}

Task<void> World::in_parallel(int count, std::function<Task<void>(int)> body) {
  struct Joined {
    std::mutex mutex;
    int left;
    std::exception_ptr first_error;
    OneShot<std::monostate> done;
  };
  if (count == 0) co_return;
  auto joined = std::make_shared<Joined>();
  joined->left = count;
  const auto executor = co_await asio::this_coro::executor;
  for (int i = 0; i < count; ++i) {
    asio::co_spawn(executor, body(i), [joined](std::exception_ptr error) {
      bool last = false;
      {
        std::lock_guard lock(joined->mutex);
        if (error && !joined->first_error) joined->first_error = error;
        last = --joined->left == 0;
      }
      if (last) joined->done.set({});
    });
  }
  must(co_await joined->done.wait());
  if (joined->first_error) std::rethrow_exception(joined->first_error);
}

}  // namespace semper::testing::conformance
