// Workload: what runs on a cluster while it is tormented, and what must be true of it afterwards.
//
// Two hosts serve. Clients in processes of their own, none of which ever learns what is done to the
// cluster:
//
//   two of counters   add and read, history kept            -> linearizable (linearizable.h)
//   a publisher       casts and calls to ledgers, some sent -> every acknowledged post there once,
//                     on to a total, journal kept              none twice, in order per sender
//                                                              (crash/verdict.h)
//   clerks            transfers between accounts            -> balances constant, none negative,
//                                                              each acknowledged transfer left and
//                                                              came once
//
// Errors that say "nothing happened" are believed: an operation that was refused and took effect
// all the same is a failure too.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "checkers/history.h"
#include "semper/semper.h"
#include "semper/testing/child_process.h"

namespace semper::testing {

struct WorkloadOptions {
  std::string store;   // URL
  std::string folder;  // for histories; the caller removes it
  std::uint64_t seed = 0;
};

class Workload {
 public:
  explicit Workload(WorkloadOptions options);

  // Starts everything, and waits until counters are added to.
  void start();

  // Waits until so many more operations on counters were answered. A failure of the test if they
  // were not: whatever is wrong with the cluster, this says that it should have served.
  void expect_progress(const std::string& when, std::uint64_t operations = 20);

  // SIGKILL, and a new one in its place.
  void replace_host(std::size_t number);
  static constexpr std::size_t kHosts = 2;

  // Ends the clients, waits for the queues, judges everything, ends the hosts.
  void finish();

  // What happened, for people.
  std::string summary() const;

 private:
  struct Member {
    std::string name;
    ChildProcess process;
  };

  Member start_member(const std::string& name, std::vector<std::string> arguments);
  void wait_ready(Member& member);
  std::vector<Operation> histories() const;
  bool wait_quietly(const std::function<bool()>& condition, std::chrono::seconds limit);
  void listen_to_all();
  void end_clients();
  void judge_all();
  bool wait_for_queues(Scheduler& scheduler, const Store& store);
  // Nothing of the clients, who are gone, is left lying in the store.
  void expect_nothing_left(Scheduler& scheduler, const Store& store);
  void judge_counters(Scheduler& scheduler, const Store& store);
  void judge_ledgers(Scheduler& scheduler, const Store& store);
  void judge_bank(Scheduler& scheduler, const Store& store);
  void note_longest_silence(const std::vector<Operation>& operations);

  const WorkloadOptions options_;
  std::vector<Member> hosts_;
  std::vector<Member> clients_;
  std::size_t clerks_ = 0;  // which of the clients
  int hosts_started_ = 0;
  std::vector<std::string> words_;  // of the summary
};

}  // namespace semper::testing
