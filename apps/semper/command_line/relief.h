// The program beside this one that opens etcd: too.
//
// etcd: needs gRPC and protobuf, 48 libraries that no other command does and that take longer to
// load than most commands do to run. So `semper` is linked without them, and hands over to
// `semper-etcd`, the same program with them, as soon as its command line or SEMPER_STORE names an
// etcd: URL.
#pragma once

namespace semper::cli {

// Replaces this process, where one of the arguments or SEMPER_STORE is an etcd: URL and that
// program is there; returns otherwise, and open_store says what is missing.
void hand_over_for_etcd(int argc, char** argv);

}  // namespace semper::cli
