#include "history.h"

#include <fcntl.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

namespace semper::testing {
namespace {

constexpr char kInvokedAdd = 'a';
constexpr char kInvokedRead = 'r';
constexpr char kDone = 'd';
constexpr char kRefused = 'n';
constexpr char kOpen = 'u';

char letter_of(Operation::Outcome outcome) {
  switch (outcome) {
    case Operation::Outcome::done:
      return kDone;
    case Operation::Outcome::refused:
      return kRefused;
    case Operation::Outcome::open:
      break;
  }
  return kOpen;
}

void read_file(const std::string& path, std::vector<Operation>& all) {
  std::ifstream file(path);
  std::map<std::uint64_t, Operation> operations;  // by number
  std::string line;
  while (std::getline(file, line)) {
    if (file.eof()) break;  // no line end: cut off
    std::istringstream fields(line);
    char letter = 0;
    std::uint64_t number = 0;
    std::int64_t time = 0;
    fields >> letter >> number >> time;
    Operation& operation = operations[number];
    if (letter == kInvokedAdd || letter == kInvokedRead) {
      operation.kind = letter == kInvokedAdd ? Operation::Kind::add : Operation::Kind::read;
      operation.invoked_ns = time;
      fields >> operation.counter;
      continue;
    }
    if (letter == kOpen) continue;
    operation.outcome = letter == kDone ? Operation::Outcome::done : Operation::Outcome::refused;
    operation.returned_ns = time;
    fields >> operation.value;
  }
  for (auto& [number, operation] : operations) all.push_back(std::move(operation));
}

}  // namespace

std::int64_t monotonic_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

HistoryWriter::HistoryWriter(const std::string& path)
    : descriptor_(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644)) {
  if (descriptor_ < 0) {
    std::perror(path.c_str());
    std::abort();
  }
}

HistoryWriter::~HistoryWriter() {
  ::close(descriptor_);
}

void HistoryWriter::write(const std::string& line) {
  if (::write(descriptor_, line.data(), line.size()) != static_cast<ssize_t>(line.size())) {
    std::perror("history");
    std::abort();
  }
}

void HistoryWriter::invoked(std::uint64_t number, const std::string& counter,
                            Operation::Kind kind) {
  const char letter = kind == Operation::Kind::add ? kInvokedAdd : kInvokedRead;
  write(std::string(1, letter) + " " + std::to_string(number) + " " +
        std::to_string(monotonic_ns()) + " " + counter + "\n");
}

void HistoryWriter::returned(std::uint64_t number, Operation::Outcome outcome, std::int64_t value) {
  const std::int64_t now = monotonic_ns();
  write(std::string(1, letter_of(outcome)) + " " + std::to_string(number) + " " +
        std::to_string(now) + " " + std::to_string(value) + "\n");
}

std::vector<Operation> read_histories(const std::string& folder) {
  std::vector<Operation> all;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    read_file(entry.path(), all);
  }
  return all;
}

std::uint64_t count_done(const std::vector<Operation>& operations) {
  std::uint64_t done = 0;
  for (const auto& operation : operations) done += operation.outcome == Operation::Outcome::done;
  return done;
}

}  // namespace semper::testing
