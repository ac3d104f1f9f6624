#include "store_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <memory>
#include <optional>

#include "connection.h"
#include "place.h"
#include "rights.h"
#include "semper/base/crc32c.h"
#include "semper/base/internal/mutant.h"
#include "semper/env/internal/shared_file.h"

namespace semper::sqlite {
namespace {

constexpr std::size_t kHeaderBytes = 100;
constexpr std::size_t kUserVersionAt = 60;
constexpr BytesView kSqliteMagic("SQLite format 3\0", 16);

using Header = std::array<char, kHeaderBytes>;

BytesView view(const Header& header) {
  return {header.data(), header.size()};
}

BytesView field(const Header& header, std::size_t offset) {
  return view(header).substr(offset, 4);
}

// What a file says about itself besides whose it is (https://sqlite.org/fileformat.html, 1.3).
struct Facts {
  std::size_t page_bytes;
  std::uint32_t journal_version;  // 1: a rollback journal, 2: a write-ahead log
  std::uint32_t schema_format;
  std::uint32_t format;
  bool has_no_log_yet;
  std::uint32_t encoding;  // of text, of which a store has none
  bool is_vacuumed_at_commits;

  explicit Facts(const Header& header)
      : page_bytes(load_big_endian_u16(view(header).substr(16, 2))),
        journal_version(std::max(byte(header, 18), byte(header, 19))),
        schema_format(load_big_endian_u32(field(header, 44))),
        format(load_big_endian_u32(field(header, kUserVersionAt)) & ~kNoLogYet),
        has_no_log_yet((load_big_endian_u32(field(header, kUserVersionAt)) & kNoLogYet) != 0),
        encoding(load_big_endian_u32(field(header, 56))),
        is_vacuumed_at_commits(load_big_endian_u32(field(header, 52)) != 0 &&
                               load_big_endian_u32(field(header, 64)) == 0) {
    if (page_bytes == 1) page_bytes = 65536;
  }

  bool are_possible() const {
    return page_bytes >= 512 && std::has_single_bit(page_bytes) && journal_version > 0 &&
           encoding <= 3;
  }

  static std::uint32_t byte(const Header& header, std::size_t at) {
    return static_cast<unsigned char>(header[at]);
  }
};

constexpr std::uint32_t kWalVersion = 2;
constexpr std::uint32_t kSchemaFormat = 4;

// Reads through SQLite's own file layer: a descriptor opened and closed beside it would drop the
// locks that this process may hold on the file.
Result<std::size_t> read_header(const SqliteOptions& options, Header& header) {
  sqlite3_vfs* vfs = sqlite3_vfs_find(options.vfs.empty() ? nullptr : options.vfs.c_str());
  if (vfs == nullptr) {
    return fail(ErrorKind::invalid_argument, "no SQLite VFS is named " + to_printable(options.vfs));
  }
  const auto memory = std::make_unique<char[]>(static_cast<std::size_t>(vfs->szOsFile));
  auto* file = reinterpret_cast<sqlite3_file*>(memory.get());
  const std::string& path = options.path.file;
  const std::unique_ptr<const char, decltype(&sqlite3_free_filename)> name(
      sqlite3_create_filename(path.c_str(), "", "", 0, nullptr), &sqlite3_free_filename);
  const int opened =
      vfs->xOpen(vfs, name.get(), file, SQLITE_OPEN_READONLY | SQLITE_OPEN_MAIN_DB, nullptr);
  if (opened != SQLITE_OK) {
    const int number = errno;
    if (file->pMethods != nullptr) file->pMethods->xClose(file);
    if (number == EMFILE || number == ENFILE) {
      return fail(error_from_errno(number, "cannot open the store file " + path));
    }
    return fail(ErrorKind::permission, "cannot open the store file " + path + " for reading [" +
                                           sqlite3_errstr(opened) + "]");
  }
  sqlite3_int64 size = 0;
  int read = file->pMethods->xFileSize(file, &size);
  if (read == SQLITE_OK && size >= static_cast<sqlite3_int64>(header.size())) {
    read = file->pMethods->xRead(file, header.data(), static_cast<int>(header.size()), 0);
  }
  file->pMethods->xClose(file);
  if (read != SQLITE_OK) {
    return fail(ErrorKind::io, "cannot read the first bytes of the store file " + path + " [" +
                                   sqlite3_errstr(read) + "]");
  }
  return static_cast<std::size_t>(size);
}

const char* kind_of_file(mode_t mode) {
  if (S_ISFIFO(mode)) return "a named pipe";
  if (S_ISSOCK(mode)) return "a socket";
  if (S_ISBLK(mode)) return "a block device";
  return "a character device";
}

bool has_wal(const StorePath& path) {
  struct stat status {};
  return ::stat(path.wal().c_str(), &status) == 0 && status.st_size > 0;
}

Status check_header(const StorePath& path, const Header& header, std::size_t file_bytes) {
  const std::string name = "the file " + path.file;
  if (!view(header).starts_with(kSqliteMagic)) {
    return fail(ErrorKind::corrupt,
                name +
                    " does not begin like an SQLite database: it is something else, or its first "
                    "page is damaged; it was left untouched: give another path, or restore a "
                    "backup");
  }
  if (load_big_endian_u32(field(header, 68)) != kApplicationId) {
    return fail(ErrorKind::invalid_argument,
                name +
                    " is an SQLite database of another program, not a Semper store; it was left "
                    "untouched, give another path");
  }
  const Facts facts(header);
  if (facts.format > kFormatVersion) {
    return fail(ErrorKind::unsupported,
                name + " was made by a newer version of Semper (format " +
                    std::to_string(facts.format) + ", this one reads up to " +
                    std::to_string(kFormatVersion) + "); it was left untouched, use that version");
  }
  if (facts.format == 0 || !facts.are_possible()) {
    return fail(ErrorKind::corrupt,
                name + " has a damaged first page; it was left untouched: restore a backup");
  }
  if (facts.journal_version > kWalVersion || facts.schema_format > kSchemaFormat) {
    return fail(ErrorKind::unsupported,
                name +
                    " was written by a newer SQLite in a way that this one does not know; it was "
                    "left untouched, use the newer one");
  }
  // What says so of itself has no log; SQLite would replay the one that is there all the same.
  const bool has_no_log = facts.journal_version < kWalVersion || facts.has_no_log_yet;
  if (has_no_log && has_wal(path)) {
    return fail(ErrorKind::corrupt,
                name + " is a copy, and " + path.wal() +
                    " beside it is the log of another file: remove that, with " + path.index() +
                    ", if the copy is what you want, or put the file back that it belongs to");
  }
  const std::size_t page_bytes = facts.page_bytes;
  const std::size_t pages = load_big_endian_u32(field(header, 28));
  // With a WAL beside it the rest may still be there.
  if (file_bytes < pages * page_bytes && !has_wal(path)) {
    return fail(ErrorKind::corrupt, name + " was cut short: it has " + std::to_string(file_bytes) +
                                        " bytes of " + std::to_string(pages * page_bytes) +
                                        "; it was left untouched: restore a backup");
  }
  return {};
}

// SQLite would replay a WAL that lies beside a new file into it, whatever it came from.
Result<FileState> without_wal(const StorePath& path, FileState state) {
  if (!has_wal(path)) return state;
  return fail(ErrorKind::corrupt, "there is no store at " + path.file + " but " + path.wal() +
                                      " has data: put the file that belongs to it back, or move "
                                      "it away if it is not needed");
}

// The log and the sidecar lie beside a name, so that two names of one file are two logs of one
// store.
Status check_names(const std::string& path) {
  SEMPER_TRY(const NamedFile file, look_at(path));
  if (file.links > 1 && !SEMPER_MUTANT("sqlite_two_names_for_one_store")) {
    return fail(ErrorKind::unsupported,
                "the file " + path + " has " + std::to_string(file.links) +
                    " names (hard links), and each would have a log of its own, which destroys the "
                    "store; remove the others (find FOLDER -samefile " +
                    path + "), or make copies of them (semper store backup)");
  }
  if (file.is_mounted_alone) {
    return fail(ErrorKind::unsupported,
                "the file " + path +
                    " is mounted by itself (a bind mount), so that its log would lie in another "
                    "folder than that of who uses it by its own name; mount its folder");
  }
  return {};
}

constexpr const char* kSchema =
    "CREATE TABLE kv(key BLOB PRIMARY KEY NOT NULL, value BLOB NOT NULL,"
    " version INTEGER NOT NULL, checksum INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE meta(id INTEGER PRIMARY KEY CHECK(id = 1), version INTEGER NOT NULL,"
    " forgotten_conflicts INTEGER NOT NULL, uuid BLOB NOT NULL);"
    "CREATE TABLE write_conflicts(version INTEGER NOT NULL, first BLOB NOT NULL,"
    " past BLOB NOT NULL);"
    "INSERT INTO meta VALUES(1, 0, 0, randomblob(16));";

Status fill_new_file(const SqliteOptions& options, const std::string& path) {
  ConnectionOptions how;
  how.path = path;
  how.vfs = options.vfs;
  how.create = ConnectionOptions::Create::yes;
  how.on_close = ConnectionOptions::OnClose::checkpoint_if_last;
  SEMPER_TRY(Connection connection, Connection::open(how));
  const std::string settings = "PRAGMA page_size=" + std::to_string(options.page_size) +
                               "; PRAGMA application_id=" + std::to_string(kApplicationId) +
                               "; PRAGMA user_version=" + std::to_string(kFormatVersion) +
                               "; PRAGMA journal_mode=WAL; BEGIN IMMEDIATE;";
  SEMPER_TRY_STATUS(connection.execute(settings.c_str()));
  SEMPER_TRY_STATUS(connection.execute(kSchema));
  SEMPER_TRY_STATUS(connection.execute("COMMIT; PRAGMA wal_checkpoint(TRUNCATE);"));
  return {};
}

Status sync_path(const std::string& path, int flags) {
  const int descriptor = ::open(path.c_str(), flags | O_CLOEXEC);
  if (descriptor < 0) return fail(error_from_errno(errno, "cannot open " + path));
  const int synced = ::fsync(descriptor);
  const int number = errno;
  ::close(descriptor);
  if (synced != 0) return fail(error_from_errno(number, "cannot sync " + path));
  return {};
}

// An empty file that becomes a store keeps its owner and its mode.
Status give_like_the_old_one(const StorePath& path) {
  struct stat old {};
  if (::stat(path.file.c_str(), &old) != 0) return {};
  const int descriptor = ::open(path.newborn().c_str(), O_RDWR | O_CLOEXEC);
  if (descriptor < 0) return fail(error_from_errno(errno, "cannot open " + path.newborn()));
  semper::internal::give_like(descriptor, old);
  ::close(descriptor);
  return {};
}

void remove_newborn(const StorePath& path) {
  for (const char* suffix : {"", "-wal", "-shm", "-journal"}) {
    ::unlink((path.newborn() + suffix).c_str());
  }
}

}  // namespace

Result<FileState> examine_file(const SqliteOptions& options) {
  const std::string& path = options.path.file;
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) {
    if (errno == ENOENT) return without_wal(options.path, FileState::absent);
    const Error error = error_from_errno(errno, "cannot look at the store file " + path);
    SEMPER_TRY_STATUS(check_may_enter(path));
    return fail(error);
  }
  if (S_ISDIR(status.st_mode)) {
    return fail(ErrorKind::invalid_argument,
                path + " is a folder, not a file; name a file in it, for example sqlite:" + path +
                    "/data.db");
  }
  if (!S_ISREG(status.st_mode)) {
    return fail(ErrorKind::invalid_argument,
                path + " is " + kind_of_file(status.st_mode) +
                    "; a sqlite: store is a regular file on a file system, name one");
  }
  SEMPER_TRY_STATUS(check_may_read(path));
  SEMPER_TRY_STATUS(check_names(path));
  Header header{};
  SEMPER_TRY(const std::size_t size, read_header(options, header));
  // To SQLite a file of one byte is empty, too, and written over.
  if (size == 0 && status.st_size == 0) return without_wal(options.path, FileState::empty);
  SEMPER_TRY_STATUS(check_header(options.path, header, size));
  return FileState::store;
}

namespace {

// What the store was given when it was made; from the file alone, or with its log. Nothing where it
// cannot be read.
std::optional<Bytes> identity_of(const SqliteOptions& options, ConnectionOptions::Access access) {
  ConnectionOptions how;
  how.path = options.path.file;
  how.vfs = options.vfs;
  how.access = access;
  auto connection = Connection::open(how);
  if (!connection) return std::nullopt;
  auto read = connection->prepare("SELECT uuid FROM meta WHERE id = 1");
  if (!read || read->step() != SQLITE_ROW) return std::nullopt;
  return Bytes(read->column_bytes(0));
}

}  // namespace

Status check_log_is_its_own(const SqliteOptions& options) {
  constexpr std::size_t kIdentityBytes = 16;
  if (!has_wal(options.path) || SEMPER_MUTANT("sqlite_any_log_replayed")) return {};
  const auto alone = identity_of(options, ConnectionOptions::Access::immutable);
  if (!alone || alone->size() != kIdentityBytes) return {};
  const auto with_log = identity_of(options, ConnectionOptions::Access::shared);
  if (!with_log || with_log->size() != kIdentityBytes || *with_log == *alone) return {};
  return fail(ErrorKind::corrupt,
              options.path.wal() + " is the log of another store than " + options.path.file +
                  ": move it away, with " + options.path.index() +
                  ", if the file is what you want, or put the file back that it belongs to");
}

Status refuse_names_of_others(const std::string& path) {
  for (const char* suffix : {"-wal", "-shm", "-journal", "-semper", "-semper-new"}) {
    if (!path.ends_with(suffix)) continue;
    const std::string stem = path.substr(0, path.size() - std::string_view(suffix).size());
    struct stat status {};
    if (stem.ends_with('/') || ::stat(stem.c_str(), &status) != 0) continue;
    return fail(ErrorKind::invalid_argument, "a file named " + path +
                                                 " would be taken for a part of the store " + stem +
                                                 "; give the new store another name");
  }
  return {};
}

Error no_store(const SqliteOptions& options, FileState state) {
  const std::string& path = options.path.file;
  const std::string what = state == FileState::absent
                               ? "there is no store at " + path + "; check the path"
                               : "the file " + path + " is empty (0 bytes), and no store yet; " +
                                     "check whether its content was lost";
  return Error(ErrorKind::not_found,
               what + ", or make a new one: semper --store '" + options.url + "' store create");
}

Status mark_without_log(int descriptor) {
  Bytes marked;
  append_big_endian_u32(marked, kFormatVersion | kNoLogYet);
  const ssize_t put = ::pwrite(descriptor, marked.data(), marked.size(), kUserVersionAt);
  if (put == static_cast<ssize_t>(marked.size())) return {};
  return fail(error_from_errno(errno, "cannot write into the backup"));
}

Status put_right(const SqliteOptions& options) {
  Header header{};
  SEMPER_TRY(const std::size_t size, read_header(options, header));
  if (size < kHeaderBytes) return {};
  const Facts facts(header);
  const bool is_wal = facts.journal_version == kWalVersion;
  if (is_wal && !facts.has_no_log_yet && !facts.is_vacuumed_at_commits) return {};
  ConnectionOptions how;
  how.path = options.path.file;
  how.vfs = options.vfs;
  how.on_close = ConnectionOptions::OnClose::checkpoint_if_last;
  SEMPER_TRY(Connection connection, Connection::open(how));
  if (facts.has_no_log_yet) {
    // With a rollback journal: at no moment is there a log beside a file that denies having one.
    const std::string sql =
        "PRAGMA journal_mode=DELETE; PRAGMA user_version=" + std::to_string(facts.format);
    SEMPER_TRY_STATUS(connection.execute(sql.c_str()));
  }
  SEMPER_TRY_STATUS(connection.execute("PRAGMA journal_mode=WAL"));
  if (facts.is_vacuumed_at_commits) {
    SEMPER_TRY_STATUS(connection.execute("PRAGMA auto_vacuum=INCREMENTAL"));
  }
  SEMPER_TRY(Statement mode, connection.prepare("PRAGMA journal_mode"));
  if (mode.step() == SQLITE_ROW && mode.column_text(0) == "wal") return {};
  return fail(
      ErrorKind::unsupported,
      "the file " + options.path.file + " cannot be given a write-ahead log; it was left as it is");
}

Status create_file(const SqliteOptions& options) {
  const StorePath& path = options.path;
  remove_newborn(path);
  auto made = fill_new_file(options, path.newborn());
  if (made) made = give_like_the_old_one(path);
  if (made) made = sync_path(path.newborn(), O_RDONLY);
  if (made && ::rename(path.newborn().c_str(), path.file.c_str()) != 0) {
    made = fail(error_from_errno(errno, "cannot move the new store to " + path.file));
  }
  if (!made) {
    remove_newborn(path);
    return fail(made.error().in("creating the store " + path.file));
  }
  return sync_path(path.directory, O_RDONLY | O_DIRECTORY);
}

std::uint32_t row_checksum(BytesView key, BytesView value, std::uint64_t version) noexcept {
  char number[sizeof version];
  std::memcpy(number, &version, sizeof version);
  return crc32c(BytesView(number, sizeof number), crc32c(value, crc32c(key)));
}

Error damaged_row(const std::string& file, BytesView key) {
  return Error(ErrorKind::corrupt,
               "store file " + file + ": the row of key " + to_printable(key) +
                   " is not what was written (its checksum is wrong); nothing was overwritten: "
                   "keep a copy of the file, run `semper store check`, restore a backup");
}

}  // namespace semper::sqlite
