#include "server/format/name_keys.h"

#include <charconv>

#include "semper/store/tuple_stream.h"
#include "server/format/tuple_key.h"

namespace semper::internal {
namespace {

constexpr std::int64_t kNames = 20;
enum NamesPart : std::int64_t { kSession = 0, kGrave, kTie, kName, kCandidate, kField };

Error misplaced(BytesView key) {
  return Error(ErrorKind::corrupt,
               "key " + to_printable(key) + " is not where names lie in the store");
}

// A reader behind (20, part).
Result<TupleReader> inside_names(BytesView prefix, BytesView key, NamesPart* part) {
  if (!key.starts_with(prefix)) return fail(misplaced(key));
  TupleReader reader(key.substr(prefix.size()));
  SEMPER_TRY(const auto space, reader.read_int64());
  SEMPER_TRY(const auto number, reader.read_int64());
  if (space != kNames) return fail(misplaced(key));
  *part = static_cast<NamesPart>(number);
  return reader;
}

Result<TupleReader> inside_names(BytesView prefix, BytesView key, NamesPart part) {
  NamesPart found{};
  SEMPER_TRY(auto reader, inside_names(prefix, key, &found));
  if (found != part) return fail(misplaced(key));
  return reader;
}

Result<std::string> text_of(TupleReader& reader) {
  Bytes scratch;
  SEMPER_TRY(const auto text, reader.read_text(scratch));
  return std::string(text);
}

}  // namespace

Bytes names_session_key(BytesView prefix, BytesView session) {
  return tuple_key(prefix, kNames, kSession, to_hex(session));
}
KeyRange names_sessions(BytesView prefix) {
  return below(tuple_key(prefix, kNames, kSession));
}
Bytes names_grave_key(BytesView prefix, BytesView session) {
  return tuple_key(prefix, kNames, kGrave, to_hex(session));
}
KeyRange names_graves(BytesView prefix) {
  return below(tuple_key(prefix, kNames, kGrave));
}

Result<Bytes> session_of_names_key(BytesView prefix, BytesView key) {
  NamesPart part{};
  SEMPER_TRY(auto reader, inside_names(prefix, key, &part));
  if (part != kSession && part != kGrave) return fail(misplaced(key));
  SEMPER_TRY(const auto hex, text_of(reader));
  Bytes session;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
    unsigned octet = 0;
    const auto parsed = std::from_chars(hex.data() + i, hex.data() + i + 2, octet, 16);
    if (parsed.ec != std::errc() || parsed.ptr != hex.data() + i + 2) return fail(misplaced(key));
    session.push_back(static_cast<char>(octet));
  }
  // Else it is never removed: its key is another than the one that is made of the session.
  if (to_hex(session) != hex) return fail(misplaced(key));
  return session;
}

Bytes name_held_key(BytesView prefix, BytesView session, std::string_view name) {
  return tuple_key(prefix, kNames, kTie, to_hex(session), NameTie::holds, name);
}
Bytes name_wait_key(BytesView prefix, BytesView session, std::string_view name,
                    const Versionstamp& place) {
  return tuple_key(prefix, kNames, kTie, to_hex(session), NameTie::waits, name, place);
}
KeyRange name_waits(BytesView prefix, BytesView session, std::string_view name) {
  return below(tuple_key(prefix, kNames, kTie, to_hex(session), NameTie::waits, name));
}
KeyRange name_ties(BytesView prefix, BytesView session) {
  return below(tuple_key(prefix, kNames, kTie, to_hex(session)));
}

Result<TiedName> tied_name(BytesView prefix, BytesView key) {
  SEMPER_TRY(auto reader, inside_names(prefix, key, kTie));
  SEMPER_TRY_STATUS(reader.skip());
  SEMPER_TRY(const auto tie, reader.read_int64());
  TiedName tied;
  tied.tie = static_cast<NameTie>(tie);
  if (tied.tie != NameTie::holds && tied.tie != NameTie::waits) return fail(misplaced(key));
  SEMPER_TRY(tied.name, text_of(reader));
  if (tied.tie == NameTie::waits) {
    SEMPER_TRY(tied.place, reader.read_versionstamp());
  }
  return tied;
}

Bytes name_key(BytesView prefix, std::string_view name) {
  return tuple_key(prefix, kNames, kName, name);
}
KeyRange all_names(BytesView prefix) {
  return below(tuple_key(prefix, kNames, kName));
}
KeyRange names_with_prefix(BytesView prefix, std::string_view begin) {
  if (begin.empty()) return all_names(prefix);
  Bytes key = name_key(prefix, begin);
  key.pop_back();              // what ends a text
  return {key, key + '\xff'};  // no byte of UTF-8 is so high
}
Result<std::string> name_in_key(BytesView prefix, BytesView key) {
  SEMPER_TRY(auto reader, inside_names(prefix, key, kName));
  return text_of(reader);
}

Bytes candidate_key(BytesView prefix, std::string_view name, const Versionstamp& place) {
  return tuple_key(prefix, kNames, kCandidate, name, place);
}
KeyRange candidates_of(BytesView prefix, std::string_view name) {
  return below(tuple_key(prefix, kNames, kCandidate, name));
}
Result<Versionstamp> place_of_candidate_key(BytesView prefix, BytesView key) {
  SEMPER_TRY(auto reader, inside_names(prefix, key, kCandidate));
  SEMPER_TRY_STATUS(reader.skip());
  return reader.read_versionstamp();
}

Bytes name_field_key(BytesView prefix, std::string_view field, std::string_view value,
                     std::string_view name) {
  return tuple_key(prefix, kNames, kField, field, value, name);
}
KeyRange names_with_field(BytesView prefix, std::string_view field, std::string_view value) {
  return below(tuple_key(prefix, kNames, kField, field, value));
}
Result<std::string> name_of_field_key(BytesView prefix, BytesView key) {
  SEMPER_TRY(auto reader, inside_names(prefix, key, kField));
  SEMPER_TRY_STATUS(reader.skip());
  SEMPER_TRY_STATUS(reader.skip());
  return text_of(reader);
}

}  // namespace semper::internal
