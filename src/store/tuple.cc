#include "semper/store/tuple.h"

#include <algorithm>

#include "semper/base/assert.h"
#include "semper/store/tuple_stream.h"
#include "store/tuple_format.h"

namespace semper {
namespace {

// Where the alternatives of TupleElement::Value are of one type, they compare as one.
std::strong_ordering compare_integers(const TupleElement::Value& a, const TupleElement::Value& b) {
  const auto* small_a = std::get_if<std::int64_t>(&a);
  const auto* small_b = std::get_if<std::int64_t>(&b);
  if (small_a != nullptr && small_b != nullptr) return *small_a <=> *small_b;
  // A BigInteger lies outside of all std::int64_t, on the side of its sign.
  const auto* big_a = std::get_if<BigInteger>(&a);
  const auto* big_b = std::get_if<BigInteger>(&b);
  if (big_a != nullptr && big_b != nullptr) return *big_a <=> *big_b;
  if (big_a != nullptr) return big_a->sign() == Sign::negative ? 0 <=> 1 : 1 <=> 0;
  return big_b->sign() == Sign::negative ? 1 <=> 0 : 0 <=> 1;
}

template <class T>
std::strong_ordering compare_same(const T& a, const T& b) {
  if constexpr (std::is_floating_point_v<T>) {
    return internal::ordered_bits(a) <=> internal::ordered_bits(b);
  } else {
    return a <=> b;
  }
}

}  // namespace

TupleElement::TupleElement(BigInteger integer) {
  if (const auto small = integer.to_int64()) {
    value_ = *small;
  } else {
    value_ = std::move(integer);
  }
}

TupleType TupleElement::type() const noexcept {
  // In the order of Value's alternatives.
  static constexpr TupleType types[] = {
      TupleType::null,    TupleType::bytes,   TupleType::text,        TupleType::nested,
      TupleType::integer, TupleType::integer, TupleType::float32,     TupleType::float64,
      TupleType::boolean, TupleType::uuid,    TupleType::versionstamp};
  static_assert(std::size(types) == std::variant_size_v<Value>);
  return types[value_.index()];
}

std::optional<std::uint64_t> TupleElement::as_uint64() const noexcept {
  if (const auto* big = get_if<BigInteger>()) return big->to_uint64();
  const auto* small = get_if<std::int64_t>();
  if (small == nullptr || *small < 0) return std::nullopt;
  return static_cast<std::uint64_t>(*small);
}

std::optional<BigInteger> TupleElement::as_big_integer() const {
  if (const auto* big = get_if<BigInteger>()) return *big;
  if (const auto* small = get_if<std::int64_t>()) return BigInteger(*small);
  return std::nullopt;
}

std::strong_ordering operator<=>(const TupleElement& a, const TupleElement& b) noexcept {
  const TupleType type = a.type();
  if (const auto by_type = type <=> b.type(); by_type != 0) return by_type;
  if (type == TupleType::integer) return compare_integers(a.value_, b.value_);
  return std::visit(
      [&b](const auto& value) {
        using T = std::decay_t<decltype(value)>;
        return compare_same(value, *b.get_if<T>());
      },
      a.value_);
}

Tuple::Tuple(std::initializer_list<TupleElement> elements) : elements_(elements) {}

Tuple::Tuple(std::vector<TupleElement> elements) : elements_(std::move(elements)) {}

const TupleElement& Tuple::operator[](std::size_t index) const {
  SEMPER_ASSERT(index < elements_.size(), "the caller asks size() before it names an element");
  return elements_[index];
}

Tuple& Tuple::append(TupleElement element) {
  elements_.push_back(std::move(element));
  return *this;
}

Tuple& Tuple::append_all(const Tuple& other) {
  const std::size_t count = other.size();  // other may be this tuple
  elements_.reserve(size() + count);
  for (std::size_t i = 0; i < count; ++i) elements_.push_back(other.elements_[i]);
  return *this;
}

void Tuple::pack_to(Bytes& out) const {
  TupleWriter(out).add_all(*this);
}

Bytes Tuple::pack() const {
  Bytes out;
  pack_to(out);
  return out;
}

Result<StampedBytes> Tuple::pack_with_versionstamp(BytesView prefix) const {
  StampedBytes stamped{Bytes(prefix)};
  TupleWriter writer(stamped.bytes);
  writer.add_all(*this);
  SEMPER_TRY(stamped.stamp_offset, writer.stamp_offset());
  return stamped;
}

Result<Tuple> Tuple::unpack(BytesView bytes) {
  Tuple tuple;
  TupleReader reader(bytes);
  while (!reader.at_end()) {
    SEMPER_TRY(auto element, reader.read_element());
    tuple.append(std::move(element));
  }
  return tuple;
}

Error Tuple::wrong_element(std::size_t index, TupleType wanted) const {
  std::string what;
  if (index >= size()) {
    what = "there is none, the tuple has " + std::to_string(size()) + " elements";
  } else if (elements_[index].type() == wanted) {
    what = "it does not fit in the integer type that was asked for";
  } else {
    what = "it is " + std::string(to_string(elements_[index].type()));
  }
  return Error(ErrorKind::corrupt, "element " + std::to_string(index) + " of the tuple should be " +
                                       std::string(to_string(wanted)) + ": " + what);
}

std::strong_ordering operator<=>(const Tuple& a, const Tuple& b) noexcept {
  return std::lexicographical_compare_three_way(a.begin(), a.end(), b.begin(), b.end());
}

KeyRange tuple_range(const Tuple& tuple) {
  KeyRange range;
  tuple.pack_to(range.begin);
  range.end = range.begin;
  range.begin.push_back('\x00');
  range.end.push_back('\xff');
  return range;
}

}  // namespace semper
