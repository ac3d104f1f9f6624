#include "semper/base/metrics.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <mutex>
#include <stdexcept>
#include <variant>

#include "semper/base/bytes.h"

namespace semper::metrics {
namespace {

constexpr std::string_view kRefusedName = "semper_metrics_refused_total";
constexpr std::size_t kSubBuckets = std::size_t{1} << Histogram::kSubBucketBits;

std::string number(double value) {
  std::array<char, 32> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
  return std::string(digits.data(), end);
}

bool is_name(std::string_view name, std::string_view also) {
  const auto is_letter = [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
           also.find(c) != std::string_view::npos;
  };
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  if (name.empty() || !is_letter(name.front())) return false;
  return std::all_of(name.begin(), name.end(), [&](char c) { return is_letter(c) || is_digit(c); });
}

void append_escaped(std::string& out, std::string_view text) {
  const std::string printable = is_utf8(text) ? std::string(text) : to_printable(text);
  for (const char character : printable) {
    if (character == '\\') {
      out += "\\\\";
    } else if (character == '\n') {
      out += "\\n";
    } else if (character == '"') {
      out += "\\\"";
    } else {
      out.push_back(character);
    }
  }
}

// `a="1",b="2"`, sorted by name: what tells a series from others of its family, and its text.
std::string label_text(const Labels& labels) {
  Labels sorted = labels;
  std::sort(sorted.begin(), sorted.end());
  std::string text;
  for (std::size_t i = 0; i < sorted.size(); ++i) {
    const auto& [name, value] = sorted[i];
    if (!is_name(name, "") || name.substr(0, 2) == "__" || name == "le" ||
        (i > 0 && sorted[i - 1].first == name)) {
      throw std::invalid_argument("semper: label \"" + to_printable(name) +
                                  "\" is no name, reserved or there twice");
    }
    if (i > 0) text.push_back(',');
    text.append(name).append("=\"");
    append_escaped(text, value);
    text.push_back('"');
  }
  return text;
}

}  // namespace

std::uint64_t Histogram::largest_in(std::size_t bucket) noexcept {
  if (bucket < kSubBuckets) return bucket;
  const std::size_t shift = (bucket >> kSubBucketBits) - 1;
  const std::uint64_t leading = kSubBuckets + (bucket & (kSubBuckets - 1));
  return ((leading + 1) << shift) - 1;  // wraps to the largest number in the last bucket
}

std::uint64_t Histogram::count() const noexcept {
  return count_below_power_of_two(64);
}

std::uint64_t Histogram::count_below_power_of_two(int power) const noexcept {
  const std::size_t end =
      power >= 64 ? kBuckets : bucket_of(std::uint64_t{1} << std::max(power, 0));
  std::uint64_t total = 0;
  for (std::size_t bucket = 0; bucket < end; ++bucket) {
    total += buckets_[bucket].load(std::memory_order_relaxed);
  }
  return total;
}

std::uint64_t Histogram::quantile(double share) const noexcept {
  std::array<std::uint64_t, kBuckets> counts;
  std::uint64_t total = 0;
  for (std::size_t bucket = 0; bucket < kBuckets; ++bucket) {
    counts[bucket] = buckets_[bucket].load(std::memory_order_relaxed);
    total += counts[bucket];
  }
  if (total == 0) return 0;
  const double wanted = std::ceil(std::clamp(share, 0.0, 1.0) * static_cast<double>(total));
  const auto rank = std::clamp<std::uint64_t>(static_cast<std::uint64_t>(wanted), 1, total);
  std::uint64_t passed = 0;
  for (std::size_t bucket = 0; bucket < kBuckets; ++bucket) {
    passed += counts[bucket];
    if (passed >= rank) return largest_in(bucket);
  }
  return std::numeric_limits<std::uint64_t>::max();
}

struct Registry::State {
  // One family: its kind is that of its map. Nodes of a map stay where they are.
  template <class Metric>
  using SeriesByLabels = std::map<std::string, Metric, std::less<>>;
  using AnySeries =
      std::variant<SeriesByLabels<Counter>, SeriesByLabels<Gauge>, SeriesByLabels<Histogram>>;
  struct FamilyState {
    std::string help;
    HistogramOptions histogram_options;
    AnySeries series;
  };

  explicit State(RegistryOptions given) : options(given) {}

  template <class Metric>
  Metric& find_or_add(Family family, const Labels& labels, HistogramOptions histogram_options,
                      Metric& refused_metric);
  template <class Metric>
  bool is_full() const {
    return series >= options.max_series ||
           (std::is_same_v<Metric, Histogram> && histograms >= options.max_histograms);
  }

  const RegistryOptions options;
  mutable std::mutex mutex;
  std::map<std::string, FamilyState, std::less<>> families;  // guarded by mutex, as the counts are
  std::size_t series = 0;
  std::size_t histograms = 0;
  Counter refused;
  // What is given out past the bounds.
  Counter unseen_counter;
  Gauge unseen_gauge;
  Histogram unseen_histogram;
};

template <class Metric>
Metric& Registry::State::find_or_add(Family family, const Labels& labels,
                                     HistogramOptions histogram_options, Metric& refused_metric) {
  if (!is_name(family.name, ":") || family.name == kRefusedName) {
    throw std::invalid_argument("semper: \"" + to_printable(family.name) +
                                "\" is no name for a metric, or reserved");
  }
  const std::string key = label_text(labels);
  const std::lock_guard lock(mutex);
  auto at = families.find(family.name);
  if (at != families.end()) {
    auto* const existing = std::get_if<SeriesByLabels<Metric>>(&at->second.series);
    if (existing == nullptr) {
      throw std::logic_error("semper: metric " + std::string(family.name) +
                             " is already there as another kind");
    }
    if (const auto found = existing->find(key); found != existing->end()) return found->second;
  }
  if (is_full<Metric>()) {
    refused.add();
    return refused_metric;
  }
  if (at == families.end()) {
    at = families.try_emplace(std::string(family.name)).first;
    at->second.help = family.help;
    at->second.histogram_options = histogram_options;
    at->second.series.template emplace<SeriesByLabels<Metric>>();
  }
  ++series;
  if (std::is_same_v<Metric, Histogram>) ++histograms;
  return std::get<SeriesByLabels<Metric>>(at->second.series)[key];
}

namespace {

// The lines of one family.
class FamilyText {
 public:
  FamilyText(std::string& out, std::string_view name) : out_(out), name_(name) {}

  void head(std::string_view help, std::string_view type) {
    out_.append("# HELP ").append(name_).append(" ");
    const std::string printable = is_utf8(help) ? std::string(help) : to_printable(help);
    for (const char character : printable) {  // quotes stay as they are here
      if (character == '\\') out_ += "\\\\";
      if (character == '\n') out_ += "\\n";
      if (character != '\\' && character != '\n') out_.push_back(character);
    }
    out_.append("\n# TYPE ").append(name_).append(" ").append(type).append("\n");
  }

  void sample(std::string_view suffix, const std::string& labels, const std::string& value) {
    out_.append(name_).append(suffix);
    if (!labels.empty()) out_.append("{").append(labels).append("}");
    out_.append(" ").append(value).append("\n");
  }

  template <class SeriesByLabels>
  void all(const SeriesByLabels& by_labels, const HistogramOptions& options) {
    for (const auto& [labels, metric] : by_labels) series(labels, metric, options);
  }

  void series(const std::string& labels, const Counter& counter, const HistogramOptions&) {
    sample("", labels, std::to_string(counter.value()));
  }
  void series(const std::string& labels, const Gauge& gauge, const HistogramOptions&) {
    sample("", labels, std::to_string(gauge.value()));
  }
  void series(const std::string& labels, const Histogram& histogram,
              const HistogramOptions& options) {
    const std::string prefix = labels.empty() ? "le=\"" : labels + ",le=\"";
    for (int power = options.smallest_power; power <= options.largest_power; ++power) {
      const auto end = static_cast<double>((std::uint64_t{1} << power) - 1) * options.scale;
      sample("_bucket", prefix + number(end) + "\"",
             std::to_string(histogram.count_below_power_of_two(power)));
    }
    const std::string count = std::to_string(histogram.count());
    sample("_bucket", prefix + "+Inf\"", count);
    sample("_sum", labels, number(static_cast<double>(histogram.sum()) * options.scale));
    sample("_count", labels, count);
  }

 private:
  std::string& out_;
  std::string_view name_;
};

}  // namespace

Registry::Registry(RegistryOptions options) : state_(std::make_unique<State>(options)) {}
Registry::~Registry() = default;

Counter& Registry::counter(Family family, const Labels& labels) {
  return state_->find_or_add(family, labels, {}, state_->unseen_counter);
}

Gauge& Registry::gauge(Family family, const Labels& labels) {
  return state_->find_or_add(family, labels, {}, state_->unseen_gauge);
}

Histogram& Registry::histogram(Family family, const Labels& labels, HistogramOptions options) {
  if (options.smallest_power < 0 || options.smallest_power > options.largest_power ||
      options.largest_power > 63 || !(options.scale > 0)) {
    throw std::invalid_argument("semper: histogram " + to_printable(family.name) +
                                " needs 0 <= smallest_power <= largest_power <= 63 and a scale "
                                "above 0");
  }
  return state_->find_or_add(family, labels, options, state_->unseen_histogram);
}

std::string Registry::to_prometheus() const {
  constexpr std::string_view kTypes[] = {"counter", "gauge", "histogram"};
  std::string out;
  FamilyText refused_text(out, kRefusedName);
  refused_text.head("Metrics requested beyond the bounds of the registry, which are not exported",
                    "counter");
  refused_text.series("", state_->refused, {});
  const std::lock_guard lock(state_->mutex);
  for (const auto& [name, family] : state_->families) {
    FamilyText text(out, name);
    text.head(family.help, kTypes[family.series.index()]);
    const HistogramOptions& options = family.histogram_options;
    std::visit([&](const auto& series) { text.all(series, options); }, family.series);
  }
  return out;
}

std::size_t Registry::series() const {
  const std::lock_guard lock(state_->mutex);
  return state_->series;
}

std::uint64_t Registry::refused() const noexcept {
  return state_->refused.value();
}

}  // namespace semper::metrics
