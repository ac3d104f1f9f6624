// Was money made, lost or spent twice? For accounts that pay each other: a transfer takes the
// amount out of one account, and puts it into another one by a message that is sent in the same
// transaction.
//
// What must hold when everything has arrived:
//   - the sum of all balances is what was paid in, and no balance is negative;
//   - each transfer that went out came in, once, and none came in that did not go out;
//   - one that its caller was told of went out once; one that was refused did not; one that was
//     left without an answer did once or not at all.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "fate.h"

namespace semper::testing {

struct AccountBook {
  std::int64_t balance = 0;
  std::vector<std::uint64_t> out;  // transfers, in their order
  std::vector<std::uint64_t> in;
};

// Sentences; empty: every promise was kept. `accounts` by name; `transfers`: what callers were
// told.
std::vector<std::string> judge_ledger(std::int64_t paid_in,
                                      const std::map<std::string, AccountBook>& accounts,
                                      const std::map<std::uint64_t, Fate>& transfers);

}  // namespace semper::testing
