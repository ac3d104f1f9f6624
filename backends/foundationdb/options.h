// FoundationDbOptions: what an fdb: URL says, checked.
#pragma once

#include <optional>
#include <string>

#include "semper/store/backend.h"

namespace semper::foundationdb {

// Longest name of a tenant or a prefix.
inline constexpr std::size_t kNameBytesMaximum = 128;

struct FoundationDbOptions {
  std::string url;           // as given
  std::string cluster_file;  // empty: where FoundationDB looks by itself
  std::string library;       // empty: SEMPER_FDB_LIBRARY, else the loader's search
  std::optional<int> api_version;
  std::string tenant;  // empty: none
  std::string prefix = "semper";
};

// Errors: invalid_argument, naming the parameter.
Result<FoundationDbOptions> parse_options(const StoreUrl& url);

// "cluster file PATH (coordinators)" for messages; the coordinators are read out of the file, where
// it can be read.
std::string describe_cluster(const std::string& cluster_file);

// Errors: not_found, permission, invalid_argument (it is something else).
Status check_cluster_file(const std::string& cluster_file);

}  // namespace semper::foundationdb
