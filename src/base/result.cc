#include "semper/base/result.h"

#include <array>
#include <cerrno>
#include <cstddef>
#include <system_error>

namespace semper {
namespace {

// In the order of ErrorKind; index 0 is no kind.
constexpr std::array<std::string_view, 17> kKindNames = {
    "",        "invalid_argument", "not_found",       "already_exists", "retry",     "suspended",
    "timeout", "conflict",         "outcome_unknown", "closed",         "cancelled", "corrupt",
    "io",      "unsupported",      "permission",      "exhausted",      "internal",
};
static_assert(kKindNames.size() == static_cast<std::size_t>(ErrorKind::internal) + 1);

ErrorKind kind_of_errno(int number) {
  switch (number) {
    case EINVAL:
    case ENAMETOOLONG:
    case ENOTDIR:
    case EISDIR:
      return ErrorKind::invalid_argument;
    case ENOENT:
    case ENXIO:
    case ENODEV:
    case ESRCH:
      return ErrorKind::not_found;
    case EEXIST:
      return ErrorKind::already_exists;
    case EAGAIN:
    case EINTR:
    case EBUSY:
      return ErrorKind::retry;
    case ETIMEDOUT:
      return ErrorKind::timeout;
    case EPIPE:
    case ECONNRESET:
    case ECONNREFUSED:
    case ECONNABORTED:
    case ENOTCONN:
      return ErrorKind::closed;
    case ECANCELED:
      return ErrorKind::cancelled;
    case ENOSYS:
    case EOPNOTSUPP:
#if ENOTSUP != EOPNOTSUPP
    case ENOTSUP:
#endif
      return ErrorKind::unsupported;
    case EACCES:
    case EPERM:
    case EROFS:
      return ErrorKind::permission;
    case ENOSPC:
    case EDQUOT:
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case EFBIG:
      return ErrorKind::exhausted;
    default:
      return ErrorKind::io;
  }
}

}  // namespace

std::string_view to_string(ErrorKind kind) noexcept {
  const auto index = static_cast<std::size_t>(kind);
  return index > 0 && index < kKindNames.size() ? kKindNames[index] : "internal";
}

ErrorKind error_kind_from(std::string_view name) noexcept {
  for (std::size_t index = 1; index < kKindNames.size(); ++index) {
    if (kKindNames[index] == name) return static_cast<ErrorKind>(index);
  }
  return ErrorKind::internal;
}

Error::Error(const Error&) = default;
Error::Error(Error&&) noexcept = default;
Error& Error::operator=(const Error&) = default;
Error& Error::operator=(Error&&) noexcept = default;

Error Error::in(std::string_view place) const {
  std::string message;
  message.reserve(place.size() + 2 + message_.size());
  message.append(place).append(": ").append(message_);
  Error placed(kind_, std::move(message));
  placed.limit_ = limit_;
  return placed;
}

std::string Error::to_string() const {
  std::string text(semper::to_string(kind_));
  text.append(": ").append(message_);
  return text;
}

bool Error::is_retryable() const noexcept {
  return kind_ == ErrorKind::retry || kind_ == ErrorKind::suspended || kind_ == ErrorKind::conflict;
}

Error error_from_errno(int number, std::string_view message) {
  std::string text(message);
  text.append(": ").append(std::generic_category().message(number));
  text.append(" (errno ").append(std::to_string(number)).append(")");
  return Error(kind_of_errno(number), std::move(text));
}

}  // namespace semper
