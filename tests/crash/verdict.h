// Compares what publishers were told with what ledgers hold.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "journal.h"
#include "ledger.h"

namespace semper::testing {

struct Verdict {
  std::vector<std::string> wrong;  // each a sentence; empty: every promise was kept
  std::uint64_t acknowledged = 0;  // posts that were checked to be there
  std::uint64_t open = 0;          // posts without an answer: may be there or not, not twice
  std::uint64_t open_applied = 0;  // of them, those that are there
};

// `ledgers` by id; `total` collects what they sent on.
Verdict judge(const std::vector<Step>& steps, const std::map<std::string, Ledger::State>& ledgers,
              const Ledger::State& total);

}  // namespace semper::testing
