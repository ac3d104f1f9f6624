// Options and statistics of a journal.
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
  // The journal's name, and who uses it; for people, in the ring's debug texts.
  std::string name = "journal";
  std::string client = "journal";
  // How long items may gather before they are performed, counted from the first of them. Default:
  // zero; they are performed at once. Raise it if a perform costs more than waiting.
  Duration flush_interval = Duration::zero();
  // The pause after a perform that failed.
  Duration retry_interval = std::chrono::seconds(5);
  // The maximum that one perform is given.
  PopLimits batch = {};
  // The format of the ring that start() creates on a device that holds none and begins with zeros.
  Format format = Format::semper_1;
  // Everything else about the ring; queue and client come from the options above.
  AttachOptions ring = {};
};

struct JournalStatistics {
  std::uint64_t pushed = 0;     // by this handle
  std::uint64_t performed = 0;  // items, including those left by a crash
  std::uint64_t performs = 0;   // that succeeded
  std::uint64_t failures = 0;   // of perform, each retried
};

}  // namespace semper::ring
