#include "report.h"

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

namespace packages {
namespace {

std::uint64_t rate_of(const Report& report) {
  return report.seconds > 0
             ? static_cast<std::uint64_t>(static_cast<double>(report.events) / report.seconds)
             : 0;
}

std::string seconds_text(double seconds) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.2f s", seconds);
  return text;
}

// A line of the report: a word in a column of its own, and what there is to say.
std::string row(std::string word, const std::string& text) {
  word.resize(std::max<std::size_t>(word.size() + 1, 13), ' ');
  return "  " + word + text + "\n";
}

std::string list(const std::vector<std::string>& mismatches) {
  std::string text;
  for (std::size_t i = 0; i < std::min(mismatches.size(), kMismatchesShown); ++i) {
    text += row("", mismatches[i]);
  }
  if (mismatches.size() > kMismatchesShown) {
    text += row("", "and " + std::to_string(mismatches.size() - kMismatchesShown) + " more");
  }
  return text;
}

std::string dpkg_rows(const Report& report) {
  if (!report.dpkg) return row("", "not compared with dpkg-query: " + report.why_no_dpkg);
  const Comparison& dpkg = *report.dpkg;
  std::string text =
      row("mismatches", std::to_string(dpkg.mismatches.size()) +
                            " between the entities and dpkg-query (" +
                            std::to_string(dpkg.installed_equal) + " installed in that version, " +
                            std::to_string(dpkg.others_equal) + " gone or half-way on both sides)");
  text += list(dpkg.mismatches);
  if (dpkg.other_architecture > 0) {
    text += row("", std::to_string(dpkg.other_architecture) +
                        " were replaced by the same package of another architecture");
  }
  if (dpkg.older_than_log > 0) {
    text += row("", std::to_string(dpkg.older_than_log) +
                        " more are installed and not in the log: they are older than it");
  }
  return text;
}

std::string verdict(const Report& report) {
  if (!report.is_good()) return "Something differs: see above.\n";
  if (report.applied == 0) {
    return "0 new events, " + std::to_string(report.refused) +
           " were applied before: nothing was applied twice.\n";
  }
  return "Everything is as it should be.\n";
}

std::string quoted(const std::string& text) {
  const bool is_plain = std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 ||
           std::string_view("_-./:~+=%@").find(static_cast<char>(c)) != std::string_view::npos;
  });
  if (is_plain) return text;
  std::string result = "'";
  for (const char c : text) result += c == '\'' ? "'\\''" : std::string(1, c);
  return result + "'";
}

std::string try_next(const Report& report) {
  const std::string tool = quoted(report.tool) + " --store " + quoted(report.store);
  return "Try next\n  " + tool + " show package/" + report.example + "\n  " + tool +
         " ls package --prefix lib --limit 10\n  " + tool +
         " stats\n  and the same command again: it will refuse what it knows\n";
}

}  // namespace

bool Report::is_good() const {
  return log_mismatches.empty() && left_in_queues == 0 && applied + refused == events &&
         (!dpkg || dpkg->mismatches.empty());
}

std::string to_text(const Report& report) {
  std::string text = "Report\n";
  text += row("events", std::to_string(report.events) + " in " + seconds_text(report.seconds) +
                            ", " + std::to_string(rate_of(report)) + " events/s, through " +
                            std::to_string(report.consumers) + " consuming processes");
  text += row("new", std::to_string(report.applied));
  text += row("refused", std::to_string(report.refused) + " duplicates, applied before");
  text += row("entities", std::to_string(report.entities));
  if (!report.killed.empty()) text += row("killed", report.killed);
  for (const auto& [name, words] : report.processed) text += row("", name + " " + words);
  text += row("queues", std::to_string(report.left_in_queues) + " messages left in them");
  text += row("mismatches", std::to_string(report.log_mismatches.size()) +
                                " between the entities and a replay of the log");
  text += list(report.log_mismatches);
  text += dpkg_rows(report);
  return text + verdict(report) + "\n" + try_next(report);
}

std::string to_json_text(const Report& report) {
  nlohmann::json json{{"store", report.store},
                      {"logs", report.logs},
                      {"notes", report.notes},
                      {"first_time", report.first_time},
                      {"last_time", report.last_time},
                      {"events", report.events},
                      {"new", report.applied},
                      {"refused", report.refused},
                      {"entities", report.entities},
                      {"seconds", report.seconds},
                      {"events_per_second", rate_of(report)},
                      {"consumers", report.consumers},
                      {"killed", report.killed},
                      {"left_in_queues", report.left_in_queues},
                      {"log_mismatches", report.log_mismatches},
                      {"ok", report.is_good()}};
  if (report.dpkg) {
    json["dpkg"] = {{"installed_equal", report.dpkg->installed_equal},
                    {"others_equal", report.dpkg->others_equal},
                    {"other_architecture", report.dpkg->other_architecture},
                    {"older_than_log", report.dpkg->older_than_log},
                    {"mismatches", report.dpkg->mismatches}};
  } else {
    json["dpkg"] = nullptr;
    json["why_no_dpkg"] = report.why_no_dpkg;
  }
  return json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

}  // namespace packages
