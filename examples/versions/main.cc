// A rolling upgrade: two releases of one program on one store, the second of which has another form
// of the state and a message that the first does not know.
//
//   semper-versions [STORE-URL]     by default a store in memory
#include <cstdio>
#include <string>

#include "fleet.h"

int main(int argc, char** argv) {
  const std::string url = argc > 1 ? argv[1] : "memory:semper-versions";
  semper::Scheduler scheduler;
  const auto ended = scheduler.block_on(fleet::upgrade_one_by_one(
      url, [](const std::string& line) { std::printf("%s\n", line.c_str()); }));
  if (ended) return 0;
  std::fprintf(stderr, "semper-versions: %s\n", ended.error().to_string().c_str());
  return 1;
}
