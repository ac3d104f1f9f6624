#include "disk.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <sstream>
#include <stdexcept>

#include "semper/env/random.h"
#include "semper/testing/temporary_folder.h"

namespace semper::testing {
namespace {

constexpr auto kAnswerLimit = std::chrono::seconds(60);
constexpr const char* kBootId = "/proc/sys/kernel/random/boot_id";

void answer(const std::string& line) {
  const std::string text = line + "\n";
  if (::write(STDOUT_FILENO, text.data(), text.size()) < 0) std::_Exit(1);
}

std::string boot_id_file;  // where this program has put its own over the kernel's

void write_boot_id() {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string id = "00000000-0000-4000-8000-000000000000";
  for (std::size_t i = 0; i < 8; ++i) id[i] = kDigits[system_random().below(16)];
  std::ofstream(boot_id_file) << id << "\n";
}

// Everything below is undone when the last process of the namespace ends.
bool enter_own_namespace() {
  static bool entered = false;
  if (entered) return true;
  if (::unshare(CLONE_NEWNS) != 0) return false;
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return false;
  if (::mount("shm", "/dev/shm", "tmpfs", 0, nullptr) != 0) return false;
  static const TemporaryFolder folder;
  boot_id_file = folder.path("boot_id");
  write_boot_id();
  if (::mount(boot_id_file.c_str(), kBootId, nullptr, MS_BIND, nullptr) != 0) boot_id_file.clear();
  return entered = true;
}

}  // namespace

std::optional<std::string> powercut_obstacle() {
  const int device = ::open("/dev/fuse", O_RDWR | O_CLOEXEC);
  if (device < 0) return std::string("/dev/fuse cannot be opened: ") + std::strerror(errno);
  ::close(device);
  if (::geteuid() == 0) {
    if (enter_own_namespace()) return std::nullopt;
    return std::string("no mount namespace can be made: ") + std::strerror(errno);
  }
  for (const char* path : {"/usr/bin/fusermount3", "/bin/fusermount3"}) {
    if (::access(path, X_OK) == 0) return std::nullopt;
  }
  return "not root, and fusermount3 is not installed (Debian: fuse3)";
}

void forget_memory(bool is_new_boot) {
  if (::geteuid() != 0) return;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator("/dev/shm", ignored)) {
    std::filesystem::remove(entry.path(), ignored);
  }
  if (is_new_boot && !boot_id_file.empty()) write_boot_id();
}

Disk::Disk(std::string mount_point, Names names, std::uint64_t seed)
    : mount_point_(std::move(mount_point)),
      process_(std::vector<std::string>{"--role=disk", mount_point_,
                                        names == Names::posix ? "posix" : "journaled",
                                        std::to_string(seed)}) {
  ask("mount");
}

Disk::~Disk() {
  process_.finish();
}

void Disk::take_lines() {
  const std::string& text = process_.output();
  for (auto end = text.find('\n', read_); end != std::string::npos; end = text.find('\n', read_)) {
    const std::string line = text.substr(read_, end - read_);
    read_ = end + 1;
    if (line.starts_with("cut ")) {
      cut_ = line.substr(4);
    } else {
      answers_.push_back(line);
    }
  }
}

std::string Disk::ask(const std::string& command) {
  answers_.clear();
  process_.tell(command + "\n");
  const bool answered = wait_until(
      [&] {
        take_lines();
        return !answers_.empty() || !process_.is_running();
      },
      kAnswerLimit);
  if (!answered || answers_.empty() || !answers_[0].starts_with("ok")) {
    throw std::runtime_error("the disk did not do: " + command +
                             (answers_.empty() ? "" : "; it said " + answers_[0]));
  }
  return answers_[0].substr(2);
}

void Disk::arm(const FaultPlan& plan) {
  ask("arm " + std::to_string(plan.cut_at) + (plan.cut_before ? " 1 " : " 0 ") +
      std::to_string(plan.fail_flush));
}

void Disk::cut_now() {
  ask("cut");
}

std::optional<std::string> Disk::has_cut() {
  take_lines();
  return cut_;
}

void Disk::remount() {
  ask("remount");
  cut_.reset();
}

ServerStatistics Disk::statistics() {
  std::istringstream numbers(ask("statistics"));
  ServerStatistics result;
  numbers >> result.operations >> result.flushes >> result.failed_flushes >>
      result.repeated_flushes;
  return result;
}

std::optional<int> run_disk_role(const std::vector<std::string>& arguments) {
  if (arguments.empty() || arguments[0] != "--role=disk") return std::nullopt;
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  FuseServer server(arguments.at(1), arguments.at(2) == "posix" ? Names::posix : Names::journaled,
                    std::stoull(arguments.at(3)),
                    [](const std::string& what) { answer("cut " + what); });
  std::string line;
  while (std::getline(std::cin, line)) {
    std::istringstream words(line);
    std::string command;
    words >> command;
    if (command == "remount") server.unmount();
    if (command == "mount" || command == "remount") {
      const auto mounted = server.mount();
      answer(mounted ? "ok" : mounted.error().to_string());
    } else if (command == "arm") {
      FaultPlan plan;
      words >> plan.cut_at >> plan.cut_before >> plan.fail_flush;
      server.arm(plan);
      answer("ok");
    } else if (command == "cut") {
      server.cut();
      answer("ok");
    } else if (command == "statistics") {
      const auto found = server.statistics();
      answer("ok " + std::to_string(found.operations) + " " + std::to_string(found.flushes) + " " +
             std::to_string(found.failed_flushes) + " " + std::to_string(found.repeated_flushes));
    } else {
      answer("what? " + line);
    }
  }
  return 0;
}

}  // namespace semper::testing
