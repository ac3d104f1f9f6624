// The fdb: backend: a FoundationDB cluster as a store for many processes on many machines.
//
// What for: those who outgrow one machine. When not: one machine is enough (sqlite), or nobody
// looks after a cluster.
//
//   fdb:/etc/foundationdb/fdb.cluster?prefix=orders
//
//   PATH             the cluster file; left out: $FDB_CLUSTER_FILE, else ./fdb.cluster, else
//                    /etc/foundationdb/fdb.cluster
//   prefix=NAME      the store's name in the cluster: its keys begin with it (key_space.h); default
//                    semper. Stores with different names do not see each other
//   tenant=NAME      keep the store in this tenant (FoundationDB 7.1 and newer), made where it is
//                    not there; default: none
//   library=PATH     the client library; default $SEMPER_FDB_LIBRARY, else libfdb_c.so as the
//                    loader finds it. One for all stores of a process
//   api=N            the API version to use, 630 to 730; default: the newest that library and
//                    backend know. One for all stores of a process
//
// Nothing of FoundationDB is needed to build or install this: the library is loaded when the first
// store is opened, and runs one thread until the process ends. An open store must not be used in a
// forked child.
#pragma once

#include <memory>

#include "semper/store/backend.h"

namespace semper {

// Waits for the cluster's first answer, a few seconds at most.
// Errors: unsupported (no client library, too old a one, tenants are switched off, a forked child),
// not_found (no such cluster file), invalid_argument (a parameter, another library or API version
// than the process runs), retry (the cluster does not answer: names it), permission, io.
Async<std::shared_ptr<Backend>> open_foundationdb(StoreUrl url, Env env);

}  // namespace semper
