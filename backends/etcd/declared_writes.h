// DeclaredWrites: ranges that transactions said to have written without writing them.
//
// They are rare, so the last of them lie together in one key, which such a commit writes anew;
// every request compares that key's revision with the one that this handle has read, and is told
// its value where it is not. A transaction that began before what is still known conflicts.
#pragma once

#include <deque>
#include <vector>

#include "semper/base/result.h"
#include "semper/store/backend.h"

namespace semper::etcd {

// Commits with declared writes that are remembered, and their bytes.
inline constexpr std::size_t kDeclaredCommits = 64;
inline constexpr std::size_t kDeclaredBytes = std::size_t{32} << 10;

class DeclaredWrites {
 public:
  // Error: corrupt.
  static Result<DeclaredWrites> decode(BytesView bytes);
  Bytes encode() const;

  void add(Version version, std::vector<KeyRange> ranges);

  // Something that was read at `version` was declared as written after it, or may have been.
  bool conflicts(const std::vector<ReadRecord>& reads, Version version) const;

 private:
  struct Commit {
    Version version = 0;
    std::vector<KeyRange> ranges;
    std::size_t size_bytes() const;
  };

  Version forgotten_ = 0;  // up to this version, commits may be missing
  std::deque<Commit> commits_;
};

}  // namespace semper::etcd
