// open_block_device with its system calls handed in, so that a test can let a flush fail.
#pragma once

#include "io_engine.h"
#include "semper/block/file_block_device.h"

namespace semper::internal {
Result<std::unique_ptr<BlockDevice>> open_block_device_with(const std::string& path,
                                                            FileDeviceOptions options,
                                                            const IoCalls& calls);
}  // namespace semper::internal
