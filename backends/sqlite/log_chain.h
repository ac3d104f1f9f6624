// LogChain: whether the log still holds what its index names.
//
// SQLite reads frames that the index names without looking at their checksums; it trusts the kernel
// to keep what was written. After a flush that failed that trust is gone: the kernel may have
// forgotten pages. Recovery therefore follows the chain of checksums through the log, up to the
// frame that the index names last, before it believes anything.
//
// Source: https://www.sqlite.org/walformat.html, the log's and its index's formats.
//
// Threads: any, with SQLite's write lock held by this process.
#pragma once

#include "options.h"

namespace semper::sqlite {

// Errors: io (frames are missing or damaged, or cannot be read).
Status check_log(const StorePath& path);

}  // namespace semper::sqlite
