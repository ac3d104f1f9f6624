// Answers at once, later, by another entity, as errors, and too late: each caller gets its own, and
// a timeout has a cause.
#include "workload.h"
#include "workloads.h"

namespace semper::simulation {
namespace {

using namespace std::chrono_literals;

// A disturbance explains timeouts so long: the longest pause and lease, and what then waits in
// queues.
constexpr Duration kExplains = 40s;

enum class Way : std::uint8_t { at_once, later, by_another, error, error_later };
constexpr std::uint64_t kWays = 5;

struct Desk {
  using State = std::uint64_t;  // answers given
  struct Ask {
    std::uint64_t number = 0;
    std::uint64_t way = 0;
    std::string other;
    using Reply = std::uint64_t;
  };
  struct Answer {
    std::uint64_t number = 0;
    ReplyToken to;
    bool is_error = false;
  };
  using Messages = semper::Messages<Ask, Answer>;

  static std::uint64_t answer_of(std::uint64_t number) { return 2 * number + 1; }

  explicit Desk(Surface& used) : surface(used) {}

  Result<State> init(const EntityId&) { return 0; }
  Reply<std::uint64_t> handle_call(const Ask& m, State& s, Context& context) {
    ++s;
    const auto way = static_cast<Way>(m.way);
    if (way == Way::at_once) return answer_of(m.number);
    if (way == Way::error) return fail(ErrorKind::permission, std::to_string(m.number));
    surface.drawn("Context::reply_token");
    const std::string to = way == Way::by_another ? m.other : context.id().id;
    context.cast(semper::ref<Desk>(context.tenant(), to),
                 Answer{m.number, context.reply_token(), way == Way::error_later});
    return no_reply;
  }
  void handle_cast(const Answer& m, State& s, Context& context) {
    ++s;
    if (m.is_error) {
      surface.drawn("Context::reply_error");
      context.reply_error(m.to, Error(ErrorKind::permission, std::to_string(m.number)));
    } else {
      surface.drawn("Context::reply");
      context.reply(m.to, answer_of(m.number));
    }
  }

  Surface& surface;
};

class AnswersWorkload final : public Workload {
 public:
  AnswersWorkload(Simulation& simulation, const Scenario& scenario)
      : simulation_(simulation), scenario_(scenario) {}

  void serve(Host& host, Process&) override {
    host.serve(std::make_shared<Desk>(simulation_.surface()));
  }
  std::vector<std::string> types() const override { return {std::string(type_name<Desk>())}; }
  bool expects(ErrorKind kind) const override {
    return Workload::expects(kind) || kind == ErrorKind::permission || kind == ErrorKind::timeout;
  }

  Task<void> client(Client& client) override {
    while (client.more()) {
      const std::string id = client.entity();
      auto desk = semper::ref<Desk>(client.store(), id);
      const Desk::Ask ask{++last_, client.random().below(kWays), client.entity()};
      CallOptions options = patient();
      if (client.random().chance(0.4)) {
        options.timeout =
            1ms + Duration(static_cast<Duration::rep>(client.random().below(Duration(5s).count())));
      }
      const Duration asked = simulation_.elapsed();
      auto told = co_await client.operate("Ref::call", "ask " + std::to_string(ask.number),
                                          desk.call(ask, options));
      check(ask, told, options.timeout, asked);
      co_await client.think();
    }
  }

  Task<void> judge(Observer&) override { co_return; }

 private:
  void check(const Desk::Ask& ask, const Result<std::uint64_t>& told, Duration timeout,
             Duration asked) {
    const std::string number = std::to_string(ask.number);
    const auto way = static_cast<Way>(ask.way);
    const bool is_error = way == Way::error || way == Way::error_later;
    if (told) {
      if (is_error || *told != Desk::answer_of(ask.number)) {
        simulation_.finding("question " + number + " got the answer " + std::to_string(*told));
      }
      return;
    }
    if (told.error().kind() == ErrorKind::permission) {
      if (!is_error || told.error().message() != number) {
        simulation_.finding("question " + number + " got the error " + told.error().to_string());
      }
      return;
    }
    if (told.error().kind() == ErrorKind::timeout && !is_explained(timeout, asked)) {
      simulation_.finding("question " + number + " timed out after " +
                          std::to_string(std::chrono::duration<double>(timeout).count()) +
                          " s, and no fault explains it");
    }
  }

  bool is_explained(Duration timeout, Duration asked) const {
    if (timeout >= patient().timeout) return false;
    if (simulation_.last_disturbance() + kExplains >= asked) return true;
    for (const auto& [name, value] : scenario_.values) {
      if (name.starts_with("store.") && unit_of(name) == Unit::rate && value > 0) return true;
    }
    // A host finds what others have sent within a look at its queues.
    return timeout < 1s;
  }

  Simulation& simulation_;
  const Scenario& scenario_;
  std::uint64_t last_ = 0;
};

}  // namespace

std::unique_ptr<Workload> make_answers(Simulation& simulation, const Scenario& scenario) {
  return make_workload<AnswersWorkload>(simulation, scenario);
}

}  // namespace semper::simulation
