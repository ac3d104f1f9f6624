// What the workloads on simulated disks have in common: items that can be told apart, power that
// goes in the midst of something.
#pragma once

#include <deque>
#include <memory>
#include <string>

#include "semper/ring/options.h"
#include "semper/ring/ring.h"
#include "semper/testing/simulated_disk.h"
#include "workload.h"

namespace semper::simulation {

// "17 xxxxx...": the length goes by the number, over some sectors now and then.
inline Bytes make_item(std::uint64_t number) {
  Bytes item = std::to_string(number) + " ";
  item.append((number * 7919) % (number % 10 == 0 ? 9000 : 300),
              static_cast<char>('a' + number % 26));
  return item;
}
// 0: it is none.
inline std::uint64_t number_in(BytesView item) {
  std::uint64_t number = 0;
  for (const char c : item) {
    if (c == ' ') break;
    if (c < '0' || c > '9') return 0;
    number = number * 10 + static_cast<std::uint64_t>(c - '0');
  }
  return make_item(number) == item ? number : 0;
}

inline testing::SimulatedDisk make_disk(Simulation& simulation, ring::Format format) {
  testing::SimulatedDiskOptions options;
  // Mostly so small that the ring is full now and then, and is gone around.
  options.size = std::uint64_t{128} << (10 + simulation.random().below(4));
  options.sector_size = simulation.random().chance(0.5) ? 512 : 4096;
  options.faults.delay = simulation.random().chance(0.5) ? 0.3 : 0.9;
  options.faults.delay_by = std::chrono::milliseconds(3);
  // mirage-1.0 has no checksums, by which garbage would be told from data.
  if (format == ring::Format::mirage_1_0) options.faults.garbage_at_crash = 0;
  return testing::SimulatedDisk(options, simulation.env());
}

// The handles that were opened on one disk. They outlive whoever opened them: what a client has
// begun goes on when its loop has gone, as in a kernel.
class Handles {
 public:
  BlockDevice& open(const testing::SimulatedDisk& disk) {
    return *handles_.emplace_back(disk.open());
  }

 private:
  std::deque<std::unique_ptr<BlockDevice>> handles_;
};

// Now and then, while there are faults: after some more steps of this client's loop the power goes,
// or after a time in which some writes take place.
inline void maybe_cut_power(Client& client, testing::SimulatedDisk& disk) {
  if (client.ends_soon() || !client.random().chance(0.03)) return;
  auto& simulation = client.simulation();
  const auto lane = client.process().number();
  const auto cut = [&simulation, &disk, lane] {
    simulation.note(lane, EventKind::fault, "the power of a disk goes");
    simulation.disturbed();
    disk.power_cycle();
  };
  if (client.random().chance(0.5)) {
    client.process().loop(client.home_loop()).after_steps(client.random().below(60), cut);
    return;
  }
  const auto most = static_cast<std::uint64_t>(Duration(std::chrono::milliseconds(8)).count());
  const Duration soon(static_cast<Duration::rep>(client.random().below(most)));
  static_cast<void>(simulation.clock().call_at(simulation.clock().after(soon), cut));
}

// Now and then, while there are faults: one of the next reads, writes or flushes fails.
inline void maybe_fail(Client& client, testing::SimulatedDisk& disk) {
  if (client.ends_soon() || !client.random().chance(0.03)) return;
  const auto nth = 1 + client.random().below(4);
  client.simulation().note(client.process().number(), EventKind::fault, "a disk will fail");
  switch (client.random().below(4)) {
    case 0:
      return disk.fail_read(nth, testing::ReadFault::io_error);
    case 1:
      return disk.fail_write(nth, testing::WriteFault::io_error);
    case 2:
      return disk.fail_write(nth, testing::WriteFault::no_room);
    default:
      return disk.fail_flush(nth, testing::FlushFault::io_error);
  }
}

// What a power loss left where a ring was being made, and is neither a ring nor blank: its operator
// makes it anew. Nobody was told yet that there is one.
inline Async<void> make_anew(BlockDevice& device, ring::Format format, Env env) {
  ring::CreateOptions options;
  options.format = format;
  options.overwrite = ring::Overwrite::anything;
  options.env = env;
  return ring::create(device, options);
}

// What devices, other handles and a full ring explain.
inline bool is_of_disks(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::retry:
    case ErrorKind::timeout:
    case ErrorKind::suspended:
    case ErrorKind::closed:
    case ErrorKind::cancelled:
    case ErrorKind::conflict:
    case ErrorKind::exhausted:
    case ErrorKind::io:
      return true;
    default:
      return false;
  }
}

// By what the errors of a push promise (semper/ring/producer.h).
template <class T>
Fate fate_of_push(const Result<T>& result) {
  if (result) return Fate::done;
  switch (result.error().kind()) {
    case ErrorKind::retry:
    case ErrorKind::suspended:
    case ErrorKind::timeout:
      return Fate::refused;
    default:
      return Fate::open;
  }
}

}  // namespace semper::simulation
