#include "server/format/speech.h"

#include <algorithm>
#include <limits>
#include <map>
#include <utility>

#include "semper/base/cbor.h"
#include "semper/server/internal/behaviour.h"

namespace semper::internal {
namespace {

constexpr std::uint64_t kSpeechFormat = 1;
constexpr std::uint64_t kSpeechElements = 6;  // of a type
// One more of a type with limits; programs that do not know it pass it over.
constexpr std::uint64_t kLimitElements = 10;

std::uint8_t ways_of(const MessageInfo& info) {
  return static_cast<std::uint8_t>((info.call ? 1 : 0) | (info.cast ? 2 : 0) | (info.info ? 4 : 0) |
                                   (info.locked ? 8 : 0));
}

// FNV-1a: the same for the same messages, in every process.
std::uint64_t digest_of(const std::map<std::string, std::uint8_t>& messages) {
  std::uint64_t hash = 0xcbf29ce484222325ULL;
  const auto add = [&](unsigned char byte) { hash = (hash ^ byte) * 0x100000001b3ULL; };
  for (const auto& [name, ways] : messages) {
    for (const unsigned char byte : name) add(byte);
    add(0);
    add(ways);
  }
  return hash;
}

bool read_messages(cbor::Reader& reader, SpokenType& type) {
  std::uint64_t count = 0;
  bool ok = reader.read_array(count);
  for (std::uint64_t i = 0; ok && i < count; ++i) {
    std::uint64_t elements = 0;
    std::uint64_t ways = 0;
    std::string_view name;
    ok = reader.read_array(elements) && elements == 2 && reader.read_text(name) &&
         reader.read_unsigned(ways) && ways <= std::numeric_limits<std::uint8_t>::max();
    type.messages.push_back({std::string(name), static_cast<std::uint8_t>(ways)});
  }
  return ok;
}

void write_rate(cbor::Writer& writer, const RateLimit& rate) {
  writer.unsigned_integer(rate.messages);
  writer.integer(rate.per.count());
  writer.unsigned_integer(rate.burst);
}

void write_limits(cbor::Writer& writer, const LimitRules& limits) {
  writer.array(kLimitElements);
  write_rate(writer, limits.rate);
  writer.unsigned_integer(static_cast<std::uint64_t>(limits.running));
  write_rate(writer, limits.type_rate);
  writer.unsigned_integer(static_cast<std::uint64_t>(limits.type_running));
  writer.boolean(limits.by_key);
  writer.boolean(limits.over == OverLimit::refuse);
}

bool read_rate(cbor::Reader& reader, RateLimit& rate) {
  std::uint64_t messages = 0;
  std::int64_t per = 0;
  std::uint64_t burst = 0;
  if (!reader.read_unsigned(messages) || !reader.read_signed(per) || !reader.read_unsigned(burst)) {
    return false;
  }
  constexpr std::uint64_t kMost = kRateLimitMessagesMaximum;
  rate.messages = static_cast<std::uint32_t>(std::min(messages, kMost));
  rate.per = Duration(per);
  rate.burst = static_cast<std::uint32_t>(std::min(burst, kMost));
  return true;
}

bool read_limits(cbor::Reader& reader, LimitRules& limits) {
  std::uint64_t elements = 0;
  std::uint64_t running = 0;
  std::uint64_t type_running = 0;
  bool refuses = false;
  bool ok = reader.read_array(elements) && elements >= kLimitElements &&
            read_rate(reader, limits.rate) && reader.read_unsigned(running) &&
            read_rate(reader, limits.type_rate) && reader.read_unsigned(type_running) &&
            reader.read_boolean(limits.by_key) && reader.read_boolean(refuses);
  for (std::uint64_t i = kLimitElements; ok && i < elements; ++i) ok = reader.skip();
  constexpr std::uint64_t kMost = kConcurrencyLimitMaximum;
  limits.running = static_cast<int>(std::min(running, kMost));
  limits.type_running = static_cast<int>(std::min(type_running, kMost));
  limits.over = refuses ? OverLimit::refuse : OverLimit::wait;
  return ok;
}

bool read_type(cbor::Reader& reader, SpokenType& type) {
  std::uint64_t elements = 0;
  std::uint64_t version = 0;
  std::string_view name;
  bool ok = reader.read_array(elements) && elements >= kSpeechElements && reader.read_text(name) &&
            reader.read_unsigned(version) && reader.read_boolean(type.is_behind) &&
            read_messages(reader, type) && reader.read_boolean(type.has_more) &&
            reader.read_unsigned(type.digest) && version > 0 &&
            version <= std::numeric_limits<std::uint32_t>::max();
  std::uint64_t read = kSpeechElements;
  if (ok && elements > read) {
    ok = read_limits(reader, type.limits);
    ++read;
  }
  for (std::uint64_t i = read; ok && i < elements; ++i) ok = reader.skip();
  type.type = name;
  type.state_version = static_cast<std::uint32_t>(version);
  return ok;
}

}  // namespace

bool SpokenType::covers(const SpokenType& other) const {
  if (state_version < other.state_version) return false;
  if (is_behind && !other.is_behind) return false;
  if (digest == other.digest) return true;
  if (other.has_more) return false;
  const auto takes = [this](const SpokenMessage& wanted) {
    const auto same_name = [&](const SpokenMessage& own) { return own.name == wanted.name; };
    const auto own = std::find_if(messages.begin(), messages.end(), same_name);
    return own != messages.end() && (own->ways & wanted.ways) == wanted.ways;
  };
  return std::all_of(other.messages.begin(), other.messages.end(), takes);
}

SpokenType spoken_of(const Behaviour& behaviour, bool is_behind) {
  SpokenType spoken;
  spoken.type = behaviour.type();
  spoken.state_version = behaviour.state_version();
  spoken.is_behind = is_behind;
  spoken.limits = behaviour.limit_rules();
  std::map<std::string, std::uint8_t> all;
  for (const auto& info : behaviour.messages()) {
    all[info.name] = ways_of(info);
    for (const auto& former : info.former_names) all[former] = ways_of(info);
  }
  spoken.digest = digest_of(all);
  std::size_t bytes = 0;
  for (const auto& [name, ways] : all) {
    bytes += name.size();
    spoken.has_more = spoken.messages.size() == kSpokenMessages || bytes > kSpokenBytes;
    if (spoken.has_more) break;
    spoken.messages.push_back({name, ways});
  }
  return spoken;
}

Bytes encode_speech(const std::vector<SpokenType>& types) {
  Bytes out;
  cbor::Writer writer(out);
  writer.array(2);
  writer.unsigned_integer(kSpeechFormat);
  const std::size_t count = std::min(types.size(), kSpokenTypes);
  writer.array(count);
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const SpokenType& type = types[i];
    std::size_t names = 0;
    for (const auto& message : type.messages) names += message.name.size();
    const bool fits = bytes + names <= kSpokenBytes;
    if (fits) bytes += names;
    writer.array(kSpeechElements + (type.limits.is_any() ? 1 : 0));
    writer.text(type.type);
    writer.unsigned_integer(type.state_version);
    writer.boolean(type.is_behind);
    writer.array(fits ? type.messages.size() : 0);
    for (std::size_t j = 0; fits && j < type.messages.size(); ++j) {
      writer.array(2);
      writer.text(type.messages[j].name);
      writer.unsigned_integer(type.messages[j].ways);
    }
    writer.boolean(type.has_more || !fits);
    writer.unsigned_integer(type.digest);
    if (type.limits.is_any()) write_limits(writer, type.limits);
  }
  return out;
}

Result<std::vector<SpokenType>> decode_speech(BytesView bytes) {
  cbor::Reader reader(bytes);
  std::vector<SpokenType> types;
  std::uint64_t elements = 0;
  std::uint64_t format = 0;
  std::uint64_t count = 0;
  bool ok = reader.read_array(elements) && elements >= 2 && reader.read_unsigned(format) &&
            format >= kSpeechFormat && reader.read_array(count);
  for (std::uint64_t i = 0; ok && i < count; ++i) ok = read_type(reader, types.emplace_back());
  for (std::uint64_t i = 2; ok && i < elements; ++i) ok = reader.skip();
  if (!ok || !reader.finish()) {
    return fail(ErrorKind::corrupt, "what a host speaks: it cannot be read");
  }
  return types;
}

}  // namespace semper::internal
