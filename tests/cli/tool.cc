#include "tool.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace semper::testing {

std::ostream& operator<<(std::ostream& out, const Ran& ran) {
  return out << "exit code " << ran.code << "\n--- output\n"
             << ran.out << "--- errors\n"
             << ran.err << "---";
}

ChildProcess start_tool(Words words, std::optional<std::string> input) {
  ProgramToStart program{SEMPER_PROGRAM};
  program.arguments = std::move(words);
  program.environment = {"SEMPER_STORE=", "SEMPER_LOG=warning"};
  program.input = std::move(input);
  return ChildProcess(std::move(program));
}

Ran finish(ChildProcess program) {
  Ran ran;
  ran.code = program.finish(std::chrono::seconds(60));
  ran.out = program.output();
  ran.err = program.errors();
  return ran;
}

Ran run_tool(Words words, std::optional<std::string> input) {
  return finish(start_tool(std::move(words), std::move(input)));
}

Ran run_tool_in(Words environment, Words words) {
  ProgramToStart program{SEMPER_PROGRAM};
  program.arguments = std::move(words);
  program.environment = {"SEMPER_LOG=warning"};
  program.environment.insert(program.environment.end(), environment.begin(), environment.end());
  program.input = std::string();
  return finish(ChildProcess(std::move(program)));
}

Words lines_of(const std::string& text) {
  Words lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

nlohmann::json parse_json(const std::string& text) {
  auto document = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!document.is_discarded()) return document;
  ADD_FAILURE() << "this is no JSON: " << text;
  return nullptr;
}

Ran CliTest::run(Words words, std::optional<std::string> input) {
  words.insert(words.begin(), {"--store", url()});
  return run_tool(std::move(words), std::move(input));
}

ChildProcess CliTest::start(Words words) {
  words.insert(words.begin(), {"--store", url()});
  return start_tool(std::move(words));
}

std::string CliTest::must(Words words, std::optional<std::string> input) {
  const std::string shown = ::testing::PrintToString(words);
  const Ran ran = run(std::move(words), std::move(input));
  EXPECT_EQ(ran.code, 0) << shown << "\n" << ran;
  return ran.out;
}

nlohmann::json CliTest::must_json(Words words) {
  words.push_back("--json");
  return parse_json(must(std::move(words)));
}

std::vector<nlohmann::json> CliTest::must_json_lines(Words words) {
  words.push_back("--json");
  std::vector<nlohmann::json> documents;
  for (const auto& line : lines_of(must(std::move(words)))) documents.push_back(parse_json(line));
  return documents;
}

void CliTest::refused(int code, const std::string& words_of_error, Words words) {
  const std::string shown = ::testing::PrintToString(words);
  const Ran ran = run(std::move(words));
  EXPECT_EQ(ran.code, code) << shown << "\n" << ran;
  EXPECT_THAT(ran.err, ::testing::HasSubstr(words_of_error)) << shown;
  EXPECT_THAT(ran.err, ::testing::StartsWith("semper: ")) << shown;
  EXPECT_EQ(ran.out, "") << shown;
}

std::string read_whole_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file.is_open()) << path;
  std::ostringstream contents;
  contents << file.rdbuf();
  return contents.str();
}

void write_whole_file(const std::string& path, const std::string& contents) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file << contents;
  file.close();
  ASSERT_TRUE(file.good()) << path;
}

}  // namespace semper::testing
