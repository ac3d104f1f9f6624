// What servers.h says. By its name it is a part of the test and not of the program.
#include "servers.h"

#include <arpa/inet.h>
#include <glob.h>
#include <netinet/in.h>
#include <pwd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <stdexcept>
#include <thread>

namespace connections {
namespace {

using namespace std::chrono_literals;

// A failure of a test and not a time that anything takes.
constexpr auto kStartDeadline = 60s;
constexpr auto kLookInterval = 10ms;

sockaddr_in on_loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  return address;
}

bool listens(std::uint16_t port) {
  const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const auto address = on_loopback(port);
  const bool connected =
      ::connect(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  ::close(socket);
  return connected;
}

semper::testing::ProgramToStart program_of(const std::vector<std::string>& words,
                                           const std::string& as_user) {
  semper::testing::ProgramToStart program{words.front()};
  program.arguments.assign(words.begin() + 1, words.end());
  program.as_user = as_user;
  program.log = "/dev/null";
  program.ends_with_parent = true;
  return program;
}

}  // namespace

std::string find_program(const std::vector<std::string>& patterns) {
  for (const auto& pattern : patterns) {
    glob_t found{};
    std::string path;
    if (::glob(pattern.c_str(), 0, nullptr, &found) == 0) path = found.gl_pathv[0];
    ::globfree(&found);
    if (!path.empty() && ::access(path.c_str(), X_OK) == 0) return path;
  }
  return "";
}

ServerProcess::ServerProcess(std::vector<std::string> words, std::uint16_t port,
                             std::string as_user)
    : words_(std::move(words)), port_(port), as_user_(std::move(as_user)) {}

bool ServerProcess::start() {
  const auto until = std::chrono::steady_clock::now() + kStartDeadline;
  // A child of the last one may hold its port for a moment.
  while (listens(port_) && std::chrono::steady_clock::now() < until) {
    std::this_thread::sleep_for(kLookInterval);
  }
  process_.emplace(program_of(words_, as_user_));
  while (!listens(port_)) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::sleep_for(kLookInterval);
    if (!process_->is_running()) process_.emplace(program_of(words_, as_user_));
  }
  return true;
}

void ServerProcess::kill() {
  if (process_) process_->kill_hard();
}

bool run_program(const std::vector<std::string>& words, const std::string& as_user) {
  return semper::testing::ChildProcess(program_of(words, as_user)).finish(kStartDeadline) == 0;
}

void give_away(const std::string& folder, const std::string& to_user) {
  const passwd* const user = ::getpwnam(to_user.c_str());
  if (user != nullptr && ::geteuid() == 0 &&
      ::chown(folder.c_str(), user->pw_uid, user->pw_gid) != 0) {
    throw std::runtime_error("cannot give " + folder + " to " + to_user);
  }
}

}  // namespace connections
