// The gRPC channel under a semper::rpc::Channel, for programs with generated stubs.
//
// What for: `prices::Prices::NewStub(rpc::native(channel))` inside a `with`, for calls that
// semper::rpc does not support. When not: everything that call.h and subscribe.h can do. This
// header names gRPC's type but includes none of gRPC; link gRPC yourself, the same library that
// Semper was built with.
//
// The stub keeps the connection alive, broken or not. Create one per `with`; stubs are cheap.
#pragma once

#include <memory>

#include "semper/rpc/channel.h"

namespace grpc {
class Channel;
}

namespace semper::rpc {

std::shared_ptr<grpc::Channel> native(const Channel& channel);

}  // namespace semper::rpc
