#include "board.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace semper::bench::peers {

void Slot::add(std::int64_t since_ns) {
  if (done.fetch_add(1) % kSampleEvery != 0) return;
  const int place = samples.fetch_add(1);
  if (place >= kSamplesMaximum) return;
  us[place] = static_cast<float>(static_cast<double>(now_ns() - since_ns) / 1e3);
}

std::vector<double> Slot::latencies() const {
  const int count = std::min<int>(samples.load(), kSamplesMaximum);
  return {us, us + count};
}

std::int64_t Board::published() const {
  std::int64_t sum = 0;
  for (int i = 0; i < kPairsMaximum; ++i) sum += slots[i].done.load();
  return sum;
}

std::int64_t Board::processed() const {
  std::int64_t sum = 0;
  for (int i = kPairsMaximum; i < 2 * kPairsMaximum; ++i) sum += slots[i].done.load();
  return sum;
}

BoardMemory::BoardMemory() : descriptor_(memfd_create("semper-bench", MFD_CLOEXEC)) {
  if (descriptor_ < 0 || ftruncate(descriptor_, sizeof(Board)) != 0) give_up("no shared memory");
  map();
}

BoardMemory::BoardMemory(const std::string& path)
    : descriptor_(open(path.c_str(), O_RDWR | O_CLOEXEC)) {
  if (descriptor_ < 0) give_up("cannot open the shared memory " + path);
  map();
}

BoardMemory::~BoardMemory() {
  munmap(board_, sizeof(Board));
  close(descriptor_);
}

void BoardMemory::map() {
  void* memory = mmap(nullptr, sizeof(Board), PROT_READ | PROT_WRITE, MAP_SHARED, descriptor_, 0);
  if (memory == MAP_FAILED) give_up("cannot map the shared memory");
  board_ = static_cast<Board*>(memory);
}

std::string BoardMemory::path() const {
  return "/proc/" + std::to_string(getpid()) + "/fd/" + std::to_string(descriptor_);
}

std::int64_t now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

std::string payload_of(std::int64_t since_ns) {
  char stamp[kStampBytes + 1];
  std::snprintf(stamp, sizeof stamp, "%016" PRIx64, static_cast<std::uint64_t>(since_ns));
  std::string payload(kPayloadBytes, 'm');
  payload.replace(0, kStampBytes, stamp);
  return payload;
}

std::int64_t since_ns_of(const char* payload) {
  char stamp[kStampBytes + 1] = {};
  std::memcpy(stamp, payload, kStampBytes);
  return static_cast<std::int64_t>(std::strtoull(stamp, nullptr, 16));
}

void give_up(const std::string& what) {
  std::fprintf(stderr, "bench_peers: %s\n", what.c_str());
  std::exit(1);
}

}  // namespace semper::bench::peers
