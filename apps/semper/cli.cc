#include "cli.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <optional>
#include <string_view>
#include <utility>

#include "cli_commands.h"
#include "exit_code.h"
#include "semper/base/bytes.h"
#include "semper/base/log.h"
#include "semper/env/scheduler.h"
#include "semper/version.h"

namespace semper::cli {
namespace {

constexpr const char* kAfterHelp = R"(Exit codes:
  0  done
  1  it could not be done; the message says why
  2  the command line, or an argument in it, is wrong
  3  the store, type, entity, key or ring is not there
  4  no answer in time; the message may still be processed
  5  the outcome is unknown: look before doing it again
  6  what is stored is damaged; the message says where
  7  not now: suspended, in use, or an acknowledgement is due; try again later

Examples:
  export SEMPER_STORE=sqlite:./data.db
  semper types
  semper ls Counter --prefix page/
  semper show Counter/page/home
  semper call Counter/page/home Add '[1]'
  semper COMMAND --help)";

void report(Streams& streams, const Error& error) {
  streams.err << "semper: " << error.message() << std::endl;
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
  std::optional<int> parse(std::vector<std::string> words, Streams& streams) {
    std::reverse(words.begin(), words.end());
    try {
      app_.parse(std::move(words));
    } catch (const CLI::Success& success) {
      app_.exit(success, streams.out, streams.err);
      const Status flushed = Output(streams.out).flush();
      if (flushed) return kSuccess;
      report(streams, flushed.error());
      return exit_code(flushed.error().kind());
    } catch (const CLI::ParseError& error) {
      report(streams,
             Error(ErrorKind::invalid_argument,
                   complaint(error) + "; see `semper --help`, or `semper COMMAND --help`"));
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
    if (store_option_->count() > 0 || url == nullptr) return;
    settings.store = url;
    settings.store_is_from_environment = true;
  }

  // What is wrong with the words, in ours. A word that nothing knows says more than what was missing
  // instead of it.
  std::string complaint(const CLI::ParseError& error) const {
    const bool lacks_command = std::string_view(error.what()).starts_with("A subcommand");
    for (const std::string& stranger : app_.remaining(/*recurse=*/true)) {
      const std::string word = to_printable(stranger, 64);
      if (word.size() > 1 && word.starts_with('-')) return "there is no option " + word;
      if (lacks_command) return "there is no command " + word;
      return "there is one argument too many: " + word;
    }
    return lacks_command ? "a command is missing" : error.what();
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
  co_return closed ? flushed : closed;
}

}  // namespace

int run(std::vector<std::string> arguments, Streams streams, Interrupt& interrupt) {
  if (std::getenv("SEMPER_LOG") == nullptr) set_log_level(LogLevel::warning);
  try {
    Program program;
    if (const auto code = program.parse(std::move(arguments), streams)) return *code;
    Invocation invocation(program.settings, streams, interrupt);
    interrupt.decide(program.chosen.on_signal);
    Scheduler scheduler;
    const Status status = scheduler.block_on(run_command(program.chosen, invocation));
    if (status) return kSuccess;
    report(streams, status.error());
    return exit_code(status.error().kind());
  } catch (const std::exception& thrown) {
    report(streams, Error(ErrorKind::internal,
                          std::string("unexpected: ") + thrown.what() + "; please report this"));
    return kFailure;
  }
}

int run(int argc, const char* const* argv, Interrupt& interrupt) {
  const Streams streams{std::cin, std::cout, std::cerr,
                        ::isatty(STDIN_FILENO) != 0 && ::isatty(STDERR_FILENO) != 0,
                        ::isatty(STDERR_FILENO) != 0};
  return run(std::vector<std::string>(argv + 1, argv + argc), streams, interrupt);
}

}  // namespace semper::cli
