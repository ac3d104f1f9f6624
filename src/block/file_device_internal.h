// open_block_device with its system calls handed in, so that a test can let a flush fail.
#pragma once

#include <memory>
#include <string>

#include "io_engine.h"
#include "semper/block/block_device.h"
#include "semper/block/file_device_options.h"

namespace semper::internal {
Result<std::unique_ptr<BlockDevice>> open_block_device_with(const std::string& path,
                                                            FileDeviceOptions options,
                                                            const IoCalls& calls);
}  // namespace semper::internal
