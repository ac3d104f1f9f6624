#include "parts.h"

#include <cstdio>
#include <cstdlib>
#include <map>
#include <sstream>
#include <utility>

namespace semper::bench::peers {
namespace {

using Kind = Bar::Kind;
using Values = std::map<std::string, std::vector<double>>;  // of each system, by its id

constexpr const char* kUnit = "msg/s";

// 10000 -> "10,000".
std::string grouped(std::size_t number) {
  std::string text = std::to_string(number);
  for (auto place = static_cast<std::ptrdiff_t>(text.size()) - 3; place > 0; place -= 3) {
    text.insert(static_cast<std::size_t>(place), ",");
  }
  return text;
}

std::string entities_text(std::size_t count) {
  return grouped(count) + (count == 1 ? " entity" : " entities");
}

Shape shape_of(const Settings& settings, std::size_t entities) {
  Shape shape;
  shape.entities = entities;
  shape.seconds = settings.run_seconds();
  return shape;
}

// Every system once, `rounds` times; `take` is given what was measured.
template <class Take>
void race_all(Field& field, const Shape& shape, int rounds, bool states_matter, Take take) {
  for (int i = 0; i < rounds; ++i) {
    for (const auto& entrant : field.entrants()) {
      const auto& kind = *entrant.kind;
      if (shape.in_flight > kind.in_flight_maximum) continue;
      if (states_matter && !kind.keeps_states) continue;
      progress(kind.name + ", " + entities_text(shape.entities) + ", " +
               std::to_string(shape.in_flight) + " in flight, " + std::to_string(shape.pairs) +
               " pairs, run " + std::to_string(i + 1));
      if (const auto figures = field.race(entrant, shape)) take(kind, *figures);
    }
  }
}

// --- Semper beside each peer
// ---------------------------------------------------------------------------------------------

Bar bar_of(const std::string& peer, std::size_t entities) {
  if (peer == "redis") return {Kind::at_least_ratio, entities == 1 ? 1.5 : 1.2};
  if (peer == "postgres") return {Kind::at_least_ratio, 5};
  return {};
}

void run_beside(const Settings& settings, Field& field, Report& report) {
  for (const std::size_t entities : {std::size_t{10'000}, std::size_t{1}}) {
    field.prepare(entities);
    Values speeds;
    const Shape shape = shape_of(settings, entities);
    race_all(field, shape, settings.rounds(), false,
             [&](const peers::Kind& kind, const Figures& figures) {
               speeds[kind.id].push_back(figures.per_second);
             });
    const auto& ours = speeds["semper"];
    if (ours.empty()) continue;
    report.add({"process to process, " + entities_text(entities), ours, kUnit, "", {}, {}, {}});
    for (const auto& entrant : field.entrants()) {
      const auto& kind = *entrant.kind;
      if (kind.id == "semper" || speeds[kind.id].empty()) continue;
      report.add({"process to process, " + entities_text(entities) + ", against " + kind.title(),
                  ours,
                  kUnit,
                  kind.name + ": " + kind.promise,
                  speeds[kind.id],
                  bar_of(kind.id, entities),
                  {}});
    }
  }
}

// --- curves
// ---------------------------------------------------------------------------------------------

void add_point(Report& report, const std::string& what, const peers::Kind& kind,
               const std::vector<double>& values, Point point) {
  if (values.empty()) return;
  point.series = kind.title();
  report.add({kind.title() + ", " + what, values, kUnit, "", {}, {}, std::move(point)});
}

// One point of a curve: every system at this shape.
void run_point(const Settings& settings, Field& field, Report& report, const Shape& shape,
               bool states_matter, const std::string& what, const Point& point) {
  Values speeds;
  race_all(field, shape, settings.curve_rounds(), states_matter,
           [&](const peers::Kind& kind, const Figures& figures) {
             speeds[kind.id].push_back(figures.per_second);
           });
  for (const auto& entrant : field.entrants()) {
    add_point(report, what, *entrant.kind, speeds[entrant.kind->id], point);
  }
}

std::vector<int> steps(bool smoke, std::vector<int> all) {
  if (smoke) all = {all.front(), all[1]};
  return all;
}

void run_entities(const Settings& settings, Field& field, Report& report) {
  for (const int entities :
       steps(settings.smoke, {1, 10, 100, 1'000, 10'000, 100'000, 1'000'000})) {
    const auto count = static_cast<std::size_t>(entities);
    field.prepare(count);
    run_point(settings, field, report, shape_of(settings, count), true, entities_text(count),
              {"Throughput and number of entities", "entities", "", double(entities)});
  }
}

void run_pairs(const Settings& settings, Field& field, Report& report) {
  field.prepare(10'000);
  for (const int pairs : steps(settings.smoke, {1, 2, 4, 8})) {
    Shape shape = shape_of(settings, 10'000);
    shape.pairs = pairs;
    run_point(settings, field, report, shape, false,
              std::to_string(pairs) + (pairs == 1 ? " publisher" : " publishers") +
                  " and as many consumers",
              {"Throughput and number of processes", "publisher and consumer processes, each", "",
               double(pairs)});
  }
}

void run_in_flight(const Settings& settings, Field& field, Report& report) {
  field.prepare(10'000);
  for (const int in_flight : steps(settings.smoke, {1, 4, 16, 64, 256, 1'024, 4'096})) {
    Shape shape = shape_of(settings, 10'000);
    shape.in_flight = in_flight;
    run_point(settings, field, report, shape, false,
              grouped(static_cast<std::size_t>(in_flight)) + " in flight",
              {"Throughput and messages in flight", "messages in flight", "", double(in_flight)});
  }
}

// --- latency
// ---------------------------------------------------------------------------------------------

struct Percentiles {
  std::vector<double> commit_p50, commit_p99, processed_p50, processed_p99, share;
};

void add_percentiles(Report& report, const peers::Kind& kind, const Percentiles& all) {
  const auto add = [&](const std::string& what, const std::vector<double>& values, double x) {
    const Point point{"Latency at half load", "", kind.title(), x, what};
    report.add({kind.title() + " at half of its own throughput, " + what,
                values,
                "us",
                "",
                {},
                {},
                point});
  };
  add("commit, p50", all.commit_p50, 1);
  add("commit, p99", all.commit_p99, 2);
  add("processed, p50", all.processed_p50, 3);
  add("processed, p99", all.processed_p99, 4);
  report.add({kind.title() + ", messages/s offered then", all.share, kUnit, "", {}, {}, {}});
  if (kind.id != "semper") return;
  report.add({"Semper at half load, commit p99",
              all.commit_p99,
              "us",
              "its p50",
              all.commit_p50,
              {Kind::at_most_ratio, 5},
              {}});
}

// Half of what each system did in the run just before, so that all are equally busy.
void run_latency(const Settings& settings, Field& field, Report& report) {
  field.prepare(10'000);
  std::map<std::string, Percentiles> percentiles;
  for (int i = 0; i < settings.rounds(); ++i) {
    for (const auto& entrant : field.entrants()) {
      progress(entrant.kind->name + ", latency, run " + std::to_string(i + 1));
      Shape shape = shape_of(settings, 10'000);
      const auto full = field.race(entrant, shape);
      if (!full) continue;
      shape.rate = full->per_second / 2;
      const auto half = field.race(entrant, shape);
      if (!half) continue;
      auto& all = percentiles[entrant.kind->id];
      all.commit_p50.push_back(percentile(half->commit_us, 0.5));
      all.commit_p99.push_back(percentile(half->commit_us, 0.99));
      all.processed_p50.push_back(percentile(half->processed_us, 0.5));
      all.processed_p99.push_back(percentile(half->processed_us, 0.99));
      all.share.push_back(shape.rate);
    }
  }
  for (const auto& entrant : field.entrants()) {
    const auto found = percentiles.find(entrant.kind->id);
    if (found != percentiles.end()) add_percentiles(report, *entrant.kind, found->second);
  }
}

// --- bytes
// ---------------------------------------------------------------------------------------------

void run_bytes(const Settings& settings, Field& field, Report& report) {
  double x = 0;
  for (const std::size_t entities : {std::size_t{1}, std::size_t{10'000}}) {
    const std::size_t count = settings.smoke && entities > 1 ? 100 : entities;
    field.prepare(count);
    Values bytes;
    race_all(field, shape_of(settings, count), settings.curve_rounds(), false,
             [&](const peers::Kind& kind, const Figures& figures) {
               if (figures.bytes) bytes[kind.id].push_back(*figures.bytes);
             });
    x += 1;
    for (const auto& entrant : field.entrants()) {
      const auto& kind = *entrant.kind;
      if (bytes[kind.id].empty()) continue;
      report.add({kind.title() + ", bytes written to disk per message of 100 B, " +
                      entities_text(entities),
                  bytes[kind.id],
                  "B",
                  "",
                  {},
                  {},
                  {"Bytes written to disk per message of 100 B", "", kind.title(), x,
                   entities_text(entities)}});
    }
  }
}

}  // namespace

const std::vector<Part>& parts() {
  static const std::vector<Part> all = {
      {"peers", run_beside},          {"peers-entities", run_entities},
      {"peers-pairs", run_pairs},     {"peers-in-flight", run_in_flight},
      {"peers-latency", run_latency}, {"peers-bytes", run_bytes}};
  return all;
}

Arguments parse(int argc, char** argv, Settings& settings) {
  return parse_arguments(argc, argv, names_of(parts()), settings,
                         {{"--systems", &settings.systems},
                          {"--system", &settings.system},
                          {"--address", &settings.address},
                          {"--board", &settings.board},
                          {"--number", &settings.number},
                          {"--entities", &settings.entities},
                          {"--flight", &settings.flight},
                          {"--seconds", &settings.seconds},
                          {"--rate", &settings.rate}});
}

std::vector<std::string> chosen(const Settings& settings) {
  std::vector<std::string> ids;
  std::istringstream text(settings.systems);
  for (std::string id; std::getline(text, id, ',');) ids.push_back(kind_of(id).id);
  return ids;
}

int run_role(const Settings& settings) {
  const BoardMemory board(settings.board);
  Job job;
  job.address = settings.address;
  job.number = std::atoi(settings.number.c_str());
  job.shape.entities = static_cast<std::size_t>(std::atoll(settings.entities.c_str()));
  job.shape.in_flight = std::atoi(settings.flight.c_str());
  job.shape.seconds = std::atof(settings.seconds.c_str());
  job.shape.rate = std::atof(settings.rate.c_str());
  job.board = &*board;
  const bool publishes = settings.role == "publisher";
  job.slot = publishes ? &board->publisher(job.number) : &board->consumer(job.number);
  const auto& kind = kind_of(settings.system);
  (publishes ? kind.publish : kind.consume)(job);
  return 0;
}

}  // namespace semper::bench::peers
