#include "common/temporary_folder.h"

#include <cerrno>
#include <cstdlib>
#include <filesystem>

namespace semper::cli {

Result<std::unique_ptr<TemporaryFolder>> TemporaryFolder::make(std::string parent) {
  if (parent.empty()) {
    const char* given = std::getenv("TMPDIR");
    parent = given != nullptr && *given != '\0' ? given : "/var/tmp";
  }
  std::string pattern = parent + "/semper-bench-XXXXXX";
  if (::mkdtemp(pattern.data()) == nullptr) {
    return fail(error_from_errno(
        errno, "cannot make a folder in " + parent + "; name another one with --directory"));
  }
  return std::unique_ptr<TemporaryFolder>(new TemporaryFolder(std::move(pattern)));
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace semper::cli
