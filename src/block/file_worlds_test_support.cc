#include "file_worlds_test_support.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <iostream>
#include <utility>

#include "semper/testing/child_process.h"

namespace semper::testing {

FileWorld::FileWorld(FileDeviceOptions options) : path_(folder_.path("device")), options_(options) {
  const auto made = create_block_file(path_, {.size = kContractDiskSize});
  EXPECT_TRUE(made) << made.error().to_string();
}

Result<std::unique_ptr<BlockDevice>> FileWorld::open(Access access) {
  auto options = options_;
  options.read_only = access == Access::read_only;
  return open_block_device(path_, options);
}

std::unique_ptr<LoopWorld> LoopWorld::make(std::uint32_t sector_size, FileDeviceOptions options) {
  if (::geteuid() != 0) {
    std::cout << "no loop device: this is not root\n";
    return nullptr;
  }
  std::unique_ptr<LoopWorld> world(new LoopWorld(options));
  const auto made = run_command(
      {"losetup", "--find", "--show", "--sector-size", std::to_string(sector_size), world->path_});
  if (!made.ok) {
    std::cout << "no loop device: losetup failed\n";
    return nullptr;
  }
  world->backing_ = world->path_;
  world->path_ = made.output;
  run_command({"blockdev", "--setrw", world->path_});  // it keeps what its last user made it
  return world;
}

LoopWorld::~LoopWorld() {
  if (!backing_.empty()) run_command({"losetup", "--detach", path_});
}

CommandResult run_command(const std::vector<std::string>& arguments) {
  ProgramToStart program{"/usr/bin/env"};  // looks in PATH
  program.arguments = arguments;
  ChildProcess child(std::move(program));
  CommandResult result;
  result.ok = child.finish() == 0;
  if (!result.ok) std::cout << child.errors();
  result.output = child.output();
  while (!result.output.empty() && result.output.back() == '\n') result.output.pop_back();
  return result;
}

}  // namespace semper::testing
