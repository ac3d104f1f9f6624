// A campaign: processes at work on a disk whose power goes again and again, each time at another
// counted operation, and a judge of what is left.
//
// What a cut takes, when it comes and how the disk behaves follows from the seed; what the
// processes are doing at that moment is up to the machine. A life is a disk from its first file on,
// through a few cuts; its seed is that of the campaign and one more for each life, so that a
// failure can be repeated from the life's beginning.
#pragma once

#include <chrono>
#include <cstdint>
#include <iosfwd>
#include <optional>
#include <string>
#include <vector>

namespace semper::testing {

struct CampaignOptions {
  std::string victim;  // see victim_names()
  std::uint64_t seed = 0;
  std::uint64_t rounds = 0;
  std::chrono::seconds limit = std::chrono::hours(1000);  // no round begins after it
};

struct CampaignResult {
  std::uint64_t cuts = 0;
  std::uint64_t recoveries_cut = 0;  // of them: on what another cut had left, not judged between
  std::uint64_t failed_flushes = 0;
  std::uint64_t judged = 0;  // acknowledgements, in all judgements
  std::vector<std::string> wrong;
  std::string repeat;  // the command
};

std::vector<std::string> victim_names();

// Ends with the first broken promise. `progress` gets a line now and then.
CampaignResult run_campaign(const CampaignOptions& options, std::ostream& progress);

// --victim NAME --rounds N --seed S; the exit code. Nothing: not asked for.
std::optional<int> run_by_hand(const std::vector<std::string>& arguments);

}  // namespace semper::testing
