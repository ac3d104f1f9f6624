#include "lab.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <stdexcept>

#include "crash/role.h"

namespace semper::testing {
namespace {

constexpr auto kCommandLimit = std::chrono::seconds(20);
constexpr const char* kBridge = "lab";
constexpr const char* kOwnAddress = "10.99.255.254";
constexpr const char* kNetworkBits = "/16";
constexpr int kMachinesPerNet = 200;
constexpr int kFrozenMs = 400;
constexpr int kThawedMs = 60;

bool entered = false;
int machines = 0;  // made by this process

std::string network_of(pid_t process) {
  return "/proc/" + std::to_string(process) + "/ns/net";
}

[[noreturn]] void give_up(const std::string& what) {
  throw std::runtime_error(what + ": " + std::strerror(errno));
}

// What every process of the lab does first.
void die_with_parent() {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
}

int hold_a_network() {
  die_with_parent();
  if (::unshare(CLONE_NEWNET) != 0) {
    std::perror("unshare");
    return 1;
  }
  std::cout << "ready" << std::endl;
  wait_for_end_of_input();
  return 0;
}

// --role=inside PID LOG PROGRAM ARGUMENTS...
int run_inside(const std::vector<std::string>& arguments) {
  die_with_parent();
  const int network = ::open(network_of(std::stoi(arguments.at(1))).c_str(), O_RDONLY | O_CLOEXEC);
  if (network < 0 || ::setns(network, CLONE_NEWNET) != 0) {
    std::perror("setns");
    return 1;
  }
  if (!arguments.at(2).empty()) {
    const int log = ::open(arguments.at(2).c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
    ::dup2(log, STDOUT_FILENO);
    ::dup2(log, STDERR_FILENO);
  }
  std::vector<std::string> words(arguments.begin() + 3, arguments.end());
  std::vector<char*> argv;
  for (auto& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  ::execv(argv[0], argv.data());
  std::perror(argv[0]);
  return 1;
}

// Freezes and thaws in turns until standard input ends; never leaves the file system frozen in
// order, and for at most one turn otherwise: it is the parent's end that ends the input.
int freeze_in_turns(const std::string& folder) {
  const int place = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (place < 0) {
    std::perror(folder.c_str());
    return 1;
  }
  pollfd input{STDIN_FILENO, POLLIN, 0};
  std::cout << "ready" << std::endl;
  while (true) {
    if (::ioctl(place, FIFREEZE, 0) != 0) std::perror("FIFREEZE");
    const bool ends = ::poll(&input, 1, kFrozenMs) > 0;
    if (::ioctl(place, FITHAW, 0) != 0) std::perror("FITHAW");
    if (ends || ::poll(&input, 1, kThawedMs) > 0) return 0;
  }
}

// In a child, as it cannot be taken back.
bool can_unshare() {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(::unshare(CLONE_NEWNET | CLONE_NEWNS) == 0 ? 0 : 1);
  int status = 1;
  ::waitpid(child, &status, 0);
  return status == 0;
}

}  // namespace

std::optional<std::string> find_program(const std::string& name) {
  for (const char* folder : {"/usr/sbin/", "/sbin/", "/usr/bin/", "/bin/", "/usr/local/bin/"}) {
    const std::string path = folder + name;
    if (::access(path.c_str(), X_OK) == 0) return path;
  }
  return std::nullopt;
}

std::string run_program(const std::string& name, std::vector<std::string> arguments,
                        std::vector<std::string> environment) {
  const auto path = find_program(name);
  if (!path) throw std::runtime_error(name + " is not installed");
  std::string words = name;
  for (const auto& argument : arguments) words += " " + argument;
  ProgramToStart program{*path};
  program.arguments = std::move(arguments);
  program.environment = std::move(environment);
  ChildProcess child(std::move(program));
  const int code = child.finish(kCommandLimit);
  if (code != 0) {
    throw std::runtime_error(words + " ended with " + std::to_string(code) + ": " + child.errors());
  }
  return child.output();
}

std::optional<std::string> Lab::obstacle() {
  if (::geteuid() != 0) return "not root, which network namespaces need";
  for (const char* name : {"ip", "iptables"}) {
    if (!find_program(name)) {
      return std::string(name) + " is not installed (Debian: iproute2, iptables)";
    }
  }
  if (!entered && !can_unshare()) {
    return std::string("this container may not make network namespaces (unshare: ") +
           std::strerror(EPERM) + ")";
  }
  return std::nullopt;
}

void Lab::enter() {
  if (entered) return;
  if (::unshare(CLONE_NEWNET | CLONE_NEWNS) != 0) give_up("unshare");
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) give_up("mount private");
  entered = true;
  run_program("ip", {"link", "set", "lo", "up"});
  run_program("ip", {"link", "add", kBridge, "type", "bridge"});
  run_program("ip", {"addr", "add", std::string(kOwnAddress) + kNetworkBits, "dev", kBridge});
  run_program("ip", {"link", "set", kBridge, "up"});
}

bool Lab::is_entered() {
  return entered;
}

std::string Lab::address() {
  return kOwnAddress;
}

Machine::Machine() : holder_(std::vector<std::string>{"--role=machine"}) {
  const int number = ++machines;
  address_ = "10.99." + std::to_string(number / kMachinesPerNet) + "." +
             std::to_string(1 + number % kMachinesPerNet);
  if (!wait_until([&] { return holder_.has_written("ready"); })) {
    throw std::runtime_error("no network namespace could be made");
  }
  const std::string cable = "m" + std::to_string(number);
  const std::string other_end = "eth0";
  run_program("ip", {"link", "add", cable, "type", "veth", "peer", "name", other_end, "netns",
                     std::to_string(holder_.pid())});
  run_program("ip", {"link", "set", cable, "master", kBridge, "up"});
  const auto within = [&](std::vector<std::string> words) {
    words.insert(words.begin(), find_program("ip").value());
    ChildProcess child(inside("", std::move(words)));
    if (child.finish(kCommandLimit) != 0) throw std::runtime_error("ip failed inside a machine");
  };
  within({"link", "set", "lo", "up"});
  within({"addr", "add", address_ + kNetworkBits, "dev", other_end});
  within({"link", "set", other_end, "up"});
}

std::vector<std::string> Machine::inside(const std::string& log,
                                         std::vector<std::string> program_and_arguments) const {
  std::vector<std::string> words = {"--role=inside", std::to_string(holder_.pid()), log};
  words.insert(words.end(), program_and_arguments.begin(), program_and_arguments.end());
  return words;
}

ChildProcess Machine::start(const std::string& log,
                            std::vector<std::string> program_and_arguments) const {
  return ChildProcess(inside(log, std::move(program_and_arguments)));
}

void Machine::drop_from(const std::string& address) const {
  ChildProcess child(inside("", {find_program("iptables").value(), "-w", "5", "-A", "INPUT", "-s",
                                 address, "-j", "DROP"}));
  if (child.finish(kCommandLimit) != 0) throw std::runtime_error("iptables failed");
}

void Machine::drop_nothing() const {
  ChildProcess child(inside("", {find_program("iptables").value(), "-w", "5", "-F", "INPUT"}));
  if (child.finish(kCommandLimit) != 0) throw std::runtime_error("iptables failed");
}

void lab_drop_from(const std::string& address) {
  run_program("iptables", {"-w", "5", "-A", "INPUT", "-s", address, "-j", "DROP"});
}

void lab_drop_nothing() {
  run_program("iptables", {"-w", "5", "-F", "INPUT"});
}

std::optional<std::string> SlowDisk::mount(const std::string& image, const std::string& folder) {
  try {
    std::filesystem::create_directories(folder);
    run_program("truncate", {"-s", "256M", image});
    run_program("mkfs.ext4", {"-q", "-F", image});
    run_program("mount", {"-o", "loop", image, folder});
  } catch (const std::runtime_error& error) {
    return std::string("no file system can be mounted from a file here: ") + error.what();
  }
  return std::nullopt;
}

void SlowDisk::unmount(const std::string& folder) {
  ::umount2(folder.c_str(), MNT_DETACH);
}

SlowDisk::SlowDisk(const std::string& folder)
    : freezer_(std::vector<std::string>{"--role=freezer", folder}) {
  if (!wait_until([&] { return freezer_.has_written("ready"); })) {
    throw std::runtime_error("the disk could not be made slow");
  }
}

SlowDisk::~SlowDisk() {
  freezer_.finish();
}

std::optional<int> run_lab_role(const std::vector<std::string>& arguments) {
  if (arguments.empty()) return std::nullopt;
  if (arguments[0] == "--role=machine") return hold_a_network();
  if (arguments[0] == "--role=inside") return run_inside(arguments);
  if (arguments[0] == "--role=freezer") return freeze_in_turns(arguments.at(1));
  return std::nullopt;
}

}  // namespace semper::testing
