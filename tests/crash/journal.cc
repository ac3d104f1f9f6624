#include "journal.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace semper::testing {

JournalWriter::JournalWriter(const std::string& path)
    : descriptor_(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644)) {
  if (descriptor_ < 0) {
    std::perror(path.c_str());
    std::abort();
  }
}

JournalWriter::~JournalWriter() {
  ::close(descriptor_);
}

void JournalWriter::write(const std::vector<Step>& steps) {
  std::string text;
  for (const auto& step : steps) {
    text += std::string(1, static_cast<char>(step.kind)) + " " + step.ledger + " " +
            step.publisher + " " + std::to_string(step.number) + " " + std::to_string(step.detail) +
            "\n";
  }
  if (::write(descriptor_, text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
    std::perror("journal");
    std::abort();
  }
}

std::vector<Step> read_journal(const std::string& path) {
  std::ifstream file(path);
  std::vector<Step> steps;
  std::string line;
  while (std::getline(file, line)) {
    if (file.eof()) break;  // no line end: cut off
    std::istringstream fields(line);
    char kind = 0;
    Step step;
    fields >> kind >> step.ledger >> step.publisher >> step.number >> step.detail;
    step.kind = static_cast<Step::Kind>(kind);
    steps.push_back(std::move(step));
  }
  return steps;
}

std::vector<Step> read_journals(const std::string& folder) {
  std::vector<Step> all;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    auto steps = read_journal(entry.path());
    all.insert(all.end(), steps.begin(), steps.end());
  }
  return all;
}

std::uint64_t journal_bytes(const std::string& folder) {
  std::uint64_t bytes = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) bytes += entry.file_size();
  return bytes;
}

}  // namespace semper::testing
