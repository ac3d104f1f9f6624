// What a durable value costs while it is intact, and how fast many heal at once.
//
//   bench_durable [--json PATH] [--smoke] [--only with|healing] [--runs N]
//
// `with` is compared with a call of the same function through one coroutine; healing with the same
// number of bare reconnects. A reconnect here is a wait of fixed length on the system's clock, so
// that what is added to it is ours. Each run measures the reference directly before the figure.
#include "semper/durable/durable.h"

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "semper/env/scheduler.h"
#include "support/arguments.h"
#include "support/report.h"

namespace semper::bench {
namespace {

using namespace std::chrono_literals;

struct DurableSettings : CommonSettings {
  DurableSettings() : CommonSettings(7) {}

  int calls() const { return smoke ? 2'000 : 2'000'000; }
  int values() const { return smoke ? 200 : 10'000; }
};

using Nanoseconds = std::chrono::duration<double, std::nano>;
using Milliseconds = std::chrono::duration<double, std::milli>;

std::chrono::steady_clock::time_point now() {
  return std::chrono::steady_clock::now();
}

Async<int> bump(int& value) {
  co_return ++value;
}

// A function called through one coroutine: its own.
Task<double> bare_calls(int calls) {
  int value = 0;
  const auto begun = now();
  for (int i = 0; i < calls; ++i) {
    if (!co_await bump(value)) std::abort();
  }
  co_return Nanoseconds(now() - begun).count() / calls;
}

Task<double> durable_calls(int calls) {
  auto durable = Durable<int>::create([]() -> Async<int> { co_return 0; },
                                      [](const int& value) { return value < 0; });
  if (!co_await durable.with(bump)) std::abort();
  const auto begun = now();
  for (int i = 0; i < calls; ++i) {
    if (!co_await durable.with(bump)) std::abort();
  }
  co_return Nanoseconds(now() - begun).count() / calls;
}

void measure_with(const DurableSettings& settings, Report& report) {
  Row row{.name = "with() on an intact value, uncontended",
          .values = {},
          .unit = "ns",
          .reference_name = "one coroutine"};
  row.bar = {Bar::Kind::at_most_difference, 100};
  for (int run = 0; run < settings.rounds(); ++run) {
    progress("with(): run " + std::to_string(run + 1));
    Scheduler scheduler;
    row.references.push_back(scheduler.block_on(bare_calls(settings.calls())));
    row.values.push_back(scheduler.block_on(durable_calls(settings.calls())));
  }
  report.add(std::move(row));
}

constexpr auto kReconnect = 20ms;

Async<int> reconnect() {
  SEMPER_CO_TRY_STATUS(co_await sleep_for(system_clock(), kReconnect));
  co_return 1;
}

// Runs `one` for each number at once; the milliseconds until the last has ended.
template <class F>
Task<double> all_at_once(int count, F one) {
  const auto executor = co_await asio::this_coro::executor;
  OneShot<int> ended;
  int left = count;
  const auto begun = now();
  for (int i = 0; i < count; ++i) {
    asio::co_spawn(
        executor,
        [](F& run, int number, int& waiting, OneShot<int> all) -> Task<void> {
          co_await run(number);
          if (--waiting == 0) all.set(0);
        }(one, i, left, ended),
        asio::detached);
  }
  if (!co_await ended.wait()) std::abort();
  co_return Milliseconds(now() - begun).count();
}

Task<double> bare_reconnects(int count) {
  co_return co_await all_at_once(count, [](int) -> Task<void> {
    if (!co_await reconnect()) std::abort();
  });
}

Task<double> healing(int count) {
  DurableOptions<int> options;
  options.retry = std::nullopt;  // the time of pauses is not what is measured
  std::vector<Durable<int>> values;
  for (int i = 0; i < count; ++i) {
    values.push_back(Durable<int>::create(
        reconnect, [](const int&) { return false; }, options));
  }
  auto use = [&values](int number) -> Task<void> {
    if (!co_await values[static_cast<std::size_t>(number)].with(bump)) std::abort();
  };
  co_await all_at_once(count, use);
  for (auto& value : values) value.invalidate();
  co_return co_await all_at_once(count, use);
}

// Eager repair: nobody calls `with`. From the break to the last value that is built again.
constexpr auto kRepairEvery = 100ms;

Task<double> repair(int count) {
  int generation = 0;
  int built = 0;
  OneShot<int> all;
  auto build = [&]() -> Async<int> {
    SEMPER_CO_TRY_STATUS(co_await sleep_for(system_clock(), kReconnect));
    if (++built == count) all.set(0);
    co_return generation;
  };
  DurableOptions<int> options;
  options.executor = co_await asio::this_coro::executor;
  options.repair_every = kRepairEvery;
  options.retry = std::nullopt;
  std::vector<Durable<int>> values;
  for (int i = 0; i < count; ++i) {
    auto is_broken = [&](const int& value) { return value != generation; };
    values.push_back(Durable<int>::create(build, is_broken, options));
  }
  if (!co_await all.wait()) std::abort();
  all = OneShot<int>();
  built = 0;
  ++generation;
  const auto begun = now();
  if (!co_await all.wait()) std::abort();
  const double taken = Milliseconds(now() - begun).count();
  for (auto& value : values) co_await value.join();
  co_return taken;
}

void measure_healing(const DurableSettings& settings, Report& report) {
  Row row{.name = std::to_string(settings.values()) + " values broken at once, all healed",
          .values = {},
          .unit = "ms",
          .reference_name = "bare reconnects"};
  row.bar = {Bar::Kind::at_most_ratio, 2};
  Row eager{.name = "the same by eager repair, each 100 ms",
            .values = {},
            .unit = "ms",
            .reference_name = "100 ms and bare reconnects"};
  eager.bar = row.bar;
  for (int run = 0; run < settings.rounds(); ++run) {
    progress("healing: run " + std::to_string(run + 1));
    Scheduler scheduler;
    row.references.push_back(scheduler.block_on(bare_reconnects(settings.values())));
    row.values.push_back(scheduler.block_on(healing(settings.values())));
    eager.references.push_back(row.references.back() + Milliseconds(kRepairEvery).count());
    eager.values.push_back(scheduler.block_on(repair(settings.values())));
  }
  report.add(std::move(row));
  report.add(std::move(eager));
}

}  // namespace
}  // namespace semper::bench

int main(int argc, char** argv) {
  using namespace semper::bench;
  DurableSettings settings;
  const Arguments arguments = parse_arguments(argc, argv, {"with", "healing"}, settings);
  if (arguments != Arguments::good) return exit_code(arguments);
  Report report("durable", settings.json);
  if (settings.wants("with")) measure_with(settings, report);
  if (settings.wants("healing")) measure_healing(settings, report);
  return report.finish();
}
