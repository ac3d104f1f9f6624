#include "read_memory.h"

#include <algorithm>
#include <utility>

namespace semper::etcd {

void ReadMemory::remember(Version version, std::vector<Bytes> keys) {
  if (keys.empty() || keys.size() > kRememberedRows) return;
  Page page{version, std::move(keys), 0};
  for (const auto& key : page.keys) page.bytes += key.size() + sizeof key;
  std::lock_guard lock(mutex_);
  bytes_ += page.bytes;
  pages_.push_back(std::move(page));
  while (pages_.size() > kRememberedPages || bytes_ > kRememberedBytes) {
    bytes_ -= pages_.front().bytes;
    pages_.pop_front();
  }
}

std::optional<std::vector<Bytes>> ReadMemory::keys(Version version, const KeyRange& range,
                                                   std::uint64_t rows) const {
  if (rows > kRememberedRows) return std::nullopt;
  std::vector<Bytes> found;
  {
    std::lock_guard lock(mutex_);
    for (auto page = pages_.rbegin(); page != pages_.rend(); ++page) {
      if (page->version != version) continue;
      for (const auto& key : page->keys) {
        if (range.contains(key)) found.push_back(key);
      }
    }
  }
  std::sort(found.begin(), found.end());
  found.erase(std::unique(found.begin(), found.end()), found.end());
  // Each was there at that version, so as many as there were are all of them.
  if (found.size() != rows) return std::nullopt;
  return found;
}

}  // namespace semper::etcd
