#include "common/input_reader.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <utility>

#include "semper/base/assert.h"

namespace semper::cli {

void InputReader::Wake::operator()() const noexcept {
  const std::uint64_t one = 1;
  static_cast<void>(!::write(descriptor, &one, sizeof one));
}

InputReader::InputReader(int descriptor, std::stop_token stop)
    : descriptor_(descriptor),
      wake_(::eventfd(0, EFD_CLOEXEC)),
      stop_(std::move(stop)),
      on_stop_(stop_, Wake{wake_}) {
  SEMPER_ASSERT(wake_ >= 0, "the system gives no eventfd");
}

InputReader::~InputReader() {
  ::close(wake_);
}

Result<bool> InputReader::wait(Duration patience) {
  std::array<pollfd, 2> wanted = {pollfd{descriptor_, POLLIN, 0}, pollfd{wake_, POLLIN, 0}};
  const auto milliseconds = std::chrono::duration_cast<std::chrono::milliseconds>(patience).count();
  const int ready = ::poll(wanted.data(), wanted.size(), static_cast<int>(milliseconds));
  if (ready < 0 && errno != EINTR) {
    return fail(error_from_errno(errno, "waiting for the standard input"));
  }
  return ready > 0 || stop_.stop_requested();
}

Result<std::size_t> InputReader::read(std::span<char> into) {
  std::array<pollfd, 2> wanted = {pollfd{descriptor_, POLLIN, 0}, pollfd{wake_, POLLIN, 0}};
  while (!stop_.stop_requested()) {
    if (::poll(wanted.data(), wanted.size(), -1) < 0 && errno != EINTR) {
      return fail(error_from_errno(errno, "waiting for the standard input"));
    }
    if (wanted[0].revents == 0) continue;
    const auto got = ::read(descriptor_, into.data(), into.size());
    if (got >= 0) return static_cast<std::size_t>(got);
    if (errno == EINTR || errno == EAGAIN) continue;
    return fail(error_from_errno(errno, "reading the standard input"));
  }
  return 0;
}

}  // namespace semper::cli
