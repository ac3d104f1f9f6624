// What every process does that a test program starts of itself, in another role: it talks to the
// test by lines on its standard output, and ends when its standard input does.
#pragma once

#include <unistd.h>

#include <iostream>
#include <string>

#include "semper/base/result.h"

namespace semper::testing {

inline void wait_for_end_of_input() {
  char byte = 0;
  while (::read(STDIN_FILENO, &byte, 1) > 0) {
  }
}

inline void tell(const std::string& line) {
  std::cout << line << std::endl;
}

// For people. The exit code of the process.
inline int report(const Error& error) {
  std::cerr << "process " << ::getpid() << ": " << error.to_string() << std::endl;
  return 1;
}

}  // namespace semper::testing
