#include "store_file.h"

#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <optional>
#include <thread>

#include "connection.h"
#include "env/sanitizer_test_support.h"
#include "test_place.h"

namespace semper::sqlite {
namespace {

// Everything that could have changed of a file and beside it.
struct Trace {
  std::string contents;
  std::string listing;
  std::int64_t modified_ns = 0;

  explicit Trace(const TestPlace& place)
      : contents(contents_of(place.file())), listing(place.listing()) {
    struct stat status {};
    ::stat(place.file().c_str(), &status);
    modified_ns = status.st_mtim.tv_sec * 1'000'000'000 + status.st_mtim.tv_nsec;
  }
  friend bool operator==(const Trace&, const Trace&) = default;
};

void execute(const std::string& file, const std::string& sql) {
  sqlite3* handle = nullptr;
  ASSERT_EQ(sqlite3_open(file.c_str(), &handle), SQLITE_OK);
  EXPECT_EQ(sqlite3_exec(handle, sql.c_str(), nullptr, nullptr, nullptr), SQLITE_OK)
      << sqlite3_errmsg(handle);
  sqlite3_close(handle);
}

Error refusal(const TestPlace& place) {
  const Trace before(place);
  const auto store = open_store_at(place.url());
  EXPECT_FALSE(store);
  EXPECT_TRUE(Trace(place) == before) << "the file was touched; now there is " << place.listing();
  return store ? Error(ErrorKind::internal, "it was opened") : store.error();
}

void patch(const std::string& path, std::size_t offset, const std::string& bytes) {
  auto contents = contents_of(path);
  contents.replace(offset, bytes.size(), bytes);
  write_file(path, contents);
}

// A store with some hundred rows, closed.
void make_store(const TestPlace& place) {
  const Store store = must_open(place.url());
  const auto filled = wait_for([](Store in) -> Async<Versionstamp> {
    auto transaction = in.begin();
    for (int i = 0; i < 500; ++i) transaction.set("key" + std::to_string(i), Bytes(100, 'v'));
    co_return co_await transaction.commit();
  }(store));
  ASSERT_TRUE(filled) << filled.error().to_string();
  ASSERT_TRUE(wait_for(store.close()));
}

TEST(StoreFile, a_new_store_leaves_one_file_when_it_is_closed) {
  const TestPlace place;
  make_store(place);
  EXPECT_EQ(place.listing(), "store.db");
  const auto header = contents_of(place.file()).substr(0, 100);
  EXPECT_EQ(header.substr(0, 16), std::string("SQLite format 3\0", 16));
  EXPECT_EQ(header.substr(68, 4), "Smpr");
}

TEST(StoreFile, an_empty_file_becomes_a_store) {
  const TestPlace place;
  write_file(place.file(), "");
  const Store store = must_open(place.url());
  ASSERT_TRUE(put(store, "key", "value"));
  EXPECT_EQ(*get(store, "key"), "value");
}

TEST(StoreFile, what_is_no_database_is_refused_untouched) {
  const TestPlace place;
  write_file(place.file(), "dear diary, ...");
  const Error error = refusal(place);
  EXPECT_EQ(error.kind(), ErrorKind::corrupt);
  EXPECT_NE(error.message().find(place.file()), std::string::npos);
}

TEST(StoreFile, a_store_with_a_damaged_first_page_is_refused_untouched) {
  const TestPlace place;
  make_store(place);
  patch(place.file(), 0, std::string(16, '\xaa'));
  EXPECT_EQ(refusal(place).kind(), ErrorKind::corrupt);
}

TEST(StoreFile, a_database_of_another_program_is_refused_untouched) {
  const TestPlace place;
  execute(place.file(), "CREATE TABLE notes(text); INSERT INTO notes VALUES('mine');");
  EXPECT_EQ(refusal(place).kind(), ErrorKind::invalid_argument);
}

TEST(StoreFile, a_store_of_a_newer_version_is_refused_untouched) {
  const TestPlace place;
  make_store(place);
  patch(place.file(), 60, std::string("\0\0\0\x02", 4));
  const Error error = refusal(place);
  EXPECT_EQ(error.kind(), ErrorKind::unsupported);
  EXPECT_NE(error.message().find("newer"), std::string::npos);
}

TEST(StoreFile, a_store_that_was_cut_short_is_refused_untouched) {
  const TestPlace place;
  make_store(place);
  std::filesystem::resize_file(place.file(), 8192);
  EXPECT_EQ(refusal(place).kind(), ErrorKind::corrupt);
}

TEST(StoreFile, a_log_without_its_store_is_not_replayed_into_a_new_one) {
  const TestPlace place;
  write_file(place.file() + "-wal", "the rest of something");
  EXPECT_EQ(refusal(place).kind(), ErrorKind::corrupt);
}

TEST(StoreFile, a_directory_in_its_place_is_refused) {
  const TestPlace place;
  std::filesystem::create_directory(place.file());
  const auto store = open_store_at(place.url());
  ASSERT_FALSE(store);
  EXPECT_EQ(store.error().kind(), ErrorKind::invalid_argument);
  EXPECT_EQ(place.listing(), "store.db");
}

TEST(StoreFile, what_an_interrupted_creation_left_is_replaced) {
  const TestPlace place;
  write_file(place.file() + "-semper-new", "half a store");
  write_file(place.file() + "-semper-new-wal", "half a log");
  make_store(place);
  EXPECT_EQ(place.listing(), "store.db");
}

TEST(StoreFile, many_openers_at_once_make_one_store) {
  const TestPlace place;
  constexpr int kOpeners = 12;
  std::vector<std::thread> openers;
  std::array<Result<Versionstamp>, kOpeners> stamps;
  for (int i = 0; i < kOpeners; ++i) {
    openers.emplace_back([&, i] {
      auto store = open_store_at(place.url());
      stamps[static_cast<std::size_t>(i)] =
          store ? put(*store, "from" + std::to_string(i), "x") : fail(store.error());
    });
  }
  for (auto& opener : openers) opener.join();
  const Store store = must_open(place.url());
  for (std::size_t i = 0; i < kOpeners; ++i) {
    ASSERT_TRUE(stamps[i]) << stamps[i].error().to_string();
    EXPECT_EQ(*get(store, "from" + std::to_string(i)), "x");
  }
}

TEST(StoreFile, a_byte_that_decayed_in_a_row_is_reported_and_not_returned) {
  const TestPlace place;
  make_store(place);
  auto contents = contents_of(place.file());
  const auto at = contents.find("key250") + 40;
  contents[at] = 'w';
  write_file(place.file(), contents);
  const Store store = must_open(place.url());
  const auto damaged = get(store, "key250");
  ASSERT_FALSE(damaged);
  EXPECT_EQ(damaged.error().kind(), ErrorKind::corrupt);
  EXPECT_NE(damaged.error().message().find(place.file()), std::string::npos);
  EXPECT_NE(damaged.error().message().find("key250"), std::string::npos);
  EXPECT_EQ(*get(store, "key3"), Bytes(100, 'v'));
  const auto checked = wait_for(store.backend().check());
  ASSERT_FALSE(checked);
  EXPECT_EQ(checked.error().kind(), ErrorKind::corrupt);
}

TEST(StoreFile, adding_to_a_decayed_number_does_not_launder_it) {
  const TestPlace place;
  {
    const Store store = must_open(place.url());
    ASSERT_TRUE(put(store, "number", "12345678"));
  }
  auto contents = contents_of(place.file());
  contents[contents.find("12345678")] = '9';
  write_file(place.file(), contents);
  const Store store = must_open(place.url());
  auto transaction = store.begin();
  transaction.add("number", 1);
  const auto added = wait_for(transaction.commit());
  ASSERT_FALSE(added);
  EXPECT_EQ(added.error().kind(), ErrorKind::corrupt);
  EXPECT_EQ(get(store, "number").error().kind(), ErrorKind::corrupt);
}

TEST(StoreFile, pages_full_of_rubbish_are_reported_and_never_overwritten) {
  const TestPlace place;
  make_store(place);
  auto contents = contents_of(place.file());
  for (std::size_t at = 3 * 4096; at < contents.size(); ++at) contents[at] = '\x5a';
  write_file(place.file(), contents);
  {
    const auto store = open_store_at(place.url());
    if (store) {
      const auto read = get(*store, "key250");
      ASSERT_FALSE(read);
      EXPECT_EQ(read.error().kind(), ErrorKind::corrupt);
      EXPECT_NE(read.error().message().find(place.file()), std::string::npos);
      const auto checked = wait_for(store->backend().check());
      ASSERT_FALSE(checked);
      EXPECT_EQ(checked.error().kind(), ErrorKind::corrupt);
    } else {
      EXPECT_EQ(store.error().kind(), ErrorKind::corrupt) << store.error().to_string();
    }
  }
  EXPECT_TRUE(contents_of(place.file()) == contents);
}

TEST(StoreFile, the_page_size_of_a_new_store_can_be_chosen) {
  const TestPlace place;
  {
    const Store store = must_open(place.url("page_size=8192"));
    ASSERT_TRUE(put(store, "key", Bytes(100'000, 'v')));
  }
  EXPECT_EQ(contents_of(place.file()).substr(16, 2), std::string("\x20\x00", 2));
  const Store again = must_open(place.url());
  EXPECT_EQ((*get(again, "key"))->size(), 100'000u);
}

// Copies, made by other means than ours.

std::string vacuumed_copy(const TestPlace& place, const std::string& before = "") {
  make_store(place);
  const std::string copy = place.folder() + "/copy.db";
  execute(place.file(), before + "VACUUM INTO '" + copy + "'");
  return copy;
}

std::uint32_t header_number(const std::string& file, std::size_t offset) {
  return load_big_endian_u32(contents_of(file).substr(offset, 4));
}

void expect_it_works(const std::string& file) {
  const Store store = must_open("sqlite:" + file);
  auto reader = store.begin();
  ASSERT_TRUE(wait_for(reader.get("key1")));
  for (int i = 0; i < 5; ++i) {
    const auto done = put(store, "key1", std::to_string(i));
    ASSERT_TRUE(done) << done.error().to_string();
  }
  EXPECT_EQ(*wait_for(reader.get("key1")), Bytes(100, 'v'));
  EXPECT_EQ(*get(store, "key1"), "4");
  const auto checked = wait_for(store.backend().check());
  EXPECT_TRUE(checked) << checked.error().to_string();
}

TEST(StoreFile, a_copy_by_vacuum_into_takes_commits_alongside_a_reader) {
  const TestPlace place;
  const std::string copy = vacuumed_copy(place);
  ASSERT_EQ(contents_of(copy).substr(18, 2), std::string("\1\1"))
      << "SQLite makes it otherwise now";
  expect_it_works(copy);
  EXPECT_EQ(contents_of(copy).substr(18, 2), std::string("\2\2"));
}

TEST(StoreFile, a_copy_in_the_place_of_a_store_does_not_get_the_log_that_lies_there) {
  const TestPlace place;
  const std::string copy = vacuumed_copy(place);
  write_file(copy + "-wal", "the newest commits of another file");
  const std::string contents = contents_of(copy);
  const auto store = open_store_at("sqlite:" + copy);
  ASSERT_FALSE(store);
  EXPECT_EQ(store.error().kind(), ErrorKind::corrupt);
  EXPECT_NE(store.error().message().find(copy + "-wal"), std::string::npos);
  EXPECT_TRUE(contents_of(copy) == contents);
}

TEST(StoreFile, a_copy_with_pages_of_another_size_works) {
  for (const char* size : {"512", "8192", "65536"}) {
    const TestPlace place;
    make_store(place);
    // Pages change their size in this mode only.
    execute(place.file(),
            std::string("PRAGMA journal_mode=DELETE; PRAGMA page_size=") + size + "; VACUUM");
    expect_it_works(place.file());
  }
}

TEST(StoreFile, a_store_that_was_told_to_vacuum_at_each_commit_is_told_otherwise) {
  const TestPlace place;
  make_store(place);
  execute(place.file(), "PRAGMA journal_mode=DELETE; PRAGMA auto_vacuum=FULL; VACUUM");
  ASSERT_NE(header_number(place.file(), 52), 0u);
  ASSERT_EQ(header_number(place.file(), 64), 0u);
  expect_it_works(place.file());
  EXPECT_EQ(header_number(place.file(), 64), 1u);
}

TEST(StoreFile, a_store_that_was_dumped_into_a_file_of_another_encoding_works) {
  const TestPlace place;
  make_store(place);
  const std::string copy = place.folder() + "/copy.db";
  const std::string command = "{ echo 'PRAGMA encoding=\"UTF-16be\"; PRAGMA application_id=" +
                              std::to_string(kApplicationId) +
                              "; PRAGMA user_version=1;'; sqlite3 '" + place.file() +
                              "' .dump; } | sqlite3 '" + copy + "'";
  if (std::system(command.c_str()) != 0) GTEST_SKIP() << "the sqlite3 tool is not installed";
  ASSERT_EQ(header_number(copy, 56), 3u);
  expect_it_works(copy);
}

TEST(StoreFile, a_file_of_a_newer_sqlite_is_refused_untouched) {
  const TestPlace place;
  make_store(place);
  for (const std::size_t offset : {18, 19}) {
    const std::string whole = contents_of(place.file());
    patch(place.file(), offset, "\3");
    EXPECT_EQ(refusal(place).kind(), ErrorKind::unsupported);
    write_file(place.file(), whole);
  }
  patch(place.file(), 44, std::string("\0\0\0\5", 4));
  EXPECT_EQ(refusal(place).kind(), ErrorKind::unsupported);
}

TEST(StoreFile, an_impossible_first_page_is_refused_untouched) {
  const TestPlace place;
  make_store(place);
  const std::string whole = contents_of(place.file());
  const std::pair<std::size_t, std::string> wrong[] = {
      {16, std::string("\3\0", 2)}, {18, std::string("\0\0", 2)}, {56, "\7\7\7\7"}};
  for (const auto& [offset, bytes] : wrong) {
    patch(place.file(), offset, bytes);
    EXPECT_EQ(refusal(place).kind(), ErrorKind::corrupt) << offset;
    write_file(place.file(), whole);
  }
}

TEST(StoreFile, a_copy_that_lacks_a_table_is_corrupt) {
  const TestPlace place;
  make_store(place);
  execute(place.file(), "DROP TABLE write_conflicts");
  const auto store = open_store_at(place.url());
  ASSERT_FALSE(store);
  EXPECT_EQ(store.error().kind(), ErrorKind::corrupt) << store.error().to_string();
  EXPECT_NE(store.error().message().find("tables of a store"), std::string::npos);
}

TEST(StoreFile, a_healthy_store_is_described_by_the_check) {
  const TestPlace place;
  make_store(place);
  const Store store = must_open(place.url());
  const auto checked = wait_for(store.backend().check());
  ASSERT_TRUE(checked) << checked.error().to_string();
  EXPECT_NE(checked->find("500 keys"), std::string::npos) << *checked;
}

TEST(StoreFile, the_log_of_another_store_is_not_replayed_and_left_as_it_is) {
  const TestPlace place;
  const std::string other = place.folder() + "/other.db";
  {
    const Store store = must_open("sqlite:" + other);
    ASSERT_TRUE(put(store, "whose", "other"));
    ASSERT_TRUE(wait_for(store.close()));
  }
  const Store store = must_open(place.url());
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(put(store, "key" + std::to_string(i), "value"));
  // A file that was copied over the one of a process that has crashed.
  const std::string crashed = place.folder() + "/crashed.db";
  const std::string log = contents_of(place.file() + "-wal");
  write_file(crashed, contents_of(other));
  write_file(crashed + "-wal", log);
  const auto refused = open_store_at("sqlite:" + crashed);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::corrupt) << refused.error().to_string();
  EXPECT_NE(refused.error().message().find("another store"), std::string::npos);
  EXPECT_EQ(contents_of(crashed), contents_of(other));
  EXPECT_EQ(contents_of(crashed + "-wal"), log);
  // With its own it is taken.
  write_file(crashed, contents_of(place.file()));
  EXPECT_EQ(*get(must_open("sqlite:" + crashed), "key9"), "value");
}

TEST(StoreFile, no_store_is_made_where_another_one_has_its_log) {
  const TestPlace place;
  const Store store = must_open(place.url());
  const std::string before = place.listing();
  for (const char* suffix : {"-wal", "-journal", "-semper-new"}) {
    const auto refused = open_store_at(place.url() + suffix);
    ASSERT_FALSE(refused) << suffix;
    EXPECT_EQ(refused.error().kind(), ErrorKind::invalid_argument) << refused.error().to_string();
  }
  EXPECT_EQ(place.listing(), before);
  ASSERT_TRUE(put(store, "key", "1"));
  EXPECT_TRUE(open_store_at("sqlite:" + place.folder() + "/other-wal")) << "of nobody's store";
}

// Whatever it is that finds no descriptor any more: no other reason is made up.
TEST(StoreFile, one_that_descriptors_run_out_for_halfway_is_opened_or_says_so) {
  SEMPER_LEAVES_NO_DESCRIPTOR();
  constexpr rlim_t kMost = 40;
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  for (const bool others_have_it_open : {false, true}) {
    const TestPlace place;
    std::optional<Store> store = must_open(place.url());
    ASSERT_TRUE(put(*store, "key", "1"));
    if (!others_have_it_open) store.reset();
    const int free = ::dup(STDIN_FILENO);
    ASSERT_GE(free, 0);
    ::close(free);
    bool was_opened = false;
    for (rlim_t more = 0; more < kMost && !was_opened; ++more) {
      rlimit few = before;
      few.rlim_cur = static_cast<rlim_t>(free) + more;
      ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &few), 0);
      const auto opened = open_store_at(place.url());
      ::setrlimit(RLIMIT_NOFILE, &before);
      was_opened = opened.has_value();
      if (opened) continue;
      EXPECT_EQ(opened.error().kind(), ErrorKind::exhausted)
          << more << " descriptors: " << opened.error().to_string();
    }
    EXPECT_TRUE(was_opened);
    EXPECT_EQ(*get(must_open(place.url()), "key"), "1");
  }
}

TEST(StoreFile, one_that_no_descriptor_is_left_for_is_not_called_forbidden) {
  SEMPER_LEAVES_NO_DESCRIPTOR();
  const TestPlace place;
  const Store store = must_open(place.url());
  ASSERT_TRUE(put(store, "key", "1"));
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit none = before;
  none.rlim_cur = 0;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  const auto refused = open_store_at(place.url());
  const auto unread = get(store, "key");
  ::setrlimit(RLIMIT_NOFILE, &before);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::exhausted) << refused.error().to_string();
  ASSERT_FALSE(unread);
  EXPECT_NE(unread.error().message().find("files open"), std::string::npos)
      << unread.error().to_string();
  EXPECT_EQ(*get(store, "key"), "1");
}

}  // namespace
}  // namespace semper::sqlite
