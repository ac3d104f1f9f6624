// Connection and Statement: SQLite's handles as owned values, its codes as Errors.
//
// Threads: one at a time per connection (they are opened without SQLite's own mutex).
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "semper/base/bytes.h"
#include "semper/base/result.h"

namespace semper::sqlite {

// A prepared statement. Bound views must stay alive until reset().
class Statement {
 public:
  Statement() = default;
  explicit Statement(sqlite3_stmt* statement) : statement_(statement) {}

  void bind(int parameter, BytesView bytes) {
    const char* data = bytes.data() == nullptr ? "" : bytes.data();
    sqlite3_bind_blob64(statement_.get(), parameter, data, bytes.size(), SQLITE_STATIC);
  }
  void bind(int parameter, std::int64_t number) {
    sqlite3_bind_int64(statement_.get(), parameter, number);
  }

  // SQLITE_ROW, SQLITE_DONE or an error code.
  int step() { return sqlite3_step(statement_.get()); }
  int reset() { return sqlite3_reset(statement_.get()); }

  // step() to the end and reset(): SQLITE_OK or the error code.
  int run() {
    step();
    return reset();
  }

  // Valid until the next step() or reset().
  BytesView column_bytes(int column) {
    const void* data = sqlite3_column_blob(statement_.get(), column);
    const int size = sqlite3_column_bytes(statement_.get(), column);
    return data == nullptr
               ? BytesView()
               : BytesView(static_cast<const char*>(data), static_cast<std::size_t>(size));
  }
  // As UTF-8, whatever the file's encoding is.
  std::string_view column_text(int column) {
    const auto* text = sqlite3_column_text(statement_.get(), column);
    const int size = sqlite3_column_bytes(statement_.get(), column);
    return text == nullptr ? std::string_view()
                           : std::string_view(reinterpret_cast<const char*>(text),
                                              static_cast<std::size_t>(size));
  }
  std::int64_t column_number(int column) { return sqlite3_column_int64(statement_.get(), column); }
  bool column_is_null(int column) {
    return sqlite3_column_type(statement_.get(), column) == SQLITE_NULL;
  }

 private:
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
  };
  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
};

// Resets a statement at the end of a scope, so that it holds no cursor open.
class ResetGuard {
 public:
  explicit ResetGuard(Statement& statement) : statement_(statement) {}
  ~ResetGuard() { statement_.reset(); }
  ResetGuard(const ResetGuard&) = delete;
  ResetGuard& operator=(const ResetGuard&) = delete;

 private:
  Statement& statement_;
};

struct ConnectionOptions {
  std::string path;
  // Empty: SQLite's default.
  std::string vfs;
  std::size_t cache_kib = 2048;
  // How long SQLite sleeps and retries when another program holds its lock.
  int busy_timeout_ms = 2000;
  enum class Create : std::uint8_t { no, yes } create = Create::no;
  // read_only: by who may not write the file, nor its log's index, which must be there; makes
  // nothing. immutable: a file that nobody changes can be read without a lock, a log or an index
  // beside it.
  enum class Access : std::uint8_t { shared, read_only, immutable } access = Access::shared;
  // The last connection of all to close may empty the WAL and remove it.
  enum class OnClose : std::uint8_t { leave_wal, checkpoint_if_last } on_close = OnClose::leave_wal;
};

class Connection {
 public:
  // Every connection: WAL kept, synchronous=FULL, no automatic checkpoint, no memory map (an
  // unreadable sector is then an error and not a SIGBUS; reads gain nothing from a map, measured).
  static Result<Connection> open(const ConnectionOptions& options);

  // Error corrupt: the file has not the tables that the statement is about.
  Result<Statement> prepare(const char* sql);
  Status execute(const char* sql);

  // The error that the code stands for, with SQLite's words and the file's name.
  Error error(int code, std::string_view what) const;
  // The same where the system's error says more: descriptors or the disk are used up.
  static Error with_cause(const Error& error, int number);
  static Error error_of(int code, const std::string& path, std::string_view what,
                        std::string_view details = {});

  sqlite3* handle() const { return handle_.get(); }
  const std::string& path() const { return path_; }

 private:
  struct Close {
    void operator()(sqlite3* handle) const { sqlite3_close_v2(handle); }
  };
  Connection(sqlite3* handle, std::string path) : handle_(handle), path_(std::move(path)) {}

  std::unique_ptr<sqlite3, Close> handle_;
  std::string path_;
};

}  // namespace semper::sqlite
