#include "written_keys.h"

#include <algorithm>
#include <cstring>

namespace semper::sqlite {
namespace {

// Multiplies to 128 bits and folds: every input bit reaches every output bit (the mixing step of
// wyhash and its relatives).
std::uint64_t fold(std::uint64_t a, std::uint64_t b) noexcept {
  __extension__ using Wide = unsigned __int128;
  const Wide product = static_cast<Wide>(a) * b;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

// Keys looked at one by one before they are worth sorting.
constexpr std::size_t kUnsortedMaximum = 64;

std::uint64_t load(const char* from, std::size_t count) noexcept {
  std::uint64_t word = 0;
  std::memcpy(&word, from, count);
  return word;
}

}  // namespace

std::uint64_t hash_key(BytesView key) noexcept {
  constexpr std::uint64_t kFirst = 0x9e3779b97f4a7c15ULL;
  constexpr std::uint64_t kSecond = 0xd1b54a32d192ed03ULL;
  std::uint64_t state = kFirst ^ key.size();
  const char* at = key.data();
  std::size_t left = key.size();
  for (; left > 8; at += 8, left -= 8) state = fold(state ^ load(at, 8), kSecond);
  return fold(state ^ (left == 0 ? 0 : load(at, left)), kFirst ^ kSecond);
}

bool WrittenKeys::any_key_in(const KeyRange& range, Version since) {
  if (items_.size() - sorted_.size() > kUnsortedMaximum) sort_rest();
  auto at = std::lower_bound(
      sorted_.begin(), sorted_.end(), range.begin,
      [this](std::uint32_t item, const Bytes& begin) { return key(item) < begin; });
  for (; at != sorted_.end() && key(*at) < range.end; ++at) {
    if (items_[*at].version > since) return true;
  }
  for (std::size_t i = sorted_.size(); i < items_.size(); ++i) {
    if (items_[i].version > since && range.contains(key(i))) return true;
  }
  return false;
}

void WrittenKeys::sort_rest() {
  const auto by_key = [this](std::uint32_t a, std::uint32_t b) { return key(a) < key(b); };
  const auto sorted = static_cast<std::ptrdiff_t>(sorted_.size());
  while (sorted_.size() < items_.size()) {
    sorted_.push_back(static_cast<std::uint32_t>(sorted_.size()));
  }
  std::sort(sorted_.begin() + sorted, sorted_.end(), by_key);
  std::inplace_merge(sorted_.begin(), sorted_.begin() + sorted, sorted_.end(), by_key);
}

void WrittenKeys::clear() {
  buffer_.clear();
  items_.clear();
  ranges_.clear();
  sorted_.clear();
}

}  // namespace semper::sqlite
