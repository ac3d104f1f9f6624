// The parser of tuple text: one pass, no look-ahead past a word, depth bounded as in the encoding.
#include <bit>
#include <charconv>
#include <limits>
#include <optional>

#include "semper/store/tuple_text.h"
#include "store/hex.h"

namespace semper {
namespace {

constexpr std::size_t unicode_digits_maximum = 6;
constexpr std::uint32_t unicode_maximum = 0x10ffff;
// How much of the text an error shows from its position on.
constexpr std::size_t shown_bytes = 24;

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_lower(char c) {
  return c >= 'a' && c <= 'z';
}
bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

void append_utf8(std::string& out, std::uint32_t point) {
  const auto tail = [&](unsigned shift) {
    out += static_cast<char>(0x80 | ((point >> shift) & 0x3f));
  };
  if (point < 0x80) {
    out += static_cast<char>(point);
  } else if (point < 0x800) {
    out += static_cast<char>(0xc0 | (point >> 6));
    tail(0);
  } else if (point < 0x10000) {
    out += static_cast<char>(0xe0 | (point >> 12));
    tail(6);
    tail(0);
  } else {
    out += static_cast<char>(0xf0 | (point >> 18));
    tail(12);
    tail(6);
    tail(0);
  }
}

// The number of the named or hexadecimal form: inf, -inf, nan, or all the bits.
template <class Float, class Bits>
std::optional<Float> float_of_bits(std::string_view text) {
  if (text == "inf") return std::numeric_limits<Float>::infinity();
  if (text == "-inf") return -std::numeric_limits<Float>::infinity();
  if (text == "nan") return std::numeric_limits<Float>::quiet_NaN();
  if (text.size() != 2 * sizeof(Bits)) return std::nullopt;
  Bits bits = 0;
  const auto [end, error] = std::from_chars(text.begin(), text.end(), bits, 16);
  if (error != std::errc() || end != text.end()) return std::nullopt;
  return std::bit_cast<Float>(bits);
}

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  Result<Tuple> parse_whole_tuple();
  Result<Bytes> parse_whole_raw_key();

 private:
  enum class Alphabet { text, bytes };

  tl::unexpected<Error> fail_at(std::size_t position, std::string_view what) const;
  bool at_end() const { return at_ == text_.size(); }
  char current() const { return at_end() ? '\0' : text_[at_]; }
  bool accept(char c);
  void skip_spaces();

  Result<Tuple> parse_tuple();
  Result<TupleElement> parse_element();
  Result<TupleElement> parse_number();
  Result<TupleElement> parse_word();
  Result<TupleElement> parse_quoted(std::string_view word, std::size_t start);
  Result<std::string> parse_string(Alphabet alphabet);
  Status parse_escape(Alphabet alphabet, std::string& out);
  Status parse_hex_escape(std::string& out, std::size_t start);
  Status parse_unicode_escape(std::string& out, std::size_t start);
  template <class Float>
  Result<TupleElement> number_of(std::string_view digits, std::size_t start) const;

  std::string_view text_;
  std::size_t at_ = 0;
  std::size_t depth_ = 0;
};

tl::unexpected<Error> Parser::fail_at(std::size_t position, std::string_view what) const {
  const auto rest = text_.substr(position);
  std::string where =
      rest.empty() ? "at its end" : "at \"" + to_printable(rest, shown_bytes) + "\"";
  return fail(ErrorKind::invalid_argument, "tuple text, byte " + std::to_string(position) + ", " +
                                               where + ": " + std::string(what));
}

bool Parser::accept(char c) {
  if (at_end() || text_[at_] != c) return false;
  ++at_;
  return true;
}

void Parser::skip_spaces() {
  while (!at_end() && is_space(text_[at_])) ++at_;
}

Result<Tuple> Parser::parse_whole_tuple() {
  skip_spaces();
  if (current() != '(') return fail_at(at_, "a tuple begins with (, as in (\"users\", 42)");
  SEMPER_TRY(auto tuple, parse_tuple());
  skip_spaces();
  if (!at_end()) return fail_at(at_, "nothing may follow the tuple's last )");
  return tuple;
}

Result<Bytes> Parser::parse_whole_raw_key() {
  Bytes key;
  while (!at_end()) {
    if (accept('\\')) {
      const std::size_t start = at_ - 1;
      if (accept('\\')) {
        key += '\\';
      } else if (accept('x')) {
        SEMPER_TRY_STATUS(parse_hex_escape(key, start));
      } else {
        return fail_at(start, "an escape in a raw key is \\\\ or \\xHH");
      }
    } else {
      key += text_[at_++];
    }
  }
  return key;
}

Result<Tuple> Parser::parse_tuple() {
  const std::size_t start = at_;
  if (depth_ > kTupleDepthMaximum) {
    return fail_at(start, "tuples nest at most " + std::to_string(kTupleDepthMaximum) + " deep");
  }
  ++depth_;
  ++at_;
  Tuple tuple;
  for (skip_spaces(); !accept(')'); skip_spaces()) {
    SEMPER_TRY(auto element, parse_element());
    tuple.append(std::move(element));
    skip_spaces();
    if (!accept(',') && current() != ')') return fail_at(at_, "a comma or ) is expected here");
  }
  --depth_;
  return tuple;
}

Result<TupleElement> Parser::parse_element() {
  const char c = current();
  if (c == '(') return parse_tuple().map(nested_tuple);
  if (c == '"') {
    return parse_string(Alphabet::text).map([](auto&& text) { return TupleElement(text); });
  }
  if (c == '-' || is_digit(c)) return parse_number();
  if (is_lower(c)) return parse_word();
  return fail_at(at_,
                 "an element is expected here: (, \"text\", b\"bytes\", a number, null, true, "
                 "false, uuid\"...\" or stamp\"...\"");
}

template <class Float>
Result<TupleElement> Parser::number_of(std::string_view digits, std::size_t start) const {
  Float number = 0;
  const auto [end, error] = std::from_chars(digits.begin(), digits.end(), number);
  if (error == std::errc::result_out_of_range) {
    return fail_at(start, "the number is out of the range of its floating point type");
  }
  if (error != std::errc() || end != digits.end()) {
    return fail_at(start, "not a number; write 42, -1.5d, 2e10 or 0.5f");
  }
  return TupleElement(number);
}

Result<TupleElement> Parser::parse_number() {
  const std::size_t start = at_;
  accept('-');
  bool is_integer = true;
  for (; !at_end(); ++at_) {
    const char c = text_[at_];
    if (is_digit(c)) continue;
    const bool follows_exponent = text_[at_ - 1] == 'e' || text_[at_ - 1] == 'E';
    const bool is_part =
        c == '.' || c == 'e' || c == 'E' || ((c == '+' || c == '-') && follows_exponent);
    if (!is_part) break;
    is_integer = false;
  }
  const std::string_view digits = text_.substr(start, at_ - start);
  if (accept('f')) return number_of<float>(digits, start);
  if (accept('d') || !is_integer) return number_of<double>(digits, start);
  auto integer = BigInteger::from_string(digits);
  if (!integer) return fail_at(start, integer.error().message());
  return TupleElement(std::move(*integer));
}

Result<TupleElement> Parser::parse_word() {
  const std::size_t start = at_;
  while (is_lower(current())) ++at_;
  const std::string_view word = text_.substr(start, at_ - start);
  if (current() == '"') return parse_quoted(word, start);
  if (word == "null") return TupleElement();
  if (word == "true") return TupleElement(true);
  if (word == "false") return TupleElement(false);
  return fail_at(start, "unknown word; null, true and false are known, and text is in quotes");
}

Result<TupleElement> Parser::parse_quoted(std::string_view word, std::size_t start) {
  if (word == "b") {
    SEMPER_TRY(auto bytes, parse_string(Alphabet::bytes));
    return TupleElement(ByteString{std::move(bytes)});
  }
  SEMPER_TRY(const auto content, parse_string(Alphabet::text));
  const auto or_position = [&](auto result) -> Result<TupleElement> {
    if (!result) return fail_at(start, result.error().message());
    return TupleElement(std::move(*result));
  };
  if (word == "uuid") return or_position(Uuid::from_string(content));
  if (word == "stamp") return or_position(Versionstamp::from_string(content));
  if (word == "float") {
    if (auto number = float_of_bits<float, std::uint32_t>(content)) return TupleElement(*number);
    return fail_at(start, "in quotes, a float is inf, -inf, nan or its bits in 8 hex digits");
  }
  if (word == "double") {
    if (auto number = float_of_bits<double, std::uint64_t>(content)) return TupleElement(*number);
    return fail_at(start, "in quotes, a double is inf, -inf, nan or its bits in 16 hex digits");
  }
  return fail_at(start, "unknown kind of string; b, uuid, stamp, float and double are known");
}

Result<std::string> Parser::parse_string(Alphabet alphabet) {
  const std::size_t start = at_++;
  std::string out;
  while (!accept('"')) {
    if (at_end()) return fail_at(start, "the string that begins here has no closing quote");
    if (accept('\\')) {
      SEMPER_TRY_STATUS(parse_escape(alphabet, out));
    } else {
      out += text_[at_++];
    }
  }
  if (alphabet == Alphabet::text && !is_utf8(out)) {
    return fail_at(start, "text must be UTF-8; write other bytes as b\"...\"");
  }
  return out;
}

Status Parser::parse_escape(Alphabet alphabet, std::string& out) {
  const std::size_t start = at_ - 1;
  const char kind = current();
  if (!at_end()) ++at_;
  switch (kind) {
    case '"':
    case '\\':
      out += kind;
      return {};
    case 'n':
      out += '\n';
      return {};
    case 'r':
      out += '\r';
      return {};
    case 't':
      out += '\t';
      return {};
    case 'x':
      return parse_hex_escape(out, start);
    case 'u':
      if (alphabet == Alphabet::text) return parse_unicode_escape(out, start);
      return fail_at(start, "bytes have no \\u{...}; write each byte as \\xHH");
    default:
      return fail_at(start, "unknown escape; \\\" \\\\ \\n \\r \\t \\xHH \\u{HEX} are known");
  }
}

Status Parser::parse_hex_escape(std::string& out, std::size_t start) {
  const std::string_view digits = text_.substr(at_, 2);
  std::uint8_t octet = 0;
  if (!internal::read_hyphenated_hex(digits, {}, {&octet, 1})) {
    return fail_at(start, "\\x is followed by two hexadecimal digits");
  }
  at_ += digits.size();
  out += static_cast<char>(octet);
  return {};
}

Status Parser::parse_unicode_escape(std::string& out, std::size_t start) {
  constexpr std::string_view expected =
      "\\u is followed by {, a code point in hexadecimal (at most 10ffff, no surrogate) and }";
  if (!accept('{')) return fail_at(start, expected);
  std::uint32_t point = 0;
  std::size_t digits = 0;
  for (; internal::hex_digit(current()) >= 0 && digits < unicode_digits_maximum; ++digits, ++at_) {
    point = point * 16 + static_cast<std::uint32_t>(internal::hex_digit(current()));
  }
  const bool is_surrogate = point >= 0xd800 && point <= 0xdfff;
  if (digits == 0 || point > unicode_maximum || is_surrogate || !accept('}')) {
    return fail_at(start, expected);
  }
  append_utf8(out, point);
  return {};
}

}  // namespace

Result<Tuple> parse_tuple_text(std::string_view text) {
  return Parser(text).parse_whole_tuple();
}

Result<Bytes> parse_key_text(std::string_view text) {
  if (!text.starts_with('(')) return Parser(text).parse_whole_raw_key();
  return parse_tuple_text(text).map([](const Tuple& tuple) { return tuple.pack(); });
}

}  // namespace semper
