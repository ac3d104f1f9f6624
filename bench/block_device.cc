// How fast block devices on files are, beside bare system calls on the same file in the same run.
//
//   bench_block_device [--json PATH] [--smoke] [--only flush|bandwidth] [--runs N]
//
// One 4 KiB write_and_flush at a time, by each way of doing it, against a loop of O_DIRECT pwrite
// and fdatasync; and 16 KiB writes, 64 in flight, against 1 MiB sequential O_DIRECT writes.
#include <fcntl.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "semper/block/file_block_device.h"
#include "semper/env/one_shot.h"
#include "semper/env/scheduler.h"
#include "support/arguments.h"
#include "support/report.h"

namespace semper::bench {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::size_t kPage = 4096;
constexpr std::size_t kItem = 16'384;
constexpr std::size_t kBig = std::size_t{1} << 20;
constexpr std::size_t kInFlight = 64;
constexpr std::uint64_t kFileSize = std::uint64_t{64} << 20;

[[noreturn]] void give_up(const std::string& why) {
  std::fprintf(stderr, "bench_block_device: %s\n", why.c_str());
  std::exit(1);
}

void must(const Status& status) {
  if (!status) give_up(status.error().to_string());
}

double microseconds_since(Clock::time_point start) {
  return std::chrono::duration<double, std::micro>(Clock::now() - start).count();
}

struct BareFile {
  explicit BareFile(const std::string& path)
      : descriptor(::open(path.c_str(), O_RDWR | O_DIRECT | O_CLOEXEC)) {
    if (descriptor < 0) give_up("no O_DIRECT in this folder; run it on ext4 or xfs");
  }
  ~BareFile() { ::close(descriptor); }
  void write(const AlignedBuffer& from, std::uint64_t offset) const {
    if (::pwrite(descriptor, from.data(), from.size(), static_cast<off_t>(offset)) !=
        static_cast<ssize_t>(from.size())) {
      give_up("a bare write failed");
    }
  }
  int descriptor;
};

double bare_p50(const std::string& path, std::size_t count) {
  const BareFile file(path);
  const AlignedBuffer page(kPage);
  std::vector<double> times;
  for (std::size_t i = 0; i < count; ++i) {
    const auto start = Clock::now();
    file.write(page, i * kPage % kFileSize);
    if (::fdatasync(file.descriptor) != 0) give_up("a bare flush failed");
    times.push_back(microseconds_since(start));
  }
  return median(std::move(times));
}

double device_p50(const std::string& path, IoMode mode, std::size_t count) {
  auto device = open_block_device(path, {.mode = mode});
  if (!device) give_up(device.error().to_string());
  Scheduler scheduler;
  std::vector<double> times;
  must(scheduler.block_on(
      [](BlockDevice& on, std::size_t rounds, std::vector<double>& into) -> Async<void> {
        const AlignedBuffer page(kPage);
        for (std::size_t i = 0; i < rounds; ++i) {
          const auto start = Clock::now();
          SEMPER_CO_TRY_STATUS(co_await on.write_and_flush(i * kPage % kFileSize, page.span()));
          into.push_back(microseconds_since(start));
        }
        co_return Status{};
      }(**device, count, times)));
  return median(std::move(times));
}

// MB/s
double bare_bandwidth(const std::string& path, std::uint64_t bytes) {
  const BareFile file(path);
  const AlignedBuffer big(kBig);
  const auto start = Clock::now();
  for (std::uint64_t at = 0; at < bytes; at += kBig) file.write(big, at % kFileSize);
  return static_cast<double>(bytes) / microseconds_since(start);
}

double device_bandwidth(const std::string& path, IoMode mode, std::size_t item,
                        std::uint64_t bytes) {
  auto device = open_block_device(path, {.mode = mode});
  if (!device) give_up(device.error().to_string());
  Scheduler scheduler;
  const auto start = Clock::now();
  must(scheduler.block_on([](BlockDevice& on, std::size_t size, std::uint64_t all) -> Async<void> {
    const auto executor = co_await asio::this_coro::executor;
    const AlignedBuffer buffer(size);
    std::uint64_t next = 0;
    std::size_t left = kInFlight;
    OneShot<int> ended;
    auto writer = [&]() -> Task<void> {
      while (next < all) {
        const auto at = next % kFileSize;
        next += size;
        must(co_await on.write(at, buffer.span()));
      }
      if (--left == 0) ended.set(1);
    };
    for (std::size_t i = 0; i < kInFlight; ++i) asio::co_spawn(executor, writer(), asio::detached);
    SEMPER_CO_TRY_STATUS(co_await ended.wait());
    co_return co_await on.flush();
  }(**device, item, bytes)));
  return static_cast<double>(bytes) / microseconds_since(start);
}

struct Way {
  const char* name;
  IoMode mode;
};

void measure_flush(const CommonSettings& settings, const std::string& path, Report& report) {
  const std::size_t count = settings.smoke ? 20 : 3'000;
  for (const Way way : {Way{"io_uring", IoMode::automatic}, Way{"threads", IoMode::threads},
                        Way{"inline", IoMode::inline_blocking}}) {
    Row row{.name = std::string("4 KiB write_and_flush p50, ") + way.name,
            .values = {},
            .unit = "us",
            .reference_name = "pwrite + fdatasync",
            .bar = {Bar::Kind::at_most_ratio, 1.15}};
    for (int i = 0; i < settings.rounds(); ++i) {
      row.references.push_back(bare_p50(path, count));
      row.values.push_back(device_p50(path, way.mode, count));
    }
    report.add(row);
  }
}

void measure_bandwidth(const CommonSettings& settings, const std::string& path, Report& report) {
  const std::uint64_t bytes = settings.smoke ? kBig : 4 * kFileSize;
  for (const Way way : {Way{"io_uring", IoMode::automatic}, Way{"threads", IoMode::threads}}) {
    for (const std::size_t item : {kItem, kBig}) {
      Row row{.name = std::to_string(item / 1024) + " KiB writes, 64 in flight, " + way.name,
              .values = {},
              .unit = "MB/s",
              .reference_name = "1 MiB O_DIRECT pwrite",
              .bar = {Bar::Kind::at_least_ratio, 0.8}};
      for (int i = 0; i < settings.rounds(); ++i) {
        row.references.push_back(bare_bandwidth(path, bytes));
        row.values.push_back(device_bandwidth(path, way.mode, item, bytes));
      }
      report.add(row);
    }
  }
}

void run(const CommonSettings& settings, Report& report) {
  const WorkFolder folder("block_device");
  const std::string path = folder.path() + "/device";
  must(create_block_file(path, {.size = kFileSize}));
  if (settings.wants("flush")) measure_flush(settings, path, report);
  if (settings.wants("bandwidth")) measure_bandwidth(settings, path, report);
}

}  // namespace
}  // namespace semper::bench

int main(int argc, char** argv) {
  using namespace semper::bench;
  CommonSettings settings(5);
  const Arguments arguments = parse_arguments(argc, argv, {"flush", "bandwidth"}, settings);
  if (arguments != Arguments::good) return exit_code(arguments);
  Report report("block_device", settings.json);
  run(settings, report);
  return report.finish();
}
