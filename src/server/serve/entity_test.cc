#include "server/serve/entity.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "semper/open_store.h"
#include "semper/server/behaviour.h"
#include "semper/server/internal/behaviour_of.h"
#include "semper/testing/simulated_run.h"

namespace semper::internal {
namespace {

using testing::simulated_run;
using testing::SimulatedClock;

struct Note {
  using State = std::string;
  struct Read {
    using Reply = std::string;
  };
  using Messages = semper::Messages<Read>;
  Result<State> init(const EntityId&) { return State(); }
  Reply<std::string> handle_call(const Read&, State& state, Context&) { return state; }
};

// A store whose snapshots refuse what they are told to, as one does that has become too old.
struct Refusals {
  bool version = false;
  std::size_t reads_before = ~std::size_t{0};  // reads that succeed, then all are refused
};

class RefusingSnapshot final : public Snapshot {
 public:
  RefusingSnapshot(std::unique_ptr<Snapshot> inner, Refusals& refusals)
      : inner_(std::move(inner)), refusals_(&refusals) {}
  Version version() const override { return inner_->version(); }
  Async<void> fix_version() override {
    if (refusals_->version) co_return fail(ErrorKind::timeout, "too old");
    co_return Status{};
  }
  Async<std::optional<Bytes>> get(BytesView key) override {
    SEMPER_CO_TRY_STATUS(count());
    co_return co_await inner_->get(key);
  }
  Async<RangePage> get_range(const PageRequest& request) override {
    SEMPER_CO_TRY_STATUS(count());
    co_return co_await inner_->get_range(request);
  }

 private:
  Status count() {
    if (refusals_->reads_before == 0) return fail(ErrorKind::timeout, "too old");
    if (refusals_->reads_before != ~std::size_t{0}) --refusals_->reads_before;
    return {};
  }
  std::unique_ptr<Snapshot> inner_;
  Refusals* refusals_;
};

class RefusingBackend final : public Backend {
 public:
  explicit RefusingBackend(std::shared_ptr<Backend> inner) : inner_(std::move(inner)) {}
  const Limits& limits() const override { return inner_->limits(); }
  BackendTraits traits() const override { return inner_->traits(); }
  std::string url() const override { return inner_->url(); }
  Async<std::unique_ptr<Snapshot>> snapshot() override {
    SEMPER_CO_TRY(auto made, co_await inner_->snapshot());
    co_return std::make_unique<RefusingSnapshot>(std::move(made), refusals);
  }
  Async<CommitReceipt> commit(CommitRequest request) override {
    return inner_->commit(std::move(request));
  }
  Async<std::unique_ptr<Watch>> watch(BytesView key, Snapshot& seen) override {
    return inner_->watch(key, seen);
  }
  Async<std::string> check() override { return inner_->check(); }
  std::vector<std::pair<std::string, std::int64_t>> statistics() const override { return {}; }
  Async<void> close() override { return inner_->close(); }

  Refusals refusals;

 private:
  std::shared_ptr<Backend> inner_;
};

// One entity as two hosts hold it.
struct TwoHosts {
  explicit TwoHosts(std::shared_ptr<RefusingBackend> on, Env env)
      : backend(std::move(on)), store(backend, env) {}

  // Appends on the first host, and commits.
  Async<void> append(std::string text) {
    Transaction transaction = store.begin();
    SEMPER_CO_TRY_STATUS(co_await first.load(transaction, behaviour, 1));
    SEMPER_CO_TRY(void* state, first.state(behaviour));
    first.touch();
    *static_cast<std::string*>(state) += text;
    SEMPER_CO_TRY_STATUS(first.save(transaction, behaviour));
    SEMPER_CO_TRY(const auto stamp, co_await transaction.commit());
    first.committed(stamp, false);
    co_return Status{};
  }
  // What the second host sees.
  Async<std::string> see() {
    Transaction transaction = store.begin();
    SEMPER_CO_TRY_STATUS(co_await second.load(transaction, behaviour, 1));
    SEMPER_CO_TRY(void* state, second.state(behaviour));
    co_return *static_cast<std::string*>(state);
  }

  Async<Bytes> chunk_row(std::uint32_t number) {
    Transaction transaction = store.begin();
    SEMPER_CO_TRY(const auto row, co_await transaction.get(target->keys.chunk(number)));
    co_return row.value_or(Bytes());
  }

  std::shared_ptr<RefusingBackend> backend;
  Store store;
  BehaviourOf<Note> behaviour{std::make_shared<Note>()};
  std::shared_ptr<const Target> target =
      std::make_shared<const Target>(Tenant(store), EntityId{"note", "one"});
  Entity first{target};
  Entity second{target};
};

Task<std::shared_ptr<RefusingBackend>> open_refusing(Env env) {
  register_builtin_backends();
  auto inner = co_await open_backend("memory:", env);
  co_return std::make_shared<RefusingBackend>(std::move(inner).value());
}

TEST(Entity, a_load_refused_after_the_header_was_read_leaves_no_older_state) {
  SimulatedClock clock;
  Env env;
  env.clock = &clock;
  simulated_run(clock, [&]() -> Task<void> {
    TwoHosts hosts(co_await open_refusing(env), env);
    EXPECT_TRUE(co_await hosts.append("a"));
    EXPECT_EQ(co_await hosts.see(), "a");
    EXPECT_TRUE(co_await hosts.append("b"));
    hosts.backend->refusals.version = true;
    EXPECT_FALSE(co_await hosts.see());
    hosts.backend->refusals.version = false;
    EXPECT_EQ(co_await hosts.see(), "ab");
  }());
}

TEST(Entity, a_load_refused_among_the_chunks_of_a_state_leaves_nothing_that_callbacks_did) {
  SimulatedClock clock;
  Env env;
  env.clock = &clock;
  simulated_run(clock, [&]() -> Task<void> {
    TwoHosts hosts(co_await open_refusing(env), env);
    const std::string large(3 * kChunkBytes, 'x');
    EXPECT_TRUE(co_await hosts.append(large));
    EXPECT_EQ(co_await hosts.see(), large);
    // A callback has run, and its transaction came to nothing.
    hosts.second.touch();
    *static_cast<std::string*>(hosts.second.state_unchecked()) += "of an attempt that failed";
    hosts.second.forget();
    hosts.backend->refusals.reads_before = 1;  // the header can be read
    EXPECT_FALSE(co_await hosts.see());
    hosts.backend->refusals.reads_before = ~std::size_t{0};
    EXPECT_EQ(co_await hosts.see(), large);
  }());
}

// As a damaged store, or another program's writing, leaves it.
TEST(Entity, a_state_with_a_missing_surplus_or_short_chunk_is_corrupt_and_says_which) {
  SimulatedClock clock;
  Env env;
  env.clock = &clock;
  simulated_run(clock, [&]() -> Task<void> {
    TwoHosts hosts(co_await open_refusing(env), env);
    const std::string large(3 * kChunkBytes, 'x');
    EXPECT_TRUE(co_await hosts.append(large));
    const auto write = [&](std::uint32_t number, std::optional<Bytes> chunk) -> Task<void> {
      Transaction transaction = hosts.store.begin();
      const Bytes key = hosts.target->keys.chunk(number);
      if (chunk) transaction.set(key, *chunk);
      if (!chunk) transaction.clear(key);
      EXPECT_TRUE(co_await transaction.commit());
    };
    const Bytes whole(kChunkBytes, 'x');
    const Bytes half(kChunkBytes / 2, 'x');
    struct Damage {
      std::uint32_t number;
      std::optional<Bytes> chunk;
    };
    const std::vector<Damage> damages = {
        {1, std::nullopt}, {3, std::nullopt}, {1, half}, {2, whole + whole}, {4, half}};
    for (const auto& damage : damages) {
      const auto row = co_await hosts.chunk_row(damage.number);
      const std::optional<Bytes> kept =
          row.value_or(Bytes()).empty() ? std::nullopt : std::optional<Bytes>(*row);
      co_await write(damage.number, damage.chunk);
      hosts.second.spoil();
      const auto seen = co_await hosts.see();
      EXPECT_EQ(seen.has_value(), kept == damage.chunk) << damage.number;
      if (!seen) {
        EXPECT_EQ(seen.error().kind(), ErrorKind::corrupt);
        EXPECT_THAT(seen.error().message(),
                    ::testing::HasSubstr("number " + std::to_string(damage.number)));
      }
      co_await write(damage.number, kept);
    }
    hosts.second.spoil();
    EXPECT_EQ(co_await hosts.see(), large);
  }());
}

}  // namespace
}  // namespace semper::internal
