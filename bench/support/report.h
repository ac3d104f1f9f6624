// What every benchmark prints and writes: one row per figure, with the reference that was measured
// in the same run, their ratio, and the bar.
//
//   Report report("durable_server");
//   report.add({.name = "inline call p50", .values = ours, .unit = "us", .reference_name = "bare
//   SQLite",
//               .references = theirs, .bar = {Bar::Kind::at_most_ratio, 1.25}});
//   return report.finish();      // writes results-durable_server.json beside the program
//
// ratio = value / reference, the median over the runs' own ratios where there are runs; spread is
// their minimum and maximum. The exit code is 0 also where a bar is missed: a benchmark is not a
// test.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace semper::bench {

struct Bar {
  enum class Kind { none, at_least_ratio, at_most_ratio, at_most_value, at_most_difference };
  Kind kind = Kind::none;
  double limit = 0;
};

// Where a row stands in a picture of the page that `make bench` writes (bench/page/).
struct Point {
  std::string picture = {};  // its title; empty: none
  std::string x_name = {};   // of the axis
  std::string series = {};   // the line, or the bar of each label
  double x = 0;
  std::string label = {};  // of x, where it is a word and no number
};

struct Row {
  std::string name;
  std::vector<double> values;  // one per run
  std::string unit;
  std::string reference_name = {};
  std::vector<double> references = {};  // one per run, beside its value; empty: none
  Bar bar = {};
  Point point = {};
};

class Report {
 public:
  // `json`: where to write; empty: results-PROGRAM.json beside the program.
  explicit Report(std::string program, std::string json = {});
  void add(Row row);
  // Prints what was added since the last call of it; writes the JSON file. Returns the exit code.
  int finish();

 private:
  std::string program_;
  std::string path_;
  std::vector<std::string> json_;
};

double median(std::vector<double> values);
// The value below which this share of the samples lies; 0 without samples.
double percentile(std::vector<double> samples, double share);

// Where benchmarks keep their stores: SEMPER_BENCH_DIR, or a folder beside the program. Made anew,
// removed at the end.
class WorkFolder {
 public:
  explicit WorkFolder(const std::string& name);
  ~WorkFolder();
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// The folder that this program lies in.
std::string program_folder();

// A line that overwrites itself on a terminal; elsewhere nothing.
void progress(const std::string& text);

}  // namespace semper::bench
