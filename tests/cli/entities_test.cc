// Looking at entities, and sending to them: types, ls, show, queue, dead, hosts, cast, call, kill,
// reset, unlock.
#include <chrono>

#include "hosted.h"
#include "semper/semper.h"
#include "semper/server/name_registry.h"
#include "semper/store/tuple_stream.h"
#include "tool.h"

namespace semper::testing {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

class CliEntities : public CliTest {
 protected:
  // Messages that no host has registered.
  void queue(const std::string& entity, const std::string& content) {
    must({"cast", entity, "Add", content, "--force"});
  }
};

TEST_F(CliEntities, types_shows_each_message_and_how_it_can_be_sent) {
  const HostedStore host(url());
  const auto types = must_json({"types"});
  ASSERT_EQ(types.size(), 4u) << types;
  EXPECT_EQ(types[0]["type"], "Counter");
  EXPECT_EQ(types[0]["registered"], true);
  EXPECT_EQ(types[0]["messages"][0]["name"], "Add");
  EXPECT_EQ(types[0]["messages"][0]["call"], true);
  EXPECT_EQ(types[0]["messages"][0]["cast"], true);
  EXPECT_EQ(types[0]["messages"][1]["name"], "Read");
  EXPECT_EQ(types[0]["messages"][1]["cast"], false);
  EXPECT_THAT(must({"types"}), HasSubstr("Add (call, cast)  Read (call)"));
}

TEST_F(CliEntities, ls_is_in_order_and_keeps_to_its_bounds) {
  create_store();
  for (const char* id : {"page/b", "page/a", "other", "page/c"}) {
    queue(std::string("Counter/") + id, "[1]");
  }
  EXPECT_EQ(must({"ls", "Counter"}),
            "Counter/other\nCounter/page/a\nCounter/page/b\nCounter/page/c\n");
  EXPECT_EQ(must({"ls", "Counter", "--prefix", "page/", "--limit", "2"}),
            "Counter/page/a\nCounter/page/b\n");
  EXPECT_EQ(must({"ls", "Counter", "--prefix", "page/", "--after", "page/b", "--limit", "0"}),
            "Counter/page/c\n");
  const auto some = must_json({"ls", "Counter", "--limit", "2"});
  EXPECT_EQ(some["ids"], json::parse(R"(["other", "page/a"])"));
  EXPECT_EQ(some["more"], true);
  EXPECT_EQ(must_json({"ls", "Counter", "--limit", "4"})["more"], false);
  EXPECT_THAT(run({"ls", "Counter", "--limit", "2"}).err, HasSubstr("--after 'page/a'"));
}

TEST_F(CliEntities, a_queue_that_nobody_consumes_is_shown) {
  create_store();
  queue("Counter/page/home", "[1]");
  queue("Counter/page/home", R"([{"$bytes": "00ff"}])");
  const auto shown = must_json({"show", "Counter/page/home"});
  EXPECT_EQ(shown["type"], "Counter");
  EXPECT_EQ(shown["id"], "page/home");
  EXPECT_EQ(shown["queue_length"], 2);
  EXPECT_EQ(shown["has_state"], false);
  EXPECT_EQ(shown["lock"], nullptr);
  EXPECT_THAT(must({"show", "Counter/page/home"}), HasSubstr("2 waiting, 0 taken"));

  const auto waiting = must_json({"queue", "Counter/page/home"});
  ASSERT_EQ(waiting.size(), 2u);
  EXPECT_EQ(waiting[0]["kind"], "cast");
  EXPECT_EQ(waiting[0]["message"], "Add");
  EXPECT_EQ(waiting[0]["content"], json::parse("[1]"));
  EXPECT_EQ(waiting[1]["content"], json::parse(R"([{"$bytes": "00ff"}])"));
  EXPECT_EQ(must_json({"queue", "Counter/page/home", "--limit", "1"}).size(), 1u);
  EXPECT_EQ(must_json({"queue", "Counter/page/home", "--limit", "0"}).size(), 2u);
  EXPECT_THAT(must({"queue", "Counter/page/home"}), HasSubstr(R"([{"$bytes":"00ff"}])"));
  EXPECT_THAT(must({"types"}), HasSubstr("no host registered it"));
}

TEST_F(CliEntities, stored_text_cannot_steer_the_terminal) {
  create_store();
  queue("Counter/x", R"(["\u001b[2J\u009b"])");
  const std::string out = must({"queue", "Counter/x"});
  EXPECT_THAT(out, Not(HasSubstr("\x1b")));
  EXPECT_THAT(out, Not(HasSubstr("\xc2\x9b")));
}

TEST_F(CliEntities, a_call_reaches_a_running_host_and_its_reply_the_caller) {
  const HostedStore host(url());
  EXPECT_EQ(must({"call", "Counter/page/home", "Add", "[2]"}), "2\n");
  EXPECT_EQ(must_json({"call", "Counter/page/home", "Add", "[40]", "--timeout", "30s"}), 42);
  EXPECT_EQ(must({"call", "Counter/page/home", "Read", "--timeout", "forever"}), "42\n");
  EXPECT_EQ(must({"call", "Counter/page/home", "Add", "-"}, "[8]\n"), "50\n");
  const auto shown = must_json({"show", "Counter/page/home"});
  EXPECT_EQ(shown["state"], 50);
  EXPECT_EQ(shown["queue_length"], 0);
  EXPECT_TRUE(shown["versionstamp"].is_string());
}

TEST_F(CliEntities, a_cast_is_queued_and_applied_before_a_later_call) {
  const HostedStore host(url());
  const auto sent = must_json({"cast", "Counter/x", "Add", "[2]"});
  EXPECT_EQ(sent["queued"], true);
  EXPECT_EQ(sent["hosts"], 1);
  EXPECT_EQ(must({"cast", "Counter/x", "Add", "-"}, "[3]"), "Counter/x: Add is queued\n");
  EXPECT_EQ(must({"call", "Counter/x", "Read"}), "5\n") << "a call overtook a cast";
}

TEST_F(CliEntities, a_call_without_a_host_times_out_and_stays_in_the_queue) {
  { const HostedStore host(url()); }  // registers the type, and is gone
  refused(4, "no host serves Counter", {"call", "Counter/x", "Add", "[1]", "--timeout", "100ms"});
  const auto waiting = must_json({"queue", "Counter/x"});
  ASSERT_EQ(waiting.size(), 1u);
  EXPECT_EQ(waiting[0]["kind"], "call");
  EXPECT_EQ(must_json({"show", "Counter/x"})["queue_length"], 1);
}

TEST_F(CliEntities, a_call_that_nobody_answers_leaves_nobody_who_waits) {
  { const HostedStore host(url()); }  // registers the type, and is gone
  const auto waiting_processes = [&] {
    return must_json({"stats", "--count", "1", "--interval", "10ms"})["waiting_processes"];
  };
  refused(4, "", {"call", "Counter/x", "Add", "[1]", "--timeout", "100ms"});
  EXPECT_EQ(waiting_processes(), 0);
  auto stopped =
      start_tool({"--store", url(), "call", "Counter/x", "Add", "[1]", "--timeout", "forever"}, "");
  ASSERT_TRUE(wait_until([&] { return must_json({"show", "Counter/x"})["queue_length"] == 2; }));
  EXPECT_EQ(waiting_processes(), 1);
  stopped.send_signal(SIGTERM);
  EXPECT_EQ(stopped.finish(), 4) << stopped.errors();
  EXPECT_EQ(waiting_processes(), 0);
}

// A script that hears of a failure does it again.
TEST_F(CliEntities, what_is_done_but_cannot_be_told_is_no_failure_and_a_lost_reply_is_unknown) {
  if (!std::filesystem::exists("/dev/full")) GTEST_SKIP() << "there is no /dev/full here";
  const HostedStore host(url());
  const auto ended = [&](const std::string& words) {
    ProgramToStart shell{"/bin/sh"};
    shell.arguments = {"-c", "exec \"$0\" --yes --store \"$1\" " + words, SEMPER_PROGRAM, url()};
    ChildProcess tool(std::move(shell));
    const int code = tool.finish();
    return std::pair(code, tool.errors());
  };
  for (const char* output : {" >/dev/full", " >&-", " --json >/dev/full"}) {
    const auto [cast, cast_said] = ended(std::string("cast Counter/x Add '[2]'") + output);
    EXPECT_EQ(cast, 0) << output;
    EXPECT_THAT(cast_said, HasSubstr("it is done, but nobody was told: the standard output"));
    const auto [call, call_said] = ended(std::string("call Counter/x Add '[1]'") + output);
    EXPECT_EQ(call, 5) << output;
    EXPECT_THAT(call_said, HasSubstr("Counter/x has handled the message, and its reply is lost"));
    EXPECT_EQ(ended(std::string("reset Counter/y") + output).first, 3);
    EXPECT_EQ(ended(std::string("show Counter/x") + output).first, 1) << "it only shows";
    EXPECT_EQ(ended(std::string("store set k 7") + output).first, 0);
  }
  EXPECT_EQ(must({"call", "Counter/x", "Read"}), "9\n");
  EXPECT_EQ(ended("reset Counter/x >/dev/full").first, 0);
  EXPECT_EQ(must({"call", "Counter/x", "Read"}), "0\n");
}

TEST_F(CliEntities, an_unknown_type_or_message_is_refused_with_what_there_is) {
  const HostedStore host(url());
  refused(3, "no host has ever served type Conter", {"cast", "Conter/x", "Add"});
  refused(3, "has no message Ad to call; it has Add, Read", {"call", "Counter/x", "Ad"});
  refused(3, "has no message Read to cast; it has Add", {"cast", "Counter/x", "Read"});
  refused(3, "there is no type Conter in this store; it has Counter", {"ls", "Conter"});
  refused(3, "there is no Counter/x", {"show", "Counter/x"});
}

TEST_F(CliEntities, content_of_the_wrong_shape_is_refused_and_changes_nothing) {
  const HostedStore host(url());
  must({"call", "Counter/x", "Add", "[2]"});
  refused(2, "line 1, column", {"call", "Counter/x", "Add", "[2"});
  refused(2, "line 1, column", {"cast", "Counter/x", "Add", "[2] [3]"});
  refused(2, "content of message Add", {"cast", "Counter/x", "Add", ""});
  refused(2, "content of message Add", {"cast", "Counter/x", "Add", R"({"$bytes": "0"})"});
  refused(2, "Counter/x, call Add", {"call", "Counter/x", "Add", R"(["two"])"});
  refused(2, "its fields go in a list, or by name", {"call", "Counter/x", "Add", "2"});
  EXPECT_EQ(must({"call", "Counter/x", "Read"}), "2\n");
  EXPECT_EQ(must_json({"dead", "Counter/x"}).size(), 0u) << "kept what was refused to its sender";
}

TEST_F(CliEntities, fields_can_be_given_by_name_and_those_left_out_have_their_defaults) {
  const HostedStore host(url());
  EXPECT_EQ(must({"call", "Counter/x", "Add", R"({"by": 2})"}), "2\n");
  EXPECT_EQ(must({"call", "Counter/x", "Add", "{}"}), "3\n") << "left out: its default, 1";
  EXPECT_EQ(must({"cast", "Counter/x", "Add", R"({"by": 4})"}), "Counter/x: Add is queued\n");
  EXPECT_EQ(must({"call", "Counter/x", "Read"}), "7\n");
  // What no tool can know is the host's to refuse, and a call's host shows what would be right.
  refused(2, "for example '[1]' or '{\"by\":1}'", {"call", "Counter/x", "Add", R"(["two"])"});
  refused(2, "the field by is text", {"cast", "Counter/x", "Add", R"(["two"])"});
  EXPECT_EQ(must_json({"dead", "Counter/x"}).size(), 0u);
  must({"cast", "Counter/x", "Add", R"(["two"])", "--force"});
  ASSERT_TRUE(wait_until([&] { return must_json({"show", "Counter/x"})["dead_letters"] == 1; }));
}

TEST_F(CliEntities, unlock_if_locked_succeeds_where_there_is_no_lock) {
  { const HostedStore host(url()); }
  queue("Counter/x", "[1]");
  refused(3, "is not locked", {"unlock", "Counter/x", "--yes"});
  EXPECT_EQ(must({"unlock", "Counter/x", "--yes", "--if-locked"}), "Counter/x: was not locked\n");
  refused(3, "there is no Counter/y", {"unlock", "Counter/y", "--yes", "--if-locked"});
}

TEST_F(CliEntities, messages_set_aside_are_shown_and_can_be_put_back) {
  const HostedStore host(url());
  must({"cast", "Fragile/glass", "Break", R"(["loudly"])"});
  ASSERT_TRUE(wait_until([&] {
    return must_json({"show", "Fragile/glass"})["dead_letters"] == 1;
  }));
  const auto letters = must_json({"dead", "Fragile/glass"});
  ASSERT_EQ(letters.size(), 1u);
  EXPECT_EQ(letters[0]["message"], "Break");
  EXPECT_EQ(letters[0]["content"], json::parse(R"(["loudly"])"));
  EXPECT_THAT(letters[0]["reason"].get<std::string>(), HasSubstr("it broke: loudly"));
  EXPECT_THAT(must({"dead", "Fragile/glass"}), HasSubstr("it broke: loudly"));
  EXPECT_EQ(must_json({"dead", "Fragile/glass", "--redrive"})["redriven"], 1);
  ASSERT_TRUE(wait_until([&] {  // and it breaks once more
    return must_json({"show", "Fragile/glass"})["dead_letters"] == 1;
  }));
  must({"cast", "Fragile/other", "Break", "[]", "--force"});
  EXPECT_THAT(run({"dead", "Counter/nobody"}).code, 3);
}

TEST_F(CliEntities, dead_letters_that_are_named_are_deleted_together_or_not_at_all) {
  const HostedStore host(url());
  for (const char* how : {R"(["a"])", R"(["b"])", R"(["c"])"}) {
    must({"cast", "Fragile/glass", "Break", how});
  }
  ASSERT_TRUE(wait_until([&] {
    return must_json({"dead", "Fragile/glass", "--count"})["dead_letters"] == 3;
  }));
  const auto letters = must_json({"dead", "Fragile/glass"});
  ASSERT_EQ(letters.size(), 3u);
  EXPECT_EQ(letters[0]["attempts"], 1);
  EXPECT_TRUE(letters[0]["first_attempt"].is_string());
  const std::string first = letters[0]["versionstamp"];
  const std::string second = letters[1]["versionstamp"];
  refused(3, "none was touched",
          {"dead", "Fragile/glass", "--delete", "--letter", first, "--letter",
           "ffffffffffffffff-0000-0000", "--yes"});
  EXPECT_EQ(must_json({"dead", "Fragile/glass", "--count"})["dead_letters"], 3);
  EXPECT_EQ(must_json({"dead", "Fragile/glass", "--delete", "--letter", first, "--letter", second,
                       "--yes"})["deleted"],
            2);
  EXPECT_EQ(
      must_json({"dead", "Fragile/glass", "--purge", "--older-than", "1h", "--yes"})["deleted"], 0);
  EXPECT_EQ(must_json({"dead", "Fragile/glass", "--purge", "--yes"})["deleted"], 1);
  EXPECT_EQ(must_json({"dead", "Fragile/glass"}).size(), 0u);
  refused(2, "", {"dead", "Fragile/glass", "--delete", "--yes"});
  refused(2, "give one of them", {"dead", "Fragile/glass", "--letter", first});
  refused(2, "versionstamp", {"dead", "Fragile/glass", "--redrive", "--letter", "x"});
}

TEST_F(CliEntities, why_an_entity_stands_still_is_explained) {
  {
    HostedStore host(url());
    EXPECT_EQ(must_json({"explain", "Counter/nobody"})["why"], "absent");
    must({"call", "Counter/x", "Add", "[1]"});
    const auto idle = must_json({"explain", "Counter/x"});
    EXPECT_EQ(idle["why"], "idle") << idle;
    EXPECT_EQ(idle["hosts"][0]["silent"], false);
    EXPECT_THAT(must({"explain", "Counter/x"}), HasSubstr("nothing waits for Counter/x\n"));
    auto caller = start({"call", "Keeper/k", "Hold", "--timeout", "forever"});
    ASSERT_TRUE(wait_until([&] {
      const Ran ran = run({"explain", "Keeper/k", "--json"});
      return ran.code == 0 && parse_json(ran.out)["why"] == "locked";
    }));
    EXPECT_THAT(must({"explain", "Keeper/k"}), HasSubstr("host of the test has run"));
    // The host has renewed its registration since, and seen that the message was there by then.
    const auto locked = must_json({"explain", "Keeper/k"});
    ASSERT_TRUE(locked["oldest_seconds"].is_number()) << locked;
    EXPECT_GT(locked["oldest_seconds"], 0);
    const auto busiest = must_json_lines({"top", "--by", "age", "--count", "1"});
    ASSERT_EQ(busiest.size(), 1u);
    EXPECT_EQ(busiest[0]["entities"][0]["entity"], "Keeper/k") << busiest[0];
    EXPECT_GE(busiest[0]["entities"][0]["oldest_seconds"], locked["oldest_seconds"]);
    EXPECT_THAT(must({"top", "--count", "1"}), HasSubstr("OLDEST"));
    host.release();
  }
  queue("Counter/x", "[1]");
  EXPECT_EQ(must_json({"explain", "Counter/x"})["why"], "unserved");
  EXPECT_THAT(must({"explain", "Counter/x"}),
              HasSubstr("1 message waits, and no host serves Counter"));
}

TEST_F(CliEntities, a_lock_is_shown_and_can_be_taken_away) {
  HostedStore host(url());
  auto caller = start({"call", "Keeper/k", "Hold", "--timeout", "forever"});
  ASSERT_TRUE(wait_until([&] {
    const Ran ran = run({"show", "Keeper/k", "--json"});
    return ran.code == 0 && parse_json(ran.out)["lock"] != nullptr;
  }));
  const auto lock = must_json({"show", "Keeper/k"})["lock"];
  EXPECT_THAT(lock["owner"].get<std::string>(), HasSubstr("host of the test"));
  EXPECT_GE(lock["age_seconds"].get<double>(), 0.0);
  EXPECT_THAT(must({"show", "Keeper/k"}), HasSubstr("held by host of the test"));
  refused(2, "nobody can be asked", {"unlock", "Keeper/k"});
  EXPECT_EQ(must_json({"unlock", "Keeper/k", "--yes"})["done"], "unlock");
  host.release();
  EXPECT_EQ(caller.finish(), 0) << caller.errors();
  EXPECT_EQ(caller.output(), "1\n") << "the message was lost, or handled twice";
  refused(3, "is not locked", {"unlock", "Keeper/k", "--yes"});
}

TEST_F(CliEntities, kill_and_reset_ask_first_and_then_delete_what_they_name) {
  const HostedStore host(url());
  must({"call", "Counter/x", "Add", "[2]"});
  refused(2, "this deletes Counter/x: its state, 0 waiting messages", {"kill", "Counter/x"});
  refused(2, "this deletes the state of Counter/x", {"reset", "Counter/x"});
  EXPECT_EQ(must({"call", "Counter/x", "Read"}), "2\n");
  EXPECT_EQ(must_json({"reset", "Counter/x", "--yes"})["done"], "reset");
  EXPECT_EQ(must({"call", "Counter/x", "Add", "[1]"}), "1\n");
  EXPECT_EQ(must({"kill", "Counter/x", "-y"}),
            "Counter/x: deleted; the next message starts it anew\n");
  refused(3, "there is no Counter/x", {"show", "Counter/x"});
  refused(3, "there is no Counter/x", {"kill", "Counter/x", "--yes"});
  refused(3, "there is no Counter/x", {"reset", "Counter/x", "--yes"});
}

TEST_F(CliEntities, a_state_that_does_not_decode_is_kept_and_its_entity_shown_as_parked) {
  {
    const HostedStore host(url(), HostedStore::Shapes::old_ones);
    must({"cast", "Shape/s", "Touch"});
    must({"call", "Shape/s", "Touch"});
  }
  const auto before = must_json({"show", "Shape/s"});
  EXPECT_EQ(before["state"], "written by the old program");
  EXPECT_EQ(before["parked"], nullptr);
  const HostedStore host(url(), HostedStore::Shapes::new_ones);
  must({"cast", "Shape/s", "Touch"});
  ASSERT_TRUE(wait_until([&] { return must_json({"show", "Shape/s"})["parked"] != nullptr; }));
  const auto after = must_json({"show", "Shape/s"});
  EXPECT_EQ(after["state"], before["state"]);
  EXPECT_EQ(after["queue_length"], 1);
  EXPECT_THAT(must({"show", "Shape/s"}), HasSubstr("  parked"));
  refused(6, "parked", {"call", "Shape/s", "Touch", "--timeout", "30s"});
}

TEST_F(CliEntities, hosts_are_shown_with_what_they_serve) {
  create_store();
  EXPECT_THAT(run({"hosts"}).err, HasSubstr("no host is running"));
  const HostedStore host(url());
  const auto hosts = must_json({"hosts"});
  ASSERT_EQ(hosts.size(), 1u);
  EXPECT_EQ(hosts[0]["name"], "host of the test");
  EXPECT_EQ(hosts[0]["silent"], false);
  EXPECT_EQ(hosts[0]["types"], json::parse(R"(["Counter", "Fragile", "Keeper", "Shape"])"));
  EXPECT_THAT(must({"hosts"}), HasSubstr("Counter, Fragile"));
}

TEST_F(CliEntities, names_are_shown_with_who_holds_them) {
  create_store();
  EXPECT_THAT(run({"names"}).err, HasSubstr("no name is held"));
  Scheduler scheduler;
  auto store = scheduler.block_on(open_store(url())).value();
  NameRegistryOptions options;
  options.owner = "billing";
  NameRegistry names(store, options);
  std::vector<Holding> held;
  for (const char* zone : {"east", "west"}) {
    NameMetadata metadata;
    metadata["zone"] = zone;
    held.push_back(
        scheduler.block_on(names.acquire(std::string("shard/") + zone, metadata)).value());
  }
  const auto all = must_json({"names"});
  ASSERT_EQ(all.size(), 2u) << all;
  EXPECT_EQ(all[0]["name"], "shard/east");
  EXPECT_EQ(all[0]["owner"], "billing");
  EXPECT_EQ(all[0]["token"], held[0].token());
  EXPECT_EQ(all[0]["metadata"], json::parse(R"({"zone": "east"})"));
  EXPECT_EQ(must_json({"names", "--where", "zone=west"})[0]["name"], "shard/west");
  EXPECT_EQ(must_json({"names", "--prefix", "shard/w"}).size(), 1u);
  EXPECT_EQ(must_json({"names", "--after", "shard/east"}).size(), 1u);
  EXPECT_THAT(run({"names", "--limit", "1"}).err, HasSubstr("--after 'shard/east'"));
  EXPECT_THAT(must({"names"}), HasSubstr("zone=west"));
  refused(2, "FIELD=VALUE", {"names", "--where", "zone"});
  ASSERT_TRUE(scheduler.block_on(names.close()));
  EXPECT_EQ(must_json({"names"}).size(), 0u);
}

struct Idle {
  using State = std::int64_t;
  struct Ping {};
  using Messages = semper::Messages<Ping>;
  Result<State> init(const EntityId&) { return 0; }
  void handle_cast(const Ping&, State&, Context&) {}
};

TEST_F(CliEntities, a_host_whose_row_is_not_renewed_is_silent_whatever_time_the_row_shows) {
  Scheduler scheduler;
  const auto store = scheduler.block_on(open_store(url()));
  ASSERT_TRUE(store);
  // Its row says that it was renewed a moment ago; it is not there any more.
  const auto rows = [&] {
    Bytes begin = Tenant::default_prefix();
    TupleWriter(begin).add(5);
    const KeyRange hosts(begin + '\x00', begin + '\xff');
    return scheduler.block_on(store->transact([&](Transaction& transaction) -> Async<RangePage> {
      co_return co_await transaction.get_range(hosts);
    }));
  };
  Result<RangePage> row = rows();
  {
    Host host(*store, {.host_lease = std::chrono::milliseconds(300), .name = "died"});
    host.serve<Idle>();
    ASSERT_TRUE(scheduler.block_on(host.start()));
    row = rows();
    EXPECT_EQ(must_json({"hosts"})[0]["silent"], false);
    ASSERT_TRUE(scheduler.block_on(host.stop()));
  }
  ASSERT_EQ(row->rows.size(), 1u);
  ASSERT_TRUE(scheduler.block_on(store->transact([&](Transaction& transaction) -> Async<void> {
    transaction.set(row->rows[0].key, row->rows[0].value);
    co_return Status{};
  })));
  const auto hosts = must_json({"hosts"});
  ASSERT_EQ(hosts.size(), 1u);
  EXPECT_EQ(hosts[0]["name"], "died");
  EXPECT_EQ(hosts[0]["silent"], true);
  EXPECT_THAT(must({"hosts"}), HasSubstr("(died?)"));
}

TEST_F(CliEntities, an_entity_of_no_valid_name_is_refused) {
  create_store();
  refused(2, "not of the form TYPE/ID", {"show", "Counter"});
  refused(2, "id is empty", {"show", "Counter/"});
  refused(2, "type is empty", {"queue", "/x"});
  refused(2, "not UTF-8", {"cast", "Counter/\xff", "Add", "--force"});
  refused(2, "the limit is 1024", {"call", "Counter/" + std::string(1025, 'x'), "Add", "--force"});
  refused(2, "the limit is 128", {"kill", std::string(129, 'T') + "/x", "--yes"});
  refused(2, "empty or not UTF-8", {"cast", "Counter/x", "", "--force"});
  refused(2, "id is empty", {"stats", "Counter/"});
}

TEST_F(CliEntities, a_tenant_that_is_not_there_is_refused_and_not_made) {
  create_store();
  refused(3, "tenant shops/north", {"--tenant", "shops/north", "types"});
  EXPECT_EQ(must({"store", "range"}), "") << "something was written";
}

}  // namespace
}  // namespace semper::testing
