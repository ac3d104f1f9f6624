// Limits of a type and of its keys at once: neither is ever exceeded, keys share what is the type's
// by their weights, and what is over a limit is refused where the type says so.
#include <gmock/gmock.h>

#include <algorithm>
#include <atomic>
#include <limits>
#include <map>
#include <mutex>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "behaviours.h"
#include "limits.h"
#include "semper/server/dead_letters.h"
#include "semper/server/list_timers.h"
#include "semper/store/tuple_stream.h"
#include "world.h"

namespace semper::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

SERVER_SUITE_ON(SharedLimits, worlds_in(TimeKind::simulated));

// What callbacks have seen, of all hosts. The last run of a message counts: those before it were
// undone.
struct Account {
  explicit Account(Clock& of) : clock(of) {}

  void ran(const std::string& id, std::int64_t number) {
    std::lock_guard lock(mutex);
    runs[{id, number}] = clock.now();
  }
  std::size_t count(const std::string& key) const {
    return static_cast<std::size_t>(std::count_if(runs.begin(), runs.end(), [&](const auto& run) {
      return limit_key_in(run.first.first) == key;
    }));
  }
  // Messages of the key (empty: of all) within any time, over what the rate allows in that time.
  double over(const std::string& key, const RateLimit& rate) const {
    std::vector<MonotonicTime> times;
    for (const auto& [message, when] : runs) {
      if (key.empty() || limit_key_in(message.first) == key) times.push_back(when);
    }
    return excess_over(rate, std::move(times));
  }
  void begins(const std::string& id) {
    std::lock_guard lock(mutex);
    running.insert(id);
    most_of_type = std::max(most_of_type, running.size());
    std::map<std::string, std::size_t> by_key;
    for (const auto& one : running) ++by_key[limit_key_in(one)];
    for (const auto& [key, number] : by_key) most_of_key = std::max(most_of_key, number);
  }
  void ends(const std::string& id) {
    std::lock_guard lock(mutex);
    running.erase(id);
  }

  Clock& clock;
  std::mutex mutex;
  std::map<std::pair<std::string, std::int64_t>, MonotonicTime> runs;
  std::set<std::string> running;
  std::atomic<int> asked{0};  // for the lock
  std::vector<std::string> told;
  std::size_t most_of_type = 0;
  std::size_t most_of_key = 0;
};

struct Post {
  static constexpr std::string_view kName = "Post";
  static constexpr RateLimit kRateLimit{.messages = 10, .per = 1s, .burst = 5};
  static constexpr RateLimit kTypeRateLimit{.messages = 20, .per = 1s, .burst = 10};
  static std::string limit_key(const EntityId& id) { return limit_key_in(id.id); }
  using State = std::int64_t;
  struct Send {
    std::int64_t number = 0;
    using Reply = std::int64_t;
  };
  struct Fall {};
  using Messages = semper::Messages<Send, Fall>;

  explicit Post(std::shared_ptr<Account> by) : account(std::move(by)) {}
  Result<State> init(const EntityId&) { return 0; }
  Reply<std::int64_t> handle_call(const Send& m, State& s, Context& context) {
    account->ran(context.id().id, m.number);
    return ++s;
  }
  void handle_cast(const Send& m, State& s, Context& context) {
    account->ran(context.id().id, m.number);
    ++s;
  }
  void handle_cast(const Fall&, State&, Context&) { throw std::runtime_error("fell"); }

  std::shared_ptr<Account> account;
};

// Without limits of the keys, which have weights.
struct Press {
  static constexpr std::string_view kName = "Press";
  static constexpr RateLimit kTypeRateLimit{.messages = 20, .per = 1s, .burst = 1};
  static std::string limit_key(const EntityId& id) { return limit_key_in(id.id); }
  static int limit_weight(std::string_view key) { return key == "heavy" ? 3 : 1; }
  using State = std::int64_t;
  struct Print {
    std::int64_t number = 0;
  };
  using Messages = semper::Messages<Print>;

  explicit Press(std::shared_ptr<Account> by) : account(std::move(by)) {}
  Result<State> init(const EntityId&) { return 0; }
  void handle_cast(const Print& m, State& s, Context& context) {
    account->ran(context.id().id, m.number);
    ++s;
  }

  std::shared_ptr<Account> account;
};

// At most so many under the lock at a time.
struct Dock {
  static constexpr std::string_view kName = "Dock";
  static constexpr int kConcurrencyLimit = 2;
  static constexpr int kTypeConcurrencyLimit = 3;
  static std::string limit_key(const EntityId& id) { return limit_key_in(id.id); }
  using State = std::int64_t;
  struct Load {
    std::int64_t ms = 300;
    using Reply = std::int64_t;
  };
  using Messages = semper::Messages<Load>;

  explicit Dock(std::shared_ptr<Account> by) : account(std::move(by)) {}
  Result<State> init(const EntityId&) { return 0; }
  Outcome handle_cast(const Load&, State&, Context&) {
    constexpr int kMost = 5'000;  // of one that asks all the time, in no time
    if (++account->asked > kMost) return {};
    return lock();
  }
  Reply<std::int64_t> handle_call(const Load&, State&, Context&) { return lock(); }
  Task<Reply<std::int64_t>> handle_locked(const Load& m, State& s, LockedContext& context) {
    account->begins(context.id().id);
    const auto until = std::chrono::milliseconds(m.ms);
    static_cast<void>(co_await sleep_for(context.clock(), until));
    if (!context.lost().stop_requested()) account->ends(context.id().id);
    co_return ++s;
  }

  std::shared_ptr<Account> account;
};

// What is over their limits does not wait.
struct Strict : Post {
  using Post::Post;
  static constexpr std::string_view kName = "Strict";
  static constexpr RateLimit kRateLimit{.messages = 1, .per = 1s, .burst = 3};
  static constexpr RateLimit kTypeRateLimit{.messages = 100, .per = 1s, .burst = 100};
  static constexpr OverLimit kOverLimit = OverLimit::refuse;
};
struct StrictDock : Dock {
  using Dock::Dock;
  static constexpr std::string_view kName = "StrictDock";
  static constexpr int kConcurrencyLimit = 1;
  static constexpr OverLimit kOverLimit = OverLimit::refuse;
};

struct Hourly : Post {
  using Post::Post;
  static constexpr std::string_view kName = "Hourly";
  static constexpr RateLimit kRateLimit{.messages = 1, .per = 1h, .burst = 1};
};

Task<void> let_pass(World& world, Duration span) {
  must(co_await sleep_for(world.clock(), span));
}

template <class B, class M>
Task<void> send_all(World& world, std::string id, std::int64_t count) {
  for (std::int64_t i = 1; i <= count; ++i) {
    const M message{i};
    must(co_await world.ref<B>(id).cast(message));
  }
}

SERVER_TEST(SharedLimits, a_type_and_its_keys_keep_to_both_rates_whoever_is_killed) {
  const auto account = std::make_shared<Account>(world.clock());
  auto& first = *co_await world.serve(std::make_shared<Post>(account));
  co_await world.serve(std::make_shared<Post>(account));
  const MonotonicTime began = world.clock().now();
  constexpr int kKeys = 6;
  for (int key = 0; key < kKeys; ++key) {
    for (const char* id : {"/1", "/2"}) {
      co_await send_all<Post, Post::Send>(world, std::to_string(key) + id, 15);
    }
  }
  co_await let_pass(world, 2s);
  first.kill();
  for (int key = 0; key < kKeys; ++key) {
    for (const char* id : {"/1", "/2"}) {
      co_await world.until_processed(world.ref<Post>(std::to_string(key) + id).untyped());
    }
  }
  const auto took = world.clock().now() - began;
  EXPECT_LE(account->over("", Post::kTypeRateLimit), 0);
  for (int key = 0; key < kKeys; ++key) {
    EXPECT_LE(account->over(std::to_string(key), Post::kRateLimit), 0) << key;
  }
  EXPECT_GE(took, 7s);
  if (world.is_steady()) {
    EXPECT_LE(took, 16s) << "most of what is allowed";
  }
  co_await world.until_clean();
}

SERVER_TEST(SharedLimits, one_key_alone_keeps_to_its_own) {
  const auto account = std::make_shared<Account>(world.clock());
  co_await world.serve(std::make_shared<Post>(account));
  const MonotonicTime began = world.clock().now();
  co_await send_all<Post, Post::Send>(world, "a/1", 40);
  co_await world.until_processed(world.ref<Post>("a/1").untyped());
  EXPECT_LE(account->over("a", Post::kRateLimit), 0);
  const auto took = world.clock().now() - began;
  EXPECT_GE(took, 2500ms);
  if (world.is_steady()) {
    EXPECT_LE(took, 6s);
  }
}

SERVER_TEST(SharedLimits, keys_share_what_is_the_types_by_their_weights) {
  const auto account = std::make_shared<Account>(world.clock());
  co_await world.serve(std::make_shared<Press>(account));
  // However much there is of one of them, and however many entities it has.
  co_await send_all<Press, Press::Print>(world, "light/1", 300);
  for (const char* id : {"heavy/1", "heavy/2", "heavy/3"}) {
    co_await send_all<Press, Press::Print>(world, id, 100);
  }
  co_await send_all<Press, Press::Print>(world, "other/1", 100);
  const std::size_t heavy_before = account->count("heavy");
  const std::size_t light_before = account->count("light");
  co_await let_pass(world, 10s);
  const auto heavy = static_cast<double>(account->count("heavy") - heavy_before);
  const auto light = static_cast<double>(account->count("light") - light_before);
  EXPECT_LE(account->over("", Press::kTypeRateLimit), 0);
  if (world.is_steady()) {
    EXPECT_GE(heavy + light, 100);
    EXPECT_GE(heavy / light, 2.2);
    EXPECT_LE(heavy / light, 4.0);
  }
  // Who comes later is not behind all that waits.
  const MonotonicTime began = world.clock().now();
  co_await send_all<Press, Press::Print>(world, "late/1", 1);
  co_await world.until_processed(world.ref<Press>("late/1").untyped());
  if (world.is_steady()) {
    EXPECT_LE(world.clock().now() - began, 1s);
  }
}

SERVER_TEST(SharedLimits, so_many_of_the_type_and_of_a_key_run_under_their_locks_at_a_time) {
  const auto account = std::make_shared<Account>(world.clock());
  HostOptions many = quick_options();
  many.locked_threads = 8;
  co_await world.serve(std::make_shared<Dock>(account), many);
  co_await world.serve(std::make_shared<Dock>(account), many);
  std::vector<std::string> ids;
  for (const char* key : {"a/", "b/", "c/"}) {
    for (int i = 0; i < 4; ++i) ids.push_back(key + std::to_string(i));
  }
  const MonotonicTime began = world.clock().now();
  const Dock::Load load{300};
  for (const auto& id : ids) must(co_await world.ref<Dock>(id).cast(load));
  for (const auto& id : ids) co_await world.until_processed(world.ref<Dock>(id).untyped());
  EXPECT_LE(account->most_of_key, 2u);
  EXPECT_LE(account->most_of_type, 3u);
  if (world.is_steady()) {
    EXPECT_EQ(account->most_of_type, 3u);
    EXPECT_LE(world.clock().now() - began, 6s);
  }
  co_await world.until_clean();
}

SERVER_TEST(SharedLimits, what_is_over_a_rate_is_refused_and_the_sender_told) {
  const auto account = std::make_shared<Account>(world.clock());
  auto& server = *co_await world.serve(std::make_shared<Strict>(account));
  const CallOptions patient{world.patience()};
  const auto strict = world.ref<Strict>("a/1");
  int done = 0;
  std::optional<Error> refused;
  for (std::int64_t i = 1; i <= 8 && !refused; ++i) {
    const Post::Send message{i};
    const auto answer = co_await strict.call(message, patient);
    if (answer) ++done;
    if (!answer) refused = answer.error();
  }
  EXPECT_GE(done, 3);
  EXPECT_TRUE(refused.has_value());
  if (refused) {
    EXPECT_EQ(refused->kind(), ErrorKind::retry) << refused->to_string();
    EXPECT_THAT(refused->to_string(), HasSubstr("limit key \"a\": 1 messages in 1 s (kRateLimit)"));
  }
  // Another key's is its own, and time brings more.
  const Post::Send message{9};
  EXPECT_TRUE(co_await world.ref<Strict>("b/1").call(message, patient));
  co_await let_pass(world, 3s);
  EXPECT_TRUE(co_await strict.call(message, patient));
  // A cast, whose sender is gone, is set aside. None of this is a run.
  const std::size_t runs = account->runs.size();
  Batch<Strict> batch;
  for (std::int64_t i = 11; i <= 30; ++i) batch.add(Post::Send{i});
  must(co_await strict.cast(std::move(batch)));
  co_await world.until_processed(strict.untyped());
  const auto letters = co_await world.letters_of(strict.entity());
  EXPECT_GE(letters.size(), 12u);
  if (world.is_steady()) {
    EXPECT_EQ(runs + 20, account->runs.size() + letters.size());
  }
  if (!letters.empty()) {
    EXPECT_THAT(letters.front().reason, HasSubstr("kRateLimit"));
  }
  EXPECT_EQ(server.host().statistics().failures, 0u);
  co_await world.until_clean();
}

SERVER_TEST(SharedLimits, a_message_that_has_begun_is_retried_and_not_refused) {
  const auto account = std::make_shared<Account>(world.clock());
  auto& server = *co_await world.serve(std::make_shared<Strict>(account));
  const auto strict = world.ref<Strict>("a/1");
  const Post::Send message{1};
  must(co_await strict.cast(message));
  must(co_await strict.cast(message));
  must(co_await strict.cast(Post::Fall{}));
  co_await world.until_processed(strict.untyped());
  const auto letters = co_await world.letters_of(strict.entity());
  EXPECT_THAT(letters, SizeIs(1));
  if (!world.is_steady() || letters.empty()) co_return;
  EXPECT_THAT(letters.front().reason, HasSubstr("fell"));
  EXPECT_EQ(server.host().statistics().failures, 3u);
}

SERVER_TEST(SharedLimits, who_finds_no_place_is_refused) {
  const auto account = std::make_shared<Account>(world.clock());
  HostOptions many = quick_options();
  many.locked_threads = 8;
  co_await world.serve(std::make_shared<StrictDock>(account), many);
  const Dock::Load slow{5'000};
  must(co_await world.ref<StrictDock>("a/1").cast(slow));
  co_await world.eventually([&] { return account->most_of_type == 1; });
  const CallOptions patient{world.patience()};
  const Dock::Load quick{10};
  const auto refused = co_await world.ref<StrictDock>("a/2").call(quick, patient);
  EXPECT_FALSE(refused);
  if (!refused) {
    EXPECT_EQ(refused.error().kind(), ErrorKind::retry);
    EXPECT_THAT(refused.error().to_string(), HasSubstr("1 at a time (kConcurrencyLimit)"));
  }
  EXPECT_TRUE(co_await world.ref<StrictDock>("b/1").call(quick, patient));
  co_await world.until_processed(world.ref<StrictDock>("a/1").untyped());
  EXPECT_TRUE(co_await world.ref<StrictDock>("a/2").call(quick, patient));
  const EntityId second{"StrictDock", "a/2"};
  EXPECT_THAT(co_await world.letters_of(second), IsEmpty());
  co_await world.until_clean();
}

SERVER_TEST(SharedLimits, what_waits_for_long_is_still_known_to_be_the_oldest) {
  const auto account = std::make_shared<Account>(world.clock());
  auto& server = *co_await world.serve(std::make_shared<Hourly>(account));
  co_await send_all<Hourly, Post::Send>(world, "a/1", 2);
  co_await let_pass(world, 200s);
  EXPECT_EQ(account->runs.size(), 1u);
  EXPECT_GE(server.host().statistics().oldest_message, 150s);
  must(co_await world.ref<Hourly>("a/1").kill());
  co_await let_pass(world, 110s);
  EXPECT_EQ(server.host().statistics().oldest_message, 0s);
}

// What became of places whose host died, and of those that a program without the type's limit took.
struct OldDock : Dock {
  using Dock::Dock;
  static constexpr std::string_view kName = "Dock";
  static constexpr int kConcurrencyLimit = 2;
  static constexpr int kTypeConcurrencyLimit = 1'000;  // as none
};

SERVER_TEST(SharedLimits, places_of_a_killed_host_are_neither_lost_nor_given_twice) {
  const auto account = std::make_shared<Account>(world.clock());
  HostOptions many = quick_options();
  many.locked_threads = 8;
  auto& first = *co_await world.serve(std::make_shared<Dock>(account), many);
  const Dock::Load slow{1'000'000};
  for (const char* id : {"a/1", "a/2", "b/1"}) must(co_await world.ref<Dock>(id).cast(slow));
  co_await world.eventually([&] { return account->most_of_type == 3; });
  first.kill();
  account->running.clear();
  // They are run again from their beginning, by whoever takes them over.
  co_await world.serve(std::make_shared<Dock>(account), many);
  const Dock::Load load{100};
  for (int i = 0; i < 6; ++i) {
    must(co_await world.ref<Dock>("c/" + std::to_string(i)).cast(load));
  }
  co_await let_pass(world, 60s);
  // The three go on, and all others wait.
  EXPECT_EQ(account->running.size(), 3u);
  EXPECT_EQ(account->most_of_type, 3u);
  must(co_await world.ref<Dock>("a/1").kill());
  for (int i = 0; i < 6; ++i) {
    co_await world.until_processed(world.ref<Dock>("c/" + std::to_string(i)).untyped());
  }
  must(co_await world.ref<Dock>("a/2").kill());
  must(co_await world.ref<Dock>("b/1").kill());
}

SERVER_TEST(SharedLimits, places_that_a_program_without_the_types_limit_took_are_waited_for) {
  const auto account = std::make_shared<Account>(world.clock());
  HostOptions many = quick_options();
  many.locked_threads = 8;
  auto& old = *co_await world.serve(std::make_shared<OldDock>(account), many);
  const Dock::Load slow{20'000};
  for (const char* id : {"a/1", "a/2"}) must(co_await world.ref<Dock>(id).cast(slow));
  co_await world.eventually([&] { return account->most_of_type == 2; });
  // It knew no places of the type.
  Bytes places = limit_tuple();
  TupleWriter(places).add_text("Dock").add(-1).add(1);
  EXPECT_THAT(co_await world.rows({places, places + '\xff'}), SizeIs(2));
  must(co_await world.store().transact([&](Transaction& transaction) -> Async<void> {
    transaction.clear_range({places, places + '\xff'});
    co_return Status{};
  }));
  co_await world.serve(std::make_shared<Dock>(account), many);
  old.freeze();
  const Dock::Load load{10};
  must(co_await world.ref<Dock>("a/3").cast(load));
  must(co_await world.ref<Dock>("b/1").cast(load));
  co_await world.until_processed(world.ref<Dock>("b/1").untyped());
  const int before = account->asked;
  co_await let_pass(world, 3s);
  EXPECT_LE(account->asked - before, 20) << "it does not ask all the time";
  EXPECT_EQ(account->running.count("a/3"), 0u);
  old.thaw();
  co_await world.until_processed(world.ref<Dock>("a/3").untyped());
  EXPECT_LE(account->most_of_key, 2u);
  co_await world.until_clean();
}

struct OddlyWeighed : Press {
  using Press::Press;
  static constexpr std::string_view kName = "OddlyWeighed";
  static std::string limit_key(const EntityId& id) {
    return id.id.starts_with("big") ? std::string(1 << 20, 'b') : limit_key_in(id.id);
  }
  static int limit_weight(std::string_view key) {
    if (key == "bad") throw std::runtime_error("no weight");
    if (key == "zero") return 0;
    if (key == "minus") return std::numeric_limits<int>::min();
    return key == "huge" ? std::numeric_limits<int>::max() : 1;
  }
};

SERVER_TEST(SharedLimits, odd_weights_and_keys_count_as_the_nearest) {
  const auto account = std::make_shared<Account>(world.clock());
  co_await world.serve(std::make_shared<OddlyWeighed>(account));
  for (const char* id : {"bad/1", "zero/1", "minus/1", "big/1", "huge/1"}) {
    co_await send_all<OddlyWeighed, Press::Print>(world, id, 60);
  }
  co_await let_pass(world, 3s);
  if (world.is_steady()) {
    // Nearly all is the huge one's, as long as it has something.
    EXPECT_GE(account->count("huge"), 45u);
  }
  for (const char* id : {"bad/1", "zero/1", "minus/1", "big/1", "huge/1"}) {
    co_await world.until_processed(world.ref<OddlyWeighed>(id).untyped());
  }
  EXPECT_LE(account->over("", Press::kTypeRateLimit), 0);
  co_await world.until_clean();
}

// What a host knew of its keys, another has taken: they have nothing left for long; the type has.
struct Sparse : Post {
  using Post::Post;
  static constexpr std::string_view kName = "Sparse";
  static constexpr RateLimit kRateLimit{.messages = 1, .per = 1h, .burst = 3};
  static constexpr RateLimit kTypeRateLimit{.messages = 1'000, .per = 1s, .burst = 100};
};

SERVER_TEST(SharedLimits, keys_that_others_have_emptied_keep_nobody_from_what_is_the_types) {
  if (!world.is_steady()) co_return;  // a token that is lost is not missed before an hour
  const auto account = std::make_shared<Account>(world.clock());
  constexpr int kKeys = 70;
  const auto send_to_each = [&](std::int64_t number, bool until_done) -> Task<void> {
    for (int key = 0; key < kKeys; ++key) {
      const Post::Send message{number};
      must(co_await world.ref<Sparse>(std::to_string(key) + "/1").cast(message));
    }
    for (int key = 0; until_done && key < kKeys; ++key) {
      co_await world.until_processed(world.ref<Sparse>(std::to_string(key) + "/1").untyped());
    }
  };
  auto& first = *co_await world.serve(std::make_shared<Sparse>(account));
  co_await send_to_each(1, true);
  // It has had its turn, as they have, and is behind them.
  const auto other = world.ref<Sparse>("other/1");
  const Post::Send message{1};
  must(co_await other.cast(message));
  co_await world.until_processed(other.untyped());
  first.freeze();
  auto& second = *co_await world.serve(std::make_shared<Sparse>(account));
  co_await send_to_each(2, true);
  co_await send_to_each(3, true);
  second.freeze();
  first.thaw();
  co_await let_pass(world, 10s);
  co_await send_to_each(4, false);
  co_await let_pass(world, 2s);
  const Post::Send next{2};
  must(co_await other.cast(next));
  co_await let_pass(world, 5s);
  EXPECT_EQ(account->count("other"), 2u);
  EXPECT_EQ(account->runs.size(), 3u * kKeys + 2);
}

struct Scarce : Post {
  using Post::Post;
  static constexpr std::string_view kName = "Scarce";
  static constexpr RateLimit kRateLimit{.messages = 1, .per = 2s, .burst = 1};
  static constexpr RateLimit kTypeRateLimit{.messages = 1'000, .per = 1s, .burst = 100};
};

SERVER_TEST(SharedLimits, more_keys_than_one_turn_has_room_for_all_have_theirs) {
  const auto account = std::make_shared<Account>(world.clock());
  co_await world.serve(std::make_shared<Scarce>(account));
  co_await world.serve(std::make_shared<Scarce>(account));
  constexpr int kKeys = 200;
  constexpr int kEach = 3;
  for (int key = 0; key < kKeys; ++key) {
    for (const char* id : {"/1", "/2"}) {
      co_await send_all<Scarce, Post::Send>(world, std::to_string(key) + id, kEach);
    }
  }
  const MonotonicTime began = world.clock().now();
  co_await let_pass(world, 8s);
  if (world.is_steady()) {
    for (int key = 0; key < kKeys; ++key) EXPECT_GE(account->count(std::to_string(key)), 3u) << key;
  }
  for (int key = 0; key < kKeys; ++key) {
    for (const char* id : {"/1", "/2"}) {
      co_await world.until_processed(world.ref<Scarce>(std::to_string(key) + id).untyped());
    }
  }
  for (int key = 0; key < kKeys; ++key) {
    EXPECT_LE(account->over(std::to_string(key), Scarce::kRateLimit), 0) << key;
  }
  if (world.is_steady()) {
    EXPECT_LE(world.clock().now() - began, 16s);
  }
  co_await world.until_clean();
}

Task<void> call_until_refused(World& world, const Ref<Strict>& strict) {
  const CallOptions patient{world.patience()};
  bool is_refused = false;
  for (std::int64_t i = 1; i <= 8 && !is_refused; ++i) {
    const Post::Send message{i};
    is_refused = !(co_await strict.call(message, patient));
  }
  EXPECT_TRUE(is_refused);
}

SERVER_TEST(SharedLimits, a_refused_call_with_a_key_may_be_repeated_and_tells_who_is_attached) {
  const auto account = std::make_shared<Account>(world.clock());
  co_await world.serve(std::make_shared<Strict>(account));
  const auto strict = world.ref<Strict>("a/1");
  co_await call_until_refused(world, strict);
  const Post::Send message{20};
  const CallOptions keyed{world.patience(), IdempotencyKey{"k"}};
  const std::size_t runs = account->runs.size();
  int refused = 0;
  co_await world.in_parallel(3, [&](int) -> Task<void> {
    const auto answer = co_await strict.call(message, keyed);
    if (!answer && answer.error().kind() == ErrorKind::retry) ++refused;
  });
  if (world.is_steady()) {
    EXPECT_EQ(refused, 3);
    EXPECT_EQ(account->runs.size(), runs);
    const auto known = must(co_await strict.result_of<Post::Send>("k"));
    EXPECT_EQ(known.state, KeyedReply<std::int64_t>::State::absent);
  }
  co_await let_pass(world, 3s);
  const auto first = must(co_await strict.call(message, keyed));
  EXPECT_EQ(must(co_await strict.call(message, keyed)), first);
  // Of a cast the key knows that it was set aside, and a repeat does nothing.
  for (std::int64_t i = 31; i <= 36; ++i) {
    const Post::Send one{i};
    must(co_await strict.cast(one));
  }
  const Post::Send last{40};
  const CastOptions once{IdempotencyKey{"last"}};
  must(co_await strict.cast_after(1ms, last, once));
  const auto is_done = [&]() -> Task<bool> {
    const auto known = co_await strict.result_of<Post::Send>("last");
    co_return known && known->state == KeyedReply<std::int64_t>::State::done;
  };
  co_await world.eventually(is_done);
  co_await let_pass(world, 5s);
  must(co_await strict.cast(last, once));
  co_await world.until_processed(strict.untyped());
  const std::pair<std::string, std::int64_t> it{"a/1", 40};
  const auto letters = co_await world.letters_of(strict.entity());
  EXPECT_GE(letters.size() + account->runs.count(it), 1u);
  if (world.is_steady()) {
    EXPECT_EQ(account->runs.count(it), 0u);
  }
  co_await world.until_clean();
}

// Told of what was refused.
struct StrictTold : Strict {
  using Strict::Strict;
  static constexpr std::string_view kName = "StrictTold";
  void handle_dead_letter(const DeadLetterInfo& letter, State& s, Context&) {
    s += 1'000;
    account->told.push_back(letter.error.to_string());
  }
};

SERVER_TEST(SharedLimits, an_entity_is_told_once_of_each_cast_of_its_that_was_refused) {
  const auto account = std::make_shared<Account>(world.clock());
  co_await world.serve(std::make_shared<StrictTold>(account));
  const auto told = world.ref<StrictTold>("a/1");
  Batch<StrictTold> batch;
  for (std::int64_t i = 1; i <= 10; ++i) batch.add(Post::Send{i});
  must(co_await told.cast(std::move(batch)));
  for (std::int64_t i = 11; i <= 15; ++i) {
    const Post::Send delayed{i};
    must(co_await told.cast_after(1ms, delayed));
  }
  co_await world.eventually([&]() -> Task<bool> {
    const auto timers = co_await count_timers(Tenant(world.store()), told.entity());
    co_return timers.value_or(1) == 0;
  });
  co_await world.until_processed(told.untyped());
  const auto letters = co_await world.letters_of(told.entity());
  EXPECT_EQ(letters.size() + account->runs.size(), 15u);
  EXPECT_GE(letters.size(), 5u);
  EXPECT_GE(account->told.size(), letters.size());
  for (const auto& why : account->told) EXPECT_THAT(why, HasSubstr("kRateLimit"));
  co_await let_pass(world, 3s);
  const Post::Send last{16};
  const CallOptions patient{world.patience()};
  const auto state = must(co_await told.call(last, patient));
  const auto count = static_cast<std::int64_t>(letters.size());
  EXPECT_EQ(state, 1'000 * count + static_cast<std::int64_t>(account->runs.size()));
  co_await world.until_clean();
}

SERVER_TEST(SharedLimits, what_is_over_and_not_known_here_waits_for_who_knows_it) {
  const auto account = std::make_shared<Account>(world.clock());
  co_await world.serve(std::make_shared<Strict>(account));
  const auto strict = world.ref<Strict>("a/1");
  co_await call_until_refused(world, strict);
  const RawMessage newer{"Newer", encode(std::int64_t{1})};
  std::vector<RawMessage> one;
  one.push_back(newer);
  must(co_await strict.untyped().cast(std::move(one)));
  co_await let_pass(world, 5s);
  EXPECT_THAT(co_await world.letters_of(strict.entity()), IsEmpty());
  const auto view = co_await world.look(strict);
  EXPECT_EQ(view.queue_length, 1u);
}

SERVER_TEST(SharedLimits, what_two_hosts_refuse_is_refused_once_and_what_they_allow_is_bounded) {
  const auto account = std::make_shared<Account>(world.clock());
  auto& first = *co_await world.serve(std::make_shared<Strict>(account));
  co_await world.serve(std::make_shared<Strict>(account));
  int done = 0;
  int refused = 0;
  const CallOptions patient{world.patience()};
  co_await world.in_parallel(4, [&](int who) -> Task<void> {
    const auto strict = world.ref<Strict>("a/" + std::to_string(who));
    for (std::int64_t i = 1; i <= 15; ++i) {
      const Post::Send message{i};
      const auto answer = co_await strict.call(message, patient);
      if (answer) ++done;
      if (!answer && answer.error().kind() == ErrorKind::retry) ++refused;
      if (who == 0 && i == 5) first.kill();
      co_await let_pass(world, 200ms);
    }
  });
  EXPECT_LE(account->over("a", Strict::kRateLimit), 0);
  if (world.is_steady()) {
    EXPECT_GE(done, 5);
    EXPECT_GE(refused, 20);
    for (int who = 0; who < 4; ++who) {
      const EntityId id{"Strict", "a/" + std::to_string(who)};
      EXPECT_THAT(co_await world.letters_of(id), IsEmpty());
    }
  }
  co_await world.until_clean();
}

}  // namespace
}  // namespace semper::testing
