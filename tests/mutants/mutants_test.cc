// The runner of mutants, on attackers that are scripts; and the lists, held against the sources.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <sstream>

#include "campaign.h"
#include "semper/testing/child_process.h"

// As everywhere but in the dev preset.
#define SEMPER_MUTANTS 0
#include "semper/base/internal/mutant.h"
static_assert(!SEMPER_MUTANT("changes_nothing"), "without the option it is the word false");

namespace semper::mutants {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
namespace fs = std::filesystem;

std::string read(const fs::path& path) {
  std::ifstream stream(path);
  std::ostringstream text;
  text << stream.rdbuf();
  return text.str();
}

class RunnerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = ::testing::TempDir() + "/mutants-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  ~RunnerTest() override { fs::remove_all(folder_); }

  // A test program that is this script of the shell.
  void program(const std::string& name, const std::string& script) const {
    std::ofstream(folder_ / name) << "#!/bin/sh\n" << script << "\n";
    fs::permissions(folder_ / name, fs::perms::owner_all);
  }

  std::vector<Line> lines_of(const std::string& list, bool all_attackers = false) const {
    CampaignOptions options;
    options.all_attackers = all_attackers;
    return run_campaign(parse_list(list, "list"), Attacker(folder_.string()), options);
  }

  // What is wrong with the only attack of a list.
  std::string wrong_with(const std::string& list) const {
    const auto lines = lines_of(list);
    return lines.size() == 1 ? lines[0].wrong : "not one line";
  }

  fs::path folder_;
};

constexpr const char* kOne = "mutant one\nbug it is wrong\nattack 5 a_test\n";
constexpr const char* kFails = "echo '[  FAILED  ] A.b (0 ms)'; exit 1";
constexpr const char* kPasses = "echo '[  PASSED  ] 3 tests.'";

std::string if_planted(const std::string& script) {
  return "if [ \"$SEMPER_MUTANT\" = one ]; then " + script + "; fi\n" + kPasses;
}

TEST_F(RunnerTest, a_test_that_fails_has_found_the_mutant) {
  program("a_test", if_planted(kFails));
  const auto lines = lines_of(kOne);
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0].wrong, "");
  EXPECT_EQ(lines[0].report.what, "A.b");
}

TEST_F(RunnerTest, an_assertion_that_ends_the_program_has_found_the_mutant) {
  program("a_test", if_planted("kill -ABRT $$"));
  EXPECT_EQ(wrong_with(kOne), "");
}

TEST_F(RunnerTest, a_mutant_that_no_test_minds_survives) {
  program("a_test", kPasses);
  EXPECT_EQ(wrong_with(kOne), "survives");
}

TEST_F(RunnerTest, a_test_that_fails_without_the_mutant_too_has_found_nothing) {
  program("a_test", kFails);
  EXPECT_THAT(wrong_with(kOne), HasSubstr("does not pass without it"));
}

TEST_F(RunnerTest, an_attack_that_misses_is_repeated_and_then_the_next_one_runs) {
  const std::string count = "echo run >>" + (folder_ / "runs").string() + "\n";
  program("a_test", count + if_planted("if [ $(wc -l <" + (folder_ / "runs").string() +
                                       ") -ge 2 ]; then " + kFails + "; fi"));
  auto lines = lines_of(kOne);
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0].wrong, "");
  EXPECT_EQ(lines[0].runs_before, 1);

  program("a_test", kPasses);
  program("b_test", if_planted(kFails));
  const std::string two = std::string(kOne) + "attack 5 b_test\n";
  lines = lines_of(two);
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0].wrong, "");
  EXPECT_EQ(lines[0].runs_before, 2);
  EXPECT_EQ(lines[0].attack.program, "b_test");
  EXPECT_EQ(lines_of(two, true)[0].wrong, "survives") << "a campaign wants each";
  std::ostringstream out;
  EXPECT_TRUE(print_verdict(out, lines));
  EXPECT_THAT(out.str(), HasSubstr("missed at first: one, in 2 runs"));
}

TEST_F(RunnerTest, a_flaky_test_is_named_and_has_found_the_mutant) {
  const std::string runs = (folder_ / "runs").string();
  // Its second run is the first without the mutant.
  program("a_test", "echo run >>" + runs + "\nif [ $(wc -l <" + runs + ") -le 2 ]; then " + kFails +
                        "; fi\n" + kPasses);
  const auto lines = lines_of(kOne);
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0].wrong, "");
  EXPECT_THAT(lines[0].unsteady, HasSubstr("does not pass without it: A.b"));
  std::ostringstream out;
  EXPECT_TRUE(print_verdict(out, lines));
  EXPECT_THAT(out.str(), HasSubstr("unsteady: one"));
}

TEST_F(RunnerTest, a_run_that_tests_nothing_does_not_count_as_an_attack) {
  EXPECT_EQ(wrong_with(kOne), "was not attacked") << "no program";
  program("a_test", if_planted("echo '[  PASSED  ] 0 tests.'; exit 0"));
  EXPECT_EQ(wrong_with(kOne), "was not attacked") << "no test";
  program("a_test", if_planted("exit 1"));
  EXPECT_EQ(wrong_with(kOne), "was not attacked") << "no test that failed";
  program("a_test", if_planted("exec sleep 60"));
  EXPECT_EQ(wrong_with("mutant one\nbug it is wrong\nattack 1 a_test\n"), "was not attacked")
      << "no end";
  program("semper-sim", if_planted("echo no such workload >&2; exit 2"));
  EXPECT_EQ(wrong_with("mutant one\nbug it is wrong\nattack 5 semper-sim --workload x\n"),
            "was not attacked")
      << "wrong command";
}

TEST_F(RunnerTest, without_the_mutant_the_simulation_runs_to_the_seed_that_found_it) {
  program("semper-sim",
          "echo \"$SEMPER_MUTANT $*\" >>" + (folder_ / "commands").string() + "\n" +
              if_planted("echo 'FAILED: seed 7 of the plan mixed'; echo '  gone'; exit 1"));
  const auto lines =
      lines_of("mutant one\nbug it is wrong\nattack 5 semper-sim --workload bank --seeds 3..900\n");
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0].wrong, "");
  EXPECT_EQ(lines[0].report.what, "seed 7: gone");
  EXPECT_EQ(read(folder_ / "commands"),
            "one --workload bank --seeds 3..900 --failures 1\n"
            " --workload bank --seeds 3..7 --failures 1\n");
}

TEST_F(RunnerTest, a_canary_must_survive) {
  const std::string canary = "mutant one\nbug none\nmust survive\nattack 5 a_test\n";
  program("a_test", kPasses);
  EXPECT_EQ(wrong_with(canary), "");
  program("a_test", if_planted(kFails));
  EXPECT_THAT(wrong_with(canary), HasSubstr("nothing is wrong there"));
}

TEST_F(RunnerTest, the_first_attack_is_enough_and_a_campaign_demands_all) {
  program("a_test", if_planted(kFails));
  program("b_test", kPasses);
  const std::string two = std::string(kOne) + "attack 5 b_test\n";
  EXPECT_EQ(wrong_with(two), "");
  const auto lines = lines_of(two, /*all_attackers=*/true);
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[0].wrong, "");
  EXPECT_EQ(lines[1].wrong, "survives");
}

TEST_F(RunnerTest, an_attack_has_an_environment_of_its_own) {
  program("a_test", "[ \"$ROUNDS\" = 3 ] || exit 1\n" + if_planted(kFails));
  EXPECT_EQ(wrong_with("mutant one\nbug it is wrong\nattack 5 ROUNDS=3 a_test\n"), "");
}

TEST_F(RunnerTest, a_list_that_says_nonsense_is_refused_with_its_line) {
  const auto refusal = [](const std::string& text) -> std::string {
    try {
      parse_list(text, "list");
    } catch (const std::runtime_error& thrown) {
      return thrown.what();
    }
    return "accepted";
  };
  EXPECT_EQ(refusal("bug b"), "list:1: \"bug\" stands before the first mutant");
  EXPECT_EQ(refusal("mutant m\nattack 5 x_test\n"), "list:2: m has no bug");
  EXPECT_EQ(refusal("mutant m\nbug b\n"), "list:2: m is attacked by nobody");
  EXPECT_THAT(refusal("mutant m\nbug b\nattack x_test\n"), HasSubstr("list:3: attack begins with"));
  EXPECT_THAT(refusal("mutant m\nbug b\nattack 900 x_test\n"), HasSubstr("1 to 60 seconds"));
  EXPECT_EQ(refusal("mutant m\nbug\n"), "list:2: bug says nothing");
  EXPECT_EQ(refusal("mutant m\nwhat b\n"),
            "list:2: \"what\" is none of mutant, bug, must survive, attack");
  EXPECT_EQ(refusal("mutant m\nbug b\nattack 5 x\nmutant m\nbug b\nattack 5 x\n"),
            "two mutants are called m");
}

// The tree.

// Names in SEMPER_MUTANT("...") of the files, each with where it is.
std::multimap<std::string, std::string> planted_names() {
  const std::regex planted("SEMPER_MUTANT\\(\"([^\"]*)\"\\)");
  std::multimap<std::string, std::string> names;
  for (const char* room : {"include", "src", "backends", "apps"}) {
    for (const auto& entry : fs::recursive_directory_iterator(fs::path(SEMPER_SOURCES) / room)) {
      const std::string path = entry.path().string();
      if (!path.ends_with(".cc") && !path.ends_with(".h")) continue;
      if (path.ends_with("base/internal/mutant.h")) continue;
      const std::string text = read(entry.path());
      for (auto at = std::sregex_iterator(text.begin(), text.end(), planted);
           at != std::sregex_iterator(); ++at) {
        names.emplace((*at)[1].str(), path);
      }
    }
  }
  return names;
}

TEST(MutantListsTest, name_what_is_planted_and_nothing_else) {
  std::set<std::string> listed;
  for (const Mutant& mutant : read_lists(SEMPER_MUTANT_LISTS)) listed.insert(mutant.name);
  std::set<std::string> nowhere = listed;
  for (const auto& [name, path] : planted_names()) {
    EXPECT_TRUE(listed.count(name)) << path << " plants " << name << ", which no list has";
    EXPECT_TRUE(path.ends_with(".cc")) << path << ": only sources plant mutants";
    nowhere.erase(name);
  }
  EXPECT_THAT(nowhere, IsEmpty()) << "listed, and planted nowhere";
}

TEST(MutantListsTest, a_canary_is_among_them) {
  bool survives = false;
  for (const Mutant& mutant : read_lists(SEMPER_MUTANT_LISTS)) survives |= mutant.survives;
  EXPECT_TRUE(survives);
}

TEST(MutantBuildTest, only_the_dev_preset_plants_mutants) {
  const std::string presets = read(fs::path(SEMPER_SOURCES) / "CMakePresets.json");
  const auto dev = presets.find("\"name\": \"dev\"");
  const auto next = presets.find("\"name\"", dev + 1);
  const auto at = presets.find("SEMPER_MUTANTS");
  ASSERT_NE(at, std::string::npos);
  EXPECT_TRUE(dev < at && at < next);
  EXPECT_EQ(presets.find("SEMPER_MUTANTS", at + 1), std::string::npos);
}

TEST(MutantBuildTest, a_name_that_is_no_mutant_ends_the_process_with_a_sentence) {
  testing::ProgramToStart program{SEMPER_BUILD_FOLDER "/tests/simulation/semper-sim"};
  if (!fs::exists(program.path)) GTEST_SKIP() << program.path << " is not built";
  program.arguments = {"--help"};
  program.environment = {"SEMPER_MUTANT=skip_a_fulsh"};
  testing::ChildProcess process(program);
  EXPECT_EQ(process.finish(), 2);
  EXPECT_EQ(process.errors(),
            "SEMPER_MUTANT is \"skip_a_fulsh\", which is no mutant of this build: "
            "tests/mutants/lists has their names\n");
}

}  // namespace
}  // namespace semper::mutants
