// The main of the cluster tests, and of the workers that they start: the arguments tell which.
#include <cstdlib>
#include <string>
#include <vector>

#include "crash/workers.h"
#include "gtest/gtest.h"
#include "lab.h"
#include "workers.h"

int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  using namespace semper::testing;
  if (const auto code = run_lab_role(arguments)) return *code;
  if (const auto code = run_cluster_role(arguments)) return *code;
  if (const auto code = run_role(arguments)) return *code;
  // The processes inherit it: what is done to them is told by the test.
  ::setenv("SEMPER_LOG", "error", /*overwrite=*/0);
  ::testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
