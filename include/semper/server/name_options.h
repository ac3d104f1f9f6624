// NameRegistryOptions, CampaignOptions, NameView: options, views and bounds of names
// (server/name_registry.h). The defaults suit most programs.
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
// Metadata: the number of fields, and the bytes of a field's name, of its value, and of all fields
// together. UTF-8.
inline constexpr std::size_t kNameFieldsMaximum = 16;
inline constexpr std::size_t kNameFieldBytesMaximum = 64;
inline constexpr std::size_t kNameValueBytesMaximum = 512;
inline constexpr std::size_t kNameMetadataBytesMaximum = 4096;
// Names that one registry holds.
inline constexpr std::size_t kNamesHeldMaximum = 10'000;
// Candidates that wait for one name (approximate).
inline constexpr std::size_t kCandidatesMaximum = 1'000;
// Names in one page of list_names, and rows that are read for it.
inline constexpr std::size_t kNamesPerPageMaximum = 1'000;

// What others should know about a holder: an address, a version, a zone. Names can be queried by
// the value of each field.
using NameMetadata = std::map<std::string, std::string>;

struct NameRegistryOptions {
  // Without a renewal for this long, this registry is considered dead. A shorter lease finds a dead
  // owner sooner, but loses names when the machine or the store stalls for that long. Default: five
  // seconds. At least 30 ms.
  Duration lease = std::chrono::seconds(5);

  // For people to read. Default: process name and number.
  std::string owner;

  // If set, everything runs here instead of on the registry's own thread. Default: none. A
  // simulation passes its loop here. Keep any other executor free: while it is blocked, nothing is
  // renewed.
  Executor executor = {};
};

struct CampaignOptions {
  NameMetadata metadata;
  // How long to wait. kForever: until the name is acquired.
  Duration timeout = kForever;
};

// Who holds a name.
struct NameView {
  std::string name;
  std::string owner;    // NameRegistryOptions::owner
  std::string session;  // of the owner's registry; the same for all names that it holds
  std::uint64_t token = 0;
  WallTime since;  // by the owner's wall clock, for people
  NameMetadata metadata;
};

// How often a waiter checks a name for a change, even without a wake-up.
inline constexpr Duration kNamesLook = std::chrono::seconds(2);

}  // namespace semper
