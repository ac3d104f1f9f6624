#include "ring_parts.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <optional>
#include <utility>

#include "semper/block/file_block_device.h"
#include "semper/env/one_shot.h"
#include "semper/env/scheduler.h"
#include "semper/ring/journal.h"
#include "semper/ring/ring.h"

extern char** environ;  // NOLINT: POSIX

namespace semper::bench::ring_parts {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::size_t kPage = 4096;
constexpr std::size_t kBig = std::size_t{1} << 20;
constexpr std::size_t kItem = 1024;
// Items a second each way of the OCaml library in its fastest mode, on this kind of machine.
constexpr double kOcamlItems = 73'000;

[[noreturn]] void give_up(const std::string& why) {
  std::fprintf(stderr, "bench_ring: %s\n", why.c_str());
  std::exit(1);
}

void must(const Status& status) {
  if (!status) give_up(status.error().to_string());
}

template <class T>
T must(Result<T> result) {
  if (!result) give_up(result.error().to_string());
  return std::move(*result);
}

double microseconds_since(Clock::time_point start) {
  return std::chrono::duration<double, std::micro>(Clock::now() - start).count();
}

double per_second(std::size_t count, Clock::time_point start) {
  return static_cast<double>(count) / microseconds_since(start) * 1e6;
}

// The references: a preallocated file of the same size in the same folder.
class BareFile {
 public:
  BareFile(const std::string& path, std::uint64_t size) : size_(size) {
    must(create_block_file(path, {.size = size}));
    descriptor_ = ::open(path.c_str(), O_RDWR | O_DIRECT | O_CLOEXEC);
    if (descriptor_ < 0) give_up("no O_DIRECT in this folder; run it on ext4 or xfs");
  }
  BareFile(const BareFile&) = delete;
  BareFile& operator=(const BareFile&) = delete;
  ~BareFile() { ::close(descriptor_); }

  double write_and_flush_p50(std::size_t count) {
    const AlignedBuffer page(kPage);
    std::vector<double> times;
    for (std::size_t i = 0; i < count; ++i) {
      const auto start = Clock::now();
      write(page, i * kPage % size_);
      flush();
      times.push_back(microseconds_since(start));
    }
    return median(std::move(times));
  }

  // MB/s
  double bandwidth(std::uint64_t bytes) {
    const AlignedBuffer big(kBig);
    const auto start = Clock::now();
    for (std::uint64_t at = 0; at < bytes; at += kBig) write(big, at % size_);
    flush();
    return static_cast<double>(bytes) / microseconds_since(start);
  }

 private:
  void write(const AlignedBuffer& from, std::uint64_t offset) const {
    if (::pwrite(descriptor_, from.data(), from.size(), static_cast<off_t>(offset)) !=
        static_cast<ssize_t>(from.size())) {
      give_up("a bare write failed");
    }
  }
  void flush() const {
    if (::fdatasync(descriptor_) != 0) give_up("a bare flush failed");
  }

  std::uint64_t size_;
  int descriptor_ = -1;
};

Async<void> ignore_all(ring::Consumer& consumer) {
  for (;;) {
    const auto items = co_await consumer.pop_many();
    if (!items && items.error().kind() == ErrorKind::retry) co_return Status{};
    if (!items) co_return fail(items.error());
    SEMPER_CO_TRY_STATUS(co_await consumer.advance(items->back().after));
  }
}

// A fresh ring with both sides attached, each on its own handle of the device.
struct Rig {
  Rig(const std::string& path, std::uint64_t size, ring::Format format, FileDeviceOptions how,
      ring::Flush flush = ring::Flush::always) {
    must(create_block_file(path, {.size = size, .existing = Existing::replace}));
    producer_device = must(open_block_device(path, how));
    consumer_device = must(open_block_device(path, how));
    ring::CreateOptions create;
    create.format = format;
    must(scheduler.block_on(ring::create(*producer_device, create)));
    ring::AttachOptions attach;
    attach.flush = flush;
    producer.emplace(must(scheduler.block_on(ring::Producer::attach(*producer_device, attach))));
    consumer.emplace(must(scheduler.block_on(ring::Consumer::attach(*consumer_device, attach))));
  }
  ~Rig() {
    must(scheduler.block_on(producer->detach()));
    must(scheduler.block_on(consumer->detach()));
  }
  void drain() { must(scheduler.block_on(ignore_all(*consumer))); }

  std::unique_ptr<BlockDevice> producer_device;
  std::unique_ptr<BlockDevice> consumer_device;
  std::optional<ring::Producer> producer;
  std::optional<ring::Consumer> consumer;
  Scheduler scheduler;  // the last: nothing runs on it when the rest goes
};

Async<void> time_singles(ring::Producer& producer, std::size_t count, std::vector<double>& times) {
  const Bytes item(kItem, 'x');
  for (std::size_t i = 0; i < count; ++i) {
    const auto start = Clock::now();
    if (producer.format() == ring::Format::semper_1) {
      SEMPER_CO_TRY_STATUS(co_await producer.publish(item));
    } else {
      SEMPER_CO_TRY(const auto end, co_await producer.push(item));
      SEMPER_CO_TRY_STATUS(co_await producer.advance(end));
    }
    times.push_back(microseconds_since(start));
  }
  co_return Status{};
}

struct Load {
  std::size_t writers = 64;
  std::size_t calls = 100;  // of each
  std::size_t batch = 1;    // items of a call
  std::size_t item_bytes = kItem;

  std::size_t items() const { return writers * calls * batch; }
};

// Runs `writers` coroutines of `call` each so many times, together.
template <class Call>
Async<void> together(std::size_t writers, std::size_t calls, Call call) {
  const auto executor = co_await asio::this_coro::executor;
  std::size_t left = writers;
  OneShot<int> ended;
  auto writer = [&]() -> Task<void> {
    for (std::size_t i = 0; i < calls; ++i) must(co_await call());
    if (--left == 0) ended.set(1);
  };
  for (std::size_t i = 0; i < writers; ++i) asio::co_spawn(executor, writer(), asio::detached);
  SEMPER_CO_TRY_STATUS(co_await ended.wait());
  co_return Status{};
}

// Items a second.
double publish_rate(Rig& rig, const Load& load) {
  const std::vector<Bytes> items(load.batch, Bytes(load.item_bytes, 'y'));
  const auto call = [&]() -> Async<void> {
    SEMPER_CO_TRY_STATUS(co_await rig.producer->publish(items));
    co_return Status{};
  };
  const auto start = Clock::now();
  must(rig.scheduler.block_on(together(load.writers, load.calls, call)));
  return per_second(load.items(), start);
}

void run_single(const Settings& settings, Report& report) {
  const WorkFolder folder("ring");
  BareFile bare(folder.path() + "/bare", settings.device_bytes());
  const std::size_t count = settings.scaled(3'000, 20);
  struct Way {
    ring::Format format;
    IoMode mode;
    const char* name;
    double limit;
  };
  for (const Way way :
       {Way{ring::Format::semper_1, IoMode::inline_blocking, "semper-1 publish 1 KiB p50, inline",
            1.15},
        Way{ring::Format::semper_1, IoMode::automatic, "semper-1 publish 1 KiB p50, default", 1.15},
        Way{ring::Format::mirage_1_0, IoMode::inline_blocking,
            "mirage-1.0 push+advance 1 KiB p50, inline", 2.3},
        Way{ring::Format::mirage_1_0, IoMode::automatic,
            "mirage-1.0 push+advance 1 KiB p50, default", 2.3}}) {
    Row row{.name = way.name,
            .values = {},
            .unit = "us",
            .reference_name = "4 KiB pwrite + fdatasync",
            .bar = {Bar::Kind::at_most_ratio, way.limit}};
    Rig rig(folder.path() + "/ring", settings.device_bytes(), way.format, {.mode = way.mode});
    for (int i = 0; i < settings.rounds(); ++i) {
      row.references.push_back(bare.write_and_flush_p50(count));
      std::vector<double> times;
      must(rig.scheduler.block_on(time_singles(*rig.producer, count, times)));
      row.values.push_back(median(std::move(times)));
      rig.drain();
    }
    report.add(row);
  }
}

void run_bandwidth(const Settings& settings, Report& report) {
  const WorkFolder folder("ring");
  BareFile bare(folder.path() + "/bare", settings.device_bytes());
  Rig rig(folder.path() + "/ring", settings.device_bytes(), ring::Format::semper_1, {});
  struct Way {
    const char* name;
    Load load;
  };
  const std::size_t bytes = 16'384;
  for (const Way way :
       {Way{"16 KiB items one by one, 64 coroutines", {64, settings.scaled(90, 2), 1, bytes}},
        Way{"16 KiB items one by one, 256 coroutines", {256, settings.scaled(22, 1), 1, bytes}},
        Way{"16 KiB items in batches of 64, 4 coroutines",
            {4, settings.scaled(22, 1), 64, bytes}}}) {
    Row row{.name = way.name,
            .values = {},
            .unit = "MB/s",
            .reference_name = "1 MiB O_DIRECT pwrite",
            .bar = {Bar::Kind::at_least_ratio, 0.8}};
    const std::uint64_t volume = settings.scaled(96 * kBig, kBig);
    for (int i = 0; i < settings.rounds(); ++i) {
      row.references.push_back(bare.bandwidth(volume));
      row.values.push_back(publish_rate(rig, way.load) * static_cast<double>(bytes) / 1e6);
      rig.drain();
    }
    report.add(row);
  }
}

void run_small(const Settings& settings, Report& report) {
  const WorkFolder folder("ring");
  Rig rig(folder.path() + "/ring", settings.device_bytes(), ring::Format::semper_1, {});
  Row row{.name = "64 B items, 64 coroutines",
          .values = {},
          .unit = "items/s",
          .reference_name = "constant: 100,000 items/s",
          .bar = {Bar::Kind::at_least_ratio, 1}};
  for (int i = 0; i < settings.rounds(); ++i) {
    row.references.push_back(100'000);
    row.values.push_back(publish_rate(rig, {64, settings.scaled(3'000, 2), 1, 64}));
    rig.drain();
  }
  report.add(row);
}

void run_pop(const Settings& settings, Report& report) {
  const WorkFolder folder("ring");
  Rig rig(folder.path() + "/ring", settings.device_bytes(), ring::Format::semper_1, {});
  const Load load{8, settings.scaled(90, 1), 128, kItem};
  Row row{.name = "pop+advance, 1 KiB items in batches",
          .values = {},
          .unit = "items/s",
          .reference_name = "publish of batches of 128, 8 at once",
          .bar = {Bar::Kind::at_least_ratio, 1}};
  for (int i = 0; i < settings.rounds(); ++i) {
    row.references.push_back(publish_rate(rig, load));
    const auto start = Clock::now();
    rig.drain();
    row.values.push_back(per_second(load.items(), start));
  }
  report.add(row);
}

FileDeviceOptions cache_only() {
  return {.mode = IoMode::inline_blocking, .cache = DeviceCache::page_cache};
}

// The consumer's process takes them one by one or in batches, as the producer gives them.
Async<void> consume(ring::Consumer& consumer, std::size_t count, std::size_t batch) {
  ring::PopLimits limits;
  limits.max_items = batch;
  for (std::size_t done = 0; done < count;) {
    SEMPER_CO_TRY(const auto items, co_await consumer.pop_many({}, limits, kNever));
    done += items.size();
    SEMPER_CO_TRY_STATUS(co_await consumer.advance(items.back().after));
  }
  co_return Status{};
}

Async<void> produce(ring::Producer& producer, std::size_t count, std::size_t batch) {
  const std::vector<Bytes> items(batch, Bytes(kItem, 'z'));
  for (std::size_t done = 0; done < count; done += batch) {
    SEMPER_CO_TRY_STATUS(co_await producer.publish(items, kNever));
  }
  co_return Status{};
}

double two_processes(const std::string& path, const Settings& settings, std::size_t count,
                     std::size_t batch) {
  must(create_block_file(path, {.size = settings.device_bytes(), .existing = Existing::replace}));
  const auto device = must(open_block_device(path, cache_only()));
  Scheduler scheduler;
  must(scheduler.block_on(ring::create(*device, {})));
  ring::AttachOptions attach;
  attach.flush = ring::Flush::never;
  auto producer = must(scheduler.block_on(ring::Producer::attach(*device, attach)));
  std::vector<std::string> words{"bench_ring", "--role",  batch == 1 ? "one" : "batches", "--file",
                                 path,         "--count", std::to_string(count)};
  std::vector<char*> arguments;
  for (auto& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  const auto start = Clock::now();
  pid_t child = 0;
  if (::posix_spawn(&child, "/proc/self/exe", nullptr, nullptr, arguments.data(), environ) != 0) {
    give_up("cannot start the consumer's process");
  }
  must(scheduler.block_on(produce(producer, count, batch)));
  int ended = 0;
  if (::waitpid(child, &ended, 0) != child || ended != 0) give_up("the consumer's process failed");
  const double rate = per_second(count, start);
  must(scheduler.block_on(producer.detach()));
  return rate;
}

void run_cache(const Settings& settings, Report& report) {
  const WorkFolder folder("ring");
  for (const std::size_t batch : {std::size_t{64}, std::size_t{1}}) {
    Row row{.name = std::string("no flush, two processes, 1 KiB items ") +
                    (batch == 1 ? "one by one" : "in batches of 64"),
            .values = {},
            .unit = "items/s",
            .reference_name = "constant of another day: the OCaml library's fastest mode",
            .bar = {Bar::Kind::at_least_ratio, 3}};
    const std::size_t count = settings.scaled(batch == 1 ? 192'000 : 640'000, 640);
    for (int i = 0; i < settings.rounds(); ++i) {
      row.references.push_back(kOcamlItems);
      row.values.push_back(two_processes(folder.path() + "/ring", settings, count, batch));
    }
    report.add(row);
  }
}

double journal_rate(const std::string& path, const Settings& settings, const Load& load) {
  must(create_block_file(path, {.size = settings.device_bytes(), .existing = Existing::replace}));
  const auto device = must(open_block_device(path));
  Scheduler scheduler;
  ring::Journal::Perform nothing = [](const std::vector<ring::Item>&) -> Async<void> {
    co_return Status{};
  };
  auto journal = must(scheduler.block_on(ring::Journal::start(*device, nothing, {})));
  const Bytes operation(load.item_bytes, 'j');
  const auto call = [&]() -> Async<void> {
    SEMPER_CO_TRY(const auto waiter, co_await journal.push(operation));
    co_return co_await waiter.sync();
  };
  const auto start = Clock::now();
  must(scheduler.block_on(together(load.writers, load.calls, call)));
  const double rate = per_second(load.items(), start);
  must(scheduler.block_on(journal.shutdown()));
  return rate;
}

void run_journal(const Settings& settings, Report& report) {
  const WorkFolder folder("ring");
  const Load load{256, settings.scaled(300, 2), 1, kItem};
  Row row{.name = "journal push with sync, 256 in flight",
          .values = {},
          .unit = "items/s",
          .reference_name = "ring, 256 publishes in flight",
          .bar = {Bar::Kind::at_least_ratio, 0.8}};
  Rig rig(folder.path() + "/ring", settings.device_bytes(), ring::Format::semper_1, {});
  for (int i = 0; i < settings.rounds(); ++i) {
    row.references.push_back(publish_rate(rig, load));
    rig.drain();
    row.values.push_back(journal_rate(folder.path() + "/journal", settings, load));
  }
  report.add(row);
}

// MiB; `field` of /proc/self/status.
double resident(const std::string& field) {
  std::ifstream status("/proc/self/status");
  std::string word;
  while (status >> word) {
    double kilobytes = 0;
    if (word == field + ":" && status >> kilobytes) return kilobytes / 1024;
  }
  return 0;
}

void run_memory(const Settings& settings, Report& report) {
  const WorkFolder folder("ring");
  Row row{.name = "memory, both sides of a default ring at work, peak",
          .values = {},
          .unit = "MiB",
          .bar = {Bar::Kind::at_most_value, 8}};
  const double before = resident("VmRSS");
  std::ofstream("/proc/self/clear_refs") << "5";  // begins the peak anew
  {
    Rig rig(folder.path() + "/ring", settings.device_bytes(), ring::Format::semper_1, {});
    publish_rate(rig, {64, settings.scaled(1'000, 2), 1, kItem});
    rig.drain();
    row.values.push_back(resident("VmHWM") - before);
  }
  report.add(row);
}

}  // namespace

int run_role(const Settings& settings) {
  const auto device = must(open_block_device(settings.file, cache_only()));
  Scheduler scheduler;
  ring::AttachOptions attach;
  attach.flush = ring::Flush::never;
  auto consumer = must(scheduler.block_on(ring::Consumer::attach(*device, attach)));
  const std::size_t batch = settings.role == "one" ? 1 : 1024;
  must(scheduler.block_on(consume(consumer, settings.count, batch)));
  must(scheduler.block_on(consumer.detach()));
  return 0;
}

Arguments parse(int argc, char** argv, Settings& settings) {
  std::string count;
  const Arguments result = parse_arguments(argc, argv, names_of(parts()), settings,
                                           {{"--file", &settings.file}, {"--count", &count}});
  settings.count = static_cast<std::size_t>(std::atoll(count.c_str()));
  return result;
}

const std::vector<Part>& parts() {
  static const std::vector<Part> all = {
      {"memory", run_memory},  {"single", run_single}, {"bandwidth", run_bandwidth},
      {"small", run_small},    {"pop", run_pop},       {"cache", run_cache},
      {"journal", run_journal}};
  return all;
}

}  // namespace semper::bench::ring_parts
