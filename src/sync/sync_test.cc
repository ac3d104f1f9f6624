// The blocking face on real stores, files and threads.
#include "semper/sync.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "semper/env/one_shot.h"
#include "semper/env/scheduler.h"
#include "semper/sync/atomically.h"
#include "semper/testing/temporary_folder.h"

namespace semper {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Longer than a string keeps in itself, so that a copy that is freed twice is seen.
const std::string kLong(100, 'x');

struct Diary {
  static constexpr std::string_view kName = "sync-diary";
  using State = std::vector<std::string>;
  struct Write {
    std::string line;
    using Reply = std::uint64_t;
  };
  struct Ask {
    using Reply = std::string;
  };
  struct Think {
    using Reply = std::string;
  };
  using Messages = semper::Messages<Write, Ask, Think>;

  Result<State> init(const EntityId&) { return State{}; }
  Reply<std::uint64_t> handle_call(const Write& m, State& s, Context&) {
    s.push_back(m.line);
    return s.size();
  }
  void handle_cast(const Write& m, State& s, Context&) { s.push_back(m.line); }
  // Waits for itself, as nobody should.
  Reply<std::string> handle_call(const Ask&, State&, Context& ctx) {
    auto other = sync::ref<Diary>(ctx.tenant(), "other");
    auto written = other.call<Write>(kLong);
    if (!written) return fail(written.error());
    return std::string("written");
  }
  Reply<std::string> handle_call(const Think&, State&, Context&) { return lock(); }
  Reply<std::string> handle_locked(const Think&, State&, LockedContext&) {
    auto written = sync::ref<Diary>(*store, "other").cast<Write>(kLong);
    if (!written) return fail(written.error());
    return std::string("written");
  }

  std::optional<sync::Store> store;
};

sync::Store open(const std::string& url) {
  auto store = sync::open_store(url);
  EXPECT_TRUE(store) << store.error().to_string();
  return *store;
}

TEST(SyncServer, calls_and_casts_outlive_the_store_that_was_closed) {
  const testing::TemporaryFolder folder;
  const std::string url = "sqlite:" + folder.path("data.db");
  {
    auto store = open(url);
    sync::Host host(store);
    host.serve<Diary>();
    ASSERT_TRUE(host.start());
    auto diary = sync::ref<Diary>(store, "ann");
    EXPECT_EQ(diary.call<Diary::Write>(kLong), 1u);
    EXPECT_TRUE(diary.cast(Diary::Write{kLong}));
    EXPECT_TRUE(diary.cast(Batch<Diary>().add<Diary::Write>("a").add<Diary::Write>("b")));
    ASSERT_TRUE(host.stop());
    ASSERT_TRUE(host.join());
    ASSERT_TRUE(store.close());
    EXPECT_EQ(store.close(1s).has_value(), true);
  }
  auto store = open(url);
  sync::Host host(store);
  host.serve<Diary>();
  ASSERT_TRUE(host.start());
  auto diary = sync::ref<Diary>(store, "ann");
  EXPECT_EQ(diary.call<Diary::Write>(kLong), 5u);
  EXPECT_EQ(diary.queue_length(), 0u);
  EXPECT_TRUE(diary.kill());
  ASSERT_TRUE(host.stop(10s));
}

TEST(SyncServer, many_threads_call_one_server) {
  auto store = open("memory:");
  sync::Host host(store);
  host.serve<Diary>();
  ASSERT_TRUE(host.start());
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&store] {
      auto diary = sync::ref<Diary>(store, "all");
      for (int n = 0; n < 50; ++n) EXPECT_TRUE(diary.call<Diary::Write>(kLong));
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(sync::ref<Diary>(store, "all").call<Diary::Write>("last"), 401u);
}

TEST(SyncServer, a_request_that_is_repeated_with_its_key_runs_once) {
  auto store = open("memory:");
  sync::Host host(store);
  host.serve<Diary>();
  ASSERT_TRUE(host.start());
  auto diary = sync::ref<Diary>(store, "keys");
  for (int i = 0; i < 3; ++i) {
    const CallOptions once{.key = IdempotencyKey{"a"}};
    EXPECT_EQ(diary.call(Diary::Write{kLong}, once), 1u);
    EXPECT_TRUE(diary.cast(Diary::Write{kLong}, CastOptions{IdempotencyKey{"b"}}));
  }
  EXPECT_EQ(diary.call<Diary::Write>(kLong), 3u);
  const auto known = diary.result_of<Diary::Write>("a");
  ASSERT_TRUE(known);
  EXPECT_EQ(known->state, KeyedReply<std::uint64_t>::State::done);
  EXPECT_EQ(known->reply, 1u);
}

TEST(SyncServer, a_callback_that_waits_is_told_so_at_once) {
  auto store = open("memory:");
  sync::Host host(store);
  host.serve<Diary>();
  ASSERT_TRUE(host.start());
  const auto refused = sync::ref<Diary>(store, "ann").call<Diary::Ask>();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::unsupported);
  EXPECT_THAT(refused.error().message(), HasSubstr("this thread runs coroutines"));
}

TEST(SyncServer, handle_locked_may_wait) {
  auto store = open("memory:");
  sync::Host host(store);
  auto behaviour = std::make_shared<Diary>();
  behaviour->store = store;
  host.serve(behaviour);
  ASSERT_TRUE(host.start());
  EXPECT_EQ(sync::ref<Diary>(store, "ann").call<Diary::Think>(), "written");
}

TEST(SyncStore, transactions_of_many_threads_lose_nothing) {
  auto store = open("memory:");
  const std::string key = kLong + "key";
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int n = 0; n < 25; ++n) {
        auto length = store.transact([key](sync::Transaction& tx) -> Result<std::size_t> {
          SEMPER_TRY(auto old, tx.get(key));
          const std::string longer = old.value_or("") + "x";
          tx.set(key, longer);
          return longer.size();
        });
        EXPECT_TRUE(length) << length.error().to_string();
      }
    });
  }
  for (auto& thread : threads) thread.join();
  const auto all = store.transact([key](sync::Transaction& tx) { return tx.get(key); });
  ASSERT_TRUE(all);
  EXPECT_EQ((*all)->size(), 100u);
}

TEST(SyncStore, an_error_of_the_function_applies_nothing) {
  auto store = open("memory:");
  const auto refused = store.transact([](sync::Transaction& tx) -> Status {
    tx.set("key", kLong);
    return fail(ErrorKind::not_found, kLong);
  });
  EXPECT_EQ(refused.error().message(), kLong);
  const auto rows =
      store.transact([](sync::Transaction& tx) { return tx.get_range(KeyRange("a", "z")); });
  ASSERT_TRUE(rows);
  EXPECT_TRUE(rows->rows.empty());
}

TEST(SyncAtomically, threads_move_lines_between_diaries_and_lose_none) {
  auto store = open("memory:");
  sync::Host host(store);
  host.serve<Diary>();
  ASSERT_TRUE(host.start());
  auto ann = sync::ref<Diary>(store, "ann");
  auto ben = sync::ref<Diary>(store, "ben");
  for (int i = 0; i < 40; ++i) ASSERT_TRUE(ann.cast<Diary::Write>(kLong));
  using Lines = std::vector<std::string>;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      const auto move = [](Atomic& tx, Lines& from, Lines& to) -> Result<std::size_t> {
        to.push_back(std::move(from.back()));
        from.pop_back();
        tx.transaction().add("moved", 1);
        return to.size();
      };
      for (int n = 0; n < 10; ++n) EXPECT_TRUE(sync::atomically(store, std::tuple(ann, ben), move));
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(ann.call<Diary::Write>(kLong), 1u);
  EXPECT_EQ(ben.call<Diary::Write>(kLong), 41u);

  const auto refuse = [](Atomic&, std::span<Lines* const> all) -> Status {
    for (auto* lines : all) lines->clear();
    return fail(ErrorKind::not_found, "not today");
  };
  const std::vector<sync::Ref<Diary>> both = {ann, ben};
  EXPECT_EQ(sync::atomically(store, both, refuse).error().message(), "not today");
  const auto throws = [](Atomic&, Lines& lines, Lines&) -> Status {
    lines.clear();
    throw std::runtime_error("out of the function");
  };
  EXPECT_THROW(static_cast<void>(sync::atomically(store, std::tuple(ann, ben), throws)),
               std::runtime_error);
  EXPECT_EQ(ann.call<Diary::Write>(kLong), 2u);
  ASSERT_TRUE(host.stop(10s));
}

TEST(SyncNames, one_of_two_threads_holds_a_name_and_writes) {
  auto store = sync::open_store("memory:").value();
  sync::NameRegistry first(store);
  sync::NameRegistry second(store);
  NameMetadata metadata;
  metadata["of"] = "first";
  auto held = first.acquire("leader", metadata).value();
  EXPECT_EQ(second.acquire("leader").error().kind(), ErrorKind::already_exists);
  EXPECT_EQ((*second.lookup("leader"))->metadata.at("of"), "first");
  const auto write_as = [&](const sync::Holding& holder) {
    return store.transact([&](sync::Transaction& tx) -> Status {
      SEMPER_TRY_STATUS(holder.guard(tx));
      tx.set("written by", std::to_string(holder.token()));
      return {};
    });
  };
  EXPECT_TRUE(write_as(held));
  CampaignOptions short_one;
  short_one.timeout = 20ms;
  EXPECT_EQ(second.campaign("leader", short_one).error().kind(), ErrorKind::timeout);
  std::thread giver([&] {
    std::this_thread::yield();
    EXPECT_TRUE(held.release());
  });
  auto next = second.campaign("leader");
  giver.join();
  ASSERT_TRUE(next) << next.error().to_string();
  EXPECT_FALSE(held.is_held());
  EXPECT_TRUE(held.lost().stop_requested());
  EXPECT_EQ(write_as(held).error().kind(), ErrorKind::closed);
  EXPECT_TRUE(write_as(*next));
  EXPECT_TRUE(first.close());
  EXPECT_TRUE(second.close());
  EXPECT_FALSE(next->is_held());
  EXPECT_TRUE(store.close());
}

TEST(SyncWait, is_refused_at_once_on_every_thread_that_runs_coroutines) {
  auto store = open("memory:");
  const auto attempt = [&]() -> Task<int> {
    int refused = 0;
    const auto count = [&](const auto& result) {
      if (!result && result.error().kind() == ErrorKind::unsupported) ++refused;
    };
    count(sync::open_store("memory:"));
    count(store.transact([](sync::Transaction&) { return Status(); }));
    count(store.close());
    count(sync::ref<Diary>(store, "ann").cast<Diary::Write>("a"));
    count(sync::Host(store).start());
    count(sync::create_ring(std::shared_ptr<BlockDevice>()));
    count(sync::Termination().wait(0s));
    co_return refused;
  };
  Scheduler scheduler;
  EXPECT_EQ(scheduler.block_on(attempt()), 7);
  EXPECT_EQ(run(attempt()), 7);
  EXPECT_TRUE(sync::ref<Diary>(store, "ann").cast<Diary::Write>("a"));
}

TEST(SyncWait, what_has_not_ended_in_time_is_cancelled_and_its_outcome_not_guessed) {
  OneShot<int> news;
  OneShot<ErrorKind> ended_with;
  const auto waits_for_ever = [](OneShot<int> for_it, OneShot<ErrorKind> ended) -> Async<int> {
    co_await asio::this_coro::throw_if_cancelled(false);
    auto n = co_await for_it.wait();
    if (!n) ended.set(n.error().kind());
    co_return n;
  };
  const auto late = sync::wait(waits_for_ever(news, ended_with), 1ms);
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().kind(), ErrorKind::outcome_unknown);
  EXPECT_THAT(late.error().message(), HasSubstr("within 0.001 s"));
  EXPECT_EQ(sync::wait(ended_with.wait()), ErrorKind::cancelled);

  OneShot<int> other;
  const auto look = sync::wait(other.wait(), 1ms, sync::Late::had_no_effect);
  ASSERT_FALSE(look);
  EXPECT_EQ(look.error().kind(), ErrorKind::timeout);
}

TEST(SyncWait, passes_exceptions_on) {
  const auto throws = []() -> Async<int> {
    throw std::runtime_error("of the operation");
    co_return 1;
  };
  EXPECT_THROW(static_cast<void>(sync::wait(throws())), std::runtime_error);
}

TEST(SyncWait, what_is_destroyed_with_what_it_waits_for_ends) {
  for (const auto late : {sync::Late::had_no_effect, sync::Late::may_have_effect}) {
    auto other = std::make_unique<asio::io_context>(1);
    std::promise<void> begun;
    auto waits = [](asio::io_context& on, std::promise<void>& tells) -> Async<int> {
      tells.set_value();
      co_await asio::post(on.get_executor(), asio::use_awaitable);
      co_return 1;
    };
    auto waited = std::async(std::launch::async,
                             [&] { return sync::wait(waits(*other, begun), kForever, late); });
    begun.get_future().wait();
    auto nothing = []() -> Async<int> { co_return 1; };
    EXPECT_TRUE(sync::wait(nothing())) << "on the one thread, so the other one waits by now";
    other.reset();
    const auto ended = waited.get();
    ASSERT_FALSE(ended);
    EXPECT_EQ(ended.error().kind(),
              late == sync::Late::had_no_effect ? ErrorKind::timeout : ErrorKind::outcome_unknown);
  }
}

TEST(SyncStore, an_unknown_outcome_stays_one_when_the_time_is_over) {
  auto store = sync::open_store("memory:");
  ASSERT_TRUE(store);
  TransactOptions over;
  over.timeout = -sync::kAnswerTime;
  sync::internal::Attempts attempts(store->asynchronous(), over);
  std::promise<void> go;
  auto holds_the_thread = [&go]() -> Async<void> {
    go.get_future().wait();
    co_return Status();
  };
  static_cast<void>(sync::wait(holds_the_thread(), Duration::zero()));
  auto after = std::async(std::launch::async, [&attempts] {
    return attempts.after(Error(ErrorKind::outcome_unknown, "of the commit"));
  });
  static_cast<void>(after.wait_for(20ms));  // in which it would give up
  go.set_value();
  const auto ended = after.get();
  EXPECT_EQ(ended.error().kind(), ErrorKind::outcome_unknown) << ended.error().to_string();
}

TEST(SyncStore, a_transaction_with_a_read_that_timed_out_is_left_alone) {
  auto store = sync::open_store("memory:");
  ASSERT_TRUE(store);
  sync::Transaction transaction(store->asynchronous().begin(), system_clock().now());
  OneShot<int> never;
  const auto late = transaction.run([never](semper::Transaction&) mutable -> Async<void> {
    static_cast<void>(co_await never.wait());
    co_return Status();
  });
  EXPECT_EQ(late.error().kind(), ErrorKind::timeout);
  transaction.set("key", kLong);
  transaction.clear("another key");
  EXPECT_EQ(transaction.size_bytes(), 0u);
  EXPECT_EQ(transaction.commit().error().kind(), ErrorKind::timeout);
}

std::string make_ring(const testing::TemporaryFolder& folder) {
  const std::string path = folder.path("queue.ring");
  CreateFileOptions size;
  size.size = 1u << 20;
  EXPECT_TRUE(create_block_file(path, size));
  EXPECT_TRUE(sync::create_ring(path));
  return path;
}

TEST(SyncRing, items_get_from_one_thread_to_another) {
  const testing::TemporaryFolder folder;
  const std::string path = make_ring(folder);
  auto consumer = sync::Consumer::attach(path);
  ASSERT_TRUE(consumer) << consumer.error().to_string();
  EXPECT_EQ(consumer->pop().error().kind(), ErrorKind::retry);
  EXPECT_EQ(consumer->pop(1ms).error().kind(), ErrorKind::timeout);
  std::thread producing([&path] {
    auto producer = sync::Producer::attach(path);
    ASSERT_TRUE(producer) << producer.error().to_string();
    EXPECT_TRUE(producer->publish(kLong));
    EXPECT_TRUE(producer->publish(std::vector<Bytes>{"a", "b"}));
    auto end = producer->push("hidden");
    ASSERT_TRUE(end);
    EXPECT_TRUE(producer->advance(*end));
    EXPECT_EQ(producer->state(), ring::State::running);
    EXPECT_TRUE(producer->detach());
    EXPECT_EQ(producer->publish("late").error().kind(), ErrorKind::closed);
  });
  std::vector<std::string> got;
  while (got.size() < 4) {
    auto items = consumer->pop_many(10s);
    ASSERT_TRUE(items) << items.error().to_string();
    for (auto& item : *items) got.push_back(item.bytes);
    EXPECT_TRUE(consumer->advance(items->back().after));
  }
  producing.join();
  EXPECT_THAT(got, ElementsAre(kLong, "a", "b", "hidden"));
  EXPECT_TRUE(consumer->detach());
}

TEST(SyncJournal, performs_on_a_thread_that_may_wait) {
  const testing::TemporaryFolder folder;
  const std::string path = folder.path("work.journal");
  CreateFileOptions size;
  size.size = 1u << 20;
  ASSERT_TRUE(create_block_file(path, size));
  auto store = open("memory:");
  int failures = 1;
  const auto perform = [&](const std::vector<ring::Item>& batch) -> Status {
    if (failures-- > 0) return fail(ErrorKind::io, "not yet");
    return store.transact([&](sync::Transaction& tx) -> Status {
      for (const auto& item : batch) tx.set(item.bytes, kLong);
      return {};
    });
  };
  ring::JournalOptions options;
  options.retry_interval = 1ms;
  auto journal = sync::Journal::start(path, perform, options);
  ASSERT_TRUE(journal) << journal.error().to_string();
  EXPECT_TRUE(journal->replayed());
  auto written = journal->push("an operation");
  ASSERT_TRUE(written) << written.error().to_string();
  EXPECT_TRUE(written->sync(10s));
  EXPECT_EQ(journal->statistics().performed, 1u);
  EXPECT_TRUE(journal->shutdown(10s));
  const auto done = store.transact([](sync::Transaction& tx) { return tx.get("an operation"); });
  EXPECT_EQ(*done, kLong);
}

// The child's exit code.
int in_a_child(const std::function<int()>& program) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(program());
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

TEST(SyncFork, a_child_opens_its_own_and_is_refused_what_the_parent_opened) {
  const testing::TemporaryFolder folder;
  const std::string url = "sqlite:" + folder.path("data.db");
  const std::string path = make_ring(folder);
  auto store = open(url);
  auto producer = sync::Producer::attach(path);
  ASSERT_TRUE(producer);
  ASSERT_TRUE(sync::ref<Diary>(store, "ann").cast<Diary::Write>(kLong));
  const auto look = [](sync::Transaction& tx) { return tx.get("key"); };
  EXPECT_EQ(in_a_child([&] {
              const auto refused = store.transact(look);
              if (refused || refused.error().kind() != ErrorKind::unsupported) return 1;
              const auto item = producer->publish("from the child");
              if (item || item.error().kind() != ErrorKind::unsupported) return 2;
              auto own = sync::open_store(url);
              if (!own) return 3;
              if (!own->transact(look)) return 4;
              return own->close() ? 0 : 5;
            }),
            0);
  EXPECT_TRUE(producer->publish(kLong));
  EXPECT_TRUE(store.close());
}

TEST(SyncTermination, a_server_is_told_by_sigterm_and_ends_in_order) {
  const int code = in_a_child([] {
    sync::Termination end;
    if (end.wait(1ms).error().kind() != ErrorKind::timeout) return 1;
    auto store = sync::open_store("memory:");
    sync::Host host(*store);
    host.serve<Diary>();
    if (!host.start()) return 2;
    ::kill(::getpid(), SIGTERM);
    if (end.wait() != SIGTERM || end.wait(0s) != SIGTERM) return 3;
    if (!host.stop(10s)) return 4;
    return store->close(10s) ? 0 : 5;
  });
  EXPECT_EQ(code, 0);
}

}  // namespace
}  // namespace semper
