// The examples of include/semper/env, and of base/value.h, as they stand in its headers.
// clang-format off
#include <chrono>
#include <functional>
#include <iostream>
#include <memory>
#include <string>

#include "semper/env/asio.h"
#include "semper/env/asio_net.h"
#include "semper/env/backoff.h"
#include "semper/env/blocking.h"
#include "semper/env/cancellation.h"
#include "semper/env/clock.h"
#include "semper/env/direct_executor.h"
#include "semper/env/fork.h"
#include "semper/env/gate.h"
#include "semper/env/one_shot.h"
#include "semper/env/process_identity.h"
#include "semper/env/random.h"
#include "semper/env/scheduler.h"
#include "semper/env/serial.h"
#include "semper/env/span_file.h"
#include "semper/env/span_sender.h"
#include "semper/env/spans.h"
#include "semper/env/standard_streams.h"
#include "semper/env/termination.h"
#include "semper/env/trace_context.h"
#include "semper/env/value.h"
#include "semper/semper.h"
#include "semper/store/directory.h"

using namespace std::chrono_literals;

struct Counter {
  using State = std::int64_t;
  struct Add { std::int64_t by = 1; using Reply = std::int64_t; };
  using Messages = semper::Messages<Add>;
  semper::Result<State> init(const semper::EntityId&) { return 0; }
  semper::Reply<std::int64_t> handle_call(const Add& m, State& s, semper::Context&) {
    return s += m.by;
  }
};

semper::Async<int> twice(semper::Async<int> one) {
  SEMPER_CO_TRY(int n, co_await std::move(one));
  co_return 2 * n;
}

std::string header(const char* name);
semper::Ref<Counter> traces(semper::Store store, semper::Random& random) {
  const auto request = semper::TraceContext::parse(header("traceparent"), header("tracestate"));
  const semper::TraceContext trace =
      request ? *request : semper::TraceContext::start(random, semper::Sampled::no);
  const auto hits = semper::ref<Counter>(store, "page/home").traced(trace);
  return hits;
}

void span_buffer() {
  semper::SpanBuffer spans({.service = "billing"});    // outlives the hosts that it is given to
  semper::HostOptions options;
  options.spans = &spans;
  std::string line = spans.take_line();                // OTLP as JSON; empty: there is nothing
}

semper::Async<void> span_file() {
  SEMPER_CO_TRY(const auto file, semper::SpanFile::open("/var/log/app/spans.jsonl"));
  semper::HostOptions options;
  options.spans = &file->spans();     // the file outlives the host
  co_return semper::Status{};
}

void span_sender() {
  const auto sender = semper::SpanSender::start("http://localhost:4318");
  if (!sender) std::cerr << sender.error().to_string() << '\n';
  semper::HostOptions options;
  options.spans = &(*sender)->spans();     // the sender outlives the host
}

void sockets(semper::Executor executor) {
  asio::ip::tcp::socket socket(executor);
}

namespace pauses {
using namespace semper;
Task<bool> attempt();
Async<void> backoff(Clock& clock, Random& random) {
  Backoff backoff({.initial = 1ms, .maximum = 100ms}, random);
  while (!co_await attempt()) SEMPER_CO_TRY_STATUS(co_await sleep_for(clock, backoff.next()));
  co_return Status{};
}
Async<void> clocks(Clock& clock) {
  MonotonicTime deadline = clock.now() + 5s;
  SEMPER_CO_TRY_STATUS(co_await sleep_for(clock, 10ms));
  co_return Status{};
}
struct Position {};
struct Core { Async<void> advance(Position to); };
struct Ring {
  Async<void> advance(Position to);
  std::shared_ptr<Core> core_;
};
Async<void> Ring::advance(Position to) { return run_through(core_->advance(to)); }
Async<void> inside(OneShot<int> event) {
  SEMPER_CO_TRY_STATUS(not_cancelled(co_await asio::this_coro::cancellation_state));
  SEMPER_CO_TRY_STATUS(co_await event.wait());            // ends with `cancelled` too
  co_return Status{};
}
struct Drain { Task<void> drain(); };
void directly(std::shared_ptr<Drain> core) {
  DirectExecutor executor;
  executor.start([core]() -> Task<void> { return core->drain(); });
}
struct Forked {
  Status use() {
    SEMPER_TRY_STATUS(fork_.check("this store"));
    return {};
  }
  const ForkGuard fork_; // a member of an object that belongs to its process
};
struct Worker {
  void start(std::function<void()> work);
};
Async<void> one_shot(Worker worker, Clock& clock, MonotonicTime deadline) {
  OneShot<int> answer;
  worker.start([answer]() mutable { answer.set(42); });   // any thread; copies share one state
  Result<int> n = co_await answer.wait_until(clock, deadline);
  co_return Status{};
}
void take_over();
void processes(const ProcessIdentity& holder) {
  if (state_of(holder) == ProcessState::dead) take_over();   // otherwise: wait, look, or refuse
}
void env(Clock& simulated_clock, Random& seeded_random) {
  const Env env{&simulated_clock, &seeded_random};
  DirectoryLayer directories(env);
}
void chance(std::uint64_t seed) {
  Random& random = system_random();      // production
  SeededRandom replay(seed);             // tests: the same seed, the same numbers
}
Task<void> work();
void serially(Executor executor) {
  asio::co_spawn(serial_executor(executor), work(), asio::detached);
}
}  // namespace pauses

struct Session {};
semper::Result<Session> open_session(const std::string& address);
void blocking(std::string address) {
  auto create = [address] {
    return semper::run_blocking([address] { return open_session(address); });
  };
}

semper::Async<void> gates(semper::Gate& gate) {
  auto inside = gate.enter();            // closed -> Error{closed}: start nothing
  if (!inside) co_return semper::fail(inside.error());
  co_await gate.close();                 // no one enters any more; returns when all have left
  co_return semper::Status{};
}

namespace scheduled {
semper::Task<int> application();
int main() { return semper::run(application()); }        // Task<int> application();
void example(semper::Store store, semper::Async<void> (*change)(semper::Transaction&)) {
  semper::Scheduler scheduler({.threads = 2});
  auto value = scheduler.block_on(store.transact(change));      // from a plain thread only
}
}  // namespace scheduled

namespace streams {
semper::Task<int> application();
int main() {
  semper::guard_standard_streams();
  return semper::run(application());
}
}  // namespace streams

namespace ended {
semper::Task<int> application() {
  auto end = semper::termination();          // from here on a signal waits for us
  auto store = co_await semper::open_store("sqlite:./data.db");
  semper::Host host(store);
  static_cast<void>(co_await std::move(end));
  const auto stopped = co_await host.stop();
  co_return stopped ? 0 : 1;
}
}  // namespace ended

namespace values {
semper::Task<int> application() {
  auto store = co_await semper::value(semper::open_store("sqlite:./data.db"));
  auto hits = semper::ref<Counter>(store, "page/home");
  std::int64_t n = co_await semper::value(hits.call<Counter::Add>(1));
  co_return 0;
}
int main() {
  try {
    return semper::run(application());
  } catch (const semper::ErrorException& failed) {
    std::cerr << failed.what() << "\n";
    return 1;
  }
}
}  // namespace values
