#include "connection.h"

#include <cerrno>

namespace semper::sqlite {
namespace {

ErrorKind kind_of(int code) {
  switch (code & 0xff) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return ErrorKind::corrupt;
    case SQLITE_FULL:
    case SQLITE_NOMEM:
      return ErrorKind::exhausted;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_PROTOCOL:
      return ErrorKind::retry;
    case SQLITE_PERM:
    case SQLITE_READONLY:
    case SQLITE_AUTH:
      return ErrorKind::permission;
    case SQLITE_TOOBIG:
    case SQLITE_MISMATCH:
      return ErrorKind::invalid_argument;
    case SQLITE_INTERRUPT:
      return ErrorKind::timeout;
    case SQLITE_MISUSE:
    case SQLITE_RANGE:
      return ErrorKind::internal;
    default:
      return ErrorKind::io;
  }
}

std::string too_many_files(int number) {
  return std::string(number == EMFILE ? "; this process" : "; this machine") +
         " has as many files open as it may: close some, or raise the limit (ulimit -n)";
}

const char* advice_for(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::corrupt:
      return "; nothing was overwritten: keep a copy of the file with its -wal, run `semper store "
             "check`, restore a backup";
    case ErrorKind::exhausted:
      return "; nothing of this was applied: free space or memory and try again";
    case ErrorKind::retry:
      return "; another program holds SQLite's lock (a sqlite3 shell inside a transaction?), try "
             "again when it has finished";
    case ErrorKind::permission:
      return "; this process needs to read and write the file and its directory";
    default:
      return "";
  }
}

std::string uri_of(const std::string& path, const char* parameter) {
  std::string uri = "file:";
  for (const char byte : path) {
    if (byte == '?' || byte == '#' || byte == '%') {
      uri += '%' + to_hex(BytesView(&byte, 1));
    } else {
      uri += byte;
    }
  }
  return uri + "?" + parameter;
}

}  // namespace

Result<Connection> Connection::open(const ConnectionOptions& options) {
  sqlite3* handle = nullptr;
  using Access = ConnectionOptions::Access;
  const bool writes = options.access == Access::shared;
  int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE;
  flags |= writes ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY | SQLITE_OPEN_URI;
  if (options.create == ConnectionOptions::Create::yes) flags |= SQLITE_OPEN_CREATE;
  const char* const how = options.access == Access::immutable ? "immutable=1" : "readonly_shm=1";
  const std::string name = writes ? options.path : uri_of(options.path, how);
  const int code = sqlite3_open_v2(name.c_str(), &handle, flags,
                                   options.vfs.empty() ? nullptr : options.vfs.c_str());
  Connection connection(handle, options.path);
  if (handle == nullptr) return fail(ErrorKind::exhausted, "no memory for an SQLite connection");
  sqlite3_extended_result_codes(handle, 1);
  if (code != SQLITE_OK) return fail(connection.error(code, "cannot open"));
  sqlite3_busy_timeout(handle, options.busy_timeout_ms);
  if (options.on_close == ConnectionOptions::OnClose::leave_wal) {
    sqlite3_db_config(handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
  }
  const std::string settings =
      "PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=0; PRAGMA mmap_size=0;"
      "PRAGMA secure_delete=OFF; PRAGMA temp_store=MEMORY; PRAGMA trusted_schema=OFF;"
      "PRAGMA cache_size=-" +
      std::to_string(options.cache_kib);
  const int set = sqlite3_exec(handle, settings.c_str(), nullptr, nullptr, nullptr);
  if (set != SQLITE_OK) return fail(connection.error(set, "cannot open"));
  return connection;
}

Result<Statement> Connection::prepare(const char* sql) {
  sqlite3_stmt* statement = nullptr;
  const int code =
      sqlite3_prepare_v3(handle(), sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
  if ((code & 0xff) == SQLITE_ERROR) {
    return fail(ErrorKind::corrupt, "store file " + path_ + " has not the tables of a store (" +
                                        sqlite3_errmsg(handle()) +
                                        "): an unfinished copy? It was left as it is; restore "
                                        "another one");
  }
  if (code != SQLITE_OK) return fail(error(code, "cannot prepare a statement"));
  return Statement(statement);
}

Status Connection::execute(const char* sql) {
  const int code = sqlite3_exec(handle(), sql, nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) return fail(error(code, sql));
  return {};
}

Error Connection::error(int code, std::string_view what) const {
  const bool more = handle_ && sqlite3_extended_errcode(handle()) == code;
  Error error = error_of(code, path_, what, more ? sqlite3_errmsg(handle()) : "");
  const int number = more ? sqlite3_system_errno(handle()) : 0;
  if ((code & 0xff) != SQLITE_IOERR && (code & 0xff) != SQLITE_CANTOPEN) return error;
  return with_cause(error, number);
}

Error Connection::with_cause(const Error& error, int number) {
  if (number == EMFILE || number == ENFILE) {
    return Error(ErrorKind::exhausted, error.message() + too_many_files(number));
  }
  if (number == ENOSPC || number == EDQUOT) {
    return Error(ErrorKind::exhausted, error.message() + "; there is no room on its disk");
  }
  return error;
}

Error Connection::error_of(int code, const std::string& path, std::string_view what,
                           std::string_view details) {
  std::string message = "store file " + path + ": ";
  message.append(what).append(": ").append(sqlite3_errstr(code));
  if (!details.empty()) message.append(" (").append(details).append(")");
  message.append(" [SQLite code ").append(std::to_string(code)).append("]");
  const ErrorKind kind = kind_of(code);
  return Error(kind, message.append(advice_for(kind)));
}

}  // namespace semper::sqlite
