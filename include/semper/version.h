// The version of Semper: of the headers a program is compiled with, and of the library it runs
// with.
//
// What for: `#if SEMPER_VERSION >= ...` where a program supports several releases, and version()
// for a log line or a bug report. When not to use: to find out whether a store or a ring can be
// read. Formats on disk have their own numbers (docs/formats.md), which are checked when a store or
// ring is opened.
//
//   semper::log_info("semper", semper::version());         // "0.1.0"
//   #if SEMPER_VERSION < SEMPER_VERSION_NUMBER(0, 2, 0)
//
// The project() line of CMakeLists.txt is the source: a build in which these differ does not
// compile. Threads: any.
#pragma once

#include <string_view>

#define SEMPER_VERSION_MAJOR 0
#define SEMPER_VERSION_MINOR 1
#define SEMPER_VERSION_PATCH 0

// One number that grows with the version. Minor and patch are below 1,000.
#define SEMPER_VERSION_NUMBER(major, minor, patch) ((major)*1000000 + (minor)*1000 + (patch))
#define SEMPER_VERSION \
  SEMPER_VERSION_NUMBER(SEMPER_VERSION_MAJOR, SEMPER_VERSION_MINOR, SEMPER_VERSION_PATCH)

namespace semper {

// "MAJOR.MINOR.PATCH" of the library that this process has loaded. It differs from the macros if a
// shared library was replaced by one of another release.
std::string_view version() noexcept;

}  // namespace semper
