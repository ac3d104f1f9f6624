// Completion scripts for bash, zsh and fish, made from the grammar that the tool itself parses by.
#include "command_line/completion.h"

#include <CLI/CLI.hpp>
#include <string_view>

#include "command_line/complete.h"

namespace semper::cli {
namespace {

// Shell, which a formatter of C++ must leave alone. Options take part in finding the place as
// words that lead nowhere.
// clang-format off
constexpr std::string_view kBashFunction = R"sh(_semper() {
  local word place="" next i
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=${COMP_WORDS[i]}
    next="${place:+$place }$word"
    if [ -n "$word" ] && [ -n "$(_semper_words "$next")" ]; then
      place=$next
    fi
  done
  local typed=${COMP_WORDS[COMP_CWORD]} known
  COMPREPLY=($(compgen -W "$(_semper_words "$place")" -- "$typed"))
  case $typed in -*) return ;; esac
  while IFS= read -r known; do
    COMPREPLY+=("$(printf %q "$known")")
    case $known in */) compopt -o nospace 2>/dev/null ;; esac
  done < <(timeout 2 "${COMP_WORDS[0]}" complete -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -o default -F _semper semper
)sh";
constexpr std::string_view kZshFunction = R"sh(_semper() {
  local word place="" next
  for word in ${words[2,CURRENT-1]}; do
    next="${place:+$place }$word"
    if [ -n "$(_semper_words "$next")" ]; then
      place=$next
    fi
  done
  compadd -- ${=$(_semper_words "$place")}
  compadd -S '' -- ${(f)"$(timeout 2 $words[1] complete -- ${(@)words[2,CURRENT]} 2>/dev/null)"}
}
compdef _semper semper
)sh";
// clang-format on

// A place in the grammar, and what may come next there.
struct Place {
  std::string path;  // "", "ls", "store get"
  std::vector<const CLI::App*> commands;
  std::vector<const CLI::Option*> options;  // the program's own are known everywhere
};

void add_places(const CLI::App& command, const std::string& path, std::vector<Place>& places) {
  Place place{
      path,
      command.get_subcommands([](const CLI::App* each) { return !each->get_group().empty(); }),
      command.get_options([](const CLI::Option* option) { return !option->get_lnames().empty(); })};
  places.push_back(place);
  for (const auto* below : place.commands) {
    add_places(*below, path.empty() ? below->get_name() : path + " " + below->get_name(), places);
  }
}

std::string words_of(const Place& place, const Place& root) {
  std::string words;
  for (const auto* command : place.commands) words += command->get_name() + " ";
  for (const auto* option : place.options) words += "--" + option->get_lnames().front() + " ";
  if (&place != &root) {
    for (const auto* option : root.options) {
      if (option->get_lnames().front() == "help") continue;
      words += "--" + option->get_lnames().front() + " ";
    }
  }
  words.pop_back();
  return words;
}

// A function that prints the words that may follow a path of commands; nothing for no path.
std::string words_function(const std::vector<Place>& places) {
  std::string script = "_semper_words() {\n  case \"$1\" in\n";
  for (const auto& place : places) {
    script += "    \"" + place.path + "\") echo \"" + words_of(place, places.front()) + "\" ;;\n";
  }
  return script + "  esac\n}\n";
}

std::string bash_script(const std::vector<Place>& places) {
  return "# bash completion for semper: source <(semper completion bash)\n" +
         words_function(places) + std::string(kBashFunction);
}

std::string zsh_script(const std::vector<Place>& places) {
  return "#compdef semper\n# zsh completion for semper: source <(semper completion zsh)\n" +
         words_function(places) + std::string(kZshFunction);
}

std::string fish_text(const std::string& text) {
  std::string out = "'";
  for (const char c : text)
    out += c == '\'' || c == '\\' ? std::string("\\") + c : std::string(1, c);
  return out + "'";
}

std::string fish_script(const std::vector<Place>& places) {
  std::string script =
      "# fish completion for semper: semper completion fish | source\ncomplete -c semper -f\n"
      "complete -c semper -a '(semper complete -- (commandline -opc)[2..-1] (commandline -ct) "
      "2>/dev/null)'\n";
  for (const auto& place : places) {
    std::string condition;
    if (!place.path.empty()) {
      const auto space = place.path.find(' ');
      condition = "__fish_seen_subcommand_from " + place.path.substr(0, space);
      if (space != std::string::npos) {
        condition += "; and __fish_seen_subcommand_from " + place.path.substr(space + 1);
      }
    }
    std::string names;
    for (const auto* command : place.commands) names += " " + command->get_name();
    const std::string none_yet = condition.empty()
                                     ? "__fish_use_subcommand"
                                     : condition + "; and not __fish_seen_subcommand_from" + names;
    for (const auto* command : place.commands) {
      script += "complete -c semper -n " + fish_text(none_yet) + " -a " + command->get_name() +
                " -d " + fish_text(command->get_description()) + "\n";
    }
    for (const auto* option : place.options) {
      script += "complete -c semper" + (condition.empty() ? "" : " -n " + fish_text(condition)) +
                " -l " + option->get_lnames().front() +
                (option->get_items_expected_max() > 0 ? " -r" : "") + " -d " +
                fish_text(option->get_description()) + "\n";
    }
  }
  return script;
}

// The option of this name that the words may hold here.
const CLI::Option* option_named(const CLI::App& program, const CLI::App& command,
                                const std::string& name) {
  const CLI::Option* option = command.get_option_no_throw(name);
  return option != nullptr ? option : program.get_option_no_throw(name);
}

// Which positional argument of the command comes next; "" where none does.
std::string next_argument(const CLI::App& command, std::size_t given) {
  for (const auto* option : command.get_options()) {
    if (!option->get_positional()) continue;
    if (given == 0) return option->get_name();
    --given;
  }
  return "";
}

CompletionQuery::What kind_of(const std::string& argument, const std::string& command) {
  using What = CompletionQuery::What;
  if (argument == "TYPE") return What::types;
  if (argument == "ENTITY") return What::entities;
  if (argument != "MESSAGE") return What::nothing;
  return command == "call" ? What::calls : What::casts;
}

}  // namespace

CompletionQuery completion_query(const CLI::App& program, const std::vector<std::string>& words) {
  CompletionQuery query;
  if (words.empty()) return query;
  query.prefix = words.back();
  const CLI::App* command = &program;
  std::vector<std::string> given;
  for (std::size_t i = 0; i + 1 < words.size(); ++i) {
    const std::string& word = words[i];
    if (word.starts_with('-')) {
      const auto equals = word.find('=');
      const auto* option = option_named(program, *command, word.substr(0, equals));
      const bool takes_value = option != nullptr && option->get_items_expected_max() > 0;
      if (!takes_value) continue;
      const std::string value = equals != std::string::npos ? word.substr(equals + 1) : words[++i];
      if (option->check_lname("store")) query.store = value;
      if (option->check_lname("tenant")) query.tenant = value;
      if (i + 1 >= words.size()) return query;  // the value itself is being typed
      continue;
    }
    const auto below =
        command->get_subcommands([&](const CLI::App* each) { return each->get_name() == word; });
    if (given.empty() && !below.empty()) {
      command = below.front();
    } else {
      given.push_back(word);
    }
  }
  if (query.prefix.starts_with('-')) return query;
  query.what = kind_of(next_argument(*command, given.size()), command->get_name());
  if (!given.empty()) query.entity = given.front();
  return query;
}

std::string completion_script(const CLI::App& program, const std::string& shell) {
  std::vector<Place> places;
  add_places(program, "", places);
  if (shell == "bash") return bash_script(places);
  return shell == "zsh" ? zsh_script(places) : fish_script(places);
}

}  // namespace semper::cli
