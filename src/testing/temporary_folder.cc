#include "semper/testing/temporary_folder.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <cerrno>
#include <system_error>

namespace semper::testing {

namespace {

std::filesystem::path parent_of(TemporaryFolder::Place place) {
  if (place == TemporaryFolder::Place::for_tests) return ::testing::TempDir();
  return std::filesystem::read_symlink("/proc/self/exe").parent_path();
}

}  // namespace

TemporaryFolder::TemporaryFolder(Place place) : TemporaryFolder(parent_of(place)) {}

TemporaryFolder::TemporaryFolder(const std::filesystem::path& parent) {
  std::string pattern = (parent / "semper-test-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr) {
    throw std::system_error(errno, std::generic_category(), "making a folder like " + pattern);
  }
  path_ = std::filesystem::canonical(pattern);
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  if (!is_kept_) std::filesystem::remove_all(path_, ignored);
}

}  // namespace semper::testing
