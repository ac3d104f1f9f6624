// Picture: one diagram as SVG, of lines or of bars, with the spread of each point's runs.
//
// No script, no font, no file beside it: it stands in a page, or in a document, as it is.
#pragma once

#include <map>
#include <string>
#include <vector>

namespace semper::bench::page {

struct Dot {
  double x = 0;
  std::string label = {};  // of x; empty: the number
  double value = 0;        // median
  double low = 0;          // of the runs
  double high = 0;
};

struct Picture {
  std::string title;
  std::string x_name;
  std::string unit;
  // In the order in which they were measured.
  std::vector<std::string> series;
  std::map<std::string, std::vector<Dot>> dots;

  Dot& add(const std::string& of_series);
};

std::string svg_of(const Picture& picture);

// A ratio with its spread on one small axis, and the bar that it is held to (0: none).
struct Ratio {
  double value = 0;
  double low = 0;
  double high = 0;
  double limit = 0;
};
std::string svg_of(const Ratio& ratio);

// 12345 -> "12,345"; 0.1234 -> "0.123".
std::string readable(double value);
// Text as it may stand in HTML and SVG.
std::string escaped(const std::string& text);

}  // namespace semper::bench::page
