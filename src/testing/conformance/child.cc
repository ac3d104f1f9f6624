#include "testing/conformance/child.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <string_view>
#include <utility>
#include <vector>

extern char** environ;

namespace semper::testing::conformance {
namespace {

constexpr std::string_view kLineMark = "semper: ";
constexpr const char* kStoreVariable = "SEMPER_CONFORMANCE_STORE";
constexpr const char* kUrlVariable = "SEMPER_CONFORMANCE_URL";
constexpr const char* kRoleVariable = "SEMPER_CONFORMANCE_ROLE";
constexpr const char* kCountVariable = "SEMPER_CONFORMANCE_COUNT";
constexpr const char* kNameVariable = "SEMPER_CONFORMANCE_NAME";
// How long a case waits for a line, and a child for what it watches.
constexpr auto kPatience = std::chrono::seconds(60);

[[noreturn]] void fail_by_errno(const std::string& what) {
  throw CaseFailure(what + ": " + std::strerror(errno));
}

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

void say(const std::string& line) {
  std::cout << kLineMark << line << std::endl;
}

TransactOptions patient() {
  return {.max_attempts = 100'000, .timeout = kPatience};
}

Task<void> increment(const Store& store, int count) {
  for (int i = 0; i < count; ++i) {
    must(co_await store.transact(
        [](Transaction& tx) -> Async<int> {
          SEMPER_CO_TRY(auto old, co_await tx.get("counter"));
          const int next = std::stoi(old.value_or("0")) + 1;
          tx.set("counter", std::to_string(next));
          co_return next;
        },
        patient()));
  }
}

Task<void> stamp(const Store& store, int count, const std::string& name) {
  for (int i = 0; i < count; ++i) {
    must(co_await store.transact(
        [&](Transaction& tx) -> Async<int> {
          tx.set_versionstamped_key("stamp/" + Bytes(Versionstamp::store_size, '\0'), 6,
                                    name + " " + std::to_string(i));
          co_return 0;
        },
        patient()));
  }
}

Task<void> watch(const Store& store) {
  auto transaction = store.begin();
  static_cast<void>(must(co_await transaction.get("watched")));
  auto watch = must(co_await transaction.watch("watched"));
  say("watching");
  must(co_await watch->changed(system_clock().after(kPatience)));
  say("fired");
}

Task<void> pairs(const Store& store, int count) {
  for (int i = 1; i <= count; ++i) {
    must(co_await store.transact(
        [&](Transaction& tx) -> Async<int> {
          tx.set("left", std::to_string(i));
          tx.set("right", std::to_string(i));
          co_return 0;
        },
        patient()));
    say(std::to_string(i));
  }
}

Task<void> play(const StoreUnderTest& under_test) {
  const Store store(must(co_await open_at(under_test, variable(kUrlVariable), Env{})), Env{});
  const int count = std::stoi(variable(kCountVariable));
  const std::string name = variable(kNameVariable);
  switch (static_cast<Role>(std::stoi(variable(kRoleVariable)))) {
    case Role::increment:
      co_await increment(store, count);
      break;
    case Role::stamp:
      co_await stamp(store, count, name);
      break;
    case Role::set:
      must(co_await store.transact([&](Transaction& tx) -> Async<int> {
        tx.set("watched", name);
        co_return 0;
      }));
      break;
    case Role::watch:
      co_await watch(store);
      break;
    case Role::pairs:
      co_await pairs(store, count);
      break;
  }
  must(co_await store.close());
}

}  // namespace

std::string conformance_suite_name(const StoreUnderTest& store) {
  return store.name + "/StoreConformance";
}

bool is_child_of(const StoreUnderTest& store) {
  return variable(kStoreVariable) == store.name;
}

void run_child_role(const StoreUnderTest& store) {
  try {
    Scheduler scheduler({.threads = 2, .name = "child"});
    scheduler.block_on(play(store));
  } catch (const std::exception& error) {
    FAIL() << error.what();
  }
}

ChildProcess::ChildProcess(const World& world, const RoleOptions& options) {
  std::array<int, 2> pipe_ends{};
  if (pipe2(pipe_ends.data(), O_CLOEXEC) != 0) fail_by_errno("making a pipe for a child process");
  output_ = pipe_ends[0];
  const std::string program = "/proc/self/exe";
  const std::string filter =
      "--gtest_filter=" + conformance_suite_name(world.under_test()) + "." + kChildTestName;
  std::vector<std::string> variables = {
      std::string(kStoreVariable) + "=" + world.under_test().name,
      std::string(kUrlVariable) + "=" + world.url(),
      std::string(kRoleVariable) + "=" + std::to_string(static_cast<int>(options.role)),
      std::string(kCountVariable) + "=" + std::to_string(options.count),
      std::string(kNameVariable) + "=" + options.name};
  std::vector<char*> environment;
  for (auto& each : variables) environment.push_back(each.data());
  for (char** each = environ; *each != nullptr; ++each) {
    // A child writes no report over its parent's.
    if (!std::string_view(*each).starts_with("GTEST_OUTPUT=")) environment.push_back(*each);
  }
  environment.push_back(nullptr);
  std::array<const char*, 3> arguments = {program.c_str(), filter.c_str(), nullptr};
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, pipe_ends[1], STDOUT_FILENO);
  const int error = posix_spawn(&process_, program.c_str(), &actions, nullptr,
                                const_cast<char**>(arguments.data()), environment.data());
  posix_spawn_file_actions_destroy(&actions);
  close(pipe_ends[1]);
  if (error != 0) {
    process_ = -1;
    errno = error;
    fail_by_errno("starting the test program again");
  }
}

ChildProcess::~ChildProcess() {
  if (process_ > 0) {
    ::kill(process_, SIGKILL);
    wait();
  }
  close(output_);
}

bool ChildProcess::read_more() {
  pollfd waiting{output_, POLLIN, 0};
  const auto patience = std::chrono::duration_cast<std::chrono::milliseconds>(kPatience).count();
  const int ready = poll(&waiting, 1, static_cast<int>(patience));
  if (ready < 0 && errno == EINTR) return true;
  if (ready <= 0) throw CaseFailure("the child process said nothing for long; before: " + said_);
  std::array<char, 4096> buffer;
  const auto got = read(output_, buffer.data(), buffer.size());
  if (got <= 0) return false;
  unread_.append(buffer.data(), static_cast<std::size_t>(got));
  said_.append(buffer.data(), static_cast<std::size_t>(got));
  return true;
}

std::optional<std::string> ChildProcess::next_line() {
  while (true) {
    const auto end = unread_.find('\n');
    if (end == std::string::npos) {
      if (!read_more()) return std::nullopt;
      continue;
    }
    std::string line = unread_.substr(0, end);
    unread_.erase(0, end + 1);
    if (line.starts_with(kLineMark)) return line.substr(kLineMark.size());
  }
}

void ChildProcess::kill() {
  ::kill(process_, SIGKILL);
  wait();
}

int ChildProcess::wait() {
  int status = 0;
  while (waitpid(process_, &status, 0) < 0 && errno == EINTR) {
  }
  process_ = -1;
  return status;
}

void ChildProcess::must_succeed() {
  while (read_more()) {
  }
  const int status = wait();
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0 ||
      said_.find("[  PASSED  ] 1 test.") == std::string::npos) {
    throw CaseFailure("the child process failed with status " + std::to_string(status) + ":\n" +
                      said_);
  }
}

}  // namespace semper::testing::conformance
