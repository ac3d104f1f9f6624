#include "workload.h"

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <map>
#include <sstream>
#include <thread>

#include "bank/bank.h"
#include "checkers/linearizable.h"
#include "counter.h"
#include "crash/journal.h"
#include "crash/ledger.h"
#include "crash/verdict.h"
#include "crash/workers.h"
#include "gtest/gtest.h"
#include "workers.h"

namespace semper::testing {
namespace {

constexpr auto kBetweenLooks = std::chrono::milliseconds(50);
// A cluster that is as good as new, or has a majority, must serve within this: elections, timeouts
// and reconnections one after the other, on a busy machine.
constexpr auto kProgressLimit = std::chrono::seconds(45);
constexpr auto kEndLimit = std::chrono::seconds(60);
constexpr std::size_t kNamed = 10;
constexpr const char* kLedgerPrefix = "posts";
constexpr const char* kLedgerTotal = "posts-total";

void report_wrong(const std::vector<std::string>& wrong) {
  for (std::size_t i = 0; i < std::min(wrong.size(), kNamed); ++i) ADD_FAILURE() << wrong[i];
  if (wrong.size() > kNamed) ADD_FAILURE() << "and " << wrong.size() - kNamed << " more";
}

EntityView view_of(Scheduler& scheduler, const Store& store, const EntityId& id) {
  auto found = scheduler.block_on(inspect(store, id));
  if (found) return std::move(*found);
  EXPECT_EQ(found.error().kind(), ErrorKind::not_found) << found.error().to_string();
  return {};
}

template <class State>
State state_of(Scheduler& scheduler, const Store& store, const EntityId& id) {
  const EntityView view = view_of(scheduler, store, id);
  EXPECT_EQ(view.dead_letters, 0u) << id.to_string();
  EXPECT_EQ(view.parked.value_or(""), "") << id.to_string();
  if (!view.state) return {};
  auto state = decode<State>(*view.state);
  EXPECT_TRUE(state) << id.to_string() << ": " << state.error().to_string();
  return state ? std::move(*state) : State{};
}

std::vector<EntityId> ledgers() {
  std::vector<EntityId> ids;
  const std::string type(Ledger::kName);
  for (int i = 0; i < kLedgers; ++i) {
    ids.push_back({type, std::string(kLedgerPrefix) + "-" + std::to_string(i)});
  }
  return ids;
}

}  // namespace

Workload::Workload(WorkloadOptions options) : options_(std::move(options)) {
  for (const char* name : {"/counters", "/journals"}) {
    std::filesystem::create_directories(options_.folder + name);
  }
}

Workload::Member Workload::start_member(const std::string& name,
                                        std::vector<std::string> arguments) {
  ProgramToStart self{"/proc/self/exe"};
  self.arguments = std::move(arguments);
  return {name, ChildProcess(std::move(self))};
}

void Workload::wait_ready(Member& member) {
  const bool ready = wait_quietly(
      [&] { return member.process.has_written("ready") || !member.process.is_running(); },
      std::chrono::duration_cast<std::chrono::seconds>(kEndLimit));
  ASSERT_TRUE(ready && member.process.is_running())
      << member.name << " does not start: " << member.process.errors();
}

void Workload::start() {
  for (std::size_t i = 0; i < kHosts; ++i) {
    hosts_.push_back(start_member("host " + std::to_string(++hosts_started_),
                                  host_arguments(options_.store, "host")));
    wait_ready(hosts_.back());
  }
  for (std::uint64_t i = 1; i <= 2; ++i) {
    const std::string name = "counter-client-" + std::to_string(i);
    clients_.push_back(start_member(
        name, counter_client_arguments({options_.store, options_.folder + "/counters/" + name,
                                        options_.seed + 100 * i})));
  }
  PublisherOptions publisher;
  publisher.store = options_.store;
  publisher.journal = options_.folder + "/journals/publisher";
  publisher.name = "publisher";
  publisher.ledgers = kLedgerPrefix;
  publisher.total = kLedgerTotal;
  publisher.seed = options_.seed;
  clients_.push_back(start_member("publisher", to_arguments(publisher)));
  clerks_ = clients_.size();
  clients_.push_back(start_member("clerks", clerk_arguments(options_.store, options_.seed)));
  for (auto& client : clients_) wait_ready(client);
  expect_progress("before anything was done to it");
}

std::vector<Operation> Workload::histories() const {
  return read_histories(options_.folder + "/counters");
}

// What a process writes has to be read, or it waits for that one day.
void Workload::listen_to_all() {
  for (auto* members : {&hosts_, &clients_}) {
    for (auto& member : *members) {
      member.process.output();
      member.process.errors();
    }
  }
}

bool Workload::wait_quietly(const std::function<bool()>& condition, std::chrono::seconds limit) {
  // Looks are counted, not time: where this test itself was stopped, the cluster was most likely
  // too.
  for (auto looks = limit / kBetweenLooks; looks > 0; --looks) {
    if (condition()) return true;
    listen_to_all();
    std::this_thread::sleep_for(kBetweenLooks);
  }
  return false;
}

void Workload::expect_progress(const std::string& when, std::uint64_t operations) {
  const std::uint64_t wanted = count_done(histories()) + operations;
  EXPECT_TRUE(wait_quietly([&] { return count_done(histories()) >= wanted; }, kProgressLimit))
      << when << ": of " << operations << " operations only "
      << operations - (wanted - std::min(wanted, count_done(histories()))) << " were answered";
  for (auto* members : {&hosts_, &clients_}) {
    for (auto& member : *members) {
      EXPECT_TRUE(member.process.is_running())
          << member.name << " ended by itself: " << member.process.errors();
    }
  }
}

void Workload::replace_host(std::size_t number) {
  Member& host = hosts_.at(number);
  host.process.kill_hard();
  host = start_member("host " + std::to_string(++hosts_started_),
                      host_arguments(options_.store, "host"));
}

void Workload::end_clients() {
  for (auto& client : clients_) {
    EXPECT_EQ(client.process.finish(kEndLimit), 0)
        << client.name << " does not end in order: " << client.process.errors();
  }
}

void Workload::finish() {
  end_clients();
  judge_all();
  for (auto& host : hosts_) {
    EXPECT_EQ(host.process.finish(kEndLimit), 0)
        << host.name << " does not end in order: " << host.process.errors();
  }
}

void Workload::judge_all() {
  Scheduler scheduler;
  const auto store = scheduler.block_on(open_store(options_.store));
  ASSERT_TRUE(store) << store.error().to_string();
  // What still waits is not lost.
  if (wait_for_queues(scheduler, *store)) {
    judge_counters(scheduler, *store);
    judge_ledgers(scheduler, *store);
    judge_bank(scheduler, *store);
    expect_nothing_left(scheduler, *store);
  }
  const auto closed = scheduler.block_on(store->close());
  EXPECT_TRUE(closed) << closed.error().to_string();
}

bool Workload::wait_for_queues(Scheduler& scheduler, const Store& store) {
  std::vector<EntityId> ids = ledgers();
  ids.push_back({std::string(Ledger::kName), kLedgerTotal});
  for (int i = 0; i < kCounters; ++i) {
    ids.push_back({std::string(ClusterCounter::kName), counter_name(i)});
  }
  std::uint64_t waiting = 0;
  const auto are_empty = [&] {
    waiting = 0;
    for (const auto& id : ids) waiting += view_of(scheduler, store, id).queue_length;
    return waiting == 0;
  };
  const bool empty = wait_quietly(are_empty, kEndLimit);
  EXPECT_TRUE(empty) << waiting << " messages wait and are not processed";
  return empty;
}

void Workload::expect_nothing_left(Scheduler& scheduler, const Store& store) {
  Outstanding left;
  const auto is_clean = [&] {
    const auto found = scheduler.block_on(count_outstanding(store));
    if (!found) return false;
    left = *found;
    return left.entities_with_work == 0 && left.sessions == 0 && left.replies == 0 &&
           left.locks == 0;
  };
  EXPECT_TRUE(wait_quietly(is_clean, kEndLimit))
      << left.entities_with_work << " index entries, " << left.sessions << " sessions, "
      << left.replies << " replies, " << left.locks << " locks are left";
}

void Workload::judge_counters(Scheduler& scheduler, const Store& store) {
  const auto all = histories();
  note_longest_silence(all);
  std::map<std::string, std::vector<Operation>> by_counter;
  for (const auto& operation : all) by_counter[operation.counter].push_back(operation);
  std::uint64_t done = 0;
  std::uint64_t open = 0;
  std::uint64_t open_applied = 0;
  for (auto& [counter, operations] : by_counter) {
    Operation at_the_end;
    at_the_end.kind = Operation::Kind::read;
    at_the_end.outcome = Operation::Outcome::done;
    at_the_end.invoked_ns = monotonic_ns();
    at_the_end.value = state_of<ClusterCounter::State>(
        scheduler, store, EntityId{std::string(ClusterCounter::kName), counter});
    at_the_end.returned_ns = monotonic_ns();
    operations.push_back(at_the_end);
    const auto verdict = judge_counter(counter, operations);
    report_wrong(verdict.wrong);
    done += verdict.done;
    open += verdict.open;
    open_applied += verdict.open_applied;
  }
  words_.push_back(std::to_string(done) + " operations on counters linearizable, " +
                   std::to_string(open) + " adds without an answer of which " +
                   std::to_string(open_applied) + " took effect");
}

void Workload::judge_ledgers(Scheduler& scheduler, const Store& store) {
  std::map<std::string, Ledger::State> states;
  for (const auto& id : ledgers()) {
    states[id.id] = state_of<Ledger::State>(scheduler, store, id);
  }
  const auto total =
      state_of<Ledger::State>(scheduler, store, EntityId{std::string(Ledger::kName), kLedgerTotal});
  const auto verdict = judge(read_journals(options_.folder + "/journals"), states, total);
  report_wrong(verdict.wrong);
  EXPECT_GT(verdict.acknowledged, 0u);
  words_.push_back(std::to_string(verdict.acknowledged) + " posts acknowledged and there once, " +
                   std::to_string(verdict.open) + " without an answer");
}

void Workload::judge_bank(Scheduler& scheduler, const Store& store) {
  const auto paid_in = static_cast<std::int64_t>(kBankAccounts) * kBankPaidIn;
  const auto audit = scheduler.block_on(bank::audit(store, paid_in, kEndLimit));
  ASSERT_TRUE(audit) << audit.error().to_string();
  report_wrong(audit->wrong);
  // "done N refused N unknown N failed N"
  const std::string& said = clients_.at(clerks_).process.output();
  const auto at = said.find("done ");
  ASSERT_NE(at, std::string::npos) << said;
  std::istringstream fields(said.substr(at));
  std::string word;
  std::uint64_t done = 0;
  std::uint64_t refused = 0;
  std::uint64_t unknown = 0;
  fields >> word >> done >> word >> refused >> word >> unknown;
  EXPECT_GE(audit->sent, done) << "acknowledged transfers are missing";
  EXPECT_LE(audit->sent, done + unknown)
      << "transfers took effect twice, or though they failed; clerks: " << said.substr(at);
  words_.push_back(std::to_string(audit->sent) + " transfers left and came");
}

void Workload::note_longest_silence(const std::vector<Operation>& operations) {
  std::vector<std::int64_t> answered_ns;
  for (const auto& operation : operations) {
    if (operation.outcome == Operation::Outcome::done) answered_ns.push_back(operation.returned_ns);
  }
  std::sort(answered_ns.begin(), answered_ns.end());
  std::int64_t longest_ns = 0;
  for (std::size_t i = 1; i < answered_ns.size(); ++i) {
    longest_ns = std::max(longest_ns, answered_ns[i] - answered_ns[i - 1]);
  }
  words_.push_back("longest time without an answer " + std::to_string(longest_ns / 1'000'000) +
                   " ms");
}

std::string Workload::summary() const {
  std::string text;
  for (const auto& words : words_) text += (text.empty() ? "" : "; ") + words;
  return text;
}

}  // namespace semper::testing
