#include "log_sync.h"

#include <sys/resource.h>
#include <sys/stat.h>

#include <condition_variable>
#include <fstream>
#include <future>
#include <mutex>

#include "fault_vfs.h"
#include "parts_test_support.h"
#include "semper/env/env.h"
#include "semper/testing/child_process.h"
#include "turn.h"

namespace semper::sqlite {
namespace {

using testing::child_argument;
using testing::ChildProcess;
using testing::say;

// Holds the flush of a log in the middle, and decides how it ends.
class HeldFlush {
 public:
  explicit HeldFlush(const std::string& vfs) : vfs_(vfs) {
    vfs_.set_plan({[this](FaultFile on, FaultOperation doing) {
      if (on != FaultFile::wal || doing != FaultOperation::sync) return SQLITE_OK;
      std::unique_lock lock(mutex_);
      began_ = true;
      changed_.notify_all();
      changed_.wait(lock, [this] { return end_.has_value(); });
      return *end_;
    }});
  }
  // From now on. The next flush is the first.
  void arm() { vfs_.arm(); }
  void wait_until_it_began() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return began_; });
  }
  // That one, and with success all later ones.
  void end(int code) {
    vfs_.disarm();
    std::lock_guard lock(mutex_);
    end_ = code;
    changed_.notify_all();
  }

 private:
  FaultVfs vfs_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool began_ = false;
  std::optional<int> end_;
};

void wait_until_written(Sidecar& sidecar, Version version) {
  while (sidecar.version() < version) std::this_thread::yield();
}

auto put_beside(const Store& store, Bytes key, Bytes value) {
  return std::async(std::launch::async, [=] { return put(store, key, value); });
}

bool is_done(const std::future<Result<Versionstamp>>& answer) {
  return answer.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
}

TEST(LogSync, a_commit_is_told_after_its_flush_and_others_have_their_turn_meanwhile) {
  const TestPlace place;
  HeldFlush flush("held-turn");
  const Store store = must_open(place.url("vfs=held-turn"));
  ASSERT_TRUE(put(store, "key", "old"));
  auto sidecar = open_sidecar(place.file());
  flush.arm();
  auto answer = put_beside(store, "key", "new");
  flush.wait_until_it_began();
  Turn turn(*sidecar);
  EXPECT_TRUE(turn.acquire());
  turn.release();
  EXPECT_FALSE(is_done(answer));
  flush.end(SQLITE_OK);
  EXPECT_TRUE(answer.get());
}

TEST(LogSync, what_is_not_durable_is_shown_to_nobody) {
  const TestPlace place;
  HeldFlush flush("held-read");
  const Store store = must_open(place.url("vfs=held-read"));
  const Store other = must_open(place.url());
  ASSERT_TRUE(put(store, "key", "old"));
  auto sidecar = open_sidecar(place.file());
  flush.arm();
  auto answer = put_beside(store, "key", "new");
  flush.wait_until_it_began();
  auto read = std::async(std::launch::async, [&] { return get(other, "key"); });
  const auto is_over = [&] {
    return read.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
  };
  while (!is_over() && (sidecar->shared().flush.load() & kTurnWaiters) == 0) {
    std::this_thread::yield();
  }
  EXPECT_FALSE(is_over());
  flush.end(SQLITE_OK);
  EXPECT_EQ(*read.get(), "new");
  EXPECT_TRUE(answer.get());
}

TEST(LogSync, a_snapshot_of_what_is_durable_waits_for_no_flush) {
  const TestPlace place;
  HeldFlush flush("held-old");
  const Store store = must_open(place.url("vfs=held-old"));
  const Store other = must_open(place.url());
  ASSERT_TRUE(put(store, "key", "old"));
  auto open = other.begin();
  ASSERT_EQ(*wait_for(open.get("key")), "old");
  flush.arm();
  auto answer = put_beside(store, "key", "new");
  flush.wait_until_it_began();
  EXPECT_EQ(*wait_for(open.get("key")), "old");
  flush.end(SQLITE_OK);
  EXPECT_TRUE(answer.get());
}

// The only view that is open shows the state before; two connections are too few to open more.
TEST(LogSync, a_reader_that_was_told_of_a_change_is_not_shown_the_state_before) {
  const TestPlace place;
  HeldFlush flush("held-watch");
  const Store store = must_open(place.url("vfs=held-watch"));
  const Store other = must_open(place.url("readers=2"));
  ASSERT_TRUE(put(store, "key", "old"));
  auto open = other.begin();
  ASSERT_EQ(*wait_for(open.get("key")), "old");
  auto watch = wait_for(open.watch("key"));
  ASSERT_TRUE(watch);
  flush.arm();
  auto answer = put_beside(store, "key", "new");
  flush.wait_until_it_began();
  ASSERT_TRUE(wait_for((*watch)->changed()));
  auto read = std::async(std::launch::async, [&] { return get(other, "key"); });
  flush.end(SQLITE_OK);
  EXPECT_EQ(*read.get(), "new");
  EXPECT_TRUE(answer.get());
}

TEST(LogSync, a_writer_that_met_a_conflict_is_not_shown_the_state_before) {
  const TestPlace place;
  const Store store = must_open(place.url("readers=2"));
  ASSERT_TRUE(put(store, "key", "old"));
  auto open = store.begin();
  ASSERT_EQ(*wait_for(open.get("key")), "old");
  auto loser = store.begin();
  ASSERT_EQ(*wait_for(loser.get("key")), "old");
  loser.set("key", "lost");
  commit_and_say_nothing(place.file(), "key", "new");
  const auto refused = wait_for(loser.commit());
  ASSERT_FALSE(refused);
  ASSERT_EQ(refused.error().kind(), ErrorKind::conflict);
  EXPECT_EQ(*get(store, "key"), "new");
}

TEST(LogSync, one_flush_serves_all_that_wrote_before_it_began) {
  const TestPlace place;
  HeldFlush flush("held-shared");
  const Store first = must_open(place.url("vfs=held-shared"));
  const Store second = must_open(place.url());
  const Store third = must_open(place.url());
  ASSERT_TRUE(put(first, "key", "old"));
  auto sidecar = open_sidecar(place.file());
  const auto before = figure(second, "flushes") + figure(third, "flushes");
  flush.arm();
  auto one = put_beside(first, "one", "1");
  flush.wait_until_it_began();
  const Version written = sidecar->version();
  auto two = put_beside(second, "two", "2");
  auto three = put_beside(third, "three", "3");
  wait_until_written(*sidecar, written + 2);
  EXPECT_FALSE(is_done(two));
  EXPECT_FALSE(is_done(three));
  flush.end(SQLITE_OK);
  EXPECT_TRUE(one.get());
  EXPECT_TRUE(two.get());
  EXPECT_TRUE(three.get());
  EXPECT_EQ(figure(second, "flushes") + figure(third, "flushes"), before + 1);
}

TEST(LogSync, a_flush_that_failed_is_not_made_good_by_another_one) {
  const TestPlace place;
  HeldFlush flush("held-failed");
  const Store first = must_open(place.url("vfs=held-failed"));
  const Store second = must_open(place.url());
  ASSERT_TRUE(put(first, "key", "old"));
  auto sidecar = open_sidecar(place.file());
  const auto flushes = figure(second, "flushes");
  flush.arm();
  auto one = put_beside(first, "one", "1");
  flush.wait_until_it_began();
  const Version written = sidecar->version();
  auto two = put_beside(second, "two", "2");
  wait_until_written(*sidecar, written + 1);
  flush.end(SQLITE_IOERR_FSYNC);
  EXPECT_TRUE(one.get());
  EXPECT_TRUE(two.get());
  EXPECT_EQ(figure(second, "flushes"), flushes);
  EXPECT_EQ(figure(first, "recoveries") + figure(second, "recoveries"), 1);
  EXPECT_EQ(*get(second, "one"), "1");
  EXPECT_EQ(*get(first, "two"), "2");
}

// As a kernel does that could not write a page, and forgets it.
void forget_what_was_written(const std::string& log, std::int64_t from) {
  std::fstream file(log, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(from);
  file << std::string(4096, '\0');
}

std::int64_t length_of(const std::string& path) {
  struct stat status {};
  EXPECT_EQ(::stat(path.c_str(), &status), 0);
  return status.st_size;
}

TEST(LogSync, what_a_failed_flush_lost_is_told_and_its_version_not_given_again) {
  const TestPlace place;
  HeldFlush flush("held-lost");
  const Store store = must_open(place.url("vfs=held-lost"));
  const auto old = put(store, "key", "old");
  ASSERT_TRUE(old);
  const std::string log = place.file() + "-wal";
  const auto before = length_of(log);
  flush.arm();
  auto answer = put_beside(store, "lost", "1");
  flush.wait_until_it_began();
  forget_what_was_written(log, before);
  flush.end(SQLITE_IOERR_FSYNC);
  const auto lost = answer.get();
  ASSERT_FALSE(lost);
  EXPECT_EQ(lost.error().kind(), ErrorKind::io) << lost.error().to_string();
  EXPECT_NE(lost.error().message().find("nothing was applied"), std::string::npos)
      << lost.error().to_string();
  EXPECT_EQ(*get(store, "key"), "old");
  EXPECT_EQ(*get(store, "lost"), std::nullopt);
  const auto after = put(store, "after", "2");
  ASSERT_TRUE(after) << after.error().to_string();
  EXPECT_GT(after->version(), old->version() + 1) << "a version was given twice";
  EXPECT_TRUE(wait_for(store.backend().check()));
}

// SQLite's index of the log is shared, and names what the log has lost: nothing may be read or
// copied by it. Who finds that out first gives the store up; who is left alone reads the log anew.
TEST(LogSync, what_several_processes_built_on_what_was_lost_is_acknowledged_by_none) {
  const TestPlace place;
  HeldFlush flush("held-lost-by-all");
  {
    const Store first = must_open(place.url("vfs=held-lost-by-all"));
    const Store second = must_open(place.url());
    ASSERT_TRUE(put(first, "key", "old"));
    auto sidecar = open_sidecar(place.file());
    const std::string log = place.file() + "-wal";
    const auto before = length_of(log);
    flush.arm();
    auto one = put_beside(first, "one", "1");
    flush.wait_until_it_began();
    const Version written = sidecar->version();
    auto two = put_beside(second, "two", "2");
    wait_until_written(*sidecar, written + 1);
    forget_what_was_written(log, before);
    flush.end(SQLITE_IOERR_FSYNC);
    std::string said;
    for (auto* answer : {&one, &two}) {
      const auto lost = answer->get();
      ASSERT_FALSE(lost);
      const auto kind = lost.error().kind();
      EXPECT_TRUE(kind == ErrorKind::io || kind == ErrorKind::outcome_unknown);
      said += lost.error().to_string() + "\n";
    }
    EXPECT_NE(said.find("close the store in every process"), std::string::npos) << said;
    EXPECT_NE(said.find("nothing was applied"), std::string::npos) << said;
  }
  const Store again = must_open(place.url());
  EXPECT_EQ(*get(again, "key"), "old");
  EXPECT_EQ(*get(again, "one"), std::nullopt);
  EXPECT_EQ(*get(again, "two"), std::nullopt);
  EXPECT_TRUE(wait_for(again.backend().check()));
  EXPECT_TRUE(put(again, "two", "again"));
}

TEST(LogSync, what_a_stopped_process_wrote_is_flushed_before_it_is_shown) {
  const TestPlace place;
  const Store store = must_open(place.url());
  ASSERT_TRUE(put(store, "key", "old"));
  commit_and_say_nothing(place.file(), "key", "new");
  const auto before = figure(store, "flushes");
  EXPECT_EQ(*get(store, "key"), "new");
  EXPECT_EQ(figure(store, "flushes"), before + 1);
}

SEMPER_CHILD(is_killed_while_it_flushes) {
  HeldFlush flush("held-child");
  const Store store = must_open("sqlite:" + child_argument() + "?vfs=held-child");
  flush.arm();
  auto answer = put_beside(store, "child", "1");
  flush.wait_until_it_began();
  say("flushing");
  static_cast<void>(answer.get());
}

TEST(LogSync, the_flush_of_a_killed_process_goes_to_a_process_that_hears_of_its_errors) {
  const TestPlace place;
  const Store store = must_open(place.url());
  ASSERT_TRUE(put(store, "key", "old"));
  ChildProcess child("is_killed_while_it_flushes", place.file());
  ASSERT_EQ(child.read_line(), "flushing");
  child.kill_hard();
  EXPECT_EQ(child.wait(), 128 + SIGKILL);
  const auto next = put(store, "key", "new");
  ASSERT_TRUE(next) << next.error().to_string();
  EXPECT_EQ(*get(store, "child"), "1");
  EXPECT_EQ(figure(store, "recoveries"), 0);
}

TEST(LogSync, a_store_opened_later_takes_the_flush_of_a_killed_process_for_failed) {
  const TestPlace place;
  const Store before = must_open(place.url());
  ASSERT_TRUE(put(before, "key", "old"));
  ChildProcess child("is_killed_while_it_flushes", place.file());
  ASSERT_EQ(child.read_line(), "flushing");
  child.kill_hard();
  EXPECT_EQ(child.wait(), 128 + SIGKILL);
  const Store after = must_open(place.url());
  EXPECT_EQ(*get(after, "child"), "1");
  EXPECT_EQ(figure(after, "recoveries"), 1);
  const auto next = put(after, "key", "new");
  ASSERT_TRUE(next) << next.error().to_string();
  EXPECT_EQ(*get(before, "key"), "new");
}

// It may have heard of an error that this one's descriptor will not hear of, and not have said so
// yet.
TEST(LogSync, a_store_opened_during_a_flush_that_nobody_waits_for_recovers_the_log) {
  const TestPlace place;
  const Store store = must_open(place.url());
  ASSERT_TRUE(put(store, "key", "old"));
  auto sidecar = open_sidecar(place.file());
  sidecar->mine().flushes_beside.fetch_add(1);
  const Store after = must_open(place.url());
  ASSERT_TRUE(put(after, "key", "new"));
  EXPECT_EQ(figure(after, "recoveries"), 1) << "nobody looked for what the other one lost";
  sidecar->mine().flushes_beside.fetch_sub(1);
  EXPECT_EQ(sidecar->shared().flush_failed.load(), 0u);
  EXPECT_EQ(*get(store, "key"), "new");
}

TEST(LogSync, a_process_that_is_stopped_while_it_flushes_holds_nobody_up) {
  const TestPlace place;
  const Store store = must_open(place.url());
  ASSERT_TRUE(put(store, "key", "old"));
  ChildProcess child("is_killed_while_it_flushes", place.file());
  ASSERT_EQ(child.read_line(), "flushing");  // and goes no further
  const auto next = put(store, "key", "new");
  ASSERT_TRUE(next) << next.error().to_string();
  EXPECT_EQ(*get(store, "key"), "new");
}

TEST(LogSync, a_process_that_is_stopped_while_it_flushes_is_waited_for_once) {
  const TestPlace place;
  const Store store = must_open(place.url());
  ASSERT_TRUE(put(store, "key", "old"));
  ChildProcess child("is_killed_while_it_flushes", place.file());
  ASSERT_EQ(child.read_line(), "flushing");  // and goes no further
  constexpr int kCommits = 40;
  const auto began = std::chrono::steady_clock::now();
  for (int i = 0; i < kCommits; ++i) ASSERT_TRUE(put(store, "key", std::to_string(i)));
  EXPECT_LT(std::chrono::steady_clock::now() - began, kCommits * kFlushPatience);
}

TEST(LogSync, a_store_can_be_opened_while_a_process_is_stopped_in_its_flush) {
  const TestPlace place;
  const Store store = must_open(place.url());
  ASSERT_TRUE(put(store, "key", "old"));
  ChildProcess child("is_killed_while_it_flushes", place.file());
  ASSERT_EQ(child.read_line(), "flushing");  // and goes no further
  const auto after = open_store_at(place.url());
  ASSERT_TRUE(after) << after.error().to_string();
  EXPECT_EQ(*get(*after, "key"), "old");
  EXPECT_EQ(*get(*after, "child"), "1");
  EXPECT_EQ(figure(*after, "recoveries"), 1) << "nobody looked for what that one may have heard of";
  EXPECT_TRUE(put(*after, "key", "new"));
  EXPECT_EQ(*get(store, "key"), "new");
}

SEMPER_CHILD(is_killed_while_it_flushes_beside_another) {
  auto sidecar = open_sidecar(child_argument());
  sidecar->mine().flushes_beside.fetch_add(1);
  say("flushing");
  ::pause();
}

TEST(LogSync, one_that_died_beside_another_flush_costs_one_recovery_and_no_more) {
  const TestPlace place;
  const Store store = must_open(place.url());
  ASSERT_TRUE(put(store, "key", "1"));
  {
    ChildProcess child("is_killed_while_it_flushes_beside_another", place.file());
    ASSERT_EQ(child.read_line(), "flushing");
    child.kill_hard();
    EXPECT_EQ(child.wait(), 128 + SIGKILL);
  }
  for (const int recoveries : {1, 0, 0}) {
    const Store after = must_open(place.url());
    ASSERT_TRUE(put(after, "key", "2"));
    EXPECT_EQ(figure(after, "recoveries"), recoveries);
  }
  EXPECT_EQ(*get(store, "key"), "2");
}

TEST(ProcessLock, an_entry_is_claimed_by_nobody_while_it_is_found_to_be_of_the_dead) {
  const TestPlace place;
  const Store store = must_open(place.url());
  auto finder = open_sidecar(place.file());
  std::size_t dead = 0;
  {
    ChildProcess child("is_killed_while_it_flushes_beside_another", place.file());
    ASSERT_EQ(child.read_line(), "flushing");
    dead = finder->my_entry() + 1;
    EXPECT_FALSE(finder->is_dead(dead));
    child.kill_hard();
    EXPECT_EQ(child.wait(), 128 + SIGKILL);
  }
  bool has_acted = false;
  finder->if_dead(dead, [&] {
    has_acted = true;
    EXPECT_NE(open_sidecar(place.file())->my_entry(), dead);
  });
  EXPECT_TRUE(has_acted);
  EXPECT_EQ(open_sidecar(place.file())->my_entry(), dead) << "let go again";
}

TEST(LogSync, a_version_is_judged_by_the_recoveries_since_it_was_written) {
  const TestPlace place;
  const Store store = must_open(place.url());
  ASSERT_TRUE(put(store, "key", "value"));
  auto sidecar = open_sidecar(place.file());
  SqliteOptions options;
  options.path.file = place.file();
  Statistics statistics;
  const Env env;
  auto log = LogSync::open(options, *sidecar, statistics, *env.clock);
  ASSERT_TRUE(log) << log.error().to_string();
  const Version durable = sidecar->version();
  const auto found = (*log)->written(durable + 1);
  const auto lost = (*log)->written(durable + 2);
  using State = LogSync::State;
  EXPECT_EQ((*log)->look((*log)->seen(durable)), State::durable);
  EXPECT_EQ((*log)->look(found), State::written);
  EXPECT_TRUE((*log)->recovered(durable + 1));
  EXPECT_EQ((*log)->look(found), State::durable);
  EXPECT_EQ((*log)->look(lost), State::lost);
  // A later commit that is durable says nothing of an earlier one that was lost.
  const auto later = (*log)->written(durable + 3);
  EXPECT_EQ((*log)->flush(later), State::durable);
  EXPECT_EQ((*log)->look(lost), State::lost);
  for (std::size_t i = 0; i < kRecoveriesRemembered; ++i) {
    EXPECT_TRUE((*log)->recovered(durable + 3));
  }
  EXPECT_EQ((*log)->look(later), State::durable);
  EXPECT_EQ((*log)->look(lost), State::unknown);
}

// As long as it lives no file can be opened.
class NoDescriptors {
 public:
  NoDescriptors() {
    EXPECT_EQ(::getrlimit(RLIMIT_NOFILE, &before_), 0);
    rlimit none = before_;
    none.rlim_cur = 0;
    EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  }
  ~NoDescriptors() { ::setrlimit(RLIMIT_NOFILE, &before_); }
  NoDescriptors(const NoDescriptors&) = delete;
  NoDescriptors& operator=(const NoDescriptors&) = delete;

 private:
  rlimit before_{};
};

TEST(LogSync, a_handle_that_cannot_open_the_log_is_refused_and_says_nothing_to_the_others) {
  const TestPlace place;
  const Store store = must_open(place.url());
  ASSERT_TRUE(put(store, "key", "1"));
  auto sidecar = open_sidecar(place.file());
  SqliteOptions options;
  options.path.file = place.file();
  Statistics statistics;
  const Env env;
  {
    const NoDescriptors none;
    EXPECT_FALSE(LogSync::open(options, *sidecar, statistics, *env.clock));
  }
  EXPECT_EQ(sidecar->shared().flush_failed.load(), 0u) << "the others take it for a failed flush";
  ASSERT_TRUE(put(store, "key", "2"));
  EXPECT_EQ(figure(store, "recoveries"), 0);
}

TEST(Sidecar, one_of_another_kernel_or_of_one_that_cannot_be_told_is_refused_as_what_it_is) {
  const TestPlace place;
  const Store store = must_open(place.url());
  auto sidecar = open_sidecar(place.file());
  char& first = sidecar->shared().boot_id[0];
  const char was = first;
  ASSERT_NE(was, '\0') << "/proc is not there";
  const auto refusal = [&](char instead) {
    first = instead;
    const auto refused = open_store_at(place.url());
    first = was;
    EXPECT_FALSE(refused);
    return refused ? Error(ErrorKind::internal, "") : refused.error();
  };
  const Error foreign = refusal('x');
  EXPECT_EQ(foreign.kind(), ErrorKind::unsupported);
  EXPECT_NE(foreign.message().find("another machine"), std::string::npos) << foreign.message();
  const Error untold = refusal('\0');
  EXPECT_EQ(untold.kind(), ErrorKind::unsupported);
  EXPECT_NE(untold.message().find("mount /proc"), std::string::npos) << untold.message();
  EXPECT_EQ(untold.message().find("another machine"), std::string::npos) << untold.message();
}

}  // namespace
}  // namespace semper::sqlite
