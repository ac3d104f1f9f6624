#include "report.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <utility>

namespace semper::bench {
namespace {

std::string number(double value) {
  char text[64];
  const char* format = value >= 1000 ? "%.0f" : value >= 10 ? "%.1f" : "%.3f";
  std::snprintf(text, sizeof text, format, value);
  return text;
}

std::string json_number(double value) {
  char text[64];
  std::snprintf(text, sizeof text, "%.6g", value);
  return text;
}

// Of the ratio, as a number that a picture can show.
std::string limit_of(const Bar& bar) {
  const bool of_ratio =
      bar.kind == Bar::Kind::at_least_ratio || bar.kind == Bar::Kind::at_most_ratio;
  return of_ratio ? json_number(bar.limit) : "null";
}

bool meets(const Bar& bar, double value, double reference, double ratio) {
  switch (bar.kind) {
    case Bar::Kind::none:
      return true;
    case Bar::Kind::at_least_ratio:
      return ratio >= bar.limit;
    case Bar::Kind::at_most_ratio:
      return ratio <= bar.limit;
    case Bar::Kind::at_most_value:
      return value <= bar.limit;
    case Bar::Kind::at_most_difference:
      return value - reference <= bar.limit;
  }
  return false;
}

std::string json_numbers(const std::vector<double>& values) {
  std::string text;
  for (const double value : values) text += (text.empty() ? "" : ", ") + json_number(value);
  return "[" + text + "]";
}

std::string json_point(const Point& point) {
  if (point.picture.empty()) return "null";
  return "{\"picture\": \"" + point.picture + "\", \"x_name\": \"" + point.x_name +
         "\", \"series\": \"" + point.series + "\", \"x\": " + json_number(point.x) +
         ", \"label\": \"" + point.label + "\"}";
}

std::string bar_text(const Row& row) {
  switch (row.bar.kind) {
    case Bar::Kind::none:
      return "";
    case Bar::Kind::at_least_ratio:
      return ">= " + number(row.bar.limit) + " x";
    case Bar::Kind::at_most_ratio:
      return "<= " + number(row.bar.limit) + " x";
    case Bar::Kind::at_most_value:
      return "<= " + number(row.bar.limit) + " " + row.unit;
    case Bar::Kind::at_most_difference:
      return "<= reference + " + number(row.bar.limit) + " " + row.unit;
  }
  return "";
}

}  // namespace

double median(std::vector<double> values) {
  return percentile(std::move(values), 0.5);
}

double percentile(std::vector<double> samples, double share) {
  if (samples.empty()) return 0;
  const auto last = static_cast<double>(samples.size() - 1);
  const auto place = samples.begin() + static_cast<std::ptrdiff_t>(last * share + 0.5);
  std::nth_element(samples.begin(), place, samples.end());
  return *place;
}

Report::Report(std::string program, std::string json)
    : program_(std::move(program)), path_(std::move(json)) {
  if (path_.empty()) path_ = program_folder() + "/results-" + program_ + ".json";
  std::printf("%-64s %12s %-7s %12s %9s  %-22s %s\n", "figure", "value", "unit", "reference",
              "ratio", "bar", "spread of the runs");
}

void Report::add(Row row) {
  progress("");
  const double value = median(row.values);
  const bool compared = !row.references.empty();
  const double reference = compared ? median(row.references) : 0;
  std::vector<double> ratios;
  for (std::size_t i = 0; i < row.values.size() && i < row.references.size(); ++i) {
    ratios.push_back(row.values[i] / row.references[i]);
  }
  const double ratio = median(ratios);
  const auto& spread_of = compared ? ratios : row.values;
  const double low = spread_of.empty() ? 0 : *std::min_element(spread_of.begin(), spread_of.end());
  const double high = spread_of.empty() ? 0 : *std::max_element(spread_of.begin(), spread_of.end());
  const bool ok = meets(row.bar, value, reference, ratio);
  const std::string verdict =
      row.bar.kind == Bar::Kind::none ? "" : bar_text(row) + (ok ? "  ok" : "  MISSED");
  std::printf("%-64s %12s %-7s %12s %9s  %-22s %s-%s over %zu\n", row.name.c_str(),
              number(value).c_str(), row.unit.c_str(), compared ? number(reference).c_str() : "-",
              compared ? number(ratio).c_str() : "-", verdict.c_str(), number(low).c_str(),
              number(high).c_str(), row.values.size());
  if (compared) std::printf("    reference: %s\n", row.reference_name.c_str());
  std::fflush(stdout);
  json_.push_back("{\"name\": \"" + row.name + "\", \"value\": " + json_number(value) +
                  ", \"unit\": \"" + row.unit + "\", \"reference_name\": " +
                  (compared ? "\"" + row.reference_name + "\"" : "null") +
                  ", \"reference\": " + (compared ? json_number(reference) : "null") +
                  ", \"ratio\": " + (compared ? json_number(ratio) : "null") +
                  ", \"runs\": " + std::to_string(row.values.size()) + ", \"spread\": [" +
                  json_number(low) + ", " + json_number(high) + "], \"bar\": " +
                  (row.bar.kind == Bar::Kind::none ? "null" : "\"" + bar_text(row) + "\"") +
                  ", \"limit\": " + limit_of(row.bar) + ", \"ok\": " + (ok ? "true" : "false") +
                  ", \"values\": " + json_numbers(row.values) + ", \"references\": " +
                  json_numbers(row.references) + ", \"point\": " + json_point(row.point) + "}");
}

int Report::finish() {
  std::ofstream out(path_, std::ios::trunc);
  out << "[\n";
  for (std::size_t i = 0; i < json_.size(); ++i) {
    out << "  " << json_[i] << (i + 1 < json_.size() ? ",\n" : "\n");
  }
  out << "]\n";
  out.close();
  if (!out) {
    std::fprintf(stderr, "bench: the results could not be written to %s\n", path_.c_str());
    return 1;
  }
  std::printf("results: %s\n", path_.c_str());
  return 0;
}

std::string program_folder() {
  std::error_code error;
  const auto program = std::filesystem::read_symlink("/proc/self/exe", error);
  return error ? "." : program.parent_path().string();
}

WorkFolder::WorkFolder(const std::string& name) {
  const char* chosen = std::getenv("SEMPER_BENCH_DIR");
  const std::string base = chosen != nullptr ? chosen : program_folder();
  path_ = base + "/" + name + "-" + std::to_string(getpid());
  std::filesystem::create_directories(path_);
}

WorkFolder::~WorkFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

void progress(const std::string& text) {
  if (isatty(STDERR_FILENO) == 0) return;
  std::fprintf(stderr, "\r\033[K%s", text.c_str());
  std::fflush(stderr);
}

}  // namespace semper::bench
