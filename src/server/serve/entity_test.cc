#include "server/serve/entity.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "semper/base/codec.h"
#include "semper/env/random.h"
#include "semper/open_store.h"
#include "semper/server/behaviour.h"
#include "semper/server/internal/behaviour_of.h"
#include "semper/testing/seed.h"
#include "semper/testing/simulated_run.h"
#include "server/format/state_cut.h"

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

struct Directory {
  using State = std::map<std::string, std::string>;
  struct Read {
    using Reply = bool;
  };
  using Messages = semper::Messages<Read>;
  Result<State> init(const EntityId&) { return State(); }
  Reply<bool> handle_call(const Read&, State& state, Context&) { return state.empty(); }
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
template <class B>
struct TwoHostsOf {
  using State = typename B::State;
  using Change = std::function<void(State&)>;
  explicit TwoHostsOf(std::shared_ptr<RefusingBackend> on, Env env)
      : backend(std::move(on)), store(backend, env) {}

  // All but the commit.
  Async<void> prepare(Entity& entity, Transaction& transaction, const Change& change) {
    SEMPER_CO_TRY_STATUS(co_await entity.load(transaction, behaviour, 1));
    SEMPER_CO_TRY(void* state, entity.state(behaviour));
    entity.touch();
    change(*static_cast<State*>(state));
    SEMPER_CO_TRY_STATUS(entity.save(transaction, behaviour));
    co_return Status{};
  }
  Async<void> change(Entity& entity, const Change& change) {
    Transaction transaction = store.begin();
    SEMPER_CO_TRY_STATUS(co_await prepare(entity, transaction, change));
    SEMPER_CO_TRY(const auto stamp, co_await transaction.commit());
    entity.committed(stamp, false);
    co_return Status{};
  }
  // Appends on the first host, and commits.
  Async<void> append(std::string text) {
    const Change appends = [text](State& state) { state += text; };
    co_return co_await change(first, appends);
  }
  // What the second host sees.
  Async<State> see() { return see(second); }
  Async<State> see(Entity& entity) {
    Transaction transaction = store.begin();
    SEMPER_CO_TRY_STATUS(co_await entity.load(transaction, behaviour, 1));
    SEMPER_CO_TRY(void* state, entity.state(behaviour));
    co_return *static_cast<State*>(state);
  }

  Async<std::vector<KeyValue>> chunk_rows() {
    Transaction transaction = store.begin();
    SEMPER_CO_TRY(auto page, co_await transaction.get_range(target->keys.chunks()));
    EXPECT_FALSE(page.more);
    co_return std::move(page.rows);
  }
  Async<Bytes> header_row() {
    Transaction transaction = store.begin();
    SEMPER_CO_TRY(const auto row, co_await transaction.get(target->keys.header()));
    co_return row.value_or(Bytes());
  }
  Task<void> write(Bytes key, std::optional<Bytes> value) {
    Transaction transaction = store.begin();
    if (value) transaction.set(key, *value);
    if (!value) transaction.clear(key);
    EXPECT_TRUE(co_await transaction.commit());
  }

  std::shared_ptr<RefusingBackend> backend;
  Store store;
  BehaviourOf<B> behaviour{std::make_shared<B>()};
  std::shared_ptr<const Target> target =
      std::make_shared<const Target>(Tenant(store), EntityId{"note", "one"});
  Entity first{target};
  Entity second{target};
};
using TwoHosts = TwoHostsOf<Note>;
using TwoDirectories = TwoHostsOf<Directory>;

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
TEST(Entity, a_state_with_a_missing_surplus_or_short_chunk_is_corrupt) {
  SimulatedClock clock;
  Env env;
  env.clock = &clock;
  simulated_run(clock, [&]() -> Task<void> {
    TwoHosts hosts(co_await open_refusing(env), env);
    const std::string large(3 * kChunkBytes, 'x');
    EXPECT_TRUE(co_await hosts.append(large));
    const auto rows = co_await hosts.chunk_rows();
    EXPECT_EQ(rows.value().size(), 4u);
    const auto& keys = hosts.target->keys;
    const auto place = keys.place_of_chunk(rows->at(1).key).value();
    std::vector<std::pair<Bytes, std::optional<Bytes>>> damages;
    for (const auto& row : *rows) {
      damages.emplace_back(row.key, std::nullopt);
      damages.emplace_back(row.key, row.value.substr(1));
      damages.emplace_back(row.key, row.value + "x");
      damages.emplace_back(row.key, Bytes());
    }
    damages.emplace_back(keys.chunk(place + 1), Bytes(1, 'x'));
    damages.emplace_back(keys.chunk(1), Bytes(1, 'x'));
    damages.emplace_back(keys.chunk(kPlacesEnd - 1), Bytes(1, 'x'));
    damages.emplace_back(keys.chunk(place) + "x", Bytes(1, 'x'));
    for (const auto& [key, value] : damages) {
      std::optional<Bytes> before;
      for (const auto& row : *rows) {
        if (row.key == key) before = row.value;
      }
      co_await hosts.write(key, value);
      hosts.second.spoil();
      const auto seen = co_await hosts.see();
      EXPECT_FALSE(seen) << to_printable(key);
      if (!seen) {
        EXPECT_EQ(seen.error().kind(), ErrorKind::corrupt);
        EXPECT_THAT(seen.error().message(), ::testing::HasSubstr("is stored in 4 chunks"));
      }
      co_await hosts.write(key, before);
    }
    hosts.second.spoil();
    EXPECT_EQ(co_await hosts.see(), large);
  }());
}

std::size_t count_changes(const std::vector<KeyValue>& before, const std::vector<KeyValue>& after) {
  std::map<Bytes, Bytes> rows;
  for (const auto& row : before) rows[row.key] = row.value;
  std::size_t changes = 0;
  for (const auto& row : after) {
    const auto old = rows.find(row.key);
    changes += old == rows.end() || old->second != row.value ? 1 : 0;
    if (old != rows.end()) rows.erase(old);
  }
  return changes + rows.size();
}

TEST(Entity, a_change_of_one_entry_of_a_large_state_writes_its_chunk_alone) {
  SimulatedClock clock;
  Env env;
  env.clock = &clock;
  simulated_run(clock, [&]() -> Task<void> {
    TwoDirectories hosts(co_await open_refusing(env), env);
    const auto fill = [](Directory::State& state) {
      for (int i = 0; i < 2'000; ++i) state["key" + std::to_string(i)] = std::string(30, 'v');
    };
    EXPECT_TRUE(co_await hosts.change(hosts.first, fill));
    const auto before = co_await hosts.chunk_rows();
    EXPECT_GT(before.value().size(), 30u);
    // By a host that has read it, and so knows the places from the rows alone.
    const auto one = [](Directory::State& state) {
      state["key1234"] = "longer than it was before";
    };
    EXPECT_TRUE(co_await hosts.change(hosts.second, one));
    const auto changed = co_await hosts.chunk_rows();
    EXPECT_EQ(count_changes(*before, changed.value()), 1u);
    const auto another = [](Directory::State& state) { state["key0 and a half"] = "new"; };
    EXPECT_TRUE(co_await hosts.change(hosts.second, another));
    const auto grown = co_await hosts.chunk_rows();
    EXPECT_LE(count_changes(*changed, grown.value()), 3u) << "with the count of entries";
    const auto nothing = [](Directory::State&) {};
    EXPECT_TRUE(co_await hosts.change(hosts.first, nothing));
    EXPECT_EQ(count_changes(*grown, (co_await hosts.chunk_rows()).value()), 0u);
    const auto seen = co_await hosts.see(hosts.first);
    EXPECT_EQ(seen.value().size(), 2'001u);
    EXPECT_EQ(seen->at("key1234"), "longer than it was before");
    const auto few = [](Directory::State& state) { state = {{"one", "is left"}}; };
    EXPECT_TRUE(co_await hosts.change(hosts.first, few));
    EXPECT_EQ((co_await hosts.chunk_rows()).value().size(), 0u);
    EXPECT_EQ((co_await hosts.see()).value().size(), 1u);
  }());
}

// 0.1.0 cut a state every 16 KiB, and numbered the chunks.
TEST(Entity, chunks_of_an_older_program_are_read_and_cut_anew_by_the_next_change) {
  SimulatedClock clock;
  Env env;
  env.clock = &clock;
  simulated_run(clock, [&]() -> Task<void> {
    TwoHosts hosts(co_await open_refusing(env), env);
    const std::string large(2 * kChunkBytes, 'x');
    const Bytes encoded = encode(large);
    Header header;
    header.has_state = true;
    header.chunks = 3;
    {
      Transaction transaction = hosts.store.begin();
      const auto& keys = hosts.target->keys;
      transaction.set_versionstamped_value(keys.header(), header.encode(), 0);
      for (std::uint32_t i = 0; i < 3; ++i) {
        transaction.set(keys.chunk(i), BytesView(encoded).substr(i * kChunkBytes, kChunkBytes));
      }
      EXPECT_TRUE(co_await transaction.commit());
    }
    EXPECT_EQ(co_await hosts.see(), large);
    // What leaves the state alone leaves it readable to the older program.
    {
      Transaction transaction = hosts.store.begin();
      EXPECT_TRUE(co_await hosts.first.load(transaction, hosts.behaviour, 1));
      hosts.first.header().lock.emplace().nonce = 7;
      EXPECT_TRUE(hosts.first.save(transaction, hosts.behaviour));
      const auto stamp = co_await transaction.commit();
      hosts.first.committed(stamp.value(), false);
    }
    EXPECT_EQ((co_await hosts.header_row()).value().at(Versionstamp::size + 1), 1) << "its format";
    EXPECT_EQ((co_await hosts.chunk_rows()).value().size(), 3u);
    EXPECT_EQ(co_await hosts.see(), large);
    EXPECT_TRUE(co_await hosts.append("y"));
    EXPECT_EQ((co_await hosts.header_row()).value().at(Versionstamp::size + 1), 3) << "its format";
    const auto rows = co_await hosts.chunk_rows();
    EXPECT_GT(hosts.target->keys.place_of_chunk(rows.value().front().key).value(), 3u);
    EXPECT_EQ(co_await hosts.see(), large + "y");
    // A chunk of a number is missing there, too.
    header.chunks = 4;
    Bytes row = header.encode();
    co_await hosts.write(hosts.target->keys.header(), row);
    const auto damaged = co_await hosts.see();
    EXPECT_EQ(damaged.error().kind(), ErrorKind::corrupt);
  }());
}

TEST(Entity, a_large_state_is_what_was_committed_whatever_came_in_between) {
  SimulatedClock clock;
  Env env;
  env.clock = &clock;
  SeededRandom random(testing::test_seed());
  simulated_run(clock, [&]() -> Task<void> {
    TwoDirectories hosts(co_await open_refusing(env), env);
    Directory::State model;
    for (int step = 0; step < 300; ++step) {
      Entity& one = random.below(2) == 0 ? hosts.first : hosts.second;
      Entity& other = &one == &hosts.first ? hosts.second : hosts.first;
      Directory::State next = model;
      const auto way = random.below(12);
      for (auto i = way == 0 ? 400 : 1 + random.below(3); i > 0; --i) {
        const std::string key = "key" + std::to_string(random.below(500));
        if (random.below(4) == 0) {
          next.erase(key);
        } else {
          next[key] = std::string(random.below(90), 'v');
        }
      }
      if (way == 1) next.clear();
      next["step"] = std::to_string(step);
      const auto become = [&next](Directory::State& state) { state = next; };
      const auto lose = [](Directory::State& state) { state["never"] = "committed"; };
      switch (random.below(4)) {
        case 0: {  // a conflict
          Transaction transaction = hosts.store.begin();
          EXPECT_TRUE(co_await hosts.prepare(other, transaction, lose));
          EXPECT_TRUE(co_await hosts.change(one, become));
          EXPECT_FALSE(co_await transaction.commit());
          other.forget();
          break;
        }
        case 1: {  // a transaction that is given up
          Transaction transaction = hosts.store.begin();
          EXPECT_TRUE(co_await hosts.prepare(one, transaction, lose));
          one.forget();
          EXPECT_TRUE(co_await hosts.change(one, become));
          break;
        }
        case 2:
          one.spoil();
          EXPECT_TRUE(co_await hosts.change(one, become));
          break;
        default:
          EXPECT_TRUE(co_await hosts.change(one, become));
      }
      model = next;
      EXPECT_EQ(co_await hosts.see(one), model);
      EXPECT_EQ(co_await hosts.see(other), model);
      if (::testing::Test::HasFailure()) co_return;
    }
  }());
}

}  // namespace
}  // namespace semper::internal
