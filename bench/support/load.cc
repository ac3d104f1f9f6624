#include "load.h"

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <utility>

#include "report.h"

namespace semper::bench {
namespace {

using Steady = std::chrono::steady_clock;

double seconds_since(Steady::time_point start) {
  return std::chrono::duration<double>(Steady::now() - start).count();
}

struct Shared {
  Steady::time_point start = Steady::now();
  std::atomic<std::uint64_t> sent{0};
};

// One latency in so many is kept.
constexpr std::uint64_t kSampleEvery = 4;

Task<std::vector<double>> work(const Store& store, const Load& load, std::size_t worker,
                               Shared& shared) {
  SeededRandom random(worker + 1);
  std::vector<double> latencies;
  std::vector<std::pair<std::size_t, Ref<Meter>>> refs;
  const std::string payload = message_payload();
  for (std::uint64_t n = 0;; ++n) {
    const auto now = Steady::now();
    const bool over =
        load.messages > 0
            ? shared.sent.fetch_add(1) >= load.messages
            : std::chrono::duration<double>(now - shared.start).count() >= load.seconds;
    if (over) break;
    const std::size_t entity = load.choose(worker, n, random);
    // A worker that stays with one entity keeps its Ref, as a program would.
    if (refs.empty() || refs.front().first != entity) {
      refs.clear();
      refs.emplace_back(entity, ref<Meter>(store, entity_name(entity)));
    }
    Meter::Put message{payload};
    Status status;
    if (load.send == Send::call) {
      auto reply = co_await refs.front().second.call(std::move(message));
      if (!reply) status = fail(reply.error());
    } else {
      status = co_await refs.front().second.cast(std::move(message));
    }
    if (!status) {
      std::fprintf(stderr, "bench: %s\n", status.error().to_string().c_str());
      std::exit(1);
    }
    if (load.messages == 0) shared.sent.fetch_add(1, std::memory_order_relaxed);
    if (n % kSampleEvery == 0) {
      latencies.push_back(std::chrono::duration<double, std::micro>(Steady::now() - now).count());
    }
  }
  co_return latencies;
}

}  // namespace

void Meter::handle_cast(const Put& put, State& state, Context&) {
  ++state.messages;
  state.bytes += static_cast<std::int64_t>(put.payload.size());
  if (on_cast) on_cast();
}

std::string entity_name(std::size_t number) {
  char text[32];
  std::snprintf(text, sizeof text, "meter-%08zu", number);
  return text;
}

std::string message_payload() {
  return std::string(100, 'm');
}

Store open_or_exit(const std::string& url) {
  Scheduler scheduler;
  auto store = scheduler.block_on(open_store(url));
  if (store) return *store;
  std::fprintf(stderr, "bench: %s\n", store.error().to_string().c_str());
  std::exit(1);
}

LoadResult run_load(Scheduler& scheduler, const Store& store, const Load& load) {
  Shared shared;
  LoadResult result;
  std::vector<std::future<std::vector<double>>> futures;
  for (std::size_t worker = 0; worker < load.workers; ++worker) {
    auto promise = std::make_shared<std::promise<std::vector<double>>>();
    futures.push_back(promise->get_future());
    asio::co_spawn(scheduler.executor(), work(store, load, worker, shared),
                   [promise](std::exception_ptr, std::vector<double> latencies) {
                     promise->set_value(std::move(latencies));
                   });
  }
  for (auto& future : futures) {
    const auto latencies = future.get();
    result.latencies_us.insert(result.latencies_us.end(), latencies.begin(), latencies.end());
  }
  const double took = seconds_since(shared.start);
  result.count = load.messages > 0 ? load.messages : shared.sent.load();
  result.per_second = static_cast<double>(result.count) / took;
  return result;
}

void fill(Scheduler& scheduler, const Store& store, std::size_t count) {
  std::atomic<std::size_t> next{0};
  Load load;
  load.workers = std::min<std::size_t>(count, 2'000);
  load.messages = count;
  load.choose = [&](std::size_t, std::uint64_t, Random&) {
    const std::size_t entity = next.fetch_add(1) % count;
    if (entity % 10'000 == 0) progress("filling the store: " + std::to_string(entity));
    return entity;
  };
  run_load(scheduler, store, load);
  progress("");
}

}  // namespace semper::bench
