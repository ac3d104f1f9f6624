#include "ring/grammar.h"

#include "ring/bench.h"
#include "ring/check.h"
#include "ring/flow.h"
#include "ring/journal.h"
#include "ring/manage.h"

namespace semper::cli {
namespace {

constexpr const char* kFramedHelp =
    "Records, each preceded by its length in four bytes, little-endian; otherwise lines";
constexpr const char* kTakeOverHelp =
    "Even if another machine is attached; only if that machine is known to be dead";
constexpr const char* kNoFlushHelp =
    "Do not wait for the disk: data survives this process, but not a power loss";

void add_place(CLI::App& command, RingPlace& place) {
  command.add_option("PATH", place.path, "A regular file, a loop device or a raw disk")->required();
  command
      .add_option("--sector-size", place.sector_size,
                  "For a mirage-1.0 ring, which does not record it; 0: the device's")
      ->type_name("SIZE")
      ->capture_default_str();
}

void add_making(CLI::App& ring, Command& chosen) {
  auto& create = add_command(
      ring,
      {"create", "Create an empty ring; asks before overwriting anything else",
       "ring create queue.ring --size 64MiB\nring create /dev/sdx --force\nring create old.img "
       "--size 1MiB --format mirage-1.0 --sector-size 512"});
  auto arguments = std::make_shared<RingCreateArguments>();
  add_place(create, arguments->place);
  create
      .add_option("--size", arguments->size,
                  "Size of a new file, such as 64MiB; each write of items "
                  "takes at least 4KiB")
      ->type_name("SIZE");
  create.add_option("--format", arguments->format, "semper-1, or mirage-1.0 of the OCaml library")
      ->capture_default_str();
  create.add_flag("--force", arguments->force,
                  "Do not ask before overwriting data that is not a ring");
  choose(create, chosen, arguments, ring_create, OnSignal::requests_stop);
}

void add_flow(CLI::App& ring, Command& chosen) {
  auto& produce = add_command(
      ring,
      {"produce", "Put lines or records from standard input into a ring",
       "ring produce queue.ring < lines.txt\ntail -f log | semper ring produce queue.ring\nring "
       "produce queue.ring --framed --timeout 10s < records"});
  auto produce_arguments = std::make_shared<RingProduceArguments>();
  add_place(produce, produce_arguments->place);
  produce.add_flag("--framed", produce_arguments->framed, kFramedHelp);
  produce
      .add_option("--timeout", produce_arguments->timeout,
                  "How long to wait for room, or for the end of a pause; default: forever")
      ->capture_default_str();
  produce.add_flag("--no-flush", produce_arguments->no_flush, kNoFlushHelp);
  produce.add_flag("--take-over", produce_arguments->take_over, kTakeOverHelp);
  choose(produce, chosen, produce_arguments, ring_produce, OnSignal::requests_stop);

  auto& consume = add_command(
      ring, {"consume", "Take items out of a ring and write them to standard output",
             "ring consume queue.ring\nring consume queue.ring --follow --framed | handle\n--json "
             "ring consume queue.ring --keep --count 10"});
  auto arguments = std::make_shared<RingConsumeArguments>();
  add_place(consume, arguments->place);
  consume.add_flag("--framed", arguments->framed, kFramedHelp);
  add_count(consume, "--count", arguments->count, "End after this many items; 0: all");
  consume.add_flag("--follow", arguments->follow, "Wait for more items until interrupted");
  consume.add_flag("--keep", arguments->keep, "Leave the items in the ring");
  consume.add_flag("--skip-damage", arguments->skip_damage,
                   "Skip damaged items and name them; otherwise they end the command");
  consume.add_flag("--no-flush", arguments->no_flush, kNoFlushHelp);
  consume.add_flag("--take-over", arguments->take_over, kTakeOverHelp);
  choose(consume, chosen, arguments, ring_consume, OnSignal::requests_stop);
}

void add_ring_looking(CLI::App& ring, Command& chosen) {
  struct Look {
    CommandText text;
    Async<void> (*run)(Invocation&, RingPlace);
    OnSignal on_signal = OnSignal::ends_process;
  };
  const Look commands[] = {
      {{"info", "Format, sides, room and state of a ring",
        "ring info queue.ring\n--json ring info /dev/loop0"},
       ring_info},
      {{"verify",
        "Read every sector, check superblock, positions and items, and name what is damaged; "
        "changes nothing",
        "ring verify queue.ring"},
       ring_verify,
       OnSignal::requests_stop},
      {{"dump", "The contents of a ring, item by item; changes nothing",
        "--json ring dump queue.ring\n--json ring dump old.img --sector-size 512"},
       ring_dump}};
  for (const auto& [text, run, on_signal] : commands) {
    auto& command = add_command(ring, text);
    auto place = std::make_shared<RingPlace>();
    add_place(command, *place);
    choose(command, chosen, place, run, on_signal);
  }
}

void add_pausing(CLI::App& ring, Command& chosen) {
  struct Pause {
    CommandText text;
    Async<void> (*run)(Invocation&, RingAskArguments);
  };
  const Pause commands[] = {
      {{"suspend", "Ask the producer of a ring to pause",
        "ring suspend queue.ring\nring suspend queue.ring --timeout 10s"},
       ring_suspend},
      {{"resume", "Let the producer of a ring continue", "ring resume queue.ring"}, ring_resume}};
  for (const auto& [text, run] : commands) {
    auto& command = add_command(ring, text);
    auto arguments = std::make_shared<RingAskArguments>();
    add_place(command, arguments->place);
    command
        .add_option("--timeout", arguments->timeout,
                    "How long to wait for the producer to acknowledge")
        ->capture_default_str();
    choose(command, chosen, arguments, run, OnSignal::requests_stop);
  }
}

}  // namespace

void add_ring_commands(CLI::App& program, Command& chosen) {
  auto& ring = add_command(program, {"ring", "Rings on files and disks: bounded queues of items",
                                     "ring create queue.ring --size 64MiB\nring info queue.ring"});
  ring.require_subcommand(1);
  add_making(ring, chosen);
  add_flow(ring, chosen);
  add_ring_looking(ring, chosen);
  add_pausing(ring, chosen);

  auto& bench = add_command(ring, {"bench", "A short load on a ring in a temporary file",
                                   "ring bench\nring bench --directory /mnt/disk --duration 10s"});
  auto arguments = std::make_shared<RingBenchArguments>();
  bench.add_option("--duration", arguments->duration, "Duration of each measurement")
      ->capture_default_str();
  bench.add_option("--size", arguments->size, "Size of the file")
      ->type_name("SIZE")
      ->capture_default_str();
  add_count(bench, "--callers", arguments->callers, "Concurrent callers");
  bench.add_option("--directory", arguments->directory,
                   "Where to create the file; default: TMPDIR or /var/tmp");
  choose(bench, chosen, arguments, ring_bench, OnSignal::requests_stop);
}

void add_journal_commands(CLI::App& program, Command& chosen) {
  auto& journal = add_command(
      program,
      {"journal", "Journals: rings whose items are work to be done, at least once and in order",
       "ring create work.ring --size 64MiB\njournal push work.ring < jobs.txt\njournal run "
       "work.ring -- ./do-one"});
  journal.require_subcommand(1);

  auto& push =
      add_command(journal, {"push", "Write lines or records from standard input to the journal",
                            "journal push work.ring < jobs.txt"});
  auto push_arguments = std::make_shared<RingProduceArguments>();
  add_place(push, push_arguments->place);
  push.add_flag("--framed", push_arguments->framed, kFramedHelp);
  push.add_option("--timeout", push_arguments->timeout,
                  "How long to wait for room; default: forever")
      ->capture_default_str();
  choose(push, chosen, push_arguments, ring_produce, OnSignal::requests_stop);

  auto& list = add_command(journal, {"list", "The items that wait to be performed; changes nothing",
                                     "journal list work.ring\n--json journal list work.ring"});
  auto list_arguments = std::make_shared<RingPlace>();
  add_place(list, *list_arguments);
  choose(list, chosen, list_arguments, ring_dump);

  auto& run = add_command(
      journal,
      {"run", "Perform the waiting items: run a command for each, with the item as its input",
       "journal run work.ring -- ./do-one --quickly"});
  auto arguments = std::make_shared<JournalRunArguments>();
  add_place(run, arguments->place);
  run.add_option("COMMAND", arguments->command,
                 "A program and its arguments, after --; exit code 0 removes the item")
      ->required();
  choose(run, chosen, arguments, journal_run, OnSignal::requests_stop);
}

}  // namespace semper::cli
