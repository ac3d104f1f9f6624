#include "page.h"

#include <cstdio>
#include <fstream>
#include <sstream>
#include <stdexcept>

namespace semper::simulation {
namespace {

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '&':
        out += "&amp;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string time_of(Duration at) {
  char text[32];
  std::snprintf(text, sizeof text, "%.6f", std::chrono::duration<double>(at).count());
  return text;
}

constexpr const char* kHead = R"(<!doctype html><html lang="en"><head><meta charset="utf-8">
<style>
body { font: 13px/1.35 ui-monospace, monospace; margin: 1.5em; color: #222; }
h1 { font-size: 17px; } h2 { font-size: 14px; }
table { border-collapse: collapse; width: 100%; table-layout: fixed; }
th { position: sticky; top: 0; background: #eee; text-align: left; }
td, th { border-left: 1px solid #ddd; padding: 1px 6px; }
td { vertical-align: top; overflow-wrap: anywhere; }
td.t, th.t { width: 7.5em; color: #777; border-left: 0; }
tr.moves td { border-top: 1px solid #eee; }
.fault { background: #fdd; } .life { background: #ffe9c7; } .log { color: #96620b; }
.answer { color: #1a6b2d; } .finding { background: #c00; color: #fff; }
.phase { background: #dbe7ff; }
pre { background: #f6f6f6; padding: .6em; overflow-x: auto; } .key span { padding: 0 .6em; }
</style><title>)";

void write_rows(std::ostream& out, const Scenario& scenario, const Trace& trace) {
  Duration before = Duration(-1);
  for (const auto& event : trace.events()) {
    out << "<tr" << (event.at != before ? " class=moves" : "") << "><td class=t>"
        << (event.at != before ? time_of(event.at) : std::string()) << "</td>";
    before = event.at;
    const std::string text = escaped(event.text);
    const auto kind = to_string(event.kind);
    if (event.lane >= scenario.processes()) {
      out << "<td class=" << kind << " colspan=" << scenario.processes() << ">" << text << "</td>";
    } else {
      for (std::size_t lane = 0; lane < scenario.processes(); ++lane) {
        if (lane != event.lane) {
          out << "<td></td>";
        } else {
          out << "<td class=" << kind << ">" << text << "</td>";
        }
      }
    }
    out << "</tr>\n";
  }
}

}  // namespace

std::string make_page(const Scenario& scenario, const Outcome& outcome, const Trace& trace) {
  std::ostringstream out;
  const std::string title =
      "seed " + std::to_string(scenario.seed) + " of the plan " + scenario.plan;
  out << kHead << title << "</title></head><body><h1>" << title << "</h1>\n<h2>"
      << (outcome.failed() ? "Findings" : "Every promise was kept") << "</h2><ul>";
  for (const auto& finding : outcome.findings) {
    out << "<li class=finding>" << escaped(finding) << "</li>\n";
  }
  out << "</ul><p class=key><span class=fault>fault</span><span class=life>begins, ends, stands "
         "still</span><span>call</span><span class=answer>answer</span><span class=log>log</span>"
         "<span class=phase>phase</span> Seconds since the beginning.</p>\n"
      << "<details><summary>What was drawn</summary><pre>" << escaped(scenario.to_plan())
      << "</pre></details>\n<table><tr><th class=t>time</th>";
  for (std::size_t lane = 0; lane < scenario.processes(); ++lane) {
    out << "<th>" << (lane < scenario.count("hosts") ? "host " : "caller ") << lane << "</th>";
  }
  out << "</tr>\n";
  write_rows(out, scenario, trace);
  out << "</table>";
  if (trace.events().size() >= Trace::kEventsAtMost) out << "<p>More events are left out.</p>";
  out << "</body></html>\n";
  return out.str();
}

void write_page(const std::string& path, const Scenario& scenario, const Outcome& outcome,
                const Trace& trace) {
  std::ofstream file(path);
  file << make_page(scenario, outcome, trace);
  file.close();
  if (!file) throw std::runtime_error("the trace " + path + " cannot be written");
}

}  // namespace semper::simulation
