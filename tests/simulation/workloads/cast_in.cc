// Programs that send within transactions of their own: what they wrote there and what they sent are
// both there, once and in order, or neither is. What the receivers do after their commits is done
// at most once.
#include <map>
#include <set>

#include "sent_log.h"
#include "workloads.h"

namespace semper::simulation {
namespace {

constexpr const char* kWritten = "cast in/";

class CastInWorkload;

struct Postbox {
  using State = std::vector<Line>;
  struct Take {
    std::uint64_t publisher = 0;
    std::uint64_t number = 0;
    using Reply = std::uint64_t;
  };
  using Messages = semper::Messages<Take>;

  explicit Postbox(CastInWorkload& of) : workload(of) {}

  Result<State> init(const EntityId&) { return State(); }
  Reply<std::uint64_t> handle_call(const Take& m, State& s, Context& context) {
    take(m, s, context);
    return m.number;
  }
  void handle_cast(const Take& m, State& s, Context& context) { take(m, s, context); }
  void take(const Take& m, State& s, Context& context) const;

  CastInWorkload& workload;
};

class CastInWorkload final : public Workload {
 public:
  CastInWorkload(Simulation& simulation, const Scenario&) : simulation_(simulation) {}

  void serve(Host& host, Process&) override { host.serve(std::make_shared<Postbox>(*this)); }
  std::vector<std::string> types() const override { return {std::string(type_name<Postbox>())}; }
  bool expects(ErrorKind kind) const override {
    return Workload::expects(kind) || kind == ErrorKind::already_exists;
  }

  Task<void> client(Client& client) override {
    while (client.more()) {
      if (client.random().chance(0.3)) {
        co_await send_directly(client);
      } else {
        co_await send_in_a_transaction(client);
      }
      co_await client.think();
    }
  }

  Task<void> judge(Observer& observer) override {
    std::set<std::string> written;
    const auto read = [](Transaction& transaction) -> Async<RangePage> {
      const KeyRange all{kWritten, Bytes(kWritten) + '\xff'};
      co_return co_await transaction.get_range(all);
    };
    const auto rows = co_await observer.store().transact(read);
    if (!rows) observer.finding("what was written: " + rows.error().to_string());
    if (rows && rows->more) observer.finding("what was written is more than one read gives");
    if (!rows) co_return;
    for (const auto& row : rows->rows) written.insert(row.key.substr(Bytes(kWritten).size()));
    for (const auto& id : log_.entities()) {
      auto state = co_await observer.state<Postbox>(id);
      const auto lines = state.value_or(Postbox::State());
      log_.judge(observer, "postbox", id, delivered(lines));
      std::set<std::string> taken;
      for (const auto& line : lines) taken.insert(key(id, line.publisher, line.number));
      for (const auto& sent : in_transactions_[id]) {
        if (written.contains(sent) == taken.contains(sent)) continue;
        observer.finding(
            "postbox " + id + ": " + sent +
            (written.contains(sent) ? " was written and not sent" : " was sent and not written"));
      }
      for (const auto& [what, count] : rung_[id]) {
        if (count > 1) observer.finding("postbox " + id + ": rung twice for " + what);
        if (!taken.contains(what))
          observer.finding("postbox " + id + ": rung for nothing: " + what);
      }
    }
  }

  void rung(const std::string& id, const Postbox::Take& m) {
    ++rung_[id][key(id, m.publisher, m.number)];
  }
  Surface& surface() { return simulation_.surface(); }

 private:
  static std::string key(const std::string& id, std::uint64_t publisher, std::uint64_t number) {
    return id + "/" + std::to_string(publisher) + "/" + std::to_string(number);
  }

  Task<void> send_directly(Client& client) {
    const std::string id = client.entity();
    auto postbox = semper::ref<Postbox>(client.store(), id);
    auto& sent = log_.begin(client.index(), id);
    const Postbox::Take take{sent.publisher, sent.number};
    auto told =
        co_await client.operate("Ref::call", in_words(id, sent), postbox.call(take, patient()));
    sent.fate = fate_of_call(told);
  }

  struct Letter {
    std::string to;
    Postbox::Take take;
    bool in_batch = false;
  };

  Task<void> send_in_a_transaction(Client& client) {
    std::vector<testing::Sent*> sents;
    std::vector<Letter> letters;
    for (auto left = 1 + client.random().below(4); left > 0; --left) {
      const std::string id = client.entity();
      auto& sent = log_.begin(client.index(), id);
      sents.push_back(&sent);
      letters.push_back({id, {sent.publisher, sent.number}, client.random().chance(0.3)});
      in_transactions_[id].insert(key(id, sent.publisher, sent.number));
    }
    const bool gives_up = client.random().chance(0.15);
    const std::string contended = std::string("contended/") + client.entity();
    auto told = co_await client.operate("Ref::cast_in", std::to_string(letters.size()) + " letters",
                                        send(client.store(), letters, contended, gives_up));
    for (auto* sent : sents) sent->fate = fate_of_cast(told);
  }

  static Async<void> send(Store store, std::vector<Letter> letters, std::string contended,
                          bool gives_up) {
    const auto body = [&](Transaction& transaction) -> Async<void> {
      SEMPER_CO_TRY_STATUS(co_await transaction.get(contended));
      for (const auto& letter : letters) {
        const auto postbox = semper::ref<Postbox>(store, letter.to);
        transaction.set(kWritten + key(letter.to, letter.take.publisher, letter.take.number), "");
        if (letter.in_batch) {
          auto batch = Batch<Postbox>().add(letter.take);
          SEMPER_CO_TRY_STATUS(co_await postbox.cast_in(transaction, std::move(batch)));
        } else {
          SEMPER_CO_TRY_STATUS(co_await postbox.cast_in(transaction, letter.take));
        }
      }
      transaction.add(contended, 1);
      if (gives_up) co_return fail(ErrorKind::already_exists, "given up");
      co_return Status{};
    };
    co_return co_await store.transact(body);
  }

  Simulation& simulation_;
  SentLog log_;
  std::map<std::string, std::set<std::string>> in_transactions_;      // by entity
  std::map<std::string, std::map<std::string, std::uint64_t>> rung_;  // by entity
};

void Postbox::take(const Take& m, State& s, Context& context) const {
  workload.surface().drawn("Context::after_commit");
  s.push_back({m.publisher, m.number});
  context.after_commit([to = &workload, id = context.id().id, m] { to->rung(id, m); });
}

}  // namespace

std::unique_ptr<Workload> make_cast_in(Simulation& simulation, const Scenario& scenario) {
  return make_workload<CastInWorkload>(simulation, scenario);
}

}  // namespace semper::simulation
