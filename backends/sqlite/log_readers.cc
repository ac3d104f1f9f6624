#include "log_readers.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <set>
#include <sstream>

namespace semper::sqlite {
namespace {

// Of SQLite's format: the lock bytes of readers in the -shm file, WAL_READ_LOCK(0) to (4).
constexpr std::uint64_t kFirstReaderByte = 123;
constexpr std::uint64_t kLastReaderByte = 127;

std::string program_of(pid_t pid) {
  std::string name;
  std::getline(std::ifstream("/proc/" + std::to_string(pid) + "/comm"), name);
  return to_printable(name);
}

std::string identity_in_locks(const FileIdentity& file) {
  char numbers[32];
  std::snprintf(numbers, sizeof numbers, "%02x:%02x:", major(file.device), minor(file.device));
  return numbers + std::to_string(file.inode);
}

}  // namespace

// 1: POSIX  ADVISORY  READ 1234 08:01:131090 124 124
std::vector<pid_t> pids_that_read(const std::string& locks, const FileIdentity& index) {
  const std::string wanted = identity_in_locks(index);
  std::set<pid_t> pids;
  std::istringstream lines(locks);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string number, kind, advice, mode, file;
    pid_t pid = 0;
    std::uint64_t first = 0;
    std::uint64_t last = 0;
    words >> number >> kind >> advice >> mode >> pid >> file >> first >> last;
    if (!words || kind != "POSIX" || file != wanted || pid <= 0) continue;
    if (first <= kLastReaderByte && last >= kFirstReaderByte) pids.insert(pid);
  }
  return {pids.begin(), pids.end()};
}

LogReaders log_readers(const SqliteOptions& options, Sidecar& sidecar) {
  std::vector<LogReader> readers;
  const auto index = look_at(options.path.index());
  if (!index) return LogReaders(std::move(readers));
  std::ifstream file("/proc/locks");
  const std::string locks(std::istreambuf_iterator<char>(file), {});
  for (const pid_t pid : pids_that_read(locks, index->identity)) {
    if (pid == ::getpid()) continue;
    LogReader reader{pid, program_of(pid), false};
    sidecar.for_each_other(
        [&](SidecarEntry& entry) { reader.gives_way |= entry.pid.load() == pid; });
    readers.push_back(std::move(reader));
  }
  // Whoever reads the whole store does not give way, and is known without the kernel's list. One
  // that was killed meanwhile reads nothing.
  sidecar.for_each([&](SidecarEntry& entry) {
    const auto number = static_cast<std::size_t>(&entry - sidecar.shared().entries.data());
    if (entry.long_read.load() == 0 || sidecar.is_dead(number)) return;
    const pid_t pid = entry.pid.load();
    std::erase_if(readers, [pid](const LogReader& reader) { return reader.pid == pid; });
    readers.push_back({pid, program_of(pid) + ", a backup or a check", false});
  });
  std::stable_partition(readers.begin(), readers.end(),
                        [](const LogReader& reader) { return !reader.gives_way; });
  return LogReaders(std::move(readers));
}

bool LogReaders::anybody_stays() const {
  return !readers_.empty() && !readers_.front().gives_way;
}

std::string LogReaders::to_string() const {
  if (readers_.empty()) return "a process that cannot be seen from here is reading";
  std::string names;
  for (std::size_t i = 0; i < readers_.size() && i < kNamedReaders; ++i) {
    if (i > 0) names += ", ";
    names += "process " + std::to_string(readers_[i].pid) + " (" + readers_[i].program + ")";
  }
  if (readers_.size() > kNamedReaders) names += " and others";
  return names + (readers_.size() == 1 ? " is reading" : " are reading");
}

// Asked before and after each flush, so without the times: where somebody has asked for the times
// of a file, its next write makes a new one, and the next fdatasync writes the inode too (since
// Linux 6.13). That made a commit take half as long again.
std::int64_t size_of_log(const SqliteOptions& options) {
  struct statx status {};
  const int code =
      ::statx(AT_FDCWD, options.path.wal().c_str(), AT_STATX_DONT_SYNC, STATX_SIZE, &status);
  return code == 0 ? static_cast<std::int64_t>(status.stx_size) : 0;
}

}  // namespace semper::sqlite
