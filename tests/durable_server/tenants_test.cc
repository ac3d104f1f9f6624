// Casts from a callback to entities of another part of the store, and to other stores.
#include <optional>

#include "behaviours.h"
#include "world.h"

namespace semper::testing {
namespace {

SERVER_SUITE_ON(Tenants, worlds_in(TimeKind::simulated));

// Sends on to a tenant that it was made with.
class Envoy {
 public:
  using State = std::int64_t;
  struct Forward {
    std::string to;
    std::int64_t by = 1;
    std::int64_t times = 1;
    using Reply = std::int64_t;
  };
  using Messages = semper::Messages<Forward>;

  explicit Envoy(Tenant to) : to_(std::move(to)) {}
  Result<State> init(const EntityId&) { return 0; }
  Reply<std::int64_t> handle_call(const Forward& m, State& s, Context& context) {
    const auto counter = ref<Counter>(to_, m.to);
    for (std::int64_t i = 0; i < m.times; ++i) context.cast(counter, Counter::Add{m.by});
    return ++s;
  }

 private:
  const Tenant to_;
};

Envoy::Forward forward(std::string to, std::int64_t by, std::int64_t times = 1) {
  return {std::move(to), by, times};
}

HostOptions options_on(Process& process) {
  HostOptions options = quick_options();
  options.executor = process.executor();
  return options;
}

Task<std::int64_t> value_of(World& world, Ref<Counter> counter) {
  co_await world.until_processed(counter.untyped());
  co_return must(co_await counter.call(Counter::Read{}));
}

SERVER_TEST(Tenants, a_cast_to_another_tenant_is_delivered_there_and_not_to_ones_own) {
  auto& process = *co_await world.process();
  const Tenant two(process.store(), Bytes("two/"));
  process.host().serve(std::make_shared<Envoy>(two));
  process.host().serve<Counter>();
  must(co_await process.run(process.host().start()));
  Host other(two, options_on(process));
  other.serve<Counter>();
  must(co_await process.run(other.start()));

  const auto message = forward("c", 7);
  const auto local = process.ref<Envoy>("local");
  must(co_await process.run(local.call(message)));
  must(co_await world.ref<Envoy>("queued").call(message));
  const Tenant two_from_here(world.store(), Bytes("two/"));
  EXPECT_EQ(co_await value_of(world, ref<Counter>(two_from_here, "c")), 14);
  EXPECT_EQ(co_await value_of(world, world.ref<Counter>("c")), 0);
  must(co_await process.run(other.stop()));
}

SERVER_TEST(Tenants, the_bound_of_a_queue_holds_for_casts_from_another_tenant) {
  auto& process = *co_await world.process();
  const Tenant two(process.store(), Bytes("two/"));
  process.host().serve(std::make_shared<Envoy>(two));
  must(co_await process.run(process.host().start()));
  const auto full = ref<Counter>(two, "full");
  // Its counter says that it is full: the default tenant's key with the other prefix.
  Bytes key = entity_key(full.entity(), 1);
  key.replace(0, Tenant::default_prefix().size(), two.prefix());
  Bytes pushed;
  append_little_endian_u64(pushed, kQueueMessagesMaximum + 1);
  co_await world.put(key, pushed);
  const auto message = forward("full", 1, kQueueCheckInterval);
  const auto error = must_fail(co_await process.run(process.ref<Envoy>("r").call(message)));
  EXPECT_EQ(error.kind(), ErrorKind::retry) << error.to_string();
}

SERVER_TEST(Tenants, a_cast_to_another_store_is_refused_and_changes_nothing) {
  World elsewhere(
      {"elsewhere",
       TimeKind::simulated,
       {},
       0,
       [](const std::string&, int number) { return "memory:elsewhere-" + std::to_string(number); }},
      "", "");
  const Store other = co_await elsewhere.open();
  auto& process = *co_await world.process();
  process.host().serve(std::make_shared<Envoy>(Tenant(other)));
  process.host().serve<Counter>();
  must(co_await process.run(process.host().start()));
  const auto message = forward("c", 7);
  const auto error = must_fail(co_await process.run(process.ref<Envoy>("r").call(message)));
  EXPECT_EQ(error.kind(), ErrorKind::invalid_argument) << error.to_string();
  EXPECT_NE(error.message().find("another store"), std::string::npos) << error.to_string();
  EXPECT_EQ(co_await value_of(world, world.ref<Counter>("c")), 0);
}

SERVER_TEST(Tenants, a_cast_to_a_tenant_that_could_not_be_opened_is_refused_with_its_error) {
  auto& process = *co_await world.process();
  const Result<Store> none = fail(ErrorKind::not_found, "no such store");
  process.host().serve(std::make_shared<Envoy>(Tenant(none)));
  process.host().serve<Counter>();
  must(co_await process.run(process.host().start()));
  const auto message = forward("c", 7);
  const auto error = must_fail(co_await process.run(process.ref<Envoy>("r").call(message)));
  EXPECT_EQ(error.kind(), ErrorKind::not_found) << error.to_string();
}

SERVER_TEST(Tenants, another_handle_of_the_same_store_is_the_same_store) {
  auto& process = *co_await world.process();
  process.host().serve(std::make_shared<Envoy>(Tenant(world.store())));
  process.host().serve<Counter>();
  must(co_await process.run(process.host().start()));
  const auto message = forward("c", 7);
  must(co_await process.run(process.ref<Envoy>("r").call(message)));
  EXPECT_EQ(co_await value_of(world, world.ref<Counter>("c")), 7);
}

}  // namespace
}  // namespace semper::testing
