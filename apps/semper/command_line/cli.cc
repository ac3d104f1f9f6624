#include "command_line/cli.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <optional>
#include <string_view>
#include <utility>

#include "command_line/complete.h"
#include "command_line/completion.h"
#include "common/exit_code.h"
#include "common/suggest.h"
#include "common/text.h"
#include "entities/grammar.h"
#include "ring/grammar.h"
#include "semper/base/bytes.h"
#include "semper/base/internal/mutant.h"
#include "semper/base/log.h"
#include "semper/env/scheduler.h"
#include "semper/version.h"
#include "store/grammar.h"

namespace semper::cli {
namespace {

constexpr const char* kAfterHelp = R"(Exit codes:
  0  done
  1  it could not be done; the message says why
  2  the command line, or an argument in it, is wrong
  3  the store, type, entity, key or ring does not exist
  4  no answer in time; the message may still be processed
  5  the outcome is unknown: look before doing it again
  6  stored data is damaged; the message says where
  7  not now: suspended, in use, or waiting for an acknowledgement; try again later

Examples:
  export SEMPER_STORE=sqlite:./data.db
  semper types
  semper ls Counter --prefix page/
  semper show Counter/page/home
  semper call Counter/page/home Add '[1]'
  semper COMMAND --help)";

using Words = std::vector<std::string>;

// `typed`: the words of the command line.
void report(Streams& streams, const Words& typed, const Error& error) {
  streams.err << "semper: " << with_words_cut(error.message(), typed) << std::endl;
}

// The grammar of the whole program.
class Program {
 public:
  Program() {
    app_.name("semper");
    app_.fallthrough();
    app_.require_subcommand(1);
    app_.set_version_flag("--version", "semper " + std::string(version()));
    store_option_ = app_.add_option(
        "--store", settings.store,
        "URL of the store: sqlite:PATH, etcd:HOST:PORT,..., fdb:CLUSTER_FILE; default: the "
        "variable SEMPER_STORE");
    app_.add_option("--tenant", settings.tenant,
                    "Directory in the store whose entities are meant, as a/b; default: none");
    app_.add_flag("--json", settings.json, "Results as JSON: a document, or a line per event");
    app_.add_flag("-y,--yes", settings.assume_yes, "Do not ask before deleting");
    app_.footer(kAfterHelp);
    add_entity_commands(app_, chosen);
    add_store_commands(app_, chosen);
    add_ring_commands(app_, chosen);
    add_journal_commands(app_, chosen);
    add_completion();
  }
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  // The exit code where the words say all there is to do: a wrong command line, --help.
  std::optional<int> parse(const Words& typed, Streams& streams) {
    Words words(typed.rbegin(), typed.rend());
    try {
      app_.parse(std::move(words));
    } catch (const CLI::Success& success) {
      app_.exit(success, streams.out, streams.err);
      const Status flushed = Output(streams.out).flush();
      if (flushed) return kSuccess;
      report(streams, typed, flushed.error());
      return exit_code(flushed.error().kind());
    } catch (const CLI::ParseError& error) {
      const std::string what = complaint(error);
      const char* const next =
          what.ends_with('?') ? "" : "; see `semper --help`, or `semper COMMAND --help`";
      report(streams, typed, Error(ErrorKind::invalid_argument, what + next));
      return kUsage;
    }
    look_into_environment();
    return std::nullopt;
  }

  Settings settings;
  Command chosen;

 private:
  void look_into_environment() {
    const char* const url = std::getenv("SEMPER_STORE");
    if (!settings.store.empty() || store_option_->count() > 0 || url == nullptr) return;
    settings.store = url;
    settings.store_is_from_environment = true;
  }

  // What is wrong with the words, in ours. A word that nothing knows says more than what was
  // missing instead of it.
  std::string complaint(const CLI::ParseError& error) const {
    const bool lacks_command = std::string_view(error.what()).starts_with("A subcommand");
    for (const std::string& stranger : app_.remaining(/*recurse=*/true)) {
      const std::string word = to_printable(stranger, 64);
      if (word.size() > 1 && word.starts_with('-')) {
        return "there is no option " + word + did_you_mean(stranger, known_options());
      }
      if (lacks_command) return "there is no command " + word + advice_on_command(stranger);
      return "there is one argument too many: " + word;
    }
    return lacks_command ? "a command is missing" : error.what();
  }

  // The command that the words have come to, from the program on.
  std::vector<const CLI::App*> commands_so_far() const {
    std::vector<const CLI::App*> found = {&app_};
    for (auto below = app_.get_subcommands(); !below.empty();
         below = found.back()->get_subcommands()) {
      found.push_back(below.front());
    }
    return found;
  }

  std::vector<std::string> known_options() const {
    std::vector<std::string> names;
    for (const auto* command : commands_so_far()) {
      for (const auto* option : command->get_options()) {
        for (const auto& name : option->get_lnames()) names.push_back("--" + name);
      }
    }
    return names;
  }

  // A slip of the finger, or a command that stands elsewhere ("get" for "store get").
  std::string advice_on_command(const std::string& word) const {
    const CLI::App* const here = commands_so_far().back();
    std::vector<std::string> names;
    for (const auto* command : subcommands_of(*here)) names.push_back(command->get_name());
    std::string advice = did_you_mean(word, names);
    if (!advice.empty()) return advice;
    for (const auto* group : subcommands_of(app_)) {
      if (group->get_name() == word) return "; did you mean " + word + " alone?";
      for (const auto* command : subcommands_of(*group)) {
        if (command->get_name() != word) continue;
        advice += (advice.empty() ? "; did you mean " : ", or ") + group->get_name() + " " + word;
      }
    }
    return advice.empty() ? "" : advice + "?";
  }

  static std::vector<const CLI::App*> subcommands_of(const CLI::App& command) {
    return command.get_subcommands([](const CLI::App* each) { return !each->get_group().empty(); });
  }

  void add_completion() {
    auto& command = add_command(
        app_, {"completion", "A script that completes words of this tool in a shell",
               "completion bash > ~/.local/share/bash-completion/completions/semper\ncompletion "
               "fish | source"});
    auto shell = std::make_shared<std::string>();
    command.add_option("SHELL", *shell, "bash, zsh or fish")
        ->required()
        ->check(CLI::IsMember({"bash", "zsh", "fish"}));
    command.callback([this, shell] {
      chosen.run = [this, shell](Invocation& invocation) -> Async<void> {
        invocation.print(completion_script(app_, *shell));
        co_return Status{};
      };
    });
    auto& complete_command = add_command(
        app_,
        {"complete", "What a completion script offers that the store knows", "complete -- ls C"});
    complete_command.group("");  // no person types it
    auto words = std::make_shared<std::vector<std::string>>();
    complete_command.add_option("WORDS", *words, "The words so far; the last is being typed");
    complete_command.callback([this, words] {
      auto query = std::make_shared<CompletionQuery>(completion_query(app_, *words));
      if (!query->store.empty()) settings.store = query->store;
      if (!query->tenant.empty()) settings.tenant = query->tenant;
      chosen.run = [query](Invocation& invocation) { return complete(invocation, *query); };
    });
  }

  CLI::App app_{
      "Looks into and works on durable servers in a store, whatever programs serve them."};
  CLI::Option* store_option_ = nullptr;
};

// The store is closed, and the output written, whatever came of the command.
Async<void> run_command(const Command& command, Invocation& invocation) {
  const Status status = co_await command.run(invocation);
  const Status closed = co_await invocation.close();
  const Status flushed = invocation.flush();
  if (!status) co_return status;
  if (!closed || flushed) co_return closed;
  const bool is_done =
      invocation.is_done() && !SEMPER_MUTANT("tool_done_but_not_said_is_a_failure");
  if (!is_done) co_return flushed;
  invocation.note("it is done, but nobody was told: " + flushed.error().message());
  co_return Status{};
}

}  // namespace

int run(std::vector<std::string> arguments, Streams streams, Interrupt& interrupt) {
  if (std::getenv("SEMPER_LOG") == nullptr) set_log_level(LogLevel::warning);
  try {
    Program program;
    if (const auto code = program.parse(arguments, streams)) return *code;
    Invocation invocation(program.settings, streams, interrupt);
    interrupt.decide(program.chosen.on_signal);
    Scheduler scheduler;
    const Status status = scheduler.block_on(run_command(program.chosen, invocation));
    if (status) return kSuccess;
    report(streams, arguments, status.error());
    if (SEMPER_MUTANT("tool_failure_ends_with_code_0")) return kSuccess;
    return exit_code(status.error().kind());
  } catch (const std::exception& thrown) {
    report(streams, arguments,
           Error(ErrorKind::internal,
                 std::string("unexpected: ") + thrown.what() + "; please report this"));
    return kFailure;
  }
}

namespace {

// A terminal that obeys what moves its cursor. A dumb one (an editor's shell) shows that instead.
bool can_redraw(int descriptor) {
  const char* terminal = std::getenv("TERM");
  return ::isatty(descriptor) != 0 && terminal != nullptr && *terminal != '\0' &&
         std::string_view(terminal) != "dumb";
}

}  // namespace

int run(int argc, const char* const* argv, Interrupt& interrupt) {
  const Streams streams{std::cin,
                        std::cout,
                        std::cerr,
                        ::isatty(STDIN_FILENO) != 0 && ::isatty(STDERR_FILENO) != 0,
                        can_redraw(STDERR_FILENO),
                        can_redraw(STDOUT_FILENO)};
  return run(std::vector<std::string>(argv + 1, argv + argc), streams, interrupt);
}

}  // namespace semper::cli
