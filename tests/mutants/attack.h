// Runs one attack as a process, with or without a mutant, and says what came of it.
#pragma once

#include <optional>
#include <string>

#include "list.h"

namespace semper::mutants {

enum class Verdict {
  found,    // a test failed, the simulation has a finding, or the program was aborted
  nothing,  // it looked, and all was well
  no_end,   // it did not end in its time
  useless,  // it did not look: a wrong command, no test that ran, a program that is not there
};

struct Report {
  Verdict verdict = Verdict::useless;
  std::string what;  // one line: the test that failed, the seed, the signal, the reason
  double seconds = 0;
  std::optional<unsigned long> seed;  // of semper-sim, where it found something
};

class Attacker {
 public:
  // `build`: the folder of the build, in which programs are looked for by their names.
  explicit Attacker(std::string build) : build_(std::move(build)) {}

  // `mutant`: its name, or nothing. It ends with its first finding. Threads: any.
  Report run(const Attack& attack, const std::string& mutant) const;

 private:
  std::string path_of(const std::string& program) const;  // empty: not there

  std::string build_;
};

// The same attack, no further than the seed at which a mutant was found: what the program without
// the mutant has to pass for that finding to count.
Attack up_to(const Attack& attack, const Report& report);

}  // namespace semper::mutants
