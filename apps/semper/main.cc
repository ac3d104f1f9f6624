// semper: the command line tool. `semper --help` says what it can do, docs/cli.md shows it.
#include "cli.h"
#include "interrupt.h"

int main(int argc, char** argv) {
  semper::cli::Interrupt interrupt;  // before anything that takes time
  return semper::cli::run(argc, argv, interrupt);
}
