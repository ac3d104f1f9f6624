// semper: the command line tool. `semper --help` says what it can do, docs/cli.md shows it.
#include "cli.h"

int main(int argc, char** argv) {
  return semper::cli::run(argc, argv);
}
