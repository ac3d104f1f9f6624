// A block device over a file of the disk under test: what is written to it goes through the
// kernel's block layer, and its flushes become flushes of the file.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

namespace semper::testing {

class LoopDevice {
 public:
  // Null where there are no loop devices, or not for this user. It goes with this process, if not
  // before.
  static std::unique_ptr<LoopDevice> over(const std::string& file, std::uint32_t sector_size);
  ~LoopDevice();
  LoopDevice(const LoopDevice&) = delete;
  LoopDevice& operator=(const LoopDevice&) = delete;

  const std::string& path() const { return path_; }

 private:
  LoopDevice(int descriptor, std::string path) : descriptor_(descriptor), path_(std::move(path)) {}

  int descriptor_;
  std::string path_;
};

}  // namespace semper::testing
