#include "effects.h"

#include <algorithm>
#include <utility>

#include "semper/store/versionstamp.h"

namespace semper::etcd {
namespace {

void fill_stamp(Bytes& target, std::size_t offset, Version version) {
  Bytes stamp;
  append_big_endian_u64(stamp, version);
  append_big_endian_u16(stamp, 0);
  target.replace(offset, stamp.size(), stamp);
}

void clear(Effects& effects, const KeyRange& range) {
  const auto drop = [&](auto& map) {
    map.erase(map.lower_bound(range.begin), map.lower_bound(range.end));
  };
  drop(effects.written);
  drop(effects.added);
  effects.cleared.add(range);
}

void add(Effects& effects, const Bytes& key, std::uint64_t amount) {
  if (const auto written = effects.written.find(key); written != effects.written.end()) {
    written->second = add_to_value(written->second, amount);
  } else if (effects.cleared.overlaps(KeyRange::point(key))) {
    effects.written.emplace(key, add_to_value(std::nullopt, amount));
  } else {
    effects.added[key] += amount;
  }
}

void write(Effects& effects, Bytes key, std::optional<Bytes> value) {
  effects.added.erase(key);
  effects.written.insert_or_assign(std::move(key), std::move(value));
}

void apply(Effects& effects, const Mutation& mutation, Version version) {
  switch (mutation.type) {
    case Mutation::Type::set:
      return write(effects, mutation.key, mutation.value);
    case Mutation::Type::clear:
      return write(effects, mutation.key, std::nullopt);
    case Mutation::Type::clear_range:
      return clear(effects, {mutation.key, mutation.value});
    case Mutation::Type::add:
      return add(effects, mutation.key, load_little_endian_u64(mutation.value));
    case Mutation::Type::set_versionstamped_key: {
      Bytes key = mutation.key;
      fill_stamp(key, mutation.stamp_offset, version);
      return write(effects, std::move(key), mutation.value);
    }
    case Mutation::Type::set_versionstamped_value: {
      Bytes value = mutation.value;
      fill_stamp(value, mutation.stamp_offset, version);
      return write(effects, mutation.key, std::move(value));
    }
  }
}

// Where a key with any stamp may lie.
KeyRange stamped_range(const Mutation& mutation) {
  Bytes begin = mutation.key.substr(0, mutation.stamp_offset);
  Bytes end = begin;
  end.append(Versionstamp::store_size, '\xff');
  end.push_back('\xff');
  return {std::move(begin), std::move(end)};
}

bool overlap(const RangeSet& a, const RangeSet& b) {
  const RangeSet& few = a.size() <= b.size() ? a : b;
  const RangeSet& many = a.size() <= b.size() ? b : a;
  return std::any_of(few.begin(), few.end(), [&](const auto& range) {
    return many.overlaps({range.first, range.second});
  });
}

void join(RangeSet& to, const RangeSet& from) {
  for (const auto& [begin, end] : from) to.add({begin, end});
}

}  // namespace

Bytes add_to_value(const std::optional<Bytes>& base, std::uint64_t amount) {
  Bytes widened = base.value_or(Bytes());
  widened.resize(sizeof amount, '\0');
  Bytes sum;
  append_little_endian_u64(sum, load_little_endian_u64(widened) + amount);
  return sum;
}

std::vector<KeyRange> Effects::removed_ranges() const {
  std::vector<KeyRange> parts;
  for (const auto& [begin, end] : cleared) {
    Bytes from = begin;
    for (auto hole = written.lower_bound(begin); hole != written.end() && hole->first < end;
         ++hole) {
      if (!hole->second) continue;
      if (from < hole->first) parts.emplace_back(from, hole->first);
      from = key_after(hole->first);
    }
    if (from < end) parts.emplace_back(from, end);
  }
  return parts;
}

Effects effects_of(const std::vector<Mutation>& mutations, Version version) {
  Effects effects;
  for (const auto& mutation : mutations) apply(effects, mutation, version);
  return effects;
}

bool has_stamps(const std::vector<Mutation>& mutations) {
  return std::any_of(mutations.begin(), mutations.end(), [](const Mutation& mutation) {
    return mutation.type == Mutation::Type::set_versionstamped_key ||
           mutation.type == Mutation::Type::set_versionstamped_value;
  });
}

Footprint::Footprint(const CommitRequest& request) {
  for (const auto& read : request.reads) reads.add(read.range);
  for (const auto& mutation : request.mutations) {
    if (mutation.type == Mutation::Type::clear_range) {
      writes.add({mutation.key, mutation.value});
    } else if (mutation.type == Mutation::Type::set_versionstamped_key) {
      stamped.add(stamped_range(mutation));
    } else {
      writes.add(KeyRange::point(mutation.key));
    }
  }
  for (const auto& range : request.write_conflicts) writes.add(range);
}

bool Footprint::meets(const Footprint& other) const {
  return overlap(writes, other.writes) || overlap(writes, other.reads) ||
         overlap(reads, other.writes) || overlap(stamped, other.reads) ||
         overlap(reads, other.stamped) || overlap(stamped, other.writes) ||
         overlap(writes, other.stamped);
}

void Footprint::add(const Footprint& other) {
  join(reads, other.reads);
  join(writes, other.writes);
  join(stamped, other.stamped);
}

RangeSet Footprint::whole() const {
  RangeSet all = writes;
  join(all, reads);
  return all;
}

}  // namespace semper::etcd
