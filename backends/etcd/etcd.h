// The etcd: backend: a store on an etcd cluster, version 3, over gRPC.
//
// What for: several machines, where an etcd cluster runs already, or three small servers are all
// there is to run. When not: one machine (sqlite), more than some gigabytes or many megabytes a
// second (foundationdb): etcd holds all keys in memory and sends every write through one leader.
//
// A program that opens it links semper::etcd alongside semper::semper, which brings gRPC and
// protobuf along (pkg-config: semper-etcd). Without it, open_store says so.
//
//   etcd:10.0.0.1:2379,10.0.0.2:2379,10.0.0.3:2379?prefix=app/&ca=/etc/app/ca.pem
//
//   prefix=TEXT         all keys of the store begin with it; default semper/. Stores with different
//                       prefixes, none the beginning of another, share nothing.
//   tls=on              TLS, with the machine's usual certificate authorities
//   ca=FILE             TLS, with these
//   cert=FILE, key=FILE our own certificate, for mutual TLS
//   server_name=NAME    the name that the servers' certificates are checked against
//   user=NAME           etcd's own authentication; the password from the first line of
//   password_file=FILE  this file, or from the environment variable SEMPER_ETCD_PASSWORD
//   http_proxy=on       through the proxy that https_proxy or http_proxy names, if one does
//
// An open connection is for loopback and trusted networks: whoever can write to it reads and
// changes everything, and a password goes over TLS or to this machine only. docs/backends.md has
// the rest: supported versions, what is promised, operations.
#pragma once

#include <memory>

#include "semper/store/backend.h"

namespace semper {

// Errors: invalid_argument (the URL; a prefix that holds something else), io (no endpoint can be
// reached, with what each said), unsupported (a version of etcd that is too old), permission.
Async<std::shared_ptr<Backend>> open_etcd(StoreUrl url, Env env);

}  // namespace semper
