#include "notes.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "semper/env/random.h"

namespace semper::testing {
namespace {

constexpr std::size_t kNumberDigits = 20;
constexpr std::uint64_t kItemBytes = 5000;

}  // namespace

Notes::Notes(const std::string& path)
    : descriptor_(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644)) {
  if (descriptor_ < 0) {
    std::perror(path.c_str());
    std::abort();
  }
}

Notes::~Notes() {
  ::close(descriptor_);
}

void Notes::write(char what, const std::vector<std::uint64_t>& numbers) {
  std::string line(1, what);
  for (const auto number : numbers) line += " " + std::to_string(number);
  line += "\n";
  if (::write(descriptor_, line.data(), line.size()) != static_cast<ssize_t>(line.size())) {
    std::perror("notes");
    std::abort();
  }
}

std::vector<Note> read_notes(const std::string& path) {
  std::ifstream file(path);
  std::vector<Note> notes;
  std::string line;
  while (std::getline(file, line)) {
    if (file.eof()) break;  // no line end: cut off
    std::istringstream words(line);
    Note note;
    words >> note.what;
    for (std::uint64_t number = 0; words >> number;) note.numbers.push_back(number);
    notes.push_back(std::move(note));
  }
  return notes;
}

std::uint64_t highest(const std::vector<Note>& notes, const std::string& letters) {
  std::uint64_t result = 0;
  for (const auto& note : notes) {
    if (letters.find(note.what) == std::string::npos) continue;
    for (const auto number : note.numbers) result = std::max(result, number);
  }
  return result;
}

bool has_note(const std::vector<Note>& notes, char what) {
  return std::any_of(notes.begin(), notes.end(),
                     [what](const Note& note) { return note.what == what; });
}

std::string numbered_item(std::uint64_t number) {
  SeededRandom random(number);
  const auto length = random.chance(0.7) ? random.below(200) : random.below(kItemBytes);
  std::string digits = std::to_string(number);
  return std::string(kNumberDigits - digits.size(), '0') + digits +
         random.bytes(static_cast<std::size_t>(length));
}

std::uint64_t number_of_item(const std::string& item) {
  if (item.size() < kNumberDigits) return 0;
  const auto number = std::strtoull(item.substr(0, kNumberDigits).c_str(), nullptr, 10);
  return numbered_item(number) == item ? number : 0;
}

}  // namespace semper::testing
