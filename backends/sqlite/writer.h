// Writer: the connection that commits: one SQLite transaction at a time, made of many requests.
//
//   auto base = writer.begin();                    // the newest state, exclusively
//   if (writer.is_unchanged(request)) writer.apply(request, {version, batch});
//   writer.commit(version);                        // one flush
//
// Threads: one (the committer), inside its turn.
#pragma once

#include <memory>

#include "conflict_log.h"
#include "connection.h"
#include "key_versions.h"
#include "options.h"
#include "semper/store/backend.h"
#include "statistics.h"

namespace semper::sqlite {

// A clear_range of up to this many rows is logged and announced key by key, a larger one as a
// range, on which everything in it counts as changed.
inline constexpr std::size_t kListedClearRows = 256;

class Writer {
 public:
  static Result<std::unique_ptr<Writer>> open(const SqliteOptions& options, Statistics& statistics);

  // What is shared with the writers of other processes; outlives this one.
  void share(KeyVersions& keys) { keys_ = &keys; }

  // Opens the SQLite transaction. Error: retry (a stranger holds SQLite's lock), io, corrupt.
  struct Base {
    Version version = 0;
    bool changed_by_others = false;  // since this writer's last transaction
  };
  Result<Base> begin();

  // Within it. Whether nothing that the request has read was changed since its read version.
  Result<bool> is_unchanged(const CommitRequest& request);

  // Writes what the request asks for. After an error only rollback() is allowed.
  Status apply(const CommitRequest& request, const CommitReceipt& stamp);

  // What was written since begin().
  const WrittenKeys& written() const { return log_.written(); }

  // SQLite's code: anything but SQLITE_OK leaves the outcome open. `later`: it is in the log then,
  // and whoever acknowledges it flushes that first.
  enum class Flush : std::uint8_t { now, later };
  int commit(Version version, Flush flush);
  void rollback();

  // Explicit write conflicts of commits up to this version are not needed any more.
  Status forget_write_conflicts(Version up_to);
  bool has_write_conflicts() const { return has_write_conflicts_; }

  // Of the WAL, after the last commit.
  std::int64_t wal_bytes() const { return wal_frames_ * frame_bytes_; }

  // Copies the rest of the WAL into the database and has the next commit start it from the front.
  // Readers are waited for at most this long. False: not everything could be done.
  bool restart_wal(int wait_ms);
  // Whether that is why the last call of this writer failed.
  bool has_io_error() const;

  // Closing the last connection of all would checkpoint; after a failed commit it must not.
  void leave_wal_on_close();

  std::size_t page_bytes() const { return static_cast<std::size_t>(frame_bytes_) - kFrameHeader; }
  Connection& connection() { return connection_; }

 private:
  static constexpr std::int64_t kFrameHeader = 24;

  Writer(Connection connection, Statistics& statistics)
      : connection_(std::move(connection)), statistics_(&statistics) {}
  Status prepare();
  Result<bool> load_meta();
  // What memory knows.
  ConflictLog::Answer look(const KeyRange& range, Version since);
  Result<bool> is_unchanged_by_sql(const ReadRecord& read, Version since);

  Status set(BytesView key, BytesView value, Version version);
  Status clear(BytesView key, Version version);
  Status clear_range(const Mutation& mutation, Version version);
  Result<Bytes> present_value(BytesView key);
  Status add(const Mutation& mutation, Version version);
  Status apply_one(const Mutation& mutation, const CommitReceipt& stamp);
  Status conflict_range(const KeyRange& range, Version version);
  // For whoever validates after this: this writer, and those of other processes.
  void wrote(BytesView key, Version version);
  void wrote(KeyRange range, Version version);

  Connection connection_;
  Statistics* statistics_;
  Statement begin_, commit_, rollback_, load_meta_, store_version_;
  Statement upsert_, delete_, list_range_, delete_range_, value_of_;
  Statement version_of_, count_range_, add_conflict_, find_conflict_, drop_conflicts_, store_drop_;

  ConflictLog log_;
  KeyVersions* keys_ = nullptr;
  Version version_ = 0;  // the last that this writer saw or made
  Version forgotten_conflicts_ = 0;
  bool has_write_conflicts_ = false;
  std::uint32_t data_version_ = 0;
  std::int64_t wal_frames_ = 0;
  std::int64_t frame_bytes_ = 0;
  Bytes scratch_;
};

}  // namespace semper::sqlite
