#include "declared_writes.h"

#include <algorithm>
#include <utility>

namespace semper::etcd {
namespace {

constexpr std::size_t kNumberBytes = 8;

// Reads the fields of an encoding from its front; after the first that is not there, all are empty.
class Fields {
 public:
  explicit Fields(BytesView bytes) : rest_(bytes) {}

  std::uint64_t number() {
    const auto bytes = take(kNumberBytes);
    return bytes.empty() ? 0 : load_big_endian_u64(bytes);
  }
  Bytes text() { return Bytes(take(number())); }
  bool failed() const { return failed_; }
  bool at_end() const { return rest_.empty(); }

 private:
  BytesView take(std::uint64_t count) {
    if (failed_ || count > rest_.size()) {
      failed_ = true;
      return {};
    }
    const auto taken = rest_.substr(0, count);
    rest_.remove_prefix(count);
    return taken;
  }

  BytesView rest_;
  bool failed_ = false;
};

void append_text(Bytes& out, const Bytes& text) {
  append_big_endian_u64(out, text.size());
  out += text;
}

}  // namespace

std::size_t DeclaredWrites::Commit::size_bytes() const {
  std::size_t bytes = 2 * kNumberBytes;
  for (const auto& range : ranges)
    bytes += 2 * kNumberBytes + range.begin.size() + range.end.size();
  return bytes;
}

Result<DeclaredWrites> DeclaredWrites::decode(BytesView bytes) {
  DeclaredWrites made;
  if (bytes.empty()) return made;
  Fields fields(bytes);
  made.forgotten_ = fields.number();
  while (!fields.at_end() && !fields.failed()) {
    Commit commit;
    commit.version = fields.number();
    const auto count = fields.number();
    for (std::uint64_t i = 0; i < count && !fields.failed(); ++i) {
      Bytes begin = fields.text();
      commit.ranges.emplace_back(std::move(begin), fields.text());
    }
    made.commits_.push_back(std::move(commit));
  }
  if (fields.failed()) {
    return fail(ErrorKind::corrupt,
                "the store's list of declared writes is cut short; was "
                "something else written under its prefix?");
  }
  return made;
}

Bytes DeclaredWrites::encode() const {
  Bytes out;
  append_big_endian_u64(out, forgotten_);
  for (const auto& commit : commits_) {
    append_big_endian_u64(out, commit.version);
    append_big_endian_u64(out, commit.ranges.size());
    for (const auto& range : commit.ranges) {
      append_text(out, range.begin);
      append_text(out, range.end);
    }
  }
  return out;
}

void DeclaredWrites::add(Version version, std::vector<KeyRange> ranges) {
  commits_.push_back({version, std::move(ranges)});
  std::size_t bytes = 0;
  for (const auto& commit : commits_) bytes += commit.size_bytes();
  while (commits_.size() > kDeclaredCommits || (bytes > kDeclaredBytes && !commits_.empty())) {
    bytes -= commits_.front().size_bytes();
    forgotten_ = commits_.front().version;
    commits_.pop_front();
  }
}

bool DeclaredWrites::conflicts(const std::vector<ReadRecord>& reads, Version version) const {
  if (reads.empty()) return false;
  if (version < forgotten_) return true;
  return std::any_of(commits_.begin(), commits_.end(), [&](const Commit& commit) {
    if (commit.version <= version) return false;
    return std::any_of(commit.ranges.begin(), commit.ranges.end(), [&](const KeyRange& range) {
      return std::any_of(reads.begin(), reads.end(),
                         [&](const ReadRecord& read) { return read.range.overlaps(range); });
    });
  });
}

}  // namespace semper::etcd
