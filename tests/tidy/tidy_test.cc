// The tree is tidy: every rule of rules.h, tried on text that breaks it, and held against the tree.
//
// What a rule finds and is not mended yet stands in exceptions/RULE.txt, a line "PATH COUNT" for a
// file. These lists may only shrink: more findings than COUNT fail, and so does an entry without
// any.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <regex>
#include <set>
#include <sstream>

#include "rules.h"

namespace semper::tidy {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;
namespace fs = std::filesystem;
using Paths = std::function<bool(const std::string& path)>;

File file_of(const std::string& path, const std::string& text) {
  File file{path, {}};
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) file.lines.push_back(line);
  return file;
}

bool is_source(const std::string& path) {
  return path.ends_with(".h") || path.ends_with(".cc") || path.ends_with(".c");
}
bool is_public_header(const std::string& path) {
  return path.starts_with("include/semper/") && path.ends_with(".h") &&
         path.find("/internal/") == std::string::npos;
}
bool is_text(const std::string& path) {
  const std::string name = fs::path(path).filename();
  return is_source(path) || is_document(path) || path.ends_with(".cmake") ||
         path.ends_with(".proto") || path.ends_with(".1") || name == "CMakeLists.txt" ||
         name == "CMakePresets.json" || name == "Makefile" || name == "run" ||
         path.starts_with("tools/");
}
// These texts are about what is wrong.
bool is_about_rules(const std::string& path) {
  return path.starts_with("tests/tidy/");
}

class TidyTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    const fs::path root = SEMPER_SOURCES;
    for (auto at = fs::recursive_directory_iterator(root); at != fs::end(at); ++at) {
      const std::string path = at->path().lexically_relative(root);
      if (at->is_directory() && (path == "build" || (path[0] == '.' && path != ".ci"))) {
        at.disable_recursion_pending();
      } else if (at->is_regular_file() && is_text(path)) {
        std::ifstream stream(at->path());
        std::ostringstream text;
        text << stream.rdbuf();
        files_.emplace(path, file_of(path, text.str()));
      }
    }
    ASSERT_GT(files_.size(), 500u) << "no tree under " << root;
  }

  static Tree tree() {
    return {[](const std::string& path) { return fs::exists(fs::path(SEMPER_SOURCES) / path); },
            [](const std::string& path) {
              const auto found = files_.find(path);
              return found == files_.end() ? nullptr : &found->second;
            }};
  }

  static std::map<std::string, std::size_t> exceptions_of(const std::string& rule) {
    std::map<std::string, std::size_t> counts;
    const std::string path =
        std::string(SEMPER_SOURCES) + "/tests/tidy/exceptions/" + rule + ".txt";
    std::ifstream stream(path);
    for (std::string line; std::getline(stream, line);) {
      if (line.empty() || line[0] == '#') continue;
      std::istringstream parts(line);
      std::string of;
      std::size_t count = 0;
      EXPECT_TRUE(parts >> of >> count) << path << ": " << line << ": not \"PATH COUNT\"";
      counts[of] = count;
    }
    return counts;
  }

  // Every finding that is not excepted fails, and every exception that is not needed.
  template <class Rule>
  static void hold(const std::string& rule, const Paths& applies, Rule findings_of) {
    auto allowed = exceptions_of(rule);
    std::size_t looked_at = 0;
    for (const auto& [path, file] : files_) {
      if (!applies(path)) continue;
      ++looked_at;
      const Findings findings = findings_of(file);
      const auto exception = allowed.find(path);
      const std::size_t limit = exception == allowed.end() ? 0 : exception->second;
      if (findings.size() > limit) {
        for (const Finding& finding : findings) {
          ADD_FAILURE() << finding.path << ":" << finding.line << ": " << finding.what;
        }
      } else if (findings.empty() && limit > 0) {
        ADD_FAILURE() << path << " is in order: take it out of tests/tidy/exceptions/" << rule
                      << ".txt";
      }
      if (exception != allowed.end()) allowed.erase(exception);
    }
    for (const auto& [path, count] : allowed) {
      ADD_FAILURE() << "tests/tidy/exceptions/" << rule << ".txt names " << path
                    << ", which is not there";
    }
    EXPECT_GT(looked_at, 0u) << rule << " was held against nothing";
  }

  static inline std::map<std::string, File> files_;
};

// The tree.

TEST_F(TidyTest, no_line_of_code_is_wider_than_100_columns) {
  hold("wide_code", is_source, wide_code);
}

TEST_F(TidyTest, no_comment_is_chopped) {
  hold("chopped_comments", is_source, chopped_comments);
}

TEST_F(TidyTest, no_line_of_a_guide_is_wider_than_100_columns) {
  hold("wide_prose", is_document, wide_prose);
}

TEST_F(TidyTest, every_source_begins_with_what_it_is_for) {
  hold("head_comment", is_source, missing_head_comment);
}

TEST_F(TidyTest, every_public_header_says_when_not_to_use_it) {
  hold("when_not", is_public_header, missing_when_not);
}

TEST_F(TidyTest, a_public_header_shows_no_internals) {
  hold("visible_internals", is_public_header, visible_internals);
}

TEST_F(TidyTest, programs_and_examples_use_no_internals) {
  const Paths is_a_users = [](const std::string& path) {
    return is_source(path) && (path.starts_with("apps/") || path.starts_with("examples/"));
  };
  hold("used_internals", is_a_users, used_internals);
}

TEST_F(TidyTest, no_function_is_longer_than_70_lines) {
  hold("long_functions", is_source, long_functions);
}

TEST_F(TidyTest, no_include_climbs_out_of_its_folder) {
  hold("climbing_includes", is_source, climbing_includes);
}

// Sources of one program are compiled several at once: those of tests always, those of rooms by the
// sanitizers' build.
TEST_F(TidyTest, no_two_sources_of_a_program_hide_types_of_one_name) {
  std::map<std::string, std::string> first;
  for (const auto& [path, file] : files_) {
    const bool is_of_a_room = path.starts_with("src/") || path.starts_with("backends/");
    const bool is_of_a_test = path.starts_with("tests/") && !path.starts_with("tests/refused/");
    if (!(is_of_a_room || is_of_a_test) || !path.ends_with(".cc")) continue;
    const bool is_test = is_of_a_room && path.find("_test.cc") != std::string::npos;
    const std::string room = path.substr(0, path.find('/', path.find('/') + 1));
    for (const std::string& type : hidden_types(file)) {
      const auto [found, is_new] = first.emplace(room + (is_test ? " tests " : " ") + type, path);
      EXPECT_TRUE(is_new) << type << " is in " << found->second << " and in " << path;
    }
  }
  EXPECT_GT(first.size(), 200u);
}

TEST_F(TidyTest, every_header_is_included_by_somebody) {
  std::set<std::string> included;
  for (const auto& [path, file] : files_) {
    const std::string own = fs::path(path).filename();
    for (const std::string& name : included_names(file)) {
      if (name != own) included.insert(name);
    }
  }
  for (const auto& [path, file] : files_) {
    // That tree is what tests/layering has to refuse.
    if (!path.ends_with(".h") || path.starts_with("tests/layering/wrong/")) continue;
    EXPECT_TRUE(included.contains(fs::path(path).filename())) << path << " is dead";
  }
}

TEST_F(TidyTest, no_script_fails_because_its_reader_was_done) {
  const auto is_script = [](const std::string& path) {
    return path.ends_with("/run") || path.starts_with("tools/");
  };
  hold("hasty_pipes", is_script, hasty_pipes);
}

TEST_F(TidyTest, every_test_has_a_name_in_snake_case) {
  hold("test_names", is_source, unreadable_test_names);
}

TEST_F(TidyTest, no_banned_word_is_written) {
  const Paths applies = [](const std::string& path) { return !is_about_rules(path); };
  hold("banned_words", applies, banned_words);
}

TEST_F(TidyTest, every_link_and_every_named_path_leads_somewhere) {
  const Tree here = tree();
  hold("broken_links", is_document,
       [&](const File& document) { return broken_links(document, here); });
}

TEST_F(TidyTest, every_document_is_in_the_index) {
  const auto index = files_.find("docs/README.md");
  ASSERT_NE(index, files_.end());
  std::string text;
  for (const std::string& line : index->second.lines) text += line;
  for (const auto& [path, file] : files_) {
    if (!is_document(path) || fs::path(path).parent_path() != "docs" || path == "docs/README.md") {
      continue;
    }
    const std::string name = fs::path(path).filename();
    EXPECT_NE(text.find("](" + name + ")"), std::string::npos) << "docs/README.md lacks " << name;
  }
}

// `Suite.case` of a document that says what is tested where.
TEST_F(TidyTest, every_case_that_a_document_names_exists) {
  std::string cases;
  for (const auto& [path, file] : files_) {
    if (!path.ends_with("_test.cc")) continue;
    for (const std::string& line : file.lines) {
      if (line.find("TEST") != std::string::npos) cases += line;
    }
  }
  const auto document = files_.find("docs/dgen-tests.md");
  ASSERT_NE(document, files_.end());
  const std::regex name("`([A-Z][A-Za-z]+)[.]([A-Za-z0-9_]+)`");
  std::size_t named = 0;
  for (const std::string& line : document->second.lines) {
    for (auto at = std::sregex_iterator(line.begin(), line.end(), name);
         at != std::sregex_iterator(); ++at) {
      if ((*at)[1] == "Suite") continue;
      ++named;
      const std::string begins = "(" + (*at)[1].str() + ", " + (*at)[2].str();
      EXPECT_NE(cases.find(begins), std::string::npos) << (*at)[0];
    }
  }
  EXPECT_GT(named, 40u);
}

// docs/guide-x.md quotes examples/guide_x, README.md any example.
TEST_F(TidyTest, the_code_in_a_guide_is_code_that_is_built_and_run) {
  const Paths is_guide = [](const std::string& path) {
    return path.starts_with("docs/guide-") || path == "README.md";
  };
  hold("unquoted_code", is_guide, [&](const File& guide) {
    std::string folder = "examples/";
    const std::string stem = fs::path(guide.path).stem();
    if (stem.starts_with("guide-")) folder += "guide_" + stem.substr(6) + "/";
    std::vector<const File*> sources;
    for (const auto& [path, file] : files_) {
      if (path.starts_with(folder) && is_source(path)) sources.push_back(&file);
    }
    EXPECT_THAT(sources, ::testing::Not(IsEmpty())) << folder;
    return unquoted_code(guide, sources);
  });
}

// What a public header shows is in some example.
TEST_F(TidyTest, the_code_in_a_header_is_code_that_is_built) {
  std::vector<const File*> sources;
  for (const auto& [path, file] : files_) {
    if (path.starts_with("examples/") && is_source(path)) sources.push_back(&file);
  }
  hold("unbuilt_examples", is_public_header,
       [&](const File& header) { return unbuilt_examples(header, sources); });
}

TEST_F(TidyTest, every_list_of_exceptions_belongs_to_a_rule) {
  const std::set<std::string> rules = {"wide_code",      "wide_prose",        "head_comment",
                                       "when_not",       "banned_words",      "broken_links",
                                       "unquoted_code",  "visible_internals", "used_internals",
                                       "test_names",     "chopped_comments",  "unbuilt_examples",
                                       "long_functions", "climbing_includes", "hasty_pipes"};
  for (const auto& entry :
       fs::directory_iterator(std::string(SEMPER_SOURCES) + "/tests/tidy/exceptions")) {
    EXPECT_TRUE(rules.contains(entry.path().stem())) << entry.path();
  }
}

// The rules, on text that breaks them.

std::vector<std::size_t> lines_of(const Findings& findings) {
  std::vector<std::size_t> lines;
  for (const Finding& finding : findings) lines.push_back(finding.line);
  return lines;
}

TEST(TidyRules, wide_code_and_a_wide_comment_are_found) {
  const std::string wide(101, 'x');
  const std::string accents(60, '\xc3');
  EXPECT_THAT(lines_of(wide_code(file_of("a.cc", "int a;\n" + wide + "\n"))), ElementsAre(2u));
  EXPECT_THAT(wide_code(file_of("a.cc", "int a;  // " + wide)), SizeIs(1));
  EXPECT_THAT(wide_code(file_of("a.cc", "// " + std::string(98, 'x'))), SizeIs(1));
  EXPECT_THAT(wide_code(file_of("a.cc", "auto a = \"// " + wide + "\";")), SizeIs(1));
  EXPECT_THAT(wide_code(file_of("a.cc", std::string(100, 'x'))), IsEmpty());
  std::string two_bytes_each;
  for (int i = 0; i < 60; ++i) two_bytes_each += "\xc3\xa4";
  EXPECT_THAT(wide_code(file_of("a.cc", two_bytes_each)), IsEmpty()) << "columns are not bytes";
}

TEST(TidyRules, a_chopped_comment_is_found) {
  const std::string full = "// " + std::string(40, 'x') + " " + std::string(45, 'y');
  const auto chopped = [](const std::string& text) {
    return lines_of(chopped_comments(file_of("a.h", text)));
  };
  EXPECT_THAT(chopped(full + "\n// two words\n// and more of it\n"), ElementsAre(2u));
  EXPECT_THAT(chopped(full + "\n// two words\n"), IsEmpty()) << "the end of a paragraph";
  EXPECT_THAT(chopped(full + "\n// two words\n//\n// another\n"), IsEmpty());
  EXPECT_THAT(chopped(full + "\n// it ends.\n// Threads: any.\n"), IsEmpty());
  EXPECT_THAT(chopped(full + "\n// two words\n// - an item\n"), IsEmpty());
  EXPECT_THAT(chopped("// short\n// two words\n// and more of it\n"), IsEmpty());
  EXPECT_THAT(chopped(full + "\n  // two words\n  // and more of it\n"), IsEmpty());
}

TEST(TidyRules, wide_prose_is_found_outside_tables_and_code) {
  const std::string wide = "word " + std::string(100, 'x');
  EXPECT_THAT(lines_of(wide_prose(file_of("README.md", "a\n" + wide))), ElementsAre(2u));
  EXPECT_THAT(wide_prose(file_of("README.md", "| " + wide + " |")), IsEmpty());
  EXPECT_THAT(wide_prose(file_of("README.md", "```\n" + wide + "\n```")), IsEmpty());
}

TEST(TidyRules, a_file_without_a_head_comment_is_found) {
  EXPECT_THAT(missing_head_comment(file_of("src/a.cc", "#include <vector>\n")), SizeIs(1));
  EXPECT_THAT(missing_head_comment(file_of("src/a.h", "#pragma once\n// a\n")), SizeIs(1));
  EXPECT_THAT(missing_head_comment(file_of("src/a.h", "#include \"semper/a.h\"\n")), SizeIs(1));
  EXPECT_THAT(missing_head_comment(file_of("src/a.cc", "")), SizeIs(1));
  EXPECT_THAT(missing_head_comment(file_of("src/a.cc", "// A: ...\n")), IsEmpty());
  EXPECT_THAT(missing_head_comment(file_of("src/a.cc", "#include \"semper/a.h\"\n")), IsEmpty());
  EXPECT_THAT(missing_head_comment(file_of("src/a_test.cc", "#include \"a.h\"\n")), IsEmpty());
}

TEST(TidyRules, a_header_that_does_not_say_when_not_is_found) {
  EXPECT_THAT(missing_when_not(file_of("a.h", "// A: makes an a.\n#pragma once\n// When not: b\n")),
              SizeIs(1));
  EXPECT_THAT(missing_when_not(file_of("a.h", "// A: makes an a. When\n// not: b.\n")), IsEmpty());
}

TEST(TidyRules, internals_in_a_public_header_are_found) {
  EXPECT_THAT(lines_of(visible_internals(file_of("a.h", "int a;\nnamespace internal {\n}\n"))),
              ElementsAre(2u));
  EXPECT_THAT(visible_internals(file_of("a.h", "namespace semper::codec_internal {")), SizeIs(1));
  EXPECT_THAT(visible_internals(file_of("a.h", "  friend class internal::Core;")), IsEmpty());
  EXPECT_THAT(used_internals(file_of("a.cc", "#include \"semper/base/internal/log.h\"")),
              SizeIs(1));
  EXPECT_THAT(used_internals(file_of("a.cc", "#include \"semper/base/log.h\"")), IsEmpty());
}

TEST(TidyRules, a_long_function_is_found) {
  const auto found = [](const std::string& head, std::size_t lines) {
    std::string text = head + "\n";
    for (std::size_t line = 2; line < lines; ++line) text += "  f();\n";
    return lines_of(long_functions(file_of("a.cc", text + "}\n")));
  };
  EXPECT_THAT(found("void f() {", kFunctionLinesMaximum + 1), ElementsAre(1u));
  EXPECT_THAT(found("void f(int a,\n       int b) {", kFunctionLinesMaximum), ElementsAre(1u));
  EXPECT_THAT(found("void f() {", kFunctionLinesMaximum), IsEmpty());
  EXPECT_THAT(found("namespace a {", 200), IsEmpty());
  EXPECT_THAT(found("struct A {", 200), IsEmpty());
  EXPECT_THAT(found("const A kAll[] = {", 200), IsEmpty());
}

TEST(TidyRules, types_that_a_source_hides_are_found) {
  const auto text =
      "namespace a::b {\nstruct Seen {\n}\nnamespace {\nstruct C {\nclass D final : E {\n"
      "enum class F : int { x };\nstruct G;\n}  // namespace\nclass Seen2 {\n";
  EXPECT_THAT(hidden_types(file_of("a.cc", text)), ElementsAre("a::b::C", "a::b::D", "a::b::F"));
}

TEST(TidyRules, an_include_that_climbs_is_found) {
  const auto lines = "#include <a.h>\n#include \"../a.h\"\n#include \"b/a.h\"\n";
  EXPECT_THAT(lines_of(climbing_includes(file_of("a.cc", lines))), ElementsAre(2u));
  EXPECT_THAT(included_names(file_of("a.cc", lines)), ElementsAre("a.h", "a.h"));
}

TEST(TidyRules, a_pipe_that_may_end_early_is_found) {
  const auto hasty = [](const std::string& line) {
    return lines_of(hasty_pipes(file_of("tests/a/run", "set -euo pipefail\n" + line)));
  };
  EXPECT_THAT(hasty("ldd a | grep -q b || exit 1"), ElementsAre(2u));
  EXPECT_THAT(hasty("ldd a | grep -Eqx b"), ElementsAre(2u));
  EXPECT_THAT(hasty("ldd a | head -n 1"), ElementsAre(2u));
  EXPECT_THAT(hasty("ldd a | grep b >/dev/null"), IsEmpty());
  EXPECT_THAT(hasty("grep -q b file || grep -q c file"), IsEmpty());
  EXPECT_THAT(hasty_pipes(file_of("tests/a/run", "set -e\nldd a | grep -q b")), IsEmpty());
}

TEST(TidyRules, a_test_that_is_not_named_by_a_sentence_is_found) {
  const std::string tests =
      "TEST(A, ComesBack) {\nSERVER_TEST(B,\n            Halts) {\n"
      "TEST_P(C, _holds) {\n";
  EXPECT_THAT(lines_of(unreadable_test_names(file_of("a_test.cc", tests))),
              ElementsAre(1u, 2u, 4u));
  const std::string good =
      "TEST(A, it_comes_back) {\nSERVER_TEST(B,\n     halts_in_2_s) {\n"
      "TEST(C, DISABLED_waits) {\n#define TEST_OF(a, B)\n";
  EXPECT_THAT(unreadable_test_names(file_of("a_test.cc", good)), IsEmpty());
}

TEST(TidyRules, banned_words_are_found_where_they_are_banned) {
  EXPECT_THAT(lines_of(banned_words(file_of("docs/a.md", "it can\nnot be\ncan not\ncannot\n"))),
              ElementsAre(2u, 3u));
  EXPECT_THAT(banned_words(file_of("include/a.h", "// it can\n// not be\n")), SizeIs(1));
  EXPECT_THAT(banned_words(file_of("src/a.cc", "fail(\"can not\");\n// TODO\n")), SizeIs(1));
  EXPECT_THAT(banned_words(file_of("src/a.cc", "// FIXME: later\nint b;\n")), SizeIs(1));
  EXPECT_THAT(banned_words(file_of("src/a.cc", "open(\"/home/a\");")), SizeIs(1));
  EXPECT_THAT(banned_words(file_of("src/a.cc", "open(folder + \"x/home/a\");")), IsEmpty());
  EXPECT_THAT(banned_words(file_of("docs/guide-a.md", "beside it")), SizeIs(1));
  EXPECT_THAT(banned_words(file_of("docs/formats.md", "beside it")), IsEmpty());
}

TEST(TidyRules, a_link_that_leads_nowhere_is_found) {
  const File here = file_of("docs/here.md", "# A `heading`, twice?\n# A heading, twice\n");
  const Tree tree = {[](const std::string& path) { return path == "docs/here.md"; },
                     [&](const std::string& path) { return path == here.path ? &here : nullptr; }};
  const auto broken = [&](const std::string& text) {
    return broken_links(file_of("docs/a.md", text), tree).size();
  };
  EXPECT_EQ(broken("[a](here.md) [b](../docs/here.md#a-heading-twice-1) [c](https://x.org/y)"), 0u);
  EXPECT_EQ(broken("[a](there.md)"), 1u);
  EXPECT_EQ(broken("[a](here.md#no-heading)"), 1u);
  EXPECT_EQ(broken("[a](here.md#a-heading-twice-2)"), 1u);
  EXPECT_EQ(broken("`[a](there.md)`\n```\n[a](there.md)\n```"), 0u);
  EXPECT_EQ(broken("`docs/here.md` and `docs/there.md`"), 1u);
}

TEST(TidyRules, code_in_a_guide_that_is_nowhere_is_found) {
  const File source = file_of("a.cc", "int a() {\n\n  one();\n  two();\n  three();\n}\n");
  const auto unquoted = [&](const std::string& text) {
    return lines_of(unquoted_code(file_of("docs/guide-a.md", text), {&source}));
  };
  EXPECT_THAT(unquoted("```cpp\none();\ntwo();\n```\n"), IsEmpty());
  EXPECT_THAT(unquoted("```cpp\nint a() {\n  // ...\n  three();\n```\n"), IsEmpty());
  EXPECT_THAT(unquoted("```cpp\none();\nthree();\n```\n"), ElementsAre(2u));
  EXPECT_THAT(unquoted("```cpp\none();\n// ...\nfour();\n```\n"), ElementsAre(4u));
  EXPECT_THAT(unquoted("```sh\nfour\n```\n"), IsEmpty());
}

TEST(TidyRules, an_example_in_a_header_that_is_not_built_is_found) {
  const File source =
      file_of("a.cc", "int a() {\n  one();   // so\n\n  two(1,  2);\n  three();\n}\n");
  const auto unbuilt = [&](const std::string& text) {
    return lines_of(unbuilt_examples(file_of("a.h", text), {&source}));
  };
  EXPECT_THAT(unbuilt("// A:\n//\n//   one();\n//   two(1, 2);   // and so\n//\n//   three();\n"),
              IsEmpty());
  EXPECT_THAT(unbuilt("//   one();\n//   four();\n"), ElementsAre(1u));
  EXPECT_THAT(unbuilt("//   one();\n//   three();\n"), ElementsAre(1u));
  EXPECT_THAT(unbuilt("//   one();\n//   ...\n//   three();\n"), IsEmpty());
  EXPECT_THAT(unbuilt("//   one();\n//   ...     // two\n//   four();\n"), ElementsAre(1u));
  EXPECT_THAT(unbuilt("//   timeout   it took too long: call again\n"), IsEmpty()) << "a table";
  EXPECT_THAT(unbuilt("  // Prose.\n  //   four();\nint a;\n  //   five();\n"),
              ElementsAre(2u, 4u));
}

}  // namespace
}  // namespace semper::tidy
