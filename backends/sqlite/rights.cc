#include "rights.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <string_view>

#include "semper/base/bytes.h"

namespace semper::sqlite {
namespace {

bool may(const std::string& path, int what) {
  return ::faccessat(AT_FDCWD, path.c_str(), what, AT_EACCESS) == 0;
}

bool is_read_only_mount(const std::string& path) {
  struct statvfs mount {};
  return ::statvfs(path.c_str(), &mount) == 0 && (mount.f_flag & ST_RDONLY) != 0;
}

// "user 1000 may not read /x/data.db (it belongs to user 0, group 0, mode 0600)"
std::string complaint(std::string_view verb, const std::string& path) {
  std::string text = "user " + std::to_string(::geteuid()) + " may not " + std::string(verb) + " " +
                     to_printable(path, 1024);
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return text;
  std::array<char, 16> mode{};
  std::snprintf(mode.data(), mode.size(), "%04o", static_cast<unsigned>(status.st_mode & 07777));
  return text + " (it belongs to user " + std::to_string(status.st_uid) + ", group " +
         std::to_string(status.st_gid) + ", mode " + mode.data() + ")";
}

Error refusal(std::string_view verb, const std::string& path, const std::string& next) {
  return Error(ErrorKind::permission, complaint(verb, path) + "; " + next);
}

}  // namespace

Status check_may_enter(const std::string& path) {
  for (std::size_t slash = path.find('/', 1); slash != std::string::npos;
       slash = path.find('/', slash + 1)) {
    const std::string folder = path.substr(0, slash);
    struct stat status {};
    if (may(folder, X_OK) || errno != EACCES) continue;
    if (::stat(folder.c_str(), &status) == 0 && !S_ISDIR(status.st_mode)) return {};
    return fail(refusal("enter the folder", folder,
                        "run this as a user who may, or give this one the right to enter it"));
  }
  return {};
}

Status check_may_read(const std::string& file) {
  if (may(file, R_OK) || errno != EACCES) return {};
  return fail(refusal("read the store's file", file,
                      "run this as a user who may, or give this one the right to read it"));
}

Status check_may_write(const StorePath& path) {
  if (!may(path.file, F_OK)) {
    if (may(path.directory, W_OK) || errno != EACCES) return {};
    return fail(refusal("make a store in the folder", path.directory,
                        "give this user the right to write there, or choose another place"));
  }
  if (is_read_only_mount(path.directory)) {
    return fail(ErrorKind::permission,
                path.directory +
                    " is mounted read-only: what is in the store can be read there (?access=read, "
                    "which the tool's reading commands say), and nothing be written; mount it "
                    "writable, or copy the store to where it may be written");
  }
  if (!may(path.file, W_OK)) {
    return fail(refusal("write the store's file", path.file,
                        "run this as a user who may, or give this one the right to write it and "
                        "its folder"));
  }
  // Where others have it open, all that is needed is there.
  if (may(path.directory, W_OK) || may(path.sidecar(), W_OK)) return {};
  return fail(refusal("write in the folder", path.directory,
                      "the store's log is made there, so writing needs that right, too; give it, "
                      "or run this as a user who has it"));
}

}  // namespace semper::sqlite
