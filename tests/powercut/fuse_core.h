// What the requests of the kernel do to the image; used by fuse_server.cc and fuse_operations.cc
// only.
#pragma once

#define FUSE_USE_VERSION 312
#include <fuse_lowlevel.h>

#include <map>
#include <mutex>
#include <thread>

#include "fuse_server.h"

namespace semper::testing {

// For which the kernel may keep names and attributes, in seconds.
inline constexpr double kForEver = 1e6;

class FuseServer::Core {
 public:
  Core(std::string mount_point, Names names, std::uint64_t seed,
       std::function<void(const std::string&)> on_cut);

  // An open file. Each is told of a failed flush once, as by Linux.
  struct Handle {
    Ino inode = 0;
    std::uint64_t errors_seen = 0;
    std::uint64_t told_thread = 0;  // 0: nobody was told of a failed flush
    std::map<std::uint64_t, bool>
        owed;  // threads for which the kernel flushes what they wrote durably
  };

  // Runs `change` and then `answer`, unless the power has gone or goes with it.
  template <class Change, class Answer>
  void operate(fuse_req_t request, const std::string& what, Change change, Answer answer) {
    std::lock_guard lock(mutex);
    if (dark) return drop(request);
    ++statistics.operations;
    ++counted;
    const bool is_last = plan.cut_at != 0 && counted == plan.cut_at;
    if (is_last && plan.cut_before) return drop(request, "before " + what);
    change();
    if (is_last) return drop(request, "after " + what);
    answer();
  }
  // What changes nothing.
  template <class Answer>
  void look(fuse_req_t request, Answer answer) {
    std::lock_guard lock(mutex);
    if (dark) return drop(request);
    answer();
  }

  // 0 or EIO.
  int flush_file(Ino number, std::uint64_t handle, std::uint64_t caller);
  void cut_now(const std::string& what);

  std::uint64_t open_handle(Ino number);
  fuse_entry_param entry(Ino number);
  struct stat attributes(Ino number);

  const std::string mount_point;
  const std::function<void(const std::string&)> on_cut;
  mutable std::mutex mutex;
  DiskImage image;
  SeededRandom random;
  FaultPlan plan;
  std::uint64_t counted = 0;  // operations since arm()
  std::uint64_t flushes = 0;  // of files since arm()
  bool dark = false;
  ServerStatistics statistics;
  std::map<std::uint64_t, Handle> handles;
  std::map<Ino, std::uint64_t> errors;  // failed flushes of each file
  std::uint64_t next_handle = 1;

  fuse_session* session = nullptr;
  int stop = -1;  // an eventfd
  std::thread thread;

 private:
  void drop(fuse_req_t request, const std::string& what = "");
};

// The table of operations; their argument is the Core.
const fuse_lowlevel_ops& fuse_operations();

}  // namespace semper::testing
