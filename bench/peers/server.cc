#include "server.h"

#include <glob.h>
#include <pwd.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <utility>

#include "board.h"
#include "system.h"

namespace semper::bench::peers {
namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;

constexpr auto kStartLimit = 60s;
constexpr auto kStopLimit = 10s;

semper::testing::ProgramToStart with_log(semper::testing::ProgramToStart program,
                                         const std::string& log) {
  program.log = log;
  program.ends_with_parent = true;
  return program;
}

std::string last_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::string last;
  while (std::getline(file, line)) {
    if (!line.empty()) last = line;
  }
  return last;
}

// 0: it has ended.
pid_t parent_of(pid_t process) {
  std::ifstream file("/proc/" + std::to_string(process) + "/stat");
  std::string text;
  std::getline(file, text);
  // NUMBER (NAME, with any character in it) STATE PARENT ...
  const auto name_end = text.rfind(')');
  return name_end == std::string::npos ? 0 : std::atoi(text.c_str() + name_end + 3);
}

std::optional<double> written_by(pid_t process) {
  std::ifstream file("/proc/" + std::to_string(process) + "/io");
  std::string word;
  double value = 0;
  while (file >> word >> value) {
    if (word == "write_bytes:") return value;
  }
  return std::nullopt;
}

}  // namespace

std::string find_program(const std::vector<std::string>& patterns, const std::string& package) {
  for (const auto& pattern : patterns) {
    glob_t found{};
    std::string first;
    if (glob(pattern.c_str(), 0, nullptr, &found) == 0) first = found.gl_pathv[0];
    globfree(&found);
    if (!first.empty()) return first;
  }
  throw Unavailable("not installed (Debian: " + package + "; tools/setup --peers)");
}

std::vector<pid_t> tree_of(pid_t root) {
  std::multimap<pid_t, pid_t> children;
  std::error_code error;
  for (fs::directory_iterator entry("/proc", error), end; !error && entry != end;
       entry.increment(error)) {
    const pid_t process = std::atoi(entry->path().filename().c_str());
    if (process > 0) children.emplace(parent_of(process), process);
  }
  std::vector<pid_t> all = {root};
  for (std::size_t i = 0; i < all.size(); ++i) {
    const auto [first, last] = children.equal_range(all[i]);
    for (auto child = first; child != last; ++child) all.push_back(child->second);
  }
  return all;
}

std::optional<double> written_by_tree(pid_t root) {
  double sum = 0;
  for (const pid_t process : tree_of(root)) {
    const auto written = written_by(process);
    // One that has just ended is counted with its parent.
    if (!written && kill(process, 0) == 0) return std::nullopt;
    sum += written.value_or(0);
  }
  return sum;
}

Server::Server(std::string name, std::string folder, semper::testing::ProgramToStart program)
    : name_(std::move(name)),
      log_(folder + "/" + name_ + ".log"),
      process_(with_log(std::move(program), log_)) {}

Server::~Server() {
  thaw();
  const auto all = tree_of(process_.pid());
  process_.send_signal(stop_signal);
  static_cast<void>(process_.wait(kStopLimit));
  const auto all_gone = [&] {
    return std::none_of(all.begin(), all.end(), [](pid_t one) { return kill(one, 0) == 0; });
  };
  if (semper::testing::wait_until(all_gone, kStopLimit)) return;
  for (const pid_t process : all) kill(process, SIGKILL);
}

void Server::wait_until(const std::function<bool()>& answers) {
  const bool up =
      semper::testing::wait_until([&] { return answers() || !process_.is_running(); }, kStartLimit);
  if (!up || !process_.is_running()) {
    throw Unavailable("did not start; its last words: " + last_line(log_));
  }
}

void Server::signal_all(int number) {
  for (const pid_t process : tree_of(process_.pid())) kill(process, number);
}

void Server::freeze() {
  signal_all(SIGSTOP);
}

void Server::thaw() {
  signal_all(SIGCONT);
}

std::string user_unless_mine(const std::string& user, const std::string& package) {
  if (geteuid() != 0) return "";
  if (getpwnam(user.c_str()) == nullptr) {
    throw Unavailable("there is no user " + user + " (Debian: " + package + ")");
  }
  return user;
}

void give_away(const std::string& folder, const std::string& user) {
  if (user.empty()) return;
  const passwd* owner = getpwnam(user.c_str());
  if (owner == nullptr || chown(folder.c_str(), owner->pw_uid, owner->pw_gid) != 0) {
    throw Unavailable("cannot give the folder " + folder + " to the user " + user);
  }
}

SocketFolder::SocketFolder() {
  char path[] = "/tmp/semper-bench-XXXXXX";
  if (mkdtemp(path) == nullptr) throw Unavailable("cannot make a folder in /tmp for sockets");
  path_ = path;
}

SocketFolder::~SocketFolder() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

}  // namespace semper::bench::peers
