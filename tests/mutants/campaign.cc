#include "campaign.h"

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <functional>
#include <map>
#include <numeric>
#include <optional>
#include <ostream>
#include <thread>
#include <utility>

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

// An attack on real threads and processes can miss what it finds on another day.
constexpr int kTries = 2;

bool is_as_it_has_to_be(const Mutant& mutant, const Line& line) {
  return line.report.verdict == (mutant.survives ? Verdict::nothing : Verdict::found);
}

// The first attack that finds the mutant, of `most`; what is wrong is told of the first one.
Line attacked(const Mutant& mutant, const Attacker& attacker, std::size_t most) {
  std::optional<Line> first;
  for (std::size_t i = 0; i < std::min(most, mutant.attacks.size()); ++i) {
    for (int tries = 0; tries < kTries; ++tries) {
      Line line;
      line.mutant = mutant.name;
      line.attack = mutant.attacks[i];
      line.report = attacker.run(line.attack, mutant.name);
      line.runs_before = static_cast<int>(i) * kTries + tries;
      line.wrong = judged(mutant, line.report);
      if (is_as_it_has_to_be(mutant, line)) return line;
      if (!first) first = std::move(line);
      if (mutant.survives) break;
    }
  }
  return std::move(*first);
}

// Without a mutant, each attack that found one must find nothing. Many share one command: the
// longest is run.
void hold_against_the_truth(std::vector<Line>& lines, const Attacker& attacker, unsigned jobs) {
  struct Truth {
    Attack attack;
    unsigned long seed = 0;
    Report report;
    bool is_unsteady = false;  // found something, and nothing the next time
  };
  std::map<std::string, Truth> truths;
  for (const Line& line : lines) {
    if (line.report.verdict != Verdict::found) continue;
    Truth& truth = truths[line.attack.to_string()];
    const auto seed = line.report.seed.value_or(~0ul);
    if (!truth.attack.program.empty() && seed <= truth.seed) continue;
    truth = {up_to(line.attack, line.report), seed, {}, false};
    truth.attack.within *= 2;
  }
  std::vector<Truth*> all;
  for (auto& [command, truth] : truths) all.push_back(&truth);
  do_all(all.size(), jobs,
         [&](std::size_t at) { all[at]->report = attacker.run(all[at]->attack, ""); });
  for (Truth* truth : all) {
    if (truth->report.verdict == Verdict::nothing) continue;
    const Report again = attacker.run(truth->attack, "");
    truth->is_unsteady = again.verdict == Verdict::nothing;
  }
  for (Line& line : lines) {
    const auto truth = truths.find(line.attack.to_string());
    if (truth == truths.end() || !line.wrong.empty()) continue;
    const Report& report = truth->second.report;
    if (report.verdict == Verdict::nothing) continue;
    auto& finding = truth->second.is_unsteady ? line.unsteady : line.wrong;
    finding = "its attack does not pass without it: " + report.what;
  }
}

}  // namespace

std::vector<Line> run_campaign(const std::vector<Mutant>& mutants, const Attacker& attacker,
                               const CampaignOptions& options) {
  struct Task {
    Mutant mutant;
    std::size_t most;
  };
  std::vector<Task> tasks;
  for (const Mutant& mutant : mutants) {
    if (!options.all_attackers) {
      tasks.push_back({mutant, mutant.attacks.size()});
      continue;
    }
    for (const Attack& attack : mutant.attacks) {
      tasks.push_back({mutant, 1});
      tasks.back().mutant.attacks = {attack};
    }
  }
  // What may take long begins first: no processor then waits for the last of them.
  std::vector<std::size_t> order(tasks.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return tasks[a].mutant.attacks.front().within > tasks[b].mutant.attacks.front().within;
  });
  std::vector<Line> lines(tasks.size());
  do_all(tasks.size(), options.jobs, [&](std::size_t i) {
    const auto& task = tasks[order[i]];
    lines[order[i]] = attacked(task.mutant, attacker, task.most);
  });
  hold_against_the_truth(lines, attacker, options.jobs);
  return lines;
}

void print_table(std::ostream& out, const std::vector<Line>& lines) {
  std::size_t width = 0;
  for (const Line& line : lines) width = std::max(width, line.mutant.size());
  for (const Line& line : lines) {
    char time[32];
    std::snprintf(time, sizeof time, "%6.2f s  ", line.report.seconds);
    const bool found = line.report.verdict == Verdict::found;
    out << line.mutant << std::string(width - line.mutant.size() + 2, ' ') << time
        << line.attack.program << ": " << (found ? "" : "nothing found ") << line.report.what
        << "\n";
  }
}

bool print_verdict(std::ostream& out, const std::vector<Line>& lines) {
  std::size_t caught = 0;
  std::size_t wrong = 0;
  double seconds = 0;
  for (const Line& line : lines) {
    if (line.runs_before > 0) {
      out << "missed at first: " << line.mutant << ", in " << line.runs_before << " runs\n";
    }
    if (!line.unsteady.empty()) {
      out << "unsteady: " << line.mutant << ": " << line.unsteady
          << "\n  again: " << line.attack.to_string() << "\n";
    }
    seconds += line.report.seconds;
    if (line.report.verdict == Verdict::found) ++caught;
    if (line.wrong.empty()) continue;
    ++wrong;
    out << "WRONG: " << line.mutant << ": " << line.wrong << "; " << line.report.what
        << "\n  again: SEMPER_MUTANT=" << line.mutant << " " << line.attack.to_string() << "\n";
  }
  out << caught << " of " << lines.size() << " attacks found their mutant, " << wrong
      << " are not as they have to be, in " << seconds << " s of attacks\n";
  return wrong == 0;
}

}  // namespace semper::mutants
