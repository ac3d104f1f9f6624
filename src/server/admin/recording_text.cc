// A recording as JSON lines: what is stored in hexadecimal, and next to it what it says, for
// people.
#include <charconv>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "semper/base/cbor_json.h"
#include "semper/server/recording.h"
#include "server/format/keys.h"
#include "server/format/records.h"

namespace semper {
namespace {

using internal::EntityKeys;
using Json = nlohmann::ordered_json;

Json text_json(std::string_view text) {
  return is_utf8(text) ? std::string(text) : to_printable(text, text.size());
}

Json item_json(BytesView item) {
  const auto text = cbor_to_json(item);
  if (!text) return nullptr;
  auto parsed = Json::parse(*text, nullptr, false);
  return parsed.is_discarded() ? Json(nullptr) : parsed;
}

Json message_json(const internal::QueuedMessage& message) {
  Json shown;
  shown["kind"] = message.event == Event::call ? "call" : "cast";
  shown["message"] = text_json(message.content.name);
  shown["content"] = item_json(message.content.payload);
  return shown;
}

// What the rows of one entity are, for people.
class Shower {
 public:
  explicit Shower(const Recording& recording)
      : keys_("", recording.entity), once_(keys_.once_of_all_sources()) {
    for (const auto& row : recording.rows) {
      if (keys_.chunks().contains(row.key)) state_ += row.value;
    }
  }

  std::string part(const Bytes& key) const {
    if (key == keys_.header()) return "header";
    if (key == keys_.order()) return "order";
    if (key == keys_.pushed()) return "pushed";
    if (keys_.queue().contains(key)) return "queue";
    if (keys_.chunks().contains(key)) return "chunk";
    if (key == keys_.lock_renewal()) return "lock";
    if (keys_.dead_letters().contains(key)) return "dead letter";
    if (key == keys_.parked()) return "parked";
    if (once_.contains(key)) return "source";
    if (key == keys_.announcement()) return "announcement";
    if (key == keys_.failures()) return "failed runs";
    if (key == keys_.timer_count()) return "timer count";
    if (keys_.timers().contains(key)) return "timer";
    if (key == keys_.key_count()) return "key count";
    if (keys_.idempotency_keys().contains(key)) return "idempotency key";
    return "other";
  }

  Json says(const std::string& part, const Recording::Row& row) const {
    if (part == "header") return header(row.value);
    if (part == "pushed") return internal::counter_value(row.value);
    if (part == "parked") return text_json(internal::ParkedNote::decode(row.value).reason);
    if (part == "announcement" || part == "failed runs") return item_json(row.value);
    if (part == "queue") {
      Json list = Json::array();
      const auto messages = internal::decode_segment(row.value);
      if (messages) {
        for (const auto& message : *messages) list.push_back(message_json(message));
      }
      return list;
    }
    if (part == "dead letter") {
      const auto letter = internal::decode_dead_letter(row.value);
      if (!letter) return nullptr;
      Json shown = message_json(letter->message);
      shown["reason"] = text_json(letter->reason);
      shown["time_ms"] = letter->time_ms;
      if (letter->attempts > 0) shown["attempts"] = letter->attempts;
      return shown;
    }
    return nullptr;
  }

 private:
  Json header(const Bytes& value) const {
    const auto decoded = internal::Header::decode(value);
    if (!decoded) return nullptr;
    Json shown;
    shown["versionstamp"] = decoded->stamp.to_string();
    shown["taken"] = decoded->popped;
    shown["lock"] = nullptr;
    if (decoded->lock) {
      shown["lock"] = {{"owner", text_json(decoded->lock->owner)},
                       {"acquired_ms", decoded->lock->acquired_ms}};
    }
    shown["state"] = decoded->has_state ? item_json(decoded->chunks == 0 ? decoded->state : state_)
                                        : Json(nullptr);
    if (decoded->state_version > 1) shown["state_version"] = decoded->state_version;
    return shown;
  }

  const EntityKeys keys_;
  const KeyRange once_;
  Bytes state_;  // of the chunks
};

std::optional<Bytes> from_hex(const std::string& text) {
  if (text.size() % 2 != 0) return std::nullopt;
  Bytes bytes;
  bytes.reserve(text.size() / 2);
  for (std::size_t i = 0; i < text.size(); i += 2) {
    unsigned value = 0;
    const auto [end, error] = std::from_chars(&text[i], &text[i] + 2, value, 16);
    if (error != std::errc() || end != &text[i] + 2) return std::nullopt;
    bytes.push_back(static_cast<char>(value));
  }
  return bytes;
}

class TextReader {
 public:
  explicit TextReader(std::string_view text) : rest_(text) {}

  Result<Recording> read() {
    SEMPER_TRY_STATUS(next_line());
    SEMPER_TRY(auto recording, header());
    const EntityKeys keys("", recording.entity);
    std::size_t bytes = 0;
    while (true) {
      SEMPER_TRY_STATUS(next_line());
      if (line_.contains("end")) break;
      SEMPER_TRY(auto key, bytes_at("key"));
      SEMPER_TRY(auto value, bytes_at("value"));
      if (!keys.everything().contains(key)) {
        return wrong("its key is not one of " + recording.entity.to_string());
      }
      bytes += key.size() + value.size();
      if (bytes > kRecordingBytes) {
        return fail(
            ErrorKind::exhausted, Limit{"kRecordingBytes", kRecordingBytes},
            "the recording is larger than " + std::to_string(kRecordingBytes >> 20) + " MiB");
      }
      recording.rows.push_back({std::move(key), std::move(value)});
    }
    if (line_.value("end", std::uint64_t{0}) != recording.rows.size()) {
      return wrong("it ends with another number of rows than there are");
    }
    return recording;
  }

 private:
  tl::unexpected<Error> wrong(const std::string& what) const {
    return fail(ErrorKind::corrupt, "recording, line " + std::to_string(number_) + ": " + what);
  }

  Status next_line() {
    ++number_;
    if (rest_.empty()) {
      return wrong("it is cut short: the line {\"end\":ROWS} is missing; record it again");
    }
    const auto end = rest_.find('\n');
    const std::string_view text = rest_.substr(0, end);
    rest_.remove_prefix(end == std::string_view::npos ? rest_.size() : end + 1);
    line_ = Json::parse(text, nullptr, false);
    if (line_.is_object()) return {};
    return wrong("it is no JSON object");
  }

  Result<Bytes> bytes_at(const char* name) const {
    const auto found = line_.find(name);
    if (found == line_.end() || !found->is_string()) {
      return wrong(std::string("\"") + name + "\" is missing");
    }
    auto bytes = from_hex(found->get<std::string>());
    if (!bytes) return wrong(std::string("\"") + name + "\" is not hexadecimal");
    return std::move(*bytes);
  }

  std::string text_at(const char* name) const {
    const auto found = line_.find(name);
    return found != line_.end() && found->is_string() ? found->get<std::string>() : "";
  }
  std::uint64_t number_at(const char* name) const {
    const auto found = line_.find(name);
    return found != line_.end() && found->is_number_unsigned() ? found->get<std::uint64_t>() : 0;
  }

  Result<Recording> header() const {
    if (!line_.contains("semper_recording")) {
      return wrong("this is no recording: `semper record` writes \"semper_recording\" first");
    }
    const std::uint64_t format = number_at("semper_recording");
    if (format == 0) return wrong("the format's number is wrong");
    if (format > Recording::kFormat) {
      return fail(ErrorKind::unsupported, "the recording has format " + std::to_string(format) +
                                              ", and this program knows formats up to " +
                                              std::to_string(Recording::kFormat) +
                                              "; use a newer one");
    }
    Recording recording;
    recording.entity = {text_at("type"), text_at("id")};
    const Status valid = recording.entity.validate();
    if (!valid) return wrong(valid.error().message());
    recording.tenant = text_at("tenant");
    recording.store = text_at("store");
    recording.recorded = text_at("recorded");
    recording.version = number_at("version");
    recording.left_out = number_at("messages_left_out");
    const auto letters = line_.find("dead_letters_left_out");
    recording.left_out_dead_letters =
        letters != line_.end() && letters->is_boolean() && letters->get<bool>();
    return recording;
  }

  std::string_view rest_;
  std::size_t number_ = 0;
  Json line_;
};

}  // namespace

std::string recording_to_text(const Recording& recording) {
  Json head;
  head["semper_recording"] = Recording::kFormat;
  head["type"] = recording.entity.type;
  head["id"] = recording.entity.id;
  head["tenant"] = text_json(recording.tenant);
  head["store"] = text_json(recording.store);
  head["recorded"] = recording.recorded;
  head["version"] = recording.version;
  head["messages_left_out"] = recording.left_out;
  head["dead_letters_left_out"] = recording.left_out_dead_letters;
  const auto line = [](const Json& json) { return json.dump(-1, ' ', true) + "\n"; };
  std::string text = line(head);
  const Shower shower(recording);
  for (const auto& row : recording.rows) {
    const std::string part = shower.part(row.key);
    Json shown;
    shown["row"] = part;
    const Json says = shower.says(part, row);
    if (!says.is_null()) shown["says"] = says;
    shown["key"] = to_hex(row.key);
    shown["value"] = to_hex(row.value);
    text += line(shown);
  }
  return text + line(Json{{"end", recording.rows.size()}});
}

Result<Recording> recording_from_text(std::string_view text) {
  return TextReader(text).read();
}

}  // namespace semper
