// Files and loop devices for tests; a second process that has them open is a ChildProcess.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "block_device_contract_test_support.h"
#include "semper/block/file_block_device.h"
#include "semper/testing/child_process.h"
#include "semper/testing/temporary_folder.h"

namespace semper::testing {

class FileWorld : public DeviceWorld {
 public:
  explicit FileWorld(FileDeviceOptions options);
  Result<std::unique_ptr<BlockDevice>> open(Access access) override;
  const std::string& path() const { return path_; }

 protected:
  const TemporaryFolder folder_{TemporaryFolder::Place::beside_program};
  std::string path_;
  FileDeviceOptions options_;
};

// A loop device over a file; needs root. Null with a printed reason where there is none.
class LoopWorld final : public FileWorld {
 public:
  static std::unique_ptr<LoopWorld> make(std::uint32_t sector_size, FileDeviceOptions options = {});
  ~LoopWorld() override;
  const std::string& backing_file() const { return backing_; }

 private:
  LoopWorld(FileDeviceOptions options) : FileWorld(options) {}
  std::string backing_;
};

// Runs a program, waits, and returns its standard output without the last newline. `ok` says
// whether it succeeded.
struct CommandResult {
  bool ok = false;
  std::string output;
};
CommandResult run_command(const std::vector<std::string>& arguments);

}  // namespace semper::testing
