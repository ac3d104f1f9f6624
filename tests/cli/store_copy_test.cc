// One store into another: store copy. Killed, interrupted, refused, verified; and queues keep their
// order.
#include <signal.h>

#include <filesystem>

#include "hosted.h"
#include "semper/semper.h"
#include "semper/store/directory.h"
#include "tool.h"

namespace semper::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// The record of an unfinished copy, as people reach it.
constexpr const char* kRecordKey = "\\xff/semper/copy";
constexpr int kManyRows = 60'000;  // several batches
// A target that is larger, with its log, holds one batch at least (10,000 rows), and far from all
// six.
constexpr std::uintmax_t kSomeRowsBytes = 12'000'000;

struct Log {
  static constexpr std::string_view kName = "Log";
  using State = std::vector<std::int64_t>;
  struct Note {
    std::int64_t number = 0;
  };
  using Messages = semper::Messages<Note>;

  Result<State> init(const EntityId&) { return State(); }
  void handle_cast(const Note& note, State& state, Context&) { state.push_back(note.number); }
};

class CliStoreCopy : public CliTest {
 protected:
  void SetUp() override {
    CliTest::SetUp();
    create_store();
  }

  std::string target() const { return "sqlite:" + path("target.db"); }

  Words copy_words(Words options = {}) const {
    Words words = {"store", "copy", url(), target()};
    words.insert(words.end(), options.begin(), options.end());
    return words;
  }
  Ran copy(Words options = {}) const { return run_tool(copy_words(std::move(options))); }
  void must_copy(Words options = {}) const {
    const Ran ran = copy(std::move(options));
    EXPECT_EQ(ran.code, 0) << ran;
    EXPECT_THAT(ran.out, HasSubstr("on both sides"));
  }
  void copy_refused(int code, const std::string& words_of_error, Words options = {}) const {
    const Ran ran = copy(std::move(options));
    EXPECT_EQ(ran.code, code) << ran;
    EXPECT_THAT(ran.err, HasSubstr(words_of_error));
  }
  void expect_same() const {
    const Ran ran = copy({"--compare"});
    EXPECT_EQ(ran.code, 0) << ran;
  }

  Ran in_target(Words words) const {
    words.insert(words.begin(), {"--store", target()});
    return run_tool(std::move(words));
  }

  // `rows` keys of this process's own making.
  void fill(int rows) {
    Scheduler scheduler;
    auto store = scheduler.block_on(open_store(url()));
    ASSERT_TRUE(store) << store.error().to_string();
    constexpr int kRowsAtOnce = 5000;
    for (int first = 0; first < rows; first += kRowsAtOnce) {
      const auto write = [&](Transaction& transaction) -> Async<void> {
        for (int i = first; i < std::min(rows, first + kRowsAtOnce); ++i) {
          const std::string number = std::to_string(1'000'000 + i);
          transaction.set("row/" + number, std::string(300, static_cast<char>(i)) + number);
        }
        co_return Status{};
      };
      const auto written = scheduler.block_on(store->transact(write));
      ASSERT_TRUE(written) << written.error().to_string();
    }
    ASSERT_TRUE(scheduler.block_on(store->close()));
  }

  // A copy that stands still (SIGSTOP) in the middle of its work, whatever it found in the target.
  ChildProcess frozen_copy() {
    constexpr int kAttempts = 20;
    for (int attempt = 0; attempt < kAttempts; ++attempt) {
      auto tool = start_tool(copy_words());
      const auto is_copying = [&] {
        return tool.has_written("measured") &&
               size_of(path("target.db")) + size_of(path("target.db-wal")) > kSomeRowsBytes;
      };
      EXPECT_TRUE(wait_until([&] { return is_copying() || !tool.is_running(); }));
      if (tool.freeze()) return tool;
      EXPECT_EQ(tool.finish(), 0) << tool.errors();
      for (const char* name : {"target.db", "target.db-wal", "target.db-semper"}) {
        std::filesystem::remove(path(name));  // it was too quick for us; once more
      }
    }
    ADD_FAILURE() << "no copy could be stopped midway in " << kAttempts << " attempts";
    return start_tool(copy_words());
  }
  // Of a file that may not be there.
  static std::uintmax_t size_of(const std::string& file) {
    std::error_code error;
    const auto size = std::filesystem::file_size(file, error);
    return error ? 0 : size;
  }
  std::uint64_t rows_recorded() const {
    if (!std::filesystem::exists(path("target.db"))) return 0;
    const Ran ran = in_target({"store", "get", kRecordKey});
    return ran.code == 0 ? parse_json(ran.out)[6].get<std::uint64_t>() : 0;
  }
};

TEST_F(CliStoreCopy, a_copy_is_the_same_as_its_source) {
  {
    const HostedStore host(url());
    must({"call", "Counter/x", "Add", "[2]"});
    must({"cast", "Fragile/glass", "Break", R"(["loudly"])"});
    ASSERT_TRUE(wait_until([&] {
      return must_json({"show", "Fragile/glass"})["dead_letters"] == 1;
    }));
  }
  fill(3000);
  must({"store", "set", "empty", "", "--as", "text"});
  const Ran ran = copy();
  EXPECT_EQ(ran.code, 0) << ran;
  EXPECT_EQ(ran.err, "");
  EXPECT_EQ(lines_of(ran.out).size(), 3u) << ran;
  expect_same();
  EXPECT_EQ(in_target({"show", "Counter/x", "--json"}).out,
            run({"show", "Counter/x", "--json"}).out);
  EXPECT_EQ(in_target({"dead", "Fragile/glass", "--json"}).out,
            run({"dead", "Fragile/glass", "--json"}).out);
  EXPECT_EQ(in_target({"store", "get", kRecordKey}).code, 3) << "the record was left behind";
}

TEST_F(CliStoreCopy, the_result_can_be_read_by_a_script) {
  fill(10);
  const auto result = parse_json(copy({"--json"}).out);
  EXPECT_EQ(result["result"], "copied");
  EXPECT_EQ(result["source"]["keys"], 10);
  EXPECT_EQ(result["source"], result["target"]);
  EXPECT_EQ(result["resumed"], false);
}

// The trap: a target at a lower version would give stamps that sort before those that were copied.
TEST_F(CliStoreCopy, messages_sent_after_a_copy_come_behind_those_that_were_copied) {
  for (int i = 0; i < 40; ++i) must({"store", "set", "k", std::to_string(i)});
  for (const char* content : {"[1]", "[2]", "[3]"})
    must({"cast", "Log/l", "Note", content, "--force"});
  must_copy();
  for (const char* content : {"[4]", "[5]"}) {
    EXPECT_EQ(in_target({"cast", "Log/l", "Note", content, "--force"}).code, 0);
  }
  Scheduler scheduler;
  auto store = scheduler.block_on(open_store(target()));
  ASSERT_TRUE(store) << store.error().to_string();
  {
    Host host(*store);
    host.serve<Log>();
    ASSERT_TRUE(scheduler.block_on(host.start()));
    ASSERT_TRUE(wait_until([&] {
      const auto view = scheduler.block_on(inspect(*store, EntityId{"Log", "l"}));
      return view && view->queue_length == 0;
    }));
    ASSERT_TRUE(scheduler.block_on(host.stop()));
  }
  const auto view = scheduler.block_on(inspect(*store, EntityId{"Log", "l"}));
  EXPECT_EQ(decode<Log::State>(view->state.value()).value(), (Log::State{1, 2, 3, 4, 5}));
  ASSERT_TRUE(scheduler.block_on(store->close()));
}

TEST_F(CliStoreCopy, a_killed_copy_is_resumed_and_loses_no_row) {
  fill(kManyRows);
  auto tool = frozen_copy();
  tool.kill_hard();
  const auto before = rows_recorded();
  ASSERT_GT(before, 0u);
  ASSERT_LT(before, static_cast<std::uint64_t>(kManyRows))
      << "the copy was too quick for this test";
  const auto result = parse_json(copy({"--json"}).out);
  EXPECT_EQ(result["resumed"], true);
  EXPECT_EQ(result["target"]["keys"], kManyRows);
  expect_same();
}

TEST_F(CliStoreCopy, an_interrupted_copy_says_how_to_go_on) {
  fill(kManyRows);
  for (const int number : {SIGTERM, SIGINT, SIGHUP}) {
    auto tool = frozen_copy();
    tool.send_signal(number);
    tool.send_signal(SIGCONT);
    EXPECT_EQ(tool.finish(), 1) << tool.errors();
    EXPECT_THAT(tool.errors(), HasSubstr("the same command goes on from there"));
  }
  must({"store", "set", "row/1000001", "changed", "--as", "text"});
  must({"store", "clear", "row/1000002"});
  must_copy();
  expect_same();
}

TEST_F(CliStoreCopy, a_target_that_changed_meanwhile_does_not_pass_for_verified) {
  fill(kManyRows);
  frozen_copy().kill_hard();
  ASSERT_GT(rows_recorded(), 0u);
  EXPECT_EQ(in_target({"store", "set", "row/1000001", "changed", "--as", "text"}).code, 0);
  EXPECT_EQ(in_target({"store", "clear", "row/1000003"}).code, 0);
  const Ran ran = copy();
  EXPECT_EQ(ran.code, 6) << ran;
  EXPECT_THAT(ran.err, HasSubstr("2 keys differ, the first is row/1000001"));
  EXPECT_THAT(ran.out, HasSubstr("another value: row/1000001\nonly in the source: row/1000003\n"));
  must_copy({"--overwrite", "--yes"});
  expect_same();
}

TEST_F(CliStoreCopy, what_the_target_holds_is_deleted_only_when_that_is_confirmed) {
  fill(10);
  EXPECT_EQ(in_target({"store", "create"}).code, 0);
  EXPECT_EQ(in_target({"store", "set", "mine", "1"}).code, 0);
  copy_refused(1, "holds keys already");
  copy_refused(2, "deletes whatever else it holds", {"--overwrite"});
  EXPECT_EQ(in_target({"store", "get", "mine"}).out, "1\n");
  must_copy({"--overwrite", "--yes"});
  EXPECT_EQ(in_target({"store", "get", "mine"}).code, 3);
  expect_same();
  copy_refused(1, "holds keys already");
}

TEST_F(CliStoreCopy, an_unfinished_copy_is_not_continued_from_another_source) {
  fill(kManyRows);
  frozen_copy().kill_hard();
  const std::string other = "sqlite:" + path("other.db");
  EXPECT_EQ(run_tool({"--store", other, "store", "set", "k", "1"}).code, 3);
  EXPECT_EQ(run_tool({"--store", other, "store", "create"}).code, 0);
  const Ran ran = run_tool({"store", "copy", other, target()});
  EXPECT_EQ(ran.code, 1) << ran;
  EXPECT_THAT(ran.err, HasSubstr("holds an unfinished copy of " + url()));
}

TEST_F(CliStoreCopy, a_source_in_use_is_refused_without_online_and_a_target_in_use_always) {
  fill(100);
  {
    const HostedStore host(url());
    must({"call", "Counter/x", "Add", "[2]"});
    copy_refused(7, "is in use by host host of the test");
    copy_refused(7, "is in use by", {"--check"});
    const Ran prepared = copy({"--online"});
    EXPECT_EQ(prepared.code, 0) << prepared;
    EXPECT_THAT(prepared.out, HasSubstr("prepared"));
    EXPECT_THAT(prepared.out, Not(HasSubstr("verified")));
    must({"call", "Counter/x", "Add", "[3]"});
  }
  must_copy();
  expect_same();
  const HostedStore host(target());
  EXPECT_EQ(in_target({"call", "Counter/x", "Read"}).out, "5\n");
  copy_refused(7, "nothing is copied into a store that is in use", {"--overwrite", "--yes"});
}

TEST_F(CliStoreCopy, a_host_of_a_tenant_stops_a_copy) {
  Scheduler scheduler;
  auto store = scheduler.block_on(open_store(url()));
  ASSERT_TRUE(store);
  const DirectoryLayer directories(store->env());
  const auto directory = scheduler.block_on(store->transact([&](Transaction& transaction) {
    const DirectoryPath path = {"customers", "ann"};
    return directories.create_or_open(transaction, path);
  }));
  ASSERT_TRUE(directory);
  Host host(Tenant(*store, directory->contents.prefix()));
  host.serve<Log>();
  ASSERT_TRUE(scheduler.block_on(host.start()));
  copy_refused(7, "is in use by host");
  ASSERT_TRUE(scheduler.block_on(host.stop()));
  must_copy();
  ASSERT_TRUE(scheduler.block_on(store->close()));
}

TEST_F(CliStoreCopy, a_dead_host_does_not_stop_a_copy) {
  // ("s", 5, "00ff") behind the tenant's prefix: a host that was killed.
  must({"store", "set", "0x0273001505023030666600", R"(["dead one", 7, 0, []])", "--yes"});
  const Ran ran = copy();
  EXPECT_EQ(ran.code, 0) << ran;
  EXPECT_THAT(ran.err, HasSubstr("host dead one, silent for 10 s and so taken for dead"));
  expect_same();
}

TEST_F(CliStoreCopy, a_check_writes_nothing) {
  fill(10);
  copy_refused(3, "there is no store at", {"--check"});
  EXPECT_FALSE(std::filesystem::exists(path("target.db")));
  EXPECT_EQ(in_target({"store", "create"}).code, 0);
  const auto result = parse_json(copy({"--check", "--json"}).out);
  EXPECT_EQ(result["result"], "possible");
  EXPECT_EQ(result["source"]["keys"], 10);
  EXPECT_GT(result["source_version"], result["target_version"]);
  EXPECT_EQ(in_target({"store", "range", "--limit", "0"}).out, "");
  EXPECT_EQ(parse_json(in_target({"store", "info", "--json"}).out)["version"],
            result["target_version"]);
  EXPECT_EQ(in_target({"store", "set", "k", "1"}).code, 0);
  copy_refused(1, "holds keys already", {"--check"});
}

TEST_F(CliStoreCopy, compare_names_what_differs) {
  fill(10);
  must_copy();
  EXPECT_EQ(in_target({"store", "set", "zz", "1"}).code, 0);
  copy_refused(7, "1 keys of", {"--compare"});
  const auto result = parse_json(copy({"--compare", "--json"}).out);
  EXPECT_EQ(result["differences"], 1);
  EXPECT_EQ(result["named"][0]["key"], "zz");
  EXPECT_EQ(result["named"][0]["difference"], "only in the target");
}

TEST_F(CliStoreCopy, a_copy_that_makes_no_sense_is_refused) {
  const auto refuse = [](int code, const std::string& words_of_error, Words words) {
    const Ran ran = run_tool(std::move(words));
    EXPECT_EQ(ran.code, code) << ran;
    EXPECT_THAT(ran.err, HasSubstr(words_of_error));
  };
  refuse(2, "the same store", {"store", "copy", url(), url()});
  refuse(2, "memory: store lives in the process", {"store", "copy", url(), "memory:"});
  refuse(2, "leave --tenant out", {"--tenant", "a", "store", "copy", url(), target()});
  refuse(2, "no store scheme", {"store", "copy", url(), "nosuch:thing"});
  refuse(2, "TO is required", {"store", "copy", url()});
  refuse(2, "excludes", {"store", "copy", url(), target(), "--check", "--compare"});
  refuse(3, "there is no store at", {"store", "copy", "sqlite:" + path("absent.db"), target()});
  EXPECT_FALSE(std::filesystem::exists(path("target.db")));
}

}  // namespace
}  // namespace semper::testing
