#include "entities/message_form.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "common/suggest.h"
#include "common/text.h"
#include "semper/base/cbor.h"
#include "semper/base/cbor_json.h"

namespace semper::cli {
namespace {

using cbor::Kind;

// The items of an array; none where it is no array.
std::optional<std::vector<BytesView>> elements_of(BytesView item) {
  cbor::Reader reader(item);
  std::uint64_t count = 0;
  if (reader.peek() != Kind::array || !reader.read_array(count)) return std::nullopt;
  std::vector<BytesView> elements(count);
  for (auto& element : elements) {
    if (!reader.read_raw(element)) return std::nullopt;
  }
  return elements;
}

struct Named {
  std::string_view name;
  BytesView value;
};
std::optional<std::vector<Named>> entries_of(BytesView item) {
  cbor::Reader reader(item);
  std::uint64_t count = 0;
  if (reader.peek() != Kind::map || !reader.read_map(count)) return std::nullopt;
  std::vector<Named> entries(count);
  for (auto& entry : entries) {
    if (reader.peek() != Kind::text || !reader.read_text(entry.name) ||
        !reader.read_raw(entry.value)) {
      return std::nullopt;
    }
  }
  return entries;
}

Bytes array_of(const std::vector<BytesView>& elements) {
  Bytes out;
  cbor::Writer writer(out);
  writer.array(elements.size());
  for (const auto& element : elements) writer.raw(element);
  return out;
}

tl::unexpected<Error> refusal(const MessageInfo& message, const std::string& what) {
  const std::string example = example_of(message);
  return fail(ErrorKind::invalid_argument, "content of message " + shown(message.name) + ": " +
                                               what + (example.empty() ? "" : "; " + example));
}

std::string fields_text(const MessageInfo& message) {
  return message.fields->empty() ? "it has no fields" : "it has " + listed(*message.fields);
}

// By position, with the example's value for each field that is left out before the last one given.
Result<Bytes> by_position(const std::vector<Named>& entries, const MessageInfo& message) {
  const auto defaults = elements_of(message.example);
  const auto& fields = *message.fields;
  std::vector<BytesView> values;
  for (const auto& [name, value] : entries) {
    const auto found = std::find(fields.begin(), fields.end(), name);
    if (found == fields.end()) {
      return refusal(message, "there is no field " + shown(name) + ", " + fields_text(message) +
                                  did_you_mean(name, fields));
    }
    const auto place = static_cast<std::size_t>(found - fields.begin());
    if (values.size() <= place) values.resize(place + 1);
    if (!values[place].empty()) {
      return refusal(message, "the field " + shown(name) + " is given twice");
    }
    values[place] = value;
  }
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (!values[i].empty()) continue;
    if (!defaults || i >= defaults->size()) {
      return refusal(message, "the field " + shown(fields[i]) + " is missing");
    }
    values[i] = (*defaults)[i];
  }
  return array_of(values);
}

// Kinds that a reader of the one takes for the other.
int family(Kind kind) {
  switch (kind) {
    case Kind::unsigned_integer:
    case Kind::negative_integer:
    case Kind::floating:
      return 1;
    case Kind::text:
    case Kind::bytes:
      return 2;
    case Kind::boolean:
      return 3;
    case Kind::array:
      return 4;
    case Kind::map:
      return 5;
    default:
      return 0;  // null, tags: may stand for anything
  }
}

Status check_kinds(BytesView content, const MessageInfo& message) {
  const auto given = elements_of(content);
  const auto defaults = elements_of(message.example);
  if (!given || !defaults) return {};
  for (std::size_t i = 0; i < std::min(given->size(), defaults->size()); ++i) {
    const Kind is = cbor::Reader((*given)[i]).peek();
    const Kind usual = cbor::Reader((*defaults)[i]).peek();
    if (family(is) == family(usual) || family(is) == 0 || family(usual) == 0) continue;
    return refusal(message, "the field " + shown((*message.fields)[i]) + " is " +
                                std::string(cbor::to_string(is)) + ", where " +
                                std::string(cbor::to_string(usual)) +
                                " is usual (--force sends it all the same)");
  }
  return {};
}

}  // namespace

Result<Bytes> fit_message(BytesView content, const MessageInfo& message, FieldKinds kinds) {
  if (!message.fields) return Bytes(content);
  Bytes fitted(content);
  if (const auto entries = entries_of(content)) {
    SEMPER_TRY(fitted, by_position(*entries, message));
  }
  const auto elements = elements_of(fitted);
  if (!elements) {
    return refusal(message, "it is " + std::string(cbor::to_string(cbor::Reader(content).peek())) +
                                "; its fields go in a list, or by name");
  }
  if (elements->size() > message.fields->size()) {
    return refusal(message, std::to_string(elements->size()) + " values are given, and " +
                                fields_text(message));
  }
  if (kinds == FieldKinds::checked) SEMPER_TRY_STATUS(check_kinds(fitted, message));
  return fitted;
}

std::string example_of(const MessageInfo& message) {
  const auto json = cbor_to_json(message.example);
  if (message.example.empty() || !json) return "";
  std::string text = "for example '" + shown(*json) + "'";
  const auto defaults = elements_of(message.example);
  if (!message.fields || message.fields->empty() || !defaults ||
      defaults->size() != message.fields->size()) {
    return text;
  }
  Bytes named;
  cbor::Writer writer(named);
  writer.map(defaults->size());
  for (std::size_t i = 0; i < defaults->size(); ++i) {
    writer.text((*message.fields)[i]);
    writer.raw((*defaults)[i]);
  }
  if (const auto by_name = cbor_to_json(named)) text += " or '" + shown(*by_name) + "'";
  return text;
}

}  // namespace semper::cli
