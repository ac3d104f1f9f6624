// The whole program, as a person runs it, on logs made here: several processes over one store, one
// of which is killed on the way.
#include <signal.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "gtest/gtest.h"
#include "process.h"
#include "semper/testing/temporary_folder.h"

namespace packages {
namespace {

constexpr int kRunLimitMs = 90'000;

class PackagesTest : public ::testing::Test {
 protected:
  void SetUp() override { store_ = "sqlite:" + path("packages.db"); }

  std::string path(const std::string& name) const { return folder_ + "/" + name; }

  // Events first .. last - 1 of an endless log over 50 packages, several a second.
  static std::string events(int first, int last) {
    static constexpr const char* kStatus[] = {"half-installed", "unpacked", "half-configured",
                                              "installed"};
    std::string text;
    for (int i = first; i < last; ++i) {
      char line[128];
      const int second = i / 7;
      std::snprintf(line, sizeof(line), "2026-01-%02d %02d:%02d:%02d status %s p%d:amd64 1.%d\n",
                    1 + second / 86'400, second / 3600 % 24, second / 60 % 60, second % 60,
                    kStatus[i / 50 % 4], i % 50, i / 200);
      text += line;
    }
    return text;
  }
  std::string write(const std::string& name, const std::string& text) const {
    std::ofstream(path(name)) << text;
    return path(name);
  }

  struct Outcome {
    std::string end;  // "" for exit code 0
    std::string output;
    std::string errors;
    nlohmann::json json() const { return nlohmann::json::parse(output, nullptr, false); }
  };

  // Standard error goes to a file, through a shell.
  semper::Result<Child> start(std::vector<std::string> arguments) const {
    std::vector<std::string> command{"sh", "-c", "exec \"$0\" \"$@\" 2>\"$ERRORS_TO\"",
                                     SEMPER_PROGRAM};
    ::setenv("ERRORS_TO", path("errors").c_str(), 1);
    command.insert(command.end(), arguments.begin(), arguments.end());
    return Child::start(std::move(command));
  }
  std::string errors() const {
    std::stringstream text;
    text << std::ifstream(path("errors")).rdbuf();
    return text.str();
  }
  Outcome finish(Child& child) const {
    Outcome outcome;
    while (auto line = child.wait_line(kRunLimitMs)) outcome.output += *line + "\n";
    outcome.end = child.wait_end(kRunLimitMs).value_or("did not end in time");
    outcome.errors = errors();
    return outcome;
  }
  Outcome run(std::vector<std::string> arguments) const {
    auto child = start(std::move(arguments));
    if (!child) return {child.error().to_string(), "", ""};
    return finish(*child);
  }
  std::vector<std::string> with_log(std::vector<std::string> files) const {
    std::vector<std::string> arguments{"--json", "--store", store_};
    for (auto& file : files) arguments.insert(arguments.end(), {"--log", std::move(file)});
    return arguments;
  }

  void expect_good(const Outcome& outcome) const {
    EXPECT_EQ(outcome.end, "") << outcome.errors << outcome.output;
    const auto json = outcome.json();
    ASSERT_TRUE(json.is_object()) << outcome.output;
    EXPECT_EQ(json["log_mismatches"], nlohmann::json::array());
    EXPECT_EQ(json["left_in_queues"], 0);
    EXPECT_EQ(json["ok"], true);
  }

  const semper::testing::TemporaryFolder place_;
  const std::string folder_ = place_.path();
  std::string store_;
};

TEST_F(PackagesTest, a_killed_consumer_changes_nothing_and_a_second_run_applies_nothing_twice) {
  const auto log = write("dpkg.log", events(0, 2'000));
  const auto first = run(with_log({log}));
  expect_good(first);
  EXPECT_EQ(first.json()["events"], 2'000);
  EXPECT_EQ(first.json()["new"], 2'000);
  EXPECT_EQ(first.json()["entities"], 50);
  EXPECT_NE(first.json()["killed"].get<std::string>().find("SIGKILL"), std::string::npos);
  EXPECT_NE(first.errors.find("killed consumer-2"), std::string::npos) << first.errors;

  const auto second = run(with_log({log}));
  expect_good(second);
  EXPECT_EQ(second.json()["new"], 0);
  EXPECT_EQ(second.json()["refused"], 2'000);

  auto for_people = with_log({log});
  for_people.erase(for_people.begin());
  const auto third = run(for_people);
  EXPECT_NE(third.output.find("0 new events, 2000 were applied before"), std::string::npos)
      << third.output << third.errors;
}

TEST_F(PackagesTest, only_what_is_new_is_applied_after_rotation) {
  const auto log = write("dpkg.log", events(0, 1'003));
  expect_good(run(with_log({log})));
  std::filesystem::rename(log, path("dpkg.log.1"));
  write("dpkg.log", events(1'003, 1'500));
  const auto outcome = run(with_log({log, path("dpkg.log.1")}));
  expect_good(outcome);
  EXPECT_EQ(outcome.json()["new"], 497);
  EXPECT_EQ(outcome.json()["refused"], 1'003);
}

TEST_F(PackagesTest, fresh_forgets_earlier_runs) {
  const auto log = write("dpkg.log", events(0, 500));
  expect_good(run(with_log({log})));
  auto arguments = with_log({log});
  arguments.push_back("--fresh");
  const auto outcome = run(arguments);
  expect_good(outcome);
  EXPECT_EQ(outcome.json()["new"], 500);
}

TEST_F(PackagesTest, through_a_journal_nothing_is_lost_or_applied_twice_either) {
  const auto log = write("dpkg.log", events(0, 2'000));
  auto arguments = with_log({log});
  arguments.insert(arguments.end(), {"--journal", path("packages.ring")});
  const auto first = run(arguments);
  expect_good(first);
  EXPECT_EQ(first.json()["new"], 2'000) << first.output;
  const auto second = run(arguments);
  expect_good(second);
  EXPECT_EQ(second.json()["new"], 0) << second.output;
}

TEST_F(PackagesTest, one_consumer_is_enough_even_when_it_is_killed) {
  auto arguments = with_log({write("dpkg.log", events(0, 500))});
  arguments.insert(arguments.end(), {"--consumers", "1"});
  expect_good(run(arguments));
}

TEST_F(PackagesTest, a_log_of_one_event_is_enough) {
  const auto outcome = run(with_log({write("dpkg.log", events(0, 1))}));
  expect_good(outcome);
  EXPECT_EQ(outcome.json()["new"], 1);
}

TEST_F(PackagesTest, a_stopped_run_says_so_and_the_next_one_goes_on) {
  const auto log = write("dpkg.log", events(0, 20'000));
  auto child = start(with_log({log}));
  ASSERT_TRUE(child.has_value());
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(kRunLimitMs);
  while (errors().find("killed consumer-2") == std::string::npos &&
         std::chrono::steady_clock::now() < deadline && !child->ended()) {
    child->wait_line(1);
  }
  ::kill(child->pid(), SIGTERM);
  const auto stopped = finish(*child);
  EXPECT_EQ(stopped.end, "exit code 143") << stopped.errors << stopped.output;
  EXPECT_NE(stopped.errors.find("run it again to go on"), std::string::npos) << stopped.errors;
  EXPECT_EQ(stopped.output, "");

  const auto next = run(with_log({log}));
  expect_good(next);
  EXPECT_EQ(next.json()["events"], 20'000);
}

TEST_F(PackagesTest, a_missing_log_is_named) {
  const auto outcome = run(with_log({path("absent.log")}));
  EXPECT_EQ(outcome.end, "exit code 1");
  EXPECT_NE(outcome.errors.find("absent.log"), std::string::npos) << outcome.errors;
  EXPECT_FALSE(std::filesystem::exists(path("packages.db")));
}

TEST_F(PackagesTest, a_log_without_events_says_so) {
  const auto outcome =
      run(with_log({write("dpkg.log", "2026-01-01 00:00:00 startup archives unpack\n")}));
  EXPECT_EQ(outcome.end, "exit code 1");
  EXPECT_NE(outcome.errors.find("no status event"), std::string::npos) << outcome.errors;
}

TEST_F(PackagesTest, a_store_that_cannot_be_opened_says_why) {
  const auto log = write("dpkg.log", events(0, 10));
  const auto outcome = run({"--store", "sqlite:" + path("absent/packages.db"), "--log", log});
  EXPECT_EQ(outcome.end, "exit code 1");
  EXPECT_NE(outcome.errors.find("absent"), std::string::npos) << outcome.errors;
}

TEST_F(PackagesTest, wrong_usage_gives_exit_code_two) {
  const auto outcome = run({"--colour"});
  EXPECT_EQ(outcome.end, "exit code 2");
  EXPECT_NE(outcome.errors.find("--help"), std::string::npos);
}

TEST_F(PackagesTest, help_names_every_option) {
  const auto outcome = run({"--help"});
  EXPECT_EQ(outcome.end, "");
  for (const char* option :
       {"--store", "--consumers", "--journal", "--log", "--fresh", "--json", "--help"}) {
    EXPECT_NE(outcome.output.find(option), std::string::npos) << option;
  }
}

}  // namespace
}  // namespace packages
