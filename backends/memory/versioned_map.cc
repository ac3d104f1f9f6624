#include "backends/memory/versioned_map.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "semper/base/assert.h"
#include "semper/base/internal/mutant.h"
#include "semper/store/versionstamp.h"

namespace semper::memory {
namespace {

Bytes sum_of(const std::optional<Bytes>& base, BytesView amount) {
  Bytes widened = base.value_or(Bytes());
  widened.resize(sizeof(std::uint64_t), '\0');
  Bytes sum;
  append_little_endian_u64(sum, load_little_endian_u64(widened) + load_little_endian_u64(amount));
  return sum;
}

Bytes stamped(BytesView target, std::size_t offset, Version version) {
  SEMPER_ASSERT(offset + Versionstamp::store_size <= target.size(),
                "a stamp's place was checked when the write was made");
  const auto stamp = Versionstamp::complete(version, 0, 0);
  Bytes filled(target);
  filled.replace(offset, Versionstamp::store_size, stamp.bytes(), 0, Versionstamp::store_size);
  return filled;
}

}  // namespace

const VersionedMap::Revision* VersionedMap::seen_at(const Revisions& revisions, Version at) {
  const auto later =
      std::upper_bound(revisions.begin(), revisions.end(), at,
                       [](Version version, const Revision& r) { return version < r.version; });
  if (later == revisions.begin() || !std::prev(later)->value) return nullptr;
  return &*std::prev(later);
}

std::optional<Bytes> VersionedMap::get(BytesView key, Version at) const {
  const auto found = rows_.find(key);
  if (found == rows_.end()) return std::nullopt;
  if (SEMPER_MUTANT("memory_snapshot_moves")) at = version_;
  const auto* revision = seen_at(found->second, at);
  return revision == nullptr ? std::nullopt : revision->value;
}

std::optional<Bytes> VersionedMap::newest(BytesView key) const {
  const auto found = rows_.find(key);
  return found == rows_.end() ? std::nullopt : found->second.back().value;
}

RangePage VersionedMap::get_range(const PageRequest& request, Version at) const {
  RangePage page;
  if (request.range.empty()) return page;
  std::size_t bytes = 0;
  // True: the page is full, and this row is the first that it has no room for.
  const auto take = [&](const Rows::value_type& row) {
    const auto* revision = seen_at(row.second, at);
    if (revision == nullptr) return false;
    page.more =
        !page.rows.empty() && (page.rows.size() >= request.rows || bytes >= kPageBytesMaximum);
    if (page.more) return true;
    bytes += row.first.size() + revision->value->size();
    page.rows.push_back({row.first, *revision->value});
    return false;
  };
  const auto first = rows_.lower_bound(request.range.begin);
  const auto last = SEMPER_MUTANT("memory_range_includes_its_end")
                        ? rows_.upper_bound(request.range.end)
                        : rows_.lower_bound(request.range.end);
  if (request.order == Order::ascending) {
    for (auto row = first; row != last && !take(*row); ++row) {
    }
  } else {
    for (auto row = last; row != first && !take(*std::prev(row)); --row) {
    }
  }
  return page;
}

Version VersionedMap::last_change(BytesView key) const {
  const auto found = rows_.find(key);
  return found == rows_.end() ? 0 : found->second.back().version;
}

bool VersionedMap::changed_since(const ReadRecord& read, Version read_version) const {
  if (read_version >= version_ || read.range.empty()) return false;
  std::uint64_t rows = 0;
  const auto last = rows_.lower_bound(read.range.end);
  for (auto row = rows_.lower_bound(read.range.begin); row != last; ++row) {
    const auto& newest = row->second.back();
    if (newest.version > read_version + (SEMPER_MUTANT("memory_conflict_off_by_one") ? 1 : 0)) {
      return true;
    }
    if (newest.value) ++rows;
  }
  if (read_version < removal_floor_ && rows != read.rows) return true;
  if (read_version < write_conflict_floor_) return true;
  for (auto written = write_conflicts_.rbegin();
       written != write_conflicts_.rend() && written->version > read_version; ++written) {
    if (written->range.overlaps(read.range)) return true;
  }
  return false;
}

Version VersionedMap::apply(const CommitRequest& request, std::vector<Bytes>& changed) {
  ++version_;
  for (const auto& mutation : request.mutations) apply(mutation, changed);
  for (const auto& range : request.write_conflicts) write_conflicts_.push_back({version_, range});
  return version_;
}

void VersionedMap::apply(const Mutation& mutation, std::vector<Bytes>& changed) {
  switch (mutation.type) {
    case Mutation::Type::set:
      return write(mutation.key, mutation.value, changed);
    case Mutation::Type::clear:
      return write(mutation.key, std::nullopt, changed);
    case Mutation::Type::clear_range:
      return clear_range({mutation.key, mutation.value}, changed);
    case Mutation::Type::add:
      return write(mutation.key, sum_of(newest(mutation.key), mutation.value), changed);
    case Mutation::Type::set_versionstamped_key:
      return write(stamped(mutation.key, mutation.stamp_offset, version_), mutation.value, changed);
    case Mutation::Type::set_versionstamped_value:
      return write(mutation.key, stamped(mutation.value, mutation.stamp_offset, version_), changed);
  }
}

void VersionedMap::clear_range(const KeyRange& range, std::vector<Bytes>& changed) {
  if (range.empty()) return;
  std::vector<Bytes> keys;
  const auto last = rows_.lower_bound(range.end);
  for (auto row = rows_.lower_bound(range.begin); row != last; ++row) {
    if (row->second.back().value) keys.push_back(row->first);
  }
  for (const auto& key : keys) write(key, std::nullopt, changed);
}

void VersionedMap::write(BytesView key, std::optional<Bytes> value, std::vector<Bytes>& changed) {
  auto row = rows_.find(key);
  const bool was_there = row != rows_.end() && row->second.back().value.has_value();
  if (!value && !was_there) return;  // nothing to remove, nothing changes
  changed.emplace_back(key);
  live_keys_ += (value ? 1u : 0u);
  live_keys_ -= (was_there ? 1u : 0u);
  if (!value) removals_.push_back({version_, Bytes(key)});
  if (row == rows_.end()) row = rows_.emplace(Bytes(key), Revisions()).first;
  auto& revisions = row->second;
  if (!revisions.empty() && revisions.back().version == version_) {
    revisions.back().value = std::move(value);  // written before by the same commit
    return;
  }
  if (!revisions.empty()) superseded_.push_back({version_, row->first});
  revisions.push_back({version_, std::move(value)});
  ++revisions_;
}

void VersionedMap::collect(Version horizon) {
  collect_superseded(horizon);
  collect_removals(horizon);
  while (write_conflicts_.size() > kWriteConflictsKept) {
    write_conflict_floor_ = write_conflicts_.front().version;
    write_conflicts_.pop_front();
  }
}

void VersionedMap::collect_superseded(Version horizon) {
  for (; !superseded_.empty() && superseded_.front().version <= horizon; superseded_.pop_front()) {
    const auto row = rows_.find(superseded_.front().key);
    if (row == rows_.end()) continue;
    auto& revisions = row->second;
    const auto later =
        std::upper_bound(revisions.begin(), revisions.end(), horizon,
                         [](Version version, const Revision& r) { return version < r.version; });
    if (later == revisions.begin()) continue;
    revisions_ -= static_cast<std::size_t>(std::prev(later) - revisions.begin());
    revisions.erase(revisions.begin(), std::prev(later));
  }
}

void VersionedMap::collect_removals(Version horizon) {
  while (removals_.size() > kRemovalsKept && removals_.front().version <= horizon) {
    const auto& removal = removals_.front();
    const auto row = rows_.find(removal.key);
    if (row != rows_.end() && row->second.size() == 1 && !row->second.front().value &&
        row->second.front().version == removal.version) {
      rows_.erase(row);
      --revisions_;
    }
    if (!SEMPER_MUTANT("memory_removals_forgotten")) removal_floor_ = removal.version;
    removals_.pop_front();
  }
}

Status VersionedMap::check() const {
  std::size_t live = 0;
  std::size_t revisions = 0;
  for (const auto& [key, row] : rows_) {
    const auto wrong = [&, &name = key](const char* what) {
      return fail(ErrorKind::corrupt, "key " + to_printable(name) + ": " + what);
    };
    if (row.empty()) return wrong("it has no revision");
    if (row.back().version > version_) return wrong("it is newer than the newest commit");
    for (std::size_t i = 1; i < row.size(); ++i) {
      if (row[i - 1].version >= row[i].version) return wrong("its revisions are out of order");
    }
    live += row.back().value ? 1 : 0;
    revisions += row.size();
  }
  if (live != live_keys_ || revisions != revisions_) {
    return fail(ErrorKind::corrupt, "the number of keys or revisions is not what was counted");
  }
  return {};
}

}  // namespace semper::memory
