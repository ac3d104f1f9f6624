// CopyTarget: the store that a copy goes to: rows in batches, and how far the copy is.
//
// The record of an unfinished copy lies in the target itself, at kCopyRecordKey, and is written in
// the same transaction as the rows it speaks of: whenever the copy ends, by whatever, it says
// exactly what is there. Each batch also checks that the record is still the one this process
// wrote, so that of two copies into one target the older one ends with its next batch. Whoever
// finds no record finds no copy, or a finished one.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "semper/store/store.h"
#include "store/copy_rows.h"

namespace semper::cli {

inline constexpr const char* kCopyRecordKey = "\xff/semper/copy";
// One batch, where the target's limits allow more.
inline constexpr std::size_t kCopyBatchRows = 10'000;
inline constexpr std::size_t kCopyBatchBytes = std::size_t{4} << 20;

// Part of the stored format (docs/formats.md).
struct CopyRecord {
  static constexpr std::uint64_t kFormat = 1;

  std::uint64_t format = kFormat;
  std::string from;    // URL of the source
  std::string copier;  // drawn by the process that writes
  // The source's when a pass that wrote everything, or every difference, began.
  std::optional<std::uint64_t> source_version;
  bool filled = false;     // every row was copied once
  Bytes next;              // until then: the rows before this key were
  std::uint64_t keys = 0;  // how many, and how much
  std::uint64_t bytes = 0;
};

class CopyTarget {
 public:
  explicit CopyTarget(Store store);

  const Store& store() const { return store_; }

  // The record of an unfinished copy. Errors: corrupt, unsupported (of a newer version).
  Async<std::optional<CopyRecord>> find_record() const;
  Async<bool> is_empty() const;

  // Takes the copy over: from now on `record` is the target's, and this process alone writes.
  Async<void> claim(CopyRecord record);
  CopyRecord& record() { return record_; }

  // Collects. A batch without room is to be written first; an empty one has room for any row.
  bool has_room_for(const KeyValue& row) const;
  void set(const KeyValue& row);
  void clear(const KeyValue& row);
  bool is_empty_batch() const { return operations_ == 0; }
  // Writes the batch and the record in one transaction. Errors: retry (another copy has taken
  // over), and those of commits: then nothing of this batch was written, or all of it.
  Async<void> write();

  // Takes the record away: the copy is whole.
  Async<void> finish();

 private:
  Async<void> check_claim(Transaction& transaction) const;

  const Store store_;
  std::size_t rows_maximum_;
  std::size_t bytes_maximum_;
  CopyRecord record_;
  Bytes claim_;  // the record as this process wrote it last
  std::vector<KeyValue> rows_;
  std::vector<Bytes> cleared_;
  std::size_t operations_ = 0;
  std::size_t bytes_ = 0;
};

}  // namespace semper::cli
