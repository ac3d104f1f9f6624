// The client library libfdb_c.so: found, loaded, its functions resolved.
//
// Loaded when the first fdb: store is opened, so that everything else runs where it is absent. It
// is never unloaded: its thread and its static objects would not survive that.
#pragma once

#include <optional>
#include <string>

#include "fdb_c_api.h"
#include "semper/base/result.h"

namespace semper::foundationdb {

inline constexpr const char* kLibraryName = "libfdb_c.so";

// `path`: a file, or a name for the loader to search; empty: kLibraryName.
// Error: unsupported (not there, not loadable, or not FoundationDB's; says what to install).
Result<FdbApi> load_library(const std::string& path);

// The API version to ask for: the highest that library and backend know, or the one asked for.
// Error: unsupported (too old a library, or the version asked for is over the library's).
Result<int> choose_api_version(const FdbApi& api, std::optional<int> wanted,
                               const std::string& library);

}  // namespace semper::foundationdb
