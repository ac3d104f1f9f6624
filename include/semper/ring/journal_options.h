// What a journal may be told, and what it counts.
//
// What for: Journal::start() and statistics(). When not: anything else; see journal.h.
#pragma once

#include <cstdint>
#include <string>

#include "semper/env/clock.h"
#include "semper/ring/item.h"
#include "semper/ring/options.h"

namespace semper::ring {

struct JournalOptions {
  // What the journal is called, and who uses it: for people, in the ring's debug texts.
  std::string name = "journal";
  std::string client = "journal";
  // How long items may gather before they are performed, counted from the first of them. Default:
  // zero, they are performed at once. Raise it where perform is dearer than waiting.
  Duration flush_interval = Duration::zero();
  // The wait after a perform that failed.
  Duration retry_interval = std::chrono::seconds(5);
  // What one perform is given at most.
  PopLimits batch = {};
  // Of a device that holds no ring yet and begins with zeros, which start() makes into one.
  Format format = Format::semper_1;
  // Everything else about the ring; queue and client are taken from above.
  AttachOptions ring = {};
};

struct JournalStatistics {
  std::uint64_t pushed = 0;     // by this handle
  std::uint64_t performed = 0;  // items, with those left by a crash
  std::uint64_t performs = 0;   // that succeeded
  std::uint64_t failures = 0;   // of perform, each retried
};

}  // namespace semper::ring
