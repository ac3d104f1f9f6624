#include "semper/store/tuple_text.h"

#include <bit>
#include <charconv>
#include <cmath>
#include <iterator>
#include <limits>

namespace semper {
namespace {

// Enough for the shortest decimal form of any double.
constexpr std::size_t number_characters_maximum = 40;

// The code point at the front of well-formed UTF-8, and its length.
struct CodePoint {
  std::uint32_t value = 0;
  std::size_t length = 1;
};

CodePoint first_code_point(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text[0]);
  if (lead < 0x80) return {lead, 1};
  CodePoint point;
  point.length = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  point.value = lead & (0x7fu >> point.length);
  for (std::size_t i = 1; i < point.length; ++i) {
    point.value = (point.value << 6) | (static_cast<unsigned char>(text[i]) & 0x3fu);
  }
  return point;
}

// Control characters, line separators, and marks that are invisible or turn the writing direction.
bool is_unsafe_to_show(std::uint32_t point) {
  return point < 0x20 || (point >= 0x7f && point < 0xa0) || point == 0xad ||
         (point >= 0x200b && point <= 0x200f) || (point >= 0x2028 && point <= 0x202e) ||
         (point >= 0x2060 && point <= 0x2069) || point == 0xfeff;
}

void append_hex_number(std::string& out, std::uint64_t number) {
  char digits[16];
  const auto end = std::to_chars(std::begin(digits), std::end(digits), number, 16).ptr;
  out.append(digits, end);
}

void append_text(std::string& out, std::string_view text) {
  out += '"';
  while (!text.empty()) {
    const CodePoint point = first_code_point(text);
    switch (point.value) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      default:
        if (is_unsafe_to_show(point.value)) {
          out += "\\u{";
          append_hex_number(out, point.value);
          out += '}';
        } else {
          out += text.substr(0, point.length);
        }
    }
    text.remove_prefix(point.length);
  }
  out += '"';
}

void append_bytes(std::string& out, BytesView bytes) {
  out += "b\"";
  for (const char octet : to_printable(bytes, bytes.size())) {
    if (octet == '"') out += '\\';
    out += octet;
  }
  out += '"';
}

template <class Float, class Bits>
void append_float(std::string& out, Float number, std::string_view name) {
  constexpr char suffix = sizeof(Float) == sizeof(float) ? 'f' : 'd';
  if (std::isfinite(number)) {
    char digits[number_characters_maximum];
    const auto end = std::to_chars(std::begin(digits), std::end(digits), number).ptr;
    out.append(digits, end);
    out += suffix;
    return;
  }
  const auto bits = std::bit_cast<Bits>(number);
  out += name;
  out += '"';
  if (std::isinf(number)) {
    out += number > 0 ? "inf" : "-inf";
  } else if (bits == std::bit_cast<Bits>(std::numeric_limits<Float>::quiet_NaN())) {
    out += "nan";
  } else {
    append_hex_number(out, bits);
  }
  out += '"';
}

void append_tuple(std::string& out, const Tuple& tuple);

struct TextWriter {
  std::string& out;

  void operator()(std::monostate) const { out += "null"; }
  void operator()(const ByteString& bytes) const { append_bytes(out, bytes.bytes); }
  void operator()(const std::string& text) const { append_text(out, text); }
  void operator()(const Tuple& tuple) const { append_tuple(out, tuple); }
  void operator()(std::int64_t integer) const { out += std::to_string(integer); }
  void operator()(const BigInteger& integer) const { out += integer.to_string(); }
  void operator()(float number) const { append_float<float, std::uint32_t>(out, number, "float"); }
  void operator()(double number) const {
    append_float<double, std::uint64_t>(out, number, "double");
  }
  void operator()(bool flag) const { out += flag ? "true" : "false"; }
  void operator()(const Uuid& uuid) const { out += "uuid\"" + uuid.to_string() + '"'; }
  void operator()(const Versionstamp& stamp) const { out += "stamp\"" + stamp.to_string() + '"'; }
};

void append_tuple(std::string& out, const Tuple& tuple) {
  out += '(';
  bool is_first = true;
  for (const TupleElement& element : tuple) {
    if (!is_first) out += ", ";
    is_first = false;
    std::visit(TextWriter{out}, element.value());
  }
  out += ')';
}

}  // namespace

std::string to_text(const Tuple& tuple) {
  std::string out;
  append_tuple(out, tuple);
  return out;
}

std::string to_text(const TupleElement& element) {
  std::string out;
  std::visit(TextWriter{out}, element.value());
  return out;
}

std::string printable_key(BytesView key) {
  if (const auto tuple = Tuple::unpack(key)) return to_text(*tuple);
  std::string out = to_printable(key, key.size());
  if (out.front() == '(') out.replace(0, 1, "\\x28");
  return out;
}

}  // namespace semper
