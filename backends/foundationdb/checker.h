// Reads the whole store, for Backend::check().
#pragma once

#include <memory>
#include <string>

#include "connection.h"

namespace semper::foundationdb {

inline constexpr std::size_t kCheckPageRows = 10'000;
// Times in a row that a page may fail before the check gives up.
inline constexpr int kCheckAttempts = 10;

// Every key and value is read once, each page at the newest version; FoundationDB checks the
// checksums of what it reads from its disks. Success: what was read. Errors: those of reading.
Async<std::string> read_everything(std::shared_ptr<Connection> connection);

}  // namespace semper::foundationdb
