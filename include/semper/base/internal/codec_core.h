// What codec.h and its parts share: options, the writer and reader with a place for each failure.
// Include codec.h; this header alone stores nothing.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "semper/base/bytes.h"
#include "semper/base/cbor.h"
#include "semper/base/codec_options.h"

namespace semper {

namespace internal::codec {

class Encoder : public cbor::Writer {
 public:
  using Writer::Writer;

  // Around the items of a container. Throws std::length_error past cbor::kMaxDepth.
  void enter() {
    if (++depth_ > cbor::kMaxDepth) throw_too_deep();
  }
  void leave() noexcept { --depth_; }

  // Text, or a byte string where it is not UTF-8.
  void string(std::string_view value) { is_utf8(value) ? text(value) : bytes(value); }

 private:
  [[noreturn]] static void throw_too_deep();

  int depth_ = 0;
};

class Decoder : public cbor::Reader {
 public:
  Decoder(BytesView input, DecodeOptions options) noexcept : Reader(input), options_(options) {}

  const DecodeOptions& options() const noexcept { return options_; }

  // An integer of a type with those borders, as the 64 bits of its two's complement.
  struct IntegerRange {
    std::int64_t smallest;
    std::uint64_t largest;
  };
  [[nodiscard]] bool read_integer(IntegerRange range, std::uint64_t& bits) {
    constexpr std::uint64_t kLargestShort = 23;
    if (range.largest >= kLargestShort && take_short(0x00, bits)) return true;
    return read_long_integer(range, bits);
  }
  // Also integers up to 2^53. Finite numbers past the range of a float fail.
  [[nodiscard]] bool read_number(double& value);
  [[nodiscard]] bool read_number(float& value);
  // Text or a byte string.
  [[nodiscard]] bool read_string(BytesView& value);
  [[nodiscard]] bool read_exact_bytes(char* out, std::size_t size);
  [[nodiscard]] bool read_exact_array(std::uint64_t elements);
  // Passes over the fields past those of the type; an error if strict.
  [[nodiscard]] bool skip_surplus(std::uint64_t fields, std::string_view type);
  [[nodiscard]] bool read_protobuf(BytesView& message);

  // Each puts its place in front of the failure and is false.
  bool fail_in_field(std::size_t number, std::string_view type);
  bool fail_in(std::string_view part, std::uint64_t number);
  // The failure "PART NUMBER: found the same as an earlier one at byte N".
  bool fail_repeated(std::string_view part, std::uint64_t number, std::size_t offset);
  // The failure of an error without our offsets, for the item that starts there.
  bool fail_with(std::string_view what, std::string_view message, std::size_t item_offset);

 private:
  bool read_long_integer(IntegerRange range, std::uint64_t& bits);

  DecodeOptions options_;
};

// The rules, in codec_items.h. read_item fills `value`, which holds its defaults; false: the
// decoder has failed and `value` is unspecified.
template <class T>
void write_item(Encoder& encoder, const T& value);
template <class T>
[[nodiscard]] bool read_item(Decoder& decoder, T& value);

// What the standard types become: write and read. Incomplete for all others.
template <class T>
struct StandardItem;

// A buffer of the thread, lent to one encode at a time (a nested one gets a new buffer), so that
// growing the output costs no allocations. Buffers that grew past kKeptBytes are not kept.
class ScratchBuffer {
 public:
  static constexpr std::size_t kKeptBytes = 64 * 1024;

  ScratchBuffer() noexcept;
  ~ScratchBuffer();
  ScratchBuffer(const ScratchBuffer&) = delete;
  ScratchBuffer& operator=(const ScratchBuffer&) = delete;

  Bytes& bytes() noexcept { return bytes_; }

 private:
  Bytes bytes_;
};

}  // namespace internal::codec
}  // namespace semper
