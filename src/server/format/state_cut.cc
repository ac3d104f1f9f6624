#include "server/format/state_cut.h"

#include <algorithm>
#include <optional>

#include "semper/base/assert.h"
#include "semper/base/crc32c.h"

namespace semper::internal {
namespace {

// Of the codec of protobuf messages, before a byte string.
constexpr std::uint64_t kProtobufTag = 0x53504231;

// The head of a CBOR item: its major type and argument, and where what follows begins.
struct Head {
  std::uint8_t major = 0;
  std::uint64_t argument = 0;
  std::size_t end = 0;
};
enum Major : std::uint8_t { kBytes = 2, kText = 3, kArray = 4, kMap = 5, kTag = 6 };

// A field of a protobuf message.
struct Field {
  std::size_t contents = 0;  // where they begin
  std::size_t end = 0;
  bool has_length = false;  // text, bytes, or a message
};

class Cutter {
 public:
  Cutter(BytesView all, std::size_t aim) : all_(all), aim_(aim) {}

  std::vector<std::uint32_t> cut() {
    if (end_of_item(0) == all_.size()) {
      open_item(0, 0);
    } else {
      blocks(0, all_.size());
    }
    close();
    return std::move(sizes_);
  }

 private:
  // Nothing where there is no whole head, or one of indefinite length.
  std::optional<Head> head_at(std::size_t at) const {
    if (at >= all_.size()) return std::nullopt;
    const auto first = static_cast<std::uint8_t>(all_[at]);
    Head head{static_cast<std::uint8_t>(first >> 5), std::uint64_t{first} & 31, at + 1};
    if (head.argument < 24) return head;
    if (head.argument > 27) return std::nullopt;
    const std::size_t bytes = std::size_t{1} << (head.argument - 24);
    if (all_.size() - head.end < bytes) return std::nullopt;
    head.argument = 0;
    for (std::size_t i = 0; i < bytes; ++i) {
      head.argument = head.argument << 8 | static_cast<std::uint8_t>(all_[head.end + i]);
    }
    head.end += bytes;
    return head;
  }

  // Past the item at `at` with all that is in it.
  std::optional<std::size_t> end_of_item(std::size_t at) const {
    for (std::uint64_t rest = 1; rest > 0; --rest) {
      const auto head = head_at(at);
      if (!head) return std::nullopt;
      at = head->end;
      // Every item takes a byte at least.
      const std::uint64_t left = all_.size() - at;
      if (head->major >= kBytes && head->major <= kMap && head->argument > left) {
        return std::nullopt;
      }
      if (head->major == kBytes || head->major == kText) at += head->argument;
      if (head->major == kArray) rest += head->argument;
      if (head->major == kMap) rest += 2 * head->argument;
      if (head->major == kTag) ++rest;
      if (rest > all_.size() - at + 1) return std::nullopt;
    }
    return at;
  }

  // The item at `at`, which is whole, in parts.
  void open_item(std::size_t at, int depth) {
    const Head head = *head_at(at);
    switch (head.major) {
      case kTag:
        open_tag(at, head, depth);
        return;
      case kArray:
      case kMap:
        open_container(at, head, depth);
        return;
      case kBytes:
      case kText:
        glue(at, head.end);
        blocks(head.end, head.end + head.argument);
        return;
      default:
        glue(at, head.end);
    }
  }

  void open_tag(std::size_t at, const Head& tag, int depth) {
    const Head inner = *head_at(tag.end);
    if (tag.argument == kProtobufTag && inner.major == kBytes) {
      glue(at, inner.end);
      open_message(inner.end, inner.end + inner.argument, depth + 1);
    } else {
      glue(at, tag.end);
      if (depth < kCutDepth) return open_item(tag.end, depth + 1);
      blocks(tag.end, *end_of_item(tag.end));
    }
  }

  void open_container(std::size_t at, const Head& head, int depth) {
    glue(at, head.end);
    at = head.end;
    for (std::uint64_t i = 0; i < head.argument; ++i) {
      // An entry goes by its key, so that its chunk stays the same one when its value changes.
      const std::size_t value = head.major == kMap ? *end_of_item(at) : at;
      const std::size_t end = *end_of_item(value);
      if (end - at <= aim_) {
        part(at, end, value > at ? value : end);
      } else if (depth < kCutDepth) {
        if (is_string(value)) begin_anew();
        if (value > at) glue(at, value);
        open_item(value, depth + 1);
      } else {
        blocks(at, end);
      }
      at = end;
    }
  }

  // A protobuf message, or what looks like one; the rest as it is.
  void open_message(std::size_t at, std::size_t end, int depth) {
    while (at < end) {
      const auto field = field_at(at, end);
      if (!field) return blocks(at, end);
      if (field->end - at <= aim_) {
        part(at, field->end, field->end);
      } else if (field->has_length && depth < kCutDepth &&
                 is_message(field->contents, field->end)) {
        glue(at, field->contents);
        open_message(field->contents, field->end, depth + 1);
      } else {
        begin_anew();
        blocks(at, field->end);
      }
      at = field->end;
    }
  }

  bool is_string(std::size_t at) const {
    const auto major = head_at(at)->major;
    return major == kBytes || major == kText;
  }

  bool is_message(std::size_t at, std::size_t end) const {
    while (at < end) {
      const auto field = field_at(at, end);
      if (!field) return false;
      at = field->end;
    }
    return true;
  }

  std::optional<Field> field_at(std::size_t at, std::size_t end) const {
    const auto key = varint(at, end);
    if (!key || *key >> 3 == 0) return std::nullopt;
    Field field;
    field.contents = at;
    std::optional<std::uint64_t> length;
    switch (*key & 7) {
      case 0:
        if (!varint(at, end)) return std::nullopt;
        length = 0;
        break;
      case 1:
        length = 8;
        break;
      case 2:
        length = varint(at, end);
        field.contents = at;
        field.has_length = true;
        break;
      case 5:
        length = 4;
        break;
      default:
        return std::nullopt;
    }
    if (!length || *length > end - at) return std::nullopt;
    field.end = at + *length;
    return field;
  }

  std::optional<std::uint64_t> varint(std::size_t& at, std::size_t end) const {
    std::uint64_t value = 0;
    for (int shift = 0; shift < 64 && at < end; shift += 7) {
      const auto byte = static_cast<std::uint8_t>(all_[at++]);
      value |= std::uint64_t{byte & 0x7fu} << shift;
      if (byte < 0x80) return value;
    }
    return std::nullopt;
  }

  // A part of at most aim_ bytes. Behind it a chunk ends or not, as what lies before `named` says.
  void part(std::size_t begin, std::size_t end, std::size_t named) {
    add(end - begin);
    has_part_ = true;
    if (size_ < aim_ / 2) return;
    const auto drawn = crc32c(all_.substr(begin, named - begin)) % aim_;
    if (drawn < end - begin || size_ >= 4 * aim_) close();
  }

  // What belongs to the next part: heads and keys.
  void glue(std::size_t begin, std::size_t end) {
    if (end - begin > aim_) return blocks(begin, end);
    add(end - begin);
  }

  // What has no parts, behind the glue that is under way.
  void blocks(std::size_t begin, std::size_t end) {
    while (end - begin > kChunkBytes - size_) {
      begin += kChunkBytes - size_;
      size_ = kChunkBytes;
      close();
    }
    size_ += end - begin;
    close();
  }

  // Before what has no parts, whose cuts must not depend on the size of parts before it.
  void begin_anew() {
    if (has_part_) close();
  }

  void add(std::size_t bytes) {
    if (size_ + bytes > kChunkBytes) close();
    size_ += bytes;
  }
  void close() {
    if (size_ > 0) sizes_.push_back(static_cast<std::uint32_t>(size_));
    size_ = 0;
    has_part_ = false;
  }

  BytesView all_;
  std::size_t aim_;
  std::size_t size_ = 0;  // of the chunk under way
  bool has_part_ = false;
  std::vector<std::uint32_t> sizes_;
};

}  // namespace

std::size_t chunk_aim(std::size_t state_bytes, std::size_t transaction_operations) {
  std::size_t aim = kChunkAimMinimum;
  while (aim < kChunkAimMaximum && state_bytes / aim > transaction_operations / 4) aim *= 2;
  return aim;
}

std::vector<std::uint32_t> cut_state(BytesView state, std::size_t aim) {
  SEMPER_ASSERT(aim > 0 && aim <= kChunkAimMaximum, "a chunk is aimed at within its bounds");
  return Cutter(state, aim).cut();
}

}  // namespace semper::internal
