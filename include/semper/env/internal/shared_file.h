// Files that Semper makes beside something of a user's, for all processes that use that.
//
// What for: shared memory beside a store or a device. When not: data; create_block_file makes
// those.
//
// Who may use the user's file may use what lies beside it, whoever came first: owner, group and
// mode are those of the user's file, from the moment the new file has its name, so that a command
// that root runs once does not lock a service out, nor a process that is killed on the way.
//
// An existing file is opened without O_CREAT: the kernel refuses root that in sticky folders
// (fs.protected_regular) where the file is another user's.
//
// Threads: any.
#pragma once

#include <sys/stat.h>

#include <string>

#include "semper/base/result.h"

namespace semper::internal {

// A descriptor for reading and writing, close-on-exec, of the file of this name, no link. Where
// there is none: of an empty one, which was made. Errors: permission, exhausted, io, retry (it
// comes and goes).
Result<int> open_shared_file(const std::string& path, const struct stat& like);

// Owner, group and mode as those of `like`, as far as this process may. What it may not give to the
// group stays closed to the group.
void give_like(int descriptor, const struct stat& like);

}  // namespace semper::internal
