// Words and figures as people type and read them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "semper/base/bytes.h"
#include "semper/base/result.h"
#include "semper/env/clock.h"

namespace semper::cli {

// Stored text for a terminal: control characters, those above 127 too, as \u{HEX}; bytes that are
// no UTF-8 as \xHH.
std::string shown(std::string_view text);

// The sentence with those words cut short that are longer than kShownOfAWord, as it may repeat what
// somebody typed: "kkkkkk... (100000 bytes)".
inline constexpr std::size_t kShownOfAWord = 256;
std::string with_words_cut(std::string sentence, const std::vector<std::string>& words);

// A stored value: JSON where it is one CBOR item, else printable characters and \xHH.
std::string shown_value(BytesView value);

// "0.4 s", "12 s", "3 min", "5 h", "2 d".
std::string shown_span(Duration span);

// "2026-11-21 00:12:07 UTC".
std::string shown_time(WallTime time);

// Three significant digits and a unit: "98.1 us", "4.20 ms", "1.00 s".
std::string shown_latency(Duration span);

// "500ms", "2s", "1.5m", "1h", "2" (seconds); "forever" is kForever.
// Error: invalid_argument, naming the forms.
Result<Duration> parse_span(std::string_view text);

// The same, with the option that it was given to in the error.
Result<Duration> parse_span_option(std::string_view option, std::string_view text);

// "0", "1000": decimal digits alone. Error: invalid_argument.
Result<std::uint64_t> parse_count(std::string_view text);

// "4096", "64KiB", "8MiB", "1GiB", "1TiB"; K, M, G, T mean the same. Error: invalid_argument.
Result<std::uint64_t> parse_size(std::string_view text);

// "512 B", "4.0 KiB", "1.5 GiB".
std::string shown_size(std::uint64_t bytes);

// Columns padded to their widest cell, two spaces apart; the first row is the heading.
std::string table(const std::vector<std::vector<std::string>>& rows);

// How a value is typed and shown.
enum class ValueForm { automatic, json, text, hex, integer, raw };

// Error: invalid_argument (another name, listing those known).
Result<ValueForm> parse_value_form(std::string_view name);

// The value that `text` stands for: JSON becomes CBOR, hex its bytes, an integer the 8-byte
// little-endian number of atomic counters, text and raw themselves. Automatic is JSON.
Result<Bytes> parse_value(std::string_view text, ValueForm form);

// The other direction. Errors: invalid_argument where the value is not of that form.
Result<std::string> show_value(BytesView value, ValueForm form);

// A key: a tuple's text, 0xHEX, or bytes with \xHH (store/tuple_text.h).
Result<Bytes> parse_key(std::string_view text);

}  // namespace semper::cli
