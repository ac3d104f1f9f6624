// The main of the crash tests, and of the workers that they start: the arguments tell which.
#include <cstdlib>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "workers.h"

int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  if (const auto code = semper::testing::run_role(arguments)) return *code;
  // The processes inherit it: hosts and sessions that are gone are what this test is about.
  ::setenv("SEMPER_LOG", "error", /*overwrite=*/0);
  ::testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
