// ReadMemory: which rows the ranges held that were read lately.
//
// A removal leaves nothing that etcd could compare in a range, so a transaction that read a range
// with rows in it also asks whether each of them is still there. A CommitRequest says how many
// there were; which ones is remembered here, from the snapshot's reads. What is not here (too many
// rows, too long ago) is read again when the transaction commits (see committer.h).
//
// Threads: any.
#pragma once

#include <deque>
#include <mutex>
#include <optional>
#include <vector>

#include "semper/store/backend.h"

namespace semper::etcd {

// Of one page; more would not fit into a request of etcd's as conditions anyway.
inline constexpr std::size_t kRememberedRows = 100;
inline constexpr std::size_t kRememberedPages = 1'024;
inline constexpr std::size_t kRememberedBytes = std::size_t{4} << 20;

class ReadMemory {
 public:
  void remember(Version version, std::vector<Bytes> keys);

  // The keys of a range that held `rows` of them at that version, where all of them are known.
  std::optional<std::vector<Bytes>> keys(Version version, const KeyRange& range,
                                         std::uint64_t rows) const;

 private:
  struct Page {
    Version version;
    std::vector<Bytes> keys;
    std::size_t bytes;
  };

  mutable std::mutex mutex_;
  std::deque<Page> pages_;  // oldest first
  std::size_t bytes_ = 0;
};

}  // namespace semper::etcd
