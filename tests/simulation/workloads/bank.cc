// Accounts that pay each other: the money goes out of one and is sent to the other in one
// transaction, with a key of the program's own. Nothing is made, lost or spent twice.
#include <map>

#include "checkers/ledger.h"
#include "workload.h"
#include "workloads.h"

namespace semper::simulation {
namespace {

constexpr std::int64_t kPaidIn = 100;
const Bytes kAudit = "\xf0simulation/audit/";

struct Account {
  struct State {
    std::int64_t balance = kPaidIn;
    std::vector<std::uint64_t> out;
    std::vector<std::uint64_t> in;
  };
  struct Transfer {
    std::uint64_t number = 0;
    std::string to;
    std::int64_t amount = 0;
    using Reply = bool;
  };
  struct Deposit {
    std::uint64_t number = 0;
    std::int64_t amount = 0;
  };
  using Messages = semper::Messages<Transfer, Deposit>;

  explicit Account(Surface& used) : surface(used) {}

  Result<State> init(const EntityId&) { return State(); }
  Reply<bool> handle_call(const Transfer& m, State& s, Context& context) {
    return transfer(m, s, context);
  }
  void handle_cast(const Transfer& m, State& s, Context& context) { transfer(m, s, context); }
  void handle_cast(const Deposit& m, State& s, Context&) {
    s.balance += m.amount;
    s.in.push_back(m.number);
  }

  bool transfer(const Transfer& m, State& s, Context& context) {
    if (s.balance < m.amount) return false;
    s.balance -= m.amount;
    s.out.push_back(m.number);
    surface.drawn("Context::cast");
    context.cast(semper::ref<Account>(context.tenant(), m.to), Deposit{m.number, m.amount});
    surface.drawn("Context::transaction");
    context.transaction().set(kAudit + std::to_string(m.number), context.id().id);
    return true;
  }

  Surface& surface;
};

class BankWorkload final : public Workload {
 public:
  BankWorkload(Simulation& simulation, const Scenario& scenario)
      : simulation_(simulation), scenario_(scenario) {}

  void serve(Host& host, Process&) override {
    host.serve(std::make_shared<Account>(simulation_.surface()));
  }
  std::vector<std::string> types() const override { return {std::string(type_name<Account>())}; }

  Task<void> client(Client& client) override {
    while (client.more()) {
      const std::string from = client.entity();
      auto account = semper::ref<Account>(client.store(), from);
      const std::uint64_t number = ++last_;
      const Account::Transfer transfer{number, client.entity(),
                                       static_cast<std::int64_t>(client.random().below(60))};
      const std::string words = "transfer " + std::to_string(number) + " of " +
                                std::to_string(transfer.amount) + " from " + from + " to " +
                                transfer.to;
      told_[number] = Fate::open;
      if (client.random().chance(0.6)) {
        auto told = co_await client.operate("Ref::call", words, account.call(transfer, patient()));
        told_[number] = fate_of_call(told);
        if (told && !*told) told_[number] = Fate::refused;
      } else {
        auto told = co_await client.operate("Ref::cast", words, account.cast(transfer));
        // Done: whether there was money enough is not known.
        if (fate_of_cast(told) == Fate::refused) told_[number] = Fate::refused;
      }
      co_await client.think();
    }
  }

  Task<void> judge(Observer& observer) override {
    std::map<std::string, testing::AccountBook> books;
    for (std::size_t i = 0; i < scenario_.count("entities"); ++i) {
      auto state = co_await observer.state<Account>(std::to_string(i));
      auto& book = books[std::to_string(i)];
      book.balance = kPaidIn;
      if (state) book = {state->balance, state->out, state->in};
    }
    const auto paid_in = kPaidIn * static_cast<std::int64_t>(books.size());
    for (const auto& wrong : testing::judge_ledger(paid_in, books, told_)) observer.finding(wrong);
    co_await judge_audit(observer, books);
  }

 private:
  // The keys that callbacks wrote are those of their transfers.
  Task<void> judge_audit(Observer& observer,
                         const std::map<std::string, testing::AccountBook>& books) {
    std::map<Bytes, Bytes> wanted;
    for (const auto& [id, book] : books) {
      for (const auto number : book.out) wanted[kAudit + std::to_string(number)] = id;
    }
    auto read = [](Transaction& transaction) -> Async<std::map<Bytes, Bytes>> {
      const KeyRange range(kAudit, kAudit + '\xff');
      RangeOptions options;
      SEMPER_CO_TRY(const auto page, co_await transaction.get_range(range, options));
      std::map<Bytes, Bytes> rows;
      for (const auto& row : page.rows) rows[row.key] = row.value;
      co_return rows;
    };
    const auto found = co_await observer.store().transact(read);
    if (!found) {
      observer.finding("the audit keys cannot be read: " + found.error().to_string());
    } else if (*found != wanted) {
      observer.finding("the audit has " + std::to_string(found->size()) + " keys, and " +
                       std::to_string(wanted.size()) + " transfers went out; or others");
    }
  }

  Simulation& simulation_;
  const Scenario& scenario_;
  std::uint64_t last_ = 0;
  std::map<std::uint64_t, Fate> told_;
};

}  // namespace

std::unique_ptr<Workload> make_bank(Simulation& simulation, const Scenario& scenario) {
  return make_workload<BankWorkload>(simulation, scenario);
}

}  // namespace semper::simulation
