#include "plan.h"

#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>

namespace semper::simulation {
namespace {

struct Key {
  const char* name;
  Unit unit;
  double usual;
  const char* what;
};

constexpr Key kKeys[] = {
    {"together", Unit::number, 1, "workloads that run at once"},
    {"hosts", Unit::number, 2, "processes with a host"},
    {"callers", Unit::number, 1, "processes without one"},
    {"clients", Unit::number, 4, "clients of each workload"},
    {"operations", Unit::number, 20, "operations of each client"},
    {"entities", Unit::number, 3, "entities of each workload"},
    {"duration", Unit::time, 30, "the safety phase, at most"},
    {"think", Unit::time, 0.05, "between two operations of a client, at most"},
    {"lease.host", Unit::time, 3, "HostOptions::host_lease"},
    {"lease.lock", Unit::time, 5, "HostOptions::lock_lease"},
    {"cancel", Unit::rate, 0, "operations that are cancelled at some await"},
    {"store.conflict", Unit::rate, 0, "commits refused without a cause"},
    {"store.unknown_applied", Unit::rate, 0, "commits applied, the answer lost"},
    {"store.unknown_lost", Unit::rate, 0, "commits lost, without an answer"},
    {"store.unknown_late", Unit::rate, 0, "commits that arrive after their sender gave up"},
    {"store.late_by", Unit::time, 0.05, "by so much at most"},
    {"store.snapshot_refused", Unit::rate, 0, "snapshots refused with retry"},
    {"store.delay", Unit::rate, 0, "reads and commits that take longer"},
    {"store.delay_by", Unit::time, 0.005, "by so much at most"},
    {"store.slow", Unit::rate, 0, "commits that are stuck for a while"},
    {"store.slow_by", Unit::time, 2, "for so long at most"},
    {"store.watch_late", Unit::rate, 0, "watches that fire late"},
    {"store.watch_spurious", Unit::rate, 0, "watches that fire without a change"},
    {"store.watch_late_by", Unit::time, 0.05, "by so much at most"},
    {"link.refused", Unit::rate, 0, "links and messages to other processes refused with retry"},
    {"link.cut", Unit::rate, 0, "messages at which a link ends"},
    {"link.late", Unit::rate, 0, "messages over links that come late"},
    {"link.late_by", Unit::time, 0.05, "by so much at most"},
    {"link.silent", Unit::rate, 0, "messages from which on a link delivers nothing, unnoticed"},
    {"crash.every", Unit::time, 0, "a process is killed"},
    {"crash.down", Unit::time, 1, "and is begun anew after so long at most"},
    {"pause.every", Unit::time, 0, "a process is stopped (SIGSTOP)"},
    {"pause.length", Unit::time, 5, "for so long at most"},
    {"restart.every", Unit::time, 0, "a process is stopped in order and begun anew"},
    {"loop_destroyed.every", Unit::time, 0, "a loop of callers is destroyed"},
    {"loop_stalled.every", Unit::time, 0, "a loop of callers does not run"},
    {"loop_stalled.length", Unit::time, 4, "for so long at most"},
    {"cut_off.every", Unit::time, 0, "a process is cut off from the store"},
    {"cut_off.length", Unit::time, 4, "for so long at most"},
    {"calendar.every", Unit::time, 0, "a calendar jumps"},
    {"calendar.by", Unit::time, 86'400, "by so much at most, back or forth"},
    {"lie.lost", Unit::rate, 0, "commits acknowledged and not applied: a run must notice"},
    {"lie.twice", Unit::rate, 0, "commits applied twice: a run must notice"},
};

const Key* find_key(std::string_view name) {
  for (const auto& key : kKeys) {
    if (name == key.name) return &key;
  }
  return nullptr;
}

constexpr std::array<std::pair<Disturbance::Kind, std::string_view>, 7> kKinds = {{
    {Disturbance::Kind::crash, "crash"},
    {Disturbance::Kind::pause, "pause"},
    {Disturbance::Kind::restart, "restart"},
    {Disturbance::Kind::loop_destroyed, "loop_destroyed"},
    {Disturbance::Kind::loop_stalled, "loop_stalled"},
    {Disturbance::Kind::cut_off, "cut_off"},
    {Disturbance::Kind::calendar, "calendar"},
}};

constexpr std::pair<std::string_view, double> kTimeUnits[] = {
    {"min", 60.0}, {"ms", 1e-3}, {"us", 1e-6}, {"ns", 1e-9}, {"s", 1.0}};

Result<double> parse_value(std::string_view text, Unit unit) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const std::string_view rest(end, static_cast<std::size_t>(text.data() + text.size() - end));
  const auto wrong = [&](const char* what) {
    return fail(ErrorKind::invalid_argument, "\"" + std::string(text) + "\" is not " + what);
  };
  if (error != std::errc() || !std::isfinite(value)) return wrong("a number");
  if (unit == Unit::time) {
    for (const auto& [name, scale] : kTimeUnits) {
      if (rest == name) return value * scale;
    }
    return wrong("a time: write 5ms, 1.5s or 2min");
  }
  if (!rest.empty()) return wrong("a number");
  if (unit == Unit::rate && (value < 0 || value > 1)) return wrong("a rate from 0 to 1");
  if (unit == Unit::number && (value < 0 || value != std::floor(value))) {
    return wrong("a whole number");
  }
  return value;
}

std::vector<std::string> words_of(std::string_view line) {
  std::istringstream stream{std::string(line.substr(0, line.find('#')))};
  std::vector<std::string> words;
  std::string word;
  while (stream >> word) words.push_back(word);
  return words;
}

Result<Span> parse_span(const std::vector<std::string>& words, const Key& key) {
  if (words.size() != 2 && (words.size() != 4 || words[2] != "off")) {
    return fail(ErrorKind::invalid_argument,
                "write: " + std::string(key.name) + " VALUE or LOW..HIGH [off P]");
  }
  Span span;
  const auto dots = words[1].find("..");
  SEMPER_TRY(span.low, parse_value(words[1].substr(0, dots), key.unit));
  span.high = span.low;
  if (dots != std::string::npos) {
    SEMPER_TRY(span.high, parse_value(words[1].substr(dots + 2), key.unit));
  }
  if (span.low < 0 || span.high < span.low) {
    return fail(ErrorKind::invalid_argument, "\"" + words[1] + "\" is not a range from 0 up");
  }
  if (words.size() == 4) {
    SEMPER_TRY(span.off, parse_value(words[3], Unit::rate));
  }
  return span;
}

Result<Disturbance> parse_disturbance(const std::vector<std::string>& words) {
  if (words.size() < 3) {
    return fail(ErrorKind::invalid_argument,
                "write: at TIME KIND [process=N] [steps=N] [length=T]");
  }
  Disturbance made;
  SEMPER_TRY(const double at, parse_value(words[1], Unit::time));
  made.at = seconds(at);
  bool known = false;
  for (const auto& [kind, name] : kKinds) {
    if (words[2] == name) made.kind = kind, known = true;
  }
  if (!known) {
    std::string names;
    for (const auto& [kind, name] : kKinds) names += " " + std::string(name);
    return fail(ErrorKind::invalid_argument, "\"" + words[2] + "\" is none of:" + names);
  }
  for (std::size_t i = 3; i < words.size(); ++i) {
    const auto equals = words[i].find('=');
    const std::string name = words[i].substr(0, equals);
    const std::string value = equals == std::string::npos ? "" : words[i].substr(equals + 1);
    if (name == "length") {
      SEMPER_TRY(const double length, parse_value(value, Unit::time));
      made.length = seconds(length);
    } else if (name == "process" || name == "steps") {
      SEMPER_TRY(const double number, parse_value(value, Unit::number));
      if (name == "process") made.process = static_cast<std::size_t>(number);
      if (name == "steps") made.steps = static_cast<std::uint64_t>(number);
    } else {
      return fail(ErrorKind::invalid_argument,
                  "\"" + words[i] + "\" is none of process=N, steps=N, length=T");
    }
  }
  return made;
}

Status parse_line(const std::vector<std::string>& words, Plan& plan,
                  std::vector<std::string>& seen) {
  if (words[0] == "at") {
    SEMPER_TRY(auto made, parse_disturbance(words));
    plan.fixed.push_back(made);
    return {};
  }
  for (const auto& name : seen) {
    if (name == words[0])
      return fail(ErrorKind::invalid_argument, "\"" + name + "\" is there twice");
  }
  seen.push_back(words[0]);
  if (words[0] == "workloads") {
    if (words.size() < 2) return fail(ErrorKind::invalid_argument, "write: workloads NAME ...");
    plan.workloads.assign(words.begin() + 1, words.end());
    return {};
  }
  const Key* key = find_key(words[0]);
  if (key == nullptr) {
    return fail(ErrorKind::invalid_argument,
                "\"" + words[0] + "\" is no key of a plan (semper-sim --help lists them)");
  }
  SEMPER_TRY(plan.spans[key->name], parse_span(words, *key));
  return {};
}

}  // namespace

std::string_view to_string(Disturbance::Kind kind) {
  for (const auto& [known, name] : kKinds) {
    if (known == kind) return name;
  }
  return "?";
}

std::string to_text(const Disturbance& disturbance) {
  return "at " + std::to_string(disturbance.at.count()) + "ns " +
         std::string(to_string(disturbance.kind)) +
         " process=" + std::to_string(disturbance.process) +
         " steps=" + std::to_string(disturbance.steps) +
         " length=" + std::to_string(disturbance.length.count()) + "ns";
}

Plan::Plan() {
  for (const auto& key : kKeys) spans[key.name] = {key.usual, key.usual, 0};
}

Result<Plan> parse_plan(std::string_view text, const std::string& name) {
  Plan plan;
  plan.name = std::filesystem::path(name).stem().string();
  std::vector<std::string> seen;
  std::istringstream lines{std::string(text)};
  std::string line;
  for (int number = 1; std::getline(lines, line); ++number) {
    const auto words = words_of(line);
    if (words.empty()) continue;
    if (auto parsed = parse_line(words, plan, seen); !parsed) {
      return fail(parsed.error().in(name + ":" + std::to_string(number)));
    }
  }
  return plan;
}

Result<Plan> read_plan(const std::string& path) {
  std::ifstream file(path);
  if (!file) return fail(ErrorKind::not_found, "the plan " + path + " cannot be read");
  std::ostringstream text;
  text << file.rdbuf();
  return parse_plan(text.str(), path);
}

std::string describe_keys() {
  std::ostringstream out;
  for (const auto& key : kKeys) {
    std::string name = key.name;
    name.resize(24, ' ');
    std::string usual = format_value(key.usual, key.unit);
    usual.resize(8, ' ');
    out << "  " << name << usual << key.what << "\n";
  }
  return out.str();
}

std::string format_value(double value, Unit unit) {
  char text[40];
  std::snprintf(text, sizeof text, "%.17g", value);
  char brief[40];
  std::snprintf(brief, sizeof brief, "%g", value);
  return std::string(std::strtod(brief, nullptr) == value ? brief : text) +
         (unit == Unit::time ? "s" : "");
}

Unit unit_of(const std::string& key) {
  const Key* found = find_key(key);
  return found == nullptr ? Unit::number : found->unit;
}

}  // namespace semper::simulation
