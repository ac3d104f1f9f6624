// World: what a case of the durable server's contract works with: one store, several processes on
// it, and time.
//
//   SERVER_TEST(Casts, one_is_applied) {
//     auto& server = *co_await world.serve<Counter>();       // a process with a host
//     auto counter = world.ref<Counter>("c");                // from a process without one
//     must(co_await counter.cast(Counter::Add{2}));
//     co_await world.eventually([&] { return server.host().statistics().messages == 1; });
//   }
//
// Each case runs once per World (worlds()): in simulated time on memory:, the same with faults, and
// in real time with threads on memory:, on sqlite:, on fdb: where SEMPER_TEST_FDB_CLUSTER_FILE
// names a cluster, and on etcd: where SEMPER_TEST_ETCD_ENDPOINTS does. A "process" has a store
// handle and a loop of its own, so that nothing but the store connects it to the others, and can be
// killed as SIGKILL would.
//
// Cases are coroutines: checks they survive are EXPECT_*, must() ends them.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <source_location>
#include <stdexcept>
#include <string>
#include <vector>

#include "semper/env/one_shot.h"
#include "semper/semper.h"
#include "semper/testing/faulty_backend.h"
#include "semper/testing/simulated_clock.h"

namespace semper::testing {

class CaseFailure : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

std::string at(const std::source_location& where);

// The value, or the case ends here.
template <class T>
T must(Result<T> result, std::source_location where = std::source_location::current()) {
  if (!result) throw CaseFailure(at(where) + result.error().to_string());
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

// The error; a success ends the case.
template <class T>
Error must_fail(const Result<T>& result,
                std::source_location where = std::source_location::current()) {
  if (result) throw CaseFailure(at(where) + "an error was expected, and there was none");
  return result.error();
}

enum class TimeKind : std::uint8_t { simulated, real };

struct WorldKind {
  std::string name;
  TimeKind time = TimeKind::simulated;
  StoreFaults faults = {};  // simulated only
  std::uint64_t seed_offset = 0;
  // Of a store that is not there yet; parameters may follow ("?..." as the backend knows them).
  std::function<std::string(const std::string& folder, int number)> url;
};

void PrintTo(const WorldKind& kind, std::ostream* out);

std::vector<WorldKind> worlds();
std::vector<WorldKind> worlds_in(TimeKind time);
// Those in simulated time where a commit is done when it returns.
std::vector<WorldKind> calm_worlds();

// Parameters of a store with small limits, so that a few kilobytes are too much.
inline constexpr const char* kSmallStore = "?value_bytes=20000&transaction_bytes=60000";

// Leases that tests can wait for.
HostOptions quick_options();

// Another machine's: the same time, another calendar.
class SkewedClock final : public Clock {
 public:
  SkewedClock(Clock& clock, Duration ahead) : clock_(clock), ahead_(ahead) {}
  MonotonicTime now() const noexcept override { return clock_.now(); }
  WallTime wall_time() const noexcept override { return clock_.wall_time() + ahead_; }
  TimerId call_at(MonotonicTime when, std::function<void()> callback) override {
    return clock_.call_at(when, std::move(callback));
  }
  bool cancel(TimerId timer) noexcept override { return clock_.cancel(timer); }

 private:
  Clock& clock_;
  const Duration ahead_;
};

class World;

// What lives and dies together: a loop, a store handle, at most one host.
class Process {
 public:
  Process(Store store, std::unique_ptr<asio::io_context> loop, std::unique_ptr<Scheduler> threads);
  ~Process();

  const Store& store() const { return *store_; }
  Host& host() { return *host_; }
  Executor executor();

  template <class B>
  Ref<B> ref(std::string id) const {
    return semper::ref<B>(store(), std::move(id));
  }

  // On the process's own loop.
  template <class T>
  Task<T> run(Task<T> task) {
    co_return co_await asio::co_spawn(executor(), std::move(task), asio::use_awaitable);
  }

  // As SIGKILL: nothing of it runs any more, and nothing is tidied up.
  void kill();
  // As SIGSTOP and SIGCONT; in simulated time only.
  void freeze() { frozen_ = true; }
  void thaw() { frozen_ = false; }

 private:
  friend class World;
  std::unique_ptr<asio::io_context> loop_;  // simulated
  std::unique_ptr<Scheduler> threads_;      // real
  std::unique_ptr<Store> store_;
  std::unique_ptr<Host> host_;
  bool frozen_ = false;
};

class World {
 public:
  World(WorldKind kind, std::string folder, std::string url_parameters);
  ~World();

  // Simulated time from now after which the case counts as stuck; two hours where nobody says so.
  void allow(Duration span) { latest_ = simulated_clock_.after(span); }

  // Runs the case to its end; throws what it throws.
  void run(const std::function<Task<void>(World&)>& body);

  bool is_simulated() const { return kind_.time == TimeKind::simulated; }
  bool is_steady() const { return kind_.faults.conflict == 0 && kind_.faults.delay == 0; }
  const std::string& url() const { return url_; }
  Env env() { return env_; }
  Clock& clock() { return *env_.clock; }

  // The handle of the case itself: of a process without a host.
  const Store& store() const { return *store_; }
  template <class B>
  Ref<B> ref(std::string id) const {
    return semper::ref<B>(store(), std::move(id));
  }
  // Another handle on the store. `calendar`: how far its machine's calendar is ahead; simulated
  // only.
  Task<Store> open(Duration calendar = {});
  // The same with a hand on its faults; simulated only.
  Task<Store> open_faulty(std::shared_ptr<FaultyBackend>& faults);

  // Another loop of a process that has this handle already, without a host.
  Process* loop(const Store& store, std::size_t threads = 1);
  // A process with a host that serves nothing yet and was not started.
  Task<Process*> process(HostOptions options = quick_options(), Duration calendar = {});
  Process* process(const Store& store, HostOptions options = quick_options());
  // A process whose host serves B and was started.
  template <class B>
  Task<Process*> serve(std::shared_ptr<B> behaviour = std::make_shared<B>(),
                       HostOptions options = quick_options(), ServeOptions how = {},
                       Duration calendar = {}) {
    Process* made = co_await process(std::move(options), calendar);
    made->host().serve(std::move(behaviour), how);
    must(co_await made->run(made->host().start()));
    co_return made;
  }

  // Waits until the condition (a function giving bool or Task<bool>) holds, at most for
  // `patience()`.
  template <class Condition>
  Task<void> eventually(Condition condition,
                        std::source_location where = std::source_location::current()) {
    const MonotonicTime deadline = clock().after(patience());
    while (true) {
      bool holds = false;
      if constexpr (std::is_same_v<decltype(condition()), bool>) {
        holds = condition();
      } else {
        holds = co_await condition();
      }
      if (holds) co_return;
      if (clock().now() >= deadline) {
        throw CaseFailure(at(where) + "what was waited for did not come");
      }
      must(co_await sleep_for(clock(), poll_interval()));
    }
  }
  Duration patience() const;
  Duration poll_interval() const;

  // Waits until nothing is left in the store besides states: no index entries, sessions, replies or
  // locks.
  Task<void> until_clean(std::source_location where = std::source_location::current());
  // Waits until the entity's queue is empty.
  Task<void> until_processed(const RawRef& ref,
                             std::source_location where = std::source_location::current());

  template <class B>
  Task<EntityView> look(const Ref<B>& ref) {
    return look_at(ref.entity());
  }
  Task<EntityView> look_at(EntityId id);
  Task<std::vector<DeadLetterView>> letters_of(EntityId id);

  // Rows of a range as they are in the store, and single writes.
  Task<std::vector<KeyValue>> rows(KeyRange range);
  Task<void> put(Bytes key, Bytes value);

  // Runs body(0) to body(count - 1) at once and waits for all of them.
  Task<void> in_parallel(int count, std::function<Task<void>(int)> body);

  // Warnings and errors that were logged so far.
  std::vector<std::string> logged() const;

 private:
  void run_simulated(Task<void> whole);
  bool poll_loops();

  const WorldKind kind_;
  const std::string url_;
  SimulatedClock simulated_clock_;
  MonotonicTime latest_{};
  std::unique_ptr<SeededRandom> random_;
  Env env_;
  std::vector<std::unique_ptr<Clock>> other_clocks_;
  std::unique_ptr<asio::io_context> main_loop_;
  std::unique_ptr<Scheduler> main_threads_;
  std::unique_ptr<Store> store_;
  std::vector<std::unique_ptr<Process>> processes_;
};

// A key of the server room: the tuple (elements...) behind the default tenant's prefix, in the
// format that docs/formats.md describes.
Bytes entity_key(const EntityId& id, std::int64_t part);
// What the keys of all rows of limits begin with.
Bytes limit_tuple();
KeyRange entity_range(const EntityId& id, std::int64_t part);
KeyRange session_space();
KeyRange host_space();
// The row of a session or a host, and its value as 0.1.0 wrote it.
Bytes session_row_key(std::string_view session);
Bytes host_row_key(std::string_view host);
Bytes alive_row_of_0_1_0(std::string_view name, std::uint64_t renewals, std::int64_t renewed_ms,
                         const std::vector<std::string>& types);

class ServerTest : public ::testing::TestWithParam<WorldKind> {
 protected:
  void run(const std::function<Task<void>(World&)>& body, std::string url_parameters = "");
};

struct WorldName {
  std::string operator()(const ::testing::TestParamInfo<WorldKind>& info) const {
    return info.param.name;
  }
};

}  // namespace semper::testing

// A suite of cases on all worlds.
#define SERVER_SUITE(suite) SERVER_SUITE_ON(suite, ::semper::testing::worlds())
#define SERVER_SUITE_ON(suite, kinds)                    \
  class suite : public ::semper::testing::ServerTest {}; \
  INSTANTIATE_TEST_SUITE_P(On, suite, ::testing::ValuesIn(kinds), ::semper::testing::WorldName())

// One case: the coroutine's body follows. The second form adds parameters to the store's URL.
#define SERVER_TEST(suite, name) SERVER_TEST_WITH(suite, name, "")
#define SERVER_TEST_WITH(suite, name, url_parameters)                          \
  static ::semper::Task<void> suite##_##name(::semper::testing::World& world); \
  TEST_P(suite, name) {                                                        \
    run(suite##_##name, url_parameters);                                       \
  }                                                                            \
  static ::semper::Task<void> suite##_##name([[maybe_unused]] ::semper::testing::World& world)
