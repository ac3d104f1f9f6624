// Rights: what this process may do with a store's files, in words where it may not.
//
// The kernel's own answers say neither who asked nor whose the file is, and SQLite's are one word.
//
// Threads: any.
#pragma once

#include <string>

#include "semper/base/result.h"
#include "store_path.h"

namespace semper::sqlite {

// Error permission: the first folder on the way to this path that this process may not enter, whose
// it is, and what to do. Success also where a folder is missing.
Status check_may_enter(const std::string& path);

// Error permission: the file is there and not for this process to read.
Status check_may_read(const std::string& file);

// Error permission: the store is there, but its file, or the folder in which its log is made, is
// not for this process to write; or no store is there, and its folder is not for this process to
// write.
Status check_may_write(const StorePath& path);

}  // namespace semper::sqlite
