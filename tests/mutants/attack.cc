#include "attack.h"

#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <filesystem>
#include <sstream>

#include "semper/testing/child_process.h"

namespace semper::mutants {
namespace {

constexpr const char* kSimulation = "semper-sim";
constexpr const char* kFailedTest = "[  FAILED  ] ";
constexpr const char* kPassedTests = "[  PASSED  ] ";
constexpr const char* kFailedSeed = "FAILED: seed ";

std::vector<std::string> arguments_of(const Attack& attack) {
  std::vector<std::string> arguments = attack.arguments;
  // Plans are named from the top of the sources, wherever this runs.
  for (std::size_t i = 1; i < arguments.size(); ++i) {
    if (arguments[i - 1] == "--plan" && !arguments[i].starts_with('/')) {
      arguments[i] = SEMPER_SOURCES "/" + arguments[i];
    }
  }
  if (attack.program == kSimulation) {
    arguments.insert(arguments.end(), {"--failures", "1"});
  } else {
    arguments.insert(arguments.end(), {"--gtest_fail_fast", "--gtest_brief=1"});
  }
  return arguments;
}

// What follows the first `mark` in its line; empty where there is none.
std::string rest_of_line(const std::string& text, const std::string& mark) {
  const auto at = text.find(mark);
  if (at == std::string::npos) return {};
  const auto from = at + mark.size();
  return text.substr(from, text.find('\n', from) - from);
}

std::string last_line(std::string text) {
  while (!text.empty() && text.back() == '\n') text.pop_back();
  const auto at = text.rfind('\n');
  return at == std::string::npos ? text : text.substr(at + 1);
}

bool is_abort(int signal) {
  return signal == SIGABRT || signal == SIGSEGV || signal == SIGBUS || signal == SIGILL ||
         signal == SIGFPE;
}

void judge_simulation(int code, const std::string& output, Report& report) {
  const std::string failed = rest_of_line(output, kFailedSeed);
  if (code == 0) {
    report.verdict = Verdict::nothing;
  } else if (code == 1 && !failed.empty()) {
    report.verdict = Verdict::found;
    report.seed = std::stoul(failed);
    report.what = "seed " + std::to_string(*report.seed) + ": " + rest_of_line(output, "\n  ");
  }
}

void judge_tests(int code, const std::string& output, Report& report) {
  const std::string failed = rest_of_line(output, kFailedTest);
  const std::string passed = rest_of_line(output, kPassedTests);
  if (code == 1 && !failed.empty()) {
    report.verdict = Verdict::found;
    report.what = failed.substr(0, failed.find_first_of(" ,("));
  } else if (code == 0 && (passed.empty() || std::atoi(passed.c_str()) == 0)) {
    report.what = "no test ran";
  } else if (code == 0) {
    report.verdict = Verdict::nothing;
  }
}

}  // namespace

std::string Attacker::path_of(const std::string& program) const {
  namespace fs = std::filesystem;
  const auto here = fs::path(build_) / program;
  if (fs::is_regular_file(here)) return here.string();
  std::error_code error;
  for (const auto& folder : fs::directory_iterator(fs::path(build_) / "tests", error)) {
    const auto there = folder.path() / program;
    if (fs::is_regular_file(there)) return there.string();
  }
  return {};
}

Report Attacker::run(const Attack& attack, const std::string& mutant) const {
  Report report;
  const std::string path = path_of(attack.program);
  if (path.empty()) {
    report.what = attack.program + " is not built";
    return report;
  }
  testing::ProgramToStart program{path};
  program.arguments = arguments_of(attack);
  program.environment = attack.environment;
  program.environment.push_back("SEMPER_MUTANT=" + mutant);
  // The same worlds each time: an attack that finds its mutant finds it again.
  program.environment.push_back("SEMPER_TEST_SEED=2");
  const auto begun = std::chrono::steady_clock::now();
  testing::ChildProcess process(std::move(program));
  const int code = process.finish(attack.within);
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
  const std::string output = "\n" + process.output();
  if (code < 0) {
    report.verdict = Verdict::no_end;
    report.what = "no end after " + std::to_string(attack.within.count()) + " s";
    return report;
  }
  if (code > 128 && is_abort(code - 128)) {
    report.verdict = Verdict::found;
    report.what =
        "ended by signal " + std::to_string(code - 128) + ": " + last_line(process.errors());
    return report;
  }
  if (attack.program == kSimulation) {
    judge_simulation(code, output, report);
  } else {
    judge_tests(code, output, report);
  }
  if (report.verdict == Verdict::useless && report.what.empty()) {
    report.what = "ended with " + std::to_string(code) + ": " + last_line(process.errors());
  }
  return report;
}

Attack up_to(const Attack& attack, const Report& report) {
  Attack shorter = attack;
  if (!report.seed) return shorter;
  for (auto& argument : shorter.arguments) {
    const auto dots = argument.find("..");
    if (dots != std::string::npos &&
        argument.find_first_not_of("0123456789.") == std::string::npos) {
      argument = argument.substr(0, dots) + ".." + std::to_string(*report.seed);
    }
  }
  return shorter;
}

}  // namespace semper::mutants
