#include "store/grammar.h"

#include "store/bench.h"
#include "store/copy.h"
#include "store/keys.h"
#include "store/whole.h"

namespace semper::cli {
namespace {

constexpr const char* kKeyHelp = "A tuple ('(\"users\", 42)'), bytes with \\xHH, or 0xHEX";
constexpr const char* kShownHelp = "Shown as auto (JSON if it is CBOR), json, text, hex, int, raw";

void add_store_keys(CLI::App& store, Command& chosen) {
  auto& get_command = add_command(store, {"get", "The value of a key",
                                          "store get '(\"users\", 42)'\nstore get 0x6162 --as "
                                          "hex"});
  auto get_arguments = std::make_shared<KeyArguments>();
  get_command.add_option("KEY", get_arguments->key, kKeyHelp)->required();
  get_command.add_option("--as", get_arguments->form, kShownHelp)->capture_default_str();
  choose(get_command, chosen, get_arguments, get);

  auto& set_command =
      add_command(store, {"set", "Store a value",
                          "store set '(\"users\", 42)' '{\"name\": \"Ann\"}'\nstore set greeting "
                          "hello --as text\nstore set '(\"hits\",)' 0 --as int"});
  auto set_arguments = std::make_shared<KeyArguments>();
  set_command.add_option("KEY", set_arguments->key, kKeyHelp)->required();
  set_command.add_option("VALUE", set_arguments->value, "The value")->required();
  set_command
      .add_option("--as", set_arguments->form,
                  "Its form: auto or json (stored as CBOR), text, hex, int (8-byte counter)")
      ->capture_default_str();
  choose(set_command, chosen, set_arguments, set);

  auto& clear_command = add_command(store, {"clear", "Remove a key", "store clear greeting"});
  auto clear_arguments = std::make_shared<KeyArguments>();
  clear_command.add_option("KEY", clear_arguments->key, kKeyHelp)->required();
  choose(clear_command, chosen, clear_arguments, clear);
}

void add_range_and_watch(CLI::App& store, Command& chosen) {
  auto& range_command = add_command(
      store,
      {"range", "Keys and values in order; with --json, one line each",
       "store range '(\"users\",)'\nstore range --from '(\"a\",)' --to '(\"b\",)' --reverse"});
  auto range_arguments = std::make_shared<RangeArguments>();
  range_command.add_option("PREFIX", range_arguments->prefix,
                           "Only keys that begin with this one; without it, all");
  range_command.add_option("--from", range_arguments->from, "Only keys from this one on");
  range_command.add_option("--to", range_arguments->to, "Only keys before this one");
  add_count(range_command, "--limit", range_arguments->limit, "The maximum number; 0: all");
  range_command.add_flag("--reverse", range_arguments->reverse, "The last ones first");
  range_command.add_option("--as", range_arguments->form, kShownHelp)->capture_default_str();
  choose(range_command, chosen, range_arguments, range);

  auto& watch_command = add_command(
      store, {"watch", "Print the value of a key, and print it again whenever it changes",
              "store watch '(\"users\", 42)'\n--json store watch greeting --count 2"});
  auto watch_arguments = std::make_shared<WatchArguments>();
  watch_command.add_option("KEY", watch_arguments->key, kKeyHelp)->required();
  add_count(watch_command, "--count", watch_arguments->count,
            "End after this many values; 0: continue");
  watch_command.add_option("--as", watch_arguments->form, kShownHelp)->capture_default_str();
  choose(watch_command, chosen, watch_arguments, watch, OnSignal::requests_stop);
}

void add_copy(CLI::App& store, Command& chosen) {
  auto& command =
      add_command(store, {"copy", "Copy one store into another; resumes if it was interrupted",
                          "store copy sqlite:./data.db fdb:/etc/foundationdb/fdb.cluster\nstore "
                          "copy etcd:10.0.0.1:2379 sqlite:./data.db --check"});
  auto arguments = std::make_shared<CopyArguments>();
  command.add_option("FROM", arguments->from, "URL of the source, which is not changed")
      ->required();
  command
      .add_option("TO", arguments->to, "URL of the target, which is created if it does not exist")
      ->required();
  command.add_flag("--online", arguments->online,
                   "The source is in use: bring the target close to it, and finish later");
  command.add_flag("--overwrite", arguments->overwrite,
                   "Make the target equal to the source, whatever it holds; asks first");
  auto& check = *command.add_flag("--check", arguments->check,
                                  "Say what would happen and what prevents it; write nothing");
  command.add_flag("--compare", arguments->compare, "Say where the two differ; write nothing")
      ->excludes(&check);
  choose(command, chosen, arguments, copy_store, OnSignal::requests_stop);
}

}  // namespace

void add_store_commands(CLI::App& program, Command& chosen) {
  auto& store = add_command(program, {"store", "The store itself: keys, values, integrity",
                                      "store range --limit 20\nstore check"});
  store.require_subcommand(1);
  add_store_keys(store, chosen);
  add_range_and_watch(store, chosen);
  add_copy(store, chosen);
  choose(add_command(store, {"create", "Create a store, unless it exists",
                             "--store sqlite:./data.db store create"}),
         chosen, create);
  choose(add_command(store, {"check", "Read everything and look for damage", "store check"}),
         chosen, check);
  auto& backup_command = add_command(
      store, {"backup", "Copy a sqlite: store while it is in use: one consistent state, checked",
              "--store sqlite:./data.db store backup /backup/data.db"});
  auto backup_arguments = std::make_shared<BackupArguments>();
  backup_command.add_option("TO", backup_arguments->to, "The file to create; it must not exist")
      ->required();
  choose(backup_command, chosen, backup_arguments, backup, OnSignal::requests_stop);
  choose(add_command(store, {"info", "Version, limits and counters of the store", "store info"}),
         chosen, info);

  auto& bench_command = add_command(
      program, {"bench", "Measure a short load on a temporary store; SEMPER_STORE is ignored",
                "bench\nbench --duration 5s --callers 1000\nbench --directory /srv\nbench --store "
                "sqlite:./data.db"});
  auto arguments = std::make_shared<BenchArguments>();
  bench_command.add_option("--duration", arguments->duration, "Duration of each measurement")
      ->capture_default_str();
  add_count(bench_command, "--callers", arguments->callers, "Concurrent callers");
  bench_command.add_option(
      "--directory", arguments->directory,
      "Where to create the store, unless --store names one; default: TMPDIR or /var/tmp");
  choose(bench_command, chosen, arguments, bench, OnSignal::requests_stop);
}

}  // namespace semper::cli
