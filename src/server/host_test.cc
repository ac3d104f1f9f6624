#include "semper/server/host.h"

#include <gtest/gtest.h>

#include <stdexcept>

#include "backends/memory/memory.h"
#include "semper/testing/simulated_run.h"

namespace semper {
namespace {

struct Idle {
  using State = std::int64_t;
  struct Ping {};
  using Messages = semper::Messages<Ping>;
  Result<State> init(const EntityId&) { return 0; }
  void handle_cast(const Ping&, State&, Context&) {}
};

TEST(Host, refuses_to_serve_a_type_a_second_time_instead_of_half_of_it) {
  testing::SimulatedClock clock;
  Env env;
  env.clock = &clock;
  const auto url = *StoreUrl::parse("memory:");
  const Store store(*testing::simulated_run(clock, open_memory(url, env)), env);
  asio::io_context loop(1);
  HostOptions options;
  options.executor = loop.get_executor();
  Host host(store, options);
  host.serve<Idle>();
  EXPECT_THROW(host.serve<Idle>(), std::logic_error);
  Host other(store, options);
  other.serve<Idle>();
}

}  // namespace
}  // namespace semper
