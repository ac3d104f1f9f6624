// Needs: what an entity needs of a host, as one that could not do with it has noted it for the
// others.
//
// The note is the value of the entity's index entry, which is empty otherwise. Hosts that know more
// take the entities so marked in the shards of those that know less (membership.h). Whoever sends
// to the entity writes the entry anew, without the note; the host that left it alone marks it again
// when it looks next. Hosts of 0.1.0 neither write nor read it. An unreadable note is as none.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "semper/base/bytes.h"
#include "semper/server/message.h"

namespace semper::internal {

// How a message is taken: the numbers of Event, and one more. Part of the format.
enum class Way : std::uint8_t { call = 0, cast = 1, info = 2, locked = 3 };

struct Needs {
  std::uint32_t state_version = 0;  // of its state, at least; 0: any will do
  // More than this, which whoever wrote the note could not tell: fields that its State lacks, a
  // newer format of Semper's.
  bool newer_program = false;
  // Its first message, which has to be taken so; empty: any.
  std::string message;
  Way way = Way::call;

  // "version >= 3"; "a host that takes cast Foo"; "a newer program".
  std::string to_string() const;

  Bytes encode() const;
  static std::optional<Needs> decode(BytesView value);

  friend bool operator==(const Needs&, const Needs&) = default;
};

}  // namespace semper::internal
