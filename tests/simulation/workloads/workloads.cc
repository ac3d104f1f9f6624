#include "workloads.h"

namespace semper::simulation {

const std::vector<WorkloadKind>& workload_kinds() {
  static const std::vector<WorkloadKind> kinds = {
      {"actions", "actions after the commit; at most once, each where nothing goes wrong",
       make_actions, true},
      {"answers",
       "replies at once, later, by another, as errors, too late; each caller gets its own",
       make_answers, true},
      {"bank", "transfers among accounts; nothing is made, lost or spent twice", make_bank, true},
      {"chain", "trees of messages to others and to oneself; whole, once, or not at all",
       make_chain, true},
      {"counter", "adds and reads; each counter is linearizable", make_counter, true},
      {"dead_letters", "messages that fail until the program is mended and they are redriven",
       make_dead_letters, true},
      {"lives", "kill, reset and stop among messages", make_lives, true},
      {"locks", "work under the lock, with fencing tokens; unlock", make_locks, true},
      {"once", "cast_once, sent again until it is acknowledged; once, in order", make_once, true},
      {"order", "calls, casts and batches, in the order of their publishers, once", make_order,
       true},
      {"priority", "priority messages and infos among queued ones", make_priority, true},
      {"atomically", "accounts that pay each other in one transaction, among messages and locks",
       make_atomically},
      {"cast_in", "casts within transactions of programs' own; with them, once, in order",
       make_cast_in},
      {"expiry", "entities that expire when nobody sends them anything; once, and nothing is lost",
       make_expiry},
      {"keys", "requests with idempotency keys, sent again; once, with one reply for all",
       make_keys},
      {"letters", "messages that are given up: told of, deleted, redriven", make_letters},
      {"limits", "types with limits; never more of a key, or of all, each message once",
       make_limits},
      {"drain", "casts through a journal on a disk whose power goes; exactly once, in order",
       make_drain, true},
      {"journal", "journals of both formats on such disks; at least once, in order", make_journal,
       true},
      {"ring", "producers and consumers of rings of both formats on such disks", make_ring, true},
      {"waiting", "callbacks that wait, read keys and other entities' states; whole and in order",
       make_waiting},
      {"versions", "hosts of two programs, of two versions of a state and of its messages",
       make_versions},
      {"maps", "entries beside states; with them, once, or not at all, and gone with them",
       make_maps},
      {"lists", "lists and sets beside states that say what has to be in them", make_lists},
      {"registry", "names that one live owner holds, with fencing tokens", make_registry},
      {"streams", "streams and durable connections that break", make_streams, true},
      {"timers", "durable timers; each due time once, none after a cancel, none moved",
       make_timers},
      {"traces", "messages of traces, which go on with them; spans of what took effect",
       make_traces},
  };
  return kinds;
}

KnownWorkloads known_workloads() {
  KnownWorkloads known;
  for (const auto& kind : workload_kinds()) {
    known.names.emplace_back(kind.name);
    if (kind.is_in_all) known.all.emplace_back(kind.name);
  }
  return known;
}

}  // namespace semper::simulation
