// The rules of the tidy test: each looks at one file and says what is not as it should be.
//
// A rule is a function of text alone, so that tidy_test.cc can try it on text that is wrong, beside
// the tree that has to be right. They are in C++ and not in a script, because the build needs a
// compiler anyway and no interpreter.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace semper::tidy {

struct File {
  std::string path;  // from the root of the repository
  std::vector<std::string> lines;
};

struct Finding {
  std::string path;
  std::size_t line = 0;  // counts from 1
  std::string what;
};
using Findings = std::vector<Finding>;

// By its path.
bool is_document(const std::string& path);

inline constexpr std::size_t kColumnsMaximum = 100;

// A line is wider than kColumnsMaximum, with its comment.
Findings wide_code(const File& file);

// Prose in a comment that a reflow has chopped: within a paragraph, a line of one or two words
// after one that is nearly full, and with more below.
Findings chopped_comments(const File& file);

// A line of prose in a document is. Tables, code blocks and links that do not fit are free.
Findings wide_prose(const File& file);

// The file does not begin with a comment that says what it is. A source or test whose first include
// is its own header is described there.
Findings missing_head_comment(const File& file);

// The head comment of a public header does not say when not to use it.
Findings missing_when_not(const File& file);

// A public header opens a namespace for internals: those have headers of their own, in a folder
// internal/.
Findings visible_internals(const File& file);

inline constexpr std::size_t kFunctionLinesMaximum = 70;

// A function at the margin whose body is longer than kFunctionLinesMaximum: it does two things.
Findings long_functions(const File& source);

// An include that climbs out of its folder ("../a.h") instead of beginning at a root.
Findings climbing_includes(const File& file);

// The types that a source keeps to itself, with the namespace around them.
std::vector<std::string> hidden_types(const File& source);

// What is included, by the last part of its path.
std::vector<std::string> included_names(const File& file);

// A program, or an example, includes a header out of a folder internal/.
Findings used_internals(const File& file);

// In a script with pipefail, a pipe into a program that may end before it has read all: what writes
// into it then dies of SIGPIPE now and then, and the pipe fails although what was looked for is
// there. `grep PATTERN >/dev/null` reads to the end.
Findings hasty_pipes(const File& script);

// A test whose name is not in snake_case: it is a sentence, and says what holds.
Findings unreadable_test_names(const File& file);

// Words that are not written: each kind of file has its own.
Findings banned_words(const File& file);

// Whether a path from the root of the repository exists; and the lines of a document, or nothing.
struct Tree {
  std::function<bool(const std::string& path)> exists;
  std::function<const File*(const std::string& path)> find;
};

// A link to a file or a heading that is not there, and a path in `code` that is not.
Findings broken_links(const File& document, const Tree& tree);

// A block of C++ in a guide that is in none of the sources. A line "// ..." stands for what was
// left out; indentation and empty lines do not count.
Findings unquoted_code(const File& guide, const std::vector<const File*>& sources);

// Code in a comment of a header (a block that is indented by three columns or more, and has a line
// that ends as code does) that is in none of the sources. Comments and runs of spaces do not count;
// an empty line, and one with a lone "...", stand for what was left out.
Findings unbuilt_examples(const File& header, const std::vector<const File*>& sources);

// The anchor that a heading gets on the usual hosts: "What is left?" is "what-is-left".
std::string anchor_of(std::string_view heading);

}  // namespace semper::tidy
