// semper-mutants: plants known bugs, one at a time, and demands that the tests find them.
#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <stdexcept>

#include "campaign.h"

namespace semper::mutants {
namespace {

constexpr const char* kHelp =
    R"(semper-mutants: plants the bugs of tests/mutants/lists, one at a time; tests must find each.

  --mutant NAME     only this one; may be there more than once
  --all-attackers   every attack of each mutant has to find it; default: one of them, as in CI
  --jobs N          processes at a time; default 2
  --lists FOLDER    default: those of the tree
  --build FOLDER    where the test programs are; default: the build that this program is of
  --table FILE      writes the table there, and prints only what is wrong
  --names           prints the names of all mutants, and runs nothing
  --help

Ends with 0 where each was found and no canary was, 1 where not, 2 where the command or a list is
wrong.
)";

struct Command {
  CampaignOptions campaign;
  std::vector<std::string> mutants;
  std::string lists = SEMPER_MUTANT_LISTS;
  std::string build = SEMPER_BUILD_FOLDER;
  std::string table;
  bool names = false;
  bool helps = false;
};

Command parse(const std::vector<std::string>& words) {
  Command command;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string& option = words[i];
    const auto value = [&]() -> const std::string& {
      if (i + 1 >= words.size()) throw std::runtime_error(option + " wants a value");
      return words[++i];
    };
    if (option == "--help") {
      command.helps = true;
    } else if (option == "--names") {
      command.names = true;
    } else if (option == "--mutant") {
      command.mutants.push_back(value());
    } else if (option == "--all-attackers") {
      command.campaign.all_attackers = true;
    } else if (option == "--jobs") {
      const int jobs = std::atoi(value().c_str());
      if (jobs < 1) throw std::runtime_error("--jobs wants a number from 1 on");
      command.campaign.jobs = static_cast<unsigned>(jobs);
    } else if (option == "--lists") {
      command.lists = value();
    } else if (option == "--build") {
      command.build = value();
    } else if (option == "--table") {
      command.table = value();
    } else {
      throw std::runtime_error("\"" + option + "\" is no option; semper-mutants --help lists them");
    }
  }
  return command;
}

std::vector<Mutant> chosen(std::vector<Mutant> all, const std::vector<std::string>& names) {
  if (names.empty()) return all;
  std::vector<Mutant> some;
  for (const auto& name : names) {
    const auto found = std::find_if(all.begin(), all.end(),
                                    [&](const Mutant& mutant) { return mutant.name == name; });
    if (found == all.end()) {
      throw std::runtime_error("\"" + name + "\" is no mutant; --names prints their names");
    }
    some.push_back(*found);
  }
  return some;
}

int main_of(const std::vector<std::string>& words) {
  const Command command = parse(words);
  if (command.helps) {
    std::cout << kHelp;
    return 0;
  }
  const auto mutants = chosen(read_lists(command.lists), command.mutants);
  if (command.names) {
    for (const Mutant& mutant : mutants) std::cout << mutant.name << "\n";
    return 0;
  }
  const auto lines = run_campaign(mutants, Attacker(command.build), command.campaign);
  if (!command.table.empty()) {
    std::ofstream table(command.table);
    print_table(table, lines);
    print_verdict(table, lines);
  } else {
    print_table(std::cout, lines);
  }
  return print_verdict(std::cout, lines) ? 0 : 1;
}

}  // namespace
}  // namespace semper::mutants

int main(int count, char** words) {
  try {
    return semper::mutants::main_of({words + 1, words + count});
  } catch (const std::exception& thrown) {
    std::cerr << "semper-mutants: " << thrown.what() << "\n";
    return 2;
  }
}
