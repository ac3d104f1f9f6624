// open_block_device: a file or a raw disk as a BlockDevice.
//
// What for: rings and journals that outlive the process. When not: tests of crashes
// (testing/simulated_disk.h), memory (memory_block_device.h).
//
//   SEMPER_TRY_STATUS(create_block_file("queue.ring", {.size = 64 << 20}));
//   SEMPER_TRY(auto device, open_block_device("queue.ring"));
//   log_info("queue", device->description());         // "io_uring, O_DIRECT"
//
// How it works: reads and writes use io_uring if this process may use it, and otherwise a few
// threads with preadv and pwritev (seccomp, the sysctl kernel.io_uring_disabled). A flush is
// fdatasync. A separate thread does a write_and_flush with nothing before it, which is faster than
// io_uring. O_DIRECT is used if the file system supports it, otherwise the page cache;
// description() says which.
//
// Companion: roles are OFD locks on the file itself; words are shared memory (/dev/shm) named after
// the device, the inode and its birth time, which the first opener zeroes. The shared memory does
// not reach other machines, or containers with their own /dev/shm (locks do), or a loop device and
// its backing file (nothing does); a side that waits there polls the disk.
//
// Memory and threads of a handle: 1 to max_threads threads, and about 64 KiB for io_uring.
// In a forked child, a handle gives `unsupported` and holds nothing: its locks and roles stay with
// the parent and end with it. Open the device again in the child. Threads: any.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "semper/block/block_device.h"
#include "semper/block/file_device_options.h"

namespace semper {

// Blocks for as long as an open takes. Errors, each with the path and advice:
//   not_found         there is no such file or device
//   permission        not allowed, read-only file system or device, mounted or otherwise in use, or
//                     the shared memory belongs to another user
//   invalid_argument  a directory, socket or character device; smaller than minimum_size; a
//                     sector_size that the device cannot do
//   unsupported       the requested io_uring or O_DIRECT is not available here
//   exhausted         no thread can be started
//   io, exhausted     the system's own message
//
// On the handle, in addition to block_device.h: io, with a message that says so, if the device is
// gone, was deleted or has changed its size; then only opening it again helps.
Result<std::unique_ptr<BlockDevice>> open_block_device(const std::string& path,
                                                       FileDeviceOptions options = {});

enum class Existing : std::uint8_t { refuse, replace };

struct CreateFileOptions {
  // Bytes; a multiple of 4096.
  std::uint64_t size = 0;
  Existing existing = Existing::refuse;
  // Called from time to time with the bytes written so far; return `false` to give up
  // (`cancelled`).
  std::function<bool(std::uint64_t written)> progress = {};
};

// Creates a file for a device: filled with zeros, not only reserved, because flushing overwritten
// data costs half as much as flushing into reserved space. The file gets its name when it is
// complete, so that nobody uses it before. Durable on success, including its name. On an error, or
// if it never returns, there is no such file, or the old one (on a file system without O_TMPFILE, a
// file PATH.new.* may be left). Blocks: seconds for gigabytes.
// Errors: already_exists, exhausted (no space), permission, invalid_argument, cancelled, io.
Status create_block_file(const std::string& path, const CreateFileOptions& options);

}  // namespace semper
