// Messages that are given up: their entity is told once, with the letter, or not at all where the
// telling fails; letters that are named are deleted together; and when the program is mended, all
// that is left is there once.
#include <deque>
#include <map>
#include <set>

#include "semper/server/dead_letters.h"
#include "sent_log.h"
#include "workloads.h"

namespace semper::simulation {
namespace {

using Number = std::pair<std::uint64_t, std::uint64_t>;  // publisher, number

struct Clerk {
  static constexpr int kMessageAttempts = 3;

  struct State {
    std::vector<Line> done;
    std::vector<Line> told;
  };
  struct File {
    std::uint64_t publisher = 0;
    std::uint64_t number = 0;
    bool is_bad = false;
    using Reply = std::uint64_t;
  };
  using Messages = semper::Messages<File>;

  explicit Clerk(const bool& mended) : is_mended(mended) {}

  Result<State> init(const EntityId&) { return State(); }
  Reply<std::uint64_t> handle_call(const File& m, State& s, Context&) {
    file(m, s);
    return m.number;
  }
  void handle_cast(const File& m, State& s, Context&) { file(m, s); }
  void file(const File& m, State& s) const {
    s.done.push_back({m.publisher, m.number});
    if (m.is_bad && !is_mended) throw std::runtime_error("not yet mended");
  }
  void handle_dead_letter(const DeadLetterInfo& letter, State& s, Context&) {
    const auto m = decode<File>(letter.message.payload).value();
    s.told.push_back({m.publisher, m.number});
    if (is_clumsy_about(m.number)) throw std::runtime_error("it cannot be told of this one");
  }
  static bool is_clumsy_about(std::uint64_t number) { return number % 5 == 0; }

  const bool& is_mended;
};

class LettersWorkload final : public Workload {
 public:
  LettersWorkload(Simulation& simulation, const Scenario&) : simulation_(simulation) {}

  void serve(Host& host, Process&) override { host.serve(std::make_shared<Clerk>(is_mended_)); }
  std::vector<std::string> types() const override { return {std::string(type_name<Clerk>())}; }
  bool expects(ErrorKind kind) const override {
    return Workload::expects(kind) || kind == ErrorKind::internal || kind == ErrorKind::not_found;
  }

  Task<void> client(Client& client) override {
    while (client.more()) {
      if (client.random().chance(0.2)) {
        co_await delete_some(client);
      } else {
        co_await send(client);
      }
      co_await client.think();
    }
  }

  Task<void> settle(Observer& observer) override {
    co_await until_empty(observer);
    for (const auto& id : log_.entities()) co_await judge_letters(observer, id);
    is_mended_ = true;
    for (const auto& id : log_.entities()) {
      while (true) {
        const auto letters = co_await list_dead_letters(Tenant(observer.store()), entity(id), 5);
        if (!letters || letters->empty()) break;
        std::vector<Versionstamp> stamps;
        for (const auto& letter : *letters) stamps.push_back(letter.stamp);
        const auto redriven =
            co_await redrive_dead_letters(Tenant(observer.store()), entity(id), stamps);
        if (!redriven) {
          observer.finding("redriving " + id + ": " + redriven.error().to_string());
          break;
        }
      }
    }
  }

  Task<void> judge(Observer& observer) override {
    for (const auto& id : log_.entities()) {
      auto state = co_await observer.state<Clerk>(id);
      std::vector<Line> there = state.value_or(Clerk::State()).done;
      // What is deleted counts as delivered, where it is not there.
      for (const auto& [publisher, number] : gone_[id]) there.push_back({publisher, number});
      log_.judge(observer, "clerk", id, delivered(there), testing::DeliveryOrder::none);
    }
  }

 private:
  static EntityId entity(const std::string& id) {
    return EntityId{std::string(type_name<Clerk>()), id};
  }
  static Number number_of(const DeadLetterView& letter) {
    const auto file = decode<Clerk::File>(letter.message.payload);
    if (!file) return {};
    return {file->publisher, file->number};
  }

  Task<void> send(Client& client) {
    const std::string id = client.entity();
    auto clerk = semper::ref<Clerk>(client.store(), id);
    auto& sent = log_.begin(client.index(), id);
    const Clerk::File file{sent.publisher, sent.number, client.random().chance(0.4)};
    const std::string words = in_words(id, sent) + (file.is_bad ? ", bad" : "");
    if (client.random().chance(0.6)) {
      auto told = co_await client.operate("Ref::cast", words, clerk.cast(file));
      sent.fate = fate_of_cast(told);
      co_return;
    }
    auto told = co_await client.operate("Ref::call", words, clerk.call(file, patient()));
    sent.fate = fate_of_call(told);
    if (told && file.is_bad) simulation_.finding("a bad message was answered: " + words);
    const bool set_aside = !told && dead_letter_attempts(told.error());
    if (set_aside) sent.fate = Fate::done;  // in the end
    if (set_aside && ended_its_processes(told.error().message())) co_return;
    if (set_aside && !file.is_bad) {
      simulation_.finding("a good message was set aside: " + words + ": " +
                          told.error().to_string());
    }
    if (set_aside && *dead_letter_attempts(told.error()) < Clerk::kMessageAttempts) {
      simulation_.finding("too few runs: " + words + ": " + told.error().to_string());
    }
  }

  // Of the client's own messages, so that nobody else deletes them.
  Task<void> delete_some(Client& client) {
    const std::string id = client.entity();
    auto listed = co_await client.operate(
        "list_dead_letters", id, list_dead_letters(Tenant(client.store()), entity(id), 100));
    if (!listed) co_return;
    std::vector<Versionstamp> stamps;
    std::vector<Number> numbers;
    for (const auto& letter : *listed) {
      const Number number = number_of(letter);
      note_ended(id, letter);
      if (number.first != client.index() || stamps.size() == 2) continue;
      stamps.push_back(letter.stamp);
      numbers.push_back(number);
    }
    if (stamps.empty()) co_return;
    auto& deletion = deletions_[id].emplace_back();
    deletion.numbers = numbers;
    auto told = co_await client.operate(
        "delete_dead_letters", std::to_string(stamps.size()) + " letters of " + id,
        delete_dead_letters(Tenant(client.store()), entity(id), stamps));
    deletion.fate = fate_of_cast(told);
  }

  // What was sent has run, or was set aside; twice in a row, for a commit that comes late.
  Task<void> until_empty(Observer& observer) {
    Clock& clock = *observer.store().env().clock;
    int empty = 0;
    for (int looks = 0; empty < 2 && looks < 600; ++looks) {
      bool any = false;
      for (const auto& id : log_.entities()) {
        const auto view = co_await inspect(Tenant(observer.store()), entity(id));
        any = any || (view && view->queue_length > 0);
      }
      empty = any ? 0 : empty + 1;
      static_cast<void>(co_await sleep_for(clock, std::chrono::seconds(1)));
    }
    if (empty < 2) observer.finding("a queue does not empty");
  }

  // Nobody is told of such a one, nor can say how often it ran.
  static bool ended_its_processes(std::string_view reason) {
    return reason.find("the processes that ran it ended") != std::string_view::npos;
  }
  void note_ended(const std::string& id, const DeadLetterView& letter) {
    if (ended_its_processes(letter.reason)) ended_[id].insert(number_of(letter));
  }

  // Before anything is redriven: who was told of what, and what is left of the letters.
  Task<void> judge_letters(Observer& observer, const std::string& id) {
    const auto listed = co_await list_dead_letters(Tenant(observer.store()), entity(id), 1'000'000);
    if (!listed) {
      if (listed.error().kind() != ErrorKind::not_found) {
        observer.finding("letters of " + id + ": " + listed.error().to_string());
      }
      co_return;
    }
    std::set<Number> letters;
    for (const auto& letter : *listed) {
      if (!letters.insert(number_of(letter)).second) observer.finding(id + ": a letter twice");
      note_ended(id, letter);
      if (letter.attempts < 3 && !ended_its_processes(letter.reason)) {
        observer.finding(id + ": a letter of " + std::to_string(letter.attempts) + " attempts");
      }
    }
    for (const auto& deletion : deletions_[id]) {
      std::size_t left = 0;
      for (const auto& number : deletion.numbers) left += letters.count(number);
      const bool is_half = left != 0 && left != deletion.numbers.size();
      if (is_half && !deletion.is_repeated(deletions_[id])) {
        observer.finding(id + ": letters that were named together were deleted in part");
      }
      if (deletion.fate == Fate::done && left > 0) {
        observer.finding(id + ": a letter was deleted and is there");
      }
      for (const auto& number : deletion.numbers) {
        if (!letters.contains(number)) gone_[id].insert(number);
      }
    }
    auto state = co_await observer.state<Clerk>(id);
    std::set<Number> told;
    for (const auto& line : state.value_or(Clerk::State()).told) {
      if (!told.insert({line.publisher, line.number}).second) {
        observer.finding(id + ": told twice of " + std::to_string(line.number));
      }
    }
    std::set<Number> expected;
    for (const auto& number : letters) {
      if (is_told_of(id, number)) expected.insert(number);
    }
    for (const auto& number : gone_[id]) {
      if (is_told_of(id, number)) expected.insert(number);
    }
    if (told != expected) {
      observer.finding(id + ": told of " + std::to_string(told.size()) + " letters of " +
                       std::to_string(expected.size()));
    }
  }

  bool is_told_of(const std::string& id, const Number& number) {
    return !Clerk::is_clumsy_about(number.second) && !ended_[id].contains(number);
  }

  struct Deletion {
    std::vector<Number> numbers;
    Fate fate = Fate::open;
    // One of its letters was named by another deletion, too: the first one's outcome was not known.
    bool is_repeated(const std::deque<Deletion>& all) const {
      std::size_t named = 0;
      for (const auto& other : all) {
        for (const auto& number : other.numbers) {
          for (const auto& own : numbers) named += own == number ? 1 : 0;
        }
      }
      return named > numbers.size();
    }
  };

  Simulation& simulation_;
  SentLog log_;
  bool is_mended_ = false;
  std::map<std::string, std::deque<Deletion>> deletions_;  // by entity
  std::map<std::string, std::set<Number>> gone_;
  std::map<std::string, std::set<Number>> ended_;
};

}  // namespace

std::unique_ptr<Workload> make_letters(Simulation& simulation, const Scenario& scenario) {
  return make_workload<LettersWorkload>(simulation, scenario);
}

}  // namespace semper::simulation
