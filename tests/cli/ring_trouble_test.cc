// Rings in trouble: what an operator is told, and what the next move is.
#include <signal.h>

#include <filesystem>

#include "ring_fixture.h"

namespace semper::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class CliRingTrouble : public CliRing {
 protected:
  // Spoils the item that holds this text.
  void damage(const std::string& text) const {
    std::string contents = read_whole_file(ring());
    const auto at = contents.find(text);
    ASSERT_NE(at, std::string::npos);
    contents[at] = static_cast<char>(~contents[at]);
    write_whole_file(ring(), contents);
  }
  ChildProcess follow() {
    auto consumer = start_tool(on_ring({"consume"}, {"--follow"}));
    produce("here\n");
    EXPECT_TRUE(wait_until([&] { return consumer.has_written("here\n"); })) << consumer.errors();
    return consumer;
  }
};

TEST_F(CliRingTrouble, damage_with_nothing_behind_it_is_gone_once_it_was_skipped) {
  create_ring();
  produce("good\n" + std::string(5000, 'a') + "\n");
  damage(std::string(4000, 'a'));
  const Ran kept = run_tool(on_ring({"consume"}, {"--skip-damage", "--keep"}));
  EXPECT_EQ(kept.out, "good\n") << kept;
  EXPECT_GT(info()["used"].get<int>(), 0);
  const Ran skipped = run_tool(on_ring({"consume"}, {"--skip-damage"}));
  EXPECT_EQ(skipped.code, 0) << skipped;
  EXPECT_EQ(skipped.out, "good\n");
  EXPECT_THAT(skipped.err, HasSubstr("passed over damage"));
  EXPECT_EQ(info()["used"], 0);
  must(on_ring({"verify"}));
}

TEST_F(CliRingTrouble, items_that_could_not_be_written_out_stay_in_the_ring) {
  if (!std::filesystem::exists("/dev/full")) GTEST_SKIP() << "there is no /dev/full here";
  create_ring();
  produce("one\ntwo\n");
  for (const char* more : {"", " --json", " --count 1", " --framed"}) {
    ProgramToStart shell{"/bin/bash"};  // sh, which is dash, ignores no CHLD
    shell.arguments = {"-c", std::string("exec \"$0\" ring consume \"$1\"") + more + " >/dev/full",
                       SEMPER_PROGRAM, ring()};
    ChildProcess tool(std::move(shell));
    EXPECT_EQ(tool.finish(), 1) << more;
    EXPECT_THAT(tool.errors(), HasSubstr("could not be written")) << more;
  }
  EXPECT_EQ(consume(), "one\ntwo\n");
}

TEST_F(CliRingTrouble,
       a_file_that_grew_and_lost_its_first_block_is_made_a_ring_that_keeps_its_items) {
  create_ring();
  produce("1\n2\n3\n4\n5\n");
  std::filesystem::resize_file(ring(), 2 << 20);
  std::string contents = read_whole_file(ring());
  contents.replace(0, 4096, std::string(4096, '\0'));
  write_whole_file(ring(), contents);
  EXPECT_THAT(run_tool(on_ring({"info"})).err, HasSubstr("where the device once ended"));
  EXPECT_EQ(run_tool(on_ring({"verify"})).code, 6);
  must(on_ring({"create"}));
  must(on_ring({"verify"}));
  EXPECT_EQ(consume(), "1\n2\n3\n4\n5\n");
  produce("6\n");
  contents = read_whole_file(ring());
  for (const std::size_t block : {0, 255, 511}) {
    contents.replace(block * 4096, 4096, std::string(4096, '\0'));
  }
  write_whole_file(ring(), contents);
  refused(6, "positions of a ring are there", on_ring({"info"}));
  refused(2, "what is left of a ring", on_ring({"create"}));
  EXPECT_EQ(read_whole_file(ring()), contents);
  must(on_ring({"create"}, {"--force"}));
}

TEST_F(CliRingTrouble, who_follows_a_ring_that_is_deleted_is_told) {
  create_ring();
  auto consumer = follow();
  std::filesystem::remove(ring());
  ASSERT_TRUE(wait_until([&] { return !consumer.is_running(); })) << "it still waits";
  EXPECT_EQ(consumer.finish(), 1);
  EXPECT_THAT(consumer.errors(), HasSubstr("was deleted"));
}

TEST_F(CliRingTrouble, who_follows_a_ring_that_is_replaced_is_told) {
  create_ring();
  auto consumer = follow();
  std::filesystem::rename(ring(), path("moved.ring"));
  create_ring();
  ASSERT_TRUE(wait_until([&] { return !consumer.is_running(); })) << "it still waits";
  EXPECT_EQ(consumer.finish(), 1);
  EXPECT_THAT(consumer.errors(), HasSubstr("was replaced"));
}

TEST_F(CliRingTrouble, a_producer_without_input_notices_that_its_ring_is_gone) {
  create_ring();
  auto producer = start_tool(on_ring({"produce"}), std::nullopt);
  ASSERT_TRUE(wait_until([&] { return info()["producer"]["attached"] == true; }));
  std::filesystem::remove(ring());
  ASSERT_TRUE(wait_until([&] { return !producer.is_running(); })) << "it still waits";
  EXPECT_THAT(producer.errors(), HasSubstr("was deleted"));
}

TEST_F(CliRingTrouble, a_producer_that_put_nothing_in_names_the_right_position) {
  create_ring();
  produce("one\n");
  const std::string end = std::to_string(info()["exposed"].get<int>());
  const Ran nothing = run_tool(on_ring({"produce"}));
  EXPECT_THAT(nothing.err, HasSubstr("nothing was put into the ring"));
  EXPECT_THAT(nothing.err, HasSubstr("position " + end));
  EXPECT_EQ(must_json(on_ring({"produce"}))["position"], info()["exposed"]);
  auto producer = start_tool(on_ring({"produce"}), std::nullopt);
  ASSERT_TRUE(wait_until([&] { return info()["producer"]["attached"] == true; }));
  producer.send_signal(SIGINT);
  EXPECT_EQ(producer.finish(), 0);
  EXPECT_THAT(producer.errors(), HasSubstr("position " + end));
}

TEST_F(CliRingTrouble, info_says_when_the_process_of_a_side_has_ended) {
  create_ring();
  auto consumer = follow();
  EXPECT_EQ(info()["consumer"]["process_state"], "alive");
  EXPECT_THAT(must(on_ring({"info"})), HasSubstr("attached: "));
  consumer.kill_hard();
  EXPECT_EQ(info()["consumer"]["process_state"], "ended");
  const std::string left = must(on_ring({"info"}));
  EXPECT_THAT(left, Not(HasSubstr("attached")));
  EXPECT_THAT(left, HasSubstr("which ended without detaching"));
  consume();
  EXPECT_THAT(must(on_ring({"info"})), HasSubstr("free; last "));
}

TEST_F(CliRingTrouble, the_advice_of_verify_fits_what_is_damaged) {
  create_ring();
  produce(std::string(5000, 'a') + "\n");
  const std::string sound = read_whole_file(ring());
  damage("semper ring");
  const Ran header = run_tool(on_ring({"verify"}));
  EXPECT_EQ(header.code, 6);
  EXPECT_THAT(header.err, HasSubstr("1 damaged block beside the items"));
  EXPECT_THAT(header.err, Not(HasSubstr("--skip-damage")));
  write_whole_file(ring(), sound);
  damage(std::string(4000, 'a'));
  const Ran items = run_tool(on_ring({"verify"}));
  EXPECT_EQ(items.code, 6);
  EXPECT_THAT(items.err, HasSubstr("1 damaged stretch of items"));
  EXPECT_THAT(items.err, HasSubstr("--skip-damage"));
  EXPECT_THAT(items.err, Not(HasSubstr("beside the items")));
}

TEST_F(CliRingTrouble, a_question_names_one_way_out_and_an_unusable_path_is_refused) {
  write_whole_file(ring(), std::string(64u << 10, 'n'));
  const Ran asked = run_tool(on_ring({"create"}));
  EXPECT_THAT(asked.err, HasSubstr("--yes"));
  EXPECT_THAT(asked.err, Not(HasSubstr("--force")));
  refused(2, "PATH is empty", {"ring", "create", ""});
  refused(2, "PATH is empty", {"ring", "info", ""});
  std::filesystem::create_symlink("nowhere", path("link"));
  refused(3, "is a link to nowhere", {"ring", "create", path("link"), "--size", "1MiB"});
  refused(3, "is a link to nowhere", {"ring", "consume", path("link")});
  refused(2, "--size is 0", {"ring", "create", path("none"), "--size", "0"});
}

class CliJournalTrouble : public CliRingTrouble {
 protected:
  Words run_journal(const Words& command) const {
    Words words = {"journal", "run", ring(), "--"};
    words.insert(words.end(), command.begin(), command.end());
    return words;
  }
};

TEST_F(CliJournalTrouble, a_command_that_fails_is_named_and_its_items_stay_in_the_journal) {
  create_ring();
  must({"journal", "push", ring()}, "one\ntwo\n");
  const Ran failed = run_tool(run_journal({"sh", "-c", "exit 3"}));
  EXPECT_EQ(failed.code, 1) << failed;
  EXPECT_THAT(failed.err, HasSubstr("sh ended with exit code 3 at the item at position 0"));
  EXPECT_THAT(failed.err, HasSubstr("stay in the journal"));
  EXPECT_THAT(failed.err, HasSubstr("the next `journal run` begins with it"));
  EXPECT_THAT(failed.err, Not(HasSubstr("internal")));
  const Ran killed = run_tool(run_journal({"sh", "-c", "kill -9 $$"}));
  EXPECT_EQ(killed.code, 1) << killed;
  EXPECT_THAT(killed.err, HasSubstr("was ended by signal 9"));
  const Ran absent = run_tool(run_journal({path("no-such-program")}));
  EXPECT_EQ(absent.code, 2) << absent;
  EXPECT_THAT(absent.err, HasSubstr("cannot be started"));
  EXPECT_EQ(lines_of(must({"journal", "list", ring()})).size(), 4u) << "an item is gone";
}

// The tool, started by a shell that has said this before.
Ran run_after(const std::string& preamble, const Words& words) {
  ProgramToStart shell{"/bin/bash"};  // sh, which is dash, ignores no CHLD
  shell.arguments = {"-c", preamble + "; exec \"$0\" \"$@\"", SEMPER_PROGRAM};
  shell.arguments.insert(shell.arguments.end(), words.begin(), words.end());
  shell.input = std::string();
  return finish(ChildProcess(std::move(shell)));
}

// Then the kernel tells nobody how a child has ended.
TEST_F(CliJournalTrouble, a_command_that_fails_is_noticed_where_the_ends_of_children_are_ignored) {
  create_ring();
  must({"journal", "push", ring()}, "one\ntwo\n");
  const Ran failed = run_after("trap '' CHLD", run_journal({"sh", "-c", "exit 3"}));
  EXPECT_EQ(failed.code, 1) << failed;
  EXPECT_THAT(failed.err, HasSubstr("exit code 3"));
  EXPECT_EQ(lines_of(must({"journal", "list", ring()})).size(), 4u) << "an item is gone";
  EXPECT_EQ(run_after("trap '' CHLD", run_journal({"cat"})).out, "onetwo");
}

TEST_F(CliRingTrouble, a_limit_on_the_size_of_files_is_an_error_with_words) {
  const Words make = {"ring", "create", path("limited"), "--size", "64MiB"};
  const Ran refused = run_after("ulimit -f 1024", make);
  EXPECT_EQ(refused.code, 1) << refused;
  EXPECT_THAT(refused.err, HasSubstr("ulimit -f"));
  EXPECT_FALSE(std::filesystem::exists(path("limited")));
}

TEST_F(CliRingTrouble, too_few_descriptors_are_an_error_with_words) {
  create_ring();
  for (int most = 5; most < 14; ++most) {
    const Ran ran = run_after("ulimit -n " + std::to_string(most), on_ring({"produce"}));
    EXPECT_TRUE(ran.code == 0 || ran.code == 1) << most << ": " << ran;
  }
}

TEST_F(CliJournalTrouble, a_command_that_a_killed_run_has_left_keeps_the_journal_until_it_ends) {
  create_ring();
  must({"journal", "push", ring()}, "one\n");
  auto runner = start_tool(run_journal({"sh", "-c",
                                        "echo began >> \"$0\"; "
                                        "while [ ! -e \"$0.go\" ]; do sleep 0.01; done; "
                                        "echo ended >> \"$0\"",
                                        path("log")}));
  ASSERT_TRUE(wait_until([&] {
    return std::filesystem::exists(path("log")) && read_whole_file(path("log")) == "began\n";
  })) << runner.errors();
  runner.kill_hard();
  const Words again = run_journal({"sh", "-c", "echo again >> \"$0\"", path("log")});
  const Ran beside = run_tool(again);
  EXPECT_EQ(beside.code, 7) << beside;
  EXPECT_THAT(beside.err, HasSubstr("a command that a `journal run` has left at work"));
  refused(7, "", on_ring({"consume"}));
  write_whole_file(path("log.go"), "");
  ASSERT_TRUE(wait_until([&] { return run_tool(again).code == 0; })) << "it stays taken";
  EXPECT_EQ(read_whole_file(path("log")), "began\nended\nagain\n");
}

}  // namespace
}  // namespace semper::testing
