// Forked children of a process with an open store: they open it anew, and both lose nothing.
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "env/sanitizer_test_support.h"
#include "test_place.h"

namespace semper::sqlite {
namespace {

// A child that hangs is ended by this, and its test fails.
constexpr unsigned kHangsSeconds = 60;

// In a child: `work` gets a store that was opened there; it is closed at the end.
template <class Work>
int with_own_store(const std::string& url, Work work) {
  Scheduler scheduler;
  const auto parsed = StoreUrl::parse(url);
  auto opened = scheduler.block_on(open_sqlite(*parsed, {}));
  if (!opened) {
    std::fprintf(stderr, "%s\n", opened.error().to_string().c_str());
    return 1;
  }
  const Store store(*opened, {});
  const int code = work(scheduler, store);
  if (code != 0) return code;
  return scheduler.block_on(store.close()) ? 0 : 2;
}

Result<Versionstamp> put_by(Scheduler& scheduler, const Store& store, Bytes key, Bytes value) {
  return scheduler.block_on([](Store in, Bytes k, Bytes v) -> Async<Versionstamp> {
    auto transaction = in.begin();
    transaction.set(k, v);
    co_return co_await transaction.commit();
  }(store, std::move(key), std::move(value)));
}

template <class Work>
pid_t start_child(Work work) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(kHangsSeconds);
    ::_exit(work());
  }
  return child;
}

int wait_for_child(pid_t child) {
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

TEST(Fork, a_child_opens_the_store_that_its_parent_has_open_and_both_commit) {
  SEMPER_FORKS_BESIDE_THREADS();
  const TestPlace place;
  const Store store = must_open(place.url());
  ASSERT_TRUE(put(store, "parent", "0"));
  auto held = store.begin();  // the parent has locks of readers, too
  ASSERT_TRUE(wait_for(held.get("parent")));
  const pid_t child = start_child([&] {
    return with_own_store(place.url(), [](Scheduler& scheduler, const Store& own) {
      for (int i = 0; i < 50; ++i) {
        if (!put_by(scheduler, own, "child", std::to_string(i))) return 3;
      }
      return 0;
    });
  });
  for (int i = 0; i < 50; ++i) ASSERT_TRUE(put(store, "parent", std::to_string(i)));
  EXPECT_EQ(wait_for_child(child), 0);
  EXPECT_EQ(*get(store, "parent"), "49");
  EXPECT_EQ(*get(store, "child"), "49");
  EXPECT_TRUE(wait_for(store.backend().check()));
}

// SQLite's locks are the process's, but what it remembers of them is in memory: a child that
// inherits that has none, and the parent, the last one by its own count, would remove the log.
TEST(Fork, a_parent_that_closes_does_not_take_the_log_away_from_its_child) {
  SEMPER_FORKS_BESIDE_THREADS();
  const TestPlace place;
  Store store = must_open(place.url());
  ASSERT_TRUE(put(store, "parent", "0"));
  int to_child[2];
  int to_parent[2];
  ASSERT_EQ(::pipe(to_child), 0);
  ASSERT_EQ(::pipe(to_parent), 0);
  const pid_t child = start_child([&] {
    return with_own_store(place.url(), [&](Scheduler& scheduler, const Store& own) {
      char byte = 0;
      if (!put_by(scheduler, own, "child", "before")) return 3;
      if (::write(to_parent[1], "x", 1) != 1 || ::read(to_child[0], &byte, 1) != 1) return 4;
      // Now nobody else has it open.
      const auto done = put_by(scheduler, own, "child", "after");
      if (!done) std::fprintf(stderr, "%s\n", done.error().to_string().c_str());
      return done ? 0 : 5;
    });
  });
  char byte = 0;
  ASSERT_EQ(::read(to_parent[0], &byte, 1), 1);
  ASSERT_TRUE(wait_for(store.close()));
  EXPECT_EQ(::access((place.file() + "-wal").c_str(), F_OK), 0) << "the child's log";
  ASSERT_EQ(::write(to_child[1], "x", 1), 1);
  EXPECT_EQ(wait_for_child(child), 0);
  for (const int end : {to_child[0], to_child[1], to_parent[0], to_parent[1]}) ::close(end);
  const Store again = must_open(place.url());
  EXPECT_EQ(*get(again, "child"), "after");
}

TEST(Fork, children_forked_while_threads_commit_and_open_find_no_lock_held_forever) {
  SEMPER_FORKS_BESIDE_THREADS();
  const TestPlace place;
  const Store store = must_open(place.url());
  std::atomic<bool> stop = false;
  const std::string other = "sqlite:" + place.folder() + "/other.db";
  std::vector<std::thread> busy;
  for (int i = 0; i < 2; ++i) {
    busy.emplace_back([&, i] {
      Scheduler scheduler;
      while (!stop.load()) {
        static_cast<void>(put_by(scheduler, store, "busy" + std::to_string(i), "x"));
      }
    });
  }
  busy.emplace_back([&] {
    while (!stop.load()) {
      static_cast<void>(with_own_store(other, [](Scheduler&, const Store&) { return 0; }));
    }
  });
  for (int round = 0; round < 10; ++round) {
    const pid_t child = start_child([&] {
      return with_own_store(place.url(), [](Scheduler& scheduler, const Store& own) {
        return put_by(scheduler, own, "child", "x") ? 0 : 3;
      });
    });
    EXPECT_EQ(wait_for_child(child), 0) << "round " << round;
  }
  stop.store(true);
  for (auto& thread : busy) thread.join();
  EXPECT_TRUE(wait_for(store.backend().check()));
}

TEST(Fork, a_child_that_exits_with_its_parents_store_in_hand_ends_and_changes_nothing) {
  SEMPER_FORKS_BESIDE_THREADS();
  const TestPlace place;
  static std::unique_ptr<Store> store;
  store = std::make_unique<Store>(must_open(place.url()));
  ASSERT_TRUE(put(*store, "key", "1"));
  auto watch = [&] {
    auto transaction = store->begin();
    return wait_for(transaction.watch("key"));
  }();
  ASSERT_TRUE(watch);
  const pid_t child = start_child([&]() -> int {
    watch->reset();
    std::exit(7);  // destroys what is static
  });
  EXPECT_EQ(wait_for_child(child), 7);
  EXPECT_TRUE(put(*store, "key", "2"));
  EXPECT_EQ(*get(*store, "key"), "2");
  watch->reset();
  store.reset();
}

}  // namespace
}  // namespace semper::sqlite
