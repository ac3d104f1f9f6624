#include "semper/rpc/status.h"

#include <string>

#include "semper/base/internal/mutant.h"

namespace semper::rpc {
namespace {

constexpr std::string_view kNames[] = {
    "OK",        "CANCELLED",      "UNKNOWN",           "INVALID_ARGUMENT",   "DEADLINE_EXCEEDED",
    "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
    "ABORTED",   "OUT_OF_RANGE",   "UNIMPLEMENTED",     "INTERNAL",           "UNAVAILABLE",
    "DATA_LOSS", "UNAUTHENTICATED"};

}  // namespace

std::string_view to_string(StatusCode code) noexcept {
  const auto number = static_cast<std::size_t>(code);
  return number < std::size(kNames) ? kNames[number] : "an unknown code";
}

ErrorKind kind_from_status(StatusCode code) noexcept {
  switch (code) {
    case StatusCode::cancelled:
      return ErrorKind::cancelled;
    case StatusCode::invalid_argument:
    case StatusCode::failed_precondition:
    case StatusCode::out_of_range:
      return ErrorKind::invalid_argument;
    case StatusCode::deadline_exceeded:
      return ErrorKind::timeout;
    case StatusCode::not_found:
      return ErrorKind::not_found;
    case StatusCode::already_exists:
      return ErrorKind::already_exists;
    case StatusCode::permission_denied:
    case StatusCode::unauthenticated:
      return ErrorKind::permission;
    case StatusCode::resource_exhausted:
      return ErrorKind::exhausted;
    case StatusCode::aborted:
      return ErrorKind::conflict;
    case StatusCode::unimplemented:
      return ErrorKind::unsupported;
    case StatusCode::unavailable:
      return ErrorKind::io;
    case StatusCode::data_loss:
      return ErrorKind::corrupt;
    case StatusCode::ok:
    case StatusCode::unknown:
    case StatusCode::internal:
      break;
  }
  return ErrorKind::internal;
}

StatusCode status_from_kind(ErrorKind kind) noexcept {
  switch (kind) {
    case ErrorKind::invalid_argument:
      return StatusCode::invalid_argument;
    case ErrorKind::not_found:
      return StatusCode::not_found;
    case ErrorKind::already_exists:
      return StatusCode::already_exists;
    case ErrorKind::retry:
    case ErrorKind::suspended:
    case ErrorKind::closed:
    case ErrorKind::io:
      return StatusCode::unavailable;
    case ErrorKind::timeout:
      return StatusCode::deadline_exceeded;
    case ErrorKind::conflict:
      return StatusCode::aborted;
    case ErrorKind::outcome_unknown:
      if (SEMPER_MUTANT("rpc_unknown_outcome_told_as_unavailable")) return StatusCode::unavailable;
      return StatusCode::unknown;
    case ErrorKind::cancelled:
      return StatusCode::cancelled;
    case ErrorKind::corrupt:
      return StatusCode::data_loss;
    case ErrorKind::unsupported:
      return StatusCode::unimplemented;
    case ErrorKind::permission:
      return StatusCode::permission_denied;
    case ErrorKind::exhausted:
      return StatusCode::resource_exhausted;
    case ErrorKind::internal:
      break;
  }
  return StatusCode::internal;
}

Error error_from_status(StatusCode code, std::string_view message) {
  std::string text(message.empty() ? std::string_view("no message") : message);
  text.append(" (gRPC ").append(to_string(code)).append(")");
  return Error(kind_from_status(code), std::move(text));
}

}  // namespace semper::rpc
