#include "semper/server/host.h"

#include <gtest/gtest.h>

#include <functional>
#include <optional>
#include <stdexcept>
#include <string>

#include "backends/memory/memory.h"
#include "semper/env/scheduler.h"
#include "semper/open_store.h"
#include "semper/server/ref.h"
#include "semper/testing/simulated_run.h"
#include "server/serve/served_type.h"

namespace semper {
namespace {

struct Idle {
  using State = std::int64_t;
  struct Ping {};
  using Messages = semper::Messages<Ping>;
  Result<State> init(const EntityId&) { return 0; }
  void handle_cast(const Ping&, State&, Context&) {}
};

namespace one {
struct Go {};
struct Cart {
  static constexpr std::string_view kName = "Cart";
  using State = std::int64_t;
  using Messages = semper::Messages<Go>;
  Result<State> init(const EntityId&) { return 0; }
  void handle_cast(const Go&, State&, Context&) {}
};
}  // namespace one
namespace two {
struct Go {};
struct Cart : one::Cart {};
}  // namespace two

struct Nameless : Idle {
  static constexpr std::string_view kName = "a/b";
};

// As a tool would make one, without the compiler's eye on it.
class Twins final : public internal::Behaviour {
 public:
  std::string type() const override { return "Twins"; }
  std::vector<MessageInfo> messages() const override {
    std::vector<MessageInfo> infos(2);
    for (auto& info : infos) info.name = "Add";
    return infos;
  }
  Result<std::shared_ptr<void>> init(const EntityId&) override { return nullptr; }
  Result<std::shared_ptr<void>> decode_state(BytesView) const override { return nullptr; }
  Status encode_state(const void*, Bytes&) const override { return {}; }
  std::uint32_t state_version() const override { return 1; }
  Result<std::shared_ptr<void>> upgrade_state(const EntityId&, std::uint32_t, BytesView) override {
    return nullptr;
  }
  bool takes(std::string_view, Event) const override { return true; }
  bool takes_locked(std::string_view) const override { return true; }
  Result<internal::Handled> handle(std::string_view, BytesView, void*, Context&) override {
    return internal::Handled();
  }
  Async<internal::Handled> handle_locked(std::string_view, BytesView, void*,
                                         LockedContext&) override {
    co_return internal::Handled();
  }
  void terminate(const void*, const std::string&) override {}
};

class HostNames : public ::testing::Test {
 protected:
  HostNames() {
    Env env;
    env.clock = &clock_;
    const auto url = *StoreUrl::parse("memory:");
    store.emplace(*testing::simulated_run(clock_, open_memory(url, env)), env);
    options.executor = loop_.get_executor();
  }

  testing::SimulatedClock clock_;
  asio::io_context loop_{1};
  HostOptions options;
  std::optional<Store> store;
};

std::string refusal(const std::function<void()>& serve) {
  try {
    serve();
  } catch (const std::logic_error& error) {
    return error.what();
  }
  return "";
}

TEST_F(HostNames, serving_a_type_twice_in_one_host_is_refused) {
  Host host(*store, options);
  host.serve<Idle>();
  EXPECT_THROW(host.serve<Idle>(), std::logic_error);
  Host other(*store, options);
  other.serve<Idle>();
}

TEST_F(HostNames, two_behaviours_of_one_name_are_refused_in_one_host_and_in_two) {
  Host host(*store, options);
  host.serve<one::Cart>();
  EXPECT_NE(refusal([&] { host.serve<two::Cart>(); }).find("kName"), std::string::npos);
  {
    Host other(*store, options);
    EXPECT_NE(refusal([&] { other.serve<two::Cart>(); }).find("the name Cart"), std::string::npos);
    other.serve<Idle>();
  }
  // In another part of the store it is another type.
  Host elsewhere(Tenant(*store, "elsewhere/"), options);
  elsewhere.serve<two::Cart>();
}

TEST_F(HostNames, a_name_is_free_again_when_its_host_has_gone) {
  { Host(*store, options).serve<one::Cart>(); }
  Host host(*store, options);
  host.serve<two::Cart>();
}

struct Suicidal {
  using State = std::int64_t;
  struct End {};
  using Messages = semper::Messages<End>;
  Result<State> init(const EntityId&) { return 0; }
  void handle_cast(const End&, State&, Context&) { host->reset(); }
  std::unique_ptr<Host>* host = nullptr;
};

TEST(HostDeathTest, a_host_that_is_destroyed_on_a_thread_of_its_own_ends_the_program_in_words) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto destroy = [] {
    register_builtin_backends();
    Scheduler scheduler;
    Store store(*scheduler.block_on(open_backend("memory:", Env())), Env());
    std::unique_ptr<Host> host = std::make_unique<Host>(store);
    auto behaviour = std::make_shared<Suicidal>();
    behaviour->host = &host;
    // It consumes nothing here, so that the callback comes through the queue, on the host's thread.
    static_cast<void>(scheduler.block_on(ref<Suicidal>(store, "1").cast<Suicidal::End>()));
    host->serve(behaviour);
    static_cast<void>(scheduler.block_on(host->start()));
    static_cast<void>(scheduler.block_on(host->join()));
  };
  EXPECT_DEATH(destroy(), "a host is not destroyed on one of its own threads");
}

TEST_F(HostNames, two_messages_of_one_name_are_refused) {
  using One = std::type_identity<std::tuple<one::Go, Idle::Ping>>;
  using Both = std::type_identity<std::tuple<one::Go, Idle::Ping, two::Go>>;
  static_assert(internal::have_names_of_their_own(One()));
  static_assert(!internal::have_names_of_their_own(Both()));
  EXPECT_NE(refusal([] { internal::check_names(Twins()); }).find("two messages of the name Add"),
            std::string::npos);
}

TEST_F(HostNames, a_name_that_no_entity_can_have_is_refused) {
  Host host(*store, options);
  EXPECT_NE(refusal([&] { host.serve<Nameless>(); }).find("a/b"), std::string::npos);
}

TEST_F(HostNames, bounds_that_let_nothing_through_are_refused) {
  HostOptions nothing = options;
  nothing.batch_messages = 0;
  EXPECT_NE(refusal([&] { const Host host(*store, nothing); }).find("batch_messages is 0"),
            std::string::npos);
  nothing = options;
  nothing.active_entities = 0;
  EXPECT_NE(refusal([&] { const Host host(*store, nothing); }).find("active_entities is 0"),
            std::string::npos);
}

}  // namespace
}  // namespace semper
