// A campaign against mutants: each is attacked, and what attacked it must find nothing without it.
#pragma once

#include <iosfwd>
#include <string>
#include <vector>

#include "attack.h"

namespace semper::mutants {

struct CampaignOptions {
  bool all_attackers = false;  // each attack of a mutant has to find it, not only the first
  unsigned jobs = 2;           // processes at a time
};

struct Line {
  std::string mutant;
  Attack attack;
  Report report;
  std::string wrong;  // empty: as it has to be
};

// A line for each attack, in the order of the mutants.
std::vector<Line> run_campaign(const std::vector<Mutant>& mutants, const Attacker& attacker,
                               const CampaignOptions& options);

// The table, then what is wrong; false: something is.
bool print_campaign(std::ostream& out, const std::vector<Line>& lines);

}  // namespace semper::mutants
