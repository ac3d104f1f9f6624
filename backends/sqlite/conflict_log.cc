#include "conflict_log.h"

#include <algorithm>

#include "semper/base/assert.h"
#include "semper/base/internal/mutant.h"

namespace semper::sqlite {
std::size_t ConflictLog::Points::place_of(std::uint64_t hash) const {
  constexpr std::size_t kMask = 2 * kLogPoints - 1;
  std::size_t place = hash & kMask;
  while (slots_[place].version != 0 && slots_[place].hash != hash) place = (place + 1) & kMask;
  return place;
}

void ConflictLog::Points::put(std::uint64_t hash, Version version) {
  auto& slot = slots_[place_of(hash)];
  if (slot.version == 0) ++count_;
  slot = {hash, version};
}

Version ConflictLog::Points::find(std::uint64_t hash) const {
  return slots_[place_of(hash)].version;
}

void ConflictLog::Points::clear() {
  if (count_ == 0) return;
  std::fill(slots_.begin(), slots_.end(), Slot{});
  count_ = 0;
}

void ConflictLog::reset(Version version) {
  recent_.clear();
  older_.clear();
  pass(version);
}

// The points stay: they are of commits up to `version`, and nobody is told of those.
void ConflictLog::pass(Version version) {
  recent_.floor = older_.floor = version;
  transactions_.clear();
  keys_ = key_bytes_ = ranges_ = 0;
  transactions_floor_ = ranges_floor_ = version;
}

void ConflictLog::begin(Version version) {
  while (transactions_.size() >= kLogTransactions || keys_ > kLogKeys ||
         key_bytes_ > kLogKeyBytes) {
    forget_oldest();
  }
  transactions_.push_back({version, {}});
}

void ConflictLog::forget_oldest() {
  const auto& oldest = transactions_.front();
  keys_ -= oldest.keys.size();
  key_bytes_ -= oldest.keys.bytes();
  ranges_ -= oldest.keys.ranges().size();
  transactions_floor_ = oldest.version;
  if (!oldest.keys.ranges().empty()) ranges_floor_ = oldest.version;
  transactions_.pop_front();
}

std::uint64_t ConflictLog::write(BytesView key) {
  auto& transaction = transactions_.back();
  const auto hash = transaction.keys.add(key, transaction.version);
  if (recent_.is_full()) {
    std::swap(recent_, older_);
    recent_.clear();
    recent_.floor = transaction.version;
  }
  recent_.put(hash, transaction.version);
  return hash;
}

void ConflictLog::write(KeyRange range) {
  auto& transaction = transactions_.back();
  transaction.keys.add(std::move(range), transaction.version);
  ++ranges_;
}

void ConflictLog::commit() {
  const auto& keys = transactions_.back().keys;
  keys_ += keys.size();
  key_bytes_ += keys.bytes();
}

void ConflictLog::drop() {
  SEMPER_ASSERT(transactions_.back().keys.empty(), "only what wrote nothing is dropped");
  transactions_.pop_back();
}

ConflictLog::Answer ConflictLog::look(const KeyRange& range, Version since) {
  if (is_point(range)) return look_point(range.begin, since);
  if (since < transactions_floor_) return Answer::unknown;
  for (auto at = transactions_.rbegin(); at != transactions_.rend() && at->version > since; ++at) {
    if (at->keys.any_key_in(range, since)) return Answer::changed;
  }
  if (SEMPER_MUTANT("sqlite_written_ranges_forgotten")) return Answer::unchanged;
  return ranges_overlap(range, since) ? Answer::changed : Answer::unchanged;
}

ConflictLog::Answer ConflictLog::look_point(BytesView key, Version since) const {
  if (since < older_.floor || since < ranges_floor_) return Answer::unknown;
  const auto hash = hash_key(key);
  const bool older = older_.find(hash) > since && !SEMPER_MUTANT("sqlite_older_half_forgotten");
  if (recent_.find(hash) > since || older) return Answer::changed;
  if (ranges_ == 0) return Answer::unchanged;
  return ranges_overlap(KeyRange::point(key), since) ? Answer::changed : Answer::unchanged;
}

bool ConflictLog::ranges_overlap(const KeyRange& range, Version since) const {
  if (ranges_ == 0) return false;
  for (auto at = transactions_.rbegin(); at != transactions_.rend() && at->version > since; ++at) {
    for (const auto& written : at->keys.ranges()) {
      if (written.version > since && written.range.overlaps(range)) return true;
    }
  }
  return false;
}

}  // namespace semper::sqlite
