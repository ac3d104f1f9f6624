// WrittenKeys: which keys one SQLite transaction changed, in little memory.
//
// Used twice: by the conflict log (who read what this commit changed?) and by watches (who waits
// for it?). Keys lie one after the other in one buffer.
#pragma once

#include <cstdint>
#include <vector>

#include "semper/store/backend.h"

namespace semper::sqlite {

// The same in every process and build of one sidecar layout: watch slots are chosen by it.
std::uint64_t hash_key(BytesView key) noexcept;

// Whether the range is that of one key alone.
inline bool is_point(const KeyRange& range) {
  return range.end.size() == range.begin.size() + 1 && range.end.back() == '\0' &&
         BytesView(range.end).starts_with(range.begin);
}

class WrittenKeys {
 public:
  // Returns the key's hash. Versions never go down from one call to the next.
  std::uint64_t add(BytesView key, Version version) {
    const std::uint64_t hash = hash_key(key);
    items_.push_back({hash, version, buffer_.size(), static_cast<std::uint32_t>(key.size())});
    buffer_.append(key);
    return hash;
  }
  // Anything in the range may have changed.
  void add(KeyRange range, Version version) { ranges_.push_back({std::move(range), version}); }

  std::size_t size() const { return items_.size(); }
  std::size_t bytes() const { return buffer_.size(); }
  bool empty() const { return items_.empty() && ranges_.empty(); }
  BytesView key(std::size_t index) const {
    return BytesView(buffer_).substr(items_[index].offset, items_[index].size);
  }
  std::uint64_t hash(std::size_t index) const { return items_[index].hash; }

  struct Range {
    KeyRange range;
    Version version;
  };
  const std::vector<Range>& ranges() const { return ranges_; }

  // Whether a key in the range was added with a version after `since`. Keys are sorted as needed.
  bool any_key_in(const KeyRange& range, Version since);

  void clear();

 private:
  struct Item {
    std::uint64_t hash;
    Version version;
    std::uint64_t offset;
    std::uint32_t size;
  };

  void sort_rest();

  Bytes buffer_;
  std::vector<Item> items_;
  std::vector<Range> ranges_;
  // The first items_, in key order.
  std::vector<std::uint32_t> sorted_;
};

}  // namespace semper::sqlite
