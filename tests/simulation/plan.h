// Plan: what may go wrong in a simulation, how often, and how much is done meanwhile; from a data
// file.
//
//   # plans/storm.txt
//   workloads       counter bank            # which may be drawn; `all`
//   together        1..2                    # how many of them run at once
//   hosts           2..3
//   store.conflict  0..0.2 off 0.5          # half of the seeds: none; else drawn evenly
//   crash.every     2s..10s off 0.3
//   at 1.25s crash process=1 steps=37       # for certain; then nothing of its kind is drawn
//
// Each number is a value or a range LOW..HIGH that a seed draws from; `off P` says in which part of
// the seeds it is 0 instead (swarm testing: Groce et al., 2012). Times end in ns, us, ms, s or min.
// What a plan does not name keeps its default, which is no fault at all. The parser is strict:
// errors name the file and the line.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "semper/base/result.h"
#include "semper/base/time.h"

namespace semper::simulation {

// What is drawn: from low to high, or 0 with the probability `off`.
struct Span {
  double low = 0;
  double high = 0;
  double off = 0;
};

struct Disturbance {
  enum class Kind : std::uint8_t {
    crash,           // the process ends as by SIGKILL; another one takes its place after `length`
    pause,           // nothing of the process runs for `length`
    restart,         // its host is stopped in order, and the process begins anew
    loop_destroyed,  // a loop of its callers is destroyed
    loop_stalled,    // a loop of its callers does not run for `length`
    cut_off,         // the store refuses it, or does not answer, for `length`
    calendar,        // its calendar jumps by `length`, which may be negative
  };
  Kind kind = Kind::crash;
  Duration at{};
  std::size_t process = 0;
  // After so many more handlers have run there: in the midst of what it does.
  std::uint64_t steps = 0;
  Duration length{};
};

std::string_view to_string(Disturbance::Kind kind);
std::string to_text(const Disturbance& disturbance);  // a line of a plan

struct Plan {
  std::string name = "calm";
  std::vector<std::string> workloads = {"all"};
  std::map<std::string, Span> spans;  // every key that there is, by name
  std::vector<Disturbance> fixed;

  Plan();
  const Span& span(const std::string& key) const { return spans.at(key); }
};

// Errors: invalid_argument, "NAME:LINE: what is wrong".
Result<Plan> parse_plan(std::string_view text, const std::string& name);
// Error: not_found, io too.
Result<Plan> read_plan(const std::string& path);

// A line for each key, for --help.
std::string describe_keys();

// "1.5s" as seconds; "0.25" as it is.
enum class Unit : std::uint8_t { number, time, rate };
std::string format_value(double value, Unit unit);
Unit unit_of(const std::string& key);

inline Duration seconds(double value) {
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(value));
}

}  // namespace semper::simulation
