// The version: one answer from the header, the library and the build.
#include "semper/version.h"

#include <gtest/gtest.h>

#include <string>

namespace semper {
namespace {

TEST(Version, is_that_of_the_project) {
  EXPECT_EQ(version(), SEMPER_PROJECT_VERSION);
}

TEST(Version, the_macros_say_what_the_library_says) {
  EXPECT_EQ(version(), std::to_string(SEMPER_VERSION_MAJOR) + "." +
                           std::to_string(SEMPER_VERSION_MINOR) + "." +
                           std::to_string(SEMPER_VERSION_PATCH));
}

TEST(Version, the_number_grows_with_the_version) {
  EXPECT_LT(SEMPER_VERSION_NUMBER(0, 1, 999), SEMPER_VERSION_NUMBER(0, 2, 0));
  EXPECT_LT(SEMPER_VERSION_NUMBER(0, 999, 999), SEMPER_VERSION_NUMBER(1, 0, 0));
  EXPECT_EQ(SEMPER_VERSION, SEMPER_VERSION_NUMBER(SEMPER_VERSION_MAJOR, SEMPER_VERSION_MINOR,
                                                  SEMPER_VERSION_PATCH));
}

}  // namespace
}  // namespace semper
