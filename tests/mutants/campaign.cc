#include "campaign.h"

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <functional>
#include <map>
#include <ostream>
#include <thread>

namespace semper::mutants {
namespace {

void do_all(std::size_t count, unsigned jobs, const std::function<void(std::size_t)>& work) {
  std::atomic<std::size_t> next{0};
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < std::max(jobs, 1u); ++i) {
    threads.emplace_back([&] {
      for (auto at = next++; at < count; at = next++) work(at);
    });
  }
  for (auto& thread : threads) thread.join();
}

std::string judged(const Mutant& mutant, const Report& report) {
  switch (report.verdict) {
    case Verdict::found:
      return mutant.survives ? "nothing is wrong there, and something was found" : "";
    case Verdict::nothing:
      return mutant.survives ? "" : "survives";
    case Verdict::no_end:
    case Verdict::useless:
      return "was not attacked";
  }
  return "";
}

// Without a mutant, each attack that found one must find nothing. Many share one command: the longest
// is run.
void hold_against_the_truth(std::vector<Line>& lines, const Attacker& attacker, unsigned jobs) {
  struct Truth {
    Attack attack;
    unsigned long seed = 0;
    Report report;
  };
  std::map<std::string, Truth> truths;
  for (const Line& line : lines) {
    if (line.report.verdict != Verdict::found) continue;
    Truth& truth = truths[line.attack.to_string()];
    const auto seed = line.report.seed.value_or(~0ul);
    if (!truth.attack.program.empty() && seed <= truth.seed) continue;
    truth = {up_to(line.attack, line.report), seed, {}};
    truth.attack.within *= 2;
  }
  std::vector<Truth*> all;
  for (auto& [command, truth] : truths) all.push_back(&truth);
  do_all(all.size(), jobs,
         [&](std::size_t at) { all[at]->report = attacker.run(all[at]->attack, ""); });
  for (Line& line : lines) {
    const auto truth = truths.find(line.attack.to_string());
    if (truth == truths.end() || !line.wrong.empty()) continue;
    const Report& report = truth->second.report;
    if (report.verdict != Verdict::nothing) {
      line.wrong = "its attack does not pass without it: " + report.what;
    }
  }
}

}  // namespace

std::vector<Line> run_campaign(const std::vector<Mutant>& mutants, const Attacker& attacker,
                               const CampaignOptions& options) {
  std::vector<Line> lines;
  std::vector<const Mutant*> of;
  for (const Mutant& mutant : mutants) {
    for (const Attack& attack : mutant.attacks) {
      lines.push_back({.mutant = mutant.name, .attack = attack, .report = {}, .wrong = {}});
      of.push_back(&mutant);
      if (!options.all_attackers) break;
    }
  }
  do_all(lines.size(), options.jobs, [&](std::size_t at) {
    lines[at].report = attacker.run(lines[at].attack, lines[at].mutant);
    lines[at].wrong = judged(*of[at], lines[at].report);
  });
  hold_against_the_truth(lines, attacker, options.jobs);
  return lines;
}

bool print_campaign(std::ostream& out, const std::vector<Line>& lines) {
  std::size_t width = 0;
  for (const Line& line : lines) width = std::max(width, line.mutant.size());
  std::size_t caught = 0;
  double seconds = 0;
  for (const Line& line : lines) {
    char time[32];
    std::snprintf(time, sizeof time, "%6.2f s  ", line.report.seconds);
    const bool found = line.report.verdict == Verdict::found;
    out << line.mutant << std::string(width - line.mutant.size() + 2, ' ') << time
        << line.attack.program << ": " << (found ? "" : "nothing found ") << line.report.what
        << "\n";
    seconds += line.report.seconds;
    if (found) ++caught;
  }
  out << caught << " of " << lines.size() << " attacks found their mutant, in " << seconds
      << " s of attacks\n";
  bool good = true;
  for (const Line& line : lines) {
    if (line.wrong.empty()) continue;
    good = false;
    out << "\nWRONG: " << line.mutant << ": " << line.wrong << "; " << line.report.what
        << "\n  again: SEMPER_MUTANT=" << line.mutant << " " << line.attack.to_string() << "\n";
  }
  return good;
}

}  // namespace semper::mutants
