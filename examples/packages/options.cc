#include "options.h"

#include <pwd.h>
#include <unistd.h>

#include <charconv>
#include <cstdlib>
#include <filesystem>

namespace packages {
namespace {

using semper::ErrorKind;
using semper::fail;

constexpr std::string_view kHelp =
    R"(semper-packages: every event of this machine's dpkg log through durable servers, then checked

usage: semper-packages [options]

Reads /var/log/dpkg.log* and sends every status event to one durable server per package
(package/NAME:ARCH) over one store: one process publishes, several consume. Half-way it kills a
consumer with SIGKILL and starts another. At the end it compares each server's state with a replay of
the log, and what is installed with dpkg-query. Run it again: nothing is applied twice.

  --store URL      where the servers live
                   (default sqlite:${XDG_STATE_HOME:-~/.local/state}/semper/packages.db)
  --consumers N    consuming processes, 1 to 64 (default 3)
  --journal FILE   the publisher writes every event to a journal on this file first (made where there is
                   none), which drains into the servers: it would go on if the store were away
  --log FILE       a dpkg log, plain or .gz, instead of this machine's; may be repeated. Then nothing is
                   compared with dpkg-query: the log may be another machine's
  --fresh          forget what earlier runs left in the store (kills the package servers in it)
  --json           the report as one JSON document on standard output; progress stays on standard error
  --help           this text

exit codes: 0 all is as it should be; 1 something differs or failed; 2 wrong usage; 128 + N after
signal N (what was done stays done: run it again to go on)

examples:
  semper-packages
  semper-packages --consumers 6 --fresh
  semper-packages --journal ./packages.ring
  semper-packages --store sqlite:./packages.db --log ./dpkg.log --log ./dpkg.log.1.gz
)";

// The value of `--name VALUE` or `--name=VALUE` at `at`, which is moved to the value used.
semper::Result<std::string> value_of(const std::vector<std::string>& arguments, std::size_t& at) {
  const std::string& argument = arguments[at];
  if (const auto equals = argument.find('='); equals != std::string::npos) {
    return argument.substr(equals + 1);
  }
  if (at + 1 >= arguments.size())
    return fail(ErrorKind::invalid_argument, argument + " needs a value");
  return arguments[++at];
}

semper::Result<int> parse_consumers(const std::string& text) {
  int number = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), number);
  if (parsed.ec != std::errc() || parsed.ptr != text.data() + text.size() || number < 1 ||
      number > kConsumersMaximum) {
    return fail(ErrorKind::invalid_argument, "--consumers takes a number from 1 to " +
                                                 std::to_string(kConsumersMaximum) + ", not '" +
                                                 text + "'");
  }
  return number;
}

semper::Status parse_option(const std::vector<std::string>& arguments, std::size_t& at,
                            Options& options) {
  const std::string name = arguments[at].substr(0, arguments[at].find('='));
  const bool has_value = arguments[at].size() > name.size();
  if (!has_value && (name == "--help" || name == "-h")) {
    options.help = true;
  } else if (!has_value && name == "--fresh") {
    options.fresh = true;
  } else if (!has_value && name == "--json") {
    options.json = true;
  } else if (name == "--store") {
    SEMPER_TRY(options.store, value_of(arguments, at));
  } else if (name == "--journal") {
    SEMPER_TRY(options.journal, value_of(arguments, at));
  } else if (name == "--log") {
    SEMPER_TRY(auto path, value_of(arguments, at));
    options.logs.push_back(std::move(path));
  } else if (name == "--consumers") {
    SEMPER_TRY(const auto text, value_of(arguments, at));
    SEMPER_TRY(options.consumers, parse_consumers(text));
  } else if (name == "--name") {
    SEMPER_TRY(options.name, value_of(arguments, at));
  } else if (name == "--run") {
    SEMPER_TRY(options.run, value_of(arguments, at));
  } else if (name == "--until") {
    SEMPER_TRY(const auto text, value_of(arguments, at));
    SEMPER_TRY(options.until, parse_position(text));
  } else {
    return fail(ErrorKind::invalid_argument,
                "unknown argument '" + arguments[at] + "'; see --help");
  }
  return {};
}

}  // namespace

std::string_view help_text() {
  return kHelp;
}

semper::Result<Options> parse_options(const std::vector<std::string>& arguments) {
  Options options;
  std::size_t at = 0;
  if (!arguments.empty() && arguments[0] == "consumer") options.role = Role::consumer;
  if (!arguments.empty() && arguments[0] == "publisher") options.role = Role::publisher;
  if (options.role != Role::coordinator) ++at;
  for (; at < arguments.size(); ++at) SEMPER_TRY_STATUS(parse_option(arguments, at, options));
  if (options.store.starts_with("memory:")) {
    return fail(ErrorKind::invalid_argument,
                "a memory: store belongs to one process, and this is several; use sqlite:PATH");
  }
  return options;
}

semper::Result<std::string> default_store() {
  std::filesystem::path folder;
  const char* const state = std::getenv("XDG_STATE_HOME");
  const char* const home = std::getenv("HOME");
  if (state != nullptr && *state == '/') {
    folder = state;
  } else if (home != nullptr && *home == '/') {
    folder = std::filesystem::path(home) / ".local/state";
  } else if (const passwd* user = ::getpwuid(::geteuid()); user != nullptr) {
    folder = std::filesystem::path(user->pw_dir) / ".local/state";
  } else {
    return fail(ErrorKind::not_found,
                "no home directory to keep the store in; name it with --store URL");
  }
  folder /= "semper";
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) {
    return fail(semper::error_from_errno(
        error.value(),
        "making the folder " + folder.string() + " for the store (another: --store URL)"));
  }
  return "sqlite:" + (folder / "packages.db").string();
}

}  // namespace packages
