#include "list.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <stdexcept>

namespace semper::mutants {
namespace {

constexpr int kSecondsAtMost = 60;

class Reader {
 public:
  explicit Reader(const std::string& path) : path_(path) {}

  void take(const std::string& line) {
    ++line_;
    std::istringstream words(line);
    std::string key;
    if (!(words >> key) || key[0] == '#') return;
    std::string rest;
    std::getline(words >> std::ws, rest);
    if (rest.empty()) fail(key + " says nothing");
    if (key == "mutant") {
      finish();
      mutants_.push_back({.name = rest, .bug = {}, .survives = false, .attacks = {}});
      return;
    }
    if (mutants_.empty()) fail("\"" + key + "\" stands before the first mutant");
    Mutant& mutant = mutants_.back();
    if (key == "bug") {
      mutant.bug = rest;
    } else if (key == "must" && rest == "survive") {
      mutant.survives = true;
    } else if (key == "attack") {
      mutant.attacks.push_back(attack_of(rest));
    } else {
      fail("\"" + key + "\" is none of mutant, bug, must survive, attack");
    }
  }

  std::vector<Mutant> end() {
    finish();
    return std::move(mutants_);
  }

 private:
  void finish() const {
    if (mutants_.empty()) return;
    const Mutant& last = mutants_.back();
    if (last.bug.empty()) fail(last.name + " has no bug");
    if (last.attacks.empty()) fail(last.name + " is attacked by nobody");
  }

  Attack attack_of(const std::string& text) const {
    std::istringstream words(text);
    Attack attack;
    int seconds = 0;
    if (!(words >> seconds) || seconds < 1 || seconds > kSecondsAtMost) {
      fail("attack begins with 1 to " + std::to_string(kSecondsAtMost) + " seconds: " + text);
    }
    attack.within = std::chrono::seconds(seconds);
    for (std::string word; words >> word;) {
      const bool is_setting = attack.program.empty() && word.find('=') != std::string::npos;
      if (is_setting) {
        attack.environment.push_back(word);
      } else if (attack.program.empty()) {
        attack.program = word;
      } else {
        attack.arguments.push_back(word);
      }
    }
    if (attack.program.empty()) fail("attack names no program: " + text);
    return attack;
  }

  [[noreturn]] void fail(const std::string& what) const {
    throw std::runtime_error(path_ + ":" + std::to_string(line_) + ": " + what);
  }

  std::string path_;
  int line_ = 0;
  std::vector<Mutant> mutants_;
};

void check_names(const std::vector<Mutant>& mutants) {
  std::set<std::string> names;
  for (const Mutant& mutant : mutants) {
    if (!names.insert(mutant.name).second) {
      throw std::runtime_error("two mutants are called " + mutant.name);
    }
  }
}

}  // namespace

std::string Attack::to_string() const {
  std::string text;
  for (const auto& setting : environment) text += setting + " ";
  text += program;
  for (const auto& argument : arguments) text += " " + argument;
  return text;
}

std::vector<Mutant> parse_list(const std::string& text, const std::string& path) {
  Reader reader(path);
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) reader.take(line);
  auto mutants = reader.end();
  check_names(mutants);
  return mutants;
}

std::vector<Mutant> read_lists(const std::string& folder) {
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() == ".txt") paths.push_back(entry.path());
  }
  std::sort(paths.begin(), paths.end());
  std::vector<Mutant> all;
  for (const auto& path : paths) {
    std::ifstream stream(path);
    std::ostringstream text;
    text << stream.rdbuf();
    for (auto& mutant : parse_list(text.str(), path.string())) all.push_back(std::move(mutant));
  }
  check_names(all);
  return all;
}

}  // namespace semper::mutants
