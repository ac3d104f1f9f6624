// StorePath: where a store lies, and what lies beside it.
#pragma once

#include <string>

namespace semper::sqlite {

// The store's file, and the names of what lies beside it.
struct StorePath {
  std::string file;  // absolute, symbolic links resolved: one file has one sidecar
  std::string directory;

  std::string sidecar() const { return file + "-semper"; }
  std::string wal() const { return file + "-wal"; }
  std::string index() const { return file + "-shm"; }  // SQLite's, of the log
  std::string newborn() const { return file + "-semper-new"; }
};

}  // namespace semper::sqlite
