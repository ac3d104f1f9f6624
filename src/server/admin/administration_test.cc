// kill and reset against others who are always quicker.
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "semper/open_store.h"
#include "semper/server/host.h"
#include "semper/server/inspect.h"
#include "semper/server/ref.h"
#include "semper/testing/simulated_run.h"
#include "server/tally_test_support.h"

namespace semper {
namespace {

using testing::simulated_run;
using testing::SimulatedClock;
using testing::Tally;

// A store where somebody else is always quicker: before each commit that depends on what it read,
// `meanwhile` runs.
class OvertakenBackend final : public Backend {
 public:
  explicit OvertakenBackend(std::shared_ptr<Backend> inner) : inner_(std::move(inner)) {}
  const Limits& limits() const override { return inner_->limits(); }
  BackendTraits traits() const override { return inner_->traits(); }
  std::string url() const override { return inner_->url(); }
  Async<std::unique_ptr<Snapshot>> snapshot() override { return inner_->snapshot(); }
  Async<CommitReceipt> commit(CommitRequest request) override {
    if (!request.reads.empty()) co_await meanwhile();
    co_return co_await inner_->commit(std::move(request));
  }
  Async<std::unique_ptr<Watch>> watch(BytesView key, Snapshot& seen) override {
    return inner_->watch(key, seen);
  }
  Async<std::string> check() override { return inner_->check(); }
  std::vector<std::pair<std::string, std::int64_t>> statistics() const override { return {}; }
  Async<void> close() override { return inner_->close(); }

  std::function<Task<void>()> meanwhile;

 private:
  std::shared_ptr<Backend> inner_;
};

// Not in coroutines: g++ 12 destroys the members of aggregates there twice.
EntityId id_of_nobody_served() {
  return {"Unserved", "u"};
}
std::vector<RawMessage> one_message() {
  std::vector<RawMessage> messages;
  messages.push_back({"Add", encode(Tally::Add{1})});
  return messages;
}

// A process with a host, and an operator's who is always overtaken.
class Administration : public ::testing::Test {
 protected:
  void run(std::function<Task<void>()> body) {
    const auto whole = [&]() -> Task<void> {
      register_builtin_backends();
      auto inner = co_await open_backend("memory:", env());
      inner_ = std::move(inner).value();
      store_ = std::make_unique<Store>(inner_, env());
      HostOptions options;
      options.executor = co_await asio::this_coro::executor;
      host_ = std::make_unique<Host>(*store_, options);
      host_->serve<Tally>();
      EXPECT_TRUE(co_await host_->start());
      co_await body();
      EXPECT_TRUE(co_await host_->stop());
    };
    simulated_run(clock_, whole());
  }

  Env env() {
    Env made;
    made.clock = &clock_;
    return made;
  }
  Ref<Tally> local() { return ref<Tally>(*store_, "t"); }
  // The operator's, with the host's process calling the entity before each of its commits.
  Ref<Tally> overtaken() {
    auto backend = std::make_shared<OvertakenBackend>(inner_);
    backend->meanwhile = [this]() -> Task<void> {
      ++overtakings_;
      static_cast<void>(co_await local().call(Tally::Add{1}));
    };
    return ref<Tally>(Store(backend, env()), "t");
  }

  SimulatedClock clock_;
  std::shared_ptr<Backend> inner_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<Host> host_;
  int overtakings_ = 0;
};

TEST_F(Administration, reset_gets_through_where_a_consumer_commits_before_each_attempt) {
  run([this]() -> Task<void> {
    auto called = co_await local().call(Tally::Add{100});
    EXPECT_TRUE(called);
    const Status reset = co_await overtaken().reset();
    EXPECT_TRUE(reset) << reset.error().to_string();
    EXPECT_GT(overtakings_, 0);
    const EntityId id{std::string(type_name<Tally>()), "t"};
    auto view = co_await inspect(*store_, id);
    EXPECT_TRUE(view && !view->state) << "no message has come since";
    auto read = co_await local().call(Tally::Read{});
    EXPECT_TRUE(read);
    EXPECT_EQ(read.value_or(-1), 0) << "also where nothing is written";
    called = co_await local().call(Tally::Add{1});
    EXPECT_EQ(called.value_or(-1), 1);
  });
}

TEST_F(Administration, kill_gets_through_where_a_consumer_commits_before_each_attempt) {
  run([this]() -> Task<void> {
    auto called = co_await local().call(Tally::Add{100});
    EXPECT_TRUE(called);
    const Status killed = co_await overtaken().kill();
    EXPECT_TRUE(killed) << killed.error().to_string();
    called = co_await local().call(Tally::Add{1});
    EXPECT_LT(called.value_or(100), 100);
  });
}

TEST_F(Administration, kill_gets_through_where_a_publisher_sends_before_each_attempt) {
  run([this]() -> Task<void> {
    Store elsewhere(inner_, env());
    auto quiet = RawRef(elsewhere, id_of_nobody_served());
    auto backend = std::make_shared<OvertakenBackend>(inner_);
    backend->meanwhile = [this, quiet]() -> Task<void> {
      ++overtakings_;
      EXPECT_TRUE(co_await quiet.cast(one_message()));
    };
    for (int i = 0; i < 10; ++i) EXPECT_TRUE(co_await quiet.cast(one_message()));
    const Store slow(backend, env());
    const Status killed = co_await RawRef(slow, id_of_nobody_served()).kill();
    EXPECT_TRUE(killed) << killed.error().to_string();
    const auto waiting = co_await quiet.queue_length();
    EXPECT_TRUE(waiting);
    EXPECT_LE(waiting.value_or(99), static_cast<std::uint64_t>(overtakings_));
    EXPECT_LT(overtakings_, 10) << "conflicts";
    const auto queue = co_await peek_queue(elsewhere, id_of_nobody_served());
    EXPECT_EQ(queue.value().size(), waiting.value_or(99));
  });
}

}  // namespace
}  // namespace semper
