// The store's file: what identifies it, how it is laid out, and how a new one comes to be.
//
// Format 1, an SQLite database in WAL mode with application_id "Smpr" and user_version 1:
//
//   kv(key, value, version, checksum)   one row per key, in key order (WITHOUT ROWID). `version` is
//                                       that of the commit that wrote it, `checksum` the CRC32C of
//                                       key, value and version: SQLite checks no page of a database
//                                       file, so a byte that decayed would be read as data
//   meta(version, ...)                  one row; `version` is that of the last commit
//   write_conflicts(version, first, past)
//                                       explicit write conflict ranges of recent commits
//
// A new file is made under another name and moved into place when it is whole and on disk, so that
// no crash leaves a half-made store under its name. Format changes raise kFormatVersion.
#pragma once

#include <cstdint>

#include "options.h"

namespace semper::sqlite {

inline constexpr std::uint32_t kApplicationId = 0x536d7072;  // "Smpr"
inline constexpr std::uint32_t kFormatVersion = 1;
// In user_version, of a backup: it has no log. Taken out before one is begun.
inline constexpr std::uint32_t kNoLogYet = 0x100;

enum class FileState : std::uint8_t { absent, empty, store };

// Looks at the file's first bytes without letting SQLite touch it.
// Errors: corrupt (not SQLite, cut short, a log beside it that is another file's), invalid_argument
// (another program's database, not a file), unsupported (made by a newer version, of Semper or
// SQLite; one of several names of a file), permission, io. The file stays as it is.
Result<FileState> examine_file(const SqliteOptions& options);

// not_found: the file is not there, or empty, and no store is to be made.
Error no_store(const SqliteOptions& options, FileState state);

// invalid_argument: a new store of this name would lie where another one has its log, or the like.
Status refuse_names_of_others(const std::string& path);

// Says of a backup that is not yet under its name that it has no log: one that a crash of another
// file left beside that name would be replayed into it.
Status mark_without_log(int descriptor);

// Copies say things about themselves that a store does not: a backup that it has no log, and VACUUM
// INTO leaves a rollback journal as the mode, under which readers and writers would shut each other
// out. Put right where it is so, durably. The caller holds the sidecar's exclusive lock. Errors:
// retry (another program has the file open), permission, unsupported.
Status put_right(const SqliteOptions& options);

// A log that a crash left is replayed into whatever file has its name. Error: corrupt, where it is
// another store's. The caller holds the sidecar's exclusive lock.
Status check_log_is_its_own(const SqliteOptions& options);

// Makes a new store at the path (absent or of 0 bytes). On success it is on disk, the directory
// entry too; on error, or if it never returns, the path is as before. Only one at a time: the
// caller holds the sidecar's exclusive lock.
Status create_file(const SqliteOptions& options);

// A row's checksum.
std::uint32_t row_checksum(BytesView key, BytesView value, std::uint64_t version) noexcept;

// `corrupt`: the row of this key does not have the checksum it was written with.
Error damaged_row(const std::string& file, BytesView key);

}  // namespace semper::sqlite
