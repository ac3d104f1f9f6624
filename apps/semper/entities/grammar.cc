#include "entities/grammar.h"

#include "entities/dead.h"
#include "entities/explain.h"
#include "entities/hosts.h"
#include "entities/keys.h"
#include "entities/look.h"
#include "entities/names.h"
#include "entities/record.h"
#include "entities/send.h"
#include "entities/stats.h"
#include "entities/timers.h"
#include "entities/top.h"

namespace semper::cli {
namespace {

constexpr const char* kEntityHelp = "TYPE/ID; the first slash separates the two";

void add_looking(CLI::App& program, Command& chosen) {
  auto& types = add_command(
      program, {"types", "The types in the store, their messages, and which hosts know which",
                "types\ntypes --compare\n--json types"});
  auto types_arguments = std::make_shared<TypesArguments>();
  types.add_flag("--compare", types_arguments->compares,
                 "Only where the hosts of a type differ; exit code 7 if any do");
  choose(types, chosen, types_arguments, show_types);

  auto& ls = add_command(program, {"ls", "The entities of a type, sorted by id",
                                   "ls Counter\nls Counter --prefix page/ --limit 0\nls Counter "
                                   "--after page/home"});
  auto list_arguments = std::make_shared<ListArguments>();
  ls.add_option("TYPE", list_arguments->type, "Type of the entities")->required();
  ls.add_option("--prefix", list_arguments->prefix, "Only ids that begin with this");
  ls.add_option("--after", list_arguments->after, "Only ids after this one");
  add_count(ls, "--limit", list_arguments->limit, "The maximum number; 0: all");
  choose(ls, chosen, list_arguments, list);

  auto& show_command =
      add_command(program, {"show", "State, queue, lock and problems of one entity",
                            "show Counter/page/home\n--json show Counter/page/home | jq .state"});
  auto entity = std::make_shared<std::string>();
  show_command.add_option("ENTITY", *entity, kEntityHelp)->required();
  choose(show_command, chosen, entity, show);

  auto& explain_command = add_command(
      program, {"explain", "Why an entity makes no progress: one sentence, and the facts",
                "explain Counter/page/home\n--json explain Counter/page/home | jq -r .why"});
  auto explained = std::make_shared<std::string>();
  explain_command.add_option("ENTITY", *explained, kEntityHelp)->required();
  choose(explain_command, chosen, explained, explain);

  auto& queue = add_command(program, {"queue", "The first messages in the queue of an entity",
                                      "queue Counter/page/home\nqueue Counter/page/home --limit "
                                      "1000"});
  auto queue_arguments = std::make_shared<MessagesArguments>();
  queue.add_option("ENTITY", queue_arguments->entity, kEntityHelp)->required();
  add_count(queue, "--limit", queue_arguments->limit, "The maximum number; 0: all");
  choose(queue, chosen, queue_arguments, show_queue);

  auto& hosts = add_command(program, {"hosts", "The processes that serve types", "hosts"});
  choose(hosts, chosen, show_hosts);
}

void add_names(CLI::App& program, Command& chosen) {
  auto& names = add_command(
      program, {"names", "Names that one process holds at a time, and their holders",
                "names\nnames --prefix billing/\nnames --where zone=east\n--json names"});
  auto arguments = std::make_shared<NamesArguments>();
  names.add_option("--prefix", arguments->prefix, "Only names that begin with this");
  names.add_option("--where", arguments->where,
                   "FIELD=VALUE: only holders with this in their metadata");
  names.add_option("--after", arguments->after, "Only names after this one");
  add_count(names, "--limit", arguments->limit, "The maximum number; 0: all");
  choose(names, chosen, arguments, show_names);
}

void add_dead(CLI::App& program, Command& chosen) {
  auto& dead =
      add_command(program, {"dead", "Messages that failed and were set aside, and why",
                            "dead Counter/page/home\ndead Counter/page/home --redrive"
                            "\ndead Counter/page/home --redrive --letter 0000000000001f2a"
                            "-0000-0000\ndead Counter/page/home --purge --older-than 720h"});
  auto arguments = std::make_shared<DeadArguments>();
  dead.add_option("ENTITY", arguments->entity, kEntityHelp)->required();
  add_count(dead, "--limit", arguments->limit, "The maximum number to list or put back; 0: all");
  auto* redrive =
      dead.add_flag("--redrive", arguments->redrive,
                    "Put them back at the end of the queue, oldest first, to be processed again");
  auto* remove =
      dead.add_flag("--delete", arguments->remove, "Delete those that --letter names; asks first");
  auto* purge = dead.add_flag("--purge", arguments->purge, "Delete all of them; asks first");
  auto* count = dead.add_flag("--count", arguments->count, "Print only how many there are");
  auto* letters = dead.add_option(
      "--letter", arguments->letters,
      "With --redrive or --delete: the letter with this versionstamp, as in --json; if repeated, "
      "all of them or none");
  letters->allow_extra_args(false);
  auto* older = dead.add_option("--older-than", arguments->older_than,
                                "With --purge: only letters older than this: 12h, 90m");
  redrive->excludes(remove)->excludes(purge)->excludes(count);
  remove->excludes(purge)->excludes(count)->needs(letters);
  purge->excludes(count)->excludes(letters);
  older->needs(purge);
  choose(dead, chosen, arguments, run_dead);
}

void add_timers(CLI::App& program, Command& chosen) {
  auto& timers =
      add_command(program, {"timers", "The timers of a type by due time, or of one entity",
                            "timers Order --within 1h\ntimers Order/17\n--json timers "
                            "Order --limit 0"});
  auto arguments = std::make_shared<TimersArguments>();
  timers
      .add_option("TYPE[/ID]", arguments->of,
                  "A type, or TYPE/ID; the first slash separates the two")
      ->required();
  timers.add_option("--within", arguments->within,
                    "Only timers that are due within this: 90s, 15m, 1h");
  add_count(timers, "--limit", arguments->limit, "The maximum number; 0: all");
  choose(timers, chosen, arguments, show_timers);

  auto& timer =
      add_command(program, {"timer", "One timer of an entity", "timer cancel Order/17 expiry"});
  timer.require_subcommand(1);
  using Run = Async<void> (*)(Invocation&, TimerArguments);
  const auto add = [&](const char* name, const char* what, const char* example, Run run) {
    auto& command = add_command(timer, {name, what, example});
    auto one = std::make_shared<TimerArguments>();
    command.add_option("ENTITY", one->entity, kEntityHelp)->required();
    command.add_option("NAME", one->name, "The timer's name, as `timers` shows it")->required();
    choose(command, chosen, one, run);
  };
  add("cancel", "Cancel it: none of its ticks is handled from now on",
      "timer cancel Order/17 expiry", cancel_one_timer);
  add("pause", "Stop it until it is resumed", "timer pause Order/17 reminder", pause_one_timer);
  add("resume", "Resume it; ticks that were due in the meantime are missed",
      "timer resume Order/17 reminder", resume_one_timer);
  add("trigger", "Send a tick of it now; its schedule does not change",
      "timer trigger Order/17 reminder", trigger_one_timer);
}

void add_keys(CLI::App& program, Command& chosen) {
  auto& keys = add_command(program, {"keys", "The idempotency keys that an entity remembers",
                                     "keys Account/17\n--json keys Account/17 --limit 0"});
  auto arguments = std::make_shared<KeysArguments>();
  keys.add_option("ENTITY", arguments->entity, kEntityHelp)->required();
  add_count(keys, "--limit", arguments->limit, "The maximum number; 0: all");
  choose(keys, chosen, arguments, show_keys);

  const char* const example = "key forget Account/17 Transfer order-4711";
  auto& key = add_command(program, {"key", "One idempotency key of an entity", example});
  key.require_subcommand(1);
  auto& forget =
      add_command(key, {"forget", "Forget it: a repeat runs again; asks first", example});
  auto one = std::make_shared<MessageKeyArguments>();
  forget.add_option("ENTITY", one->entity, kEntityHelp)->required();
  forget.add_option("MESSAGE", one->message, "The message's name, as `keys` shows it")->required();
  forget.add_option("KEY", one->key, "The key, as `keys` shows it")->required();
  choose(forget, chosen, one, forget_one_key);
}

void add_record(CLI::App& program, Command& chosen) {
  auto& command = add_command(
      program, {"record", "Write one entity, with its queue, to a file that a test can load",
                "record Counter/page/home --output home.jsonl\nrecord Order/17 --output 17.jsonl "
                "--limit 0 --force\nrecord Order/17 | less"});
  auto arguments = std::make_shared<RecordArguments>();
  command.add_option("ENTITY", arguments->entity, kEntityHelp)->required();
  command.add_option(
      "--output", arguments->output,
      "The file to create; only its owner can read it, because it contains states and "
      "messages. Without it, standard output");
  add_count(command, "--limit", arguments->limit,
            "The maximum number of waiting messages, and of dead letters, oldest first; 0: all");
  command.add_flag("--force", arguments->force, "Replace an existing file");
  choose(command, chosen, arguments, record, OnSignal::requests_stop);
}

// The options that cast and call share.
void add_sending_options(CLI::App& command, SendArguments& arguments) {
  command.add_option("ENTITY", arguments.entity, kEntityHelp)->required();
  command.add_option("MESSAGE", arguments.message, "The message's name, as `types` shows it")
      ->required();
  command
      .add_option("JSON", arguments.json,
                  "Its content: fields by position, '[2]', or by name, '{\"by\": 2}'; - reads it "
                  "from standard input")
      ->capture_default_str();
  command.add_option("--key", arguments.key,
                     "An idempotency key: for a day, a repeat with it does nothing, and a "
                     "repeated call gets the reply of the first");
  command.add_flag("--force", arguments.force,
                   "Send it even if no host has registered this type and message");
}

void add_sending(CLI::App& program, Command& chosen) {
  auto& cast_command =
      add_command(program, {"cast", "Queue a message durably and return",
                            "cast Counter/page/home Add '[2]'\ncast Order/17 Note - < note.json\n"
                            "cast Order/17 Remind --after 1h --key remind-17"});
  auto cast_arguments = std::make_shared<SendArguments>();
  add_sending_options(cast_command, *cast_arguments);
  cast_command.add_option("--after", cast_arguments->after,
                          "Let it be sent so much later: 500ms, 2s, 1.5m, 1h");
  choose(cast_command, chosen, cast_arguments, cast);

  auto& call_command = add_command(
      program, {"call", "Send a message and wait for a running host's reply",
                "call Counter/page/home Add '[2]'\ncall Counter/page/home Read --timeout 30s"});
  auto call_arguments = std::make_shared<SendArguments>();
  add_sending_options(call_command, *call_arguments);
  call_command
      .add_option("--timeout", call_arguments->timeout,
                  "How long to wait: 500ms, 2s, 1m, forever, or plain seconds (5); after that, and "
                  "after Ctrl-C, the message stays queued")
      ->capture_default_str();
  choose(call_command, chosen, call_arguments, call, OnSignal::requests_stop);
}

void add_force(CLI::App& program, Command& chosen) {
  struct Forceful {
    CommandText text;
    Async<void> (*run)(Invocation&, std::string);
  };
  const Forceful commands[] = {
      {{"kill", "Delete an entity: state, queue, lock and dead letters; asks first",
        "kill Counter/page/home\nkill Counter/page/home --yes"},
       kill},
      {{"reset", "Delete an entity's state, but keep its queue; asks first",
        "reset Counter/page/home --yes"},
       reset}};
  for (const auto& [text, run] : commands) {
    auto& command = add_command(program, text);
    auto entity = std::make_shared<std::string>();
    command.add_option("ENTITY", *entity, kEntityHelp)->required();
    choose(command, chosen, entity, run);
  }
  auto& unlock_command =
      add_command(program, {"unlock", "Take an entity's lock away from its holder; asks first",
                            "unlock Order/17 --yes\nunlock Order/17 --yes --if-locked"});
  auto arguments = std::make_shared<UnlockArguments>();
  unlock_command.add_option("ENTITY", arguments->entity, kEntityHelp)->required();
  unlock_command.add_flag("--if-locked", arguments->if_locked,
                          "For scripts: if it is not locked, do nothing, without an error");
  choose(unlock_command, chosen, arguments, unlock);
}

void add_stats(CLI::App& program, Command& chosen) {
  auto& command = add_command(
      program, {"stats", "Rates of a store or of one entity, one line per second until interrupted",
                "stats\nstats Counter/page/home\n--json stats --count 10 --interval 500ms"});
  auto arguments = std::make_shared<StatsArguments>();
  command.add_option("ENTITY", arguments->entity, "TYPE/ID; without it, the store as a whole");
  add_count(command, "--count", arguments->count, "End after this many lines; 0: continue");
  command.add_option("--interval", arguments->interval, "Time between lines")
      ->capture_default_str();
  choose(command, chosen, arguments, stats, OnSignal::requests_stop);
}

void add_top(CLI::App& program, Command& chosen) {
  auto& command = add_command(
      program, {"top", "The busiest entities, updated until interrupted",
                "top\ntop Counter --by rate --limit 5\n--json top --count 1 | jq .types"});
  auto arguments = std::make_shared<TopArguments>();
  command.add_option("TYPE", arguments->type, "Only entities of this type");
  command.add_option("--by", arguments->by, "waiting, rate, age or name: the sort order")
      ->capture_default_str();
  add_count(command, "--limit", arguments->limit, "Entities to show; 0: all that were checked");
  add_count(command, "--count", arguments->count, "End after this many updates; 0: continue");
  command.add_option("--interval", arguments->interval, "Time between updates")
      ->capture_default_str();
  choose(command, chosen, arguments, top, OnSignal::requests_stop);
}

}  // namespace

void add_entity_commands(CLI::App& program, Command& chosen) {
  add_looking(program, chosen);
  add_names(program, chosen);
  add_sending(program, chosen);
  add_dead(program, chosen);
  add_timers(program, chosen);
  add_keys(program, chosen);
  add_record(program, chosen);
  add_force(program, chosen);
  add_stats(program, chosen);
  add_top(program, chosen);
}

}  // namespace semper::cli
