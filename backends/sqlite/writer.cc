#include "writer.h"

#include <algorithm>
#include <optional>

#include "checkpointer.h"
#include "place.h"
#include "semper/base/internal/mutant.h"
#include "semper/store/versionstamp.h"
#include "store_file.h"
#include "wal_vfs.h"

namespace semper::sqlite {
namespace {

void write_stamp(Bytes& target, std::size_t offset, const CommitReceipt& stamp) {
  const auto bytes = Versionstamp::complete(stamp.version, stamp.batch, 0);
  target.replace(offset, Versionstamp::store_size,
                 bytes.bytes().substr(0, Versionstamp::store_size));
}

}  // namespace

Result<std::unique_ptr<Writer>> Writer::open(const SqliteOptions& options, Statistics& statistics) {
  SEMPER_TRY_STATUS(check_place(options));
  ConnectionOptions how;
  how.path = options.path.file;
  SEMPER_TRY(how.vfs, wal_vfs_on(options.vfs));
  how.cache_kib = options.cache_mib * 1024;
  how.on_close = ConnectionOptions::OnClose::checkpoint_if_last;
  SEMPER_TRY(Connection connection, Connection::open(how));
  std::unique_ptr<Writer> writer(new Writer(std::move(connection), statistics));
  if (const auto in_place = check_place(options); !in_place) {
    writer->leave_wal_on_close();
    return fail(in_place.error());
  }
  SEMPER_TRY_STATUS(writer->prepare());
  return writer;
}

Status Writer::prepare() {
  const struct {
    Statement* statement;
    const char* sql;
  } statements[] = {
      {&begin_, "BEGIN IMMEDIATE"},
      {&commit_, "COMMIT"},
      {&rollback_, "ROLLBACK"},
      {&load_meta_,
       "SELECT version, forgotten_conflicts, EXISTS(SELECT 1 FROM write_conflicts)"
       " FROM meta WHERE id = 1"},
      {&store_version_, "UPDATE meta SET version = ?1 WHERE id = 1"},
      {&upsert_,
       "INSERT INTO kv(key, value, version, checksum) VALUES(?1, ?2, ?3, ?4)"
       " ON CONFLICT(key) DO UPDATE SET value = ?2, version = ?3, checksum = ?4"},
      {&delete_, "DELETE FROM kv WHERE key = ?1"},
      {&list_range_, "SELECT key FROM kv WHERE key >= ?1 AND key < ?2 LIMIT ?3"},
      {&delete_range_, "DELETE FROM kv WHERE key >= ?1 AND key < ?2"},
      {&value_of_, "SELECT value, version, checksum FROM kv WHERE key = ?1"},
      {&version_of_, "SELECT version FROM kv WHERE key = ?1"},
      {&count_range_,
       "SELECT count(*), max(version) FROM"
       " (SELECT version FROM kv WHERE key >= ?1 AND key < ?2 LIMIT ?3)"},
      {&add_conflict_, "INSERT INTO write_conflicts(version, first, past) VALUES(?1, ?2, ?3)"},
      {&find_conflict_,
       "SELECT 1 FROM write_conflicts WHERE version > ?1 AND first < ?3 AND past > ?2 LIMIT 1"},
      {&drop_conflicts_, "DELETE FROM write_conflicts WHERE version <= ?1"},
      {&store_drop_,
       "UPDATE meta SET forgotten_conflicts = max(forgotten_conflicts, ?1) WHERE id = 1"},
  };
  for (const auto& [statement, sql] : statements) {
    SEMPER_TRY(*statement, connection_.prepare(sql));
  }
  // A WAL that a long reader made large is cut again when it is used from the front.
  const std::string limit = "PRAGMA journal_size_limit=" + std::to_string(2 * kWalSoftBytes);
  SEMPER_TRY_STATUS(connection_.execute(limit.c_str()));
  SEMPER_TRY(Statement page_size, connection_.prepare("PRAGMA page_size"));
  page_size.step();
  frame_bytes_ = page_size.column_number(0) + kFrameHeader;
  sqlite3_wal_hook(
      connection_.handle(),
      [](void* self, sqlite3*, const char*, int frames) {
        static_cast<Writer*>(self)->wal_frames_ = frames;
        return SQLITE_OK;
      },
      this);
  return {};
}

Result<Writer::Base> Writer::begin() {
  if (const int code = begin_.run(); code != SQLITE_OK) {
    return fail(connection_.error(code, "cannot begin to write"));
  }
  log_.begin(version_ + 1);
  std::uint32_t data_version = 0;
  sqlite3_file_control(connection_.handle(), "main", SQLITE_FCNTL_DATA_VERSION, &data_version);
  Base base;
  if (data_version != data_version_ || version_ == 0) {
    auto changed = load_meta();
    if (!changed) {
      rollback();
      return fail(changed.error());
    }
    base.changed_by_others = *changed;
    data_version_ = data_version;
  }
  base.version = version_;
  return base;
}

// True where the version is another one than this writer left behind.
Result<bool> Writer::load_meta() {
  const ResetGuard reset(load_meta_);
  const int code = load_meta_.step();
  if (code == SQLITE_DONE) {
    return fail(ErrorKind::corrupt,
                "store file " + connection_.path() +
                    ": its own record (table meta) is missing; restore a backup");
  }
  if (code != SQLITE_ROW) return fail(connection_.error(code, "cannot read the version"));
  const auto version = static_cast<Version>(load_meta_.column_number(0));
  forgotten_conflicts_ = static_cast<Version>(load_meta_.column_number(1));
  has_write_conflicts_ = load_meta_.column_number(2) != 0;
  if (version == version_) return false;
  if (SEMPER_MUTANT("sqlite_log_of_conflicts_believed")) {
    version_ = version;
    return true;
  }
  version_ = version;
  log_.reset(version);
  log_.begin(version + 1);
  return true;
}

Result<bool> Writer::is_unchanged(const CommitRequest& request) {
  const Version since = request.read_version;
  if (request.reads.empty() || (since == version_ && written().empty())) return true;
  if (since > version_) return false;  // not a version of this store
  bool by_sql = false;
  for (const auto& read : request.reads) {
    const auto answer = look(read.range, since);
    if (answer == ConflictLog::Answer::changed) return false;
    if (answer == ConflictLog::Answer::unchanged) continue;
    by_sql = true;
    SEMPER_TRY(const bool unchanged, is_unchanged_by_sql(read, since));
    if (!unchanged) return false;
  }
  Statistics::add(by_sql ? statistics_->validations_by_sql : statistics_->validations_by_log, 1);
  return true;
}

ConflictLog::Answer Writer::look(const KeyRange& range, Version since) {
  if (!is_point(range)) return log_.look(range, since);
  const bool unchanged = keys_ != nullptr && keys_->is_unchanged(hash_key(range.begin), since);
  return unchanged ? ConflictLog::Answer::unchanged : ConflictLog::Answer::unknown;
}

// A row that was changed since has a later version; one that was removed is missing from the count;
// one that was removed and written again has a later version too. So the same number of rows, all
// of them old, are the same rows.
Result<bool> Writer::is_unchanged_by_sql(const ReadRecord& read, Version since) {
  if (read.rows == ReadRecord::kRowsUnknown || since < forgotten_conflicts_) return false;
  std::uint64_t rows = 0;
  Version newest = 0;
  if (is_point(read.range)) {
    version_of_.bind(1, read.range.begin);
    const ResetGuard reset(version_of_);
    const int code = version_of_.step();
    if (code != SQLITE_ROW && code != SQLITE_DONE) {
      return fail(connection_.error(code, "cannot read a key's version"));
    }
    rows = code == SQLITE_ROW ? 1 : 0;
    if (rows == 1) newest = static_cast<Version>(version_of_.column_number(0));
  } else {
    count_range_.bind(1, read.range.begin);
    count_range_.bind(2, read.range.end);
    count_range_.bind(3, static_cast<std::int64_t>(read.rows + 1));
    const ResetGuard reset(count_range_);
    const int code = count_range_.step();
    if (code != SQLITE_ROW) return fail(connection_.error(code, "cannot read a range again"));
    rows = static_cast<std::uint64_t>(count_range_.column_number(0));
    newest = static_cast<Version>(count_range_.column_number(1));
  }
  const bool counted = rows == read.rows || SEMPER_MUTANT("sqlite_removals_uncounted");
  if (!counted || newest > since) return false;
  if (!has_write_conflicts_) return true;
  find_conflict_.bind(1, static_cast<std::int64_t>(since));
  find_conflict_.bind(2, read.range.begin);
  find_conflict_.bind(3, read.range.end);
  const ResetGuard reset(find_conflict_);
  const int code = find_conflict_.step();
  if (code != SQLITE_ROW && code != SQLITE_DONE) {
    return fail(connection_.error(code, "cannot look for write conflicts"));
  }
  return code == SQLITE_DONE;
}

Status Writer::apply(const CommitRequest& request, const CommitReceipt& stamp) {
  log_.renumber(stamp.version);
  for (const auto& mutation : request.mutations) {
    SEMPER_TRY_STATUS(apply_one(mutation, stamp));
  }
  for (const auto& range : request.write_conflicts) {
    SEMPER_TRY_STATUS(conflict_range(range, stamp.version));
  }
  return {};
}

Status Writer::apply_one(const Mutation& mutation, const CommitReceipt& stamp) {
  switch (mutation.type) {
    case Mutation::Type::set:
      return set(mutation.key, mutation.value, stamp.version);
    case Mutation::Type::clear:
      return clear(mutation.key, stamp.version);
    case Mutation::Type::clear_range:
      return clear_range(mutation, stamp.version);
    case Mutation::Type::add:
      return add(mutation, stamp.version);
    case Mutation::Type::set_versionstamped_key:
      scratch_ = mutation.key;
      write_stamp(scratch_, mutation.stamp_offset, stamp);
      return set(scratch_, mutation.value, stamp.version);
    case Mutation::Type::set_versionstamped_value:
      scratch_ = mutation.value;
      write_stamp(scratch_, mutation.stamp_offset, stamp);
      return set(mutation.key, scratch_, stamp.version);
  }
  return fail(ErrorKind::internal, "a mutation of an unknown type");
}

Status Writer::set(BytesView key, BytesView value, Version version) {
  upsert_.bind(1, key);
  upsert_.bind(2, value);
  upsert_.bind(3, static_cast<std::int64_t>(version));
  upsert_.bind(4, static_cast<std::int64_t>(row_checksum(key, value, version)));
  if (const int code = upsert_.run(); code != SQLITE_OK) {
    return fail(connection_.error(code, "cannot write a key"));
  }
  wrote(key, version);
  return {};
}

void Writer::wrote(BytesView key, Version version) {
  const auto hash = log_.write(key);
  if (keys_ == nullptr || SEMPER_MUTANT("sqlite_key_versions_kept_to_itself")) return;
  keys_->wrote(hash, version);
}

void Writer::wrote(KeyRange range, Version version) {
  std::optional<std::uint64_t> hash;  // of a range that is one key, as those declared mostly are
  if (is_point(range)) hash = hash_key(range.begin);
  log_.write(std::move(range));
  if (keys_ == nullptr || SEMPER_MUTANT("sqlite_ranges_kept_to_itself")) return;
  if (hash && !SEMPER_MUTANT("sqlite_declared_key_makes_all_unknown")) {
    keys_->wrote(*hash, version);
  } else {
    keys_->wrote_range(version);
  }
}

Status Writer::clear(BytesView key, Version version) {
  delete_.bind(1, key);
  if (const int code = delete_.run(); code != SQLITE_OK) {
    return fail(connection_.error(code, "cannot remove a key"));
  }
  wrote(key, version);
  return {};
}

Status Writer::clear_range(const Mutation& mutation, Version version) {
  list_range_.bind(1, mutation.key);
  list_range_.bind(2, mutation.value);
  list_range_.bind(3, static_cast<std::int64_t>(kListedClearRows + 1));
  std::size_t rows = 0;
  int code = SQLITE_ROW;
  while ((code = list_range_.step()) == SQLITE_ROW) {
    if (++rows <= kListedClearRows) wrote(list_range_.column_bytes(0), version);
  }
  list_range_.reset();
  if (code != SQLITE_DONE) return fail(connection_.error(code, "cannot list a range"));
  if (rows == 0) return {};
  if (rows > kListedClearRows) wrote(KeyRange{mutation.key, mutation.value}, version);
  delete_range_.bind(1, mutation.key);
  delete_range_.bind(2, mutation.value);
  if (code = delete_range_.run(); code != SQLITE_OK) {
    return fail(connection_.error(code, "cannot remove a range"));
  }
  return {};
}

// Empty where there is none.
Result<Bytes> Writer::present_value(BytesView key) {
  value_of_.bind(1, key);
  const ResetGuard reset(value_of_);
  const int code = value_of_.step();
  if (code == SQLITE_DONE) return Bytes();
  if (code != SQLITE_ROW) return fail(connection_.error(code, "cannot read a key to add to"));
  Bytes value(value_of_.column_bytes(0));
  const auto version = static_cast<Version>(value_of_.column_number(1));
  const auto stored = static_cast<std::uint32_t>(value_of_.column_number(2));
  if (row_checksum(key, value, version) != stored && !SEMPER_MUTANT("sqlite_decay_laundered")) {
    return fail(damaged_row(connection_.path(), key));
  }
  return value;
}

Status Writer::add(const Mutation& mutation, Version version) {
  SEMPER_TRY(Bytes sum, present_value(mutation.key));
  sum.resize(sizeof(std::uint64_t), '\0');
  Bytes amount = mutation.value;
  amount.resize(sizeof(std::uint64_t), '\0');
  Bytes result;
  append_little_endian_u64(result, load_little_endian_u64(sum) + load_little_endian_u64(amount));
  return set(mutation.key, result, version);
}

Status Writer::conflict_range(const KeyRange& range, Version version) {
  add_conflict_.bind(1, static_cast<std::int64_t>(version));
  add_conflict_.bind(2, range.begin);
  add_conflict_.bind(3, range.end);
  if (const int code = add_conflict_.run(); code != SQLITE_OK) {
    return fail(connection_.error(code, "cannot record a write conflict"));
  }
  has_write_conflicts_ = true;
  wrote(range, version);
  return {};
}

Status Writer::forget_write_conflicts(Version up_to) {
  for (Statement* statement : {&drop_conflicts_, &store_drop_}) {
    statement->bind(1, static_cast<std::int64_t>(up_to));
    if (const int code = statement->run(); code != SQLITE_OK) {
      return fail(connection_.error(code, "cannot remove old write conflicts"));
    }
  }
  forgotten_conflicts_ = std::max(forgotten_conflicts_, up_to);
  return {};
}

int Writer::commit(Version version, Flush flush) {
  // With some errors SQLite rolls everything back: what follows would be a transaction of its own.
  const bool is_over = sqlite3_get_autocommit(connection_.handle()) != 0;
  if (is_over && !SEMPER_MUTANT("sqlite_rolled_back_and_committed")) return SQLITE_ABORT_ROLLBACK;
  store_version_.bind(1, static_cast<std::int64_t>(version));
  if (const int code = store_version_.run(); code != SQLITE_OK) return code;
  {
    std::optional<DeferredSync> deferred;
    if (flush == Flush::later) deferred.emplace();
    if (const int code = commit_.run(); code != SQLITE_OK) return code;
  }
  version_ = version;
  sqlite3_file_control(connection_.handle(), "main", SQLITE_FCNTL_DATA_VERSION, &data_version_);
  log_.commit();
  return SQLITE_OK;
}

void Writer::rollback() {
  // Some errors have rolled back already.
  if (sqlite3_get_autocommit(connection_.handle()) == 0) rollback_.run();
  if (written().empty()) {
    log_.drop();
  } else {
    log_.reset(version_);
  }
}

bool Writer::restart_wal(int wait_ms) {
  sqlite3_busy_timeout(connection_.handle(), wait_ms);
  const int code = sqlite3_wal_checkpoint_v2(connection_.handle(), nullptr,
                                             SQLITE_CHECKPOINT_RESTART, nullptr, nullptr);
  sqlite3_busy_timeout(connection_.handle(), ConnectionOptions().busy_timeout_ms);
  if (code == SQLITE_OK) wal_frames_ = 0;
  return code == SQLITE_OK;
}

bool Writer::has_io_error() const {
  return (sqlite3_extended_errcode(connection_.handle()) & 0xff) == SQLITE_IOERR;
}

void Writer::leave_wal_on_close() {
  sqlite3_db_config(connection_.handle(), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
}

}  // namespace semper::sqlite
