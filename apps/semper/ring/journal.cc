#include "ring/journal.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "common/document.h"
#include "common/text.h"
#include "semper/base/internal/mutant.h"
#include "semper/base/log.h"
#include "semper/ring/journal.h"
#include "semper/ring/ring.h"

extern char** environ;

namespace semper::cli {
namespace {

// Writes the item and closes the pipe; a command that does not read all of it is no error.
void feed(int descriptor, BytesView bytes) {
  while (!bytes.empty()) {
    const ssize_t wrote = ::write(descriptor, bytes.data(), bytes.size());
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote <= 0) break;
    bytes.remove_prefix(static_cast<std::size_t>(wrote));
  }
  ::close(descriptor);
}

// What a command began with, and how it ended.
Status judge(const std::string& program, int status) {
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  if (SEMPER_MUTANT("tool_failed_command_taken_for_done")) return {};
  // Its trouble is the work's, not this program's.
  if (WIFSIGNALED(status)) {
    return fail(ErrorKind::io, program + " was ended by signal " +
                                   std::to_string(WTERMSIG(status)) + " (" +
                                   ::strsignal(WTERMSIG(status)) + ")");
  }
  return fail(ErrorKind::io,
              program + " ended with exit code " + std::to_string(WEXITSTATUS(status)));
}

Error not_started(const std::string& program, int number) {
  const bool is_wrong = number == ENOENT || number == ENOTDIR || number == ENOEXEC;
  if (!is_wrong) return error_from_errno(number, program + " cannot be started");
  return Error(ErrorKind::invalid_argument, program +
                                                " cannot be started: " + std::strerror(number) +
                                                "; give a program, or its path, after --");
}

// Runs the command to its end with these bytes as its standard input. It keeps `role` open: where
// this process dies first, the journal stays taken for as long as the command is at work.
Status run_command(const std::vector<std::string>& command, BytesView input, int role) {
  int pipe_ends[2];
  if (::pipe2(pipe_ends, O_CLOEXEC) != 0) {
    return fail(error_from_errno(errno, "cannot make a pipe"));
  }
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, pipe_ends[0], STDIN_FILENO);
  if (role >= 0) ::posix_spawn_file_actions_adddup2(&actions, role, role);
  // What we ignore, the command need not.
  sigset_t to_default;
  sigemptyset(&to_default);
  sigaddset(&to_default, SIGPIPE);
  sigaddset(&to_default, SIGXFSZ);
  posix_spawnattr_t attributes;
  ::posix_spawnattr_init(&attributes);
  ::posix_spawnattr_setsigdefault(&attributes, &to_default);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
  std::vector<char*> words;
  for (const auto& word : command) words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  pid_t child = 0;
  const int error = ::posix_spawnp(&child, words[0], &actions, &attributes, words.data(), environ);
  ::posix_spawnattr_destroy(&attributes);
  ::posix_spawn_file_actions_destroy(&actions);
  ::close(pipe_ends[0]);
  const std::string program = shown(command.front());
  if (error != 0) {
    ::close(pipe_ends[1]);
    return fail(not_started(program, error));
  }
  feed(pipe_ends[1], input);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0) {
    if (errno == EINTR) continue;
    return fail(error_from_errno(errno, "how " + program + " ended cannot be told"));
  }
  return judge(program, status);
}

}  // namespace

Async<void> journal_run(Invocation& invocation, JournalRunArguments arguments) {
  // A command that ends without reading must not end us.
  static_cast<void>(std::signal(SIGPIPE, SIG_IGN));
  // Where who started us ignores it, the kernel keeps to itself how a command has ended.
  if (!SEMPER_MUTANT("tool_ignored_ends_of_commands")) std::signal(SIGCHLD, SIG_DFL);
  // A command that fails ends this one, which says so itself.
  if (std::getenv("SEMPER_LOG") == nullptr) set_log_level(LogLevel::error);
  SEMPER_CO_TRY(const auto device, open_ring_device(arguments.place, DeviceAccess::read_write));
  SEMPER_CO_TRY_STATUS(
      co_await ring::inspect(*device));  // a blank device is not made into a journal
  ring::JournalOptions options;
  options.name = arguments.place.path;
  options.client = "semper journal run";
  options.batch.max_items = 1;  // each is removed before the next one runs
  SEMPER_CO_TRY(options.ring.sector_size, sector_size_of(arguments.place));
  const DeviceCompanion* const companion = device->companion();
  const int role = companion == nullptr ? -1 : companion->role_descriptor();
  Status failure;
  std::uint64_t performed = 0;
  const auto perform = [&](const std::vector<ring::Item>& items) -> Async<void> {
    for (const auto& item : items) {
      if (!failure) co_return failure;  // nothing overtakes it
      if (invocation.interrupt().requested()) {
        failure = fail(ErrorKind::cancelled,
                       "interrupted before the item at position " + item.start.to_string());
        co_return failure;
      }
      const Status done = run_command(arguments.command, item.bytes, role);
      if (!done) {
        failure = fail(done.error().kind(), done.error().message() + " at the item at position " +
                                                item.start.to_string());
        co_return failure;
      }
      ++performed;
    }
    co_return Status{};
  };
  auto started = co_await ring::Journal::start(*device, perform, std::move(options));
  if (!started && started.error().kind() == ErrorKind::conflict) {
    co_return fail(
        ErrorKind::conflict,
        started.error().message() +
            " (also a command that a `journal run` has left at work when it was killed)");
  }
  SEMPER_CO_TRY(ring::Journal journal, std::move(started));
  const Status ended = co_await journal.shutdown();
  const std::string count = std::to_string(performed) + " items were performed";
  if (!failure) {
    co_return fail(failure.error().kind(),
                   failure.error().message() + "; " + count +
                       " before, that one and those behind it stay in the journal; the next "
                       "`journal run` begins with it");
  }
  SEMPER_CO_TRY_STATUS(ended);
  invocation.mark_done();
  if (!invocation.json()) {
    invocation.note(count);
    co_return Status{};
  }
  co_return invocation.print_document(
      Fields().add("done", text_item("run")).add("performed", number_item(performed)).item());
}

}  // namespace semper::cli
