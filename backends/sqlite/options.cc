#include "options.h"

#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <array>
#include <bit>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <sstream>
#include <utility>

#include "rights.h"

namespace semper::sqlite {
namespace {

constexpr std::size_t kCacheMibMaximum = 64 * 1024;
constexpr std::size_t kReadersMaximum = 1024;
constexpr std::size_t kPathBytesMaximum = 4000;
constexpr std::uint64_t kFuseMagic = 0x65735546;

struct NumberRule {
  const char* name;
  std::size_t fallback;
  std::size_t minimum;
  std::size_t maximum;
};

Result<std::size_t> number_parameter(const StoreUrl& url, const NumberRule& rule) {
  const auto text = url.parameter(rule.name);
  if (!text) return rule.fallback;
  std::size_t number = 0;
  const char* end = text->data() + text->size();
  const auto parsed = std::from_chars(text->data(), end, number);
  if (parsed.ec != std::errc() || parsed.ptr != end || number < rule.minimum ||
      number > rule.maximum) {
    return fail(ErrorKind::invalid_argument,
                std::string("store URL parameter ") + rule.name + "=" + to_printable(*text) +
                    " is not a whole number from " + std::to_string(rule.minimum) + " to " +
                    std::to_string(rule.maximum));
  }
  return number;
}

Result<std::string> real_path(const std::string& path) {
  const std::unique_ptr<char, decltype(&std::free)> resolved(::realpath(path.c_str(), nullptr),
                                                             &std::free);
  if (!resolved) return fail(error_from_errno(errno, "cannot resolve " + to_printable(path)));
  return std::string(resolved.get());
}

// A path that other programs would read otherwise than we do.
Status refuse_ambiguous(const std::string& given) {
  if (given.starts_with("//") && !given.starts_with("///")) {
    const std::string path = given.substr(2);
    return fail(ErrorKind::invalid_argument,
                "sqlite:" + to_printable(given) + " can be read in two ways; write sqlite:" +
                    to_printable(path) + " for a path from this folder, or sqlite:/" +
                    to_printable(path) + " for one from the root folder");
  }
  if (given.starts_with("~")) {
    const std::string folder = given.substr(0, given.find('/'));
    struct stat status {};
    if (::lstat(folder.c_str(), &status) != 0) {
      return fail(ErrorKind::invalid_argument,
                  "the ~ of sqlite:" + to_printable(given) +
                      " is no home folder: shells put that in at the beginning of a word only; "
                      "write sqlite:$HOME" +
                      to_printable(given.substr(folder.size())));
    }
  }
  return {};
}

Error missing_directory(const std::string& directory) {
  return Error(ErrorKind::not_found, "the directory " + to_printable(directory) +
                                         " of the store does not exist; make it first: mkdir -p " +
                                         to_printable(directory));
}

// Why the directory of the store cannot be found.
Error lost_directory(const std::string& directory, const Error& error) {
  if (const auto entered = check_may_enter(directory); !entered) return entered.error();
  if (error.kind() == ErrorKind::not_found) return missing_directory(directory);
  std::string folder = directory;
  while (folder.ends_with('/')) folder.pop_back();
  struct stat status {};
  while (!folder.empty() && ::stat(folder.c_str(), &status) != 0) {
    folder.resize(folder.find('/') == std::string::npos ? 0 : folder.rfind('/'));
  }
  if (folder.empty() || S_ISDIR(status.st_mode)) return error;
  return Error(ErrorKind::invalid_argument,
               to_printable(folder) + " is a file, and nothing can be in it; " +
                   to_printable(directory) + " should be the folder of the store");
}

// A link to a file elsewhere is that file.
Result<std::string> follow_link(const std::string& path) {
  auto target = real_path(path);
  struct stat end {};
  if (!target && ::stat(path.c_str(), &end) != 0 && errno == ELOOP) {
    return fail(
        ErrorKind::invalid_argument,
        "the links at " + path + " form a loop; remove one of them, or name the file itself");
  }
  if (target || target.error().kind() != ErrorKind::not_found) return target;
  std::array<char, kPathBytesMaximum> text{};
  const auto size = ::readlink(path.c_str(), text.data(), text.size());
  const std::string to(text.data(), static_cast<std::size_t>(std::max<ssize_t>(size, 0)));
  return fail(ErrorKind::not_found, path + " is a link to " + to_printable(to) +
                                        ", which is not there; put that file back, or remove the "
                                        "link to make a new store of this name");
}

Result<StorePath> resolve(const std::string& given) {
  SEMPER_TRY_STATUS(refuse_ambiguous(given));
  if (given.empty() || given.size() > kPathBytesMaximum || given.find('\0') != std::string::npos) {
    return fail(ErrorKind::invalid_argument,
                "a sqlite: URL needs the path of a file, for example sqlite:./data.db");
  }
  const auto slash = given.rfind('/');
  const std::string directory = slash == std::string::npos ? "." : given.substr(0, slash + 1);
  const std::string name = slash == std::string::npos ? given : given.substr(slash + 1);
  if (name.empty() || name == "." || name == "..") {
    return fail(ErrorKind::invalid_argument,
                to_printable(given) + " is a directory; a sqlite: URL needs the path of a file");
  }
  auto parent = real_path(directory);
  if (!parent) return fail(lost_directory(directory, parent.error()));
  StorePath path;
  path.directory = *parent;
  path.file = (*parent == "/" ? "" : *parent) + "/" + name;
  struct stat link {};
  if (::lstat(path.file.c_str(), &link) == 0 && S_ISLNK(link.st_mode)) {
    SEMPER_TRY(path.file, follow_link(path.file));
    path.directory = path.file.substr(0, std::max<std::size_t>(1, path.file.rfind('/')));
  }
  return path;
}

// The type of the mount with this device number, out of /proc/self/mountinfo.
std::string mount_type_of(dev_t device) {
  const std::string wanted = std::to_string(major(device)) + ":" + std::to_string(minor(device));
  std::ifstream mounts("/proc/self/mountinfo");
  for (std::string line; std::getline(mounts, line);) {
    std::istringstream words(line);
    std::string id, parent, numbers, word;
    words >> id >> parent >> numbers;
    if (numbers != wanted) continue;
    while (words >> word && word != "-") {
    }
    words >> word;
    return word;
  }
  return "";
}

}  // namespace

Result<SqliteOptions> parse_options(const StoreUrl& url) {
  SEMPER_TRY_STATUS(url.allow_only(
      {"cache_mib", "readers", "page_size", "network", "neighbours", "access", "vfs"}));
  SqliteOptions options;
  StoreUrl which = url;
  std::erase_if(which.parameters, [](const auto& each) {
    return each.first == "access" || each.first == "neighbours";
  });
  options.url = which.to_string();
  SEMPER_TRY(options.cache_mib, number_parameter(url, {"cache_mib", 16, 1, kCacheMibMaximum}));
  SEMPER_TRY(options.readers, number_parameter(url, {"readers", 16, 1, kReadersMaximum}));
  SEMPER_TRY(options.page_size, number_parameter(url, {"page_size", 1024, 512, 65536}));
  if (!std::has_single_bit(options.page_size)) {
    return fail(ErrorKind::invalid_argument,
                "store URL parameter page_size=" + std::to_string(options.page_size) +
                    " is not a power of two; choose 512, 1024, 2048 and so on up to 65536");
  }
  if (const auto network = url.parameter("network")) {
    if (*network != "force") {
      return fail(ErrorKind::invalid_argument,
                  "store URL parameter network=" + to_printable(*network) +
                      " is not known; there is network=force");
    }
    options.network = SqliteOptions::Network::force;
  }
  if (const auto neighbours = url.parameter("neighbours")) {
    if (*neighbours != "off") {
      return fail(ErrorKind::invalid_argument,
                  "store URL parameter neighbours=" + to_printable(*neighbours) +
                      " is not known; there is neighbours=off");
    }
    options.neighbours = SqliteOptions::Neighbours::off;
  }
  if (const auto access = url.parameter("access")) {
    if (*access != "read" && *access != "existing") {
      return fail(ErrorKind::invalid_argument,
                  "store URL parameter access=" + to_printable(*access) +
                      " is not known; there are access=read (nothing is written) and "
                      "access=existing (no store is made)");
    }
    options.access =
        *access == "read" ? SqliteOptions::Access::read : SqliteOptions::Access::existing;
  }
  options.vfs = url.parameter("vfs").value_or("");
  SEMPER_TRY(options.path, resolve(url.path));
  return options;
}

std::string network_file_system(std::uint64_t magic, std::string_view mount_type) {
  static constexpr std::array<std::pair<std::uint64_t, const char*>, 12> kNetworkMagics = {{
      {0x6969, "NFS"},
      {0x517b, "SMB"},
      {0xff534d42, "CIFS"},
      {0xfe534d42, "SMB2"},
      {0x01021997, "9p"},
      {0x5346414f, "AFS"},
      {0x73757245, "Coda"},
      {0x00c36400, "Ceph"},
      {0x0bd00bd0, "Lustre"},
      {0x7461636f, "OCFS2"},
      {0x01161970, "GFS2"},
      {0x564c, "NCP"},
  }};
  for (const auto& [number, name] : kNetworkMagics) {
    if (magic == number) return name;
  }
  // FUSE: block devices (fuseblk) are local; of the others nobody can tell but by name.
  if (magic == kFuseMagic && mount_type.starts_with("fuse.")) return std::string(mount_type);
  return "";
}

Status refuse_network(const SqliteOptions& options) {
  if (options.network == SqliteOptions::Network::force) return {};
  const std::string& directory = options.path.directory;
  struct statfs file_system {};
  struct stat place {};
  if (::statfs(directory.c_str(), &file_system) != 0 || ::stat(directory.c_str(), &place) != 0) {
    return fail(error_from_errno(errno, "cannot look at the directory " + directory));
  }
  const auto magic = static_cast<std::uint64_t>(static_cast<std::uint32_t>(file_system.f_type));
  const std::string name =
      network_file_system(magic, magic == kFuseMagic ? mount_type_of(place.st_dev) : std::string());
  if (name.empty()) return {};
  return fail(ErrorKind::unsupported,
              directory + " is on a network file system (" + name +
                  "), whose locks and shared memory SQLite cannot rely on; use a local disk, or, "
                  "for one machine at a time and at your own risk, ?network=force");
}

}  // namespace semper::sqlite
