// The tool as a process, and a folder of a test's own to run it in.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "semper/testing/child_process.h"
#include "semper/testing/temporary_folder.h"

namespace semper::testing {

using Words = std::vector<std::string>;

// What a run of the tool left behind.
struct Ran {
  int code = -1;  // -1: it did not end in time
  std::string out;
  std::string err;
};
std::ostream& operator<<(std::ostream& out, const Ran& ran);

// Of a program that was started: waits for its end.
Ran finish(ChildProcess program);

// Runs the tool to its end. It inherits no SEMPER_STORE.
Ran run_tool(Words words, std::optional<std::string> input = std::string());
// The same with these, NAME=VALUE, in its environment.
Ran run_tool_in(Words environment, Words words);
// Starts it only.
ChildProcess start_tool(Words words, std::optional<std::string> input = std::string());

// The lines of a text, without their ends.
Words lines_of(const std::string& text);

// A failure of the test, and null, where `text` is no JSON.
nlohmann::json parse_json(const std::string& text);

class CliTest : public ::testing::Test {
 protected:
  std::string path(const std::string& name) const { return folder_ + "/" + name; }
  std::string url() const { return "sqlite:" + path("store.db"); }

  // On the test's own store.
  Ran run(Words words, std::optional<std::string> input = std::string());
  ChildProcess start(Words words);
  // Expects success, and returns the standard output.
  std::string must(Words words, std::optional<std::string> input = std::string());
  // The same with --json.
  nlohmann::json must_json(Words words);
  std::vector<nlohmann::json> must_json_lines(Words words);
  // Expects an exit code, words in the error, and no output.
  void refused(int code, const std::string& words_of_error, Words words);

  void create_store() { must({"store", "create"}); }

  const TemporaryFolder place_;
  const std::string folder_ = place_.path();
};

std::string read_whole_file(const std::string& path);
void write_whole_file(const std::string& path, const std::string& contents);

}  // namespace semper::testing
