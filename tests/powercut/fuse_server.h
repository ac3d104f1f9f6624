// FuseServer: a DiskImage as a mounted file system, whose power goes at a countable moment.
//
// Programs may do with it what they do with any file system: O_DIRECT, io_uring, shared mappings,
// locks of every kind. How the kernel caches it, and why:
//   - its page cache is used and kept (FOPEN_KEEP_CACHE, attributes and names valid for ever):
//     nobody else changes these files, and shared mappings need it (FOPEN_DIRECT_IO refuses or
//     splits them);
//   - without FUSE_CAP_WRITEBACK_CACHE: then each write() arrives here before it returns, in its
//     order, and what a mapping changed arrives when the kernel writes it back, at the latest at
//     msync or fsync;
//   - every fsync, fdatasync and msync(MS_SYNC) arrives as FUSE_FSYNC. sync_file_range, sync and
//     syncfs do not arrive: they make nothing durable;
//   - a write with O_DSYNC, O_SYNC or RWF_DSYNC arrives with that flag, and the kernel sends an
//     FUSE_FSYNC of the same thread behind it. The range of the write is durable with the write,
//     and that one flush is not taken for one of the whole file;
//   - locks stay in the kernel.
//
// The cut: the operation it falls on, and every later one, is never answered, so that nobody can
// acknowledge anything on its strength. The owner then kills who waits, and mounts anew.
//
// Threads: mount, arm and the others from one; requests are served by a thread of its own.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "disk_image.h"
#include "semper/base/result.h"

namespace semper::testing {

// What happens, and when: counted from arm() on, in operations that change or flush anything.
struct FaultPlan {
  std::uint64_t cut_at = 0;      // 0: never. This operation is the last one that reaches the disk
  bool cut_before = false;       // or does not: the power goes while it is on its way
  std::uint64_t fail_flush = 0;  // 0: none. This flush of a file reports EIO
};

struct ServerStatistics {
  std::uint64_t operations = 0;
  std::uint64_t flushes = 0;         // of files and folders
  std::uint64_t failed_flushes = 0;  // that were reported, to each who had the file open
  // Flushes of an open file whose flush had failed, by the thread that was told so.
  std::uint64_t repeated_flushes = 0;
};

class FuseServer {
 public:
  // `on_cut` is told once for each cut, from the serving thread.
  FuseServer(std::string mount_point, Names names, std::uint64_t seed,
             std::function<void(const std::string& what)> on_cut);
  ~FuseServer();  // unmounts
  FuseServer(const FuseServer&) = delete;
  FuseServer& operator=(const FuseServer&) = delete;

  Status mount();
  // Ends the connection: who waits for an answer gets an error. The image stays.
  void unmount();

  void arm(const FaultPlan& plan);
  // The power goes now, unless it has gone.
  void cut();

  ServerStatistics statistics() const;

  class Core;

 private:
  std::unique_ptr<Core> core_;
};

}  // namespace semper::testing
