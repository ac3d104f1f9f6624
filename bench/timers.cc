// How late durable timers are, and what those cost that wait.
//
//   bench_timers [--json PATH] [--smoke] [--only due|idle] [--runs N]
//
// `due`: timers of many entities that are due at a steady rate, handled by one host, beside a
// million that wait; compared with the same beside none. What counts is the time from the due time
// to the callback, the transaction that put the tick into the queue included. `idle`: the processor
// time of a host that has nothing to do but to wait for a million timers, compared with one that
// waits for none.
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "semper/env/one_shot.h"
#include "semper/env/scheduler.h"
#include "semper/semper.h"
#include "support/arguments.h"
#include "support/report.h"

namespace semper::bench {
namespace {

using namespace std::chrono_literals;
using Milliseconds = std::chrono::duration<double, std::milli>;

struct TimerSettings : CommonSettings {
  TimerSettings() : CommonSettings(3) {}

  int sleepers() const { return smoke ? 2 : 1'000; }  // entities with timers that only wait
  int waiting_each() const { return smoke ? 10 : 1'000; }
  int entities() const { return smoke ? 10 : 2'000; }  // with timers that are due
  int due_each() const { return smoke ? 5 : 50; }
  Duration time() const { return smoke ? Duration(500ms) : Duration(10s); }
  Duration idle() const { return smoke ? Duration(100ms) : Duration(10s); }
};

// Set by one message; more than a transaction takes would be refused.
constexpr int kTimersPerMessage = 250;
constexpr std::size_t kInFlight = 64;
constexpr auto kFar = std::chrono::hours(24);

[[noreturn]] void give_up(const Error& error) {
  std::fprintf(stderr, "bench_timers: %s\n", error.to_string().c_str());
  std::exit(1);
}

template <class T>
T must(Result<T> result) {
  if (!result) give_up(result.error());
  return std::move(*result);
}
void must(const Status& status) {
  if (!status) give_up(status.error());
}

// What the callbacks saw, in milliseconds.
class Lateness {
 public:
  void add(Duration late) {
    std::lock_guard lock(mutex_);
    samples_.push_back(Milliseconds(late).count());
  }
  std::size_t size() const {
    std::lock_guard lock(mutex_);
    return samples_.size();
  }
  std::vector<double> take() {
    std::lock_guard lock(mutex_);
    return std::exchange(samples_, {});
  }

 private:
  mutable std::mutex mutex_;
  std::vector<double> samples_;
};

struct Alarm {
  using State = std::uint64_t;
  struct Set {  // timers number `from` and on, one `step_ms` after the other, from `first_ms` on
    std::int64_t from = 0;
    std::int64_t count = 0;
    std::int64_t first_ms = 0;
    std::int64_t step_ms = 0;
    using Reply = bool;
  };
  struct Ring {};
  using Messages = semper::Messages<Set, Ring>;

  explicit Alarm(Lateness& where) : lateness(where) {}
  Result<State> init(const EntityId&) { return 0; }
  Reply<bool> handle_call(const Set& set, State&, Context& context) {
    for (std::int64_t i = 0; i < set.count; ++i) {
      const WallTime due(std::chrono::milliseconds(set.first_ms + i * set.step_ms));
      context.send_at(std::to_string(set.from + i), due, Ring{});
    }
    return true;
  }
  void handle_cast(const Ring&, State& state, Context& context) {
    ++state;
    lateness.add(system_clock().wall_time() - context.tick()->nominal);
  }

  Lateness& lateness;
};

std::int64_t in_ms(WallTime time) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch()).count();
}

struct Order {
  std::string entity;
  Alarm::Set set;
};

// Some at a time.
Task<void> send_all(Store store, const std::vector<Order>& orders) {
  const auto executor = co_await asio::this_coro::executor;
  std::size_t next = 0;
  std::size_t running = std::min(kInFlight, orders.size());
  OneShot<int> done;
  const auto send = [&]() -> Task<void> {
    while (next < orders.size()) {
      const Order& order = orders[next++];
      const CallOptions patient{60s};
      const auto alarm = ref<Alarm>(store, order.entity);
      static_cast<void>(must(co_await alarm.call(order.set, patient)));
    }
    if (--running == 0) done.set(1);
  };
  for (std::size_t i = std::min(kInFlight, orders.size()); i > 0; --i) {
    asio::co_spawn(executor, send(), asio::detached);
  }
  if (!orders.empty()) static_cast<void>(must(co_await done.wait()));
}

// A store with a host, and perhaps with timers that wait.
class Clockwork {
 public:
  Clockwork(const TimerSettings& settings, bool has_waiting)
      : settings_(settings), folder_("timers") {
    store_.emplace(must(scheduler_.block_on(open_store("sqlite:" + folder_.path() + "/store.db"))));
    host_.emplace(*store_);
    host_->serve(std::make_shared<Alarm>(lateness_));
    must(scheduler_.block_on(host_->start()));
    if (has_waiting) set_waiting();
  }
  ~Clockwork() {
    must(scheduler_.block_on(host_->stop()));
    host_.reset();
    must(scheduler_.block_on(store_->close()));
  }

  // The latenesses of all that were due.
  std::vector<double> due() {
    const std::int64_t span =
        std::chrono::duration_cast<std::chrono::milliseconds>(settings_.time()).count();
    const std::int64_t step = std::max<std::int64_t>(span / settings_.due_each(), 1);
    // Time enough to set them.
    const auto ahead = settings_.smoke ? 300ms : 15s;
    const std::int64_t first = in_ms(system_clock().wall_time() + ahead);
    std::vector<Order> orders;
    for (int i = 0; i < settings_.entities(); ++i) {
      const std::int64_t offset = i * step / settings_.entities();
      orders.push_back(
          {"due " + std::to_string(i), {0, settings_.due_each(), first + offset, step}});
    }
    scheduler_.block_on(send_all(*store_, orders));
    if (!settings_.smoke && in_ms(system_clock().wall_time()) >= first) {
      std::fprintf(stderr, "bench_timers: setting them took longer than they had\n");
    }
    const auto all = static_cast<std::size_t>(settings_.entities()) *
                     static_cast<std::size_t>(settings_.due_each());
    while (lateness_.size() < all) must(scheduler_.block_on(sleep_for(system_clock(), 10ms)));
    return lateness_.take();
  }

  // Processor time in a second of waiting, in milliseconds.
  double idle() {
    const double before = processor_ms();
    must(scheduler_.block_on(sleep_for(system_clock(), settings_.idle())));
    return (processor_ms() - before) / std::chrono::duration<double>(settings_.idle()).count();
  }

 private:
  static double processor_ms() {
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    const auto ms = [](const timeval& time) {
      return static_cast<double>(time.tv_sec) * 1e3 + static_cast<double>(time.tv_usec) / 1e3;
    };
    return ms(usage.ru_utime) + ms(usage.ru_stime);
  }

  void set_waiting() {
    const std::int64_t first = in_ms(system_clock().wall_time() + kFar);
    std::vector<Order> orders;
    for (int i = 0; i < settings_.sleepers(); ++i) {
      for (int from = 0; from < settings_.waiting_each(); from += kTimersPerMessage) {
        const int count = std::min(kTimersPerMessage, settings_.waiting_each() - from);
        orders.push_back({"sleeper " + std::to_string(i), {from, count, first + i, 1}});
      }
    }
    scheduler_.block_on(send_all(*store_, orders));
  }

  const TimerSettings& settings_;
  const WorkFolder folder_;
  Lateness lateness_;
  Scheduler scheduler_;
  std::optional<Store> store_;
  std::optional<Host> host_;
};

void measure_due(const TimerSettings& settings, Report& report) {
  Row median_row{.name = "timers, 10,000 due a second beside 1,000,000: late, median",
                 .values = {},
                 .unit = "ms",
                 .reference_name = "beside none"};
  Row tail{.name = "the same, 99th percentile",
           .values = {},
           .unit = "ms",
           .reference_name = "beside none"};
  tail.bar = {Bar::Kind::at_most_value, 250};
  for (int run = 0; run < settings.rounds(); ++run) {
    progress("due: run " + std::to_string(run + 1));
    const auto beside_none = Clockwork(settings, false).due();
    const auto beside_many = Clockwork(settings, true).due();
    median_row.references.push_back(percentile(beside_none, 0.5));
    median_row.values.push_back(percentile(beside_many, 0.5));
    tail.references.push_back(percentile(beside_none, 0.99));
    tail.values.push_back(percentile(beside_many, 0.99));
  }
  report.add(std::move(median_row));
  report.add(std::move(tail));
}

void measure_idle(const TimerSettings& settings, Report& report) {
  Row row{.name = "an idle host with 1,000,000 timers: processor time",
          .values = {},
          .unit = "ms/s",
          .reference_name = "with none"};
  for (int run = 0; run < settings.rounds(); ++run) {
    progress("idle: run " + std::to_string(run + 1));
    row.references.push_back(Clockwork(settings, false).idle());
    row.values.push_back(Clockwork(settings, true).idle());
  }
  report.add(std::move(row));
}

}  // namespace
}  // namespace semper::bench

int main(int argc, char** argv) {
  using namespace semper::bench;
  TimerSettings settings;
  const auto arguments = parse_arguments(argc, argv, {"due", "idle"}, settings);
  if (arguments != Arguments::good) return exit_code(arguments);
  Report report("timers", settings.json);
  if (settings.wants("due")) measure_due(settings, report);
  if (settings.wants("idle")) measure_idle(settings, report);
  return report.finish();
}
