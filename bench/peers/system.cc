#include "system.h"

#include "systems.h"

namespace semper::bench::peers {
namespace {

// NOLINTBEGIN(misc-unused-parameters): one signature for all.
template <const char* const& package>
std::unique_ptr<System> start_missing(const std::string&) {
  throw Unavailable("built without its client library (Debian: " + std::string(package) +
                    "; tools/setup --peers, then configure again)");
}
// NOLINTEND(misc-unused-parameters)

[[maybe_unused]] void no_client(const Job&) {
  give_up("built without this system's client library");
}

template <const char* const& package>
[[maybe_unused]] Kind missing_kind(const char* id, const char* name) {
  return {id, name, "", "", false, 0, start_missing<package>, no_client, no_client};
}

[[maybe_unused]] constexpr const char* kHiredis = "libhiredis-dev";
[[maybe_unused]] constexpr const char* kPq = "libpq-dev";
[[maybe_unused]] constexpr const char* kRabbit = "librabbitmq-dev";
[[maybe_unused]] constexpr const char* kNats = "libnats-dev";

std::vector<Kind> all_kinds() {
  std::vector<Kind> all;
  all.push_back(semper_kind());
#ifdef WITH_REDIS
  all.push_back(redis_kind());
#else
  all.push_back(missing_kind<kHiredis>("redis", "Redis"));
#endif
#ifdef WITH_POSTGRES
  all.push_back(postgres_kind());
#else
  all.push_back(missing_kind<kPq>("postgres", "PostgreSQL"));
#endif
#ifdef WITH_RABBITMQ
  all.push_back(rabbitmq_kind());
#else
  all.push_back(missing_kind<kRabbit>("rabbitmq", "RabbitMQ"));
#endif
#ifdef WITH_NATS
  all.push_back(nats_kind());
#else
  all.push_back(missing_kind<kNats>("nats", "NATS JetStream"));
#endif
  return all;
}

}  // namespace

const std::vector<Kind>& kinds() {
  static const std::vector<Kind> all = all_kinds();
  return all;
}

const Kind& kind_of(const std::string& id) {
  for (const auto& kind : kinds()) {
    if (kind.id == id) return kind;
  }
  give_up("no system " + id);
}

}  // namespace semper::bench::peers
