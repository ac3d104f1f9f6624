// Tuple: keys made of typed values, whose bytes sort as the values do.
//
// What for: every structured key of a store. When not: values (use a codec; ordering costs space),
// and hot paths that build or read the same key shape over and over (see tuple_stream.h, which
// allocates nothing).
//
//   semper::Tuple key{"users", 42, semper::Versionstamp::incomplete(0)};
//   tx.set(semper::Tuple{"users", 42}.pack(), value);
//   auto back = semper::Tuple::unpack(bytes);                  // Result<Tuple>
//   auto id = back->get<std::int64_t>(1);                      // Result<std::int64_t>
//
// The encoding is FoundationDB's tuple layer, byte for byte (its design/tuple.md): null, bytes,
// text, nested tuples, integers of up to 255 bytes, float, double, booleans, uuids, versionstamps.
// Different types sort in that order; within a type: bytes and text bytewise, tuples element by
// element, integers by number, floats in IEEE total order (-NaN, -inf, ..., -0.0, 0.0, ..., inf,
// NaN). Comparison of tuples is comparison of their encodings; NaN equals the same NaN.
//
// Stricter than FoundationDB's own bindings in three places, so that a value has one encoding and
// an encoding one value: text must be UTF-8, an integer must use the fewest bytes, nesting is
// bounded.
//
// Threads: values, freely copied and moved between threads. Nothing here is durable by itself.
#pragma once

#include <compare>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "semper/base/bytes.h"
#include "semper/base/result.h"
#include "semper/store/big_integer.h"
#include "semper/store/keys.h"
#include "semper/store/tuple_type.h"
#include "semper/store/uuid.h"
#include "semper/store/versionstamp.h"

namespace semper {

class TupleElement;

// An encoded key (or value) with one versionstamp for the store to fill in.
struct StampedBytes {
  Bytes bytes;
  std::size_t stamp_offset = 0;  // of the ten bytes that the store writes
};

class Tuple {
 public:
  Tuple() = default;

  // Tuple{a, b}: these elements. A tuple as an element is nested_tuple(t); Tuple{t} is a copy of t.
  Tuple(std::initializer_list<TupleElement> elements);  // NOLINT: implicit by design
  explicit Tuple(std::vector<TupleElement> elements);

  // Appends the encoding to `out`, or returns it. Preconditions (asserted): text is UTF-8, nesting
  // is at most kTupleDepthMaximum. An incomplete versionstamp is written as its ten 0xff bytes,
  // which sort after every complete one: right for the end of a range, not for a key to be stored.
  void pack_to(Bytes& out) const;
  Bytes pack() const;

  // The encoding after `prefix`, and the offset of its one incomplete versionstamp.
  // invalid_argument if there is none or more than one: the store fills in one place per key.
  Result<StampedBytes> pack_with_versionstamp(BytesView prefix = {}) const;

  // The tuple of an encoding. Keeps no reference to `bytes`. `corrupt`, with the offset of the
  // first wrong byte: these bytes are not a whole tuple in its one encoding; do not use a part of
  // them.
  static Result<Tuple> unpack(BytesView bytes);

  std::size_t size() const noexcept;
  bool empty() const noexcept { return elements_.empty(); }
  const TupleElement& operator[](std::size_t index) const;  // precondition: index < size()
  const TupleElement* begin() const noexcept;
  const TupleElement* end() const noexcept;

  Tuple& append(TupleElement element);
  Tuple& append_all(const Tuple& other);

  // The element at `index` as one of TupleElement's alternatives (integers also as std::uint64_t or
  // BigInteger). `corrupt` if there is no such element, or it has another type or does not fit: the
  // key does not have the shape that the caller wrote.
  template <class T>
  Result<T> get(std::size_t index) const;

  friend std::strong_ordering operator<=>(const Tuple& a, const Tuple& b) noexcept;
  friend bool operator==(const Tuple& a, const Tuple& b) noexcept;

 private:
  Error wrong_element(std::size_t index, TupleType wanted) const;

  std::vector<TupleElement> elements_;
};

class TupleElement {
 public:
  // In the order of the encodings; the two of integers are one type. BigInteger holds exactly the
  // integers that do not fit in std::int64_t. Text is std::string.
  using Value = std::variant<std::monostate, ByteString, std::string, Tuple, std::int64_t,
                             BigInteger, float, double, bool, Uuid, Versionstamp>;

  // NOLINTBEGIN(google-explicit-constructor): elements are written as plain values.
  TupleElement() = default;
  TupleElement(std::nullptr_t) {}
  TupleElement(std::monostate) {}
  TupleElement(ByteString bytes) : value_(std::move(bytes)) {}
  TupleElement(std::string text) : value_(std::move(text)) {}
  TupleElement(std::string_view text) : value_(std::string(text)) {}
  TupleElement(const char* text) : value_(std::string(text)) {}
  TupleElement(BigInteger integer);
  TupleElement(float number) : value_(number) {}
  TupleElement(double number) : value_(number) {}
  TupleElement(std::same_as<bool> auto flag) : value_(flag) {}
  TupleElement(Uuid uuid) : value_(uuid) {}
  TupleElement(Versionstamp stamp) : value_(stamp) {}
  TupleElement(std::signed_integral auto integer) : value_(std::int64_t{integer}) {}
  template <std::unsigned_integral Integer>
  requires(!std::same_as<Integer, bool>) TupleElement(Integer integer)
      : TupleElement(BigInteger(integer)) {}
  // NOLINTEND(google-explicit-constructor) Explicit, see nested_tuple(): so Tuple{t} is a copy of t
  // with every compiler.
  explicit TupleElement(Tuple nested) : value_(std::move(nested)) {}
  TupleElement(char) = delete;  // a character is neither text nor a number: say which

  TupleType type() const noexcept;
  const Value& value() const noexcept { return value_; }

  // The alternative T of Value, if it is that one. Lives as long as this object.
  template <class T>
  const T* get_if() const noexcept {
    return std::get_if<T>(&value_);
  }

  // A copy of the alternative T, integers also as std::uint64_t or BigInteger; nothing if the
  // element has another type or does not fit.
  template <class T>
  std::optional<T> as() const;

  friend std::strong_ordering operator<=>(const TupleElement& a, const TupleElement& b) noexcept;
  friend bool operator==(const TupleElement& a, const TupleElement& b) noexcept {
    return (a <=> b) == 0;
  }

 private:
  std::optional<std::uint64_t> as_uint64() const noexcept;
  std::optional<BigInteger> as_big_integer() const;

  Value value_;
};

// A tuple as one element of another: Tuple{"a", nested_tuple({1, 2})}.
inline TupleElement nested_tuple(Tuple tuple) {
  return TupleElement(std::move(tuple));
}

// The keys that begin with the elements of `tuple` and have at least one more.
KeyRange tuple_range(const Tuple& tuple);

}  // namespace semper

#include "semper/store/internal/tuple.h"
