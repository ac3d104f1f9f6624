// NameRegistryOptions, CampaignOptions, NameView: how names (server/name_registry.h) are held, and how
// they are seen; and their bounds. The defaults suit most programs.
//
//   NameRegistryOptions options;
//   options.owner = "billing on host-7";
//
// When not: the lease of an entity's lock is HostOptions::lock_lease.
// Threads: values.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>

#include "semper/base/time.h"
#include "semper/env/asio.h"

namespace semper {

// A name: 1 to 256 bytes of UTF-8 without control characters.
inline constexpr std::size_t kNameBytesMaximum = 256;
// Metadata: so many fields; the bytes of a field's name, of its value, and of all together. UTF-8.
inline constexpr std::size_t kNameFieldsMaximum = 16;
inline constexpr std::size_t kNameFieldBytesMaximum = 64;
inline constexpr std::size_t kNameValueBytesMaximum = 512;
inline constexpr std::size_t kNameMetadataBytesMaximum = 4096;
// Names that one registry holds.
inline constexpr std::size_t kNamesHeldMaximum = 10'000;
// Who waits for one name, about.
inline constexpr std::size_t kCandidatesMaximum = 1'000;
// Names of one page of list_names, and rows that are looked at for it.
inline constexpr std::size_t kNamesPerPageMaximum = 1'000;

// What others are to know of a holder: an address, a version, a zone. Each field can be asked for
// by its value.
using NameMetadata = std::map<std::string, std::string>;

struct NameRegistryOptions {
  // Without a renewal for so long, this registry is taken for dead. Shorter finds a dead owner
  // sooner, and loses names when the machine or the store stands still for so long. Default: five
  // seconds. At least 30 ms.
  Duration lease = std::chrono::seconds(5);

  // Shown to people; default: process name and number.
  std::string owner;

  // Where everything runs instead of on a thread of its own. Default: none. A simulation gives its
  // loop here. Whoever gives another executor keeps it free: while it is blocked, nothing is
  // renewed.
  Executor executor = {};
};

struct CampaignOptions {
  NameMetadata metadata;
  // How long to wait. kForever: until the name is held.
  Duration timeout = kForever;
};

// Who holds a name.
struct NameView {
  std::string name;
  std::string owner;    // NameRegistryOptions::owner
  std::string session;  // of the owner's registry: the same for all names that it holds
  std::uint64_t token = 0;
  WallTime since;  // by the owner's calendar, for people
  NameMetadata metadata;
};

// Whoever waits for a change of a name looks at it so often, whatever it was told.
inline constexpr Duration kNamesLook = std::chrono::seconds(2);

}  // namespace semper
