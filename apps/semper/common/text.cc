#include "common/text.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <optional>
#include <utility>

#include "semper/base/cbor_json.h"
#include "semper/store/tuple_text.h"

namespace semper::cli {
namespace {

constexpr std::size_t kTimeBytes = 32;
// Spans longer than this are taken for a slip of the finger.
constexpr double kSecondsMaximum = 365.0 * 24 * 3600;
constexpr std::size_t kCounterBytes = 8;
constexpr std::string_view kSizeUnits = " KMGT";  // each 1,024 of the one before

template <class... Arguments>
std::string formatted(const char* format, Arguments... arguments) {
  std::array<char, 64> buffer{};
  const int size = std::snprintf(buffer.data(), buffer.size(), format, arguments...);
  return std::string(buffer.data(), std::min<std::size_t>(size, buffer.size() - 1));
}

// Code points, which is columns for most scripts.
std::size_t columns(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  }));
}

Error not_of_form(std::string_view what, std::string_view text, std::string_view forms) {
  return Error(ErrorKind::invalid_argument,
               std::string(what) + " \"" + to_printable(text, 64) +
                   "\" is not one of the known forms: " + std::string(forms));
}

std::optional<Bytes> bytes_of_hex(std::string_view digits) {
  if (digits.size() % 2 != 0) return std::nullopt;
  Bytes bytes;
  for (std::size_t i = 0; i < digits.size(); i += 2) {
    unsigned byte = 0;
    const char* end = digits.data() + i + 2;
    const auto parsed = std::from_chars(digits.data() + i, end, byte, 16);
    if (parsed.ec != std::errc() || parsed.ptr != end) return std::nullopt;
    bytes.push_back(static_cast<char>(byte));
  }
  return bytes;
}

Result<Bytes> parse_hex(std::string_view digits) {
  if (auto bytes = bytes_of_hex(digits)) return std::move(*bytes);
  return fail(ErrorKind::invalid_argument,
              "\"" + to_printable(digits, 64) +
                  "\" is not hexadecimal: two digits a byte, for example 00ff");
}

Result<Bytes> parse_counter(std::string_view text) {
  std::int64_t number = 0;
  const char* end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, number);
  if (parsed.ec != std::errc() || parsed.ptr != end) {
    return fail(ErrorKind::invalid_argument, "\"" + to_printable(text, 64) +
                                                 "\" is not an integer of 64 bits; for other "
                                                 "numbers use --as json");
  }
  Bytes bytes;
  append_little_endian_u64(bytes, static_cast<std::uint64_t>(number));
  return bytes;
}

}  // namespace

std::string shown(std::string_view text) {
  if (!is_utf8(text)) return to_printable(text, text.size());
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const auto next = i + 1 < text.size() ? static_cast<unsigned char>(text[i + 1]) : 0u;
    if (byte < 0x20 || byte == 0x7f) {
      out += formatted("\\u{%x}", byte);
    } else if (byte == 0xc2 && next < 0xa0) {
      out += formatted("\\u{%x}", next);
      ++i;
    } else {
      out.push_back(text[i]);
    }
  }
  return out;
}

std::string with_words_cut(std::string sentence, const std::vector<std::string>& words) {
  for (const std::string& word : words) {
    if (word.size() <= kShownOfAWord) continue;
    std::size_t kept = kShownOfAWord;
    const auto is_inside = [&](char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; };
    while (kept > 0 && is_inside(word[kept])) --kept;  // of a character
    const std::string cut =
        word.substr(0, kept) + "... (" + std::to_string(word.size()) + " bytes)";
    for (auto at = sentence.find(word); at != std::string::npos;
         at = sentence.find(word, at + cut.size())) {
      sentence.replace(at, word.size(), cut);
    }
  }
  return sentence;
}

std::string shown_value(BytesView value) {
  if (auto json = cbor_to_json(value)) return std::move(*json);
  return to_printable(value, value.size());
}

std::string shown_span(Duration span) {
  const double seconds = std::max(0.0, std::chrono::duration<double>(span).count());
  if (seconds < 10) return formatted("%.1f s", seconds);
  if (seconds < 120) return formatted("%.0f s", seconds);
  if (seconds < 2 * 3600) return formatted("%.0f min", seconds / 60);
  if (seconds < 48 * 3600) return formatted("%.0f h", seconds / 3600);
  return formatted("%.0f d", seconds / (24 * 3600));
}

std::string shown_time(WallTime time) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(
      std::chrono::time_point_cast<std::chrono::system_clock::duration>(time));
  std::tm parts{};
  std::array<char, kTimeBytes> buffer{};
  if (gmtime_r(&seconds, &parts) == nullptr) return "?";
  const std::size_t size =
      std::strftime(buffer.data(), buffer.size(), "%Y-%m-%d %H:%M:%S UTC", &parts);
  return std::string(buffer.data(), size);
}

std::string shown_latency(Duration span) {
  double figure = std::chrono::duration<double, std::micro>(span).count();
  const char* unit = "us";
  if (figure >= 1000) {
    figure /= 1000;
    unit = "ms";
    if (figure >= 1000) {
      figure /= 1000;
      unit = "s";
    }
  }
  const int decimals = figure < 10 ? 2 : figure < 100 ? 1 : 0;
  return formatted("%.*f %s", decimals, figure, unit);
}

Result<Duration> parse_span(std::string_view text) {
  static constexpr std::array<std::pair<std::string_view, double>, 5> kUnits = {
      {{"ms", 0.001}, {"s", 1}, {"m", 60}, {"h", 3600}, {"", 1}}};
  if (text == "forever") return kForever;
  double number = 0;
  const char* end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, number, std::chars_format::fixed);
  if (parsed.ec == std::errc() && number >= 0) {
    const std::string_view unit(parsed.ptr, static_cast<std::size_t>(end - parsed.ptr));
    for (const auto& [name, seconds] : kUnits) {
      if (unit != name || number * seconds > kSecondsMaximum) continue;
      return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(number * seconds));
    }
  }
  return fail(not_of_form("span of time", text,
                          "500ms, 2s, 1.5m, 1h (a year at most), 5 (seconds), forever"));
}

Result<Duration> parse_span_option(std::string_view option, std::string_view text) {
  auto span = parse_span(text);
  if (!span) return fail(span.error().in(std::string(option)));
  return span;
}

Result<std::uint64_t> parse_count(std::string_view text) {
  std::uint64_t count = 0;
  const char* end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, count);
  if (parsed.ec == std::errc() && parsed.ptr == end) return count;
  return fail(not_of_form("count", text, "0, 1, 1000 (digits alone, 64 bits at most)"));
}

Result<std::uint64_t> parse_size(std::string_view text) {
  std::uint64_t number = 0;
  const char* end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, number);
  if (parsed.ec == std::errc()) {
    std::string_view unit(parsed.ptr, static_cast<std::size_t>(end - parsed.ptr));
    if (unit.size() == 3 && unit.ends_with("iB")) unit.remove_suffix(2);
    const std::size_t power = kSizeUnits.find(unit.empty() ? ' ' : unit.front());
    if (unit.size() <= 1 && power != std::string_view::npos &&
        number <= (~std::uint64_t{0} >> (10 * power))) {
      return number << (10 * power);
    }
  }
  return fail(not_of_form("size", text, "4096, 64KiB, 8MiB, 1GiB, 1TiB"));
}

std::string shown_size(std::uint64_t bytes) {
  if (bytes < 1024) return std::to_string(bytes) + " B";
  double figure = static_cast<double>(bytes);
  std::size_t power = 0;
  for (; figure >= 1024 && power + 1 < kSizeUnits.size(); ++power) figure /= 1024;
  return formatted("%.1f %ciB", figure, kSizeUnits[power]);
}

std::string table(const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], columns(row[i]));
  }
  std::string out;
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) {
      line += row[i];
      if (i + 1 < row.size()) line.append(widths[i] - columns(row[i]) + 2, ' ');
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + "\n";
  }
  return out;
}

Result<ValueForm> parse_value_form(std::string_view name) {
  static constexpr std::array<std::pair<std::string_view, ValueForm>, 6> kForms = {
      {{"auto", ValueForm::automatic},
       {"json", ValueForm::json},
       {"text", ValueForm::text},
       {"hex", ValueForm::hex},
       {"int", ValueForm::integer},
       {"raw", ValueForm::raw}}};
  for (const auto& [known, form] : kForms) {
    if (name == known) return form;
  }
  return fail(not_of_form("--as", name, "auto, json, text, hex, int, raw"));
}

Result<Bytes> parse_value(std::string_view text, ValueForm form) {
  switch (form) {
    case ValueForm::automatic:
    case ValueForm::json: {
      auto item = json_to_cbor(text);
      if (item) return item;
      return fail(Error(item.error().kind(), item.error().message() +
                                                 " (for plain text use --as text, for bytes --as "
                                                 "hex)"));
    }
    case ValueForm::hex:
      return parse_hex(text);
    case ValueForm::integer:
      return parse_counter(text);
    case ValueForm::text:
    case ValueForm::raw:
      break;
  }
  return Bytes(text);
}

Result<std::string> show_value(BytesView value, ValueForm form) {
  switch (form) {
    case ValueForm::json: {
      auto json = cbor_to_json(value);
      if (json) return json;
      return fail(ErrorKind::invalid_argument, "the value is not one CBOR item (" +
                                                   json.error().message() +
                                                   "); show it with --as text or --as hex");
    }
    case ValueForm::integer:
      if (value.size() != kCounterBytes) {
        return fail(ErrorKind::invalid_argument, "the value has " + std::to_string(value.size()) +
                                                     " bytes, an integer of --as int has 8; show "
                                                     "it with --as text or --as hex");
      }
      return std::to_string(static_cast<std::int64_t>(load_little_endian_u64(value)));
    case ValueForm::hex:
      return to_hex(value);
    case ValueForm::text:
      return to_printable(value, value.size());
    case ValueForm::raw:
      return std::string(value);
    case ValueForm::automatic:
      break;
  }
  return shown_value(value);
}

Result<Bytes> parse_key(std::string_view text) {
  auto key = text.starts_with("0x") ? parse_hex(text.substr(2)) : parse_key_text(text);
  if (!key) return fail(key.error().in("key " + to_printable(text, 64)));
  if (key->empty()) {
    return fail(ErrorKind::invalid_argument,
                "a key is empty; give a tuple such as '(\"users\", 42)', bytes such as 'a\\x00', "
                "or 0x6100");
  }
  return key;
}

}  // namespace semper::cli
