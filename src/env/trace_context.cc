#include "semper/env/trace_context.h"

#include <algorithm>

#include "semper/base/bytes.h"

namespace semper {
namespace {

constexpr std::size_t kTraceparentBytes = 55;
constexpr std::string_view kDigits = "0123456789abcdef";

template <std::size_t size>
void append_hex(std::string& out, const std::array<std::uint8_t, size>& bytes) {
  for (const std::uint8_t byte : bytes) {
    out.push_back(kDigits[byte >> 4]);
    out.push_back(kDigits[byte & 0xf]);
  }
}

// False: not so many digits, in lower case.
template <std::size_t size>
bool read_hex(std::string_view text, std::array<std::uint8_t, size>& bytes) {
  if (text.size() != 2 * size) return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto digit = kDigits.find(text[i]);
    if (digit == std::string_view::npos) return false;
    auto& byte = bytes[i / 2];
    byte = static_cast<std::uint8_t>((i % 2 == 0 ? 0 : byte << 4) | digit);
  }
  return true;
}

template <std::size_t size>
bool is_zero(const std::array<std::uint8_t, size>& bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](std::uint8_t byte) { return byte == 0; });
}

template <std::size_t size>
void draw(Random& random, std::array<std::uint8_t, size>& bytes) {
  do {
    const Bytes drawn = random.bytes(size);
    std::copy(drawn.begin(), drawn.end(), bytes.begin());
  } while (is_zero(bytes));
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// key=value, with the characters that W3C allows.
bool is_member(std::string_view member) {
  constexpr std::size_t kKeyBytes = 256;
  constexpr std::size_t kValueBytes = 256;
  const auto equals = member.find('=');
  if (equals == std::string_view::npos || equals == 0 || equals > kKeyBytes) return false;
  const std::string_view key = member.substr(0, equals);
  const std::string_view value = member.substr(equals + 1);
  const auto in_key = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
           std::string_view("_-*/@").find(c) != std::string_view::npos;
  };
  const auto in_value = [](char c) { return c >= 0x20 && c <= 0x7e && c != ',' && c != '='; };
  return std::all_of(key.begin(), key.end(), in_key) && !value.empty() &&
         value.size() <= kValueBytes && std::all_of(value.begin(), value.end(), in_value);
}

// Empty: it is not well-formed.
std::string state_of(std::string_view header) {
  std::string state;
  std::size_t members = 0;
  while (true) {
    const auto comma = header.find(',');
    const std::string_view member = trimmed(header.substr(0, comma));
    if (!member.empty()) {
      if (!is_member(member)) return {};
      const std::size_t size = state.size() + (state.empty() ? 0 : 1) + member.size();
      if (members == kTraceStateMembers || size > kTraceStateBytes) return state;
      if (!state.empty()) state.push_back(',');
      state.append(member);
      ++members;
    }
    if (comma == std::string_view::npos) return state;
    header.remove_prefix(comma + 1);
  }
}

}  // namespace

Result<TraceContext> TraceContext::parse(std::string_view traceparent,
                                         std::string_view tracestate) {
  TraceContext context;
  const std::string_view text = trimmed(traceparent);
  std::array<std::uint8_t, 1> version{};
  std::array<std::uint8_t, 1> flags{};
  const bool ok = text.size() >= kTraceparentBytes && read_hex(text.substr(0, 2), version) &&
                  version[0] != 0xff && text[2] == '-' &&
                  read_hex(text.substr(3, 32), context.trace_id) && text[35] == '-' &&
                  read_hex(text.substr(36, 16), context.span_id) && text[52] == '-' &&
                  read_hex(text.substr(53, 2), flags) && !is_zero(context.trace_id) &&
                  !is_zero(context.span_id);
  // Later versions may go on behind another dash.
  const bool ends = text.size() == kTraceparentBytes ||
                    (text.size() > kTraceparentBytes && version[0] != 0 && text[55] == '-');
  if (!ok || !ends) {
    return fail(ErrorKind::invalid_argument,
                "not a traceparent: \"" + to_printable(text, 64) +
                    "\"; one is like 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
  }
  // Of a version that is not known, only the flag that is.
  context.flags = version[0] == 0 ? flags[0] : static_cast<std::uint8_t>(flags[0] & 1);
  context.state = state_of(tracestate);
  return context;
}

TraceContext TraceContext::start(Random& random, Sampled sampled) {
  TraceContext context;
  draw(random, context.trace_id);
  draw(random, context.span_id);
  context.flags = sampled == Sampled::yes ? 1 : 0;
  return context;
}

TraceContext TraceContext::child(Random& random) const {
  TraceContext context = *this;
  draw(random, context.span_id);
  return context;
}

std::string TraceContext::traceparent() const {
  std::string text = "00-";
  append_hex(text, trace_id);
  text.push_back('-');
  append_hex(text, span_id);
  text.push_back('-');
  append_hex(text, std::array<std::uint8_t, 1>{flags});
  return text;
}

}  // namespace semper
