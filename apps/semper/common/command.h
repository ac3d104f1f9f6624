// How a command is added to the grammar. For the files grammar.cc and grammar.h.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "common/invocation.h"
#include "common/text.h"

namespace semper::cli {

// What the words have chosen.
struct Command {
  std::function<Async<void>(Invocation&)> run;
  // requests_stop: it looks at Invocation::interrupt() and ends in order.
  OnSignal on_signal = OnSignal::ends_process;
};

struct CommandText {
  const char* name;
  const char* summary;
  const char* examples;  // lines, without the "semper" in front
};

inline CLI::App& add_command(CLI::App& parent, const CommandText& text) {
  CLI::App& command = *parent.add_subcommand(text.name, text.summary);
  std::string footer = "Examples:";
  std::string_view rest = text.examples;
  while (!rest.empty()) {
    const auto end = rest.find('\n');
    footer += "\n  semper " + std::string(rest.substr(0, end));
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
  }
  command.footer(footer);
  return command;
}

// An option that takes a count. CLI11's own numbers would take -1 for 2^64 - 1, and 010 for 8.
template <class Count>
CLI::Option& add_count(CLI::App& command, const std::string& name, Count& count,
                       const std::string& help) {
  const auto read = [&count, name](const std::string& text) {
    const auto parsed = parse_count(text);
    if (!parsed) throw CLI::ValidationError(name, parsed.error().message());
    count = *parsed;
  };
  auto& option = *command.add_option_function<std::string>(name, read, help);
  option.type_name("COUNT")->default_str(std::to_string(count));
  return option;
}

// Makes `run(Invocation&, arguments)` the chosen command where `command` is parsed. The arguments
// are those that the options, bound to *arguments, have filled by then.
template <class Arguments>
void choose(CLI::App& command, Command& chosen, std::shared_ptr<Arguments> arguments,
            Async<void> (*run)(Invocation&, Arguments),
            OnSignal on_signal = OnSignal::ends_process) {
  command.callback([&chosen, arguments = std::move(arguments), run, on_signal] {
    chosen.run = [arguments, run](Invocation& invocation) { return run(invocation, *arguments); };
    chosen.on_signal = on_signal;
  });
}

inline void choose(CLI::App& command, Command& chosen, Async<void> (*run)(Invocation&)) {
  command.callback([&chosen, run] { chosen.run = run; });
}

}  // namespace semper::cli
