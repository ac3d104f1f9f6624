// SqliteOptions: what a sqlite: URL says, checked.
#pragma once

#include <memory>
#include <string>

#include "semper/store/backend.h"
#include "store_path.h"

namespace semper::sqlite {

// A value of 4 MiB and a transaction of 32 MiB are far below what SQLite takes, and small enough
// that one caller does not hold up all the others of its batch for long.
inline constexpr Limits kStoreLimits = {
    .key_bytes = 10'000,
    .value_bytes = std::size_t{4} << 20,
    .transaction_bytes = std::size_t{32} << 20,
    .transaction_operations = 200'000,
    .transaction_duration = std::chrono::seconds(5),
};

class Place;

struct SqliteOptions {
  std::string url;  // as given, without `access` and `neighbours`: those are how, not which
  StorePath path;
  std::string vfs;
  std::size_t cache_mib = 16;
  std::size_t readers = 16;
  std::size_t page_size = 1024;
  enum class Network : std::uint8_t { refuse, force } network = Network::refuse;
  // Whether this process talks to others that have the store open (neighbours.h).
  enum class Neighbours : std::uint8_t { on, off } neighbours = Neighbours::on;
  // make: a store that is not there is made. existing: it is refused. read: the same, and this
  // handle commits nothing, so that who may read the file needs no other right.
  enum class Access : std::uint8_t { make, existing, read } access = Access::make;
  // Of an open store: connections that are opened later must find the same files.
  std::shared_ptr<const Place> place = nullptr;
};

// Errors: invalid_argument, not_found (no such directory, with the mkdir that makes it),
// permission.
Result<SqliteOptions> parse_options(const StoreUrl& url);

// The name of the network file system with this statfs magic and mount type; empty for a local one.
// FUSE has one magic for both kinds, so its mount type decides.
std::string network_file_system(std::uint64_t magic, std::string_view mount_type);

// Error: unsupported where the directory lies on a network file system.
Status refuse_network(const SqliteOptions& options);

}  // namespace semper::sqlite
