#include "overlay.h"

#include <iterator>
#include <utility>

#include "semper/base/internal/mutant.h"

namespace semper::internal {

Bytes add_to_value(const std::optional<Bytes>& base, std::uint64_t amount) {
  Bytes widened = base.value_or(Bytes());
  widened.resize(sizeof amount, '\0');
  Bytes sum;
  append_little_endian_u64(sum, load_little_endian_u64(widened) + amount);
  return sum;
}

Error unreadable_error(BytesView key) {
  return Error(ErrorKind::unsupported,
               "key " + to_printable(key) +
                   " was written with a versionstamp by this transaction; its value is known only "
                   "after the commit");
}

bool Overlay::is_cleared(BytesView key) const {
  auto after = cleared_.upper_bound(key);
  if (after == cleared_.begin()) return false;
  return key < std::prev(after)->second;
}

void Overlay::clear_range(const Bytes& begin, const Bytes& end) {
  if (begin >= end) return;
  entries_.erase(entries_.lower_bound(begin), entries_.lower_bound(end));
  Bytes merged_begin = begin;
  Bytes merged_end = end;
  auto first = cleared_.upper_bound(begin);
  if (first != cleared_.begin() && std::prev(first)->second >= begin) --first;
  while (first != cleared_.end() && first->first <= merged_end) {
    merged_begin = std::min(merged_begin, first->first);
    merged_end = std::max(merged_end, first->second);
    first = cleared_.erase(first);
  }
  cleared_.emplace(std::move(merged_begin), std::move(merged_end));
}

void Overlay::apply(const Mutation& mutation) {
  switch (mutation.type) {
    case Mutation::Type::set:
      entries_.insert_or_assign(mutation.key, Entry{Kind::value, mutation.value});
      return;
    case Mutation::Type::clear:
      entries_.insert_or_assign(mutation.key, Entry{Kind::absent, {}});
      return;
    case Mutation::Type::clear_range:
      clear_range(mutation.key, mutation.value);
      return;
    case Mutation::Type::set_versionstamped_value:
      entries_.insert_or_assign(mutation.key, Entry{Kind::unreadable, {}});
      return;
    case Mutation::Type::set_versionstamped_key:
      return;  // the key is not known yet, so nothing can look for it
    case Mutation::Type::add:
      break;
  }
  const std::uint64_t amount = load_little_endian_u64(mutation.value);
  const View before = look(mutation.key);
  switch (before.kind) {
    case Kind::value:
      entries_.insert_or_assign(mutation.key,
                                Entry{Kind::value, add_to_value(*before.value, amount)});
      return;
    case Kind::absent:
      entries_.insert_or_assign(mutation.key,
                                Entry{Kind::value, add_to_value(std::nullopt, amount)});
      return;
    case Kind::untouched:
    case Kind::added:
      entries_.insert_or_assign(mutation.key, Entry{Kind::added, {}, before.amount + amount});
      return;
    case Kind::unreadable:
      return;
  }
}

Overlay::View Overlay::look(BytesView key) const {
  const auto found = entries_.find(key);
  if (found != entries_.end()) {
    return {found->second.kind, &found->second.value, found->second.amount};
  }
  return {is_cleared(key) ? Kind::absent : Kind::untouched};
}

Result<std::vector<KeyValue>> Overlay::merge(const KeyRange& range,
                                             std::vector<KeyValue> rows) const {
  std::vector<KeyValue> merged;
  merged.reserve(rows.size());
  auto entry = entries_.lower_bound(range.begin);
  const auto entries_end = entries_.lower_bound(range.end);
  auto row = rows.begin();
  while (row != rows.end() || entry != entries_end) {
    if (entry == entries_end || (row != rows.end() && row->key < entry->first)) {
      const bool gone = is_cleared(row->key) && !SEMPER_MUTANT("store_cleared_range_still_listed");
      if (!gone) merged.push_back(std::move(*row));
      ++row;
      continue;
    }
    const bool same = row != rows.end() && row->key == entry->first;
    switch (entry->second.kind) {
      case Kind::value:
        merged.push_back({entry->first, entry->second.value});
        break;
      case Kind::added:
        merged.push_back(
            {entry->first, add_to_value(same ? std::optional<Bytes>(row->value) : std::nullopt,
                                        entry->second.amount)});
        break;
      case Kind::unreadable:
        return fail(unreadable_error(entry->first));
      case Kind::absent:
      case Kind::untouched:
        break;
    }
    if (same) ++row;
    ++entry;
  }
  return merged;
}

}  // namespace semper::internal
