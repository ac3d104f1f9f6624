// What transactions do to names: take, wait in line, give back, and clear what a dead session has
// left.
//
// Every change of who holds a name reads the name's row and the row of the session that it is for,
// and writes the name's row: two that take a name, or one that takes it for a session that is being
// taken for dead, conflict.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "semper/store/transaction.h"
#include "server/format/name_records.h"

namespace semper::internal {

// What a registry wants with one name. Borrows the tenant's prefix.
struct NameClaim {
  BytesView prefix;
  Bytes session;
  std::string name;
  Bytes holding;  // drawn for this claim
  std::string owner;
  std::int64_t since_ms = 0;
  NameMetadata metadata;
};

// Whether a session's row is there.
Async<bool> session_lives(Transaction& transaction, BytesView prefix, const Bytes& session,
                          ReadMode mode = ReadMode::serializable);

// Who holds a name: nothing, where nobody does whose session is there.
Async<std::optional<NameRecord>> read_holder(Transaction& transaction, BytesView prefix,
                                             const std::string& name, ReadMode mode);

struct ClaimOutcome {
  enum class Kind : std::uint8_t {
    taken,         // at this commit, or by one before it
    held,          // by `holder`, or others wait before it: nothing, where nobody holds it
    waits,         // it is in the line; `change` fires when it may have moved
    session_gone,  // was taken for dead
    line_is_full
  } kind = Kind::held;
  std::optional<NameRecord> holder;
  std::optional<std::uint64_t> token;  // where an earlier commit had taken it
  std::shared_ptr<Watch> change;
};

// Takes the name where nobody holds it and nobody waits for it.
Async<ClaimOutcome> take_name(Transaction& transaction, const NameClaim& claim);
// Takes it, or takes a place in the line.
Async<ClaimOutcome> join_line(Transaction& transaction, const NameClaim& claim);
// Takes it where the claim's place is the first one and nobody holds it.
Async<ClaimOutcome> look_in_line(Transaction& transaction, const NameClaim& claim);

// Ends the claim: leaves the line, releases the name where this claim holds it. True: it was held.
// `lurking`: a commit of the claim has no outcome yet; it will not take effect any more.
enum class LurkingCommit : std::uint8_t { none, perhaps };
Async<bool> give_back(Transaction& transaction, const NameClaim& claim, LurkingCommit lurking);

// False: it is not held by this claim any more.
Async<bool> change_metadata(Transaction& transaction, const NameClaim& claim,
                            const NameMetadata& metadata);

// Ends a session: all it holds is free. `renewals`: only where it has not been renewed since.
Async<bool> bury_session(Transaction& transaction, BytesView prefix, const Bytes& session,
                         std::optional<std::uint64_t> renewals);
// Clears up to kClearedAtOnce rows of a buried session. True: there is nothing left of it.
inline constexpr std::size_t kClearedAtOnce = 64;
Async<bool> clear_buried(Transaction& transaction, BytesView prefix, const Bytes& session);

}  // namespace semper::internal
