// Board: the memory that all processes of one measurement share, and what a measurement is.
//
// The parent makes a Board, starts publishers and consumers as processes of this program, waits
// until all of them are ready, and writes when they go. Each has a slot of its own: how many
// messages it has made durable or processed, and how long a sample of them took. It lies in memory
// (memfd), so that no byte of it is counted among those that a system writes to disk.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace semper::bench::peers {

inline constexpr int kPairsMaximum = 8;
// A slot's latencies; what comes later is not kept.
inline constexpr int kSamplesMaximum = 1 << 18;
// One latency in so many is kept.
inline constexpr std::int64_t kSampleEvery = 4;
// How long everybody waits for anybody.
inline constexpr std::chrono::seconds kPatience{120};

// What is measured: publishers and consumers, a process each.
struct Shape {
  int pairs = 1;
  std::size_t entities = 10'000;
  int in_flight = 64;  // of each publisher; each message waits for its own durability
  double seconds = 2;
  double rate = 0;  // messages/s of each publisher; 0: as many as it can
};

struct Slot {
  std::atomic<std::int64_t> done;
  std::atomic<std::int32_t> samples;
  float us[kSamplesMaximum];

  // From any thread of the slot's process: a message that was meant to begin at `since_ns`.
  void add(std::int64_t since_ns);
  // What its process has seen.
  std::vector<double> latencies() const;
};

struct Board {
  std::atomic<std::int32_t> ready;  // processes that wait for `go_ns`
  std::atomic<std::int64_t> go_ns;  // when publishers began; 0: not yet
  std::atomic<std::int32_t> stop;   // consumers may end
  Slot slots[2 * kPairsMaximum];    // publishers, then consumers

  Slot& publisher(int number) { return slots[number]; }
  Slot& consumer(int number) { return slots[kPairsMaximum + number]; }
  std::int64_t published() const;
  std::int64_t processed() const;
};

class BoardMemory {
 public:
  BoardMemory();                                  // a new one, all zeros
  explicit BoardMemory(const std::string& path);  // the parent's
  ~BoardMemory();
  BoardMemory(const BoardMemory&) = delete;
  BoardMemory& operator=(const BoardMemory&) = delete;

  Board& operator*() const { return *board_; }
  Board* operator->() const { return board_; }
  // Where another process finds it while this one lives.
  std::string path() const;

 private:
  void map();
  int descriptor_ = -1;
  Board* board_ = nullptr;
};

// The clock of all processes of this machine.
std::int64_t now_ns();

// 100 bytes, of which the first ones say when the message was meant to begin.
inline constexpr std::size_t kPayloadBytes = 100;
std::string payload_of(std::int64_t since_ns);
std::int64_t since_ns_of(const char* payload);  // of at least kStampBytes
inline constexpr std::size_t kStampBytes = 16;

// Ends the process with the reason.
[[noreturn]] void give_up(const std::string& what);

}  // namespace semper::bench::peers
