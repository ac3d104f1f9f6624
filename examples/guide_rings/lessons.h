// The lessons of the guide to rings and journals (docs/guide-rings.md), each a function that it
// quotes: readings of an electricity meter, on their way from a device to a server.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "semper/block/file_block_device.h"
#include "semper/journal_drain.h"
#include "semper/ring/journal.h"
#include "semper/ring/ring.h"
#include "semper/semper.h"

namespace guide {

namespace ring = semper::ring;

// What takes one reading: a server, a file, a printer.
using Send = std::function<semper::Status(const std::string& reading)>;

// Makes a file of 16 MiB with an empty ring in it.
semper::Async<void> make_ring(std::string path);

// The producer's side: writes readings down, durable and visible.
semper::Async<ring::Position> record(semper::BlockDevice& device,
                                     std::vector<semper::Bytes> readings);

// The same in two steps: durable first, visible later.
semper::Async<void> record_in_two_steps(semper::BlockDevice& device, std::string reading);

// The consumer's side: sends what is there, and removes what was sent.
semper::Async<std::uint64_t> forward(semper::BlockDevice& device, Send send);

// Asks the producer to stop, and waits until it says that it has.
semper::Async<void> pause(ring::Consumer& consumer);

// A journal: writes readings down, and sends each at least once.
semper::Async<void> journal_and_send(semper::BlockDevice& device, std::vector<std::string> readings,
                                     Send send);

// Reads what can be read of a damaged ring. Returns the readings; `damaged` counts the gaps.
semper::Async<std::vector<std::string>> rescue(semper::BlockDevice& device, std::uint64_t& damaged);

// A durable server that adds the readings up.
struct Meter {
  static constexpr std::string_view kName = "Meter";
  struct State {
    std::int64_t watt_hours = 0;
  };
  struct Reading {
    std::int64_t watt_hours = 0;
  };
  struct Total {
    using Reply = std::int64_t;
  };
  using Messages = semper::Messages<Reading, Total>;

  semper::Result<State> init(const semper::EntityId&) { return State{}; }
  void handle_cast(const Reading& m, State& s, semper::Context&) { s.watt_hours += m.watt_hours; }
  semper::Reply<std::int64_t> handle_call(const Total&, State& s, semper::Context&) {
    return s.watt_hours;
  }
};

// A journal that drains into durable servers: each reading counts exactly once.
semper::Async<void> count_exactly_once(semper::BlockDevice& device, std::string store_url,
                                       std::vector<std::int64_t> readings);

}  // namespace guide
