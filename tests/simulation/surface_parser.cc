#include "surface_parser.h"

#include <cctype>
#include <regex>
#include <sstream>

namespace semper::simulation {
namespace {

// Without comments, and without what lies in braces inside the class: bodies, nested types,
// initialisers.
std::string outline_of(const std::string& header, const std::string& type) {
  std::string code;
  std::istringstream lines(header);
  for (std::string line; std::getline(lines, line);) code += line.substr(0, line.find("//")) + "\n";
  std::smatch found;
  const std::regex opening("(class|struct) " + type + "( final)?( :[^;{]*)? \\{");
  if (!std::regex_search(code, found, opening)) return "";
  std::string outline;
  int depth = 1;
  for (auto at = static_cast<std::size_t>(found.position() + found.length());
       at < code.size() && depth > 0; ++at) {
    const char c = code[at];
    if (c == '{') ++depth;
    if (depth == 1) outline += c;
    // A body ends a declaration as a semicolon does; a pair of braces inside one does not.
    if (c == '}' && --depth == 1) outline += ' ';
  }
  return outline;
}

bool is_word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
}

// The word before the parenthesis at `at`.
std::string word_before(const std::string& text, std::size_t at) {
  std::size_t begin = at;
  while (begin > 0 && is_word(text[begin - 1])) --begin;
  return text.substr(begin, at - begin);
}

}  // namespace

std::set<std::string> public_operations(const std::string& header, const std::string& type) {
  const std::string outline = outline_of(header, type);
  const auto end = outline.find("private:");
  std::string shown = outline.substr(0, end);
  if (const auto begin = shown.find("public:"); begin != std::string::npos) {
    shown = shown.substr(begin);
  }
  std::set<std::string> names;
  int parentheses = 0;
  int angles = 0;
  for (std::size_t at = 0; at < shown.size(); ++at) {
    const char c = shown[at];
    const bool is_arrow = c == '>' && at > 0 && shown[at - 1] == '-';
    if (c == '<' && parentheses == 0) ++angles;
    if (c == '>' && parentheses == 0 && !is_arrow && angles > 0) --angles;
    if (c == ')') --parentheses;
    if (c != '(' || parentheses++ > 0 || angles > 0) continue;
    const std::string name = word_before(shown, at);
    const std::size_t before = at - name.size();
    // Something stands before the name of a function: what it returns.
    const bool returns = before > 0 && std::isspace(static_cast<unsigned char>(shown[before - 1]));
    if (name.empty() || !returns || name == type || name == "explicit" || name == "requires" ||
        name == "operator" || std::isupper(static_cast<unsigned char>(name[0])) != 0) {
      continue;
    }
    if (name.ends_with('_')) continue;  // a member, in the initialisers of a constructor
    names.insert(name);
  }
  return names;
}

}  // namespace semper::simulation
