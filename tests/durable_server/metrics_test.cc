// What a host counts into a registry, by type.
#include "semper/base/metrics.h"

#include <gmock/gmock.h>

#include "behaviours.h"
#include "world.h"

namespace semper::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

SERVER_SUITE(HostMetrics);

SERVER_TEST(HostMetrics, show_what_each_type_did_in_this_process) {
  metrics::Registry registry;
  {
    auto options = quick_options();
    options.metrics = &registry;
    auto& server = *co_await world.serve<Counter>(std::make_shared<Counter>(), options);
    auto queued = world.ref<Counter>("queued");
    for (int i = 0; i < 3; ++i) must(co_await queued.cast(Counter::Add{1}));
    co_await world.until_processed(queued.untyped());
    must(co_await server.ref<Counter>("inline").call(Counter::Add{1}));
    const std::string of = "{type=\"" + queued.entity().type + "\"} ";
    const std::string four = "semper_server_messages_total" + of + "4\n";
    co_await world.eventually(
        [&] { return registry.to_prometheus().find(four) != std::string::npos; });
    const std::string page = registry.to_prometheus();
    EXPECT_THAT(page, HasSubstr("semper_server_failures_total" + of + "0\n"));
    EXPECT_THAT(page, HasSubstr("semper_server_callback_seconds_count"));
    EXPECT_THAT(page, Not(HasSubstr("semper_server_queue_messages_count" + of + "0\n")));
    EXPECT_EQ(server.host().statistics().messages, 4u);
    must(co_await server.run(server.host().stop()));
  }
  // A series goes on over the hosts of a process.
  auto options = quick_options();
  options.metrics = &registry;
  auto& second = *co_await world.serve<Counter>(std::make_shared<Counter>(), options);
  must(co_await second.ref<Counter>("inline").call(Counter::Add{1}));
  EXPECT_THAT(registry.to_prometheus(), HasSubstr("} 5\n"));
  EXPECT_EQ(second.host().statistics().messages, 1u);
  must(co_await second.run(second.host().stop()));
}

}  // namespace
}  // namespace semper::testing
