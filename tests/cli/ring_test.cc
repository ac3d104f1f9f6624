// Rings: semper ring create|produce|consume|info|suspend|resume|verify|dump|bench.
#include <signal.h>

#include <filesystem>
#include <sstream>

#include "ring/mirage_images_test_support.h"
#include "ring_fixture.h"

namespace semper::testing {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::StartsWith;

TEST_F(CliRing, items_are_delivered_once_and_in_order) {
  create_ring();
  produce("one\n\nthree");
  produce("four\n");
  EXPECT_EQ(consume({"--count", "2"}), "one\n\n");
  EXPECT_EQ(consume(), "three\nfour\n");
  EXPECT_EQ(consume(), "") << "an empty ring is no error";
  EXPECT_EQ(info()["used"], 0);
}

TEST_F(CliRing, items_that_are_only_shown_stay_in_the_ring) {
  create_ring();
  produce("one\ntwo\n");
  EXPECT_EQ(consume({"--keep"}), "one\ntwo\n");
  EXPECT_EQ(consume({"--keep", "--count", "1"}), "one\n");
  const auto items = must_json_lines(on_ring({"consume"}, {"--keep"}));
  ASSERT_EQ(items.size(), 2u);
  EXPECT_EQ(items[0]["text"], "one");
  EXPECT_EQ(items[1]["hex"], "74776f");
  EXPECT_LT(items[0]["start"].get<int>(), items[0]["after"].get<int>());
  EXPECT_EQ(items[0]["after"], items[1]["start"]);
  EXPECT_EQ(consume(), "one\ntwo\n");
}

TEST_F(CliRing, framed_records_with_any_bytes_come_back) {
  create_ring();
  const std::string records("\x03\0\0\0a\n\0\0\0\0\0\x01\0\0\0\xff", 16);
  produce(records, {"--framed"});
  const auto kept = must_json_lines(on_ring({"consume"}, {"--keep"}));
  ASSERT_EQ(kept.size(), 3u);
  EXPECT_EQ(kept[2]["text"], nullptr);
  EXPECT_EQ(consume({"--framed"}), records);
}

TEST_F(CliRing, a_long_input_passes_through_a_small_ring) {
  create_ring({"--size", "64KiB"});
  std::string input;
  for (int i = 0; i < 20'000; ++i) input += "line " + std::to_string(i) + "\n";
  auto producer = start_tool(on_ring({"produce"}), input);
  auto consumer = start_tool(on_ring({"consume"}, {"--follow", "--count", "20000", "--no-flush"}));
  EXPECT_EQ(consumer.finish(), 0) << consumer.errors();
  EXPECT_EQ(producer.finish(), 0) << producer.errors();
  EXPECT_EQ(consumer.output(), input);
  EXPECT_THAT(producer.errors(), HasSubstr("20000 items"));
}

TEST_F(CliRing, a_producer_with_a_timeout_gives_up_on_a_full_ring) {
  create_ring({"--size", "64KiB"});
  std::string input;
  for (int i = 0; i < 20'000; ++i) input += "line " + std::to_string(i) + "\n";
  const Ran ran = run_tool(on_ring({"produce"}, {"--timeout", "50ms"}), input);
  EXPECT_EQ(ran.code, 4) << ran;
  EXPECT_THAT(ran.err, HasSubstr("are in the ring"));
  const std::string out = consume();
  EXPECT_THAT(input, StartsWith(out));
  EXPECT_THAT(ran.err, HasSubstr(" " + std::to_string(lines_of(out).size()) + " items"));
}

TEST_F(CliRing, a_record_that_does_not_fit_or_is_incomplete_is_refused) {
  create_ring({"--size", "64KiB"});
  const Ran large = run_tool(on_ring({"produce"}), "ok\n" + std::string(200'000, 'x') + "\n");
  EXPECT_EQ(large.code, 2) << large;
  EXPECT_THAT(large.err, HasSubstr("the record at byte 3 of the input"));
  EXPECT_THAT(large.err, HasSubstr("1 items"));
  const Ran cut = run_tool(on_ring({"produce"}, {"--framed"}), std::string("\x05\0\0\0ab", 6));
  EXPECT_EQ(cut.code, 2) << cut;
  EXPECT_THAT(cut.err, HasSubstr("ends inside a record"));
  EXPECT_EQ(consume(), "ok\n");
}

TEST_F(CliRing, create_keeps_what_a_ring_holds) {
  create_ring();
  produce("one\n");
  const std::string before = read_whole_file(ring());
  must(on_ring({"create"}));
  EXPECT_EQ(read_whole_file(ring()), before);
  refused(2, "leave --size out", on_ring({"create"}, {"--size", "2MiB"}));
  refused(1, "", on_ring({"create"}, {"--format", "mirage-1.0"}));
  EXPECT_EQ(read_whole_file(ring()), before);
  EXPECT_EQ(consume(), "one\n");
}

TEST_F(CliRing, create_destroys_what_is_no_ring_only_with_force) {
  const std::string notes(64u << 10, 'n');
  write_whole_file(ring(), notes);
  refused(2, "this destroys what is there", on_ring({"create"}));
  EXPECT_EQ(read_whole_file(ring()), notes);
  must(on_ring({"create"}, {"--force"}));
  produce("one\n");
  EXPECT_EQ(consume(), "one\n");
}

TEST_F(CliRing, a_path_of_the_wrong_kind_is_refused_and_nothing_is_made) {
  refused(3, "--size 64MiB", on_ring({"create"}));
  for (const char* command : {"info", "verify", "dump", "consume", "produce", "suspend"}) {
    refused(3, "queue.ring", on_ring({command}));
  }
  EXPECT_FALSE(std::filesystem::exists(ring()));
  refused(2, "--size", on_ring({"create"}, {"--size", "lots"}));
  refused(2, "--sector-size", on_ring({"create"}, {"--size", "1MiB", "--sector-size", "500"}));
  refused(2, "format", on_ring({"create"}, {"--size", "1MiB", "--format", "mirage"}));
  EXPECT_FALSE(std::filesystem::exists(ring()));
  EXPECT_EQ(run_tool({"ring", "info", folder_}).code, 2);
  write_whole_file(ring(), std::string(64u << 10, '\0'));
  refused(3, "queue.ring", on_ring({"info"}));
  refused(3, "queue.ring", on_ring({"dump"}));
}

TEST_F(CliRing, info_shows_what_the_ring_says) {
  create_ring();
  auto before = info();
  EXPECT_EQ(before["format"], "semper-1");
  EXPECT_EQ(before["device_bytes"], 1 << 20);
  EXPECT_EQ(before["identity"].get<std::string>().size(), 32u);
  produce("one\n");
  const auto after = info();
  EXPECT_EQ(after["identity"], before["identity"]);
  EXPECT_GT(after["used"].get<int>(), 0);
  EXPECT_EQ(after["producer"]["attached"], false);
  EXPECT_THAT(must(on_ring({"info"})), HasSubstr("running"));
}

TEST_F(CliRing, a_side_that_a_process_has_is_refused_to_others) {
  create_ring();
  auto consumer = start_tool(on_ring({"consume"}, {"--follow"}));
  produce("one\n");
  ASSERT_TRUE(wait_until([&] { return consumer.has_written("one\n"); })) << consumer.errors();
  refused(7, "", on_ring({"consume"}));
  refused(7, "", on_ring({"suspend"}));
  must(on_ring({"info"}));
  must(on_ring({"verify"}));
  consumer.send_signal(SIGTERM);
  EXPECT_EQ(consumer.finish(), 0) << consumer.errors();
  EXPECT_THAT(consumer.errors(), HasSubstr("1 items"));
  EXPECT_EQ(consume(), "");
}

TEST_F(CliRing, a_producer_at_a_terminal_ends_in_order_when_told_to) {
  create_ring();
  auto producer = start_tool(on_ring({"produce"}), std::nullopt);
  ASSERT_TRUE(wait_until([&] { return info()["producer"]["attached"] == true; }));
  producer.send_signal(SIGINT);
  ASSERT_TRUE(wait_until([&] { return !producer.is_running(); })) << "it waits for input";
  EXPECT_EQ(producer.finish(), 0) << producer.errors();
}

TEST_F(CliRing, a_suspended_ring_takes_no_items) {
  create_ring();
  EXPECT_EQ(must_json(on_ring({"suspend"}))["asked"], "suspend");
  const Ran stopped = run_tool(on_ring({"produce"}, {"--timeout", "0"}), "one\n");
  EXPECT_EQ(stopped.code, 7) << stopped;
  EXPECT_THAT(must(on_ring({"info"})), HasSubstr("suspend"));
  EXPECT_EQ(consume(), "");
  EXPECT_EQ(must_json(on_ring({"resume"}))["asked"], "resume");
  produce("two\n");
  EXPECT_EQ(consume(), "two\n");
}

// The tool by way of a shell, which closes what the test wants closed.
Ran run_shell(const std::string& script, const std::string& ring) {
  ProgramToStart shell{"/bin/sh"};
  shell.arguments = {"-c", script, SEMPER_PROGRAM, ring};
  return finish(ChildProcess(std::move(shell)));
}

TEST_F(CliRing, a_pause_that_cannot_be_told_is_one) {
  create_ring();
  for (const char* output : {" >&-", " --json >&-"}) {
    for (const char* command : {"suspend", "resume"}) {
      const std::string script = std::string(R"("$0" ring )") + command + R"( "$1")" + output;
      EXPECT_EQ(run_shell(script, ring()).code, 0) << script;
      EXPECT_EQ(info()["consumer"]["suspend"], std::string(command) == "suspend") << script;
      run_tool(on_ring({"produce"}));  // which acknowledges it
    }
  }
  EXPECT_EQ(run_shell(R"("$0" ring info "$1" >&-)", ring()).code, 1);
  EXPECT_EQ(run_shell(R"(echo one | "$0" ring produce "$1" --json >&-)", ring()).code, 0);
  EXPECT_EQ(consume(), "one\n");
}

TEST_F(CliRing, a_journal_neither_loses_nor_repeats_work_that_was_done) {
  create_ring();
  EXPECT_EQ(run_tool({"journal", "push", ring()}, "one\ntwo\nthree\n").code, 0);
  EXPECT_THAT(run_tool({"journal", "list", ring(), "--json"}).out, HasSubstr("\"items\""));
  const std::string done = path("done");
  // Fails at the second item, the first time.
  const std::vector<std::string> work = {
      "journal",
      "run",
      ring(),
      "--",
      "sh",
      "-c",
      "read item; test -e \"$0.again\" || { touch \"$0.$item\"; test \"$item\" != two || exit 3; };"
      " echo $item >> \"$0\"",
      done};
  const Ran failed = run_tool(work);
  EXPECT_EQ(failed.code, 1) << failed;
  EXPECT_THAT(failed.err, HasSubstr("exit code 3"));
  EXPECT_THAT(failed.err, HasSubstr("position"));
  EXPECT_EQ(read_whole_file(done), "one\n");
  write_whole_file(done + ".again", "");
  EXPECT_EQ(run_tool(work).code, 0);
  EXPECT_EQ(read_whole_file(done), "one\ntwo\nthree\n");
  EXPECT_EQ(run_tool(work).code, 0) << "nothing is left";
  EXPECT_EQ(read_whole_file(done), "one\ntwo\nthree\n");
  EXPECT_EQ(run_tool({"journal", "run", ring(), "--", path("no-such-program")}).code, 0);
  EXPECT_EQ(run_tool({"journal", "push", ring()}, "four\n").code, 0);
  EXPECT_NE(run_tool({"journal", "run", ring(), "--", path("no-such-program")}).code, 0);
  write_whole_file(path("letter"), std::string(8192, 'x'));
  EXPECT_EQ(run_tool({"journal", "run", path("letter"), "--", "true"}).code, 3)
      << "no journal there";
}

TEST_F(CliRing, damage_is_named_and_not_read_as_data) {
  create_ring();
  produce(std::string(5000, 'a') + "\n" + std::string(5000, 'b') + "\n");
  EXPECT_EQ(must_json(on_ring({"verify"}))["sound"], true);
  EXPECT_THAT(must(on_ring({"verify"})), HasSubstr("no damage found: 2 items"));
  std::string contents = read_whole_file(ring());
  const auto at = contents.find(std::string(2000, 'a'));
  ASSERT_NE(at, std::string::npos);
  contents[at + 1000] = 'x';
  write_whole_file(ring(), contents);

  const Ran verified = run_tool(on_ring({"verify"}, {"--json"}));
  EXPECT_EQ(verified.code, 6) << verified;
  const auto verdict = parse_json(verified.out);
  EXPECT_EQ(verdict["sound"], false);
  ASSERT_EQ(verdict["damaged"].size(), 1u) << verified;
  const std::size_t sector = (at + 1000) / verdict["sector_size"].get<std::size_t>();
  EXPECT_LE(verdict["damaged"][0]["first_sector"].get<std::size_t>(), sector);
  EXPECT_GE(verdict["damaged"][0]["last_sector"].get<std::size_t>(), sector);
  EXPECT_THAT(run_tool(on_ring({"verify"})).out, HasSubstr("sector"));
  EXPECT_EQ(read_whole_file(ring()), contents) << "verify changed something";

  refused(6, "", on_ring({"consume"}));
  const Ran skipped = run_tool(on_ring({"consume"}, {"--skip-damage"}));
  EXPECT_EQ(skipped.code, 0) << skipped;
  EXPECT_EQ(skipped.out, std::string(5000, 'b') + "\n");
  EXPECT_THAT(skipped.err, HasSubstr("passed over damage from position "));
}

TEST_F(CliRing, damage_beside_the_items_is_found_by_verify) {
  create_ring();
  produce("one\n");
  const std::string sound = read_whole_file(ring());
  for (const std::size_t block : {0, 1, 2, 3, 4, 5, 255}) {
    SCOPED_TRACE("block " + std::to_string(block));
    std::string damaged = sound;
    damaged[block * 4096 + 40] = static_cast<char>(~damaged[block * 4096 + 40]);
    write_whole_file(ring(), damaged);
    const Ran verified = run_tool(on_ring({"verify"}));
    EXPECT_EQ(verified.code, 6) << verified;
    EXPECT_THAT(verified.out, HasSubstr("bytes " + std::to_string(block * 4096) + " to "));
    EXPECT_EQ(consume({"--keep"}), "one\n");
    write_whole_file(ring(), sound);
  }
}

TEST_F(CliRing, what_is_left_of_a_ring_is_made_anew_only_with_force) {
  create_ring({"--size", "4MiB"});
  produce("old\n");
  std::string contents = read_whole_file(ring());
  contents.replace(0, 1 << 20, std::string(1 << 20, '\0'));
  write_whole_file(ring(), contents);
  refused(2, "what is left of a ring", on_ring({"create"}));
  must(on_ring({"create"}, {"--force"}));
  produce("new\n");
  EXPECT_EQ(consume(), "new\n");
}

TEST_F(CliRing, a_pause_is_acknowledged_by_a_producer_that_comes_or_waits_for_input) {
  create_ring();
  must(on_ring({"suspend"}));
  run_tool(on_ring({"produce"}));
  must(on_ring({"resume"}));
  auto producer = start_tool(on_ring({"produce"}), std::nullopt);
  must(on_ring({"resume"}, {"--timeout", "30s"}));
  must(on_ring({"suspend"}, {"--timeout", "30s"}));
  EXPECT_EQ(producer.finish(), 0) << producer.errors();
}

TEST_F(CliRing, a_dump_shows_what_was_made_and_changes_nothing) {
  create_ring({"--size", "16KiB", "--format", "mirage-1.0", "--sector-size", "512"});
  produce("*\nOZ\n", {"--sector-size", "512"});
  const std::string before = read_whole_file(ring());
  const auto dump = must_json(on_ring({"dump"}, {"--sector-size", "512"}));
  EXPECT_EQ(read_whole_file(ring()), before);
  EXPECT_EQ(dump["format"], "mirage-1.0");
  EXPECT_EQ(dump["sector_size"], 512);
  EXPECT_EQ(dump["total_sectors"], 32);
  EXPECT_EQ(dump["producer_offset"], 16);
  EXPECT_EQ(dump["consumer_offset"], 0);
  EXPECT_EQ(dump["suspend"], false);
  EXPECT_EQ(dump["suspend_ack"], false);
  EXPECT_TRUE(dump["producer_text"].is_string());
  EXPECT_TRUE(dump["consumer_text"].is_string());
  EXPECT_EQ(dump["items"], json::parse(R"([
      {"start": 0, "length": 1, "after": 8, "hex": "2a"},
      {"start": 8, "length": 2, "after": 16, "hex": "4f5a"}])"));
  EXPECT_EQ(dump.size(), 10u);
  EXPECT_THAT(must(on_ring({"dump"}, {"--sector-size", "512"})), HasSubstr("OZ"));
}

// What an image's "OFFSET HEX" lines say, written out.
std::string image_bytes(const ring::testing::MirageImage& image) {
  std::string bytes(image.bytes, '\0');
  std::istringstream lines{std::string(image.sparse)};
  std::size_t offset = 0;
  std::string hex;
  while (lines >> offset >> hex) {
    for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
      bytes.at(offset + i / 2) = static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
    }
  }
  return bytes;
}

// Images made by the OCaml library, with descriptions of what is in them.
TEST_F(CliRing, an_image_of_the_ocaml_library_is_dumped_as_it_is_described) {
  int rings = 0;
  for (const auto& image : ring::testing::mirage_images()) {
    SCOPED_TRACE(image.name);
    const json wanted = parse_json(std::string(image.json));
    const std::string contents = image_bytes(image);
    write_whole_file(ring(), contents);
    const std::string sector_size = std::to_string(wanted["sector_size"].get<int>());
    const Ran ran = run_tool(on_ring({"dump"}, {"--json", "--sector-size", sector_size}));
    EXPECT_EQ(read_whole_file(ring()), contents);
    if (!wanted.contains("producer_offset")) {
      EXPECT_EQ(ran.code, 3) << ran;
      continue;
    }
    ASSERT_EQ(ran.code, 0) << ran;
    json expected = {{"format", "mirage-1.0"}, {"items", wanted["items"]}};
    for (const char* field : {"sector_size", "total_sectors", "producer_offset", "consumer_offset",
                              "suspend", "suspend_ack", "producer_text", "consumer_text"}) {
      expected[field] = wanted[field];
    }
    for (auto& item : expected["items"]) {
      std::string hex;
      for (const auto& line : item["hex"]) hex += line.get<std::string>();
      item["hex"] = hex;
    }
    EXPECT_EQ(parse_json(ran.out), expected);
    ++rings;
  }
  EXPECT_GT(rings, 0);
}

// Through the page cache every write succeeds, whatever its size and place.
TEST_F(CliRing, a_closed_standard_stream_never_becomes_the_ring) {
  for (const char* script :
       {R"("$0" ring consume "$1" --no-flush >&-)", R"("$0" ring consume "$1" --no-flush 2>&- >&-)",
        R"("$0" ring produce "$1" --no-flush <&-)", R"("$0" ring dump "$1" >&-)"}) {
    std::filesystem::remove(ring());
    create_ring();
    produce("one\ntwo\n");
    const Ran ran = run_shell(script, ring());
    EXPECT_NE(ran.code, 0) << script << ran;
    EXPECT_EQ(run_tool(on_ring({"verify"})).code, 0) << script;
    EXPECT_EQ(consume(), "one\ntwo\n") << script;
  }
  create_ring();
  EXPECT_EQ(run_shell(R"(echo three | "$0" ring produce "$1" --no-flush 2>&- >&-)", ring()).code,
            0);
  EXPECT_EQ(run_tool(on_ring({"verify"})).code, 0);
  EXPECT_EQ(consume(), "three\n");
}

TEST_F(CliRing, a_producer_that_is_stopped_says_what_it_left_out) {
  create_ring({"--size", "64KiB"});
  std::string input;
  for (int i = 0; i < 20'000; ++i) input += "line " + std::to_string(i) + "\n";
  auto producer = start_tool(on_ring({"produce"}), input);
  // Nobody makes room: it waits in the middle of its input.
  ASSERT_TRUE(wait_until([&] { return info()["used"].get<int>() > 0; }));
  producer.send_signal(SIGTERM);
  EXPECT_EQ(producer.finish(), 1) << producer.errors();
  EXPECT_THAT(producer.errors(), HasSubstr("interrupted; "));
  EXPECT_THAT(producer.errors(), HasSubstr("records that were read are not in the ring"));
  const std::string out = consume();
  EXPECT_THAT(input, StartsWith(out));
  EXPECT_THAT(producer.errors(), HasSubstr(" " + std::to_string(lines_of(out).size()) + " items"));
}

TEST_F(CliRing, showing_items_takes_no_side_and_writes_nothing) {
  create_ring();
  auto consumer = start_tool(on_ring({"consume"}, {"--follow"}));
  produce("one\n");
  ASSERT_TRUE(wait_until([&] { return consumer.has_written("one\n"); })) << consumer.errors();
  ASSERT_TRUE(consumer.freeze());
  produce("two\n");
  EXPECT_THAT(consume({"--keep"}), ::testing::EndsWith("two\n"));
  consumer.kill_hard();
  const std::string before = read_whole_file(ring());
  EXPECT_EQ(consume({"--keep", "--count", "1"}).empty(), false);
  EXPECT_TRUE(before == read_whole_file(ring())) << "showing changed the ring";
}

TEST_F(CliRing, a_ring_that_is_refused_leaves_no_file) {
  EXPECT_NE(run_tool({"ring", "create", path("small"), "--size", "8KiB"}).code, 0);
  EXPECT_FALSE(std::filesystem::exists(path("small")));
}

TEST_F(CliRing, a_journal_that_is_stopped_waits_for_the_command_that_runs) {
  create_ring();
  // The signal is noticed during some of them: the first waits for it to be sent.
  std::string work;
  for (int i = 0; i < 1000; ++i) work += std::to_string(i) + "\n";
  EXPECT_EQ(run_tool({"journal", "push", ring()}, work).code, 0);
  auto runner = start_tool({"journal", "run", ring(), "--", "sh", "-c",
                            "read item; echo began $item >> \"$0\"; "
                            "while [ ! -e \"$0.go\" ]; do sleep 0.01; done; "
                            "sleep 0.01; echo did $item >> \"$0\"",
                            path("log")});
  ASSERT_TRUE(wait_until([&] {
    return std::filesystem::exists(path("log")) && read_whole_file(path("log")) == "began 0\n";
  })) << runner.errors();
  runner.send_signal(SIGTERM);
  write_whole_file(path("log.go"), "");
  EXPECT_EQ(runner.finish(), 1) << runner.errors();
  EXPECT_THAT(runner.errors(), HasSubstr("interrupted before the item"));
  const std::string log = read_whole_file(path("log"));
  const std::size_t done = lines_of(log).size() / 2;
  std::string whole;
  for (std::size_t i = 0; i < done; ++i) {
    whole += "began " + std::to_string(i) + "\ndid " + std::to_string(i) + "\n";
  }
  EXPECT_EQ(log, whole) << "a command was left half done";
  EXPECT_THAT(runner.errors(), HasSubstr(std::to_string(done) + " items were performed"));
  const Ran rest = run_tool({"journal", "run", ring(), "--", "sh", "-c",
                             "read item; echo $item >> \"$0\"; exit 9", path("rest")});
  EXPECT_EQ(rest.code, 1) << rest;
  EXPECT_EQ(lines_of(read_whole_file(path("rest"))).front(), std::to_string(done));
}

TEST_F(CliRing, a_bench_leaves_nothing_behind) {
  const std::string place = path("bench");
  std::filesystem::create_directory(place);
  const Ran ran = run_tool({"ring", "bench", "--json", "--duration", "20ms", "--callers", "4",
                            "--size", "4MiB", "--directory", place});
  ASSERT_EQ(ran.code, 0) << ran;
  const Words lines = lines_of(ran.out);
  ASSERT_EQ(lines.size(), 2u) << ran;
  for (const auto& line : lines) EXPECT_GT(parse_json(line)["items"].get<int>(), 0) << line;
  EXPECT_TRUE(std::filesystem::is_empty(place));
}

TEST_F(CliRing, a_loop_device_can_hold_a_ring) {
  write_whole_file(path("disk"), std::string(1u << 20, '\0'));
  ProgramToStart losetup{"/bin/sh"};
  losetup.arguments = {"-c", "losetup --find --show \"$0\"", path("disk")};
  ChildProcess attaching(std::move(losetup));
  if (attaching.finish() != 0) GTEST_SKIP() << "no loop device here: " << attaching.errors();
  std::string loop = attaching.output();
  loop.erase(loop.find_last_not_of('\n') + 1);
  EXPECT_EQ(run_tool({"ring", "create", loop}).code, 0);
  EXPECT_EQ(run_tool({"ring", "produce", loop}, "one\n").code, 0);
  EXPECT_EQ(run_tool({"ring", "consume", loop}).out, "one\n");
  ProgramToStart detach{"/bin/sh"};
  detach.arguments = {"-c", "losetup --detach \"$0\"", loop};
  EXPECT_EQ(ChildProcess(std::move(detach)).finish(), 0);
}

}  // namespace
}  // namespace semper::testing
