// ConformanceWorld: what a case of the conformance suite works with: a fresh store, time, chance.
//
// A case is a coroutine. Where it cannot go on it throws (must() does), which fails it; checks
// that it survives are EXPECT_*. Members that say "must" throw SpuriousConflict where the engine
// may conflict without a cause, and the case is then run again from the start.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <source_location>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "semper/env/one_shot.h"
#include "semper/env/scheduler.h"
#include "semper/store/store.h"
#include "semper/testing/simulated_run.h"
#include "semper/testing/store_under_test.h"

namespace semper::testing::conformance {

class CaseFailure : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

class SpuriousConflict : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

std::string at(const std::source_location& where);

// The value, or the case ends here.
template <class T>
T must(Result<T> result, std::source_location where = std::source_location::current()) {
  if (!result) throw CaseFailure(at(where) + result.error().to_string());
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

// The error's kind; a success ends the case.
template <class T>
Error must_fail(const Result<T>& result,
                std::source_location where = std::source_location::current()) {
  if (result) throw CaseFailure(at(where) + "an error was expected, and there was none");
  return result.error();
}

// Opens it as the description says.
inline Async<std::shared_ptr<Backend>> open_at(const StoreUnderTest& store, std::string url,
                                               Env env) {
  // Not `?:`, which g++ 12 cannot take apart around a co_await.
  if (store.open) co_return co_await store.open(std::move(url), env);
  co_return co_await open_backend(std::move(url), env);
}

// How time passes in a case: as StoreUnderTest::time says, or moved by the case itself.
enum class CaseTime : std::uint8_t { as_the_store, by_hand };

using Rows = std::vector<KeyValue>;

// rows_of("key", "value", "key", "value", ...): lists in braces cannot stand beside co_await with
// g++ 12.
inline void append_rows(Rows&) {}
template <class... Rest>
void append_rows(Rows& to, Bytes key, Bytes value, Rest&&... rest) {
  to.push_back({std::move(key), std::move(value)});
  append_rows(to, std::forward<Rest>(rest)...);
}
template <class... Parts>
Rows rows_of(Parts&&... parts) {
  Rows made;
  append_rows(made, std::forward<Parts>(parts)...);
  return made;
}

class World {
 public:
  World(const StoreUnderTest& store, ConformancePlace place, CaseTime time, std::uint64_t seed);

  // Opens the first handle, runs the case and closes what is open.
  void run(const std::function<Task<void>(World&)>& body);

  const StoreUnderTest& under_test() const { return under_test_; }
  std::string url() const { return under_test_.url(place_); }
  const std::string& folder() const { return place_.folder; }
  Env env() { return env_; }
  Clock& clock() { return *env_.clock; }
  std::uint64_t seed() const { return seed_; }

  // The first handle, and another one on the same store.
  const Store& store() const { return stores_.front(); }
  Task<Store> open();
  // Closes a handle that open() gave.
  Task<void> close(const Store& store);
  // Closes all handles and opens the store again.
  Task<void> reopen();

  Transaction begin(TransactionOptions options = {}) const { return store().begin(options); }

  // Moves time, in a case whose time is moved by hand. Whoever waits runs before it returns, or
  // soon after.
  Task<void> advance(Duration span);

  // In transactions of their own, run until they succeed.
  Task<void> put(Rows rows);
  Task<void> clear(Bytes key);
  Task<std::optional<Bytes>> read(Bytes key);
  Task<Rows> read_all(KeyRange range = {"", "\xff"});

  // Commits; a conflict fails the case (or repeats it).
  Task<Versionstamp> must_commit(Transaction& transaction,
                                 std::source_location where = std::source_location::current());
  // Expects that the commit is refused as a conflict.
  Task<void> must_conflict(Transaction& transaction,
                           std::source_location where = std::source_location::current());

  // Runs body(0) to body(count - 1) at once and waits for all of them.
  Task<void> in_parallel(int count, std::function<Task<void>(int)> body);

 private:
  void run_whole(Task<void> whole);

  const StoreUnderTest& under_test_;
  const ConformancePlace place_;
  const CaseTime time_;
  const std::uint64_t seed_;
  SimulatedClock simulated_clock_;
  SeededRandom random_;
  Env env_;
  std::list<Store> stores_;  // a list: references stay good
};

// A value that Transaction::add adds to.
Bytes number(std::uint64_t value);

enum class CaseNeeds : std::uint8_t { nothing, persistence, processes, links };

struct Case {
  const char* name;
  Task<void> (*body)(World&);
  CaseTime time = CaseTime::as_the_store;
  CaseNeeds needs = CaseNeeds::nothing;
};

// The cases, by subject; each in its file SUBJECT.cc.
std::span<const Case> isolation_cases();
std::span<const Case> conflict_range_cases();
std::span<const Case> write_cases();
std::span<const Case> versionstamp_cases();
std::span<const Case> range_cases();
std::span<const Case> limit_cases();
std::span<const Case> watch_cases();
std::span<const Case> transact_cases();
std::span<const Case> workload_cases();
std::span<const Case> history_cases();
std::span<const Case> process_cases();
std::span<const Case> neighbour_cases();

}  // namespace semper::testing::conformance
