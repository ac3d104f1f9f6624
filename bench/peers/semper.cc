// Semper as a system of bench_peers: a store in a file, and a behaviour that counts messages.
//
// A message is processed when the action after its commit runs, not when its callback does: a
// callback may run more than once. The publisher's 64 messages in flight are 64 coroutines, as
// users have them.
#include "semper/semper.h"

#include <algorithm>
#include <asio/redirect_error.hpp>
#include <asio/steady_timer.hpp>
#include <asio/use_future.hpp>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <future>
#include <memory>
#include <thread>
#include <utility>

#include "support/load.h"
#include "support/report.h"
#include "system.h"
#include "systems.h"

namespace semper::bench::peers {
namespace {

// When a message began that only makes a state.
constexpr std::int64_t kFill = 0;

struct Tally {
  using State = std::int64_t;
  struct Put {
    std::string payload;
  };
  using Messages = semper::Messages<Put>;

  Result<State> init(const EntityId&) { return 0; }
  Outcome handle_cast(const Put& put, State& state, Context&) {
    ++state;
    Slot* const to = slot;
    const std::int64_t since_ns = since_ns_of(put.payload.data());
    return Outcome().then(state, [to, since_ns](const State&) {
      if (to != nullptr && since_ns != kFill) to->add(since_ns);
    });
  }

  Slot* slot = nullptr;
};

class SemperSystem final : public System {
 public:
  explicit SemperSystem(std::string folder) : folder_(std::move(folder)) {}

  void prepare(std::size_t entities) override {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
    std::filesystem::create_directories(folder_);
    fill(entities);
  }
  std::string address() const override { return "sqlite:" + folder_ + "/store.db"; }

 private:
  // By a message to each, through a host of this process.
  void fill(std::size_t entities) const {
    Scheduler scheduler;
    Store store = open_or_exit(address());
    Host host(store);
    host.serve<Tally>();
    const Status started = scheduler.block_on(host.start());
    if (!started) give_up(started.error().to_string());
    std::atomic<std::size_t> next{0};
    const auto worker = [&]() -> Task<bool> {
      for (std::size_t n = next.fetch_add(1); n < entities; n = next.fetch_add(1)) {
        if (n % 10'000 == 0) progress("filling the store: " + std::to_string(n));
        Tally::Put put{payload_of(kFill)};
        const Status sent = co_await ref<Tally>(store, entity_name(n)).cast(std::move(put));
        if (!sent) give_up(sent.error().to_string());
      }
      co_return true;
    };
    std::vector<std::future<bool>> workers;
    for (std::size_t i = 0; i < std::min<std::size_t>(entities, 2'000); ++i) {
      workers.push_back(asio::co_spawn(scheduler.executor(), worker(), asio::use_future));
    }
    for (auto& one : workers) one.get();
    // What waits in the queues is processed before the host stops.
    for (std::size_t n = 0; n < entities; n += std::max<std::size_t>(1, entities / 100)) {
      auto length = [&] { return ref<Tally>(store, entity_name(n)).untyped().queue_length(); };
      while (scheduler.block_on(length()).value_or(0) > 0) std::this_thread::yield();
    }
    static_cast<void>(scheduler.block_on(host.stop()));
    static_cast<void>(scheduler.block_on(store.close()));
    progress("");
  }

  const std::string folder_;
};

std::unique_ptr<System> start(const std::string& folder) {
  return std::make_unique<SemperSystem>(folder);
}

// One process's messages; all of it on one thread.
class Casts {
 public:
  Casts(const Job& job, const Store& store, std::int64_t go_ns)
      : job_(job), store_(store), pace_(job, go_ns) {}

  // As many at a time as may be in flight: each sends its next one when the last is durable.
  Task<void> worker() {
    while (const auto since = pace_.next(now_ns())) co_await send(*since);
  }

  // Each at its time, unless as many as may be are in flight.
  Task<void> paced() {
    asio::steady_timer timer(co_await asio::this_coro::executor);
    timer_ = &timer;
    for (auto next = pace_.next(0); next || in_flight_ > 0;) {
      const bool may_send = next && in_flight_ < job_.shape.in_flight;
      if (may_send && *next <= now_ns()) {
        ++in_flight_;
        asio::co_spawn(timer.get_executor(), send_and_tell(*next), asio::detached);
        next = pace_.next(0);
        continue;
      }
      const auto wait = may_send ? std::chrono::nanoseconds(*next - now_ns())
                                 : std::chrono::nanoseconds(kPatience);
      timer.expires_after(wait);
      std::error_code ignored;  // it is cancelled where one message has ended
      co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    }
    timer_ = nullptr;
  }

 private:
  Task<void> send(std::int64_t since_ns) {
    Ref<Tally> to = ref<Tally>(store_, pace_.entity());
    Tally::Put put{payload_of(since_ns)};
    const Status sent = co_await to.cast(std::move(put));
    if (!sent) give_up(sent.error().to_string());
    job_.slot->add(since_ns);
  }

  Task<void> send_and_tell(std::int64_t since_ns) {
    co_await send(since_ns);
    --in_flight_;
    if (in_flight_ + 1 == job_.shape.in_flight || in_flight_ == 0) timer_->cancel();
  }

  const Job& job_;
  const Store& store_;
  Pace pace_;
  int in_flight_ = 0;
  asio::steady_timer* timer_ = nullptr;
};

void publish(const Job& job) {
  Scheduler scheduler;
  Store store = open_or_exit(job.address);
  Casts casts(job, store, wait_for_go(job));
  std::vector<std::future<void>> workers;
  const int count = job.shape.rate > 0 ? 1 : job.shape.in_flight;
  for (int i = 0; i < count; ++i) {
    workers.push_back(asio::co_spawn(scheduler.executor(),
                                     job.shape.rate > 0 ? casts.paced() : casts.worker(),
                                     asio::use_future));
  }
  for (auto& one : workers) one.get();
  static_cast<void>(scheduler.block_on(store.close()));
}

void consume(const Job& job) {
  Scheduler scheduler;
  Store store = open_or_exit(job.address);
  auto tally = std::make_shared<Tally>();
  tally->slot = job.slot;
  Host host(store);
  host.serve(tally);
  const Status started = scheduler.block_on(host.start());
  if (!started) give_up(started.error().to_string());
  wait_for_go(job);
  while (job.board->stop.load() == 0) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  static_cast<void>(scheduler.block_on(host.stop()));
  static_cast<void>(scheduler.block_on(store.close()));
}

}  // namespace

Kind semper_kind() {
  return {"semper", "Semper", "each message flushed before it is acknowledged; sqlite: store",
          "",       true,     1 << 20,
          start,    publish,  consume};
}

}  // namespace semper::bench::peers
