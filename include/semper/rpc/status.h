// gRPC status codes as Errors, and back.
//
// What for: finding out which code stands for which kind, when you write a handler or read an error
// of semper::rpc. When not: otherwise; calls and streams do the mapping themselves.
//
//   Error error = rpc::error_from_status(rpc::StatusCode::not_found, "no table of that name");
//
// A Semper server also sends the exact kind (trailing metadata `semper-error-kind`), so no kind is
// lost if both sides use Semper. From other servers:
//
//   CANCELLED cancelled · INVALID_ARGUMENT, FAILED_PRECONDITION, OUT_OF_RANGE invalid_argument ·
//   DEADLINE_EXCEEDED timeout · NOT_FOUND not_found · ALREADY_EXISTS already_exists ·
//   PERMISSION_DENIED, UNAUTHENTICATED permission · RESOURCE_EXHAUSTED exhausted ·
//   ABORTED conflict · UNIMPLEMENTED unsupported · UNAVAILABLE io · DATA_LOSS corrupt ·
//   UNKNOWN, INTERNAL and numbers that gRPC does not have: internal
//
// UNAVAILABLE is `io`, not `retry`, because the other side may have done the work before it went
// away.
#pragma once

#include <cstdint>
#include <string_view>

#include "semper/base/result.h"

namespace semper::rpc {

// gRPC's numbers.
enum class StatusCode : std::uint8_t {
  ok = 0,
  cancelled = 1,
  unknown = 2,
  invalid_argument = 3,
  deadline_exceeded = 4,
  not_found = 5,
  already_exists = 6,
  permission_denied = 7,
  resource_exhausted = 8,
  failed_precondition = 9,
  aborted = 10,
  out_of_range = 11,
  unimplemented = 12,
  internal = 13,
  unavailable = 14,
  data_loss = 15,
  unauthenticated = 16,
};

// "NOT_FOUND", as gRPC writes it.
std::string_view to_string(StatusCode code) noexcept;

ErrorKind kind_from_status(StatusCode code) noexcept;
StatusCode status_from_kind(ErrorKind kind) noexcept;

// "MESSAGE (gRPC NOT_FOUND)".
Error error_from_status(StatusCode code, std::string_view message);

}  // namespace semper::rpc
