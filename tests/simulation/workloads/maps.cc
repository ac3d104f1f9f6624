// Maps beside states: each message's entries are there with what the state counts, once, or not at
// all, while entities are killed and reset; and changes of one entry, which nothing else shows, do
// not lose each other.
#include <map>
#include <set>

#include "semper/server/entity_log.h"
#include "semper/server/map.h"
#include "sent_log.h"
#include "workloads.h"

namespace semper::simulation {
namespace {

class MapsWorkload;

struct Cartographer {
  struct State {
    std::uint64_t notes = 0;
    std::uint64_t twice = 0;
    std::uint64_t told = 0;
  };
  using Lines = Map<std::pair<std::uint64_t, std::uint64_t>, std::string>;
  static constexpr Lines kLines{"lines"};  // by publisher and number: the word
  static constexpr Map<std::string, std::uint64_t> kWords{"words"};  // how often each was noted
  static constexpr Map<std::string, std::uint64_t> kBumps{"bumps"};
  // One for each publisher: the line that was handled last.
  static constexpr Map<std::pair<std::uint64_t, std::uint64_t>, bool> kLast{"last"};

  // Of notes that were not made under the lock.
  static constexpr Log<std::uint64_t> kHistory{"history"};

  struct Note {
    std::uint64_t publisher = 0;
    std::uint64_t number = 0;
    std::string word;
    using Reply = std::uint64_t;
  };
  struct NoteLocked {
    std::uint64_t publisher = 0;
    std::uint64_t number = 0;
    std::string word;
    using Reply = std::uint64_t;
  };
  struct Bump {  // leaves the state as it is
    std::string word;
    using Reply = std::uint64_t;
  };
  struct Audit {
    using Reply = std::uint64_t;
  };
  using Messages = semper::Messages<Note, NoteLocked, Bump, Audit>;

  explicit Cartographer(MapsWorkload& of) : workload(of) {}

  Result<State> init(const EntityId&) { return State(); }
  Async<std::uint64_t> handle_call(const Note& m, State& s, Context& context);
  Async<void> handle_cast(const Note& m, State& s, Context& context);
  Reply<std::uint64_t> handle_call(const NoteLocked&, State&, Context&) { return lock(); }
  Task<Reply<std::uint64_t>> handle_locked(const NoteLocked& m, State& s, LockedContext& context);
  Async<std::uint64_t> handle_call(const Bump& m, State& s, Context& context);
  Async<std::uint64_t> handle_call(const Audit&, State& s, Context& context);

  MapsWorkload& workload;
};

const char* const kVocabulary[] = {"ash", "birch", "cedar"};
constexpr std::size_t kLinesPerPage = 7;
constexpr std::uint64_t kKeptEvents = 5;  // about, by an audit

// Whose entities are killed and reset.
bool is_mortal(const std::string& id) {
  return std::stoull(id) % 2 == 1;
}

class MapsWorkload final : public Workload {
 public:
  MapsWorkload(Simulation& simulation, const Scenario& scenario)
      : simulation_(simulation), scenario_(scenario) {}

  void serve(Host& host, Process&) override { host.serve(std::make_shared<Cartographer>(*this)); }
  std::vector<std::string> types() const override {
    return {std::string(type_name<Cartographer>())};
  }
  // There was nothing to kill; and a loop that does not run for a while takes a callback's time
  // away.
  bool expects(ErrorKind kind) const override {
    const bool stalls =
        scenario_.values.at("loop_stalled.every") > 0 || scenario_.values.at("pause.every") > 0;
    return Workload::expects(kind) || kind == ErrorKind::not_found ||
           (kind == ErrorKind::internal && stalls);
  }

  // Of any source: how many lines there are, by word.
  static Async<std::map<std::string, std::uint64_t>> lines_by_word(MapSource of,
                                                                   std::vector<Line>& all) {
    std::map<std::string, std::uint64_t> words;
    std::pair<std::uint64_t, std::uint64_t> last(0, 0);
    for (bool more = true; more;) {
      SEMPER_CO_TRY(const auto page,
                    co_await Cartographer::kLines.page_after(of, last, kLinesPerPage));
      for (const auto& [key, word] : page.entries) {
        all.push_back({key.first, key.second});
        ++words[word];
        last = key;
      }
      more = page.more;
    }
    co_return words;
  }

  Task<void> client(Client& client) override {
    while (client.more()) {
      const std::string id = client.entity();
      const std::string word = kVocabulary[client.random().below(std::size(kVocabulary))];
      const auto kind = client.random().below(12);
      auto clerk = semper::ref<Cartographer>(client.store(), id);
      if (kind == 0 && is_mortal(id)) {
        co_await end(client, id, clerk);
      } else if (kind < 4) {
        co_await bump(client, id, word, clerk);
      } else if (kind == 4) {
        const Cartographer::Audit audit;
        static_cast<void>(
            co_await client.operate("Ref::call", "audit " + id, clerk.call(audit, patient())));
      } else if (kind == 5) {
        co_await look(client, id, word, clerk);
      } else {
        co_await note(client, id, word, clerk, kind);
      }
      co_await client.think();
    }
  }

  Task<void> end(Client& client, std::string id, Ref<Cartographer> clerk) {
    if (client.random().chance(0.5)) {
      static_cast<void>(co_await client.operate("Ref::kill", "kill " + id, clerk.kill()));
    } else {
      static_cast<void>(co_await client.operate("Ref::reset", "reset " + id, clerk.reset()));
    }
  }

  Task<void> note(Client& client, std::string id, std::string word, Ref<Cartographer> clerk,
                  std::uint64_t kind) {
    auto& sent = log_.begin(client.index(), id);
    const std::string words = in_words(id, sent);
    if (kind == 6) {
      Cartographer::NoteLocked message;
      message.publisher = sent.publisher;
      message.number = sent.number;
      message.word = word;
      auto told = co_await client.operate("Ref::call", words, clerk.call(message, patient()));
      sent.fate = fate_of_call(told);
      co_return;
    }
    Cartographer::Note message;
    message.publisher = sent.publisher;
    message.number = sent.number;
    message.word = word;
    if (kind % 2 == 0) {
      auto told = co_await client.operate("Ref::call", words, clerk.call(message, patient()));
      sent.fate = fate_of_call(told);
    } else {
      auto told = co_await client.operate("Ref::cast", words, clerk.cast(message));
      sent.fate = fate_of_cast(told);
    }
  }

  Task<void> bump(Client& client, std::string id, std::string word, Ref<Cartographer> clerk) {
    Bumps& bumps = bumps_[{id, word}];
    ++bumps.open;
    Cartographer::Bump message;
    message.word = word;
    auto told = co_await client.operate("Ref::call", "bump " + word + " of " + id,
                                        clerk.call(message, patient()));
    const Fate fate = fate_of_call(told);
    if (fate != Fate::open) --bumps.open;
    if (fate != Fate::done) co_return;
    if (!bumps.told.insert(*told).second && !is_mortal(id)) {
      simulation_.finding("clerk " + id + ": two bumps of " + word + " made it " +
                          std::to_string(*told));
    }
  }

  // What was told of is there for everybody.
  Task<void> look(Client& client, std::string id, std::string word, Ref<Cartographer> clerk) {
    simulation_.surface().drawn("Map::count");
    const auto& told = bumps_[{id, word}].told;
    const std::uint64_t least = told.empty() ? 0 : *told.rbegin();
    auto there = co_await client.operate("Map::get", "bumps of " + word + " of " + id,
                                         Cartographer::kBumps.get(clerk, word));
    if (there && !is_mortal(id) && there->value_or(0) < least) {
      simulation_.finding("clerk " + id + ": " + word + " was bumped to " + std::to_string(least) +
                          ", and is " + std::to_string(there->value_or(0)));
    }
  }

  Task<void> judge(Observer& observer) override {
    for (std::size_t entity = 0; entity <= scenario_.count("entities"); ++entity) {
      const std::string id = std::to_string(entity);
      const auto state =
          (co_await observer.state<Cartographer>(id)).value_or(Cartographer::State());
      const auto clerk = semper::ref<Cartographer>(observer.store(), id);
      std::vector<Line> lines;
      const auto words = co_await lines_by_word(clerk, lines);
      if (!words) observer.finding("lines of " + id + ": " + words.error().to_string());
      if (!words) continue;
      if (state.twice > 0 || state.notes != lines.size()) {
        observer.finding("clerk " + id + " counts " + std::to_string(state.notes) + " notes, " +
                         std::to_string(state.twice) + " of them twice, and has " +
                         std::to_string(lines.size()) + " lines");
      }
      co_await judge_last(observer, clerk, id, lines);
      co_await judge_history(observer, clerk, id, state.told);
      for (const char* word : kVocabulary) {
        const auto noted = co_await Cartographer::kWords.get(clerk, std::string(word));
        const auto found = words->find(word);
        const std::uint64_t by_lines = found == words->end() ? 0 : found->second;
        if (!noted || noted->value_or(0) != by_lines) {
          observer.finding("clerk " + id + ": " + word + " was noted otherwise than the lines say");
        }
        co_await judge_bumps(observer, clerk, id, word);
      }
      if (!is_mortal(id)) log_.judge(observer, "clerk", id, delivered(lines));
    }
  }

  // One of each publisher who has lines: that which was handled last, which a late one may be.
  Task<void> judge_last(Observer& observer, Ref<Cartographer> clerk, std::string id,
                        const std::vector<Line>& lines) {
    std::set<std::pair<std::uint64_t, std::uint64_t>> all;
    std::set<std::uint64_t> publishers;
    for (const auto& line : lines) {
      all.insert({line.publisher, line.number});
      publishers.insert(line.publisher);
    }
    const auto page = co_await Cartographer::kLast.page(clerk, kMapPageMaximum);
    if (!page) observer.finding("last lines of " + id + ": " + page.error().to_string());
    if (!page) co_return;
    bool fits = page->entries.size() == publishers.size();
    for (const auto& entry : page->entries) {
      fits = fits && all.contains(entry.key) && publishers.erase(entry.key.first) == 1;
    }
    if (!fits) observer.finding("clerk " + id + " has other last lines than its lines say");
  }

  // Numbered without a gap up to what the state says, each entry with its own number in it.
  Task<void> judge_history(Observer& observer, Ref<Cartographer> clerk, std::string id,
                           std::uint64_t told) {
    const auto span = co_await Cartographer::kHistory.span(clerk);
    const auto page =
        co_await Cartographer::kHistory.page(clerk, kMapPageMaximum, Order::descending);
    if (!span || !page) observer.finding("the history of " + id + " cannot be read");
    if (!span || !page) co_return;
    std::uint64_t number = span->next;
    bool fits = span->next == told + 1 && page->entries.size() == span->size();
    for (const auto& entry : page->entries) {
      --number;
      fits = fits && entry.number == number && entry.value == number;
    }
    if (!fits) observer.finding("clerk " + id + ": its history has gaps, or another end");
  }

  Task<void> judge_bumps(Observer& observer, Ref<Cartographer> clerk, std::string id,
                         std::string word) {
    if (is_mortal(id)) co_return;
    const Bumps& bumps = bumps_[{id, word}];
    const auto there = co_await Cartographer::kBumps.get(clerk, word);
    const std::uint64_t count = there ? there->value_or(0) : 0;
    if (!there || count < bumps.told.size() || count > bumps.told.size() + bumps.open) {
      observer.finding("clerk " + id + ": " + word + " was bumped " +
                       std::to_string(bumps.told.size()) + " times, perhaps " +
                       std::to_string(bumps.open) + " more, and is " + std::to_string(count));
    }
  }

  Simulation& simulation() { return simulation_; }

 private:
  struct Bumps {
    std::set<std::uint64_t> told;
    std::uint64_t open = 0;
  };

  Simulation& simulation_;
  const Scenario& scenario_;
  SentLog log_;
  std::map<std::pair<std::string, std::string>, Bumps> bumps_;
};

// In the transaction of a callback, or under the lock, where nobody else writes.
template <class Where, class M>
Async<std::uint64_t> write_note(const M& m, Cartographer::State& s, Where& context) {
  const std::pair<std::uint64_t, std::uint64_t> line(m.publisher, m.number);
  const std::string word = m.word;
  SEMPER_CO_TRY(const bool again, co_await Cartographer::kLines.contains(context, line));
  if (again) ++s.twice;
  SEMPER_CO_TRY(const auto before, co_await Cartographer::kWords.get(context, word));
  const std::uint64_t now = before.value_or(0) + 1;
  const std::pair<std::uint64_t, std::uint64_t> first(m.publisher, 0);
  SEMPER_CO_TRY(const auto last, co_await Cartographer::kLast.page_from(context, first, 1));
  const bool has_last = !last.entries.empty() && last.entries[0].key.first == m.publisher;
  if (has_last) Cartographer::kLast.erase(context, last.entries[0].key);
  Cartographer::kLast.set(context, line, true);
  Cartographer::kLines.set(context, line, word);
  Cartographer::kWords.set(context, word, now);
  ++s.notes;
  co_return now;
}

Async<std::uint64_t> Cartographer::handle_call(const Note& m, State& s, Context& context) {
  const std::uint64_t told = s.told + 1;
  SEMPER_CO_TRY(const std::uint64_t number, co_await kHistory.append(context, told));
  if (number != told) ++s.twice;
  s.told = told;
  co_return co_await write_note(m, s, context);
}

Async<void> Cartographer::handle_cast(const Note& m, State& s, Context& context) {
  SEMPER_CO_TRY_STATUS(co_await handle_call(m, s, context));
  co_return Status{};
}

Task<Reply<std::uint64_t>> Cartographer::handle_locked(const NoteLocked& m, State& s,
                                                       LockedContext& context) {
  auto written = co_await write_note(m, s, context);
  if (!written) throw std::runtime_error(written.error().to_string());  // it is handled again
  Reply<std::uint64_t> reply(*written);
  co_return reply;
}

Async<std::uint64_t> Cartographer::handle_call(const Bump& m, State&, Context& context) {
  for (const char* operation :
       {"Map::set", "Map::erase", "Map::contains", "Map::page", "Map::page_from", "Map::page_after",
        "Log::append", "Log::trim", "Log::page", "Log::span"}) {
    workload.simulation().surface().drawn(operation);
  }
  const std::string word = m.word;
  SEMPER_CO_TRY(const auto before, co_await kBumps.get(context, word));
  const std::uint64_t now = before.value_or(0) + 1;
  kBumps.set(context, word, now);
  co_return now;
}

Async<std::uint64_t> Cartographer::handle_call(const Audit&, State& s, Context& context) {
  std::vector<Line> lines;
  SEMPER_CO_TRY(const auto words, co_await MapsWorkload::lines_by_word(context, lines));
  if (s.told > kKeptEvents) {
    SEMPER_CO_TRY_STATUS(co_await kHistory.trim(context, s.told - kKeptEvents));
  }
  std::uint64_t noted = 0;
  SEMPER_CO_TRY(const auto page, co_await kWords.page(context, 100));
  for (const auto& entry : page.entries) noted += entry.value;
  if (lines.size() != s.notes || noted != s.notes) {
    workload.simulation().finding(
        "clerk " + context.id().id + " has " + std::to_string(lines.size()) + " lines, " +
        std::to_string(noted) + " words, and counts " + std::to_string(s.notes));
  }
  co_return s.notes;
}

}  // namespace

std::unique_ptr<Workload> make_maps(Simulation& simulation, const Scenario& scenario) {
  return make_workload<MapsWorkload>(simulation, scenario);
}

}  // namespace semper::simulation
