// device_contents: what a device holds already, so that nobody writes over it unasked.
//
// What for: whoever makes a format of its own on a device or file that a person named. When not:
// finding one's own format (read its mark).
//
//   const DeviceContentsOptions options;
//   SEMPER_CO_TRY(const std::string there, co_await device_contents(*device, options));
//   if (!there.empty()) co_return fail(ErrorKind::permission, "the device holds " + there);
//
// A device is blank where everything is zero in which file systems, RAID, LVM, encryption, swap and
// partition tables have their marks: its first 4 MiB and some, and its last MiB. So whatever libblkid
// knows is found, and what it does not know too; libblkid only gives it a name. Reads up to that much,
// and no more than up to the first byte that is not zero where the name needs no more.
#pragma once

#include <cstdint>
#include <string>

#include "semper/block/block_device.h"
#include "semper/env/asio.h"

namespace semper {

struct DeviceContentsOptions {
  // Taken for zeros: what the caller knows to be its own. Default: nothing.
  std::uint64_t ignored_head_bytes = 0;
};

// Empty: blank. Otherwise words for a message: `a btrfs file system called "backup"`, `a gpt partition
// table`, `data (from byte 8192 on)`. Changes nothing. Errors: the device's.
Async<std::string> device_contents(BlockDevice& device, DeviceContentsOptions options);

// The same question where only yes or no matters; reads no further than the first byte that is not
// zero.
Async<bool> is_device_blank(BlockDevice& device, DeviceContentsOptions options);

}  // namespace semper
