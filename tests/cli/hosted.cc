#include "hosted.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <optional>

#include "durable_server/behaviours.h"
#include "semper/semper.h"

namespace semper::testing {
namespace {

// Under the names that people type.
struct NamedCounter : Counter {
  static constexpr std::string_view kName = "Counter";
};

class Keeper {
 public:
  static constexpr std::string_view kName = "Keeper";
  using State = std::int64_t;  // times it was held to the end
  struct Hold {
    using Reply = std::int64_t;
  };
  using Messages = semper::Messages<Hold>;

  explicit Keeper(std::shared_ptr<std::atomic<bool>> released) : released_(std::move(released)) {}

  Result<State> init(const EntityId&) { return 0; }
  Reply<std::int64_t> handle_call(const Hold&, State&, Context&) { return lock(); }
  Task<Reply<std::int64_t>> handle_locked(const Hold&, State& state, LockedContext& context) {
    while (!*released_) {
      static_cast<void>(co_await sleep_for(context.clock(), std::chrono::milliseconds(1)));
    }
    co_return ++state;
  }

 private:
  std::shared_ptr<std::atomic<bool>> released_;
};

struct Fragile {
  static constexpr std::string_view kName = "Fragile";
  using State = std::int64_t;
  struct Break {
    std::string how;
  };
  using Messages = semper::Messages<Break>;

  Result<State> init(const EntityId&) { return 0; }
  Outcome handle_cast(const Break& message, State&, Context&) {
    return fail(ErrorKind::invalid_argument, "it broke: " + message.how);
  }
};

template <class StateType>
struct ShapeOf {
  static constexpr std::string_view kName = "Shape";
  using State = StateType;
  struct Touch {
    using Reply = bool;
  };
  using Messages = semper::Messages<Touch>;

  Result<State> init(const EntityId&) { return State(); }
  Reply<bool> handle_call(const Touch&, State&, Context&) { return true; }
  void handle_cast(const Touch&, State& state, Context&) {
    if constexpr (std::is_same_v<State, std::string>) state = "written by the old program";
  }
};

}  // namespace

struct HostedStore::Impl {
  Scheduler scheduler;
  std::optional<Store> store;
  std::optional<Host> host;
  std::shared_ptr<std::atomic<bool>> released = std::make_shared<std::atomic<bool>>(false);
};

HostedStore::HostedStore(const std::string& url, Shapes shapes) : impl_(std::make_unique<Impl>()) {
  auto store = impl_->scheduler.block_on(open_store(url));
  if (!store) {
    ADD_FAILURE() << store.error().to_string();
    return;
  }
  impl_->store = std::move(*store);
  HostOptions options;
  options.name = "host of the test";
  options.message_attempts = 1;
  auto& host = impl_->host.emplace(*impl_->store, options);
  host.serve<NamedCounter>();
  host.serve(std::make_shared<Keeper>(impl_->released));
  host.serve<Fragile>();
  if (shapes == Shapes::old_ones) {
    host.serve<ShapeOf<std::string>>();
  } else {
    host.serve<ShapeOf<std::int64_t>>();
  }
  const auto started = impl_->scheduler.block_on(host.start());
  EXPECT_TRUE(started) << started.error().to_string();
}

HostedStore::~HostedStore() {
  release();
  if (impl_->host) {
    const auto stopped = impl_->scheduler.block_on(impl_->host->stop());
    EXPECT_TRUE(stopped) << stopped.error().to_string();
    impl_->host.reset();
  }
  if (!impl_->store) return;
  const Store store = *std::exchange(impl_->store, std::nullopt);
  const auto closed = impl_->scheduler.block_on(store.close());
  EXPECT_TRUE(closed) << closed.error().to_string();
}

void HostedStore::release() {
  *impl_->released = true;
}

}  // namespace semper::testing
