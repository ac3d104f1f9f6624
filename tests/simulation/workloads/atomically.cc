// Accounts that pay each other in one transaction, among ordinary messages, locks and priority
// messages: nothing is made, lost or spent twice, and what a client was told of is there when its
// turn comes.
#include "semper/server/atomically.h"

#include <algorithm>
#include <map>

#include "checkers/ledger.h"
#include "workload.h"
#include "workloads.h"

namespace semper::simulation {
namespace {

constexpr std::int64_t kPaidInAtOnce = 100;

struct Purse {
  struct State {
    std::int64_t balance = kPaidInAtOnce;
    std::vector<std::uint64_t> out;
    std::vector<std::uint64_t> in;
    std::vector<std::uint64_t> marks;
    std::uint64_t looks = 0;
    std::uint64_t sent = 0;  // casts out of atomically()
    std::uint64_t came = 0;
  };
  struct Pay {
    std::uint64_t number = 0;
    std::string to;
    std::int64_t amount = 0;
    using Reply = bool;
  };
  struct Take {
    std::uint64_t number = 0;
    std::int64_t amount = 0;
  };
  struct Mark {
    std::uint64_t number = 0;
    std::uint64_t steps = 0;  // of 20 ms, under the lock
  };
  struct Look {
    using Reply = std::uint64_t;
  };
  struct Came {};
  using Messages = semper::Messages<Pay, Take, Mark, Look, Came>;

  Result<State> init(const EntityId&) { return State(); }
  Reply<bool> handle_call(const Pay& m, State& s, Context& context) {
    if (s.balance < m.amount) return false;
    s.balance -= m.amount;
    s.out.push_back(m.number);
    context.cast(semper::ref<Purse>(context.tenant(), m.to), Take{m.number, m.amount});
    return true;
  }
  void handle_cast(const Take& m, State& s, Context&) {
    s.balance += m.amount;
    s.in.push_back(m.number);
  }
  Outcome handle_cast(const Mark& m, State& s, Context&) {
    if (m.steps > 0) return lock();
    s.marks.push_back(m.number);
    return {};
  }
  Task<Outcome> handle_locked(const Mark& m, State& s, LockedContext& context) {
    const Duration step = std::chrono::milliseconds(20);
    for (std::uint64_t i = 0; i < m.steps && !context.lost().stop_requested(); ++i) {
      static_cast<void>(co_await sleep_for(context.clock(), step));
    }
    s.marks.push_back(m.number);
    co_return Outcome();
  }
  Reply<std::uint64_t> handle_call(const Look&, State& s, Context&) { return ++s.looks; }
  void handle_cast(const Came&, State& s, Context&) { ++s.came; }
};

using Purses = std::span<Purse::State* const>;

class AtomicallyWorkload final : public Workload {
 public:
  AtomicallyWorkload(Simulation& simulation, const Scenario& scenario)
      : simulation_(simulation), scenario_(scenario) {}

  void serve(Host& host, Process&) override { host.serve<Purse>(); }
  std::vector<std::string> types() const override { return {std::string(type_name<Purse>())}; }
  // No cover; a lock that lasts; no host to look in this process.
  bool expects(ErrorKind kind) const override {
    return Workload::expects(kind) || kind == ErrorKind::exhausted ||
           kind == ErrorKind::unsupported;
  }

  Task<void> client(Client& client) override {
    while (client.more()) {
      const auto kind = client.random().below(10);
      if (kind < 5) {
        co_await pay_at_once(client);
      } else if (kind < 7) {
        co_await pay_by_message(client);
      } else if (kind < 9) {
        co_await mark_and_look(client);
      } else {
        auto purse = semper::ref<Purse>(client.store(), client.entity());
        static_cast<void>(co_await client.operate("Ref::priority_call", "look",
                                                  purse.priority_call(Purse::Look{}, patient())));
      }
      co_await client.think();
    }
  }

  Task<void> judge(Observer& observer) override {
    std::map<std::string, testing::AccountBook> books;
    std::uint64_t sent = 0;
    std::uint64_t came = 0;
    for (std::size_t i = 0; i < scenario_.count("entities"); ++i) {
      const std::string id = std::to_string(i);
      auto state = co_await observer.state<Purse>(id);
      auto& book = books[id];
      book.balance = kPaidInAtOnce;
      if (!state) continue;
      book = {state->balance, state->out, state->in};
      sent += state->sent;
      came += state->came;
      auto marks = state->marks;
      std::sort(marks.begin(), marks.end());
      if (std::adjacent_find(marks.begin(), marks.end()) != marks.end()) {
        observer.finding("purse " + id + " has a mark twice");
      }
      for (const auto number : marked_[id]) {
        if (std::binary_search(marks.begin(), marks.end(), number)) continue;
        observer.finding("purse " + id + " has lost mark " + std::to_string(number));
      }
    }
    const auto paid_in = kPaidInAtOnce * static_cast<std::int64_t>(books.size());
    for (const auto& wrong : testing::judge_ledger(paid_in, books, told_)) observer.finding(wrong);
    if (sent != came) {
      observer.finding(std::to_string(sent) + " messages were sent with commits, and " +
                       std::to_string(came) + " came");
    }
  }

 private:
  static AtomicallyOptions patiently(Client& client) {
    AtomicallyOptions options;
    options.timeout = std::chrono::hours(24);
    const bool overtakes = client.random().chance(0.2);
    if (overtakes) options.queue = AtomicallyOptions::Queue::overtakes;
    return options;
  }

  // From the first of two to four to the others, each another transfer.
  Task<void> pay_at_once(Client& client) {
    std::vector<std::string> ids;
    for (std::uint64_t i = 0; i < 2 + client.random().below(3); ++i) {
      auto id = client.entity();
      if (std::find(ids.begin(), ids.end(), id) == ids.end()) ids.push_back(std::move(id));
    }
    if (ids.size() < 2) co_return;
    std::vector<Ref<Purse>> refs;
    std::string words = "from";
    for (const auto& id : ids) {
      refs.push_back(semper::ref<Purse>(client.store(), id));
      words += " " + id;
    }
    const std::uint64_t first = last_ + 1;
    last_ += ids.size() - 1;
    for (std::uint64_t number = first; number <= last_; ++number) told_[number] = Fate::open;
    const auto amount = static_cast<std::int64_t>(client.random().below(30));
    const auto options = patiently(client);
    // Long enough for others to commit in between, again and again.
    Duration pause{};
    if (client.random().chance(0.2)) {
      pause = std::chrono::milliseconds(1 + client.random().below(60));
    }
    auto told = co_await client.operate("atomically", words,
                                        pay(client.store(), refs, first, amount, pause, options));
    const Fate fate = fate_of_cast(told);
    for (std::size_t i = 0; i + 1 < ids.size(); ++i) told_[first + i] = fate;
  }

  Async<void> pay(Store store, std::vector<Ref<Purse>> refs, std::uint64_t first,
                  std::int64_t amount, Duration pause, AtomicallyOptions options) {
    const auto move = [&](Atomic& tx, Purses states) -> Async<void> {
      const auto others = static_cast<std::int64_t>(states.size()) - 1;
      auto& from = *states[0];
      if (pause > Duration::zero()) {
        SEMPER_CO_TRY_STATUS(co_await sleep_for(*store.env().clock, pause));
      }
      from.balance -= amount * others;
      for (std::size_t i = 1; i < states.size(); ++i) {
        from.out.push_back(first + i - 1);
        states[i]->in.push_back(first + i - 1);
        states[i]->balance += amount;
      }
      if (from.balance < 0) co_return fail(ErrorKind::exhausted, "insufficient funds");
      ++from.sent;
      simulation_.surface().drawn("Atomic::cast");
      tx.cast(refs.back(), Purse::Came{});
      co_return Status{};
    };
    co_return co_await atomically(store, refs, move, options);
  }

  Task<void> pay_by_message(Client& client) {
    auto purse = semper::ref<Purse>(client.store(), client.entity());
    const std::uint64_t number = ++last_;
    const Purse::Pay pay{number, client.entity(),
                         static_cast<std::int64_t>(client.random().below(30))};
    told_[number] = Fate::open;
    auto told = co_await client.operate("Ref::call", "pay " + std::to_string(number),
                                        purse.call(pay, patient()));
    told_[number] = fate_of_call(told);
    if (told && !*told) told_[number] = Fate::refused;
  }

  // What was queued is there when its turn comes, whether it takes the lock or not.
  Task<void> mark_and_look(Client& client) {
    const std::string id = client.entity();
    auto purse = semper::ref<Purse>(client.store(), id);
    const std::uint64_t steps = client.random().chance(0.5) ? 1 + client.random().below(5) : 0;
    const Purse::Mark mark{++last_mark_, steps};
    const std::string words = "mark " + std::to_string(mark.number) + " in " + id;
    auto sent = co_await client.operate("Ref::cast", words, purse.cast(mark));
    if (!sent) co_return;
    marked_[id].push_back(mark.number);
    AtomicallyOptions options;
    options.timeout = std::chrono::hours(24);
    auto found = co_await client.operate("atomically", "look for " + words,
                                         look(client.store(), purse, mark.number, options));
    if (found && !*found) simulation_.finding(words + " was overtaken by what was asked later");
  }

  static Async<bool> look(Store store, Ref<Purse> purse, std::uint64_t number,
                          AtomicallyOptions options) {
    const auto has_mark = [&](Atomic&, Purse::State& state) -> Async<bool> {
      co_return std::find(state.marks.begin(), state.marks.end(), number) != state.marks.end();
    };
    co_return co_await atomically(store, std::tuple(purse), has_mark, options);
  }

  Simulation& simulation_;
  const Scenario& scenario_;
  std::uint64_t last_ = 0;
  std::uint64_t last_mark_ = 0;
  std::map<std::uint64_t, Fate> told_;
  std::map<std::string, std::vector<std::uint64_t>> marked_;
};

}  // namespace

std::unique_ptr<Workload> make_atomically(Simulation& simulation, const Scenario& scenario) {
  return make_workload<AtomicallyWorkload>(simulation, scenario);
}

}  // namespace semper::simulation
