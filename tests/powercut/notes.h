// What a process says it did, in a file outside the disk under test: a line for each step, written
// with one write(), so that SIGKILL leaves whole lines. A line is a letter and numbers.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace semper::testing {

struct Note {
  char what = 0;
  std::vector<std::uint64_t> numbers;
};

class Notes {
 public:
  explicit Notes(const std::string& path);  // made where it is missing
  ~Notes();
  Notes(const Notes&) = delete;
  Notes& operator=(const Notes&) = delete;

  void write(char what, const std::vector<std::uint64_t>& numbers = {});

 private:
  int descriptor_;
};

// Whole lines only; none where there is no file.
std::vector<Note> read_notes(const std::string& path);
// The largest number under one of these letters; 0: none.
std::uint64_t highest(const std::vector<Note>& notes, const std::string& letters);
bool has_note(const std::vector<Note>& notes, char what);

// An item whose bytes follow from its number, and the number that an item says it has. Nothing: it
// is none of these, or was changed.
std::string numbered_item(std::uint64_t number);
std::uint64_t number_of_item(const std::string& item);

}  // namespace semper::testing
