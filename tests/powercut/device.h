// A ring's file on the disk under test: made, opened and made again, as its promises allow.
#pragma once

#include <memory>

#include "notes.h"
#include "roles.h"
#include "semper/block/file_block_device.h"
#include "semper/ring/ring.h"

namespace semper::testing {

// Of an operation where flushes fail.
inline constexpr int kFaultAttempts = 200;

// Small, so that it is full and begins anew often.
inline constexpr std::uint64_t kRingBytes = std::uint64_t{192} << 10;

// The file, made where it was never acknowledged ('F' in the notes); an error where it was, and is
// not there or has another size.
Result<std::unique_ptr<BlockDevice>> open_or_make_file(const RoleOptions& options, Notes& notes,
                                                       const std::vector<Note>& before);

// The same for who only uses it. The way it does its work follows from the seed.
Result<std::unique_ptr<BlockDevice>> open_ring_file(const RoleOptions& options);

// Runs it again for as long as it finds that others hold its side of the ring. They are dead:
// io_uring gives the files of a process that was killed back some time after its end, on a busy
// machine later than attach waits for it.
template <class Run>
Status when_the_dead_let_go(Run run) {
  constexpr int kAttempts = 80;  // of a quarter of a second
  Status status;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    status = run();
    if (status || status.error().message().find("is attached; wait until") == std::string::npos)
      break;
  }
  return status;
}

ring::AttachOptions attach_options(const RoleOptions& options);

}  // namespace semper::testing
