// TupleWriter, TupleReader: tuple encodings without a Tuple in between, for hot paths.
//
// What for: code that builds or takes apart one key shape a million times a second. When not:
// anywhere else; Tuple (tuple.h) is shorter and cannot be read in the wrong order.
//
//   Bytes key = prefix;                                       // keep and clear() it: no allocation
//   TupleWriter(key).add_text("queue").add(shard).add(Versionstamp::incomplete(n));
//
//   TupleReader reader(key_after_prefix);
//   SEMPER_TRY(auto name, reader.read_text(scratch));         // a view into the key, if no escapes
//   SEMPER_TRY(auto shard, reader.read_int64());
//   SEMPER_TRY(auto stamp, reader.read_versionstamp());
//   SEMPER_TRY_STATUS(reader.expect_end());
//
// Encoding, order and strictness are those of tuple.h. Both classes borrow the string they are made
// with, which must outlive them. Threads: one at a time.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "semper/base/bytes.h"
#include "semper/base/result.h"
#include "semper/store/big_integer.h"
#include "semper/store/tuple_type.h"
#include "semper/store/uuid.h"
#include "semper/store/versionstamp.h"

namespace semper {

// To add or read whole elements, include tuple.h as well.
class Tuple;
class TupleElement;

// Appends elements to a byte string. Never fails; the preconditions are asserted.
class TupleWriter {
 public:
  explicit TupleWriter(Bytes& out) noexcept : out_(out) {}

  TupleWriter& add_null();
  TupleWriter& add_bytes(BytesView bytes);
  TupleWriter& add_text(std::string_view text);  // precondition: UTF-8
  TupleWriter& add(std::signed_integral auto integer) { return add_signed(integer); }
  template <std::unsigned_integral Integer>
  requires(!std::same_as<Integer, bool>) TupleWriter& add(Integer integer) {
    return add_unsigned(integer);
  }
  TupleWriter& add(char) = delete;
  TupleWriter& add(const BigInteger& integer);
  TupleWriter& add(float number);
  TupleWriter& add(double number);
  TupleWriter& add(std::same_as<bool> auto flag) { return flag ? add_true() : add_false(); }
  TupleWriter& add(const Uuid& uuid);
  TupleWriter& add(const Versionstamp& stamp);
  TupleWriter& add_element(const TupleElement& element);
  TupleWriter& add_nested(const Tuple& tuple);  // as one element
  TupleWriter& add_all(const Tuple& tuple);     // its elements

  // Everything added in between is one nested tuple. Preconditions: as many ends as begins, nesting
  // at most kTupleDepthMaximum. Nulls inside are written differently: use the same writer.
  TupleWriter& begin_nested();
  TupleWriter& end_nested();

  // The offset, in the whole string, of the one incomplete versionstamp of this writer.
  // invalid_argument if it has written none or more than one.
  Result<std::size_t> stamp_offset() const;

 private:
  TupleWriter& add_signed(std::int64_t integer);
  TupleWriter& add_unsigned(std::uint64_t integer);
  TupleWriter& add_false();
  TupleWriter& add_true();
  void append_escaped(std::string_view bytes);

  Bytes& out_;
  std::size_t depth_ = 0;
  std::size_t incomplete_stamps_ = 0;
  std::size_t stamp_offset_ = 0;
};

// Reads elements off the front of an encoding. Every error is `corrupt`, says at which byte, and
// leaves the reader where it was: the bytes are not a tuple, or not of the shape the caller wrote.
class TupleReader {
 public:
  explicit TupleReader(BytesView bytes) noexcept : bytes_(bytes) {}

  // True at the end of the bytes, or of the nested tuple that was entered.
  bool at_end() const noexcept;

  // The next element's type by its first byte; the element itself may still be malformed.
  Result<TupleType> peek() const;

  Status read_null();
  // Views into the bytes given at construction if nothing is escaped, otherwise into `scratch`,
  // which is overwritten; valid until either of them changes.
  Result<BytesView> read_bytes(Bytes& scratch);
  Result<std::string_view> read_text(Bytes& scratch);
  Result<std::int64_t> read_int64();
  Result<std::uint64_t> read_uint64();
  Result<BigInteger> read_integer();
  Result<float> read_float();
  Result<double> read_double();
  Result<bool> read_boolean();
  Result<Uuid> read_uuid();
  Result<Versionstamp> read_versionstamp();

  Result<TupleElement> read_element();
  // Checks the next element as read_element does, without constructing it.
  Status skip();

  // Enters the nested tuple that is next; leaves it, at its end.
  Status enter_nested();
  Status leave_nested();

  // Success if everything was read.
  Status expect_end() const;

  // The number of bytes that were read, and the remaining bytes.
  std::size_t offset() const noexcept { return at_; }
  BytesView rest() const noexcept { return bytes_.substr(at_); }

 private:
  // Parsed, not yet consumed: `end` is the offset after the element.
  struct String;
  struct Integer;
  struct Fixed;

  Status expect(TupleType wanted) const;
  Result<String> parse_string(TupleType type) const;
  Result<Integer> parse_integer() const;
  Result<Fixed> parse_fixed(TupleType type) const;
  Result<BytesView> consume_string(TupleType type, Bytes& scratch);
  Status skip_nested();

  BytesView bytes_;
  std::size_t at_ = 0;
  std::size_t depth_ = 0;
};

}  // namespace semper
