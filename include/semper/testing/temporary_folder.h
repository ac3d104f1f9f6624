// A temporary folder for a test, removed with its contents when the test ends.
//
// What for: tests with real files. When not: a store that need not be a file (memory:), or a device
// in simulated time (semper/testing/simulated_disk.h).
//
//   const semper::testing::TemporaryFolder folder;
//   auto store = open_store("sqlite:" + folder.path("data.db"));
//
// It is where GoogleTest puts a test's files ($TEST_TMPDIR, else /tmp) or, with
// Place::beside_program, in the folder of the program: /tmp may be in memory, where direct I/O does
// not work and a flush proves nothing. Throws std::system_error if it cannot be created. Threads: a
// value that is not copied.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace semper::testing {

class TemporaryFolder {
 public:
  enum class Place : std::uint8_t { for_tests, beside_program };

  explicit TemporaryFolder(Place place = Place::for_tests);
  // In an existing folder.
  explicit TemporaryFolder(const std::filesystem::path& parent);
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  // Without a trailing slash.
  std::string path() const { return path_.string(); }
  std::string path(std::string_view name) const { return (path_ / name).string(); }

  // Keeps the folder, so that a person can look at what a failed test has left.
  void keep() { is_kept_ = true; }

 private:
  std::filesystem::path path_;
  bool is_kept_ = false;
};

}  // namespace semper::testing
