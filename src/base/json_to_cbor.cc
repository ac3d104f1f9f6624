// JSON text to CBOR: json_to_cbor() of base/cbor_json.h.
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include "semper/base/cbor.h"
#include "semper/base/cbor_json.h"

namespace semper {
namespace {

using nlohmann::json;

// An entry of {"$map": [[KEY, VALUE]]} takes three levels of JSON for one of CBOR.
constexpr std::size_t kMaxJsonDepth = 3 * static_cast<std::size_t>(cbor::kMaxDepth) + 2;

std::optional<Bytes> from_hex(std::string_view hex) {
  if (hex.size() % 2 != 0) return std::nullopt;
  Bytes bytes;
  bytes.reserve(hex.size() / 2);
  for (std::size_t i = 0; i < hex.size(); i += 2) {
    std::uint8_t octet = 0;
    const char* const end = hex.data() + i + 2;
    if (std::from_chars(hex.data() + i, end, octet, 16).ptr != end) return std::nullopt;
    bytes.push_back(static_cast<char>(octet));
  }
  return bytes;
}

// Builds the CBOR while the text is parsed. The head of a container is put in front of its items
// when their number is known: each byte moves at most once a level.
class Builder final : public json::json_sax_t {
 public:
  Bytes take() { return std::move(out_); }
  const std::string& message() const { return message_; }

  bool null() override {
    count_value();
    writer_.null();
    return true;
  }
  bool boolean(bool value) override {
    count_value();
    writer_.boolean(value);
    return true;
  }
  bool number_integer(number_integer_t value) override {
    count_value();
    writer_.integer(value);
    return true;
  }
  bool number_unsigned(number_unsigned_t value) override {
    count_value();
    writer_.unsigned_integer(value);
    return true;
  }
  bool number_float(number_float_t value, const string_t& token) override;
  bool string(string_t& value) override {
    count_value();
    writer_.text(value);
    return true;
  }
  bool binary(binary_t&) override { return fail_with("a binary value cannot come from text"); }

  bool start_object(std::size_t) override { return start(); }
  bool key(string_t& name) override;
  bool end_object() override;
  bool start_array(std::size_t) override { return start(); }
  bool end_array() override {
    finish_container([](cbor::Writer& writer, std::uint64_t count) { writer.array(count); });
    return true;
  }

  bool parse_error(std::size_t, const std::string&, const json::exception& exception) override {
    // "[json.exception.parse_error.101] parse error at line 1, column 2: ..."
    const std::string_view text = exception.what();
    const std::size_t end = text.find("] ");
    return fail_with("not JSON: " +
                     std::string(end == std::string_view::npos ? text : text.substr(end + 2)));
  }

 private:
  struct Frame {
    std::size_t start = 0;  // of its first item in the output
    std::uint64_t count = 0;
    std::unordered_set<std::string> keys;
    std::string wrapper;  // the key with a dollar sign; its value is all the frame holds
  };

  void count_value() {
    if (!frames_.empty()) ++frames_.back().count;
  }
  bool start();
  template <class WriteHead>
  void finish_container(const WriteHead& write_head);

  // Replaces the value of {"$NAME": VALUE}, which lies at the end of the output.
  bool unwrap(const Frame& frame);
  bool unwrap_bytes(cbor::Reader& value, Bytes& item);
  bool unwrap_float(cbor::Reader& value, Bytes& item);
  bool unwrap_simple(cbor::Reader& value, Bytes& item);
  bool unwrap_tag(cbor::Reader& value, Bytes& item);
  bool unwrap_map(cbor::Reader& value, Bytes& item);

  bool fail_with(std::string message) {
    if (message_.empty()) message_ = std::move(message);
    return false;
  }

  Bytes out_;
  cbor::Writer writer_{out_};
  std::vector<Frame> frames_;
  std::string message_;
};

bool Builder::number_float(number_float_t value, const string_t& token) {
  count_value();
  if (token.find_first_of(".eE") != std::string::npos) {
    writer_.floating(value);
    return true;
  }
  // An integer that the parser found too long for 64 bits; CBOR's negative ones have one bit more.
  constexpr std::string_view kSmallest = "-18446744073709551616";
  std::uint64_t magnitude = 0;
  const char* const end = token.data() + token.size();
  if (token == kSmallest) {
    writer_.minus_one_minus(std::numeric_limits<std::uint64_t>::max());
    return true;
  }
  if (token.front() == '-') {
    const auto [stop, error] = std::from_chars(token.data() + 1, end, magnitude);
    if (error == std::errc() && stop == end && magnitude > 0) {
      writer_.minus_one_minus(magnitude - 1);
      return true;
    }
  }
  return fail_with("the integer " + to_printable(token, 40) +
                   " does not fit 64 bits; write it as text, or as a float with a point");
}

bool Builder::start() {
  if (frames_.size() == kMaxJsonDepth) {
    return fail_with("nested deeper than " + std::to_string(cbor::kMaxDepth) + " levels");
  }
  count_value();
  frames_.emplace_back().start = out_.size();
  return true;
}

bool Builder::key(string_t& name) {
  Frame& frame = frames_.back();
  const std::string shown = "\"" + to_printable(name, 80) + "\"";
  if (!frame.keys.insert(name).second) return fail_with("the key " + shown + " is repeated");
  if (!frame.wrapper.empty()) {
    return fail_with("the key " + shown + " is beside \"" + frame.wrapper +
                     "\", which has to be alone");
  }
  if (name.substr(0, 1) != "$") {
    writer_.text(name);
    return true;
  }
  if (frame.keys.size() > 1) {
    return fail_with("the key " + shown +
                     " starts with a dollar sign beside others; write {\"$map\": [[KEY, VALUE], "
                     "...]} for a map with such a key");
  }
  frame.wrapper = name;
  return true;
}

template <class WriteHead>
void Builder::finish_container(const WriteHead& write_head) {
  Bytes head;
  cbor::Writer writer(head);
  write_head(writer, frames_.back().count);
  out_.insert(frames_.back().start, head);
  frames_.pop_back();
}

bool Builder::end_object() {
  if (!frames_.back().wrapper.empty()) {
    const Frame frame = std::move(frames_.back());
    frames_.pop_back();
    return unwrap(frame);
  }
  finish_container([](cbor::Writer& writer, std::uint64_t count) { writer.map(count); });
  return true;
}

bool Builder::unwrap(const Frame& frame) {
  struct Form {
    std::string_view name;
    bool (Builder::*unwrap)(cbor::Reader&, Bytes&);
    std::string_view expected;
  };
  static constexpr Form kForms[] = {
      {"$bytes", &Builder::unwrap_bytes, "hexadecimal digits, two a byte"},
      {"$float", &Builder::unwrap_float, "\"NaN\", \"Infinity\" or \"-Infinity\""},
      {"$simple", &Builder::unwrap_simple, "a number from 0 to 19, 23, or from 32 to 255"},
      {"$tag", &Builder::unwrap_tag, "[NUMBER, VALUE]"},
      {"$map", &Builder::unwrap_map, "[[KEY, VALUE], ...] without repeated keys"},
  };
  for (const Form& form : kForms) {
    if (frame.wrapper != form.name) continue;
    cbor::Reader value(BytesView(out_).substr(frame.start));
    Bytes item;
    if (!(this->*form.unwrap)(value, item) || !value.finish()) {
      return fail_with("\"" + frame.wrapper + "\" needs " + std::string(form.expected));
    }
    out_.replace(frame.start, std::string::npos, item);
    return true;
  }
  return fail_with("the key \"" + to_printable(frame.wrapper, 80) +
                   "\" is unknown; known with a dollar sign are $bytes, $float, $simple, $tag and "
                   "$map");
}

bool Builder::unwrap_bytes(cbor::Reader& value, Bytes& item) {
  std::string_view hex;
  if (!value.read_text(hex)) return false;
  const std::optional<Bytes> bytes = from_hex(hex);
  if (!bytes) return false;
  cbor::Writer(item).bytes(*bytes);
  return true;
}

bool Builder::unwrap_float(cbor::Reader& value, Bytes& item) {
  using Limits = std::numeric_limits<double>;
  std::string_view name;
  if (!value.read_text(name)) return false;
  if (name == "NaN") {
    cbor::Writer(item).floating(Limits::quiet_NaN());
  } else if (name == "Infinity" || name == "-Infinity") {
    cbor::Writer(item).floating(name == "Infinity" ? Limits::infinity() : -Limits::infinity());
  } else {
    return false;
  }
  return true;
}

bool Builder::unwrap_simple(cbor::Reader& value, Bytes& item) {
  std::uint64_t number = 0;
  if (!value.read_unsigned(number) || number > 255) return false;
  if (number >= 20 && number < 32 && number != 23) return false;
  cbor::Writer(item).simple(static_cast<std::uint8_t>(number));
  return true;
}

bool Builder::unwrap_tag(cbor::Reader& value, Bytes& item) {
  std::uint64_t elements = 0;
  std::uint64_t number = 0;
  BytesView tagged;
  if (!value.read_array(elements) || elements != 2) return false;
  if (!value.read_unsigned(number) || !value.read_raw(tagged)) return false;
  cbor::Writer writer(item);
  writer.tag(number);
  writer.raw(tagged);
  return true;
}

bool Builder::unwrap_map(cbor::Reader& value, Bytes& item) {
  std::uint64_t entries = 0;
  if (!value.read_array(entries)) return false;
  cbor::Writer writer(item);
  writer.map(entries);
  std::set<BytesView> keys;
  for (; entries > 0; --entries) {
    std::uint64_t elements = 0;
    BytesView key;
    BytesView mapped;
    if (!value.read_array(elements) || elements != 2) return false;
    if (!value.read_raw(key) || !value.read_raw(mapped)) return false;
    if (!keys.insert(key).second) return false;
    writer.raw(key);
    writer.raw(mapped);
  }
  return true;
}

}  // namespace

Result<Bytes> json_to_cbor(std::string_view text) {
  Builder builder;
  if (!json::sax_parse(text, &builder)) {
    return fail(ErrorKind::invalid_argument, builder.message());
  }
  Bytes item = builder.take();
  // The wrappers hide how deep the CBOR is; readers bound that, so it is checked by one.
  if (const auto shown = cbor_to_json(item); !shown) return fail(shown.error());
  return item;
}

}  // namespace semper
