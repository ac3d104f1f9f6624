#include "reader.h"

#include "place.h"
#include "store_file.h"

namespace semper::sqlite {
namespace {

// A reader's pages are dropped whenever anybody commits, so a large cache would not stay warm.
constexpr std::size_t kReaderCacheKib = 2048;

}  // namespace

Result<std::unique_ptr<Reader>> Reader::open(const SqliteOptions& options) {
  SEMPER_TRY_STATUS(check_place(options));
  SEMPER_TRY(auto reader, open_for_reading(options, ConnectionOptions::Access::shared));
  SEMPER_TRY_STATUS(check_place(options));
  return reader;
}

Result<std::unique_ptr<Reader>> Reader::open_for_reading(const SqliteOptions& options,
                                                         ConnectionOptions::Access access) {
  ConnectionOptions how;
  how.path = options.path.file;
  how.vfs = options.vfs;
  how.cache_kib = kReaderCacheKib;
  how.access = access;
  SEMPER_TRY(Connection connection, Connection::open(how));
  SEMPER_TRY_STATUS(connection.execute("PRAGMA query_only=ON"));
  std::unique_ptr<Reader> reader(new Reader(std::move(connection)));
  SEMPER_TRY_STATUS(reader->prepare());
  return reader;
}

Status Reader::prepare() {
  SEMPER_TRY(begin_, connection_.prepare("BEGIN"));
  SEMPER_TRY(end_, connection_.prepare("COMMIT"));
  SEMPER_TRY(version_, connection_.prepare("SELECT version FROM meta WHERE id = 1"));
  SEMPER_TRY(get_, connection_.prepare("SELECT value, version, checksum FROM kv WHERE key = ?1"));
  SEMPER_TRY(ascending_, connection_.prepare("SELECT key, value, version, checksum FROM kv"
                                             " WHERE key >= ?1 AND key < ?2"
                                             " ORDER BY key ASC LIMIT ?3"));
  SEMPER_TRY(descending_, connection_.prepare("SELECT key, value, version, checksum FROM kv"
                                              " WHERE key >= ?1 AND key < ?2"
                                              " ORDER BY key DESC LIMIT ?3"));
  SEMPER_TRY(row_version_, connection_.prepare("SELECT version FROM kv WHERE key = ?1"));
  return {};
}

Result<Version> Reader::begin() {
  if (open_) end();
  if (const int code = begin_.run(); code != SQLITE_OK) {
    return fail(connection_.error(code, "cannot begin to read"));
  }
  open_ = true;
  const int code = version_.step();
  const auto version = code == SQLITE_ROW ? version_.column_number(0) : 0;
  version_.reset();
  if (code == SQLITE_ROW) return static_cast<Version>(version);
  end();
  if (code == SQLITE_DONE) {
    return fail(ErrorKind::corrupt,
                "store file " + connection_.path() +
                    ": its own record (table meta) is missing; restore a backup");
  }
  return fail(connection_.error(code, "cannot read the version"));
}

void Reader::end() {
  open_ = false;
  if (end_.run() != SQLITE_OK) static_cast<void>(connection_.execute("ROLLBACK"));
}

Status Reader::verify(BytesView key, BytesView value, int first_column, Statement& row) const {
  const auto version = static_cast<Version>(row.column_number(first_column));
  const auto stored = static_cast<std::uint32_t>(row.column_number(first_column + 1));
  if (row_checksum(key, value, version) == stored) return {};
  return fail(damaged_row(connection_.path(), key));
}

Result<std::optional<Bytes>> Reader::get(BytesView key) {
  get_.bind(1, key);
  const ResetGuard reset(get_);
  const int code = get_.step();
  if (code == SQLITE_DONE) return std::nullopt;
  if (code != SQLITE_ROW) return fail(connection_.error(code, "cannot read a key"));
  const BytesView value = get_.column_bytes(0);
  SEMPER_TRY_STATUS(verify(key, value, 1, get_));
  return Bytes(value);
}

Result<RangePage> Reader::get_range(const PageRequest& request) {
  Statement& rows = request.order == Order::ascending ? ascending_ : descending_;
  rows.bind(1, request.range.begin);
  rows.bind(2, request.range.end);
  rows.bind(3, static_cast<std::int64_t>(request.rows));
  const ResetGuard reset(rows);
  RangePage page;
  std::size_t bytes = 0;
  while (page.rows.size() < request.rows && bytes < kPageBytesMaximum) {
    const int code = rows.step();
    if (code == SQLITE_DONE) return page;
    if (code != SQLITE_ROW) return fail(connection_.error(code, "cannot read a range"));
    const BytesView key = rows.column_bytes(0);
    const BytesView value = rows.column_bytes(1);
    SEMPER_TRY_STATUS(verify(key, value, 2, rows));
    bytes += key.size() + value.size();
    page.rows.push_back({Bytes(key), Bytes(value)});
  }
  page.more = true;
  return page;
}

Result<Version> Reader::row_version(BytesView key) {
  row_version_.bind(1, key);
  const ResetGuard reset(row_version_);
  const int code = row_version_.step();
  if (code == SQLITE_DONE) return Version{0};
  if (code != SQLITE_ROW) return fail(connection_.error(code, "cannot read a key's version"));
  return static_cast<Version>(row_version_.column_number(0));
}

void Reader::shrink() {
  sqlite3_db_release_memory(connection_.handle());
}

}  // namespace semper::sqlite
