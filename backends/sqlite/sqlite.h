// The sqlite: backend: one SQLite file as a store for many processes of one machine.
//
// What for: the embedded default. When not: several machines (foundationdb, etcd), a network file
// system, tests that need no disk (memory).
//
//   sqlite:./data.db?cache_mib=64
//
//   cache_mib=N      page cache of the committing connection in MiB; default 16. More pays where
//                    writes are spread over a store larger than this.
//   readers=N        read connections, so versions of the store that can be read at once; default
//                    16
//   page_size=N      of a new file, 512 to 65536; default 1024 (measured, see docs/backends.md)
//   access=read      commit nothing, and make nothing where this process may not write; =existing:
//                    make no new store (docs/backends.md)
//   network=force    open on a network file system all the same: at your own risk, from one machine
//   vfs=NAME         a registered SQLite VFS, for fault injection in tests
//
// Beside PATH there are PATH-wal and PATH-shm (SQLite's own) and PATH-semper (the sidecar, see
// sidecar.h) while anybody has it open. What opening waits for is bounded, and done on the calling
// thread. Reads run inline on the caller's thread too: they take microseconds.
#pragma once

#include <memory>

#include "semper/store/backend.h"

namespace semper {

// Errors: invalid_argument (no such parameter, a file that is not a store), not_found (no such
// directory), unsupported (network file system, a newer format), corrupt, permission, io, exhausted
// (too many handles open), retry (another process is just opening or closing it). On each of them
// an existing file is as it was before.
Async<std::shared_ptr<Backend>> open_sqlite(StoreUrl url, Env env);

}  // namespace semper
