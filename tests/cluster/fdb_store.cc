#include "fdb_store.h"

#include <cstdlib>

#include "lab.h"
#include "semper/base/bytes.h"
#include "semper/env/random.h"

namespace semper::testing {
namespace {

constexpr const char* kClusterFile = "SEMPER_TEST_FDB_CLUSTER_FILE";
constexpr std::size_t kPrefixBytes = 8;

}  // namespace

std::optional<std::string> environment(const char* name) {
  const char* const text = std::getenv(name);
  if (text == nullptr || *text == '\0') return std::nullopt;
  return text;
}

std::optional<std::string> fdb_obstacle() {
  if (!environment(kClusterFile)) {
    return std::string("no FoundationDB here: ") + kClusterFile + " does not name a cluster";
  }
  if (Lab::is_entered()) {
    return "an etcd test before this one has taken the process off the network: run the two apart, "
           "as "
           "ctest does";
  }
  return std::nullopt;
}

std::string fdb_store() {
  return "fdb:" + environment(kClusterFile).value() + "?prefix=cluster-test-" +
         to_hex(system_random().bytes(kPrefixBytes));
}

}  // namespace semper::testing
