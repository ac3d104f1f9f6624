#include "file_image.h"

#include <algorithm>
#include <cstring>

namespace semper::testing {
namespace {

std::uint64_t page_of(std::uint64_t offset) {
  return offset / kPageBytes;
}
std::uint64_t pages_for(std::uint64_t size) {
  return (size + kPageBytes - 1) / kPageBytes;
}

}  // namespace

CutTemper CutTemper::draw(Random& random) {
  static constexpr double kKeeps[] = {0, 0.1, 0.5, 0.9, 1};
  static constexpr double kTears[] = {0, 0.2, 0.6};
  CutTemper temper;
  temper.keeps = kKeeps[random.below(std::size(kKeeps))];
  temper.tears = kTears[random.below(std::size(kTears))];
  temper.keeps_size = kKeeps[random.below(std::size(kKeeps))];
  temper.keeps_name = kKeeps[random.below(std::size(kKeeps))];
  return temper;
}

Bytes FileImage::read(std::uint64_t offset, std::size_t length) const {
  if (offset >= size_) return {};
  length = std::min<std::uint64_t>(length, size_ - offset);
  Bytes result(length, '\0');
  for (std::size_t done = 0; done < length;) {
    const auto within = (offset + done) % kPageBytes;
    const auto part = std::min(length - done, kPageBytes - within);
    const auto found = pages_.find(page_of(offset + done));
    if (found != pages_.end())
      std::memcpy(result.data() + done, found->second->data() + within, part);
    done += part;
  }
  return result;
}

void FileImage::write(std::uint64_t offset, BytesView bytes) {
  if (offset + bytes.size() > size_) resize(offset + bytes.size());
  for (std::size_t done = 0; done < bytes.size();) {
    const auto number = page_of(offset + done);
    const auto within = (offset + done) % kPageBytes;
    const auto part = std::min(bytes.size() - done, kPageBytes - within);
    auto page = std::make_shared<Page>();
    auto& present = pages_[number];
    if (present) *page = *present;
    std::memcpy(page->data() + within, bytes.data() + done, part);
    present = page;
    log_.push_back({Change::Kind::page, number, 0, std::move(page)});
    done += part;
  }
  bound_log();
}

FileImage::PagePtr FileImage::cut_tail(const PagePtr& page, std::uint64_t number,
                                       std::uint64_t size) {
  const auto begin = number * kPageBytes;
  if (!page || size >= begin + kPageBytes) return page;
  if (size <= begin) return nullptr;
  auto copy = std::make_shared<Page>(*page);
  std::memset(copy->data() + (size - begin), 0, kPageBytes - (size - begin));
  return copy;
}

void FileImage::shrink(Pages& pages, std::uint64_t size) {
  pages.erase(pages.lower_bound(pages_for(size)), pages.end());
  if (size % kPageBytes == 0) return;
  const auto last = pages.find(page_of(size));
  if (last != pages.end()) last->second = cut_tail(last->second, last->first, size);
}

void FileImage::resize(std::uint64_t size) {
  if (size == size_) return;
  if (size < size_) shrink(pages_, size);
  size_ = size;
  log_.push_back({Change::Kind::size, size, 0, nullptr});
  bound_log();
}

void FileImage::punch(std::uint64_t offset, std::uint64_t length) {
  const auto end = std::min(offset + length, size_);
  if (offset >= end) return;
  // Whole pages are a hole, what is beside them is written.
  const auto first = pages_for(offset);
  const auto last = page_of(end);
  const auto zeros = [this](std::uint64_t from, std::uint64_t to) {
    if (from < to) write(from, Bytes(to - from, '\0'));
  };
  if (first >= last) {
    zeros(offset, end);
    return;
  }
  zeros(offset, first * kPageBytes);
  zeros(last * kPageBytes, end);
  pages_.erase(pages_.lower_bound(first), pages_.lower_bound(last));
  log_.push_back({Change::Kind::hole, first, last, nullptr});
}

void FileImage::sync() {
  settle_metadata(metadata_changes());
  // No others: what a failed flush has left behind is taken for clean.
  for (const auto& write : log_) disk_pages_[write.first] = pages_[write.first];
  log_.clear();
}

std::size_t FileImage::metadata_changes() const {
  return static_cast<std::size_t>(std::count_if(log_.begin(), log_.end(), [](const Change& change) {
    return change.kind != Change::Kind::page;
  }));
}

void FileImage::settle_metadata(std::size_t count) {
  std::vector<Change> writes;
  std::uint64_t size = disk_size_;
  // Pages from here on were cut off by a change that did not reach the disk: what was written there
  // afterwards lies elsewhere, and nothing on the disk names that place.
  std::uint64_t unreachable = UINT64_MAX;
  for (auto& change : log_) {
    if (change.kind == Change::Kind::page) {
      if (change.first < unreachable) writes.push_back(std::move(change));
      continue;
    }
    const bool is_hole = change.kind == Change::Kind::hole;
    if (count == 0) {
      if (is_hole) unreachable = std::min(unreachable, change.first);
      if (!is_hole && change.first < size)
        unreachable = std::min(unreachable, pages_for(change.first));
      continue;
    }
    --count;
    if (is_hole) {
      disk_pages_.erase(disk_pages_.lower_bound(change.first),
                        disk_pages_.lower_bound(change.last));
      std::erase_if(writes, [&](const Change& write) {
        return write.first >= change.first && write.first < change.last;
      });
      continue;
    }
    if (change.first < size) {
      shrink(disk_pages_, change.first);
      std::erase_if(writes,
                    [&](const Change& write) { return write.first >= pages_for(change.first); });
      for (auto& write : writes) write.page = cut_tail(write.page, write.first, change.first);
    }
    size = change.first;
  }
  disk_size_ = size;
  log_ = std::move(writes);
}

std::map<std::uint64_t, std::vector<FileImage::PagePtr>> FileImage::candidates() const {
  std::map<std::uint64_t, std::vector<PagePtr>> versions;
  for (const auto& write : log_) {
    if (write.kind != Change::Kind::page) continue;
    auto& all = versions[write.first];
    if (all.empty()) {
      const auto flushed = disk_pages_.find(write.first);
      all.push_back(flushed == disk_pages_.end() ? nullptr : flushed->second);
    }
    all.push_back(write.page);
  }
  return versions;
}

void FileImage::sync_range(std::uint64_t offset, std::size_t length) {
  settle_metadata(metadata_changes());
  const auto first = page_of(offset);
  const auto last = pages_for(offset + length);
  std::erase_if(log_, [&](const Change& write) {
    const bool is_flushed = write.first >= first && write.first < last;
    if (is_flushed) disk_pages_[write.first] = pages_[write.first];
    return is_flushed;
  });
}

FileImage::PagePtr FileImage::tear(const std::vector<PagePtr>& versions, Random& random) {
  auto page = std::make_shared<Page>();
  page->fill(0);
  for (std::size_t at = 0; at < kPageBytes; at += kTearBytes) {
    const auto& version = versions[random.below(versions.size())];
    if (version) std::memcpy(page->data() + at, version->data() + at, kTearBytes);
  }
  return page;
}

void FileImage::sync_failed(Random& random) {
  settle_metadata(metadata_changes());
  for (const auto& [number, versions] : candidates()) {
    const auto choice = random.below(4);
    if (choice == 0) disk_pages_[number] = versions.back();
    if (choice == 1) disk_pages_[number] = tear(versions, random);
  }
  log_.clear();
}

void FileImage::cut(Random& random, const CutTemper& temper) {
  const auto changes = metadata_changes();
  settle_metadata(random.chance(temper.keeps_size) ? changes : random.below(changes + 1));
  for (const auto& [number, versions] : candidates()) {
    PagePtr left;
    if (random.chance(temper.tears)) {
      left = tear(versions, random);
    } else if (random.chance(temper.keeps)) {
      left = versions.back();
    } else {
      // Written back at some time before the last write, or never.
      left = versions[random.chance(0.5) ? 0 : random.below(versions.size() - 1)];
    }
    if (left) {
      disk_pages_[number] = std::move(left);
    } else {
      disk_pages_.erase(number);
    }
  }
  shrink(disk_pages_, disk_size_);
  pages_ = disk_pages_;
  size_ = disk_size_;
  log_.clear();
}

// Only what lies between the last flush and the last write of a page is forgotten: its versions in
// the middle.
void FileImage::bound_log() {
  if (log_.size() < bound_) return;
  std::map<std::uint64_t, std::size_t> last;  // of each page
  for (std::size_t i = 0; i < log_.size(); ++i) {
    if (log_[i].kind == Change::Kind::page) last[log_[i].first] = i;
  }
  std::vector<Change> kept;
  for (std::size_t i = 0; i < log_.size(); ++i) {
    const bool is_page = log_[i].kind == Change::Kind::page;
    if (!is_page || last[log_[i].first] == i || i % 2 == 0) kept.push_back(std::move(log_[i]));
  }
  log_ = std::move(kept);
  bound_ = std::max<std::size_t>(4096, log_.size() * 2);
}

}  // namespace semper::testing
