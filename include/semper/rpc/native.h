// The gRPC channel under a semper::rpc::Channel, for programs with generated stubs.
//
// What for: `prices::Prices::NewStub(rpc::native(channel))` inside a `with`, for calls that this
// room has nothing for. When not: everything that call.h and subscribe.h do. This header names gRPC's
// type and includes nothing of it; link gRPC yourself, the same library that Semper was built with.
//
// The stub keeps the connection alive, broken or not: make one per `with`, they are cheap.
#pragma once

#include <memory>

#include "semper/rpc/channel.h"

namespace grpc {
class Channel;
}

namespace semper::rpc {

std::shared_ptr<grpc::Channel> native(const Channel& channel);

}  // namespace semper::rpc
