// semper: the command line tool. `semper --help` says what it can do, docs/cli.md shows it.
#include "command_line/cli.h"
#include "common/interrupt.h"
#ifdef SEMPER_LIBEXEC
#include "command_line/relief.h"
#endif
#include "semper/env/standard_streams.h"

int main(int argc, char** argv) {
  // Before anything that opens a file or takes time.
  semper::guard_standard_streams();
#ifdef SEMPER_LIBEXEC
  semper::cli::hand_over_for_etcd(argc, argv);
#endif
  semper::cli::Interrupt interrupt;
  return semper::cli::run(argc, argv, interrupt);
}
