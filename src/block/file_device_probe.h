// What a path names, and how it can be used as a block device.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <string>

#include "file_descriptor.h"
#include "semper/base/result.h"
#include "semper/block/file_device_options.h"

namespace semper::internal {

struct ProbedDevice {
  FileDescriptor descriptor;
  bool is_block_device = false;
  bool is_direct = false;
  std::uint32_t sector_size = 0;
  // As the system says it, and rounded down to whole sectors.
  std::uint64_t true_size = 0;
  std::uint64_t size = 0;
  struct stat status {};
};

// Errors as open_block_device says.
Result<ProbedDevice> probe_device(const std::string& path, const FileDeviceOptions& options);

// Bytes of the file or device now. errno where that fails.
Result<std::uint64_t> size_now(int descriptor, bool is_block_device);

}  // namespace semper::internal
