// Messages that belong to traces: the trace of each names who sent it, so that whoever handles it,
// through queues, timers, locks and other entities, can tell that it is the right one. Spans are of
// what took effect: at most one of each run, and none of what is not in a state.
#include <map>
#include <set>

#include "semper/env/spans.h"
#include "semper/env/trace_context.h"
#include "sent_log.h"
#include "workloads.h"

namespace semper::simulation {
namespace {

using namespace std::chrono_literals;

class TracesWorkload;

// How a message goes on from the entity that it was sent to.
enum class Onward : std::uint64_t { nowhere, cast, timer, lock };
constexpr std::uint64_t kOnwards = 4;

struct Courier {
  struct State {
    std::vector<Line> lines;
    std::vector<Line> passed_on;  // as they came from the entity itself, or from its neighbour
  };
  struct Carry {
    std::uint64_t publisher = 0;
    std::uint64_t number = 0;
    std::uint64_t onward = 0;
    bool is_traced = false;
    using Reply = std::uint64_t;
  };
  struct Passed {
    std::uint64_t publisher = 0;
    std::uint64_t number = 0;
    bool is_traced = false;
  };
  using Messages = semper::Messages<Carry, Passed>;

  explicit Courier(TracesWorkload& of) : workload(of) {}

  Result<State> init(const EntityId&) { return State(); }
  Reply<std::uint64_t> handle_call(const Carry& m, State& s, Context& context);
  Outcome handle_cast(const Carry& m, State& s, Context& context);
  Reply<std::uint64_t> handle_locked(const Carry& m, State& s, LockedContext& context);
  void handle_cast(const Passed& m, State& s, Context& context);

  TracesWorkload& workload;
};

std::string courier_next_to(const std::string& id) {
  return std::to_string(std::stoull(id) ^ 1);
}

class TracesWorkload final : public Workload {
 public:
  TracesWorkload(Simulation& simulation, const Scenario& scenario)
      : simulation_(simulation), scenario_(scenario) {}

  void serve(Host& host, Process&) override { host.serve(std::make_shared<Courier>(*this)); }
  std::vector<std::string> types() const override { return {std::string(type_name<Courier>())}; }

  Task<void> client(Client& client) override {
    while (client.more()) {
      const std::string id = client.entity();
      auto courier = semper::ref<Courier>(client.store(), id);
      auto& sent = log_.begin(client.index(), id);
      const bool is_traced = client.random().chance(0.8);
      const Courier::Carry carry{sent.publisher, sent.number, client.random().below(kOnwards),
                                 is_traced};
      if (is_traced) {
        simulation_.surface().drawn("Ref::traced");
        const TraceContext trace = trace_of(sent.publisher, sent.number, client.random());
        courier =
            courier.traced(trace, client.random().chance(0.5) ? &simulation_.spans() : nullptr);
      }
      const std::string words = in_words(id, sent);
      if (client.random().chance(0.4)) {
        auto told = co_await client.operate("Ref::call", words, courier.call(carry, patient()));
        sent.fate = fate_of_call(told);
      } else {
        auto told = co_await client.operate("Ref::cast", words, courier.cast(carry));
        sent.fate = fate_of_cast(told);
      }
      co_await client.think();
    }
  }

  Task<void> judge(Observer& observer) override {
    std::set<std::string> there;
    for (std::size_t entity = 0; entity <= scenario_.count("entities"); ++entity) {
      const std::string id = std::to_string(entity);
      const auto state = (co_await observer.state<Courier>(id)).value_or(Courier::State());
      log_.judge(observer, "courier", id, delivered(state.lines));
      for (const auto& line : state.lines) there.insert(effect("Carry", id, line));
      for (const auto& line : state.passed_on) there.insert(effect("Passed", id, line));
    }
    std::map<std::string, int> spans;
    for (const auto& span : spans_of_runs()) {
      if (++spans[span] > 1) observer.finding("two spans of one run: " + span);
      if (!there.contains(span)) observer.finding("a span of what did not happen: " + span);
    }
    if (simulation_.spans().dropped() > 0) observer.finding("spans were dropped");
  }

  // The trace of a message is as who sent it has said.
  void check(const TraceContext* trace, std::uint64_t publisher, std::uint64_t number,
             bool is_traced, const std::string& where) {
    const bool is_right = trace == nullptr
                              ? !is_traced
                              : is_traced && trace->trace_id == id_of(publisher, number) &&
                                    trace->state == "publisher=" + std::to_string(publisher);
    if (is_right) return;
    simulation_.finding(where + ": " + std::to_string(publisher) + "/" + std::to_string(number) +
                        " has the trace " + (trace == nullptr ? "-" : trace->traceparent()));
  }
  Surface& surface() { return simulation_.surface(); }

 private:
  static TraceId id_of(std::uint64_t publisher, std::uint64_t number) {
    TraceId id{};
    for (std::size_t i = 0; i < 8; ++i) {
      id[i] = static_cast<std::uint8_t>(publisher >> (8 * (7 - i)));
      id[8 + i] = static_cast<std::uint8_t>(number >> (8 * (7 - i)));
    }
    id[0] = 1;  // no id is zero
    return id;
  }
  static TraceContext trace_of(std::uint64_t publisher, std::uint64_t number, Random& random) {
    TraceContext trace =
        TraceContext::start(random, random.chance(0.7) ? Sampled::yes : Sampled::no);
    trace.trace_id = id_of(publisher, number);
    trace.state = "publisher=" + std::to_string(publisher);
    return trace;
  }

  static std::string effect(const std::string& message, const std::string& id, const Line& line) {
    const TraceId trace = id_of(line.publisher, line.number);
    return message + " " + id + " " +
           to_hex(BytesView(reinterpret_cast<const char*>(trace.data()), trace.size()));
  }

  static std::string field(const std::string& span, const std::string& begin) {
    const auto at = span.find(begin);
    if (at == std::string::npos) return "";
    return span.substr(at + begin.size(), span.find('"', at + begin.size()) - at - begin.size());
  }

  // Those without an error, as effect() writes them. What asked for the lock ran twice, by then.
  std::vector<std::string> spans_of_runs() {
    std::vector<std::string> runs;
    const std::string begin = "{\"traceId\":\"";
    auto& buffer = simulation_.spans();
    for (std::string line = buffer.take_line(); !line.empty(); line = buffer.take_line()) {
      for (auto at = line.find(begin); at != std::string::npos;) {
        const auto next = line.find(begin, at + 1);
        const std::string span = line.substr(at, next - at);
        at = next;
        const std::string name = field(span, "\"name\":\"");
        const bool is_run = name.starts_with("process ") || name.starts_with("locked ");
        if (!is_run || span.find("\"status\"") != std::string::npos) continue;
        if (name.starts_with("locked ")) continue;  // it is no transaction: it may run in vain
        const std::string entity = field(span, "\"stringValue\":\"");
        runs.push_back(name.substr(name.rfind('.') + 1) + " " +
                       entity.substr(entity.rfind('/') + 1) + " " + field(span, begin));
      }
    }
    return runs;
  }

  Simulation& simulation_;
  const Scenario& scenario_;
  SentLog log_;
};

// Whether it asks for the lock; else it is done.
bool carry(const Courier::Carry& m, Courier::State& s, Context& context, Courier& courier) {
  courier.workload.surface().drawn("Context::trace");
  const std::string& id = context.id().id;
  courier.workload.check(context.trace(), m.publisher, m.number, m.is_traced, "courier " + id);
  const auto onward = static_cast<Onward>(m.onward);
  if (onward == Onward::lock) return true;
  s.lines.push_back({m.publisher, m.number});
  const Courier::Passed passed{m.publisher, m.number, m.is_traced};
  if (onward == Onward::cast) {
    context.cast(semper::ref<Courier>(context.tenant(), courier_next_to(id)), passed);
  } else if (onward == Onward::timer) {
    const std::string name = std::to_string(m.publisher) + "/" + std::to_string(m.number);
    context.send_after(name, 20ms, passed);
  }
  return false;
}

Reply<std::uint64_t> Courier::handle_call(const Carry& m, State& s, Context& context) {
  if (carry(m, s, context, *this)) return lock();
  return m.number;
}

Outcome Courier::handle_cast(const Carry& m, State& s, Context& context) {
  if (carry(m, s, context, *this)) return lock();
  return {};
}

Reply<std::uint64_t> Courier::handle_locked(const Carry& m, State& s, LockedContext& context) {
  workload.surface().drawn("LockedContext::trace");
  const std::string& id = context.id().id;
  workload.check(context.trace(), m.publisher, m.number, m.is_traced, "locked courier " + id);
  s.lines.push_back({m.publisher, m.number});
  const Passed passed{m.publisher, m.number, m.is_traced};
  context.cast(semper::ref<Courier>(context.tenant(), courier_next_to(id)), passed);
  return m.number;
}

void Courier::handle_cast(const Passed& m, State& s, Context& context) {
  workload.check(context.trace(), m.publisher, m.number, m.is_traced,
                 "courier " + context.id().id + ", passed on");
  s.passed_on.push_back({m.publisher, m.number});
}

}  // namespace

std::unique_ptr<Workload> make_traces(Simulation& simulation, const Scenario& scenario) {
  return make_workload<TracesWorkload>(simulation, scenario);
}

}  // namespace semper::simulation
