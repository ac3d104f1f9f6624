// How a report reads.
#include <ostream>

#include "semper/testing/harness_report.h"

namespace semper::testing {

std::string HarnessReport::to_string() const {
  std::string text = std::to_string(runs);
  if (possible > runs) text += " of " + std::to_string(possible);
  text += " runs, " + std::to_string(findings.size()) + " findings (" + std::to_string(points) +
          " points)\n";
  for (const auto& remark : remarks) text += "note: " + remark + "\n";
  for (const auto& finding : findings) {
    text += "\n" + finding.run + ": " + finding.what + "\n  again: " + finding.repeat +
            "\n  what happened before (seconds, who, what):\n";
    for (const auto& line : finding.history) text += "  " + line + "\n";
  }
  return text;
}

std::ostream& operator<<(std::ostream& out, const HarnessReport& report) {
  return out << report.to_string();
}

}  // namespace semper::testing
