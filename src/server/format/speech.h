// Speech: which types a host serves, with which versions of their states and which messages.
//
// (9, host), beside the host's row, written where it changes. So hosts of a fleet that is being
// upgraded know who can do with what (membership.h), and `semper types` shows it. Hosts of 0.1.0
// write none.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "semper/base/bytes.h"
#include "semper/base/result.h"
#include "semper/server/internal/limit_rules.h"

namespace semper::internal {

class Behaviour;

// What does not fit is left out, which the row says: types of a host, names of a type's messages,
// and bytes of all names.
inline constexpr std::size_t kSpokenTypes = 256;
inline constexpr std::size_t kSpokenMessages = 256;
inline constexpr std::size_t kSpokenBytes = 32u << 10;

struct SpokenMessage {
  std::string name;
  std::uint8_t ways = 0;  // bits: 1 call, 2 cast, 4 info, 8 locked

  friend bool operator==(const SpokenMessage&, const SpokenMessage&) = default;
};

struct SpokenType {
  std::string type;
  std::uint32_t state_version = 1;
  // It has met an entity that needs a newer program than its own, without saying which.
  bool is_behind = false;
  std::vector<SpokenMessage> messages;  // by name, former ones too
  bool has_more = false;                // messages that are left out
  std::uint64_t digest = 0;             // of all its messages
  LimitRules limits = {};               // of the type; for people

  // Whether this one can do whatever the other can.
  bool covers(const SpokenType& other) const;

  friend bool operator==(const SpokenType&, const SpokenType&) = default;
};

SpokenType spoken_of(const Behaviour& behaviour, bool is_behind);

// Of one host, by type.
Bytes encode_speech(const std::vector<SpokenType>& types);
Result<std::vector<SpokenType>> decode_speech(BytesView bytes);

}  // namespace semper::internal
