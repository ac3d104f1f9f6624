// version(): the project's version, which CMake hands in, and the proof that the header agrees with
// it.
#include "semper/version.h"

namespace semper {
namespace {

#define SEMPER_TEXT_INNER(x) #x
#define SEMPER_TEXT(x) SEMPER_TEXT_INNER(x)

constexpr std::string_view kOfHeader = SEMPER_TEXT(SEMPER_VERSION_MAJOR) "." SEMPER_TEXT(
    SEMPER_VERSION_MINOR) "." SEMPER_TEXT(SEMPER_VERSION_PATCH);

static_assert(kOfHeader == SEMPER_PROJECT_VERSION,
              "include/semper/version.h and project(VERSION) in CMakeLists.txt must be the same");

}  // namespace

std::string_view version() noexcept {
  return kOfHeader;
}

}  // namespace semper
