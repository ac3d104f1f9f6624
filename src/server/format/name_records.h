// The row of a name that is held: CBOR behind the stamp of the commit that took it
// (docs/formats.md).
#pragma once

#include <cstdint>
#include <string>

#include "semper/base/bytes.h"
#include "semper/base/result.h"
#include "semper/server/name_options.h"
#include "semper/store/versionstamp.h"

namespace semper::internal {

// (20, 3, name). Rows with more elements than are known are read, and what is unknown is passed
// over.
struct NameRecord {
  Versionstamp taken;  // filled by the store; incomplete while encoding the first time
  Bytes session;
  Bytes holding;  // drawn by the holder, so that it knows its own whatever a commit answered
  std::string owner;
  std::int64_t since_ms = 0;  // wall clock, for people
  NameMetadata metadata;

  std::uint64_t token() const { return taken.version(); }
  Bytes encode() const;
  static Result<NameRecord> decode(BytesView bytes);
};

NameView view_of(std::string name, const NameRecord& record);

// Errors: invalid_argument.
Status check_name_text(std::string_view name);
Status check_name_metadata(const NameMetadata& metadata);

}  // namespace semper::internal
