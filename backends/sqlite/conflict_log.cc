#include "conflict_log.h"

#include <algorithm>

#include "semper/base/assert.h"
#include "semper/base/internal/mutant.h"

namespace semper::sqlite {
void ConflictLog::reset(Version version) {
  transactions_.clear();
  keys_ = key_bytes_ = ranges_ = 0;
  floor_ = version;
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
  floor_ = oldest.version;
  transactions_.pop_front();
}

std::uint64_t ConflictLog::write(BytesView key) {
  auto& transaction = transactions_.back();
  return transaction.keys.add(key, transaction.version);
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
  if (since < floor_) return Answer::unknown;
  for (auto at = transactions_.rbegin(); at != transactions_.rend() && at->version > since; ++at) {
    if (at->keys.any_key_in(range, since)) return Answer::changed;
  }
  if (SEMPER_MUTANT("sqlite_written_ranges_forgotten")) return Answer::unchanged;
  return ranges_overlap(range, since) ? Answer::changed : Answer::unchanged;
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
