// A campaign against mutants: each is attacked, and what attacked it must find nothing without it.
#pragma once

#include <iosfwd>
#include <string>
#include <vector>

#include "attack.h"

namespace semper::mutants {

struct CampaignOptions {
  bool all_attackers = false;  // each attack of a mutant has to find it, not only one of them
  unsigned jobs = 2;           // processes at a time
};

struct Line {
  std::string mutant;
  Attack attack;
  Report report;
  std::string wrong;     // empty: as it has to be
  std::string unsteady;  // what was wrong once, and was not the next time
  int runs_before = 0;   // of this and other attacks of the mutant, that did not find it
};

// A line for each attack, in the order of the mutants.
std::vector<Line> run_campaign(const std::vector<Mutant>& mutants, const Attacker& attacker,
                               const CampaignOptions& options);

// A row for each line: what it took, and what was found.
void print_table(std::ostream& out, const std::vector<Line>& lines);

// What is wrong, with the command that shows it again, and a sum; false: something is.
bool print_verdict(std::ostream& out, const std::vector<Line>& lines);

}  // namespace semper::mutants
