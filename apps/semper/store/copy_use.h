// Who is using a store: hosts, and processes that wait for replies, of all its tenants.
//
// Both have rows that they renew every second or so; a row whose owner was killed stays until a
// host sweeps it. So where there are rows, this waits to see them renewed. Programs that read and
// write keys without hosts and calls leave no such trace.
#pragma once

#include <string>
#include <vector>

#include "common/interrupt.h"
#include "semper/store/store.h"

namespace semper::cli {

// A row that is not renewed for so long has lost its owner.
inline constexpr Duration kUseSilence = std::chrono::seconds(10);
// Directories that are looked into.
inline constexpr std::size_t kTenantsMaximum = 100'000;

struct StoreUse {
  std::vector<std::string> alive;   // each in words; empty: nobody uses the store
  std::vector<std::string> silent;  // registered, and not renewed for kUseSilence
};

// Errors: cancelled (interrupted while it waited), exhausted (more tenants), and those of reads.
Async<StoreUse> find_use(const Store& store, const Interrupt& interrupt);

// "host worker 7, a process that waits for replies, ... (12 in all)".
std::string use_in_words(const std::vector<std::string>& users);

}  // namespace semper::cli
