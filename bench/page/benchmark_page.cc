// Writes what benchmarks have measured as one HTML page, with its pictures in it.
//
//   benchmark_page PAGE.html results-NAME.json...
//   benchmark_page --pictures FOLDER results-NAME.json...     each picture as a file of its own
//
// The results are those that bench/support/report.h writes. The page needs no network and no other
// file.
#include <algorithm>
#include <cctype>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "picture.h"

namespace {

using nlohmann::json;
using namespace semper::bench::page;

struct Program {
  std::string name;
  json rows;
};

Program read(const std::string& path) {
  std::ifstream file(path);
  std::string name = std::filesystem::path(path).stem().string();
  constexpr const char* kPrefix = "results-";
  if (name.starts_with(kPrefix)) name = name.substr(std::string(kPrefix).size());
  return {name, json::parse(file)};
}

Dot dot_of(const json& row) {
  const auto& point = row.at("point");
  Dot dot;
  dot.x = point.at("x");
  dot.label = point.at("label");
  dot.value = row.at("value");
  const auto& values = row.at("values");
  dot.low = values.empty() ? dot.value : values.front().get<double>();
  dot.high = dot.low;
  for (const double value : values) {
    dot.low = std::min(dot.low, value);
    dot.high = std::max(dot.high, value);
  }
  return dot;
}

std::vector<Picture> pictures_of(const std::vector<Program>& programs) {
  std::vector<Picture> all;
  for (const auto& program : programs) {
    for (const auto& row : program.rows) {
      if (!row.contains("point") || row.at("point").is_null()) continue;
      const auto& point = row.at("point");
      const std::string title = point.at("picture");
      auto found = std::find_if(all.begin(), all.end(),
                                [&](const Picture& one) { return one.title == title; });
      if (found == all.end()) {
        all.push_back({title, point.at("x_name"), row.at("unit"), {}, {}});
        found = all.end() - 1;
      }
      found->add(point.at("series")) = dot_of(row);
    }
  }
  return all;
}

std::string cell(const std::string& text, const char* kind = "") {
  return std::string("<td") + (*kind != '\0' ? " class=\"" + std::string(kind) + "\"" : "") + ">" +
         text + "</td>";
}

std::string number_of(const json& value) {
  return value.is_number() ? readable(value.get<double>()) : "";
}

std::string row_of(const json& row) {
  const bool compared = row.at("ratio").is_number();
  const auto& spread = row.at("spread");
  std::string picture;
  if (compared) {
    const json limit = row.value("limit", json());
    picture =
        svg_of(Ratio{row.at("ratio").get<double>(), spread.at(0).get<double>(),
                     spread.at(1).get<double>(), limit.is_number() ? limit.get<double>() : 0});
  }
  const bool has_bar = row.at("bar").is_string();
  const bool ok = row.at("ok");
  std::string text = "<tr>" + cell(escaped(row.at("name")));
  text += cell(number_of(row.at("value")) + " " + escaped(row.at("unit")), "number");
  text += cell(compared ? escaped(row.at("reference_name")) + "<br>" +
                              number_of(row.at("reference")) + " " + escaped(row.at("unit"))
                        : "");
  text += cell(number_of(row.at("ratio")), "number");
  text +=
      cell(number_of(spread.at(0)) + " to " + number_of(spread.at(1)) + ", " +
               std::to_string(row.at("runs").get<int>()) + (row.at("runs") == 1 ? " run" : " runs"),
           "number");
  text += cell(has_bar ? escaped(row.at("bar")) : "", !has_bar ? "" : ok ? "ok" : "missed");
  return text + cell(picture) + "</tr>\n";
}

constexpr const char* kHead = R"(<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Semper: benchmarks</title>
<style>
  body { font: 14px sans-serif; margin: 2em auto; max-width: 90em; padding: 0 1em; }
  table { border-collapse: collapse; }
  td, th { border-bottom: 1px solid #ddd; padding: .3em .6em; text-align: left; }
  td, th { vertical-align: top; }
  .number { text-align: right; white-space: nowrap; }
  .ok { color: #00703c; }
  .missed { color: #b00; font-weight: bold; }
</style>
<h1>Semper: benchmarks</h1>
<p>Each figure stands next to a reference of the same run. Ratio: the median of the runs' own
ratios; spread: their minimum and maximum (of the values, where there is no reference). In the
drawing of a ratio the grey line is 1, the orange one the bar, the blue one the spread. In the
pictures a point is the median of its runs, and the stroke through it their minimum and maximum; a
pointer that rests on it shows the figures.
docs/benchmarks.md says what each one measures.</p>
)";

std::string page_of(const std::vector<Program>& programs) {
  std::string page = kHead;
  for (const auto& picture : pictures_of(programs)) page += svg_of(picture);
  for (const auto& program : programs) {
    page +=
        "<h2>" + escaped(program.name) +
        "</h2>\n<table>\n<tr><th>what<th>value<th>reference<th>ratio<th>spread<th>bar<th></tr>\n";
    for (const auto& row : program.rows) page += row_of(row);
    page += "</table>\n";
  }
  return page + "</html>\n";
}

// "Throughput and number of entities" -> throughput-and-number-of-entities.svg
std::string file_name_of(const Picture& picture) {
  std::string name;
  for (const char one : picture.title) {
    const auto letter = static_cast<unsigned char>(one);
    name += std::isalnum(letter) != 0 ? static_cast<char>(std::tolower(letter)) : '-';
  }
  return name + ".svg";
}

bool write(const std::string& path, const std::string& text) {
  std::ofstream file(path, std::ios::trunc);
  file << text;
  file.close();
  if (file) return true;
  std::fprintf(stderr, "benchmark_page: cannot write %s\n", path.c_str());
  return false;
}

int run(std::vector<std::string> arguments) {
  const bool apart = !arguments.empty() && arguments.front() == "--pictures";
  if (apart) arguments.erase(arguments.begin());
  if (arguments.size() < 2) {
    std::fprintf(stderr, "usage: benchmark_page [--pictures FOLDER | PAGE.html] RESULTS.json...\n");
    return 2;
  }
  std::vector<Program> programs;
  for (auto path = arguments.begin() + 1; path != arguments.end(); ++path) {
    try {
      programs.push_back(read(*path));
    } catch (const std::exception& error) {
      std::fprintf(stderr, "benchmark_page: %s: %s\n", path->c_str(), error.what());
      return 1;
    }
  }
  if (!apart) return write(arguments.front(), page_of(programs)) ? 0 : 1;
  bool good = true;
  for (const auto& picture : pictures_of(programs)) {
    good = write(arguments.front() + "/" + file_name_of(picture), svg_of(picture)) && good;
  }
  return good ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run({argv + 1, argv + argc});
  } catch (const std::exception& error) {
    std::fprintf(stderr, "benchmark_page: %s\n", error.what());
    return 1;
  }
}
