// The encoding half of store/tuple_stream.h.
#include <cstring>
#include <limits>

#include "semper/base/assert.h"
#include "semper/store/tuple.h"
#include "semper/store/tuple_stream.h"
#include "store/tuple_format.h"

namespace semper {
namespace {

using namespace internal;  // NOLINT(google-build-using-namespace): the codes

void append_octet(Bytes& out, std::size_t octet) {
  out.push_back(static_cast<char>(octet));
}

// The code for the length, then the magnitude; for negative numbers both turned round, so that
// larger magnitudes sort lower.
void append_integer(Bytes& out, std::uint64_t magnitude, Sign sign) {
  const std::size_t length = significant_bytes(magnitude);
  char octets[1 + integer_bytes_maximum];
  octets[0] = static_cast<char>(sign == Sign::positive ? code_zero + length : code_zero - length);
  const std::uint64_t bits = sign == Sign::positive ? magnitude : ~magnitude;
  for (std::size_t i = 0; i < length; ++i) {
    octets[1 + i] = static_cast<char>(bits >> (8 * (length - 1 - i)));
  }
  out.append(octets, 1 + length);
}

// Adds whatever alternative an element holds.
struct KeyWriter {
  TupleWriter& writer;
  void operator()(std::monostate) const { writer.add_null(); }
  void operator()(const ByteString& bytes) const { writer.add_bytes(bytes.bytes); }
  void operator()(const std::string& text) const { writer.add_text(text); }
  void operator()(const Tuple& nested) const { writer.add_nested(nested); }
  void operator()(const auto& value) const { writer.add(value); }
};

}  // namespace

TupleWriter& TupleWriter::add_null() {
  append_octet(out_, code_null);
  if (depth_ > 0) append_octet(out_, code_escape);
  return *this;
}

void TupleWriter::append_escaped(std::string_view bytes) {
  while (!bytes.empty()) {
    const void* zero = std::memchr(bytes.data(), 0, bytes.size());
    if (zero == nullptr) {
      out_.append(bytes);
      break;
    }
    const auto length = static_cast<std::size_t>(static_cast<const char*>(zero) - bytes.data()) + 1;
    out_.append(bytes.substr(0, length));
    append_octet(out_, code_escape);
    bytes.remove_prefix(length);
  }
  append_octet(out_, 0);
}

TupleWriter& TupleWriter::add_bytes(BytesView bytes) {
  append_octet(out_, code_bytes);
  append_escaped(bytes);
  return *this;
}

TupleWriter& TupleWriter::add_text(std::string_view text) {
  SEMPER_ASSERT(is_utf8(text), "text in a tuple is UTF-8; other bytes go in as ByteString");
  append_octet(out_, code_text);
  append_escaped(text);
  return *this;
}

TupleWriter& TupleWriter::add_signed(std::int64_t integer) {
  const auto bits = static_cast<std::uint64_t>(integer);
  if (integer < 0) {
    append_integer(out_, ~bits + 1, Sign::negative);
  } else {
    append_integer(out_, bits, Sign::positive);
  }
  return *this;
}

TupleWriter& TupleWriter::add_unsigned(std::uint64_t integer) {
  append_integer(out_, integer, Sign::positive);
  return *this;
}

TupleWriter& TupleWriter::add(const BigInteger& integer) {
  const BytesView magnitude = integer.magnitude();
  if (magnitude.size() <= integer_bytes_maximum) {
    std::uint64_t small = 0;
    for (const char octet : magnitude) small = (small << 8) | static_cast<unsigned char>(octet);
    append_integer(out_, small, integer.sign());
    return *this;
  }
  static_assert(BigInteger::max_magnitude_bytes <= std::numeric_limits<std::uint8_t>::max());
  if (integer.sign() == Sign::positive) {
    append_octet(out_, code_positive_big);
    append_octet(out_, magnitude.size());
    out_.append(magnitude);
  } else {
    append_octet(out_, code_negative_big);
    append_octet(out_, ~magnitude.size());
    for (const char octet : magnitude) out_.push_back(static_cast<char>(~octet));
  }
  return *this;
}

TupleWriter& TupleWriter::add(float number) {
  append_octet(out_, code_float);
  append_big_endian_u32(out_, ordered_bits(number));
  return *this;
}

TupleWriter& TupleWriter::add(double number) {
  append_octet(out_, code_double);
  append_big_endian_u64(out_, ordered_bits(number));
  return *this;
}

TupleWriter& TupleWriter::add_false() {
  append_octet(out_, code_false);
  return *this;
}

TupleWriter& TupleWriter::add_true() {
  append_octet(out_, code_true);
  return *this;
}

TupleWriter& TupleWriter::add(const Uuid& uuid) {
  append_octet(out_, code_uuid);
  out_.append(uuid.bytes());
  return *this;
}

TupleWriter& TupleWriter::add(const Versionstamp& stamp) {
  append_octet(out_, code_versionstamp);
  if (!stamp.is_complete()) {
    ++incomplete_stamps_;
    stamp_offset_ = out_.size();
  }
  out_.append(stamp.bytes());
  return *this;
}

TupleWriter& TupleWriter::add_element(const TupleElement& element) {
  std::visit(KeyWriter{*this}, element.value());
  return *this;
}

TupleWriter& TupleWriter::add_nested(const Tuple& tuple) {
  return begin_nested().add_all(tuple).end_nested();
}

TupleWriter& TupleWriter::add_all(const Tuple& tuple) {
  for (const TupleElement& element : tuple) add_element(element);
  return *this;
}

TupleWriter& TupleWriter::begin_nested() {
  SEMPER_ASSERT(depth_ < kTupleDepthMaximum, "a tuple nested this deep could not be read again");
  ++depth_;
  append_octet(out_, code_nested);
  return *this;
}

TupleWriter& TupleWriter::end_nested() {
  SEMPER_ASSERT(depth_ > 0, "end_nested() without its begin_nested()");
  --depth_;
  append_octet(out_, 0);
  return *this;
}

Result<std::size_t> TupleWriter::stamp_offset() const {
  if (incomplete_stamps_ != 1) {
    return fail(ErrorKind::invalid_argument,
                "the tuple has " + std::to_string(incomplete_stamps_) +
                    " incomplete versionstamps; the store fills in precisely one, so write one");
  }
  return stamp_offset_;
}

}  // namespace semper
