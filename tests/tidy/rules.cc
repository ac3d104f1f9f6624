#include "rules.h"

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <regex>
#include <set>
#include <utility>

namespace semper::tidy {
namespace {

// Columns from which on a line of a comment counts as full: a longer word would not fit.
constexpr std::size_t kNearlyFull = 86;

// Lines of a header that its head comment may take.
constexpr std::size_t kHeadLines = 60;

bool has_ending(const std::string& path, std::string_view ending) {
  return path.ends_with(ending);
}

std::size_t columns(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  }));
}

std::string trimmed(std::string_view text) {
  const auto begin = text.find_first_not_of(" \t\r");
  if (begin == std::string_view::npos) return "";
  return std::string(text.substr(begin, text.find_last_not_of(" \t\r") - begin + 1));
}

std::string without_comment(const std::string& line) {
  char quote = 0;
  for (std::size_t i = 0; i < line.size(); ++i) {
    if (quote != 0 && line[i] == '\\') {
      ++i;
    } else if (quote != 0) {
      if (line[i] == quote) quote = 0;
    } else if (line[i] == '"' || line[i] == '\'') {
      quote = line[i];
    } else if (line.compare(i, 2, "//") == 0) {
      const auto end = line.find_last_not_of(" \t", i == 0 ? 0 : i - 1);
      return i == 0 || end == std::string::npos ? "" : line.substr(0, end + 1);
    }
  }
  return line;
}

// Calls `visit` with each line of a document that is not in a code block, and its number.
template <class Visit>
void for_each_prose_line(const File& file, Visit visit) {
  bool is_code = false;
  for (std::size_t i = 0; i < file.lines.size(); ++i) {
    if (file.lines[i].starts_with("```")) {
      is_code = !is_code;
    } else if (!is_code) {
      visit(file.lines[i], i + 1);
    }
  }
}

std::set<std::string> anchors_of(const File& document) {
  std::set<std::string> anchors;
  for_each_prose_line(document, [&](const std::string& line, std::size_t) {
    const auto end_of_marks = line.find_first_not_of('#');
    if (end_of_marks == 0 || end_of_marks == std::string::npos || line[end_of_marks] != ' ') return;
    const std::string anchor = anchor_of(line.substr(end_of_marks + 1));
    std::string unique = anchor;
    for (int n = 1; anchors.contains(unique); ++n) unique = anchor + "-" + std::to_string(n);
    anchors.insert(unique);
  });
  return anchors;
}

// `code` is replaced by spaces, so that nothing in it is taken for a link.
std::string without_code_spans(std::string line) {
  bool is_code = false;
  for (char& c : line) {
    if (c == '`') is_code = !is_code;
    if (is_code || c == '`') c = ' ';
  }
  return line;
}

struct Banned {
  const char* hint;  // stands in every match, and is looked for first, because that is fast
  const char* pattern;
  const char* what;
  bool (*applies)(const std::string& path);
};

bool is_public_text(const std::string& path) {
  return is_document(path) || path.starts_with("include/");
}
// Documents that were written, or written anew, by native rules.
bool is_guide(const std::string& path) {
  static const std::set<std::string> guides = {"README.md", "CONTRIBUTING.md", "SECURITY.md",
                                               "docs/README.md"};
  return guides.contains(path) || path.starts_with("docs/guide-");
}
bool is_anything(const std::string&) {
  return true;
}

const std::vector<Banned>& banned() {
  static const std::vector<Banned> words = {
      {"not", "\\bcan not\\b", "write \"cannot\"", is_public_text},
      {"TODO", "\\bTODO\\b", "open an issue instead", is_anything},
      {"FIXME", "\\bFIXME\\b", "open an issue instead", is_anything},
      {"/home/", "(^|[^A-Za-z0-9_.}])/home/", "a path of one machine", is_anything},
      {"/root/", "(^|[^A-Za-z0-9_.}])/root/", "a path of one machine", is_anything},
      {"beside", "\\bbeside\\b", "write \"alongside\" or \"next to\"", is_guide},
  };
  return words;
}

// Two words that a line break divides are still two words: `last_word` is that of the line before.
bool is_written(const Banned& word, const std::regex& pattern, const std::string& last_word,
                const std::string& text) {
  const std::string joined = last_word + " " + text;
  if (joined.find(word.hint) == std::string::npos) return false;
  if (std::regex_search(text, pattern)) return true;
  std::smatch across;
  if (!std::regex_search(joined, across, pattern)) return false;
  const auto begin = static_cast<std::size_t>(across.position());
  const auto end = begin + static_cast<std::size_t>(across.length());
  return begin < last_word.size() && end > last_word.size() + 1;
}

}  // namespace

bool is_document(const std::string& path) {
  return has_ending(path, ".md");
}

std::string anchor_of(std::string_view heading) {
  std::string anchor;
  for (const char c : heading) {
    const auto byte = static_cast<unsigned char>(c);
    if (std::isalnum(byte) != 0 || byte >= 0x80 || c == '-' || c == '_') {
      anchor += static_cast<char>(std::tolower(byte));
    } else if (c == ' ') {
      anchor += '-';
    }
  }
  return anchor;
}

Findings wide_code(const File& file) {
  Findings findings;
  for (std::size_t i = 0; i < file.lines.size(); ++i) {
    const std::size_t width = columns(file.lines[i]);
    if (width > kColumnsMaximum) {
      findings.push_back({file.path, i + 1, std::to_string(width) + " columns"});
    }
  }
  return findings;
}

Findings chopped_comments(const File& file) {
  static const std::regex prose(R"(^(\s*)// (\S.*)$)");
  Findings findings;
  std::string indent;       // of the paragraph
  std::size_t before = 0;   // columns of the line before in the paragraph; 0: it is the first
  std::size_t suspect = 0;  // number of a line that is chopped if more of its paragraph follows
  for (std::size_t i = 0; i < file.lines.size(); ++i) {
    std::smatch found;
    if (!std::regex_match(file.lines[i], found, prose) || found[1] != indent) {
      before = suspect = 0;
      if (found.empty()) continue;
    }
    indent = found[1];
    const std::string text = found[2];
    const bool is_item = text.starts_with("- ") || text.starts_with("* ");
    if (suspect != 0 && !is_item) {
      findings.push_back({file.path, suspect, "a line of one or two words amid a paragraph"});
    }
    const bool ends = text.ends_with(".") || text.ends_with(":") || text.ends_with(";");
    const auto spaces = std::count(text.begin(), text.end(), ' ');
    suspect = before >= kNearlyFull && spaces <= 1 && !ends ? i + 1 : 0;
    before = columns(file.lines[i]);
  }
  return findings;
}

Findings wide_prose(const File& file) {
  Findings findings;
  if (!is_guide(file.path)) return findings;
  for_each_prose_line(file, [&](const std::string& line, std::size_t number) {
    const bool is_free = line.starts_with("|") || line.find(' ') == std::string::npos;
    if (!is_free && columns(line) > kColumnsMaximum) {
      findings.push_back({file.path, number, std::to_string(columns(line)) + " columns"});
    }
  });
  return findings;
}

Findings missing_head_comment(const File& file) {
  const auto first = std::find_if(file.lines.begin(), file.lines.end(),
                                  [](const std::string& line) { return !trimmed(line).empty(); });
  if (first == file.lines.end()) return {{file.path, 1, "the file is empty"}};
  if (first->starts_with("//") || first->starts_with("/*") || first->starts_with("#!")) return {};
  std::string stem = std::filesystem::path(file.path).stem();
  if (stem.ends_with("_test")) stem.resize(stem.size() - 5);
  const bool is_implementation = !has_ending(file.path, ".h");
  if (is_implementation && first->starts_with("#include \"") &&
      std::filesystem::path(first->substr(10, first->rfind('"') - 10)).stem() == stem) {
    return {};
  }
  return {{file.path, 1, "begins with no comment that says what it is for"}};
}

Findings visible_internals(const File& file) {
  static const std::regex opens(R"(^\s*namespace\s+([\w:]*(internal|detail)\w*)\b[^;]*\{)");
  Findings findings;
  for (std::size_t i = 0; i < file.lines.size(); ++i) {
    if (!std::regex_search(file.lines[i], opens)) continue;
    findings.push_back({file.path, i + 1, "internals are in sight: move them to internal/"});
  }
  return findings;
}

Findings long_functions(const File& source) {
  // What else has a brace at the margin.
  static const std::regex other(R"(^(#|//|(inline )?namespace\b|extern\b)|= \{$)"
                                R"(|^(template <.*> *)?(struct|class|enum|union)\b)");
  Findings findings;
  std::size_t begin = 0;      // counts from 1
  std::size_t signature = 0;  // the line at the margin, where it may be one
  for (std::size_t at = 0; at < source.lines.size(); ++at) {
    const std::string& line = source.lines[at];
    if (line.empty()) continue;
    const bool is_at_margin = line[0] != ' ';
    if (is_at_margin && line[0] == '}') {
      const std::size_t lines = begin == 0 ? 0 : at + 2 - begin;
      if (lines > kFunctionLinesMaximum) {
        findings.push_back({source.path, begin, std::to_string(lines) + " lines of one function"});
      }
      begin = 0;
      continue;
    }
    if (is_at_margin) signature = std::regex_search(line, other) ? 0 : at + 1;
    if (signature == 0 || !line.ends_with("{")) continue;
    begin = std::exchange(signature, 0);
  }
  return findings;
}

namespace {

// Of `#include "a/b.h"`, or empty.
std::string_view included_path(std::string_view line) {
  constexpr std::string_view kInclude = "#include \"";
  if (!line.starts_with(kInclude)) return {};
  line.remove_prefix(kInclude.size());
  return line.substr(0, line.find('"'));
}

}  // namespace

Findings climbing_includes(const File& file) {
  Findings findings;
  for (std::size_t at = 0; at < file.lines.size(); ++at) {
    const auto path = included_path(file.lines[at]);
    if (path.find("..") == std::string_view::npos) continue;
    findings.push_back({file.path, at + 1, "an include out of its folder: begin at a root"});
  }
  return findings;
}

std::vector<std::string> hidden_types(const File& source) {
  static const std::regex around(R"(^namespace ([\w:]+) \{)");
  static const std::regex type(R"(^(struct|class|enum class|enum) (\w+)( final)?( :.*)? ?\{)");
  std::vector<std::string> types;
  std::string space;
  bool is_hidden = false;
  std::smatch match;
  for (const std::string& line : source.lines) {
    if (std::regex_search(line, match, around)) space = match[1];
    if (line == "namespace {") is_hidden = true;
    if (line == "}  // namespace") is_hidden = false;
    if (is_hidden && std::regex_search(line, match, type)) {
      types.push_back(space + "::" + match[2].str());
    }
  }
  return types;
}

std::vector<std::string> included_names(const File& file) {
  std::vector<std::string> names;
  for (const std::string& line : file.lines) {
    const auto path = included_path(line);
    if (!path.empty()) names.emplace_back(path.substr(path.rfind('/') + 1));
  }
  return names;
}

Findings hasty_pipes(const File& script) {
  static const std::regex pipefail(R"(^set .*pipefail)");
  static const std::regex hasty(R"([^|]\|\s*(grep -[A-Za-z]*q|head\b))");
  const auto sets = [](const std::string& line) { return std::regex_search(line, pipefail); };
  Findings findings;
  if (std::none_of(script.lines.begin(), script.lines.end(), sets)) return findings;
  for (std::size_t at = 0; at < script.lines.size(); ++at) {
    if (!std::regex_search(script.lines[at], hasty)) continue;
    findings.push_back({script.path, at + 1, "ends before it has read all, under pipefail"});
  }
  return findings;
}

Findings unreadable_test_names(const File& file) {
  static const std::regex begins(R"(^(?:[A-Z]+_)?TEST(?!_SUITE)(?:_[A-Z]+)?\(\w+,\s*(\w*))");
  static const std::regex name_form(R"((DISABLED_)?[a-z0-9]+(_[a-z0-9]+)*)");
  static const std::regex word(R"(^\s*(\w+))");
  Findings findings;
  for (std::size_t i = 0; i < file.lines.size(); ++i) {
    std::smatch found;
    if (!std::regex_search(file.lines[i], found, begins)) continue;
    std::string name = found[1];
    const bool is_below = name.empty() && i + 1 < file.lines.size();
    if (is_below && std::regex_search(file.lines[i + 1], found, word)) name = found[1];
    if (std::regex_match(name, name_form)) continue;
    findings.push_back({file.path, i + 1, name + " is not a test's name in snake_case"});
  }
  return findings;
}

Findings used_internals(const File& file) {
  // Mutants are the tests' own, in whatever they attack.
  static const std::regex includes(
      R"(^\s*#\s*include\s*["<]semper/(?!base/internal/mutant\.h).*/internal/)");
  Findings findings;
  for (std::size_t i = 0; i < file.lines.size(); ++i) {
    if (!std::regex_search(file.lines[i], includes)) continue;
    findings.push_back({file.path, i + 1, "only the library itself includes internal/"});
  }
  return findings;
}

Findings missing_when_not(const File& file) {
  static const std::regex sentence("[Ww]hen not|[Nn]ot for\\b|[Nn]ever (used|included) directly");
  const std::size_t head = std::min(file.lines.size(), kHeadLines);
  std::string text;
  for (std::size_t i = 0; i < head && file.lines[i].starts_with("//"); ++i) {
    text += trimmed(file.lines[i].substr(2)) + " ";
  }
  if (std::regex_search(text, sentence)) return {};
  return {{file.path, 1, "its head comment has no sentence \"When not: ...\""}};
}

Findings banned_words(const File& file) {
  Findings findings;
  for (const Banned& word : banned()) {
    if (!word.applies(file.path)) continue;
    const std::regex pattern(word.pattern);
    std::string last_word;
    for (std::size_t i = 0; i < file.lines.size(); ++i) {
      std::string text = trimmed(file.lines[i]);
      if (text.starts_with("//")) text = trimmed(text.substr(2));
      if (is_written(word, pattern, last_word, text)) {
        findings.push_back({file.path, i + 1, word.what});
      }
      const auto space = text.rfind(' ');
      last_word = space == std::string::npos ? text : text.substr(space + 1);
    }
  }
  return findings;
}

Findings broken_links(const File& document, const Tree& tree) {
  static const std::regex link("\\]\\(([^)\\s]+)\\)");
  static const std::regex named(
      "`((?:src|include|tests|docs|apps|backends|bench|examples|cmake|tools|fuzz)/[A-Za-z0-9_./"
      "-]+)`");
  static const std::regex placeholder("[A-Z]{3,}");  // docs/guide-NAME.md
  Findings findings;
  const auto folder = std::filesystem::path(document.path).parent_path();
  const auto look = [&](const std::string& text, std::size_t number) {
    const auto hash = text.find('#');
    const std::string file = text.substr(0, hash);
    const std::string path =
        file.empty() ? document.path : (folder / file).lexically_normal().string();
    if (!tree.exists(path)) {
      findings.push_back({document.path, number, text + " leads to no file"});
    } else if (hash != std::string::npos) {
      const File* target = tree.find(path);
      if (target == nullptr || !anchors_of(*target).contains(text.substr(hash + 1))) {
        findings.push_back({document.path, number, text + " leads to no heading"});
      }
    }
  };
  for_each_prose_line(document, [&](const std::string& line, std::size_t number) {
    const std::string prose = without_code_spans(line);
    for (std::sregex_iterator at(prose.begin(), prose.end(), link), end; at != end; ++at) {
      const std::string target = (*at)[1];
      if (target.find("://") == std::string::npos && !target.starts_with("mailto:")) {
        look(target, number);
      }
    }
    for (std::sregex_iterator at(line.begin(), line.end(), named), end; at != end; ++at) {
      if (!std::regex_search((*at)[1].str(), placeholder) && !tree.exists((*at)[1])) {
        findings.push_back({document.path, number, (*at)[1].str() + " is not there"});
      }
    }
  });
  return findings;
}

Findings unquoted_code(const File& guide, const std::vector<const File*>& sources) {
  const auto dense = [](const std::vector<std::string>& lines) {
    std::vector<std::string> kept;
    for (const std::string& line : lines) {
      if (!trimmed(line).empty()) kept.push_back(trimmed(line));
    }
    return kept;
  };
  const auto is_there = [&](const std::vector<std::string>& piece) {
    return std::any_of(sources.begin(), sources.end(), [&](const File* source) {
      const auto all = dense(source->lines);
      return std::search(all.begin(), all.end(), piece.begin(), piece.end()) != all.end();
    });
  };
  Findings findings;
  std::vector<std::string> piece;
  std::size_t begin = 0;
  bool is_quoting = false;
  const auto end_piece = [&](std::size_t next) {
    if (!piece.empty() && !is_there(dense(piece))) {
      findings.push_back({guide.path, begin, "this code is in none of the guide's sources"});
    }
    piece.clear();
    begin = next;
  };
  for (std::size_t i = 0; i < guide.lines.size(); ++i) {
    const std::string line = trimmed(guide.lines[i]);
    if (line == "```cpp") {
      is_quoting = true;
      begin = i + 2;
    } else if (line.starts_with("```") || (is_quoting && line == "// ...")) {
      if (is_quoting) end_piece(i + 2);
      if (line.starts_with("```")) is_quoting = false;
    } else if (is_quoting && !line.empty()) {
      piece.push_back(line);
    }
  }
  return findings;
}

Findings unbuilt_examples(const File& header, const std::vector<const File*>& sources) {
  static const std::regex in_comment(R"(^\s*//(.*)$)");
  static const std::regex left_out(R"((^|\s)[.]{3}(\s|$))");
  static const std::regex spaces(R"(\s+)");
  const auto plain = [](const std::string& line) {
    return std::regex_replace(trimmed(without_comment(line)), spaces, " ");
  };
  std::vector<std::vector<std::string>> dense;
  for (const File* source : sources) {
    auto& lines = dense.emplace_back();
    for (const std::string& line : source->lines) {
      std::string text = plain(line);
      if (!text.empty()) lines.push_back(std::move(text));
    }
  }
  const auto is_there = [&](const std::vector<std::string>& piece) {
    return std::any_of(dense.begin(), dense.end(), [&](const auto& all) {
      return std::search(all.begin(), all.end(), piece.begin(), piece.end()) != all.end();
    });
  };
  Findings findings;
  std::vector<std::vector<std::string>> pieces(1);
  std::size_t begin = 0;
  const auto end_block = [&] {
    bool is_code = false;
    bool is_built = true;
    for (const auto& piece : pieces) {
      for (const auto& line : piece) is_code |= line.find_last_of(";{}") == line.size() - 1;
      is_built &= is_there(piece);
    }
    if (is_code && !is_built) {
      findings.push_back({header.path, begin, "this example is in no source that is built"});
    }
    pieces.assign(1, {});
    begin = 0;
  };
  for (std::size_t i = 0; i < header.lines.size(); ++i) {
    std::smatch found;
    const bool is_comment = std::regex_match(header.lines[i], found, in_comment);
    const std::string text = is_comment ? found[1].str() : "";
    const std::string line = plain(text);
    if (!is_comment || (!trimmed(text).empty() && !text.starts_with("   "))) {
      end_block();
    } else if (trimmed(text).empty() || std::regex_search(line, left_out)) {
      pieces.emplace_back();
    } else if (!line.empty()) {
      if (begin == 0) begin = i + 1;
      pieces.back().push_back(line);
    }
  }
  end_block();
  return findings;
}

}  // namespace semper::tidy
