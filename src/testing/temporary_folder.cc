#include "semper/testing/temporary_folder.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <cerrno>
#include <system_error>

namespace semper::testing {

TemporaryFolder::TemporaryFolder(Place place) {
  const auto parent = place == Place::beside_program
                          ? std::filesystem::read_symlink("/proc/self/exe").parent_path()
                          : std::filesystem::path(::testing::TempDir());
  std::string pattern = (parent / "semper-test-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr) {
    throw std::system_error(errno, std::generic_category(), "making a folder like " + pattern);
  }
  path_ = std::filesystem::canonical(pattern);
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace semper::testing
