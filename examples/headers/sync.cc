// The examples of include/semper/sync, of sync.h and of base/value.h, as they stand in its headers.
// clang-format off
#include <chrono>
#include <cstdint>
#include <iostream>
#include <string>
#include <tuple>
#include <vector>

#include "semper/base/value.h"
#include "semper/block/file_block_device.h"
#include "semper/server/inspect.h"
#include "semper/sync.h"
#include "semper/sync/atomically.h"
#include "semper/sync/journal.h"
#include "semper/sync/names.h"
#include "semper/sync/ring.h"
#include "semper/sync/wait.h"

using namespace std::chrono_literals;

struct Counter {
  using State = std::int64_t;
  struct Add { std::int64_t by = 1; using Reply = std::int64_t; };
  using Messages = semper::Messages<Add>;
  semper::Result<State> init(const semper::EntityId&) { return 0; }
  semper::Reply<std::int64_t> handle_call(const Add& m, State& s, semper::Context&) {
    return s += m.by;
  }
  void handle_cast(const Add& m, State& s, semper::Context&) { s += m.by; }
};

int complain(const semper::Error& error);

namespace whole {
int main() {
  auto store = semper::sync::open_store("sqlite:./data.db");
  if (!store) return complain(store.error());
  semper::sync::Host host(*store);
  host.serve<Counter>();                                  // a behaviour: server/behaviour.h
  auto hits = semper::sync::ref<Counter>(*store, "page/home");
  auto n = hits.call<Counter::Add>(1);
  return n ? 0 : complain(n.error());
}
}  // namespace whole

void thrown(semper::sync::Ref<Counter> hits) {
  try {
    auto store = semper::value(semper::sync::open_store("sqlite:./data.db"));
    std::int64_t n = semper::value(hits.call<Counter::Add>(1));
  } catch (const semper::ErrorException& failed) {
    std::cerr << failed.what() << "\n";              // "io: ..."; failed.error().kind()
  }
}

struct Account {
  struct State { std::int64_t balance = 0; };
  struct Pay { std::int64_t cents = 0; };
  using Messages = semper::Messages<Pay>;
  semper::Result<State> init(const semper::EntityId&) { return State{}; }
  void handle_cast(const Pay& m, State& s, semper::Context&) { s.balance += m.cents; }
};
semper::Status moved(semper::sync::Store store, semper::sync::Ref<Account> ann,
                     semper::sync::Ref<Account> ben, std::int64_t cents) {
  auto move = [&](semper::Atomic&, Account::State& from, Account::State& to) -> semper::Status {
    if (from.balance < cents) {
      return semper::fail(semper::ErrorKind::exhausted, "insufficient funds");
    }
    from.balance -= cents;
    to.balance += cents;
    return {};
  };
  SEMPER_TRY_STATUS(semper::sync::atomically(store, std::tuple(ann, ben), move));
  return {};
}

semper::Status hosted(semper::sync::Store store) {
  semper::sync::Termination end;              // first: from here on SIGTERM is kept
  semper::sync::Host host(store);
  host.serve<Counter>();
  SEMPER_TRY_STATUS(host.start());
  SEMPER_TRY_STATUS(end.wait());               // until Ctrl-C or SIGTERM
  SEMPER_TRY_STATUS(host.stop());
  return {};
}

semper::Status send(const semper::Bytes& bytes);
semper::Status journal() {
  auto perform = [&](const std::vector<semper::ring::Item>& batch) -> semper::Status {
    for (const auto& item : batch) SEMPER_TRY_STATUS(send(item.bytes));
    return {};
  };
  SEMPER_TRY(auto journal, semper::sync::Journal::start("work.journal", perform));
  SEMPER_TRY(auto written, journal.push("an operation"));   // durable from here on
  SEMPER_TRY_STATUS(written.sync());                        // performed
  SEMPER_TRY_STATUS(journal.shutdown());
  return {};
}

int elected(semper::sync::Store store) {
  semper::sync::NameRegistry names(store);
  auto leader = names.campaign("billing/leader");              // waits for its turn
  if (!leader) return complain(leader.error());
  while (leader->is_held()) {
    auto done = store.transact([&](semper::sync::Transaction& tx) -> semper::Status {
      SEMPER_TRY_STATUS(leader->guard(tx));                     // applied only while it is held
      tx.add("bills", 1);
      return {};
    });
  }
  const auto closed = names.close();
  return closed ? 0 : complain(closed.error());
}

semper::Status refs(semper::sync::Store store) {
  auto hits = semper::sync::ref<Counter>(store, "page/home");
  semper::Result<std::int64_t> n = hits.call<Counter::Add>(2);
  SEMPER_TRY_STATUS(hits.cast<Counter::Add>(2));
  return {};
}

semper::Status ring() {
  SEMPER_TRY_STATUS(semper::create_block_file("queue.ring", {.size = 64 << 20}));
  SEMPER_TRY_STATUS(semper::sync::create_ring("queue.ring"));
  SEMPER_TRY(auto producer, semper::sync::Producer::attach("queue.ring"));
  SEMPER_TRY_STATUS(producer.publish("an item"));
  SEMPER_TRY(auto consumer, semper::sync::Consumer::attach("queue.ring"));
  SEMPER_TRY(const auto item, consumer.pop(5s));
  SEMPER_TRY_STATUS(consumer.advance(item.after));
  return {};
}

void store() {
  auto store = semper::sync::open_store("sqlite:./data.db").value();
  const std::string key = "visits";
  auto done = store.transact([&](semper::sync::Transaction& tx) -> semper::Result<std::string> {
    SEMPER_TRY(const auto old, tx.get(key));
    tx.add(key, 1);
    return old.value_or("");
  });
}

void transaction(semper::sync::Store store) {
  auto done = store.transact([&](semper::sync::Transaction& tx) -> semper::Status {
    SEMPER_TRY(const auto old, tx.get("visits"));
    if (!old) tx.set("visits", "none yet");
    return {};
  });
}

void waited(semper::Store store, semper::EntityId id) {
  semper::Result<semper::EntityView> view = semper::sync::wait(semper::inspect(store, id), 2s);
}
