// open_block_device: a file or a raw disk as a BlockDevice.
//
// What for: rings and journals that outlive the process. When not: tests of crashes
// (testing/simulated_disk.h), memory (memory_block_device.h).
//
//   SEMPER_TRY_STATUS(create_block_file("queue.ring", {.size = 64 << 20}));
//   SEMPER_TRY(auto device, open_block_device("queue.ring"));
//   log(device->description());                       // "io_uring, O_DIRECT"
//
// How it works. Reads and writes go to the kernel through io_uring where this process may use it,
// and through a few threads with preadv and pwritev where not (seccomp, the sysctl
// kernel.io_uring_disabled). A flush is fdatasync. A write_and_flush with nothing before it is done
// by a thread of its own, which is faster than io_uring at that. O_DIRECT is used where the file
// system has it, else the page cache; description() says which.
//
// Companion: roles are OFD locks on the file itself, words are shared memory (/dev/shm) named after
// the device, the inode and its birth, which the first opener zeroes. It does not reach other machines, nor
// containers with a /dev/shm of their own (locks do), nor a loop device beside its file (nothing
// does); who waits there looks at the disk.
//
// Memory and threads of a handle: 1 to max_threads threads, and about 64 KiB for io_uring.
// In a forked child a handle gives `unsupported`, and holds nothing: its locks and roles stay the
// parent's and end with it. Open again in the child. Threads: any.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "semper/block/block_device.h"
#include "semper/block/file_device_options.h"

namespace semper {

// Blocks for the time of an open. Errors, each with the path and what to do:
//   not_found         there is no such file or device
//   permission        not allowed, read-only file system or device, mounted or otherwise in use, or
//                     the shared memory belongs to another user
//   invalid_argument  a directory, socket or character device; smaller than minimum_size; a
//                     sector_size that the device cannot do
//   unsupported       the asked io_uring or O_DIRECT is not to be had here
//   exhausted         no thread can be started
//   io, exhausted     the system's own words
//
// On the handle, beside what block_device.h says: io names it where the device is gone, was deleted,
// or has changed its size; then only opening it again helps.
Result<std::unique_ptr<BlockDevice>> open_block_device(const std::string& path,
                                                       FileDeviceOptions options = {});

enum class Existing : std::uint8_t { refuse, replace };

struct CreateFileOptions {
  // Bytes; a multiple of 4096.
  std::uint64_t size = 0;
  Existing existing = Existing::refuse;
  // Called now and then with the bytes written so far; `false` gives up (`cancelled`).
  std::function<bool(std::uint64_t written)> progress = {};
};

// Makes a file for a device: filled with zeros, not only reserved, because overwriting what was
// written costs half the flush of what was reserved. Durable on success, its name too; removed again
// on an error; if it never returns, there may be a file that is too small, which open_block_device
// with a minimum_size finds. Blocks: seconds for gigabytes.
// Errors: already_exists, exhausted (no room), permission, invalid_argument, cancelled, io.
Status create_block_file(const std::string& path, const CreateFileOptions& options);

}  // namespace semper
