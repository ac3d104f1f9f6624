#include "semper/durable/descriptor.h"

#include <fcntl.h>
#include <poll.h>

#include <cerrno>
#include <optional>
#include <system_error>

#include "semper/durable/system_errors.h"
#include "semper/env/asio_net.h"

namespace semper {
namespace {

using Descriptor = asio::posix::stream_descriptor;

// Asio's for one wait.
class Borrowed {
 public:
  explicit Borrowed(const Executor& executor) : asios_(executor) {}
  Borrowed(const Borrowed&) = delete;
  Borrowed& operator=(const Borrowed&) = delete;
  ~Borrowed() {
    if (!asios_.is_open()) return;
    const int descriptor = asios_.release();
    if (::fcntl(descriptor, F_GETFL) != flags_) ::fcntl(descriptor, F_SETFL, flags_);
  }

  Status take(int descriptor) {
    flags_ = ::fcntl(descriptor, F_GETFL);
    if (flags_ < 0) return fail(error_from_errno(errno, "waiting for a descriptor"));
    std::error_code code;
    asios_.assign(descriptor, code);
    if (code) return fail(error_from_system(code, "waiting for a descriptor"));
    return Status();
  }
  Descriptor& asios() { return asios_; }

 private:
  Descriptor asios_;
  int flags_ = 0;  // Asio sets O_NONBLOCK
};

Async<void> wait_for(int descriptor, Descriptor::wait_type what) {
  const Executor executor = co_await asio::this_coro::executor;
  std::error_code code;
  std::optional<Borrowed> borrowed;
  try {
    borrowed.emplace(executor);  // the first one on a loop opens descriptors
  } catch (const std::system_error& thrown) {
    code = thrown.code();
  }
  if (code) co_return fail(error_from_system(code, "waiting for a descriptor"));
  SEMPER_CO_TRY_STATUS(borrowed->take(descriptor));
  co_await borrowed->asios().async_wait(what, asio::redirect_error(asio::use_awaitable, code));
  if (code) co_return fail(error_from_system(code, "waiting for a descriptor"));
  co_return Status();
}

}  // namespace

Async<void> wait_readable(int descriptor) {
  return wait_for(descriptor, Descriptor::wait_read);
}

Async<void> wait_writable(int descriptor) {
  return wait_for(descriptor, Descriptor::wait_write);
}

bool is_quiet(int descriptor) {
  pollfd asked{};
  asked.fd = descriptor;
  asked.events = POLLIN | POLLRDHUP;
  return descriptor >= 0 && ::poll(&asked, 1, 0) == 0;
}

}  // namespace semper
