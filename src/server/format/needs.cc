#include "server/format/needs.h"

#include <array>
#include <limits>

#include "semper/base/cbor.h"

namespace semper::internal {
namespace {

constexpr std::uint64_t kNeedsFormat = 1;
constexpr std::uint64_t kNeedsElements = 5;
constexpr std::array<const char*, 4> kWays = {"call", "cast", "info", "locked"};

}  // namespace

std::string Needs::to_string() const {
  std::string text;
  const auto add = [&](const std::string& one) { text += (text.empty() ? "" : ", ") + one; };
  if (state_version > 0) add("version >= " + std::to_string(state_version));
  if (newer_program) add("a newer program");
  if (!message.empty()) {
    add(std::string("a host that takes ") + kWays[static_cast<std::size_t>(way)] + " " +
        to_printable(message, 256));
  }
  return text;
}

Bytes Needs::encode() const {
  Bytes out;
  cbor::Writer writer(out);
  writer.array(kNeedsElements);
  writer.unsigned_integer(kNeedsFormat);
  writer.unsigned_integer(state_version);
  writer.boolean(newer_program);
  writer.text(message);
  writer.unsigned_integer(static_cast<std::uint64_t>(way));
  return out;
}

// What a later version adds is passed over.
std::optional<Needs> Needs::decode(BytesView value) {
  if (value.empty()) return std::nullopt;
  cbor::Reader reader(value);
  Needs needs;
  std::uint64_t elements = 0;
  std::uint64_t format = 0;
  std::uint64_t version = 0;
  std::uint64_t way = 0;
  std::string_view message;
  bool ok = reader.read_array(elements) && elements >= kNeedsElements &&
            reader.read_unsigned(format) && format >= kNeedsFormat &&
            reader.read_unsigned(version) && reader.read_boolean(needs.newer_program) &&
            reader.read_text(message) && reader.read_unsigned(way);
  for (std::uint64_t i = kNeedsElements; ok && i < elements; ++i) ok = reader.skip();
  ok = ok && reader.finish() && way < kWays.size() &&
       version <= std::numeric_limits<std::uint32_t>::max();
  if (!ok) return std::nullopt;
  needs.state_version = static_cast<std::uint32_t>(version);
  needs.message = message;
  needs.way = static_cast<Way>(way);
  return needs;
}

}  // namespace semper::internal
