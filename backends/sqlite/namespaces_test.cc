// One file by two names, and processes that do not see each other: right, or refused in a sentence.
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>

#include "parts_test_support.h"
#include "semper/testing/child_process.h"
#include "turn.h"

namespace semper::sqlite {
namespace {

using testing::child_argument;
using testing::ChildProcess;
using testing::say;

namespace fs = std::filesystem;

// A closed store with one key.
void make_store(const std::string& url) {
  const Store store = must_open(url);
  ASSERT_TRUE(put(store, "key", "1"));
  ASSERT_TRUE(wait_for(store.close()));
}

Error refusal(const std::string& url) {
  const auto store = open_store_at(url);
  EXPECT_FALSE(store);
  return store ? Error(ErrorKind::internal, "it was opened") : store.error();
}

TEST(Names, a_store_with_two_names_is_refused_by_either) {
  const TestPlace place;
  make_store(place.url());
  const std::string second = place.folder() + "/second.db";
  fs::create_hard_link(place.file(), second);
  for (const auto& name : {place.file(), second}) {
    const Error error = refusal("sqlite:" + name);
    EXPECT_EQ(error.kind(), ErrorKind::unsupported) << error.to_string();
    EXPECT_NE(error.message().find("hard links"), std::string::npos) << error.message();
    EXPECT_EQ(place.listing(), "second.db store.db");
  }
  fs::remove(second);
  EXPECT_EQ(*get(must_open(place.url()), "key"), "1");
}

TEST(Names, symbolic_links_to_a_file_and_to_its_folder_are_the_same_store) {
  const TestPlace place;
  fs::create_directory(place.folder() + "/real");
  fs::create_directory_symlink("real", place.folder() + "/folder");
  fs::create_symlink("real/store.db", place.folder() + "/link.db");
  const Store one = must_open("sqlite:" + place.folder() + "/real/store.db");
  const Store two = must_open("sqlite:" + place.folder() + "/link.db");
  const Store three = must_open("sqlite:" + place.folder() + "/folder/store.db");
  ASSERT_TRUE(put(one, "key", "1"));
  ASSERT_TRUE(put(two, "key", "2"));
  EXPECT_EQ(*get(three, "key"), "2");
  ASSERT_TRUE(put(three, "key", "3"));
  EXPECT_EQ(*get(one, "key"), "3");
  EXPECT_EQ(place.listing(), "folder link.db real");
}

// Takes this thread's process into namespaces of its own; false with a printed reason.
bool enter_own(int namespaces, const char* what) {
  if (::unshare(namespaces) == 0 &&
      ((namespaces & CLONE_NEWNS) == 0 ||
       ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0)) {
    return true;
  }
  std::cout << "no " << what << " namespace: " << std::strerror(errno) << "\n";
  return false;
}

// Answers "skip" where namespaces are not to be had, "ok", or an error.
std::string answer(const std::string& role, const std::string& argument) {
  ChildProcess child(role, argument);
  const std::string said = child.read_line().value_or("");
  EXPECT_EQ(child.wait(), 0);
  return said;
}

SEMPER_CHILD(opens_a_file_that_is_mounted_alone) {
  const std::string folder = child_argument();
  if (!enter_own(CLONE_NEWNS, "mount")) return say("skip");
  const std::string alias = folder + "/alias.db";
  write_file(alias, "");
  ASSERT_EQ(::mount((folder + "/store.db").c_str(), alias.c_str(), nullptr, MS_BIND, nullptr), 0);
  const auto store = open_store_at("sqlite:" + alias);
  say(store ? "it was opened" : store.error().to_string());
}

TEST(Names, a_file_that_is_mounted_by_itself_is_refused) {
  const TestPlace place;
  make_store(place.url());
  const std::string said = answer("opens_a_file_that_is_mounted_alone", place.folder());
  if (said == "skip") GTEST_SKIP() << "mount namespaces need root";
  EXPECT_TRUE(said.starts_with("unsupported")) << said;
  EXPECT_NE(said.find("mount its folder"), std::string::npos) << said;
}

SEMPER_CHILD(commits_through_a_folder_that_is_mounted_elsewhere) {
  const std::string folder = child_argument();
  if (!enter_own(CLONE_NEWNS, "mount")) return say("skip");
  const std::string elsewhere = folder + "/elsewhere";
  fs::create_directory(elsewhere);
  ASSERT_EQ(::mount((folder + "/real").c_str(), elsewhere.c_str(), nullptr, MS_BIND, nullptr), 0);
  const auto store = open_store_at("sqlite:" + elsewhere + "/store.db");
  if (!store) return say(store.error().to_string());
  const auto done = put(*store, "key", "through the mount");
  say(done ? "ok" : done.error().to_string());
}

TEST(Names, a_folder_that_is_mounted_elsewhere_too_is_the_same_store) {
  const TestPlace place;
  fs::create_directory(place.folder() + "/real");
  const Store store = must_open("sqlite:" + place.folder() + "/real/store.db");
  ASSERT_TRUE(put(store, "key", "1"));
  const std::string said =
      answer("commits_through_a_folder_that_is_mounted_elsewhere", place.folder());
  if (said == "skip") GTEST_SKIP() << "mount namespaces need root";
  ASSERT_EQ(said, "ok");
  EXPECT_EQ(*get(store, "key"), "through the mount");
  EXPECT_TRUE(put(store, "key", "2"));
}

SEMPER_CHILD(opens_on_a_mount_that_is_read_only) {
  const std::string folder = child_argument();
  if (!enter_own(CLONE_NEWNS, "mount")) return say("skip");
  ASSERT_EQ(::mount(folder.c_str(), folder.c_str(), nullptr, MS_BIND, nullptr), 0);
  ASSERT_EQ(::mount(nullptr, folder.c_str(), nullptr, MS_BIND | MS_REMOUNT | MS_RDONLY, nullptr),
            0);
  const auto store = open_store_at("sqlite:" + folder + "/store.db");
  say(store ? "it was opened" : store.error().to_string());
}

TEST(Names, a_store_on_a_mount_that_is_read_only_is_refused) {
  const TestPlace place;
  make_store(place.url());
  const std::string said = answer("opens_on_a_mount_that_is_read_only", place.folder());
  if (said == "skip") GTEST_SKIP() << "mount namespaces need root";
  EXPECT_TRUE(said.starts_with("permission")) << said;
  EXPECT_NE(said.find("is mounted read-only"), std::string::npos) << said;
  EXPECT_EQ(place.listing(), "store.db");
}

// A process whose threads have the numbers that a container's first threads have: the first process
// of a PID namespace of its own. `work` runs there.
template <class Work>
bool as_first_of_a_pid_namespace(Work work) {
  if (!enter_own(CLONE_NEWPID, "PID")) return false;
  const pid_t child = ::fork();
  if (child == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    work();
    ::_exit(::testing::Test::HasFailure() ? 1 : 0);
  }
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return true;
}

// The first thread of each has the number 1.
SEMPER_CHILD(has_the_turn_in_a_container) {
  const bool ran = as_first_of_a_pid_namespace([] {
    auto sidecar = open_sidecar(child_argument());
    Turn turn(*sidecar);
    ASSERT_TRUE(turn.acquire());
    say("mine");
    // Until the parent's test has looked: its end of the pipe closes.
    ::pause();
  });
  if (!ran) say("skip");
}

SEMPER_CHILD(waits_for_the_turn_in_a_container) {
  const bool ran = as_first_of_a_pid_namespace([] {
    auto sidecar = open_sidecar(child_argument());
    Turn turn(*sidecar);
    sidecar->mine().pid.store(-1);
    say("waiting");
    static_cast<void>(turn.acquire());
    say("it got the turn");
  });
  if (!ran) say("skip");
}

TEST(Namespaces, a_process_that_dies_waiting_does_not_free_the_turn_of_its_double_elsewhere) {
  const TestPlace place;
  make_store(place.url());
  auto sidecar = open_sidecar(place.file());
  ASSERT_TRUE(sidecar);
  ChildProcess owner("has_the_turn_in_a_container", place.file());
  const std::string said = owner.read_line().value_or("");
  if (said == "skip") GTEST_SKIP() << "PID namespaces need root";
  ASSERT_EQ(said, "mine");
  {
    ChildProcess waiting("waits_for_the_turn_in_a_container", place.file());
    ASSERT_EQ(waiting.read_line(), "waiting");
    bool wants = false;
    while (!wants) {
      sidecar->for_each_other(
          [&](SidecarEntry& entry) { wants = wants || entry.wants_turn.load() != 0; });
    }
  }  // killed, with the process that waits
  sidecar->reap_dead_entries();
  Turn turn(*sidecar, std::chrono::milliseconds(100));
  const auto refused = turn.acquire();
  ASSERT_FALSE(refused) << "two processes have the turn";
  EXPECT_EQ(refused.error().kind(), ErrorKind::retry);
}

SEMPER_CHILD(commits_in_a_container) {
  const bool ran = as_first_of_a_pid_namespace([] {
    const auto store = open_store_at(child_argument());
    if (!store) return say(store.error().to_string());
    const auto done = put(*store, "key", "from the container");
    say(done ? "ok" : done.error().to_string());
    ::pause();
  });
  if (!ran) say("skip");
}

TEST(Namespaces, a_process_of_a_container_that_is_killed_leaves_the_turn_to_the_others) {
  const TestPlace place;
  const Store store = must_open(place.url());
  {
    ChildProcess child("commits_in_a_container", place.url());
    const std::string said = child.read_line().value_or("");
    if (said == "skip") GTEST_SKIP() << "PID namespaces need root";
    ASSERT_EQ(said, "ok");
    EXPECT_EQ(*get(store, "key"), "from the container");
    EXPECT_TRUE(put(store, "key", "from outside"));
  }
  const auto done = put(store, "key", "after its death");
  EXPECT_TRUE(done) << done.error().to_string();
  EXPECT_TRUE(wait_for(store.backend().check()));
}

}  // namespace
}  // namespace semper::sqlite
