#include "semper/env/process_identity.h"

#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <iterator>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "semper/base/crc32c.h"
#include "semper/env/fork.h"

namespace semper {
namespace {

std::uint32_t host_of_this_process() {
  std::ifstream boot("/proc/sys/kernel/random/boot_id");
  std::string id;
  std::getline(boot, id);
  char space[64] = {};
  const ssize_t length = ::readlink("/proc/self/ns/pid", space, sizeof space);
  if (id.empty() || length <= 0) return 0;
  return crc32c(id + std::string(space, static_cast<std::size_t>(length))) | 1;
}

struct Stat {
  bool has_ended = false;
  std::uint32_t start = 0;
};

// Of /proc/PID/stat, whose second field is a name in brackets that may hold anything.
std::optional<Stat> stat_of(std::uint32_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  const auto name_end = text.rfind(')');
  if (name_end == std::string::npos) return std::nullopt;
  std::istringstream rest(text.substr(name_end + 1));
  const std::vector<std::string> fields{std::istream_iterator<std::string>(rest),
                                        std::istream_iterator<std::string>()};
  constexpr std::size_t kState = 0;  // the third field of the file
  constexpr std::size_t kThreads = 17;
  constexpr std::size_t kStart = 19;
  if (fields.size() <= kStart) return std::nullopt;
  Stat stat;
  stat.has_ended = (fields[kState] == "Z" || fields[kState] == "X") && fields[kThreads] <= "1";
  stat.start = static_cast<std::uint32_t>(std::stoull(fields[kStart]));
  return stat;
}

ProcessIdentity look_at_this_process() {
  ProcessIdentity identity;
  identity.pid = static_cast<std::uint32_t>(::getpid());
  const auto stat = stat_of(identity.pid);
  if (!stat) return identity;
  identity.host = host_of_this_process();
  identity.start = stat->start;
  return identity;
}

}  // namespace

ProcessIdentity this_process() {
  struct Known {
    std::uint64_t generation = fork_generation();
    ProcessIdentity identity = look_at_this_process();
  };
  thread_local Known known;
  // What could not be found out, for want of a descriptor, is looked at again.
  const bool is_known = known.identity.host != 0;
  if (known.generation != fork_generation() || !is_known) known = Known();
  return known.identity;
}

ProcessState state_of(const ProcessIdentity& process) {
  const ProcessIdentity here = this_process();
  if (process.host == 0 || process.host != here.host || process.pid == 0) {
    return ProcessState::unknown;
  }
  if (process == here) return ProcessState::alive;
  if (::kill(static_cast<pid_t>(process.pid), 0) != 0 && errno == ESRCH) return ProcessState::dead;
  const auto stat = stat_of(process.pid);
  if (!stat) return ProcessState::alive;  // hidden from this user
  return stat->has_ended || stat->start != process.start ? ProcessState::dead : ProcessState::alive;
}

}  // namespace semper
