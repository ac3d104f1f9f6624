// Keys and values, watching, rates, and the bench: store get|set|clear|range|watch|create|check|
// info, stats, bench.
#include <algorithm>
#include <csignal>
#include <filesystem>

#include "hosted.h"
#include "tool.h"

namespace semper::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using nlohmann::json;

class CliStore : public CliTest {
 protected:
  void SetUp() override {
    CliTest::SetUp();
    create_store();
  }

  // Starts a command that runs until it is told to end, waits for `text`, sends the signal.
  void ends_in_order(Words words, const std::string& text, int signal_number) {
    auto tool = start(std::move(words));
    ASSERT_TRUE(wait_until([&] { return tool.has_written(text); })) << tool.errors();
    tool.send_signal(signal_number);
    EXPECT_EQ(tool.finish(), 0) << tool.errors();
    EXPECT_EQ(tool.errors(), "");
  }
};

TEST_F(CliStore, a_value_comes_back_as_it_was_set) {
  must({"store", "set", R"(("users", 42))", R"({"name": "Ann", "age": 1.0})"});
  EXPECT_EQ(must({"store", "get", R"(("users",42))"}), "{\"name\":\"Ann\",\"age\":1.0}\n");
  const auto row = must_json({"store", "get", R"(("users", 42))"});
  EXPECT_EQ(row["key"], R"(("users", 42))");
  EXPECT_EQ(row["value"]["name"], "Ann");
  EXPECT_EQ(row["key_hex"], "02757365727300152a");
  must({"store", "set", "greeting", "hello", "--as", "text"});
  EXPECT_EQ(must({"store", "get", "greeting", "--as", "text"}), "hello\n");
  EXPECT_EQ(must({"store", "get", "greeting", "--as", "raw"}), "hello");
  EXPECT_EQ(must({"store", "get", "0x6772656574696e67", "--as", "hex"}), "68656c6c6f\n");
  must({"store", "set", "a\\x00", "00ff", "--as", "hex"});
  EXPECT_EQ(must({"store", "get", "0x6100"}), "\\x00\\xff\n");
  must({"store", "set", R"(("hits",))", "-7", "--as", "int"});
  EXPECT_EQ(must({"store", "get", R"(("hits",))", "--as", "int"}), "-7\n");
  EXPECT_EQ(must_json({"store", "clear", "greeting"})["done"], "clear");
  refused(3, "nothing is stored at key", {"store", "get", "greeting"});
  refused(3, "nothing is stored at key", {"store", "clear", "greeting"});
}

TEST_F(CliStore, a_range_is_in_order_and_keeps_to_its_bounds) {
  for (int i = 0; i < 4; ++i) {
    must({"store", "set", "(\"n\", " + std::to_string(i) + ")", std::to_string(i * i)});
  }
  must({"store", "set", R"(("m",))", "true"});
  EXPECT_EQ(must({"store", "range", R"(("n",))"}),
            "(\"n\", 0)  0\n(\"n\", 1)  1\n(\"n\", 2)  4\n(\"n\", 3)  9\n");
  EXPECT_EQ(must({"store", "range", "--from", R"(("n", 1))", "--to", R"(("n", 3))", "--reverse"}),
            "(\"n\", 2)  4\n(\"n\", 1)  1\n");
  const auto rows = must_json_lines({"store", "range", "--limit", "2"});
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0]["key"], R"(("m"))");
  EXPECT_EQ(rows[1]["value"], 0);
  EXPECT_EQ(must_json_lines({"store", "range", "--limit", "0"}).size(), 5u);
  EXPECT_THAT(run({"store", "range", "--limit", "2"}).err, HasSubstr("--limit 0"));
}

TEST_F(CliStore, keys_of_entities_are_changed_only_when_that_is_confirmed) {
  must({"cast", "Counter/x", "Add", "--force"});
  const auto rows = must_json_lines({"store", "range"});
  ASSERT_FALSE(rows.empty());
  const std::string key = rows[0]["key"];
  refused(2, "belongs to entities", {"store", "set", key, "1"});
  refused(2, "belongs to entities", {"store", "clear", key});
  refused(2, "belongs to the directories", {"store", "set", "0xfe01", "1"});
  refused(2, "belongs to Semper itself", {"store", "set", "0xff01", "1", "--as", "text"});
  EXPECT_EQ(must_json_lines({"store", "range"}), rows);
  must({"store", "clear", key, "--yes"});
  EXPECT_EQ(must_json_lines({"store", "range"}).size(), rows.size() - 1);
}

TEST_F(CliStore, a_key_or_value_that_cannot_be_read_is_refused) {
  refused(2, "byte 6", {"store", "set", R"(("a",1)", "1"});
  refused(2, "not hexadecimal", {"store", "get", "0x0g"});
  refused(2, "a key is empty", {"store", "get", ""});
  refused(2, "--as text", {"store", "set", "k", "hello"});
  refused(2, "--as", {"store", "set", "k", "1", "--as", "number"});
  refused(2, "not an integer of 64 bits",
          {"store", "set", "k", "9223372036854775808", "--as", "int"});
  refused(2, "two digits a byte", {"store", "set", "k", "abc", "--as", "hex"});
  refused(1, "10000", {"store", "set", std::string(10001, 'k'), "1"});
  EXPECT_EQ(must({"store", "range"}), "");
  must({"store", "set", "k", "abc", "--as", "text"});
  refused(2, "8", {"store", "get", "k", "--as", "int"});
}

TEST_F(CliStore, a_watch_shows_each_change_of_another_process) {
  auto watch = start({"store", "watch", R"(("w",))", "--count", "3", "--json"});
  ASSERT_TRUE(wait_until([&] { return lines_of(watch.output()).size() == 1; })) << watch.errors();
  must({"store", "set", R"(("w",))", "1"});
  ASSERT_TRUE(wait_until([&] { return lines_of(watch.output()).size() == 2; })) << watch.errors();
  must({"store", "clear", R"(("w",))"});
  EXPECT_EQ(watch.finish(), 0) << watch.errors();
  const Words lines = lines_of(watch.output());
  ASSERT_EQ(lines.size(), 3u);
  for (const auto& line : lines) parse_json(line);
  EXPECT_EQ(parse_json(lines[1])["value"], 1);
}

TEST_F(CliStore, a_watch_ends_in_order_when_told_to) {
  must({"store", "set", "w", "1"});
  ends_in_order({"store", "watch", "w"}, "1\n", SIGTERM);
  ends_in_order({"--json", "store", "watch", "w"}, "\n", SIGINT);
}

TEST_F(CliStore, stats_end_in_order_when_told_to) {
  ends_in_order({"stats", "--interval", "10ms"}, "versions/s", SIGINT);
  ends_in_order({"stats", "--interval", "10ms", "--json"}, "\n", SIGTERM);
}

TEST_F(CliStore, top_ends_in_order_when_told_to) {
  ends_in_order({"top", "--interval", "100ms"}, "TYPE", SIGINT);
  ends_in_order({"--json", "top", "--interval", "100ms"}, "\n", SIGTERM);
}

TEST_F(CliStore, top_shows_the_entities_with_the_longest_queues_first) {
  create_store();
  const auto queue = [&](const std::string& id, int messages) {
    for (int i = 0; i < messages; ++i) must({"cast", id, "Add", "[1]", "--force"});
  };
  queue("Counter/few", 1);
  queue("Counter/many", 3);
  queue("Other/some", 2);
  const auto looks = must_json_lines({"--json", "top", "--count", "2", "--interval", "100ms"});
  ASSERT_EQ(looks.size(), 2u);
  const auto& entities = looks[1]["entities"];
  ASSERT_EQ(entities.size(), 3u) << looks[1];
  EXPECT_EQ(entities[0]["entity"], "Counter/many");
  EXPECT_EQ(entities[0]["waiting"], 3);
  EXPECT_EQ(entities[0]["processed_per_second"], 0.0);
  EXPECT_EQ(entities[1]["entity"], "Other/some");
  EXPECT_EQ(entities[2]["entity"], "Counter/few");
  EXPECT_TRUE(looks[0]["entities"][0]["processed_per_second"].is_null()) << "nothing was before";
  EXPECT_EQ(looks[1]["types"][0]["type"], "Counter");
  EXPECT_EQ(looks[1]["types"][0]["with_work"], 2);
  EXPECT_EQ(looks[1]["types"][0]["waiting"], 4);
  const auto first = must_json_lines({"--json", "top", "Counter", "--by", "name", "--count", "1"});
  EXPECT_EQ(first[0]["entities"][0]["entity"], "Counter/few");
  EXPECT_EQ(
      must_json_lines({"--json", "top", "--limit", "1", "--count", "1"})[0]["entities"].size(), 1u);
  EXPECT_THAT(must({"top", "--count", "1"}), HasSubstr("Counter/many  3        -"));
  EXPECT_EQ(must({"top", "--count", "1"}).find('\x1b'), std::string::npos) << "not a terminal";
  refused(3, "there is no type Countr", {"top", "Countr", "--count", "1"});
  refused(2, "--by is waiting, rate, age or name", {"top", "--by", "size"});
  refused(2, "--interval", {"top", "--interval", "1ms"});
}

TEST_F(CliStore, top_remembers_who_was_busy_a_moment_ago) {
  create_store();
  must({"cast", "Counter/x", "Add", "[1]", "--force"});
  auto tool = start({"--json", "top", "--interval", "100ms"});
  ASSERT_TRUE(wait_until([&] { return tool.has_written("\"Counter/x\""); })) << tool.errors();
  const HostedStore host(url());  // takes what waits
  ASSERT_TRUE(wait_until([&] {
    return tool.has_written("\"waiting\":0,\"oldest_seconds\":null,\"processed\":1,");
  })) << tool.output();
  tool.send_signal(SIGTERM);
  EXPECT_EQ(tool.finish(), 0) << tool.errors();
}

TEST_F(CliStore, stats_show_the_numbers_of_a_store_and_of_an_entity) {
  const HostedStore host(url());
  must({"call", "Counter/x", "Add", "[1]"});
  const auto all = must_json_lines({"stats", "--count", "3", "--interval", "10ms"});
  ASSERT_EQ(all.size(), 3u);
  for (const char* name : {"seconds", "versions_per_second", "entities_with_work", "locked",
                           "waiting_processes", "hosts"}) {
    EXPECT_TRUE(all[0][name].is_number()) << name << " in " << all[0];
  }
  EXPECT_EQ(all[0]["hosts"], 1);
  const auto one = must_json_lines({"stats", "Counter/x", "--count", "1", "--interval", "10ms"});
  ASSERT_EQ(one.size(), 1u);
  for (const char* name : {"queued_per_second", "processed_per_second", "queue_length",
                           "dead_letters", "locked"}) {
    EXPECT_TRUE(one[0][name].is_number()) << name << " in " << one[0];
  }
  EXPECT_EQ(lines_of(must({"stats", "--count", "2", "--interval", "10ms"})).size(), 3u);
  refused(3, "there is no Counter/y", {"stats", "Counter/y", "--count", "1"});
}

TEST_F(CliStore, info_and_check_can_be_read_by_a_script) {
  must({"store", "set", "k", "1"});
  const auto info = must_json({"store", "info"});
  EXPECT_EQ(info["url"], url());
  EXPECT_EQ(info["limits"]["key_bytes"], 10000);
  EXPECT_EQ(info["version"], 1);
  EXPECT_THAT(must({"store", "info"}), HasSubstr("limit key_bytes"));
  const auto check = must_json({"store", "check"});
  EXPECT_EQ(check["sound"], true);
  EXPECT_THAT(must({"store", "check"}), HasSubstr("no damage found"));
  EXPECT_EQ(must_json({"store", "create"})["url"], url()) << "what is there is no error";
}

TEST_F(CliStore, info_of_a_store_in_memory_shows_its_version_once) {
  const Ran ran = run_tool({"--store", "memory:", "store", "info"});
  EXPECT_EQ(ran.code, 0) << ran;
  const Words lines = lines_of(ran.out);
  EXPECT_EQ(std::count_if(lines.begin(), lines.end(),
                          [](const auto& line) { return line.starts_with("version"); }),
            1)
      << ran;
}

TEST_F(CliStore, a_bench_leaves_nothing_behind) {
  const std::string place = path("bench");
  std::filesystem::create_directory(place);
  const Ran own = run_tool({"bench", "--json", "--duration", "20ms", "--callers", "2",
                            "--directory", place});
  ASSERT_EQ(own.code, 0) << own;
  const Words lines = lines_of(own.out);
  ASSERT_EQ(lines.size(), 3u) << own;
  for (const auto& line : lines) EXPECT_GT(parse_json(line)["messages"].get<int>(), 0) << line;
  EXPECT_TRUE(std::filesystem::is_empty(place));
  EXPECT_THAT(must({"bench", "--duration", "20ms", "--callers", "2"}), HasSubstr("casts, one"));
  EXPECT_EQ(must({"store", "range"}), "") << "this was left in a given store";
  EXPECT_EQ(run_tool({"bench", "--directory", path("nowhere")}).code, 3);
}

TEST_F(CliStore, a_bench_leaves_the_store_that_the_environment_names_alone) {
  must({"store", "set", "k", "1"});
  const auto before = must_json({"store", "info"})["version"];
  const std::string place = path("bench");
  std::filesystem::create_directory(place);
  const Ran ran =
      run_tool_in({"SEMPER_STORE=" + url()}, {"bench", "--duration", "20ms", "--directory", place});
  ASSERT_EQ(ran.code, 0) << ran;
  EXPECT_THAT(ran.out, HasSubstr("on sqlite:" + place + "/")) << "--directory was ignored";
  EXPECT_EQ(must_json({"store", "info"})["version"], before);
  EXPECT_EQ(must({"types"}), "");
  EXPECT_TRUE(std::filesystem::is_empty(place));
  refused(2, "--store and --directory", {"bench", "--directory", place});
}

TEST_F(CliStore, a_bench_that_is_ended_by_a_signal_leaves_nothing_and_reports_a_failure) {
  must({"store", "set", "k", "1"});
  const std::string place = path("bench");
  std::filesystem::create_directory(place);
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) {
    auto own = start_tool({"bench", "--duration", "60s", "--directory", place});
    ASSERT_TRUE(wait_until([&] { return !std::filesystem::is_empty(place); }));
    own.send_signal(number);
    EXPECT_EQ(own.finish(), 1) << "signal " << number;
    EXPECT_THAT(own.errors(), HasSubstr("interrupted after 0 of 3"));
    EXPECT_TRUE(std::filesystem::is_empty(place)) << "signal " << number;

    const auto before = must_json({"store", "info"})["version"].get<std::int64_t>();
    auto given = start({"bench", "--duration", "60s"});
    ASSERT_TRUE(wait_until([&] {
      return must_json({"store", "info"})["version"].get<std::int64_t>() > before + 20;
    }));
    given.send_signal(number);
    EXPECT_EQ(given.finish(), 1) << "signal " << number;
    EXPECT_EQ(lines_of(must({"store", "range"})).size(), 1u) << "signal " << number;
  }
}

}  // namespace
}  // namespace semper::testing
