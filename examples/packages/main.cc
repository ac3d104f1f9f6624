// semper-packages: this machine's dpkg log through durable servers, in several processes over one
// store, one of which is killed on the way; then checked against dpkg itself. See --help.
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "roles.h"
#include "semper/base/log.h"
#include "semper/env/standard_streams.h"

namespace {

// That a host was killed is what we say ourselves; SEMPER_LOG=info shows what its peers say to it.
void quiet_log() {
  if (std::getenv("SEMPER_LOG") != nullptr) return;
  ::setenv("SEMPER_LOG", "warning", /*overwrite=*/0);
  semper::set_log_level(semper::LogLevel::warning);
}

}  // namespace

int main(int argc, char** argv) {
  semper::guard_standard_streams();
  quiet_log();
  packages::StopSignals signals;
  auto options = packages::parse_options(std::vector<std::string>(argv + 1, argv + argc));
  if (!options) {
    packages::explain(options.error());
    return 2;
  }
  if (options->help) {
    std::fputs(packages::help_text().data(), stdout);
    return 0;
  }
  if (options->store.empty()) {
    auto store = packages::default_store();
    if (!store) return packages::explain(store.error());
    options->store = *store;
  }
  switch (options->role) {
    case packages::Role::consumer:
      return packages::run_consumer(*options, signals);
    case packages::Role::publisher:
      return packages::run_publisher(*options);
    case packages::Role::coordinator:
      break;
  }
  return packages::run_coordinator(*options, signals);
}
