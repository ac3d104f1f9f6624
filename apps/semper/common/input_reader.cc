#include "common/input_reader.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <utility>

namespace semper::cli {

void InputReader::Wake::operator()() const noexcept {
  const std::uint64_t one = 1;
  static_cast<void>(!::write(descriptor, &one, sizeof one));
}

InputReader::Event::Event()
    : descriptor(::eventfd(0, EFD_CLOEXEC)), error(descriptor < 0 ? errno : 0) {}

InputReader::Event::~Event() {
  if (descriptor >= 0) ::close(descriptor);
}

InputReader::InputReader(int descriptor, StopToken stop)
    : descriptor_(descriptor), stop_(std::move(stop)), on_stop_(stop_, Wake{wake_.descriptor}) {}

Status InputReader::check() const {
  if (wake_.error == 0) return {};
  return fail(error_from_errno(wake_.error, "reading the standard input needs a descriptor"));
}

Result<bool> InputReader::wait(Duration patience) {
  SEMPER_TRY_STATUS(check());
  std::array<pollfd, 2> wanted = {pollfd{descriptor_, POLLIN, 0},
                                  pollfd{wake_.descriptor, POLLIN, 0}};
  const auto milliseconds = std::chrono::duration_cast<std::chrono::milliseconds>(patience).count();
  const int ready = ::poll(wanted.data(), wanted.size(), static_cast<int>(milliseconds));
  if (ready < 0 && errno != EINTR) {
    return fail(error_from_errno(errno, "waiting for the standard input"));
  }
  return ready > 0 || stop_.stop_requested();
}

Result<std::size_t> InputReader::read(std::span<char> into) {
  SEMPER_TRY_STATUS(check());
  std::array<pollfd, 2> wanted = {pollfd{descriptor_, POLLIN, 0},
                                  pollfd{wake_.descriptor, POLLIN, 0}};
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
