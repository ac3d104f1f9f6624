// What clients of a counter did and were told, in files of their own that outlive them: a line
// before each operation, one after it. One write() a line, so a SIGKILL leaves whole lines; an
// operation without its second line was never answered.
//
// Times are those of CLOCK_MONOTONIC, which all processes of a machine share.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

namespace semper::testing {

struct Operation {
  enum class Kind : std::uint8_t { add, read };
  enum class Outcome : std::uint8_t {
    done,     // and `value` is what it returned
    refused,  // with an error that says it did not take effect, nor ever will
    open      // no answer, or an error that leaves it open: may take effect at any later time
  };
  static constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();

  std::string counter;
  Kind kind = Kind::add;
  Outcome outcome = Outcome::open;
  std::int64_t value = 0;
  std::int64_t invoked_ns = 0;
  std::int64_t returned_ns = kNever;
};

std::int64_t monotonic_ns();

class HistoryWriter {
 public:
  explicit HistoryWriter(const std::string& path);
  ~HistoryWriter();
  HistoryWriter(const HistoryWriter&) = delete;
  HistoryWriter& operator=(const HistoryWriter&) = delete;

  // Any thread. `number` is the operation's own in this file.
  void invoked(std::uint64_t number, const std::string& counter, Operation::Kind kind);
  void returned(std::uint64_t number, Operation::Outcome outcome, std::int64_t value);

 private:
  void write(const std::string& line);

  int descriptor_;
};

// All operations in the files of a folder.
std::vector<Operation> read_histories(const std::string& folder);
// How many of them are done.
std::uint64_t count_done(const std::vector<Operation>& operations);

}  // namespace semper::testing
