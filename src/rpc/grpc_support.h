// What the source files that know gRPC share. The only private header that includes it.
#pragma once

#include <grpcpp/grpcpp.h>
#include <grpcpp/support/byte_buffer.h>

#include <algorithm>
#include <atomic>
#include <climits>
#include <string>

#include "semper/base/bytes.h"
#include "semper/env/clock.h"
#include "semper/env/fork.h"
#include "semper/rpc/channel.h"
#include "semper/rpc/status.h"

namespace semper::rpc {

inline constexpr char kErrorKindKey[] = "semper-error-kind";

// What a durable channel learns about how often its server lets it ping; its channels share it.
struct PingPace {
  std::atomic<Duration::rep> shortest = 0;
};

// How one connection pings. Its calls keep it, and not the connection.
struct Pings {
  std::string address;
  Duration every = kForever;
  std::shared_ptr<PingPace> pace;
};

// In a forked child it is left as it is: gRPC's locks may be held there for ever.
struct Channel::Impl {
  const ForkGuard fork{};
  std::string address;
  std::shared_ptr<grpc::Channel> channel;
  std::shared_ptr<const Pings> pings;
  std::atomic<bool> given_up = false;
};

// Before a call's end is told to its caller: whether the server cut the connection off because of
// our pings. Then the next connection pings half as often, as gRPC has it in its own channels.
void learn_from(const Pings& pings, const grpc::Status& status);

// Of a channel that goes to `address`, which stands for so many; in one function so that a test can
// see them.
grpc::ChannelArguments channel_arguments(const ChannelOptions& options, const std::string& address,
                                         Duration keepalive, std::size_t addresses = 1);

class ChannelAccess {
 public:
  using Impl = Channel::Impl;
  static Channel make(std::shared_ptr<Impl> impl) { return Channel(std::move(impl)); }
  static const std::shared_ptr<grpc::Channel>& native(const Channel& channel) {
    return channel.impl_->channel;
  }
  static const std::shared_ptr<const Pings>& pings(const Channel& channel) {
    return channel.impl_->pings;
  }
  static const ForkGuard& fork(const Channel& channel) { return channel.impl_->fork; }
};

// Before the first channel or server, and before anything else of gRPC's. gRPC 1.51 ends its
// threads for callbacks with the last channel that used them, and aborts if that goes on one of
// these threads: a call that outlives its channel does that. This keeps them until the process
// ends. Errors: unsupported (gRPC was used before this process was forked: its threads are not
// here), exhausted (it has no descriptors to begin with).
Status begin_with_grpc();

// Of what was made before the process forked; gRPC is not asked. Error: unsupported.
Status check_fork(const Channel& channel);

// Puts the options into the context. Error: invalid_argument, for what gRPC would abort the
// process.
struct CallOptions;
Status prepare(grpc::ClientContext& context, const std::string& method, const CallOptions& options);

inline grpc::ByteBuffer to_buffer(const Bytes& bytes) {
  const grpc::Slice slice(bytes);
  return grpc::ByteBuffer(&slice, 1);
}

// One copy; gRPC has bounded its length already.
inline Bytes from_buffer(const grpc::ByteBuffer& buffer) {
  grpc::Slice single;
  if (buffer.TrySingleSlice(&single).ok()) {
    return Bytes(reinterpret_cast<const char*>(single.begin()), single.size());
  }
  std::vector<grpc::Slice> slices;
  Bytes bytes;
  if (!buffer.Dump(&slices).ok()) return bytes;
  bytes.reserve(buffer.Length());
  for (const auto& slice : slices) {
    bytes.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  }
  return bytes;
}

// As gRPC's arguments have it.
inline int milliseconds(Duration span) {
  const auto count = std::chrono::ceil<std::chrono::milliseconds>(span).count();
  return static_cast<int>(std::min<std::int64_t>(count, INT_MAX));
}

// gRPC keeps deadlines by a clock of its own.
inline gpr_timespec grpc_time_after(Duration span) {
  if (span == kForever) return gpr_inf_future(GPR_CLOCK_MONOTONIC);
  return gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
                      gpr_time_from_nanos(span.count(), GPR_TIMESPAN));
}

inline Error error_from(const grpc::Status& status, const grpc::ClientContext& context,
                        const std::string& method) {
  const Error plain =
      error_from_status(static_cast<StatusCode>(status.error_code()), status.error_message());
  ErrorKind kind = plain.kind();
  const auto& trailing = context.GetServerTrailingMetadata();
  if (const auto found = trailing.find(kErrorKindKey); found != trailing.end()) {
    kind = error_kind_from(std::string_view(found->second.data(), found->second.size()));
  }
  return Error(kind, plain.message()).in(method);
}

// Whether the call failed on the way: a handler of ours says its kind, and other servers have codes
// of their own for what they refuse.
inline bool is_transport_failure(const grpc::Status& status, const grpc::ClientContext& context) {
  const auto& trailing = context.GetServerTrailingMetadata();
  if (trailing.find(kErrorKindKey) != trailing.end()) return false;
  return status.error_code() == grpc::StatusCode::UNAVAILABLE ||
         status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED ||
         status.error_code() == grpc::StatusCode::CANCELLED;
}

}  // namespace semper::rpc
