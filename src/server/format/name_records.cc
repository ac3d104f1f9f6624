#include "server/format/name_records.h"

#include <algorithm>
#include <utility>

#include "semper/base/cbor.h"

namespace semper::internal {
namespace {

constexpr std::size_t kNameElements = 5;

Error damaged_name(const std::string& why) {
  return Error(ErrorKind::corrupt, "the row of a name is damaged: " + why);
}

bool read_metadata(cbor::Reader& reader, NameMetadata& metadata) {
  std::uint64_t fields = 0;
  bool ok = reader.read_array(fields);
  for (std::uint64_t i = 0; ok && i < fields; ++i) {
    std::string_view field;
    std::string_view value;
    std::uint64_t two = 0;
    ok = reader.read_array(two) && (two == 2 || reader.fail("expected a field and its value")) &&
         reader.read_text(field) && reader.read_text(value);
    if (ok) metadata.emplace(field, value);
  }
  return ok;
}

Status check_text(const std::string& what, std::string_view text, Limit limit) {
  if (text.empty()) return fail(ErrorKind::invalid_argument, what + " is empty");
  if (text.size() > limit.value) {
    return fail(ErrorKind::invalid_argument, limit,
                what + " has " + std::to_string(text.size()) + " bytes, the limit is " +
                    std::to_string(limit.value));
  }
  const bool has_control =
      std::any_of(text.begin(), text.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; });
  if (!is_utf8(text) || has_control) {
    return fail(ErrorKind::invalid_argument,
                what + " is not UTF-8 text without control characters: " + to_printable(text, 64));
  }
  return {};
}

}  // namespace

Bytes NameRecord::encode() const {
  Bytes out(taken.bytes().substr(0, Versionstamp::store_size));
  cbor::Writer writer(out);
  writer.array(kNameElements);
  writer.bytes(session);
  writer.bytes(holding);
  writer.text(owner);
  writer.integer(since_ms);
  writer.array(metadata.size());
  for (const auto& [field, value] : metadata) {
    writer.array(2);
    writer.text(field);
    writer.text(value);
  }
  return out;
}

Result<NameRecord> NameRecord::decode(BytesView bytes) {
  if (bytes.size() < Versionstamp::store_size) return fail(damaged_name("it is too short"));
  Bytes stamp(bytes.substr(0, Versionstamp::store_size));
  stamp.append(Versionstamp::size - Versionstamp::store_size, '\0');
  NameRecord record;
  SEMPER_TRY(record.taken, Versionstamp::from_bytes(stamp));
  cbor::Reader reader(bytes.substr(Versionstamp::store_size));
  std::uint64_t elements = 0;
  BytesView session;
  BytesView holding;
  std::string_view owner;
  bool ok = reader.read_array(elements) &&
            (elements >= kNameElements || reader.fail("expected an array of 5 or more")) &&
            reader.read_bytes(session) && reader.read_bytes(holding) && reader.read_text(owner) &&
            reader.read_signed(record.since_ms) && read_metadata(reader, record.metadata);
  for (std::uint64_t i = kNameElements; ok && i < elements; ++i) ok = reader.skip();
  if (!ok || !reader.finish()) return fail(damaged_name(reader.error().message()));
  record.session = Bytes(session);
  record.holding = Bytes(holding);
  record.owner = std::string(owner);
  return record;
}

NameView view_of(std::string name, const NameRecord& record) {
  NameView view;
  view.name = std::move(name);
  view.owner = record.owner;
  view.session = to_hex(record.session);
  view.token = record.token();
  view.since = WallTime(std::chrono::milliseconds(record.since_ms));
  view.metadata = record.metadata;
  return view;
}

Status check_name_text(std::string_view name) {
  return check_text("the name", name, {"kNameBytesMaximum", kNameBytesMaximum});
}

Status check_name_metadata(const NameMetadata& metadata) {
  if (metadata.size() > kNameFieldsMaximum) {
    return fail(ErrorKind::invalid_argument, Limit{"kNameFieldsMaximum", kNameFieldsMaximum},
                "a name's metadata has " + std::to_string(metadata.size()) +
                    " fields, the limit is " + std::to_string(kNameFieldsMaximum));
  }
  std::size_t bytes = 0;
  for (const auto& [field, value] : metadata) {
    SEMPER_TRY_STATUS(check_text("a field's name in the metadata", field,
                                 {"kNameFieldBytesMaximum", kNameFieldBytesMaximum}));
    bytes += field.size() + value.size();
    if (value.empty()) continue;
    SEMPER_TRY_STATUS(check_text("the value of " + field + " in the metadata", value,
                                 {"kNameValueBytesMaximum", kNameValueBytesMaximum}));
  }
  if (bytes > kNameMetadataBytesMaximum) {
    return fail(ErrorKind::invalid_argument,
                Limit{"kNameMetadataBytesMaximum", kNameMetadataBytesMaximum},
                "a name's metadata has " + std::to_string(bytes) + " bytes, the limit is " +
                    std::to_string(kNameMetadataBytesMaximum));
  }
  return {};
}

}  // namespace semper::internal
