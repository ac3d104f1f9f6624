// The examples of include/semper/server, of semper.h and of journal_drain.h, as they stand in its
// headers.
// clang-format off
#include <chrono>
#include <cstdint>
#include <fstream>
#include <iostream>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "semper/base/cbor_json.h"
#include "semper/env/trace_context.h"
#include "semper/journal_drain.h"
#include "semper/semper.h"
#include "semper/server/atomically.h"
#include "semper/server/cast_once.h"
#include "semper/server/cron.h"
#include "semper/server/dead_letters.h"
#include "semper/server/entity_log.h"
#include "semper/server/idempotency_key.h"
#include "semper/server/list.h"
#include "semper/server/list_keys.h"
#include "semper/server/list_loads.h"
#include "semper/server/list_maps.h"
#include "semper/server/list_timers.h"
#include "semper/server/map.h"
#include "semper/server/list_names.h"
#include "semper/server/name_registry.h"
#include "semper/server/recording.h"
#include "semper/server/set.h"

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

namespace whole {
semper::Task<int> application() {
  auto store = co_await semper::open_store("sqlite:./data.db");
  semper::Host host(store);
  host.serve<Counter>();                                  // a behaviour: server/behaviour.h
  auto hits = semper::ref<Counter>(store, "page/home");
  const Counter::Add one{1};                              // named first: see server/ref.h
  auto n = co_await hits.call(one);
  co_return n ? 0 : 1;
}
int main() { return semper::run(application()); }
}  // namespace whole

struct Ledger {
  using State = std::int64_t;
  struct Booked { std::int64_t cents = 0; };
  struct Moved { std::int64_t cents = 0; };
  using Messages = semper::Messages<Booked, Moved>;
  semper::Result<State> init(const semper::EntityId&) { return 0; }
  void handle_cast(const Booked& m, State& s, semper::Context&) { s += m.cents; }
  void handle_cast(const Moved& m, State& s, semper::Context&) { s += m.cents; }
};

namespace atomic {
struct Account {
  struct State { std::int64_t balance = 0; };
  struct Pay { std::int64_t cents = 0; };
  using Messages = semper::Messages<Pay>;
  semper::Result<State> init(const semper::EntityId&) { return State{}; }
  void handle_cast(const Pay& m, State& s, semper::Context&) { s.balance += m.cents; }
};
semper::Task<void> example(semper::Store store, semper::Ref<Account> ann, semper::Ref<Account> ben,
                           semper::Ref<Ledger> ledger, std::int64_t cents) {
  auto move = [ledger, cents](semper::Atomic& tx, Account::State& from, Account::State& to)
      -> semper::Async<std::int64_t> {
    if (from.balance < cents) {
      co_return semper::fail(semper::ErrorKind::exhausted, "insufficient funds");
    }
    from.balance -= cents;
    to.balance += cents;
    tx.cast(ledger, Ledger::Moved{cents});                  // goes out with the commit
    co_return from.balance;
  };
  auto left = co_await semper::atomically(store, std::tuple(ann, ben), move);

  semper::AtomicallyOptions patient;
  patient.timeout = std::chrono::minutes(1);
  auto done = co_await semper::atomically(store, std::tuple(ann, ben), move, patient);
}
}  // namespace atomic

semper::Async<void> refs(semper::Store store) {
  auto hits = semper::ref<Counter>(store, "page/home");
  semper::Result<std::int64_t> n = co_await hits.call<Counter::Add>(2);
  SEMPER_CO_TRY_STATUS(co_await hits.cast<Counter::Add>(2));
  auto batch = semper::Batch<Counter>().add<Counter::Add>(1).add<Counter::Add>(2);
  SEMPER_CO_TRY_STATUS(co_await hits.cast(std::move(batch)));
  const Counter::Add three{3};                                  // or a message that has a name
  SEMPER_CO_TRY_STATUS(co_await hits.cast(three));
  co_return semper::Status{};
}

semper::Async<void> traces(semper::Ref<Counter> hits, semper::TraceContext trace) {
  co_await hits.traced(trace).cast<Counter::Add>(2);
  co_return semper::Status{};
}

semper::Async<void> batches(semper::Ref<Counter> hits) {
  auto batch = semper::Batch<Counter>().add<Counter::Add>(1).add<Counter::Add>(2);
  SEMPER_CO_TRY_STATUS(co_await hits.cast(std::move(batch)));
  co_return semper::Status{};
}

semper::Task<void> patient(semper::Ref<Counter> hits) {
  const semper::CallOptions patient{.timeout = std::chrono::minutes(1)};
  auto n = co_await hits.call<Counter::Add>(patient, 2);
}

semper::Async<void> raw(semper::Tenant tenant) {
  const semper::RawRef hits(tenant, semper::EntityId{"Counter", "page/home"});
  const semper::RawMessage add{"Add", semper::encode(Counter::Add{2})};
  SEMPER_CO_TRY(const semper::Bytes reply, co_await hits.call(add));
  co_return semper::Status{};
}

void messages() {
  using namespace semper;
  RawMessage message{"Add", encode(Counter::Add{2})};   // the name of a type, one CBOR item
}

struct Shipping {
  using State = std::int64_t;
  struct Prepare { std::int64_t order = 0; };
  using Messages = semper::Messages<Prepare>;
  semper::Result<State> init(const semper::EntityId&) { return 0; }
  void handle_cast(const Prepare&, State& s, semper::Context&) { ++s; }
};
semper::Task<void> outbox(semper::Store store, semper::Ref<Shipping> shipping,
                          semper::Bytes order) {
  auto sent = co_await store.transact([&](semper::Transaction& tx) -> semper::Async<void> {
    tx.set("order/17", order);
    co_return co_await shipping.cast_in<Shipping::Prepare>(tx, 17);
  });
}

namespace keyed {
struct Receipt { std::int64_t number = 0; };
struct Account {
  using State = std::int64_t;
  struct Transfer { std::int64_t cents = 0; using Reply = Receipt; };
  using Messages = semper::Messages<Transfer>;
  semper::Result<State> init(const semper::EntityId&) { return 0; }
  semper::Reply<Receipt> handle_call(const Transfer&, State& s, semper::Context&) {
    return Receipt{++s};
  }
};
struct Request { std::string id; };
semper::Task<void> example(semper::Ref<Account> account, Request request, semper::Tenant tenant) {
  const Account::Transfer transfer{100};
  const semper::CallOptions options{.key = semper::IdempotencyKey{request.id}};
  auto receipt = co_await account.call(transfer, options);   // again: the first one's receipt
  auto known = co_await account.result_of<Account::Transfer>(request.id);
  auto keys = co_await semper::list_keys(tenant, account.entity());
  auto maps = co_await semper::list_maps(tenant, account.entity());     // {"lines", 10'000}
  auto due = co_await semper::list_due(tenant, "Account");     // "what is due in the next hour?"
  auto all = co_await semper::list_timers(tenant, account.entity());
}
}  // namespace keyed

semper::Async<void> once(semper::Store store, Ledger::Booked booked,
                         std::uint64_t offset_in_the_log) {
  using namespace semper;
  std::vector<OnceCast> casts;
  casts.push_back({{"Ledger", "main"}, {"Booked", encode(booked)}, offset_in_the_log});
  SEMPER_CO_TRY_STATUS(co_await semper::cast_once(store, "orders.log", std::move(casts)));
  co_return Status{};
}

namespace context {
struct Buy { std::int64_t amount = 0; std::string key; using Reply = int; };
struct Cache { void drop(const std::string&) {} };
struct CloseDay {};
struct Desk {
  using State = std::int64_t;
  struct Failed { std::string why; };
  using Messages = semper::Messages<Failed>;
  semper::Result<State> init(const semper::EntityId&) { return 0; }
  void handle_cast(const Failed&, State& s, semper::Context&) { ++s; }
};
struct Shop {
  struct State {
    semper::WallTime last;
    semper::ReplyToken waiting;
    std::vector<std::string> failed;
  };
  semper::Reply<int> handle_call(const Buy& m, State& s, semper::Context& ctx) {
    s.last = ctx.now();
    const auto ledger = semper::ref<Ledger>(ctx.tenant(), "main");
    ctx.cast(ledger, Ledger::Booked{m.amount});      // sent with this commit, or not at all
    s.waiting = ctx.reply_token();
    return semper::no_reply;       // some day, in another callback: ctx.reply(s.waiting, 42)
  }
  void handle_cast(const Buy& m, State&, semper::Context& ctx) {
    ctx.after_commit([cache = cache_, key = m.key] { cache->drop(key); });
    semper::CronOptions closing{.schedule = "30 17 * * mon-fri", .zone = "Europe/Berlin"};
    ctx.send_cron("closing", closing, CloseDay{});
  }
  void handle_dead_letter(const semper::DeadLetterInfo& letter, State& s, semper::Context& ctx) {
    s.failed.push_back(letter.message.name);
    ctx.cast(semper::ref<Desk>(ctx.tenant(), "main"), Desk::Failed{letter.error.to_string()});
  }
  std::shared_ptr<Cache> cache_;
};
struct Pay { std::int64_t amount = 0; using Reply = std::int64_t; };
struct Bank { void pay(std::int64_t, std::uint64_t) {} };
struct Payer {
  struct State { std::int64_t paid = 0; };
  semper::Reply<std::int64_t> handle_locked(const Pay& m, State& s, semper::LockedContext& ctx) {
    bank_->pay(m.amount, ctx.fencing_token());            // the bank refuses older tokens
    const auto ledger = semper::ref<Ledger>(ctx.tenant(), "main");
    ctx.cast(ledger, Ledger::Booked{m.amount});           // sent with the result, or not at all
    return s.paid += m.amount;
  }
  std::shared_ptr<Bank> bank_;
};
}  // namespace context

namespace timers {
struct Open {};
struct Paid {};
struct Expire {};
struct Report {};
struct Order {
  struct State { std::uint64_t missed = 0; };
  void handle_cast(const Open& m, State& s, semper::Context& ctx) {
    ctx.send_after("expiry", 24h, Expire{});                    // in this commit, or not at all
    ctx.send_every("report", {.period = 1min}, Report{});
  }
  void handle_cast(const Paid&, State&, semper::Context& ctx) { ctx.cancel_timer("expiry"); }
  void handle_cast(const Report&, State& s, semper::Context& ctx) {
    s.missed += ctx.tick()->missed;
  }
};
}  // namespace timers

namespace replies {
using namespace semper;
struct State { int n = 0; };
void log(const State&);
Reply<int> value(State& s, int by) {
  return s.n += by;                                    // reply a value
}
Reply<int> error() {
  return semper::fail(ErrorKind::not_found, "…");      // reply an error; the state is kept
}
Reply<int> later() {
  return semper::no_reply;                             // answered later, by ctx.reply_token()
}
Reply<int> locked() {
  return semper::lock();                               // go on in handle_locked, without one
}
Reply<int> stopped() {
  return semper::stop("reason");                       // commit, then leave the memory
}
Reply<int> acting(State& s) {
  return Reply<int>(s.n).then(s, [](const auto& s) { log(s); });   // runs after the commit
}
}  // namespace replies

semper::Async<void> letters(semper::Tenant tenant, semper::EntityId id) {
  SEMPER_CO_TRY(const auto letters, co_await semper::list_dead_letters(tenant, id, 20));
  std::vector<semper::Versionstamp> chosen;                             // oldest first
  for (const auto& letter : letters) chosen.push_back(letter.stamp);
  SEMPER_CO_TRY_STATUS(co_await semper::redrive_dead_letters(tenant, id, chosen));  // all
  co_return semper::Status{};
}

semper::Async<void> names(semper::Tenant tenant) {
  const semper::NameQuery ports{.prefix = "ports/"};
  SEMPER_CO_TRY(auto page, co_await semper::list_names(tenant, ports));
  co_return semper::Status{};
}

void ids(semper::Store store) {
  using namespace semper;
  EntityId id{"package", "libc6:amd64"};      // written "package/libc6:amd64"
  Tenant tenant(store);                       // the default part of the store
}

namespace logs {
struct Book { std::int64_t cents = 0; std::string text; using Reply = std::uint64_t; };
struct State { std::int64_t balance = 0; };
struct Account {
  struct Line { std::int64_t cents = 0; std::string text; };
  static constexpr semper::Log<Line> kHistory{"history"};

  semper::Async<std::uint64_t> handle_call(const Book& m, State& s, semper::Context& ctx) {
    s.balance += m.cents;
    const Line line{m.cents, m.text};                       // named first: see server/ref.h
    co_return co_await kHistory.append(ctx, line);          // its number
  }
};
semper::Task<void> example(semper::RawRef account) {
  auto last = co_await Account::kHistory.page(account, 20, semper::Order::descending);
}
}  // namespace logs

namespace lists {
struct Add { std::string text; using Reply = semper::ListPlace; };
struct Move { semper::ListPlace card; semper::ListPlace other; using Reply = semper::ListPlace; };
struct State {};
struct Board {
  struct Card { std::string text; };
  static constexpr semper::List<Card> kCards{"cards"};

  semper::Async<semper::ListPlace> handle_call(const Add& m, State& s, semper::Context& ctx) {
    const Card card{m.text};                                // named first: see server/ref.h
    co_return co_await kCards.push_back(ctx, card);         // its place
  }
  semper::Async<semper::ListPlace> handle_call(const Move& m, State& s, semper::Context& ctx) {
    co_return co_await kCards.move_before(ctx, m.card, m.other);
  }
};
semper::Task<void> example(semper::RawRef board) {
  auto top = co_await Board::kCards.page(board, 20);          // from outside, by a Ref
}
}  // namespace lists

namespace sets {
struct Join { std::string name; using Reply = bool; };
struct State { std::uint64_t members = 0; };
struct Room {
  static constexpr semper::Set<std::string> kMembers{"members"};

  semper::Async<bool> handle_call(const Join& m, State& s, semper::Context& ctx) {
    SEMPER_CO_TRY(const bool is_new, co_await kMembers.insert(ctx, m.name));
    if (is_new) ++s.members;
    co_return is_new;
  }
};
semper::Task<void> example(semper::RawRef room) {
  auto first = co_await Room::kMembers.page(room, 100);   // from outside, by a Ref
}
}  // namespace sets

namespace maps {
struct Correct { std::uint64_t number = 0; std::int64_t cents = 0; using Reply = std::int64_t; };
struct State { std::int64_t balance = 0; };
struct Account {
  struct Line { std::int64_t cents = 0; std::string text; };
  static constexpr semper::Map<std::uint64_t, Line> kLines{"lines"};     // by number

  semper::Async<std::int64_t> handle_call(const Correct& m, State& s, semper::Context& ctx) {
    SEMPER_CO_TRY(auto line, co_await kLines.get(ctx, m.number));        // optional<Line>
    if (!line) co_return semper::fail(semper::ErrorKind::not_found, "there is no such line");
    s.balance += m.cents - line->cents;
    line->cents = m.cents;
    kLines.set(ctx, m.number, *line);                                    // no await
    co_return s.balance;
  }
};
semper::Task<void> example(semper::RawRef account) {
  auto page = co_await Account::kLines.page(account, 100);   // from outside, by a Ref
}
}  // namespace maps

namespace hosts {
struct Config {};
struct Shop : Counter {
  explicit Shop(Config) {}
};
semper::Async<void> example(semper::Store store, Config config) {
  semper::Host host(store);                      // or host(tenant, options)
  host.serve<Counter>();                         // with a default-constructed Counter
  host.serve(std::make_shared<Shop>(config));    // with your own object
  SEMPER_CO_TRY_STATUS(co_await host.start());   // finds waiting work
  SEMPER_CO_TRY_STATUS(co_await host.join());    // in a program that serves, and does nothing else
  SEMPER_CO_TRY_STATUS(co_await host.stop());    // finishes running work, leaves the rest
  co_return semper::Status{};
}
void options(semper::Store store) {
  semper::Host host(store, {.threads = 4, .name = "billing"});
}
}  // namespace hosts

semper::Async<void> inspected(semper::Tenant tenant) {
  const semper::EntityId id{"Counter", "page/home"};
  SEMPER_CO_TRY(const auto view, co_await semper::inspect(tenant, id));
  if (view.state) std::cout << semper::cbor_to_json(*view.state).value_or("(not readable)");
  co_return semper::Status{};
}

semper::Task<void> loads(semper::Tenant tenant) {
  const semper::LoadListOptions first{.limit = 1000};
  auto page = co_await semper::list_loads(tenant, "Counter", first);
}

void show(const std::string& name, const std::optional<std::vector<std::string>>& fields);
void infos(const semper::TypeView& view) {
  for (const semper::MessageInfo& message : view.messages) show(message.name, message.fields);
}

void name_options() {
  using namespace semper;
  NameRegistryOptions options;
  options.owner = "billing on host-7";
}

semper::Async<void> elected(semper::Store store) {
  semper::NameRegistry names(store, {.owner = "billing on host-7"});
  SEMPER_CO_TRY(auto leader, co_await names.campaign("billing/leader"));    // waits for its turn
  while (!leader.lost().stop_requested()) {
    auto work = [&](semper::Transaction& tx) -> semper::Async<void> {
      SEMPER_CO_TRY_STATUS(co_await leader.guard(tx));      // applied only while it is held
      tx.add("bills", 1);
      co_return semper::Status{};
    };
    SEMPER_CO_TRY_STATUS(co_await store.transact(work));
  }
  SEMPER_CO_TRY_STATUS(co_await names.close());                // gives everything back at once
  co_return semper::Status{};
}

semper::Async<void> recorded(semper::Tenant tenant, semper::EntityId id,
                             semper::RecordOptions options, std::ofstream& file) {
  SEMPER_CO_TRY(const auto recording, co_await semper::record_entity(tenant, id, options));
  file << semper::recording_to_text(recording);
  co_return semper::Status{};
}

semper::Async<void> drained(semper::BlockDevice& device, semper::ring::JournalOptions options) {
  auto open = [] { return semper::open_store("sqlite:./data.db"); };
  SEMPER_CO_TRY(auto drain, co_await semper::JournalDrain::start(device, open, options));
  const Counter::Add one{1};                  // named first: see server/ref.h
  SEMPER_CO_TRY(auto written, co_await drain.cast<Counter>("page/home", one));
  SEMPER_CO_TRY_STATUS(co_await written.sync());
  SEMPER_CO_TRY_STATUS(co_await drain.shutdown());
  co_return semper::Status{};
}
