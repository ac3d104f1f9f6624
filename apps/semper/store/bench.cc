#include "store/bench.h"

#include <algorithm>
#include <cstdio>
#include <memory>
#include <utility>
#include <variant>

#include "common/document.h"
#include "common/temporary_folder.h"
#include "common/text.h"
#include "semper/env/one_shot.h"
#include "semper/server/host.h"
#include "semper/server/ref.h"
#include "semper/store/subspace.h"

namespace semper::cli {
namespace {

constexpr std::size_t kCallersMaximum = 10'000;
constexpr Duration kDurationMaximum = std::chrono::minutes(10);
// Latencies kept of one measurement; the percentiles are those of the first ones.
constexpr std::size_t kSamplesMaximum = 4'000'000;
constexpr std::size_t kRunNameBytes = 4;

// What the load is made of.
struct BenchCounter {
  static constexpr std::string_view kName = "semper.bench";
  using State = std::int64_t;
  struct Add {
    std::int64_t by = 1;
    using Reply = std::int64_t;
  };
  using Messages = semper::Messages<Add>;

  Result<State> init(const EntityId&) { return 0; }
  Reply<std::int64_t> handle_call(const Add& add, State& state, Context&) {
    return state += add.by;
  }
  void handle_cast(const Add& add, State& state, Context&) { state += add.by; }
};

// One way of loading: so many callers, each waiting for its own message before the next.
struct Load {
  const char* name;
  const char* words;
  enum class Way { call, cast } way;
  std::size_t callers;
  std::size_t entities;
};

// What all callers of one measurement share.
struct Measurement {
  Clock* clock;
  const Interrupt* interrupt;
  MonotonicTime end;
  std::size_t running = 0;
  std::uint64_t done = 0;
  std::vector<Duration> latencies;
  std::optional<Error> failure;
  OneShot<std::monostate> finished;
};

struct Figures {
  double per_second = 0;
  Duration median{};
  Duration percentile_99{};
  Duration slowest{};
  std::uint64_t messages = 0;
};

Task<void> keep_calling(std::shared_ptr<Measurement> shared, Ref<BenchCounter> entity,
                        Load::Way way) {
  CallOptions options;
  options.timeout = kForever;
  while (!shared->failure && !shared->interrupt->requested()) {
    const MonotonicTime start = shared->clock->now();
    if (start >= shared->end) break;
    Status status;
    if (way == Load::Way::call) {
      auto reply = co_await entity.call(BenchCounter::Add{}, options);
      if (!reply) status = fail(reply.error());
    } else {
      status = co_await entity.cast(BenchCounter::Add{});
    }
    if (!status) {
      shared->failure = status.error();
      break;
    }
    ++shared->done;
    if (shared->latencies.size() < kSamplesMaximum) {
      shared->latencies.push_back(shared->clock->now() - start);
    }
  }
  if (--shared->running == 0) shared->finished.set({});
}

Duration percentile(const std::vector<Duration>& sorted, double share) {
  if (sorted.empty()) return {};
  const auto index = static_cast<std::size_t>(share * static_cast<double>(sorted.size()));
  return sorted[std::min(index, sorted.size() - 1)];
}

class Bench {
 public:
  Bench(Tenant tenant, Duration duration, const Interrupt& interrupt)
      : tenant_(std::move(tenant)), duration_(duration), interrupt_(interrupt) {}

  Async<Figures> measure(Load load) {
    Clock& clock = *tenant_.store()->env().clock;
    auto shared = std::make_shared<Measurement>();
    shared->clock = &clock;
    shared->interrupt = &interrupt_;
    std::vector<Ref<BenchCounter>> entities;
    for (std::size_t i = 0; i < load.entities; ++i) {
      entities.push_back(
          ref<BenchCounter>(tenant_, std::string(load.name) + "/" + std::to_string(i)));
    }
    const MonotonicTime start = clock.now();
    shared->end = start + duration_;
    shared->running = load.callers;
    const auto executor = co_await asio::this_coro::executor;
    for (std::size_t i = 0; i < load.callers; ++i) {
      asio::co_spawn(executor, keep_calling(shared, entities[i % load.entities], load.way),
                     asio::detached);
    }
    SEMPER_CO_TRY_STATUS(co_await shared->finished.wait());
    const double seconds = std::chrono::duration<double>(clock.now() - start).count();
    if (shared->failure) co_return fail(shared->failure->in(load.words));
    std::sort(shared->latencies.begin(), shared->latencies.end());
    Figures figures;
    figures.messages = shared->done;
    figures.per_second = static_cast<double>(shared->done) / seconds;
    figures.median = percentile(shared->latencies, 0.5);
    figures.percentile_99 = percentile(shared->latencies, 0.99);
    figures.slowest = percentile(shared->latencies, 1);
    co_return figures;
  }

 private:
  const Tenant tenant_;
  const Duration duration_;
  const Interrupt& interrupt_;
};

Bytes figures_item(const Load& load, const Figures& figures) {
  const auto microseconds = [](Duration span) {
    return real_item(std::chrono::duration<double, std::micro>(span).count());
  };
  return Fields()
      .add("name", text_item(load.name))
      .add("callers", number_item(load.callers))
      .add("entities", number_item(load.entities))
      .add("messages", number_item(figures.messages))
      .add("per_second", real_item(figures.per_second))
      .add("p50_us", microseconds(figures.median))
      .add("p99_us", microseconds(figures.percentile_99))
      .add("max_us", microseconds(figures.slowest))
      .item();
}

// With the host running.
Async<void> run_loads(Invocation& invocation, Bench& bench, std::size_t callers) {
  const std::vector<Load> loads = {
      {"call_one", "calls, one caller", Load::Way::call, 1, 1},
      {"call_many", "calls, many entities", Load::Way::call, callers, callers},
      {"cast_one_entity", "casts, one entity", Load::Way::cast, callers, 1}};
  const Interrupt& interrupt = invocation.interrupt();
  std::vector<std::vector<std::string>> rows = {
      {"LOAD", "CALLERS", "MESSAGES/S", "P50", "P99", "SLOWEST"}};
  Status status;
  std::size_t measured = 0;
  for (const auto& load : loads) {
    auto figures = co_await bench.measure(load);
    if (!figures) status = fail(figures.error());
    if (!figures || interrupt.requested()) break;
    ++measured;
    if (invocation.json()) {
      SEMPER_CO_TRY_STATUS(invocation.print_event(figures_item(load, *figures)));
    }
    rows.push_back({load.words, std::to_string(load.callers),
                    std::to_string(static_cast<std::uint64_t>(figures->per_second)),
                    shown_latency(figures->median), shown_latency(figures->percentile_99),
                    shown_latency(figures->slowest)});
  }
  if (!invocation.json() && measured > 0) invocation.print(table(rows));
  if (status && measured < loads.size()) {
    co_return fail(ErrorKind::cancelled, "interrupted after " + std::to_string(measured) + " of " +
                                             std::to_string(loads.size()) +
                                             " measurements; what it had written is removed");
  }
  co_return status;
}

// The part of the store that one run has to itself, and empties in the end.
Bytes prefix_of_run(const Store& store) {
  const std::string run = to_hex(store.env().random->bytes(kRunNameBytes));
  return Subspace(Tuple{std::string(BenchCounter::kName), run}).prefix();
}

Async<void> load_store(Invocation& invocation, Store store, Duration duration,
                       std::size_t callers) {
  const Bytes prefix = prefix_of_run(store);
  const Tenant tenant(store, prefix);
  Status status;
  {
    Host host(tenant);
    host.serve<BenchCounter>();
    status = co_await host.start();
    if (status) {
      Bench bench(tenant, duration, invocation.interrupt());
      status = co_await run_loads(invocation, bench, callers);
    }
    const Status stopped = co_await host.stop();
    if (status) status = stopped;
  }
  const auto clear = [&prefix](Transaction& transaction) -> Async<void> {
    const auto everything = prefix_range(prefix);
    if (everything) transaction.clear_range(*everything);
    co_return Status{};
  };
  const Status cleared = co_await store.transact(clear);
  co_return status ? cleared : status;
}

}  // namespace

Async<void> bench(Invocation& invocation, BenchArguments arguments) {
  SEMPER_CO_TRY(const Duration duration, parse_span_option("--duration", arguments.duration));
  if (duration <= Duration(0) || duration > kDurationMaximum) {
    co_return fail(ErrorKind::invalid_argument, "--duration is more than 0 and 10m at most");
  }
  if (arguments.callers < 1 || arguments.callers > kCallersMaximum) {
    co_return fail(ErrorKind::invalid_argument,
                   "--callers is 1 at least and " + std::to_string(kCallersMaximum) + " at most");
  }
  const Settings& settings = invocation.settings();
  const bool given = !settings.store.empty() && !settings.store_is_from_environment;
  if (given && !arguments.directory.empty()) {
    co_return fail(ErrorKind::invalid_argument,
                   "--store and --directory do not go together: name the store that is loaded, or "
                   "the folder in which one is made for it");
  }
  if (given) {
    SEMPER_CO_TRY(const Store store, co_await invocation.open(Invocation::Purpose::change));
    invocation.say("on " + shown(store.url()));
    co_return co_await load_store(invocation, store, duration, arguments.callers);
  }
  SEMPER_CO_TRY(const auto folder, TemporaryFolder::make(arguments.directory));
  SEMPER_CO_TRY(const Store store,
                co_await invocation.open_other("sqlite:" + folder->path() + "/bench.db",
                                               Invocation::Purpose::create));
  invocation.say("on " + shown(store.url()) + ", which is removed afterwards");
  const Status status = co_await load_store(invocation, store, duration, arguments.callers);
  const Status closed = co_await invocation.close();
  co_return status ? closed : status;
}

}  // namespace semper::cli
