// Disk: the file system as a process of its own, and its power switch.
//
// It lives through the cuts: what it holds is what is left. The test program itself serves no file
// system, so that nothing it does can wait for itself.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "fuse_server.h"
#include "semper/testing/child_process.h"

namespace semper::testing {

class Disk {
 public:
  // Mounted when it returns. Throws std::runtime_error where that is not possible.
  Disk(std::string mount_point, Names names, std::uint64_t seed);
  ~Disk();

  const std::string& mount_point() const { return mount_point_; }
  std::string path(const std::string& name) const { return mount_point_ + "/" + name; }

  void arm(const FaultPlan& plan);
  // The power goes at once, unless it has gone.
  void cut_now();
  // Which operation the power went with; nothing while it is on.
  std::optional<std::string> has_cut();
  // After a cut, with everybody dead who used it (or about to die): what is left, mounted anew.
  void remount();
  ServerStatistics statistics();
  bool is_running() { return process_.is_running(); }

 private:
  std::string ask(const std::string& command);
  void take_lines();

  std::string mount_point_;
  ChildProcess process_;
  std::size_t read_ = 0;  // of its output
  std::optional<std::string> cut_;
  std::vector<std::string> answers_;
};

// Serves the disk if the arguments say so, until standard input ends; the exit code.
std::optional<int> run_disk_role(const std::vector<std::string>& arguments);

// Why no file system can be mounted here; nothing: it can. In a mount namespace of its own, where
// root is at work: nothing is left behind, whatever ends the program.
std::optional<std::string> powercut_obstacle();

// What a machine forgets that goes dark, besides disks: shared memory, and (where `is_new_boot`)
// which boot it was. Only for root; others keep both.
void forget_memory(bool is_new_boot);

}  // namespace semper::testing
