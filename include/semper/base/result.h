// Result<T> and Error: how every operation of Semper reports what went wrong.
//
// What for: each function that can fail for a reason outside the program returns a Result. When
// not: a broken precondition is a bug in the caller; it is asserted (see assert.h), not returned.
//
//   semper::Result<int> parse(std::string_view text);
//
//   auto n = parse("12");
//   if (!n) return semper::fail(n.error().in("port of endpoint 3"));   // adds where
//
// An ErrorKind exists only if a caller would act differently on it: the kind decides the action.
// See docs/errors.md for how to handle them:
//
//   invalid_argument  the caller's input is wrong; correct it, do not retry
//   not_found         the named thing does not exist
//   already_exists    the thing to be created already exists
//   retry             nothing was done; the same call may succeed later (a full queue, no item)
//   suspended         the other side asked for a pause; wait until it resumes
//   timeout           the deadline passed; it may still take effect where a comment says so
//   conflict          another transaction was faster; run the whole transaction again
//   outcome_unknown   it may or may not have taken effect, and nobody can tell yet; never guess
//   closed            this object was shut down, or the peer is gone; create a new one
//   cancelled         the caller itself asked for the end; nothing was done unless stated
//   corrupt           stored bytes differ from what was written; do not overwrite, inspect
//   io                the device, file or network failed; see the message
//   unsupported       this build, machine or backend cannot do it
//   permission        not allowed, or refused without a force option
//   exhausted         a bound was reached that waiting does not lift; free something or raise it
//   internal          a bug in Semper or an exception from a callback; log and report it
//
// Their equivalents elsewhere, and what the caller does next:
//
//   kind              gRPC                 POSIX         next move
//   invalid_argument  INVALID_ARGUMENT     EINVAL        correct the call
//   not_found         NOT_FOUND            ENOENT        create it, or give up
//   already_exists    ALREADY_EXISTS       EEXIST        use what is there, or another name
//   retry             UNAVAILABLE          EAGAIN        the same call again, later
//   suspended         UNAVAILABLE          EAGAIN        the same call again, when resumed
//   timeout           DEADLINE_EXCEEDED    ETIMEDOUT     look, or again if that is harmless
//   conflict          ABORTED              EBUSY         the whole transaction again
//   outcome_unknown   UNKNOWN              EINPROGRESS   look before you repeat it
//   closed            UNAVAILABLE          EPIPE         make a new handle
//   cancelled         CANCELLED            ECANCELED     nothing
//   corrupt           DATA_LOSS            EBADMSG       stop, inspect, restore
//   io                UNAVAILABLE          EIO           see the message; a person may be needed
//   unsupported       UNIMPLEMENTED        ENOTSUP       do without, or elsewhere
//   permission        PERMISSION_DENIED    EACCES        get the right, or give up
//   exhausted         RESOURCE_EXHAUSTED   ENOSPC        free something, send less, raise it
//   internal          INTERNAL             none          log it, report it
//
// Threads: values, freely copied and moved between threads.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <type_traits>
#include <utility>

#include "semper/base/internal/result_concepts.h"

namespace semper {

enum class ErrorKind : std::uint8_t {
  invalid_argument = 1,
  not_found,
  already_exists,
  retry,
  suspended,
  timeout,
  conflict,
  outcome_unknown,
  closed,
  cancelled,
  corrupt,
  io,
  unsupported,
  permission,
  exhausted,
  internal,
};

// The kind's name as it is written above, e.g. "outcome_unknown".
std::string_view to_string(ErrorKind kind) noexcept;

// The kind of that name; `internal` if there is none.
ErrorKind error_kind_from(std::string_view name) noexcept;

// The bound that was reached: its name, as in options, headers and docs/architecture.md, and its
// value. The name is a literal.
struct Limit {
  const char* name;
  std::uint64_t value;
};

// A kind and one plain sentence that says what failed, where, and what to do next.
class [[nodiscard]] Error {
 public:
  Error(ErrorKind kind, std::string message) : kind_(kind), message_(std::move(message)) {}
  Error(ErrorKind kind, Limit limit, std::string message)
      : kind_(kind), limit_(limit), message_(std::move(message)) {}

  // Not inline: otherwise g++ 12 believes that the members are read even in a Result without an
  // Error.
  Error(const Error&);
  Error(Error&&) noexcept;
  Error& operator=(const Error&);
  Error& operator=(Error&&) noexcept;
  ~Error() = default;

  ErrorKind kind() const noexcept { return kind_; }
  const std::string& message() const noexcept { return message_; }

  // The limit that was hit, if it was one of ours: for a full queue (retry), or for something too
  // large or too many (exhausted, invalid_argument). It stays in the process that created the
  // error: an error that came over a network, or out of a store, has only the message.
  std::optional<Limit> limit() const noexcept {
    if (limit_.name == nullptr) return std::nullopt;
    return limit_;
  }

  // The same error with the place put in front: "PLACE: message".
  Error in(std::string_view place) const;

  // "kind: message", for logs.
  std::string to_string() const;

  // True if nothing was done and the same call can succeed later: retry, suspended, conflict (the
  // whole transaction). Pause first, with a Backoff. All other kinds need a decision: see the
  // table.
  bool is_retryable() const noexcept;

  // The same kind and message.
  friend bool operator==(const Error& a, const Error& b) noexcept {
    return a.kind_ == b.kind_ && a.message_ == b.message_;
  }

 private:
  ErrorKind kind_;
  Limit limit_{nullptr, 0};
  std::string message_;
};

// A value of type T, or an Error: a tl::expected with its whole interface, which also warns if it
// is dropped. g++ 12 does not notice that `co_await hits.cast(two);` drops one and so ignores a
// failure; Clang does. To drop one on purpose, use static_cast<void>(...).
template <class T>
class [[nodiscard]] Result : public tl::expected<T, Error> {
  using Base = tl::expected<T, Error>;

 public:
  Result() = default;
  Result(Base other) noexcept(std::is_nothrow_move_constructible_v<Base>)
      : Base(std::move(other)) {}
  Result(tl::unexpected<Error> error) : Base(std::move(error)) {}
  template <class... Arguments>
  explicit Result(tl::in_place_t, Arguments&&... arguments)
      : Base(tl::in_place, std::forward<Arguments>(arguments)...) {}

  // If T can be constructed from it.
  template <class U = T>
  requires(internal::IsValueFor<U, T>) explicit(!std::is_convertible_v<U&&, T>) Result(U&& value)
      : Base(tl::in_place, std::forward<U>(value)) {}
  template <class U>
  requires(internal::IsOtherResultFor<U, T>) Result(const tl::expected<U, Error>& other)
      : Base(other) {}
  template <class U>
  requires(internal::IsOtherResultFor<U, T>) Result(tl::expected<U, Error>&& other)
      : Base(std::move(other)) {}
};

template <>
class [[nodiscard]] Result<void> : public tl::expected<void, Error> {
  using Base = tl::expected<void, Error>;

 public:
  Result() = default;
  Result(Base other) noexcept : Base(std::move(other)) {}
  Result(tl::unexpected<Error> error) : Base(std::move(error)) {}
  explicit Result(tl::in_place_t) {}
};

using Status = Result<void>;

// return fail(ErrorKind::not_found, "no such key ...");
[[nodiscard]] inline tl::unexpected<Error> fail(ErrorKind kind, std::string message) {
  return tl::unexpected<Error>(Error(kind, std::move(message)));
}
[[nodiscard]] inline tl::unexpected<Error> fail(Error error) {
  return tl::unexpected<Error>(std::move(error));
}
// return fail(ErrorKind::retry, Limit{"kQueue", kQueue}, "the queue is full; slow down");
[[nodiscard]] inline tl::unexpected<Error> fail(ErrorKind kind, Limit limit, std::string message) {
  return tl::unexpected<Error>(Error(kind, limit, std::move(message)));
}

// "MESSAGE: strerror text (errno N)", with the kind that matches the number.
Error error_from_errno(int number, std::string_view message);

}  // namespace semper

#include "semper/base/try.h"
