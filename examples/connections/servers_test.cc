// What servers.h says. By its name it is a part of the test and not of the program.
#include "servers.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <glob.h>
#include <grp.h>
#include <netinet/in.h>
#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
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

// The child's side: never returns. It goes with this process, however that ends.
[[noreturn]] void become(std::vector<char*>& argv, const passwd* user) {
  if (user != nullptr && ::geteuid() == 0) {
    if (::setgroups(0, nullptr) != 0 || ::setgid(user->pw_gid) != 0 ||
        ::setuid(user->pw_uid) != 0) {
      ::_exit(126);
    }
  }
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  const int nowhere = ::open("/dev/null", O_RDWR);
  for (const int standard : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) ::dup2(nowhere, standard);
  if (::chdir("/") != 0) ::_exit(125);
  ::execv(argv[0], argv.data());
  ::_exit(127);
}

pid_t spawn(std::vector<std::string> words, const std::string& as_user) {
  std::vector<char*> argv;
  for (auto& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  const passwd* const user = as_user.empty() ? nullptr : ::getpwnam(as_user.c_str());
  const pid_t child = ::fork();
  if (child == 0) become(argv, user);
  if (child < 0) throw std::runtime_error("fork failed");
  return child;
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

ServerProcess::~ServerProcess() {
  kill();
}

bool ServerProcess::start() {
  const auto until = std::chrono::steady_clock::now() + kStartDeadline;
  // A child of the last one may hold its port for a moment.
  while (listens(port_) && std::chrono::steady_clock::now() < until) {
    std::this_thread::sleep_for(kLookInterval);
  }
  process_ = spawn(words_, as_user_);
  while (!listens(port_)) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::sleep_for(kLookInterval);
    if (::waitpid(process_, nullptr, WNOHANG) == process_) process_ = spawn(words_, as_user_);
  }
  return true;
}

void ServerProcess::signal(int number) const {
  if (process_ > 0) ::kill(process_, number);
}

void ServerProcess::kill() {
  if (process_ <= 0) return;
  ::kill(process_, SIGKILL);
  ::waitpid(process_, nullptr, 0);
  process_ = 0;
}

bool run_program(const std::vector<std::string>& words, const std::string& as_user) {
  int status = 0;
  ::waitpid(spawn(words, as_user), &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

std::uint16_t free_port() {
  const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  auto address = on_loopback(0);
  socklen_t length = sizeof address;
  const bool bound = ::bind(socket, reinterpret_cast<sockaddr*>(&address), length) == 0 &&
                     ::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &length) == 0;
  ::close(socket);
  if (!bound) throw std::runtime_error("no free port on loopback");
  return ntohs(address.sin_port);
}

TemporaryFolder::TemporaryFolder(const std::string& of_user) {
  path_ = (std::filesystem::temp_directory_path() / "semper-connections-XXXXXX").string();
  if (::mkdtemp(path_.data()) == nullptr) throw std::runtime_error("cannot make " + path_);
  const passwd* const user = of_user.empty() ? nullptr : ::getpwnam(of_user.c_str());
  if (user != nullptr && ::geteuid() == 0 &&
      ::chown(path_.c_str(), user->pw_uid, user->pw_gid) != 0) {
    throw std::runtime_error("cannot give " + path_ + " to " + of_user);
  }
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace connections
