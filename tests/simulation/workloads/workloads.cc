#include "workloads.h"

namespace semper::simulation {

const std::vector<WorkloadKind>& workload_kinds() {
  static const std::vector<WorkloadKind> kinds = {
      {"actions", "actions after the commit; at most once, each where nothing goes wrong",
       make_actions},
      {"answers",
       "replies at once, later, by another, as errors, too late; each caller gets its own",
       make_answers},
      {"bank", "transfers among accounts; nothing is made, lost or spent twice", make_bank},
      {"chain", "trees of messages to others and to oneself; whole, once, or not at all",
       make_chain},
      {"counter", "adds and reads; each counter is linearizable", make_counter},
      {"dead_letters", "messages that fail until the program is mended and they are redriven",
       make_dead_letters},
      {"lives", "kill, reset and stop among messages", make_lives},
      {"locks", "work under the lock, with fencing tokens; unlock", make_locks},
      {"once", "cast_once, sent again until it is acknowledged; once, in order", make_once},
      {"order", "calls, casts and batches, in the order of their publishers, once", make_order},
      {"priority", "priority messages and infos among queued ones", make_priority},
      {"drain", "casts through a journal on a disk whose power goes; exactly once, in order",
       make_drain},
      {"journal", "journals of both formats on such disks; at least once, in order", make_journal},
      {"ring", "producers and consumers of rings of both formats on such disks", make_ring},
      {"streams", "streams and durable connections that break", make_streams},
  };
  return kinds;
}

std::vector<std::string> workload_names() {
  std::vector<std::string> names;
  for (const auto& kind : workload_kinds()) names.emplace_back(kind.name);
  return names;
}

}  // namespace semper::simulation
