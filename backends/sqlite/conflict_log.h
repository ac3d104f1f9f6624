// ConflictLog: what the last commits of this process changed, so that most ranges are validated
// without SQL.
//
// A commit must fail if something it read was changed after its read version. For single keys
// KeyVersions (key_versions.h) mostly knows. For ranges this log decides, by the sorted keys of
// each transaction since then, where every one was made by this process and is still in the log.
// Where another process has committed meanwhile, or the log does not reach back that far, the
// committer reads the rows again instead.
//
// The log may say "changed" without need (a key removed that was not there), never the other way
// round. Memory is bounded by the constants below.
//
// Threads: one (the committer).
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "semper/store/backend.h"
#include "written_keys.h"

namespace semper::sqlite {

inline constexpr std::size_t kLogTransactions = 256;  // looked at one by one for a range
inline constexpr std::size_t kLogKeys = 1u << 16;     // in all of those transactions together
inline constexpr std::size_t kLogKeyBytes = std::size_t{8} << 20;

class ConflictLog {
 public:
  // Forgets everything: commits up to `version` are unknown to the log.
  void reset(Version version);

  // The transaction that is being made, as `version`: what it writes counts as changed at once,
  // because later requests of the same transaction must see it.
  void begin(Version version);
  // The next request of it has this version of its own.
  void renumber(Version version) { transactions_.back().version = version; }
  // Returns the key's hash.
  std::uint64_t write(BytesView key);
  void write(KeyRange range);
  const WrittenKeys& written() const { return transactions_.back().keys; }
  // It is committed.
  void commit();
  // It wrote nothing and is given up. (Where it wrote something: reset.)
  void drop();

  enum class Answer : std::uint8_t { unchanged, changed, unknown };
  // Whether anything in the range was written after `since`.
  Answer look(const KeyRange& range, Version since);

 private:
  struct Transaction {
    Version version = 0;
    WrittenKeys keys;
  };

  bool ranges_overlap(const KeyRange& range, Version since) const;
  void forget_oldest();

  std::deque<Transaction> transactions_;
  std::size_t keys_ = 0;
  std::size_t key_bytes_ = 0;
  std::size_t ranges_ = 0;
  Version floor_ = 0;  // transactions after this version are all there
};

}  // namespace semper::sqlite
