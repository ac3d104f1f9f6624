// A ring: a bounded queue of items of any size on a block device, shared by one producer and one
// consumer. They may be two processes, or one process before and after a crash.
//
// What for: work that must outlive the process that accepts it, at the speed of the disk. When not:
// several producers or consumers, or an order other than first in, first out (semper::server).
//
//   ring::CreateOptions as_usual;     // options have names: g++ 12 destroys {} in a co_await twice
//   ring::AttachOptions options;
//   SEMPER_CO_TRY_STATUS(co_await ring::create(device, as_usual));
//   SEMPER_CO_TRY(auto producer, co_await ring::Producer::attach(device, options));
//   SEMPER_CO_TRY(auto consumer, co_await ring::Consumer::attach(device, options));
//
// The contract is that of the OCaml library shared-block-ring by Citrix and the MirageOS project
// (its modules Producer and Consumer); where it leaves a promise open, this library makes the
// stronger one.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "semper/env/process_identity.h"
#include "semper/ring/consumer.h"
#include "semper/ring/item.h"
#include "semper/ring/options.h"
#include "semper/ring/position.h"
#include "semper/ring/producer.h"

namespace semper::ring {

// Creates an empty ring. On a device that holds a ring of this format it changes nothing (except
// that a missing second copy of the superblock is rewritten). The signature of a ring is written
// last, after everything else has been flushed. If two create at the same time: on one machine,
// both get the same ring; on two machines, one of them or both get an error.
// Size: a semper-1 ring uses a block of 4096 bytes for each call of push, and for each write of
// published items, which waiting calls share. So 1,024 separate items of any size below that take 4
// MiB. Durable on success: the ring. On an error, or if it never returns: either there is no ring,
// and you can create it again, or there is the ring.
// Errors: already_exists (a ring of the other format), permission (something else is there, and the
// message says what: see Overwrite; or the device is read-only), corrupt (the remains of a ring:
// Overwrite::anything creates a new one), conflict (a producer or consumer is attached to the
// previous ring), unsupported (a newer ring), invalid_argument (the device is too small, or has no
// such sectors), and the device's errors.
Async<void> create(BlockDevice& device, CreateOptions options);

// One side, as it is on the disk.
struct SideInfo {
  Position position;
  // The consumer's request to suspend, or the producer's acknowledgement of it.
  bool suspend = false;
  // semper-1: whether a handle is (or died while) attached, and how often one was.
  bool attached = false;
  std::uint64_t epoch = 0;
  // Its process (semper-1; 0: not recorded), and whether that process is alive, as far as can be
  // known here: a killed process leaves `attached` set.
  std::uint32_t pid = 0;
  ProcessState process = ProcessState::unknown;
  // Who uses it. In mirage-1.0 the whole text of the sector.
  std::string text;
};

struct Info {
  Format format = Format::semper_1;
  std::uint32_t sector_size = 0;
  std::uint64_t device_bytes = 0;
  std::uint64_t data_start = 0;
  std::uint64_t capacity = 0;
  // 32 hexadecimal digits; empty in mirage-1.0.
  std::string identity;
  SideInfo producer;
  SideInfo consumer;
  // The real end of the items, including those that a crash left behind the producer's position.
  Position exposed;
};

// Reads what a device says about its ring. Changes nothing and takes no role; both sides may be
// working. Errors: not_found (no ring), corrupt, invalid_argument (sector_size), and the device's.
Async<Info> inspect(BlockDevice& device, std::uint32_t sector_size = 0);

// True if create() needs no permission to overwrite: there are only zeros wherever a known format
// has its signature (the first 4 MiB and the last MiB), or an interrupted creation.
Async<bool> is_blank(BlockDevice& device);

// What is there otherwise, in words ("a btrfs file system", "data (from byte 8192 on)");
// empty where is_blank() is true.
Async<std::string> contents(BlockDevice& device);

// Checks everything in a ring except the items: every copy of the superblock and the pointers, and
// areas that must be zero. read_all() checks the items. Changes nothing and takes no role. Errors:
// not_found, and the device's.
Async<std::vector<HeaderDamage>> check_headers(BlockDevice& device, std::uint32_t sector_size = 0);

// Calls `visit` with every item that is not consumed, in order, and `damaged` with every stretch
// that cannot be read; an error from either ends it. Changes nothing and takes no role. If a
// consumer is working, space that it frees in the meantime may be reported as damaged.
Async<Position> read_all(BlockDevice& device, std::function<Status(const ItemView&)> visit,
                         std::function<Status(const Damage&)> damaged, AttachOptions options);

}  // namespace semper::ring
