#include "ring/bench.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "common/document.h"
#include "common/temporary_folder.h"
#include "common/text.h"
#include "ring/device.h"
#include "semper/env/one_shot.h"

namespace semper::cli {
namespace {

constexpr Duration kRingDurationMaximum = std::chrono::minutes(10);
constexpr std::uint64_t kRingCallersMaximum = 10'000;
constexpr std::size_t kItemBytes = 1024;
constexpr std::size_t kSmallItemBytes = 64;
constexpr std::size_t kRingSamplesMaximum = 1'000'000;
constexpr Duration kBenchWaitSlice = std::chrono::milliseconds(50);

struct RingShape {
  const char* name;
  const char* words;
  std::uint64_t callers;
  std::size_t item_bytes;
};

struct RingFigures {
  std::uint64_t items = 0;
  double per_second = 0;
  Duration median{};
  Duration percentile_99{};
};

// What the coroutines of one measurement share.
struct RingLoad {
  ring::Producer* producer;
  Clock* clock;
  const Interrupt* interrupt;
  MonotonicTime end;
  Bytes item;
  std::uint64_t running = 0;
  std::uint64_t done = 0;
  std::vector<Duration> latencies;
  std::optional<Error> failure;
  OneShot<std::monostate> finished;
};

Task<void> keep_publishing(std::shared_ptr<RingLoad> load) {
  while (!load->failure && !load->interrupt->requested()) {
    const MonotonicTime start = load->clock->now();
    if (start >= load->end) break;
    const ring::ItemList item(load->item);
    const auto end = co_await load->producer->publish(item, load->clock->after(kBenchWaitSlice));
    if (!end && end.error().kind() == ErrorKind::timeout) continue;
    if (!end) {
      load->failure = end.error();
      break;
    }
    ++load->done;
    if (load->latencies.size() < kRingSamplesMaximum) {
      load->latencies.push_back(load->clock->now() - start);
    }
  }
  if (--load->running == 0) load->finished.set({});
}

// Keeps room in the ring until told to end, and counts what it removed.
struct Drain {
  ring::Consumer* consumer;
  Clock* clock;
  bool ending = false;
  std::optional<Error> failure;
  OneShot<std::monostate> finished;
};

Async<void> drain_once(ring::Consumer& consumer, MonotonicTime deadline) {
  const ring::PopLimits limits;
  const auto items = co_await consumer.pop_many({}, limits, deadline);
  if (!items) co_return fail(items.error());
  co_return co_await consumer.advance(items->back().after);
}

Task<void> keep_draining(std::shared_ptr<Drain> drain) {
  while (true) {
    const Status status =
        co_await drain_once(*drain->consumer, drain->clock->after(kBenchWaitSlice));
    const bool nothing = !status && (status.error().kind() == ErrorKind::timeout ||
                                     status.error().kind() == ErrorKind::retry);
    if (!status && !nothing) drain->failure = status.error();
    if (drain->failure || (nothing && drain->ending)) break;
  }
  drain->finished.set({});
}

class RingBench {
 public:
  RingBench(ring::Producer& producer, ring::Consumer& consumer, Clock& clock, Duration duration,
            const Interrupt& interrupt)
      : producer_(producer),
        consumer_(consumer),
        clock_(clock),
        duration_(duration),
        interrupt_(interrupt) {}

  // Each caller publishes one item after the other, while the consumer makes room.
  Async<RingFigures> publish(const RingShape& shape) {
    auto drain = std::make_shared<Drain>();
    drain->consumer = &consumer_;
    drain->clock = &clock_;
    const auto executor = co_await asio::this_coro::executor;
    asio::co_spawn(executor, keep_draining(drain), asio::detached);
    auto load = std::make_shared<RingLoad>();
    load->producer = &producer_;
    load->clock = &clock_;
    load->interrupt = &interrupt_;
    load->item = Bytes(shape.item_bytes, 'x');
    load->running = shape.callers;
    const MonotonicTime start = clock_.now();
    load->end = clock_.after(duration_);
    for (std::uint64_t i = 0; i < shape.callers; ++i) {
      asio::co_spawn(executor, keep_publishing(load), asio::detached);
    }
    SEMPER_CO_TRY_STATUS(co_await load->finished.wait());
    const double seconds = std::chrono::duration<double>(clock_.now() - start).count();
    drain->ending = true;
    SEMPER_CO_TRY_STATUS(co_await drain->finished.wait());
    if (load->failure) co_return fail(load->failure->in(shape.words));
    if (drain->failure) co_return fail(drain->failure->in(shape.words));
    std::sort(load->latencies.begin(), load->latencies.end());
    RingFigures figures;
    figures.items = load->done;
    figures.per_second = static_cast<double>(load->done) / seconds;
    if (!load->latencies.empty()) {
      figures.median = load->latencies[load->latencies.size() / 2];
      figures.percentile_99 = load->latencies[load->latencies.size() * 99 / 100];
    }
    co_return figures;
  }

  bool interrupted() const { return interrupt_.requested(); }

 private:
  ring::Producer& producer_;
  ring::Consumer& consumer_;
  Clock& clock_;
  const Duration duration_;
  const Interrupt& interrupt_;
};

Bytes figures_item(const RingShape& shape, const RingFigures& figures) {
  const auto microseconds = [](Duration span) {
    return real_item(std::chrono::duration<double, std::micro>(span).count());
  };
  return Fields()
      .add("name", text_item(shape.name))
      .add("items", number_item(figures.items))
      .add("per_second", real_item(figures.per_second))
      .add("p50_us", microseconds(figures.median))
      .add("p99_us", microseconds(figures.percentile_99))
      .item();
}

Async<void> run_loads(Invocation& invocation, RingBench& bench, std::uint64_t callers) {
  std::vector<std::vector<std::string>> rows = {{"LOAD", "ITEMS/S", "P50", "P99"}};
  const std::vector<RingShape> shapes = {
      {"publish_one", "1 KiB items, one caller", 1, kItemBytes},
      {"publish_many", "64-byte items, many callers", callers, kSmallItemBytes}};
  for (const RingShape& shape : shapes) {
    SEMPER_CO_TRY(const RingFigures figures, co_await bench.publish(shape));
    if (bench.interrupted()) break;
    if (invocation.json())
      SEMPER_CO_TRY_STATUS(invocation.print_event(figures_item(shape, figures)));
    rows.push_back({shape.words, std::to_string(static_cast<std::uint64_t>(figures.per_second)),
                    shown_latency(figures.median), shown_latency(figures.percentile_99)});
  }
  if (!invocation.json() && rows.size() > 1) invocation.print(table(rows));
  if (bench.interrupted()) invocation.note("interrupted; what was not measured is left out");
  co_return Status{};
}

}  // namespace

Async<void> ring_bench(Invocation& invocation, RingBenchArguments arguments) {
  SEMPER_CO_TRY(const Duration duration, parse_span_option("--duration", arguments.duration));
  if (duration <= Duration(0) || duration > kRingDurationMaximum) {
    co_return fail(ErrorKind::invalid_argument, "--duration is more than 0 and 10m at most");
  }
  if (arguments.callers < 1 || arguments.callers > kRingCallersMaximum) {
    co_return fail(
        ErrorKind::invalid_argument,
        "--callers is 1 at least and " + std::to_string(kRingCallersMaximum) + " at most");
  }
  const auto size = parse_size(arguments.size);
  if (!size) co_return fail(size.error().in("--size"));
  SEMPER_CO_TRY(const auto folder, TemporaryFolder::make(arguments.directory));
  RingPlace place;
  place.path = folder->path() + "/bench.ring";
  SEMPER_CO_TRY_STATUS(make_ring_file(invocation, place.path, *size));
  SEMPER_CO_TRY(const auto writing, open_ring_device(place, DeviceAccess::read_write));
  SEMPER_CO_TRY(const auto reading, open_ring_device(place, DeviceAccess::read_write));
  invocation.say("on " + shown(place.path) +
                 ", which is removed afterwards: " + writing->description());
  const ring::CreateOptions create_options;
  SEMPER_CO_TRY_STATUS(co_await ring::create(*writing, create_options));
  SEMPER_CO_TRY(const auto options, attach_options(place, "bench"));
  SEMPER_CO_TRY(ring::Producer producer, co_await ring::Producer::attach(*writing, options));
  SEMPER_CO_TRY(ring::Consumer consumer, co_await ring::Consumer::attach(*reading, options));
  Status status;
  {
    RingBench bench(producer, consumer, *options.env.clock, duration, invocation.interrupt());
    status = co_await run_loads(invocation, bench, arguments.callers);
  }
  SEMPER_CO_TRY_STATUS(co_await producer.detach());
  SEMPER_CO_TRY_STATUS(co_await consumer.detach());
  co_return status;
}

}  // namespace semper::cli
