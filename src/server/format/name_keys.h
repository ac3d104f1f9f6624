// Where names and their holders lie in a store (name_registry.h). docs/formats.md says the same in
// words.
//
//   (20, 0, session)                 a registry that holds or waits for names, and its renewals
//   (20, 1, session)                 one that has ended, whose names are not all given back yet
//   (20, 2, session, 0, name)        that it holds the name
//   (20, 2, session, 1, name, stamp) that it waits for the name, with the place there
//   (20, 3, name)                    who holds the name, with the stamp of the commit that took it
//   (20, 4, name, stamp)             who waits for the name, in order
//   (20, 5, field, value, name)      the holder's metadata has that field with that value
//
// A name is held while its row is there and the row of the session in it, too. So who removes a
// session's row has taken all of its names at once, however many there are; what is left of it is
// cleared in steps afterwards.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "semper/base/bytes.h"
#include "semper/base/result.h"
#include "semper/store/keys.h"
#include "semper/store/versionstamp.h"

namespace semper::internal {

Bytes names_session_key(BytesView prefix, BytesView session);
KeyRange names_sessions(BytesView prefix);
Bytes names_grave_key(BytesView prefix, BytesView session);
KeyRange names_graves(BytesView prefix);
// The session of a key of those two ranges.
Result<Bytes> session_of_names_key(BytesView prefix, BytesView key);

// What a session has to do with names.
enum class NameTie : std::uint8_t { holds = 0, waits = 1 };
Bytes name_held_key(BytesView prefix, BytesView session, std::string_view name);
Bytes name_wait_key(BytesView prefix, BytesView session, std::string_view name,
                    const Versionstamp& place);
KeyRange name_waits(BytesView prefix, BytesView session, std::string_view name);
KeyRange name_ties(BytesView prefix, BytesView session);
struct TiedName {
  NameTie tie = NameTie::holds;
  std::string name;
  Versionstamp place;  // of a wait
};
Result<TiedName> tied_name(BytesView prefix, BytesView key);

Bytes name_key(BytesView prefix, std::string_view name);
KeyRange all_names(BytesView prefix);
// Those that begin so.
KeyRange names_with_prefix(BytesView prefix, std::string_view begin);
Result<std::string> name_in_key(BytesView prefix, BytesView key);

Bytes candidate_key(BytesView prefix, std::string_view name, const Versionstamp& place);
KeyRange candidates_of(BytesView prefix, std::string_view name);
Result<Versionstamp> place_of_candidate_key(BytesView prefix, BytesView key);

Bytes name_field_key(BytesView prefix, std::string_view field, std::string_view value,
                     std::string_view name);
KeyRange names_with_field(BytesView prefix, std::string_view field, std::string_view value);
Result<std::string> name_of_field_key(BytesView prefix, BytesView key);

// Both end with the place: its stamp is so far from their ends.
inline constexpr std::size_t kPlaceBytes = Versionstamp::size;

}  // namespace semper::internal
