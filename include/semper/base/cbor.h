// CBOR (RFC 8949): the self-describing binary format in which states, messages and replies are
// stored, so that tools can show their contents without knowing their types.
//
// What for: writing and reading items one by one, without any memory other than the output. When
// not: to store a C++ value, use codec.h, which is built on this; to show or type one, use
// cbor_json.h.
//
//   semper::Bytes out;
//   semper::cbor::Writer writer(out);
//   writer.array(2);
//   writer.text("page/home");
//   writer.unsigned_integer(7);
//
//   semper::cbor::Reader reader(out);
//   std::uint64_t count = 0, hits = 0;
//   std::string_view name;
//   if (!reader.read_array(count) || !reader.read_text(name) || !reader.read_unsigned(hits) ||
//       !reader.finish())
//     return semper::fail(reader.error());    // "expected text, found null at byte 1"
//
// The writer uses definite lengths, the shortest form of every length and integer, and floats in
// their given width (4 or 8 bytes). The reader also accepts longer forms and half floats from other
// writers. It refuses indefinite lengths, text that is not UTF-8, reserved codes, and more elements
// than there are bytes left.
//
// Ownership: a Writer appends to a byte string it borrows; a Reader and every view it gives borrow
// the input. Threads: one at a time. Errors are of kind invalid_argument: the bytes are wrong, and
// reading them again will not help.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "semper/base/bytes.h"
#include "semper/base/result.h"

namespace semper::cbor {

// The maximum nesting of arrays, maps and tags. Deeper input is refused, and codec.h asserts
// against deeper output, so that no input can exhaust the stack.
inline constexpr int kMaxDepth = 64;

// Once a failure's message is longer than this, no more places are added to it.
inline constexpr std::size_t kMaxMessageBytes = 512;

// The kind of an item, from its first byte. `end` is not an item: the input is exhausted.
enum class Kind : std::uint8_t {
  unsigned_integer,
  negative_integer,
  bytes,
  text,
  array,
  map,
  tag,
  boolean,
  null,
  floating,
  simple,  // the other simple values, of which only 23, "undefined", has a meaning
  end,
};

// With its article, for messages: "an integer", "text", "the end of the input".
std::string_view to_string(Kind kind) noexcept;

// Appends items. The caller must ensure that an array is followed by as many items as announced, a
// map by twice as many, and a tag by one.
class Writer {
 public:
  explicit Writer(Bytes& out) noexcept : out_(out) {}

  void unsigned_integer(std::uint64_t value) { head(0x00, value); }
  void integer(std::int64_t value) {
    value < 0 ? head(0x20, ~static_cast<std::uint64_t>(value)) : head(0x00, value);
  }
  // The number -1 - n, for those below the smallest std::int64_t.
  void minus_one_minus(std::uint64_t n) { head(0x20, n); }
  void bytes(BytesView value) { string(0x40, value); }
  // Precondition: is_utf8(value); readers refuse the item otherwise.
  void text(std::string_view value) { string(0x60, value); }
  void array(std::uint64_t elements) { head(0x80, elements); }
  void map(std::uint64_t entries) { head(0xa0, entries); }
  void tag(std::uint64_t number) { head(0xc0, number); }
  void boolean(bool value) { out_.push_back(static_cast<char>(value ? 0xf5 : 0xf4)); }
  void null() { out_.push_back(static_cast<char>(0xf6)); }
  // Precondition: below 20 or above 31 (asserted); 23, "undefined", is allowed too.
  void simple(std::uint8_t value);
  void floating(float value);
  void floating(double value);
  // Items that are already encoded, unchanged.
  void raw(BytesView items) { out_.append(items); }
  // The head of a byte string whose `size` bytes the caller appends.
  void bytes_head(std::uint64_t size) { head(0x40, size); }

  Bytes& out() noexcept { return out_; }

 private:
  void head(std::uint8_t major, std::uint64_t argument) {
    if (argument < 24) {
      out_.push_back(static_cast<char>(major | argument));
    } else {
      long_head(major, argument);
    }
  }
  void long_head(std::uint8_t major, std::uint64_t argument);
  void string(std::uint8_t major, std::string_view value) {
    head(major, value.size());
    out_.append(value);
  }

  Bytes& out_;
};

// One item without its contents.
struct Item {
  Kind kind = Kind::end;
  bool is_single = false;  // floating: written in 4 or fewer bytes
  std::uint64_t argument =
      0;              // integers: n or -1-n; array, map: elements, entries; tag, simple: number
  BytesView string;   // bytes, text
  double number = 0;  // floating
  std::size_t offset = 0;                                // of its first byte in the input
  bool truth() const noexcept { return argument != 0; }  // boolean
};

// Reads items front to back. The first failure sticks: every later read fails too, and error()
// returns the first failure, so a chain of reads needs only one check. A failed read leaves its
// argument unspecified.
class Reader {
 public:
  explicit Reader(BytesView input) noexcept : input_(input) {}

  // The next item's kind; consumes nothing. `end` after a failure, too.
  Kind peek() const noexcept;
  // The next item, whatever it is; the items inside it come next. Fails at the end of the input.
  [[nodiscard]] bool read(Item& item);

  // The next item, which must be of that kind ("expected text, found null at byte 7").
  [[nodiscard]] bool read_unsigned(std::uint64_t& value);
  [[nodiscard]] bool read_signed(std::int64_t& value);
  [[nodiscard]] bool read_boolean(bool& value);
  [[nodiscard]] bool read_null();
  [[nodiscard]] bool read_floating(double& value);
  [[nodiscard]] bool read_text(std::string_view& value);
  [[nodiscard]] bool read_bytes(BytesView& value);
  // Both guarantee that there are at least as many bytes left as announced items.
  [[nodiscard]] bool read_array(std::uint64_t& elements) {
    if (take_short(0x80, elements)) return elements <= bytes_left() || fail_short_array();
    return read_long_array(elements);
  }
  [[nodiscard]] bool read_map(std::uint64_t& entries);
  [[nodiscard]] bool read_tag(std::uint64_t& number);

  // The next item with its contents, however deep: skipped, or returned as it is in the input.
  [[nodiscard]] bool skip();
  [[nodiscard]] bool read_raw(BytesView& item);

  // For recursive callers: call enter() before reading the items of an array, map or tag (it fails
  // beyond kMaxDepth), and leave() after them.
  [[nodiscard]] bool enter();
  void leave() noexcept { --depth_; }

  // Fails if bytes are left over.
  [[nodiscard]] bool finish();

  std::size_t offset() const noexcept { return at_; }
  std::size_t bytes_left() const noexcept { return input_.size() - at_; }
  BytesView input() const noexcept { return input_; }

  // Reads an item of one byte, the shortest and most frequent form, if it is of that major type.
  // Otherwise consumes nothing.
  [[nodiscard]] bool take_short(std::uint8_t major, std::uint64_t& argument) noexcept {
    if (failed_ || at_ == input_.size()) return false;
    const auto above = static_cast<unsigned char>(input_[at_] - static_cast<char>(major));
    if (above >= 24) return false;
    argument = above;
    ++at_;
    return true;
  }

  // Records the first failure; always returns false. The caller's message names the place itself.
  bool fail(std::string message);
  // The failure "expected WHAT, found KIND at byte N".
  bool fail_expected(std::string_view what, const Item& found);
  // Puts the place in front of the recorded failure: "PLACE: MESSAGE". Beyond kMaxMessageBytes, one
  // "..." stands for all further places.
  void add_place(std::string_view place);
  bool failed() const noexcept { return failed_; }
  // Precondition: failed().
  Error error() const;

 private:
  bool read_argument(std::uint8_t information, Item& item);
  bool read_long_array(std::uint64_t& elements);
  bool fail_short_array();
  bool read_simple_or_floating(std::uint8_t information, Item& item);
  bool fail_at(std::string_view what, std::size_t offset);

  BytesView input_;
  std::size_t at_ = 0;
  int depth_ = 0;
  bool failed_ = false;
  std::string message_;
};

}  // namespace semper::cbor
