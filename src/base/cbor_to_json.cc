// CBOR to JSON text: cbor_to_json() of base/cbor_json.h.
#include <array>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

#include "semper/base/cbor.h"
#include "semper/base/cbor_json.h"

namespace semper {
namespace {

class JsonText {
 public:
  JsonText(std::string& out, JsonStyle style) : out_(out), style_(style) {}

  // The next item of the reader as a value.
  bool value(cbor::Reader& reader);

 private:
  bool array(cbor::Reader& reader, std::uint64_t elements);
  bool object(cbor::Reader& reader, std::uint64_t entries);
  bool pairs(cbor::Reader& reader, std::uint64_t entries);
  bool tag(cbor::Reader& reader, std::uint64_t number);
  void negative(std::uint64_t n);
  void floating(const cbor::Item& item);
  void quoted(std::string_view text);

  void open(char bracket) {
    out_.push_back(bracket);
    ++level_;
  }
  void close(char bracket, bool is_empty) {
    --level_;
    if (!is_empty) break_line();
    out_.push_back(bracket);
  }
  void separate(std::uint64_t index) {
    if (index > 0) out_.push_back(',');
    break_line();
  }
  void break_line() {
    if (style_.indent <= 0) return;
    out_.push_back('\n');
    out_.append(static_cast<std::size_t>(style_.indent) * level_, ' ');
  }
  void colon() { out_ += style_.indent > 0 ? ": " : ":"; }

  std::string& out_;
  JsonStyle style_;
  std::size_t level_ = 0;
};

// Whether the entries that come next can be an object's: text keys that start with no dollar sign.
bool are_object_entries(cbor::Reader reader, std::uint64_t entries) {
  for (; entries > 0; --entries) {
    std::string_view key;
    if (reader.peek() != cbor::Kind::text || !reader.read_text(key)) return false;
    if (key.substr(0, 1) == "$" || !reader.skip()) return false;
  }
  return true;
}

bool JsonText::value(cbor::Reader& reader) {
  cbor::Item item;
  if (!reader.read(item)) return false;
  switch (item.kind) {
    case cbor::Kind::unsigned_integer:
      out_ += std::to_string(item.argument);
      return true;
    case cbor::Kind::negative_integer:
      negative(item.argument);
      return true;
    case cbor::Kind::bytes:
      out_ += R"({"$bytes":")" + to_hex(item.string) + R"("})";
      return true;
    case cbor::Kind::text:
      quoted(item.string);
      return true;
    case cbor::Kind::array:
      return array(reader, item.argument);
    case cbor::Kind::map:
      return are_object_entries(reader, item.argument) ? object(reader, item.argument)
                                                       : pairs(reader, item.argument);
    case cbor::Kind::tag:
      return tag(reader, item.argument);
    case cbor::Kind::boolean:
      out_ += item.truth() ? "true" : "false";
      return true;
    case cbor::Kind::null:
      out_ += "null";
      return true;
    case cbor::Kind::floating:
      floating(item);
      return true;
    case cbor::Kind::simple:
      out_ += R"({"$simple":)" + std::to_string(item.argument) + "}";
      return true;
    case cbor::Kind::end:
      break;
  }
  return reader.fail_expected("an item", item);
}

bool JsonText::array(cbor::Reader& reader, std::uint64_t elements) {
  if (!reader.enter()) return false;
  open('[');
  for (std::uint64_t i = 0; i < elements; ++i) {
    separate(i);
    if (!value(reader)) return false;
  }
  close(']', elements == 0);
  reader.leave();
  return true;
}

bool JsonText::object(cbor::Reader& reader, std::uint64_t entries) {
  if (!reader.enter()) return false;
  open('{');
  for (std::uint64_t i = 0; i < entries; ++i) {
    separate(i);
    std::string_view key;
    if (!reader.read_text(key)) return false;
    quoted(key);
    colon();
    if (!value(reader)) return false;
  }
  close('}', entries == 0);
  reader.leave();
  return true;
}

bool JsonText::pairs(cbor::Reader& reader, std::uint64_t entries) {
  if (!reader.enter()) return false;
  out_ += R"({"$map":)";
  open('[');
  for (std::uint64_t i = 0; i < entries; ++i) {
    separate(i);
    out_.push_back('[');
    if (!value(reader)) return false;
    out_.push_back(',');
    if (!value(reader)) return false;
    out_.push_back(']');
  }
  close(']', entries == 0);
  out_.push_back('}');
  reader.leave();
  return true;
}

bool JsonText::tag(cbor::Reader& reader, std::uint64_t number) {
  if (!reader.enter()) return false;
  out_ += R"({"$tag":[)" + std::to_string(number) + ",";
  if (!value(reader)) return false;
  out_ += "]}";
  reader.leave();
  return true;
}

// The number -1 - n, which may need 65 bits.
void JsonText::negative(std::uint64_t n) {
  out_ += n == std::numeric_limits<std::uint64_t>::max() ? "-18446744073709551616"
                                                         : "-" + std::to_string(n + 1);
}

void JsonText::floating(const cbor::Item& item) {
  if (std::isnan(item.number)) {
    out_ += R"({"$float":"NaN"})";
    return;
  }
  if (std::isinf(item.number)) {
    out_ += item.number > 0 ? R"({"$float":"Infinity"})" : R"({"$float":"-Infinity"})";
    return;
  }
  std::array<char, 32> digits{};  // 24 are enough for every double
  char* const begin = digits.data();
  char* const limit = begin + digits.size();
  const char* end = item.is_single
                        ? std::to_chars(begin, limit, static_cast<float>(item.number)).ptr
                        : std::to_chars(begin, limit, item.number).ptr;
  const std::string_view text(begin, static_cast<std::size_t>(end - begin));
  out_ += text;
  if (text.find_first_of(".e") == std::string_view::npos) out_ += ".0";
}

void JsonText::quoted(std::string_view text) {
  constexpr char kDigits[] = "0123456789abcdef";
  const auto escape = [&](unsigned char code) {
    out_ += "\\u00";
    out_.push_back(kDigits[code >> 4]);
    out_.push_back(kDigits[code & 0x0f]);
  };
  out_.push_back('"');
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto octet = static_cast<unsigned char>(text[i]);
    if (octet == '"' || octet == '\\') {
      out_.push_back('\\');
      out_.push_back(text[i]);
    } else if (octet == '\n') {
      out_ += "\\n";
    } else if (octet == '\t') {
      out_ += "\\t";
    } else if (octet < 0x20 || octet == 0x7f) {
      escape(octet);
    } else if (octet == 0xc2 && static_cast<unsigned char>(text[i + 1]) < 0xa0) {
      escape(static_cast<unsigned char>(text[++i]));  // U+0080 to U+009F, controls too
    } else {
      out_.push_back(text[i]);
    }
  }
  out_.push_back('"');
}

}  // namespace

Result<std::string> cbor_to_json(BytesView item, JsonStyle style) {
  std::string text;
  cbor::Reader reader(item);
  if (!JsonText(text, style).value(reader) || !reader.finish()) return fail(reader.error());
  return text;
}

}  // namespace semper
