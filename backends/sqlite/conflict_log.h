// ConflictLog: what the last commits of this process changed, so that most validation needs no SQL.
//
// A commit must fail if something it read was changed after its read version. Where every commit
// since then was made by this process and is still in the log, the log decides: points by a hash
// table from key to the last version that wrote it, ranges by the sorted keys of each transaction
// since. Where another process has committed meanwhile, or the log does not reach back that far,
// the committer reads the rows again instead.
//
// The log may say "changed" without need (two keys of one 64-bit hash; a key removed that was not
// there), never the other way round. Memory is bounded by the constants below.
//
// Threads: one (the committer).
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "semper/store/backend.h"
#include "written_keys.h"

namespace semper::sqlite {

inline constexpr std::size_t kLogPoints = 1u << 15;  // twice, 16 bytes each in a table twice as big
inline constexpr std::size_t kLogTransactions = 256;  // looked at one by one for a range
inline constexpr std::size_t kLogKeys = 1u << 16;     // in all of those transactions together
inline constexpr std::size_t kLogKeyBytes = std::size_t{8} << 20;

class ConflictLog {
 public:
  // Forgets everything: commits up to `version` are unknown to the log. For what was written and is not
  // committed; it costs as much as the tables are large.
  void reset(Version version);
  // Others have committed, up to `version`.
  void pass(Version version);

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

  // Hash of a key -> the last version that wrote it: open addressing, at most half full.
  class Points {
   public:
    Points() : slots_(2 * kLogPoints) {}
    void put(std::uint64_t hash, Version version);
    Version find(std::uint64_t hash) const;  // 0: not there
    bool is_full() const { return count_ >= kLogPoints; }
    void clear();
    // Every write after this version that is in no older table is in this one.
    Version floor = 0;

   private:
    struct Slot {
      std::uint64_t hash = 0;
      Version version = 0;
    };
    std::size_t place_of(std::uint64_t hash) const;
    std::vector<Slot> slots_;
    std::size_t count_ = 0;
  };

  Answer look_point(BytesView key, Version since) const;
  bool ranges_overlap(const KeyRange& range, Version since) const;
  void forget_oldest();

  Points recent_;
  Points older_;

  std::deque<Transaction> transactions_;
  std::size_t keys_ = 0;
  std::size_t key_bytes_ = 0;
  std::size_t ranges_ = 0;
  // Transactions after this version are all there; those with ranges after the second one are.
  Version transactions_floor_ = 0;
  Version ranges_floor_ = 0;
};

}  // namespace semper::sqlite
