// What is written about the tool, against the tool: --help, docs/cli.md, the man page, completion.
#include <algorithm>
#include <filesystem>
#include <regex>
#include <set>

#include "hosted.h"
#include "tool.h"

namespace semper::testing {
namespace {

using ::testing::HasSubstr;

std::string source(const std::string& name) {
  return read_whole_file(std::string(SEMPER_SOURCES) + "/" + name);
}

std::string help_of(Words command) {
  command.push_back("--help");
  const Ran ran = run_tool(command);
  EXPECT_EQ(ran.code, 0) << ::testing::PrintToString(command) << ran;
  EXPECT_EQ(ran.err, "");
  return ran.out;
}

// The commands that a help text lists.
Words listed_commands(const std::string& help) {
  Words names;
  bool inside = false;
  for (const auto& line : lines_of(help)) {
    if (line.empty()) inside = false;
    const auto end = line.find(' ', 2);
    if (inside && line.starts_with("  ") && end != 2) names.push_back(line.substr(2, end - 2));
    if (line == "Subcommands:") inside = true;
  }
  return names;
}

// Every command, as its words; the program itself first.
std::vector<Words> all_commands() {
  std::vector<Words> commands = {{}};
  for (std::size_t i = 0; i < commands.size(); ++i) {
    for (const auto& name : listed_commands(help_of(commands[i]))) {
      Words below = commands[i];
      below.push_back(name);
      commands.push_back(std::move(below));
    }
  }
  return commands;
}

std::string joined(const Words& words) {
  std::string text;
  for (const auto& word : words) text += (text.empty() ? "" : " ") + word;
  return text;
}

std::set<std::string> options_in(const std::string& text) {
  static const std::regex option("--[a-z][a-z-]*");
  std::set<std::string> found(std::sregex_token_iterator(text.begin(), text.end(), option),
                              std::sregex_token_iterator());
  found.erase("--help");
  return found;
}

// The option names that a help text declares, not those in its examples.
std::set<std::string> declared_options(const std::string& help) {
  std::string declarations;
  for (const auto& line : lines_of(help)) {
    if (line.starts_with("  -")) declarations += line.substr(0, line.find(' ', 2)) + "\n";
  }
  return options_in(declarations);
}

std::set<std::string> all_options() {
  std::set<std::string> all;
  for (const auto& command : all_commands()) all.merge(declared_options(help_of(command)));
  return all;
}

// The man page as plain text.
std::string man_page() {
  std::string text = source("apps/semper/semper.1");
  for (const std::string mark : {"\\fB", "\\fI", "\\fR", "\\fP", "\\"}) {
    for (auto at = text.find(mark); at != std::string::npos; at = text.find(mark)) {
      text.erase(at, mark.size());
    }
  }
  return text;
}

TEST(CliDocumentation, every_command_has_help_with_examples) {
  const auto commands = all_commands();
  EXPECT_GT(commands.size(), 20u);
  for (const auto& command : commands) {
    const std::string help = help_of(command);
    EXPECT_THAT(help, HasSubstr("Examples:\n")) << joined(command);
    EXPECT_THAT(help, HasSubstr("  semper ")) << joined(command);
  }
  EXPECT_THAT(help_of({}), HasSubstr("Exit codes:"));
}

TEST(CliDocumentation, the_document_and_the_man_page_have_the_options_of_the_tool_and_no_others) {
  const auto options = all_options();
  EXPECT_TRUE(options.contains("--limit"));
  const auto documented = options_in(source("docs/cli.md"));
  const auto in_manual = options_in(man_page());
  for (const auto& option : options) {
    EXPECT_TRUE(documented.contains(option)) << "docs/cli.md lacks " << option;
    EXPECT_TRUE(in_manual.contains(option)) << "semper.1 lacks " << option;
  }
  for (const auto& option : in_manual) {
    EXPECT_TRUE(options.contains(option)) << "semper.1 has " << option << ", the tool has not";
  }
  for (const auto& option : documented) {
    EXPECT_TRUE(options.contains(option)) << "docs/cli.md has " << option << ", the tool has not";
  }
}

TEST(CliDocumentation, the_document_and_the_man_page_have_every_command) {
  const std::string document = source("docs/cli.md");
  const std::string manual = man_page();
  for (const auto& command : all_commands()) {
    if (command.empty()) continue;
    EXPECT_THAT(document, HasSubstr(command.back())) << joined(command);
    EXPECT_THAT(manual, HasSubstr(command.back())) << joined(command);
  }
}

TEST(CliDocumentation, the_exit_codes_are_told_in_the_same_words_everywhere) {
  const std::string help = help_of({});
  const std::string document = source("docs/cli.md");
  const std::string operations = source("docs/operations.md");
  const std::string manual = man_page();
  for (const auto& line : lines_of(help)) {
    if (line.size() < 5 || !line.starts_with("  ") || line[2] < '0' || line[2] > '9') continue;
    const std::string meaning = line.substr(5);
    EXPECT_THAT(document, HasSubstr(std::string("| ") + line[2] + " | " + meaning));
    EXPECT_THAT(operations, HasSubstr(std::string("| ") + line[2] + " | " + meaning));
    const auto at = manual.find(std::string(".B ") + line[2] + "\n");
    ASSERT_NE(at, std::string::npos) << line;
    std::string told = manual.substr(at + 5, meaning.size());
    if (!told.empty()) told[0] = static_cast<char>(std::tolower(told[0]));
    EXPECT_EQ(told, meaning);
  }
}

TEST(CliDocumentation, the_version_is_that_of_the_build) {
  const Ran ran = run_tool({"--version"});
  EXPECT_EQ(ran.code, 0);
  EXPECT_EQ(ran.out, "semper " SEMPER_PROJECT_VERSION "\n");
}

// What bash would offer for a line, given word by word; the last one is being typed.
Words completed(const Words& words) {
  std::string line = "source /dev/stdin; COMP_WORDS=(";
  for (const auto& word : words) line += "'" + word + "' ";
  line += "); COMP_CWORD=" + std::to_string(words.size() - 1) +
          "; _semper; printf '%s\\n' \"${COMPREPLY[@]}\"";
  ProgramToStart bash{"/bin/bash"};
  bash.arguments = {"--norc", "-c", line};
  bash.input = run_tool({"completion", "bash"}).out;
  ChildProcess shell(std::move(bash));
  EXPECT_EQ(shell.finish(), 0) << shell.errors();
  EXPECT_EQ(shell.errors(), "");
  return lines_of(shell.output());
}

TEST(CliDocumentation, completion_offers_every_command_and_option) {
  if (!std::filesystem::exists("/bin/bash")) GTEST_SKIP() << "there is no bash here";
  const auto offers = [](const Words& words, const std::string& word) {
    const Words offered = completed(words);
    EXPECT_TRUE(std::find(offered.begin(), offered.end(), word) != offered.end())
        << joined(words) << " does not offer " << word << " but " << joined(offered);
  };
  for (const auto& command : all_commands()) {
    Words words = {"semper"};
    words.insert(words.end(), command.begin(), command.end());
    if (!command.empty()) {
      Words typed = words;
      typed.back() = typed.back().substr(0, 2);
      offers(typed, command.back());
    }
    words.push_back("--");
    for (const auto& option : declared_options(help_of(command))) offers(words, option);
    offers(words, "--store");
  }
  offers({"semper", "--json", "store", "wa"}, "watch");
}

class CliCompletion : public CliTest {};

TEST_F(CliCompletion, types_ids_and_messages_of_the_store_are_offered) {
  if (!std::filesystem::exists("/bin/bash")) GTEST_SKIP() << "there is no bash here";
  { const HostedStore host(url()); }
  for (const char* id : {"page/home", "page/help", "it's"}) {
    must({"cast", std::string("Counter/") + id, "Add", "[1]"});
  }
  const auto after = [this](Words words) {
    Words line = {SEMPER_PROGRAM, "--store", url()};
    line.insert(line.end(), words.begin(), words.end());
    Words offered = completed(line);
    std::sort(offered.begin(), offered.end());
    return offered;
  };
  EXPECT_EQ(after({"ls", "Cou"}), Words({"Counter"}));
  EXPECT_EQ(after({"show", "Cou"}), Words({"Counter/"}));
  EXPECT_EQ(after({"show", "Counter/page/h"}), Words({"Counter/page/help", "Counter/page/home"}));
  EXPECT_EQ(after({"call", "--timeout", "5s", "Counter/page/home", "R"}), Words({"Read"}));
  EXPECT_EQ(after({"cast", "Counter/page/home", "A"}), Words({"Add"}));
  EXPECT_EQ(after({"cast", "Counter/page/home", "R"}), Words({""})) << "that can only be called";
  EXPECT_EQ(after({"store", "get", "Cou"}), Words({""}));
  const Ran none =
      run_tool({"complete", "--", "--store", "sqlite:" + path("absent.db"), "ls", "C"});
  EXPECT_EQ(none.code, 0) << none;
  EXPECT_EQ(none.out + none.err, "");
  EXPECT_FALSE(std::filesystem::exists(path("absent.db")));
}

TEST(CliDocumentation, completion_scripts_for_zsh_and_fish_have_commands_and_options) {
  for (const char* shell : {"zsh", "fish"}) {
    const Ran ran = run_tool({"completion", shell});
    EXPECT_EQ(ran.code, 0);
    for (const char* word : {"types", "--limit", "watch", "unlock"}) {
      const std::string text = word;
      EXPECT_THAT(ran.out, HasSubstr(text.starts_with("--") && shell == std::string("fish")
                                         ? "-l " + text.substr(2)
                                         : text))
          << shell;
    }
  }
}

}  // namespace
}  // namespace semper::testing
