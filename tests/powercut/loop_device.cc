#include "loop_device.h"

#include <fcntl.h>
#include <linux/loop.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>

namespace semper::testing {
namespace {

// Others take free ones at the same time.
constexpr int kDeviceAttempts = 50;

}  // namespace

std::unique_ptr<LoopDevice> LoopDevice::over(const std::string& file, std::uint32_t sector_size) {
  const int control = ::open("/dev/loop-control", O_RDWR | O_CLOEXEC);
  const int backing = ::open(file.c_str(), O_RDWR | O_CLOEXEC);
  std::unique_ptr<LoopDevice> device;
  for (int i = 0; control >= 0 && backing >= 0 && !device && i < kDeviceAttempts; ++i) {
    const int number = ::ioctl(control, LOOP_CTL_GET_FREE);
    if (number < 0) break;
    std::string path = "/dev/loop" + std::to_string(number);
    const int descriptor = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
    if (descriptor < 0) break;
    loop_config wanted{};
    wanted.fd = static_cast<std::uint32_t>(backing);
    wanted.block_size = sector_size;
    wanted.info.lo_flags = LO_FLAGS_AUTOCLEAR;
    const bool is_ours = ::ioctl(descriptor, LOOP_CONFIGURE, &wanted) == 0;
    const bool is_taken = !is_ours && errno == EBUSY;
    if (is_ours) {
      // What the number's former device has failed to write back, and nobody was told of, is not
      // ours.
      static_cast<void>(::fsync(descriptor));
      device.reset(new LoopDevice(descriptor, std::move(path)));
    } else {
      ::close(descriptor);
      if (!is_taken) break;
    }
  }
  if (control >= 0) ::close(control);
  if (backing >= 0) ::close(backing);
  return device;
}

// It is cleared with the last one who has it open.
LoopDevice::~LoopDevice() {
  ::close(descriptor_);
}

}  // namespace semper::testing
