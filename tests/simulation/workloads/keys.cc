// Requests with idempotency keys, sent again and again by whoever did not hear of them: each runs
// once, and everybody gets its one reply, whenever and wherever it was asked.
#include <deque>
#include <map>
#include <set>

#include "semper/server/list_keys.h"
#include "semper/server/list_timers.h"
#include "workload.h"
#include "workloads.h"

namespace semper::simulation {
namespace {

using namespace std::chrono_literals;

enum class KeyedWay : std::uint8_t { at_once, later, by_another, error, error_later, lock };
constexpr std::uint64_t kKeyedWays = 6;

// The one entity that is killed now and then.
constexpr const char* kMortal = "0";

// Numbers what it does: a second run has another reply.
struct Office {
  struct Ran {
    std::uint64_t request = 0;
    std::uint64_t receipt = 0;
  };
  using State = std::vector<Ran>;
  struct Do {
    std::uint64_t request = 0;
    std::uint64_t way = 0;
    std::string other;
    bool forged = false;
    using Reply = std::uint64_t;
  };
  struct Answer {
    ReplyToken to;
    std::uint64_t receipt = 0;
    bool is_error = false;
  };
  using Messages = semper::Messages<Do, Answer>;

  explicit Office(Surface& used) : surface(used) {}

  Result<State> init(const EntityId&) { return State(); }
  static std::uint64_t run(const Do& m, State& s) {
    const std::uint64_t receipt = s.size() + 1;
    s.push_back({m.forged ? 0 : m.request, receipt});
    return receipt;
  }
  Reply<std::uint64_t> handle_call(const Do& m, State& s, Context& context) {
    const auto way = static_cast<KeyedWay>(m.way);
    if (way == KeyedWay::lock) return lock();
    const std::uint64_t receipt = run(m, s);
    if (way == KeyedWay::at_once) return receipt;
    if (way == KeyedWay::error) return fail(ErrorKind::permission, std::to_string(receipt));
    const std::string to = way == KeyedWay::by_another ? m.other : context.id().id;
    const Answer answer{context.reply_token(), receipt, way == KeyedWay::error_later};
    context.cast(semper::ref<Office>(context.tenant(), to), answer);
    return no_reply;
  }
  Outcome handle_cast(const Do& m, State& s, Context&) {
    if (static_cast<KeyedWay>(m.way) == KeyedWay::lock) return lock();
    run(m, s);
    return {};
  }
  Task<Reply<std::uint64_t>> handle_locked(const Do& m, State& s, LockedContext& context) {
    static_cast<void>(co_await sleep_for(context.clock(), 20ms));
    co_return run(m, s);
  }
  void handle_cast(const Answer& m, State&, Context& context) {
    if (m.is_error) {
      surface.drawn("Context::reply_error");
      context.reply_error(m.to, Error(ErrorKind::permission, std::to_string(m.receipt)));
    } else {
      surface.drawn("Context::reply");
      context.reply(m.to, m.receipt);
    }
  }

  Surface& surface;
};

class KeysWorkload final : public Workload {
 public:
  KeysWorkload(Simulation& simulation, const Scenario&) : simulation_(simulation) {}

  void serve(Host& host, Process&) override {
    host.serve(std::make_shared<Office>(simulation_.surface()));
  }
  std::vector<std::string> types() const override { return {std::string(type_name<Office>())}; }
  bool expects(ErrorKind kind) const override {
    return Workload::expects(kind) || kind == ErrorKind::permission || kind == ErrorKind::timeout ||
           kind == ErrorKind::invalid_argument || kind == ErrorKind::retry ||
           kind == ErrorKind::not_found;
  }

  Task<void> client(Client& client) override {
    auto& mine = waiting_[client.index()];
    // What was not answered is sent until it is, whatever became of whoever sent it before.
    while (mine != nullptr || client.more()) {
      if (mine == nullptr) mine = draw(client);
      const bool is_told = co_await send(client, *mine);
      if (is_told) mine = nullptr;
      if (client.random().chance(0.1)) co_await forge(client);
      if (client.random().chance(0.2)) co_await ask(client);
      if (client.random().chance(0.01)) co_await kill(client);
      co_await client.think();
    }
  }

  // Delayed casts come when they are due.
  Task<void> settle(Observer& observer) override {
    constexpr int kMost = 55;
    for (int i = 0; i < kMost; ++i) {
      std::uint64_t left = 0;
      for (const auto& id : delayed_) {
        const EntityId entity{std::string(type_name<Office>()), id};
        const auto count = co_await count_timers(Tenant(observer.store()), entity);
        left += count.value_or(1);
      }
      if (left == 0) co_return;
      static_cast<void>(co_await sleep_for(simulation_.clock(), 1s));
    }
  }

  Task<void> judge(Observer& observer) override {
    for (auto& request : requests_) {
      const auto office = semper::ref<Office>(observer.store(), request.to);
      const auto known = co_await office.result_of<Office::Do>(key(request));
      if (!known) {
        observer.finding(words(request) + ": " + known.error().to_string());
        continue;
      }
      check(request, *known);
      if (known->state == Known::pending) observer.finding(words(request) + " is pending for ever");
      const bool may_be_gone = killed_.contains(request.to);
      if (known->state != Known::done && request.is_told && !may_be_gone) {
        observer.finding(words(request) + " was answered and is not known");
      }
    }
    std::map<std::string, std::vector<const Request*>> by_entity;
    for (const auto& request : requests_) by_entity[request.to].push_back(&request);
    for (const auto& [id, requests] : by_entity) co_await judge(observer, id, requests);
  }

 private:
  using Known = KeyedReply<std::uint64_t>::State;

  struct Request {
    std::uint64_t number = 0;
    std::string to;
    KeyedWay way = KeyedWay::at_once;
    std::string other;
    bool is_cast = false;
    bool is_told = false;
    std::optional<std::uint64_t> receipt;  // once somebody heard of it
  };

  static std::string key(const Request& request) {
    return "request " + std::to_string(request.number);
  }
  static std::string words(const Request& request) { return key(request) + " to " + request.to; }

  Task<void> judge(Observer& observer, std::string id, std::vector<const Request*> requests) {
    const EntityId entity{std::string(type_name<Office>()), id};
    KeyListOptions all;
    all.limit = requests.size() + 1;
    const auto listed = co_await list_keys(Tenant(observer.store()), entity, all);
    const auto counted = co_await count_keys(Tenant(observer.store()), entity);
    if (!listed || !counted || listed->size() != *counted) {
      observer.finding("office " + id + " has " + std::to_string(listed ? listed->size() : 0) +
                       " keys and counts " + std::to_string(counted ? *counted : 0));
    }
    if (killed_.contains(id)) co_return;
    const auto state = co_await observer.state<Office>(id);
    std::map<std::uint64_t, std::vector<std::uint64_t>> runs;
    for (const auto& ran : state.value_or(Office::State())) {
      runs[ran.request].push_back(ran.receipt);
    }
    if (runs.contains(0)) observer.finding("office " + id + " ran what another's key was used for");
    for (const auto* request : requests) {
      const auto& ran = runs[request->number];
      if (ran.size() > 1) {
        observer.finding(words(*request) + " ran " + std::to_string(ran.size()) + " times");
      }
      if (request->is_told && ran.empty()) {
        observer.finding(words(*request) + " was accepted and never ran");
      }
      if (request->receipt && !ran.empty() && *request->receipt != ran.front()) {
        observer.finding(words(*request) + " has another receipt than its callers");
      }
    }
  }

  // A new one, or one that another client has sent, or sends at this moment.
  Request* draw(Client& client) {
    if (!requests_.empty() && client.random().chance(0.4)) {
      return &requests_[client.random().below(requests_.size())];
    }
    Request& made = requests_.emplace_back();
    made.number = requests_.size();
    made.to = client.entity();
    made.way = static_cast<KeyedWay>(client.random().below(kKeyedWays));
    made.other = client.entity();
    if (made.other == kMortal) made.other = made.to;  // an answer would die with it
    made.is_cast = client.random().chance(0.25);
    return &made;
  }

  Task<bool> send(Client& client, Request& request) {
    const auto office = semper::ref<Office>(client.store(), request.to);
    const Office::Do message{request.number, static_cast<std::uint64_t>(request.way), request.other,
                             false};
    const std::string text = key(request);
    if (request.is_cast) {
      const CastOptions options{IdempotencyKey{text}};
      Status sent;
      if (client.random().chance(0.5)) {
        delayed_.insert(request.to);
        const auto span = std::chrono::milliseconds(client.random().below(1'000));
        sent = co_await client.operate("Ref::cast_after", words(request),
                                       office.cast_after(span, message, options));
      } else {
        sent = co_await client.operate("Ref::cast", words(request), office.cast(message, options));
      }
      if (sent) request.is_told = true;
      co_return sent.has_value();
    }
    CallOptions options = patient();
    options.key = IdempotencyKey{text};
    if (!client.ends_soon() && client.random().chance(0.4)) {
      options.timeout =
          1ms + Duration(static_cast<Duration::rep>(client.random().below(Duration(3s).count())));
    }
    const auto told =
        co_await client.operate("Ref::call", words(request), office.call(message, options));
    if (!told && told.error().kind() == ErrorKind::invalid_argument &&
        !killed_.contains(request.to)) {
      simulation_.finding(words(request) + ": " + told.error().to_string());
    }
    if (!told && told.error().kind() != ErrorKind::permission) co_return false;
    hear(request, told);
    co_return true;
  }

  // What one of the entities knew is forgotten: its requests may run again, and get other receipts.
  Task<void> kill(Client& client) {
    const std::string id = kMortal;
    killed_.insert(id);
    const auto office = semper::ref<Office>(client.store(), id);
    static_cast<void>(co_await client.operate("Ref::kill", "of " + id, office.kill()));
  }

  // The key of a request, and another content.
  Task<void> forge(Client& client) {
    const Request& request = requests_[client.random().below(requests_.size())];
    if (!request.is_told) co_return;
    const auto office = semper::ref<Office>(client.store(), request.to);
    const Office::Do message{request.number, 0, "", true};
    CallOptions options = patient();
    const std::string text = key(request);
    options.key = IdempotencyKey{text};
    const auto told = co_await client.operate("Ref::call", "another " + words(request),
                                              office.call(message, options));
    const bool is_answered = told || told.error().kind() == ErrorKind::permission;
    if (is_answered && !killed_.contains(request.to)) {
      simulation_.finding(words(request) + " answered another content");
    }
  }

  Task<void> ask(Client& client) {
    Request& request = requests_[client.random().below(requests_.size())];
    const bool was_told = request.is_told;
    const auto office = semper::ref<Office>(client.store(), request.to);
    const std::string text = key(request);
    const auto known = co_await client.operate("Ref::result_of", words(request),
                                               office.result_of<Office::Do>(text));
    if (!known) co_return;
    if (was_told && known->state == Known::absent && !killed_.contains(request.to)) {
      simulation_.finding(words(request) + " was answered, and is absent");
    }
    check(request, *known);
  }

  void check(Request& request, const KeyedReply<std::uint64_t>& known) {
    if (known.state != Known::done || request.is_cast) return;
    if (!known.reply && !killed_.contains(request.to)) {
      simulation_.finding(words(request) + " is done without a reply");
    } else if (known.reply) {
      hear(request, *known.reply);
    }
  }

  void hear(Request& request, const Result<std::uint64_t>& told) {
    if (killed_.contains(request.to)) return;
    const bool is_error = request.way == KeyedWay::error || request.way == KeyedWay::error_later;
    const bool fits = told ? !is_error : is_error && told.error().kind() == ErrorKind::permission;
    if (!fits) {
      simulation_.finding(words(request) + " got " +
                          (told ? std::to_string(*told) : told.error().to_string()));
      return;
    }
    const std::uint64_t receipt = told ? *told : std::stoull(told.error().message());
    if (request.receipt && *request.receipt != receipt) {
      simulation_.finding(words(request) + " got the receipts " + std::to_string(*request.receipt) +
                          " and " + std::to_string(receipt));
    }
    request.receipt = receipt;
    request.is_told = true;
  }

  Simulation& simulation_;
  std::deque<Request> requests_;
  std::set<std::string> delayed_;  // that had delayed casts
  std::set<std::string> killed_;
  std::map<std::size_t, Request*> waiting_;  // by client
};

}  // namespace

std::unique_ptr<Workload> make_keys(Simulation& simulation, const Scenario& scenario) {
  return make_workload<KeysWorkload>(simulation, scenario);
}

}  // namespace semper::simulation
