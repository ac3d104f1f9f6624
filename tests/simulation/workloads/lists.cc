// Lists and sets beside states that say what has to be in them: after each message, in the order
// that its state gives, or as before it, while entities are killed and reset.
#include <algorithm>
#include <set>

#include "semper/server/list.h"
#include "semper/server/set.h"
#include "sent_log.h"
#include "workloads.h"

namespace semper::simulation {
namespace {

class ListsWorkload;

// A trip whose stops are added, moved and crossed out; and the countries that it touches.
struct Itinerary {
  struct Stop {
    ListPlace place;
    std::uint64_t city = 0;
  };
  struct State {
    std::vector<Stop> stops;
    std::vector<std::uint64_t> countries;  // sorted
    std::uint64_t changes = 0;
    std::string wrong;
  };
  static constexpr List<std::uint64_t> kStops{"stops"};
  static constexpr Set<std::uint64_t> kCountries{"countries"};

  // What it does to which is drawn from it, so that it does the same where it runs again.
  struct Change {
    std::uint64_t seed = 0;
    using Reply = std::uint64_t;
  };
  struct Audit {
    using Reply = std::string;
  };
  using Messages = semper::Messages<Change, Audit>;

  explicit Itinerary(ListsWorkload& of) : workload(of) {}

  Result<State> init(const EntityId&) { return State(); }
  Async<std::uint64_t> handle_call(const Change& m, State& s, Context& context);
  Async<void> handle_cast(const Change& m, State& s, Context& context);
  Async<std::string> handle_call(const Audit&, State& s, Context& context);

  ListsWorkload& workload;
};

constexpr std::size_t kStopsMaximum = 12;
constexpr std::uint64_t kCountriesMaximum = 6;
constexpr std::size_t kStopsPerPage = 5;

// In what they differ, or nothing. From a callback, or from outside.
Async<std::string> difference(MapSource of, Itinerary::State state) {
  std::vector<Itinerary::Stop> stops;
  SEMPER_CO_TRY(auto page, co_await Itinerary::kStops.page(of, kStopsPerPage));
  while (true) {
    for (const auto& entry : page.entries) stops.push_back({entry.place, entry.value});
    if (!page.more || page.entries.empty()) break;
    const ListPlace last = page.entries.back().place;
    SEMPER_CO_TRY(page, co_await Itinerary::kStops.page_after(of, last, kStopsPerPage));
  }
  const auto is_same = [](const Itinerary::Stop& a, const Itinerary::Stop& b) {
    return a.place == b.place && a.city == b.city;
  };
  if (!std::equal(stops.begin(), stops.end(), state.stops.begin(), state.stops.end(), is_same)) {
    co_return "has " + std::to_string(stops.size()) + " stops, or another order, and counts " +
        std::to_string(state.stops.size());
  }
  SEMPER_CO_TRY(const auto countries, co_await Itinerary::kCountries.page(of, kMapPageMaximum));
  if (countries.keys != state.countries) co_return "is in other countries than it says";
  co_return state.wrong;
}

class ListsWorkload final : public Workload {
 public:
  ListsWorkload(Simulation& simulation, const Scenario& scenario)
      : simulation_(simulation), scenario_(scenario) {}

  void serve(Host& host, Process&) override { host.serve(std::make_shared<Itinerary>(*this)); }
  std::vector<std::string> types() const override { return {std::string(type_name<Itinerary>())}; }
  // There was nothing to kill; and a loop that does not run for a while takes a callback's time
  // away.
  bool expects(ErrorKind kind) const override {
    const bool stalls =
        scenario_.values.at("loop_stalled.every") > 0 || scenario_.values.at("pause.every") > 0;
    return Workload::expects(kind) || kind == ErrorKind::not_found ||
           (kind == ErrorKind::internal && stalls);
  }

  Task<void> client(Client& client) override {
    while (client.more()) {
      const std::string id = client.entity();
      const auto kind = client.random().below(12);
      auto trip = semper::ref<Itinerary>(client.store(), id);
      if (kind == 0 && is_mortal(id)) {
        co_await end(client, id, trip);
      } else if (kind == 1) {
        const Itinerary::Audit audit;
        auto told =
            co_await client.operate("Ref::call", "audit " + id, trip.call(audit, patient()));
        if (told && !told->empty()) simulation_.finding("trip " + id + " " + *told);
      } else {
        co_await change(client, id, trip, kind % 3 == 0);
      }
      co_await client.think();
    }
  }

  Task<void> judge(Observer& observer) override {
    for (std::size_t entity = 0; entity <= scenario_.count("entities"); ++entity) {
      const std::string id = std::to_string(entity);
      auto state = (co_await observer.state<Itinerary>(id)).value_or(Itinerary::State());
      const Counts& counts = counts_[id];
      if (!is_mortal(id) &&
          (state.changes < counts.done || state.changes > counts.done + counts.open)) {
        observer.finding("trip " + id + " was changed " + std::to_string(counts.done) +
                         " times, perhaps " + std::to_string(counts.open) + " more, and counts " +
                         std::to_string(state.changes));
      }
      const auto trip = semper::ref<Itinerary>(observer.store(), id);
      const auto wrong = co_await difference(trip, std::move(state));
      if (!wrong) observer.finding("trip " + id + ": " + wrong.error().to_string());
      if (wrong && !wrong->empty()) observer.finding("trip " + id + " " + *wrong);
    }
  }

  Simulation& simulation() { return simulation_; }

 private:
  struct Counts {
    std::uint64_t done = 0;
    std::uint64_t open = 0;
  };

  // Whose entities are killed and reset.
  static bool is_mortal(const std::string& id) { return std::stoull(id) % 2 == 1; }

  Task<void> end(Client& client, std::string id, Ref<Itinerary> trip) {
    if (client.random().chance(0.5)) {
      static_cast<void>(co_await client.operate("Ref::kill", "kill " + id, trip.kill()));
    } else {
      static_cast<void>(co_await client.operate("Ref::reset", "reset " + id, trip.reset()));
    }
  }

  Task<void> change(Client& client, std::string id, Ref<Itinerary> trip, bool by_cast) {
    const Itinerary::Change message{client.random().next()};
    const std::string words = "change " + std::to_string(message.seed) + " of " + id;
    // Until it is known: a client may not come back.
    Counts& counts = counts_[id];
    ++counts.open;
    Fate fate = Fate::open;
    if (by_cast) {
      auto told = co_await client.operate("Ref::cast", words, trip.cast(message));
      fate = fate_of_cast(told);
    } else {
      auto told = co_await client.operate("Ref::call", words, trip.call(message, patient()));
      fate = fate_of_call(told);
    }
    counts.done += fate == Fate::done ? 1 : 0;
    counts.open -= fate == Fate::open ? 0 : 1;
  }

  Simulation& simulation_;
  const Scenario& scenario_;
  std::map<std::string, Counts> counts_;
};

void drawn(ListsWorkload& workload, const char* operation) {
  workload.simulation().surface().drawn(operation);
}

// At an end, or next to one that is drawn.
Async<void> add_stop(std::uint64_t draw, std::uint64_t city, Itinerary::State& s, Context& context,
                     ListsWorkload& workload) {
  const auto& list = Itinerary::kStops;
  auto& stops = s.stops;
  const auto at = static_cast<std::ptrdiff_t>(stops.empty() ? 0 : (draw / 4) % stops.size());
  const auto how = stops.empty() ? draw % 2 : draw % 4;
  ListPlace place;
  if (how == 0) {
    drawn(workload, "List::push_front");
    SEMPER_CO_TRY(place, co_await list.push_front(context, city));
    stops.insert(stops.begin(), {place, city});
  } else if (how == 1) {
    drawn(workload, "List::push_back");
    SEMPER_CO_TRY(place, co_await list.push_back(context, city));
    stops.push_back({place, city});
  } else {
    const bool behind = how == 3;
    const ListPlace other = stops[static_cast<std::size_t>(at)].place;
    drawn(workload, behind ? "List::insert_after" : "List::insert_before");
    auto added =
        behind ? list.insert_after(context, other, city) : list.insert_before(context, other, city);
    SEMPER_CO_TRY(place, co_await std::move(added));
    stops.insert(stops.begin() + at + (behind ? 1 : 0), {place, city});
  }
  co_return Status{};
}

Async<void> move_stop(std::uint64_t draw, Itinerary::State& s, Context& context,
                      ListsWorkload& workload) {
  auto& stops = s.stops;
  const auto from = static_cast<std::ptrdiff_t>(draw % stops.size());
  const ListPlace other = stops[(draw / 16) % stops.size()].place;
  const bool behind = draw / 256 % 2 == 1;
  Itinerary::Stop moved = stops[static_cast<std::size_t>(from)];
  drawn(workload, behind ? "List::move_after" : "List::move_before");
  auto moving = behind ? Itinerary::kStops.move_after(context, moved.place, other)
                       : Itinerary::kStops.move_before(context, moved.place, other);
  SEMPER_CO_TRY(const auto place, co_await std::move(moving));
  if (moved.place == other) co_return Status{};
  moved.place = place;
  stops.erase(stops.begin() + from);
  const auto next_to = std::find_if(stops.begin(), stops.end(),
                                    [&](const auto& stop) { return stop.place == other; });
  stops.insert(next_to + (behind ? 1 : 0), moved);
  co_return Status{};
}

Async<void> change_stop(std::uint64_t draw, Itinerary::State& s, Context& context,
                        ListsWorkload& workload) {
  auto& stop = s.stops[draw % s.stops.size()];
  drawn(workload, "List::get");
  SEMPER_CO_TRY(const auto city, co_await Itinerary::kStops.get(context, stop.place));
  if (city != stop.city) s.wrong = "has another city at a place";
  drawn(workload, "List::set");
  SEMPER_CO_TRY_STATUS(co_await Itinerary::kStops.set(context, stop.place, ++stop.city));
  co_return Status{};
}

void remove_stop(std::uint64_t draw, Itinerary::State& s, Context& context,
                 ListsWorkload& workload) {
  const auto at = static_cast<std::ptrdiff_t>(draw % s.stops.size());
  drawn(workload, "List::erase");
  Itinerary::kStops.erase(context, s.stops[static_cast<std::size_t>(at)].place);
  s.stops.erase(s.stops.begin() + at);
}

Async<void> change_country(std::uint64_t draw, Itinerary::State& s, Context& context,
                           ListsWorkload& workload) {
  const std::uint64_t country = draw / 4 % kCountriesMaximum;
  std::set<std::uint64_t> countries(s.countries.begin(), s.countries.end());
  const bool was_there = countries.contains(country);
  const bool enters = draw % 2 == 0;
  const auto& set = Itinerary::kCountries;
  if (draw / 2 % 2 == 0) {
    drawn(workload, enters ? "Set::insert" : "Set::remove");
    auto changing = enters ? set.insert(context, country) : set.remove(context, country);
    SEMPER_CO_TRY(const bool is_changed, co_await std::move(changing));
    if (is_changed == (was_there == enters)) s.wrong = "is told of another set than it has";
  } else if (enters) {
    drawn(workload, "Set::set");
    set.set(context, country);
  } else {
    drawn(workload, "Set::erase");
    set.erase(context, country);
  }
  if (enters) countries.insert(country);
  if (!enters) countries.erase(country);
  s.countries.assign(countries.begin(), countries.end());
  co_return Status{};
}

Async<std::uint64_t> Itinerary::handle_call(const Change& m, State& s, Context& context) {
  ++s.changes;
  const std::uint64_t kind = m.seed % 8;
  const std::uint64_t draw = m.seed / 8;
  if (kind < 2) {
    SEMPER_CO_TRY_STATUS(co_await change_country(draw, s, context, workload));
  } else if (s.stops.size() >= kStopsMaximum || (kind == 2 && !s.stops.empty())) {
    remove_stop(draw, s, context, workload);
  } else if (kind < 5 || s.stops.empty()) {
    SEMPER_CO_TRY_STATUS(co_await add_stop(draw, m.seed % 1'000, s, context, workload));
  } else if (kind < 7) {
    SEMPER_CO_TRY_STATUS(co_await move_stop(draw, s, context, workload));
  } else {
    SEMPER_CO_TRY_STATUS(co_await change_stop(draw, s, context, workload));
  }
  co_return s.changes;
}

Async<void> Itinerary::handle_cast(const Change& m, State& s, Context& context) {
  SEMPER_CO_TRY_STATUS(co_await handle_call(m, s, context));
  co_return Status{};
}

Async<std::string> Itinerary::handle_call(const Audit&, State& s, Context& context) {
  for (const char* operation :
       {"List::page", "List::page_after", "List::count", "Set::page", "Set::page_from",
        "Set::page_after", "Set::contains", "Set::count"}) {
    drawn(workload, operation);
  }
  SEMPER_CO_TRY(const auto stops, co_await kStops.count(context, 100));
  SEMPER_CO_TRY(const auto countries, co_await kCountries.count(context, 100));
  if (stops != s.stops.size() || countries != s.countries.size()) co_return "counts otherwise";
  for (const std::uint64_t country : s.countries) {
    SEMPER_CO_TRY(const bool is_there, co_await kCountries.contains(context, country));
    SEMPER_CO_TRY(const auto from, co_await kCountries.page_from(context, country, 1));
    SEMPER_CO_TRY(const auto behind, co_await kCountries.page_after(context, country, 100));
    if (!is_there || from.keys != std::vector<std::uint64_t>(1, country)) {
      co_return "misses a country";
    }
    const auto next = std::upper_bound(s.countries.begin(), s.countries.end(), country);
    if (behind.keys != std::vector<std::uint64_t>(next, s.countries.end())) {
      co_return "has other countries behind one";
    }
  }
  co_return co_await difference(context, s);
}

}  // namespace

std::unique_ptr<Workload> make_lists(Simulation& simulation, const Scenario& scenario) {
  return make_workload<ListsWorkload>(simulation, scenario);
}

}  // namespace semper::simulation
