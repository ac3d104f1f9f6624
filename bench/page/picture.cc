#include "picture.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdio>

namespace semper::bench::page {
namespace {

constexpr double kWidth = 640;
constexpr double kHeight = 360;
constexpr double kLeft = 64;
constexpr double kRight = 16;
constexpr double kTop = 72;
constexpr double kBottom = 48;
// Values further apart than this are shown on a logarithmic axis.
constexpr double kLinearMaximum = 20;

// Told apart by those who do not see all colours (Okabe and Ito), Semper's first.
constexpr std::array<const char*, 6> kColours = {"#0072b2", "#d55e00", "#009e73",
                                                 "#cc79a7", "#e69f00", "#555555"};

std::string colour_of(std::size_t number) {
  return kColours[number % kColours.size()];
}

std::string number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f", value);
  return text;
}

std::string line(double x1, double y1, double x2, double y2, const std::string& style) {
  return "<line x1=\"" + number(x1) + "\" y1=\"" + number(y1) + "\" x2=\"" + number(x2) +
         "\" y2=\"" + number(y2) + "\" " + style + "/>\n";
}

std::string words(double x, double y, const std::string& text, const std::string& style = "") {
  return "<text x=\"" + number(x) + "\" y=\"" + number(y) + "\" " + style + ">" + escaped(text) +
         "</text>\n";
}

std::string opening(double width, double height) {
  return "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 " + number(width) + " " +
         number(height) + "\" width=\"" + number(width) + "\" height=\"" + number(height) +
         "\" font-family=\"sans-serif\" font-size=\"12\">\n";
}

// 1, 2 or 5 times a power of ten, at least `value`.
double round_up(double value) {
  const double power = std::pow(10, std::floor(std::log10(value)));
  for (const double step : {1.0, 2.0, 5.0}) {
    if (value <= step * power) return step * power;
  }
  return 10 * power;
}

// The vertical axis.
class Height {
 public:
  explicit Height(const Picture& picture) {
    double low = 0;
    double high = 0;
    for (const auto& [series, dots] : picture.dots) {
      for (const auto& dot : dots) {
        if (dot.low > 0 && (low == 0 || dot.low < low)) low = dot.low;
        high = std::max(high, dot.high);
      }
    }
    high = high > 0 ? high : 1;
    low = low > 0 ? low : high;
    logarithmic_ = high / low > kLinearMaximum;
    low_ = logarithmic_ ? std::pow(10, std::floor(std::log10(low))) : 0;
    high_ = logarithmic_ ? std::pow(10, std::ceil(std::log10(high))) : 4 * round_up(high / 4);
  }

  double of(double value) const {
    const double share = logarithmic_
                             ? std::log10(std::max(value, low_) / low_) / std::log10(high_ / low_)
                             : value / high_;
    return kHeight - kBottom - share * (kHeight - kBottom - kTop);
  }

  std::string grid() const {
    std::string all;
    const auto mark = [&](double value) {
      all += line(kLeft, of(value), kWidth - kRight, of(value), "stroke=\"#ddd\"");
      all += words(kLeft - 6, of(value) + 4, readable(value), "text-anchor=\"end\"");
    };
    if (logarithmic_) {
      for (double value = low_; value <= high_ * 1.01; value *= 10) mark(value);
    } else {
      for (int i = 0; i <= 4; ++i) mark(high_ * i / 4);
    }
    return all;
  }

 private:
  bool logarithmic_ = false;
  double low_ = 0;
  double high_ = 1;
};

// The places on the horizontal axis, at equal distances: they are powers, or words.
class Width {
 public:
  explicit Width(const Picture& picture) {
    for (const auto& [series, dots] : picture.dots) {
      for (const auto& dot : dots) labels_[dot.x] = dot.label;
    }
  }

  std::size_t count() const { return labels_.size(); }
  double step() const {
    return (kWidth - kLeft - kRight) / static_cast<double>(std::max<std::size_t>(1, count()));
  }
  double of(double x) const {
    const auto place = std::distance(labels_.begin(), labels_.find(x));
    return kLeft + (static_cast<double>(place) + 0.5) * step();
  }
  std::string marks() const {
    std::string all;
    for (const auto& [x, label] : labels_) {
      all += words(of(x), kHeight - kBottom + 18, label.empty() ? readable(x) : label,
                   "text-anchor=\"middle\"");
    }
    return all;
  }

 private:
  std::map<double, std::string> labels_;
};

std::string title_of(const Picture& picture, const Dot& dot, const std::string& series) {
  return "<title>" +
         escaped(series + ": " + readable(dot.value) + " " + picture.unit + " (" +
                 readable(dot.low) + " to " + readable(dot.high) + ")") +
         "</title>";
}

std::string line_of(const Picture& picture, std::size_t place, const Width& width,
                    const Height& height) {
  const auto& series = picture.series[place];
  const std::string colour = colour_of(place);
  std::string points;
  std::string marks;
  // Beside each other, where spreads would hide one another.
  const double aside =
      (static_cast<double>(place) - static_cast<double>(picture.series.size() - 1) / 2) * 3;
  for (const auto& dot : picture.dots.at(series)) {
    const double x = width.of(dot.x) + aside;
    points += number(x) + "," + number(height.of(dot.value)) + " ";
    marks += line(x, height.of(dot.low), x, height.of(dot.high),
                  "stroke=\"" + colour + "\" stroke-width=\"1.5\"");
    marks += "<circle cx=\"" + number(x) + "\" cy=\"" + number(height.of(dot.value)) +
             "\" r=\"3.5\" fill=\"" + colour + "\">" + title_of(picture, dot, series) +
             "</circle>\n";
  }
  return "<polyline points=\"" + points + "\" fill=\"none\" stroke=\"" + colour +
         "\" stroke-width=\"2\"/>\n" + marks;
}

std::string bars_of(const Picture& picture, std::size_t place, const Width& width,
                    const Height& height) {
  const auto& series = picture.series[place];
  const double wide = width.step() * 0.8 / static_cast<double>(picture.series.size());
  const double bottom = kHeight - kBottom;
  std::string all;
  for (const auto& dot : picture.dots.at(series)) {
    const double x = width.of(dot.x) - width.step() * 0.4 + static_cast<double>(place) * wide;
    const double top = height.of(dot.value);
    all += "<rect x=\"" + number(x) + "\" y=\"" + number(top) + "\" width=\"" + number(wide * 0.9) +
           "\" height=\"" + number(bottom - top) + "\" fill=\"" + colour_of(place) + "\">" +
           title_of(picture, dot, series) + "</rect>\n";
    const double middle = x + wide * 0.45;
    all += line(middle, height.of(dot.low), middle, height.of(dot.high), "stroke=\"#000\"");
  }
  return all;
}

std::string legend_of(const Picture& picture) {
  std::string all;
  double x = kLeft;
  double y = 32;
  for (std::size_t i = 0; i < picture.series.size(); ++i) {
    const double wide = 34 + 6.5 * static_cast<double>(picture.series[i].size());
    if (x + wide > kWidth) {
      x = kLeft;
      y += 18;
    }
    all += "<rect x=\"" + number(x) + "\" y=\"" + number(y) +
           "\" width=\"12\" height=\"12\" fill=\"" + colour_of(i) + "\"/>\n";
    all += words(x + 16, y + 10, picture.series[i]);
    x += wide;
  }
  return all;
}

}  // namespace

Dot& Picture::add(const std::string& of_series) {
  if (dots.find(of_series) == dots.end()) series.push_back(of_series);
  return dots[of_series].emplace_back();
}

std::string svg_of(const Picture& picture) {
  const Height height(picture);
  const Width width(picture);
  const bool of_bars = std::any_of(picture.dots.begin(), picture.dots.end(), [](const auto& one) {
    return std::any_of(one.second.begin(), one.second.end(),
                       [](const Dot& dot) { return !dot.label.empty(); });
  });
  std::string svg =
      opening(kWidth, kHeight) + "<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n" +
      words(kLeft, 20, picture.title + ", " + picture.unit,
            "font-size=\"14\" font-weight=\"bold\"") +
      legend_of(picture) + height.grid() + width.marks() +
      words((kLeft + kWidth - kRight) / 2, kHeight - 8, picture.x_name, "text-anchor=\"middle\"");
  for (std::size_t i = 0; i < picture.series.size(); ++i) {
    svg += of_bars ? bars_of(picture, i, width, height) : line_of(picture, i, width, height);
  }
  return svg + "</svg>\n";
}

std::string svg_of(const Ratio& ratio) {
  constexpr double kWide = 200;
  double low = std::min(1.0, ratio.low);
  double high = std::max(1.0, ratio.high);
  if (ratio.limit > 0) {
    low = std::min(low, ratio.limit);
    high = std::max(high, ratio.limit);
  }
  if (low <= 0) return "";
  low /= 1.2;
  high *= 1.2;
  const auto place = [&](double value) {
    return std::log(value / low) / std::log(high / low) * kWide;
  };
  std::string svg = opening(kWide, 18);
  svg += line(place(1), 1, place(1), 17, "stroke=\"#bbb\"");
  if (ratio.limit > 0) {
    svg += line(place(ratio.limit), 1, place(ratio.limit), 17,
                "stroke=\"#d55e00\" stroke-width=\"2\"");
  }
  svg += line(place(ratio.low), 9, place(ratio.high), 9, "stroke=\"#0072b2\" stroke-width=\"2\"");
  svg += "<circle cx=\"" + number(place(ratio.value)) + "\" cy=\"9\" r=\"4\" fill=\"#0072b2\"/>\n";
  return svg + "</svg>";
}

std::string readable(double value) {
  char text[64];
  std::snprintf(text, sizeof text, value >= 100 ? "%.0f" : value >= 10 ? "%.1f" : "%.3g", value);
  std::string all = text;
  const auto point = all.find_first_of(".e");
  auto place = static_cast<std::ptrdiff_t>(point == std::string::npos ? all.size() : point) - 3;
  for (; place > 0; place -= 3) all.insert(static_cast<std::size_t>(place), ",");
  return all;
}

std::string escaped(const std::string& text) {
  std::string all;
  for (const char one : text) {
    switch (one) {
      case '&':
        all += "&amp;";
        break;
      case '<':
        all += "&lt;";
        break;
      case '>':
        all += "&gt;";
        break;
      case '"':
        all += "&quot;";
        break;
      default:
        all += one;
    }
  }
  return all;
}

}  // namespace semper::bench::page
