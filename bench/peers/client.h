// What a publisher process and a consumer process do, whatever the system: the load, its pace, and
// what is counted.
//
// A publisher keeps so many messages in flight, to entities chosen at random, and each of them
// counts when the system has said that it is durable. With a rate each message has a time at which
// it is meant to begin, and its latency counts from there, also where the publisher was late. A
// message is processed when the consumer's transaction with the entity's state has committed.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "board.h"
#include "semper/env/random.h"

namespace semper::bench::peers {

// Of one client process.
struct Job {
  std::string address;
  Shape shape;
  int number = 0;  // among the publishers, or the consumers
  Board* board = nullptr;
  Slot* slot = nullptr;
};

// Says that this process is ready, and waits until all are; gives the time at which all began.
std::int64_t wait_for_go(const Job& job);

// When a publisher's messages begin, and to whom they go.
class Pace {
 public:
  Pace(const Job& job, std::int64_t go_ns);
  // When the next message is meant to begin; nothing: there is none any more.
  std::optional<std::int64_t> next(std::int64_t now);
  bool paced() const { return rate_ > 0; }
  std::string entity();

 private:
  const std::int64_t go_ns_;
  const std::int64_t end_ns_;
  const double rate_;
  const std::size_t entities_;
  std::int64_t count_ = 0;
  SeededRandom random_;
};

using Settled = std::function<void(std::int64_t since_ns)>;

class Publisher {
 public:
  virtual ~Publisher() = default;
  // Hands one message over. It is durable when settle() has named it.
  virtual void send(std::int64_t since_ns, const std::string& entity,
                    const std::string& payload) = 0;
  // Waits until one is durable, no longer than `patience`; names all that are by then.
  virtual void settle(std::chrono::nanoseconds patience, const Settled& settled) = 0;
};

class Consumer {
 public:
  virtual ~Consumer() = default;
  // Processes what is there, kBatch messages at most, durably, and names each; how many.
  virtual int take(const Settled& settled) = 0;
};

// Messages that a consumer takes in one transaction.
inline constexpr int kBatch = 128;
// A consumer that found nothing looks again after this.
inline constexpr std::chrono::microseconds kLookAgain{200};

void publish_all(Publisher& publisher, const Job& job);
void consume_all(Consumer& consumer, const Job& job);

// Waits until the descriptor can be read, no longer than `patience`.
bool wait_readable(int descriptor, std::chrono::nanoseconds patience);

}  // namespace semper::bench::peers
