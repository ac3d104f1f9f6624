// semper: the command line tool. `semper --help` says what it can do, docs/cli.md shows it.
#include "cli.h"
#include "interrupt.h"
#include "semper/env/standard_streams.h"

int main(int argc, char** argv) {
  // Before anything that opens a file or takes time.
  semper::guard_standard_streams();
  semper::cli::Interrupt interrupt;
  return semper::cli::run(argc, argv, interrupt);
}
