// device_contents: says what a device already holds, so that nothing is overwritten unasked.
//
// What for: code that creates its own format on a device or file that a person has named. When not:
// recognising your own format (read its signature).
//
//   const DeviceContentsOptions options;
//   SEMPER_CO_TRY(const std::string there, co_await device_contents(*device, options));
//   if (!there.empty()) co_return fail(ErrorKind::permission, "the device holds " + there);
//
// A device is blank if everything is zero where file systems, RAID, LVM, encryption, swap and
// partition tables have their signatures: a little more than its first 4 MiB, and its last MiB. So
// this finds whatever libblkid knows, and also what it does not know; libblkid only supplies the
// name. It reads at most that much, and stops at the first non-zero byte if the name needs no more.
#pragma once

#include <cstdint>
#include <string>

#include "semper/block/block_device.h"
#include "semper/env/asio.h"

namespace semper {

struct DeviceContentsOptions {
  // Bytes at the beginning that are treated as zeros because the caller knows them to be its own.
  // Default: none.
  std::uint64_t ignored_head_bytes = 0;
};

// Empty: blank. Otherwise a description for a message: `a btrfs file system called "backup"`, `a
// gpt partition table`, `data (from byte 8192 on)`. Changes nothing. Errors: the device's.
Async<std::string> device_contents(BlockDevice& device, DeviceContentsOptions options);

// The same, if only yes or no matters; reads no further than the first non-zero byte.
Async<bool> is_device_blank(BlockDevice& device, DeviceContentsOptions options);

}  // namespace semper
