// What happens to a store whose files are deleted, moved or replaced while it is open.
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <filesystem>

#include "connection.h"
#include "fault_vfs.h"
#include "semper/testing/child_process.h"
#include "semper/testing/simulated_clock.h"
#include "test_place.h"

namespace semper::sqlite {
namespace {

using testing::child_argument;
using testing::ChildProcess;
using testing::say;

namespace fs = std::filesystem;

// Makes a closed store beside the one of the test.
std::string another_store(const TestPlace& place) {
  const std::string file = place.folder() + "/other.db";
  const Store store = must_open("sqlite:" + file);
  EXPECT_TRUE(put(store, "whose", "other"));
  EXPECT_TRUE(wait_for(store.close()));
  return file;
}

// Commits until one fails; none after `at_most`.
Error first_refusal(const Store& store, int at_most = 3) {
  for (int i = 0; i < at_most; ++i) {
    const auto done = put(store, "after", std::to_string(i));
    if (!done) return done.error();
  }
  return Error(ErrorKind::internal, "every commit was acknowledged");
}

void expect_lost(const Store& store, const std::string& name, const std::string& what) {
  const Error error = first_refusal(store, 1);
  EXPECT_EQ(error.kind(), ErrorKind::io) << error.to_string();
  EXPECT_NE(error.message().find(name), std::string::npos) << error.message();
  EXPECT_NE(error.message().find(what), std::string::npos) << error.message();
  EXPECT_NE(error.message().find("open it again"), std::string::npos) << error.message();
  const auto again = put(store, "again", "x");
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().kind(), ErrorKind::io);
  const auto read = get(store, "before");
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().kind(), ErrorKind::io);
}

TEST(Place, a_deleted_store_acknowledges_nothing_more) {
  const TestPlace place;
  const Store store = must_open(place.url());
  ASSERT_TRUE(put(store, "before", "1"));
  ASSERT_EQ(::unlink(place.file().c_str()), 0);
  expect_lost(store, place.file(), "was deleted or moved");
}

TEST(Place, a_log_that_was_cut_short_in_place_takes_nothing_more) {
  const TestPlace place;
  const Store store = must_open(place.url());
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(put(store, "before", std::to_string(i)));
  ASSERT_EQ(::truncate((place.file() + "-wal").c_str(), 0), 0);
  expect_lost(store, place.file() + "-wal", "was cut short");
}

TEST(Place, a_log_that_is_cut_short_while_it_is_written_to_acknowledges_nothing) {
  const TestPlace place;
  FaultVfs vfs("cut-short");
  std::atomic<bool> cut = false;
  vfs.set_plan({[&](FaultFile on, FaultOperation doing) {
    const bool now = on == FaultFile::wal && doing == FaultOperation::write;
    if (now && !cut.exchange(true)) {
      EXPECT_EQ(::truncate((place.file() + "-wal").c_str(), 0), 0);
    }
    return SQLITE_OK;
  }});
  const Store store = must_open(place.url("vfs=cut-short"));
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(put(store, "before", std::to_string(i)));
  vfs.arm();
  EXPECT_FALSE(put(store, "after", "1"));
  EXPECT_TRUE(cut.load());
  const auto again = put(store, "again", "1");
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().kind(), ErrorKind::io) << again.error().to_string();
}

TEST(Place, a_log_that_another_program_has_emptied_properly_is_no_loss) {
  const TestPlace place;
  const Store store = must_open(place.url());
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(put(store, "before", std::to_string(i)));
  ConnectionOptions how;
  how.path = place.file();
  {
    auto stranger = Connection::open(how);
    ASSERT_TRUE(stranger);
    ASSERT_TRUE(stranger->execute("PRAGMA wal_checkpoint(TRUNCATE)"));
  }
  ASSERT_EQ(fs::file_size(place.file() + "-wal"), 0u);
  EXPECT_TRUE(put(store, "after", "1"));
  EXPECT_EQ(*get(store, "before"), "99");
  EXPECT_EQ(figure(store, "recoveries"), 0);
}

TEST(Place, a_store_that_was_moved_away_acknowledges_nothing_more) {
  const TestPlace place;
  const Store store = must_open(place.url());
  ASSERT_TRUE(put(store, "before", "1"));
  fs::rename(place.file(), place.folder() + "/elsewhere.db");
  expect_lost(store, place.file(), "was deleted or moved");
}

TEST(Place, a_replaced_store_acknowledges_nothing_more_and_the_new_file_stays_as_it_is) {
  const TestPlace place;
  const std::string other = another_store(place);
  const std::string contents = contents_of(other);
  Store store = must_open(place.url());
  ASSERT_TRUE(put(store, "before", "1"));
  fs::rename(other, place.file());
  expect_lost(store, place.file(), "was replaced by another file");
  EXPECT_TRUE(contents_of(place.file()) == contents);
  ASSERT_TRUE(wait_for(store.close()));
  EXPECT_TRUE(contents_of(place.file()) == contents);
}

TEST(Place, a_store_whose_folder_was_moved_acknowledges_nothing_more) {
  const TestPlace place;
  const std::string folder = place.folder() + "/in";
  fs::create_directory(folder);
  const Store store = must_open("sqlite:" + folder + "/store.db");
  ASSERT_TRUE(put(store, "before", "1"));
  fs::rename(folder, place.folder() + "/out");
  expect_lost(store, folder + "/store.db", "was deleted or moved");
}

TEST(Place, a_store_whose_log_was_deleted_acknowledges_nothing_more_and_keeps_what_it_had) {
  const TestPlace place;
  {
    const Store store = must_open(place.url());
    ASSERT_TRUE(put(store, "before", "1"));
    ASSERT_EQ(::unlink((place.file() + "-wal").c_str()), 0);
    expect_lost(store, place.file() + "-wal", "was deleted or moved");
    ASSERT_TRUE(wait_for(store.close()));
  }
  const Store store = must_open(place.url());
  const auto kept = get(store, "before");
  ASSERT_TRUE(kept) << kept.error().to_string();
  EXPECT_EQ(kept->value_or("gone with its log"), "1");
}

TEST(Place, a_store_whose_index_of_the_log_was_deleted_acknowledges_nothing_more) {
  const TestPlace place;
  const Store store = must_open(place.url());
  ASSERT_TRUE(put(store, "before", "1"));
  ASSERT_EQ(::unlink((place.file() + "-shm").c_str()), 0);
  expect_lost(store, place.file() + "-shm", "was deleted or moved");
}

TEST(Place, a_second_handle_of_the_process_does_not_take_a_deleted_index_for_its_own) {
  const TestPlace place;
  const Store store = must_open(place.url());
  ASSERT_TRUE(put(store, "before", "1"));
  ASSERT_EQ(::unlink((place.file() + "-shm").c_str()), 0);
  const auto second = open_store_at(place.url());
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().kind(), ErrorKind::io) << second.error().to_string();
}

TEST(Place, a_replaced_store_is_not_read_either) {
  const TestPlace place;
  const std::string other = another_store(place);
  testing::SimulatedClock clock;
  const Store store = must_open(place.url("readers=4"), Env{.clock = &clock});
  ASSERT_TRUE(put(store, "whose", "mine"));
  auto held = store.begin();  // so that the next read opens a connection of its own
  ASSERT_TRUE(wait_for(held.get("whose")));
  ASSERT_TRUE(put(store, "whose", "still mine"));
  fs::rename(other, place.file());
  const auto read = get(store, "whose");
  ASSERT_FALSE(read) << read->value_or("nothing");
  EXPECT_EQ(read.error().kind(), ErrorKind::io) << read.error().to_string();
}

TEST(Place, watches_on_a_deleted_store_fire) {
  const TestPlace place;
  const Store store = must_open(place.url());
  ASSERT_TRUE(put(store, "key", "1"));
  auto watch = [&] {
    auto transaction = store.begin();
    return wait_for(transaction.watch("key"));
  }();
  ASSERT_TRUE(watch);
  ASSERT_EQ(::unlink(place.file().c_str()), 0);
  const auto fired = wait_for((*watch)->changed(system_clock().after(std::chrono::seconds(60))));
  EXPECT_TRUE(fired) << fired.error().to_string();
  EXPECT_EQ(get(store, "key").error().kind(), ErrorKind::io);
}

SEMPER_CHILD(opens_a_store_and_keeps_it) {
  const Store store = must_open(child_argument());
  ASSERT_TRUE(put(store, "whose", "the child's"));
  say("open");
  ::pause();
}

TEST(Place, a_store_is_not_opened_alongside_processes_that_have_the_file_that_it_replaced) {
  const TestPlace place;
  const std::string other = another_store(place);
  ChildProcess child("opens_a_store_and_keeps_it", place.url());
  ASSERT_EQ(child.read_line(), "open");
  fs::rename(other, place.file());
  // Without it the old log would be replayed into the new file, which is the file's own trouble.
  fs::remove(place.file() + "-wal");
  fs::remove(place.file() + "-shm");
  const auto refused = open_store_at(place.url());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::io) << refused.error().to_string();
  EXPECT_NE(refused.error().message().find("replaced"), std::string::npos);
  child.kill_hard();
  child.wait();
  const Store store = must_open(place.url());
  EXPECT_EQ(*get(store, "whose"), "other");
}

TEST(Place, the_sidecar_of_an_idle_store_is_looked_at_when_it_is_used_again) {
  const TestPlace place;
  const Store store = must_open(place.url());
  ASSERT_TRUE(put(store, "before", "1"));
  ASSERT_EQ(::unlink((place.file() + "-semper").c_str()), 0);
  const Error error = first_refusal(store, 1);
  EXPECT_EQ(error.kind(), ErrorKind::io) << error.to_string();
  EXPECT_NE(error.message().find("-semper was deleted"), std::string::npos) << error.message();
}

}  // namespace
}  // namespace semper::sqlite
