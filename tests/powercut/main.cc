// The main of the power cut tests, of the disk, of the victims, and of campaigns by hand: the
// arguments tell which.
#include <cstdlib>
#include <string>
#include <vector>

#include "campaign.h"
#include "crash/workers.h"
#include "disk.h"
#include "gtest/gtest.h"
#include "roles.h"

int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  using namespace semper::testing;
  if (const auto code = run_disk_role(arguments)) return *code;
  if (const auto code = run_powercut_role(arguments)) return *code;
  if (const auto code = run_role(arguments)) return *code;
  // The processes inherit it: that others are gone is what this test is about.
  ::setenv("SEMPER_LOG", "error", /*overwrite=*/0);
  if (const auto code = run_by_hand(arguments)) return *code;
  ::testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
