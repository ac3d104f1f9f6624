// semper-sim: runs seeds of the simulation. semper-sim --help says how.
#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <stdexcept>

#include "campaign.h"
#include "page.h"
#include "semper/base/log.h"
#include "workload.h"

namespace semper::simulation {
namespace {

constexpr const char* kHelp =
    R"(semper-sim: hosts, callers and a store in simulated time, from a seed.

  --seeds FROM..TO    which seeds; default 1..100
  --plan FILE         what may go wrong, also as features/NAME.txt; may be there more than once
                      (seeds take turns);
                      default: the plans of tests/simulation/plans, without plans/features
  --workload NAME     only this one; default: what the plan says
  --trace FILE.html   the timeline of the seed (with one seed)
  --shrink SEED       looks for a smaller scenario that fails as well, and writes it to
                      shrunk-SEED.txt
  --twice             runs each seed twice and compares the traces
  --failures N        ends after so many; default 5
  --help

Ends with 0 where every promise was kept, 1 where one was broken, 2 where the command is wrong.
)";

class WrongCommand : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

std::uint64_t number_of(std::string_view text, const std::string& option) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) {
    throw WrongCommand(option + ": \"" + std::string(text) + "\" is not a number");
  }
  return number;
}

struct Command {
  CampaignOptions campaign;
  std::optional<std::uint64_t> shrinks;
  bool helps = false;
};

void take_seeds(const std::string& value, CampaignOptions& options) {
  const auto dots = value.find("..");
  options.from = number_of(std::string_view(value).substr(0, dots), "--seeds");
  options.to = dots == std::string::npos
                   ? options.from
                   : number_of(std::string_view(value).substr(dots + 2), "--seeds");
  if (options.to < options.from) throw WrongCommand("--seeds: " + value + " goes backwards");
}

std::vector<std::string> all_plans() {
  std::vector<std::string> paths;
  for (const auto& entry :
       std::filesystem::directory_iterator(SEMPER_SOURCE_FOLDER "/tests/simulation/plans")) {
    if (entry.path().extension() == ".txt") paths.push_back(entry.path().string());
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

// A file, from where this runs or from the source folder; or one of those that there are:
// features/NAME.txt.
std::string plan_at(const std::string& path) {
  for (const char* folder :
       {"", SEMPER_SOURCE_FOLDER "/", SEMPER_SOURCE_FOLDER "/tests/simulation/plans/"}) {
    if (std::filesystem::exists(folder + path)) return folder + path;
  }
  return path;
}

Command parse(const std::vector<std::string>& words) {
  Command command;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string& option = words[i];
    const auto value = [&]() -> const std::string& {
      if (i + 1 >= words.size()) throw WrongCommand(option + " wants a value");
      return words[++i];
    };
    if (option == "--help") {
      command.helps = true;
    } else if (option == "--seeds") {
      take_seeds(value(), command.campaign);
    } else if (option == "--plan") {
      command.campaign.plans.push_back(plan_at(value()));
    } else if (option == "--workload") {
      command.campaign.workload = value();
    } else if (option == "--trace") {
      command.campaign.trace = value();
    } else if (option == "--shrink") {
      command.shrinks = number_of(value(), option);
    } else if (option == "--failures") {
      command.campaign.failures_at_most = number_of(value(), option);
    } else if (option == "--twice") {
      command.campaign.checks_hashes = true;
    } else {
      throw WrongCommand("\"" + option + "\" is no option; semper-sim --help lists them");
    }
  }
  if (command.campaign.plans.empty()) command.campaign.plans = all_plans();
  return command;
}

int shrink_seed(const Command& command) {
  const auto& paths = command.campaign.plans;
  const std::uint64_t seed = *command.shrinks;
  auto plan = read_plan(paths[seed % paths.size()]);
  if (!plan) throw WrongCommand(plan.error().to_string());
  auto scenario = draw_scenario(*plan, seed, known_workloads(), command.campaign.workload);
  if (!scenario) throw WrongCommand(scenario.error().to_string());
  const auto shrunk = shrink(*scenario);
  if (!shrunk) {
    std::cout << "seed " << seed << " does not fail\n";
    return 0;
  }
  const std::string path = "shrunk-" + std::to_string(seed) + ".txt";
  std::ofstream(path) << shrunk->scenario.to_plan();
  std::cout << "after " << shrunk->runs << " runs: " << shrunk->scenario.disturbances.size()
            << " disturbances, " << shrunk->scenario.count("operations") << " operations of "
            << shrunk->scenario.count("clients") << " clients\n";
  for (const auto& finding : shrunk->outcome.findings) std::cout << "  " << finding << "\n";
  std::cout << "again: " << command_for(shrunk->scenario, path, "") << "\n";
  return 1;
}

int main_of(const std::vector<std::string>& words) {
  const Command command = parse(words);
  if (command.helps) {
    std::cout << kHelp << "\nWorkloads:\n";
    for (const auto& kind : workload_kinds()) {
      std::cout << "  " << kind.name << ": " << kind.what << "\n";
    }
    std::cout << "\nKeys of a plan, each with what it is where the plan does not say:\n"
              << describe_keys();
    return 0;
  }
  set_log_level(LogLevel::warning);
  if (command.shrinks) return shrink_seed(command);
  auto result = run_campaign(command.campaign);
  if (!result) throw WrongCommand(result.error().message());
  return result->failed == 0 ? 0 : 1;
}

}  // namespace
}  // namespace semper::simulation

int main(int count, char** words) {
  try {
    return semper::simulation::main_of({words + 1, words + count});
  } catch (const semper::simulation::WrongCommand& wrong) {
    std::cerr << "semper-sim: " << wrong.what() << "\n";
    return 2;
  } catch (const std::exception& thrown) {
    std::cerr << "semper-sim: " << thrown.what() << "\n";
    return 2;
  }
}
