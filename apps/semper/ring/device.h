// What the ring commands share: the device behind a path, and how a ring on it is attached.
#pragma once

#include <memory>
#include <string>

#include "common/invocation.h"
#include "semper/block/block_device.h"
#include "semper/ring/ring.h"

namespace semper::cli {

// Where a ring is, and how to look at it.
struct RingPlace {
  std::string path;               // a regular file, a loop device, a raw disk
  std::string sector_size = "0";  // mirage-1.0 does not record it; 0: the device's
};

enum class DeviceAccess : std::uint8_t { read_only, read_write };

// Says what is wrong with the words of a path. Errors: invalid_argument (it is empty), not_found (a
// link to what is not there).
Status check_path(const std::string& path);

// Errors: open_block_device's, check_path's, and invalid_argument for a sector size that there is
// not.
Result<std::unique_ptr<BlockDevice>> open_ring_device(const RingPlace& place, DeviceAccess access,
                                                      ring::Flush flush = ring::Flush::always);

// Makes a file of `size` bytes. Errors: create_block_file's; cancelled: it was interrupted.
Status make_ring_file(Invocation& invocation, const std::string& path, std::uint64_t size);

// 0, 512, 1024, 2048 or 4096. Error: invalid_argument.
Result<std::uint32_t> sector_size_of(const RingPlace& place);

// Who we are, for debug_info.
Result<ring::AttachOptions> attach_options(const RingPlace& place, const char* command);

// `sector` numbers count from 0; bytes of the ring's stream lie behind its first sectors.
struct Sectors {
  std::uint64_t first = 0;
  std::uint64_t last = 0;
  bool wraps = false;  // from `first` to the end of the device, and on to `last`
};
Sectors sectors_of(const ring::Info& info, ring::Position start, ring::Position after);

}  // namespace semper::cli
