// Hold: SQLite's shared lock on a store's file, without a connection.
//
// Who closes the last connection of all empties the log and removes it, and knows that it is the
// last by an exclusive lock on the store's file. A handle that closes all its connections to begin
// anew is not gone: as long as its hold lives, no other program takes itself for the last one.
//
// Threads: any, one at a time.
#pragma once

#include <memory>
#include <string>

#include "options.h"

struct sqlite3_file;

namespace semper::sqlite {

class Hold {
 public:
  // Nothing where the file cannot be opened or locked.
  static std::unique_ptr<Hold> take(const SqliteOptions& options);

  ~Hold();
  Hold(const Hold&) = delete;
  Hold& operator=(const Hold&) = delete;

 private:
  Hold() = default;
  sqlite3_file* file() { return reinterpret_cast<sqlite3_file*>(memory_.get()); }

  std::unique_ptr<const char, void (*)(const char*)> name_{nullptr, nullptr};
  std::unique_ptr<char[]> memory_;
};

}  // namespace semper::sqlite
