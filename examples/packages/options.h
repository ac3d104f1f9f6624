// The command line of semper-packages.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "package.h"

namespace packages {

inline constexpr int kConsumersMaximum = 64;

enum class Role {
  coordinator,  // what a person starts: runs the others, watches, checks, reports
  consumer,     // serves packages until its standard input ends
  publisher,    // sends the log's events and ends
};

struct Options {
  Role role = Role::coordinator;
  std::string store;  // filled with the default where none was given
  std::vector<std::string> logs;
  int consumers = 3;
  // Of a ring that the publisher writes every event to first; empty: it sends directly.
  std::string journal;
  bool fresh = false;
  bool json = false;
  bool help = false;
  // Of the roles that the coordinator starts.
  std::string name;
  std::string run;
  Position until;
};

std::string_view help_text();

// Error: invalid_argument, one sentence.
semper::Result<Options> parse_options(const std::vector<std::string>& arguments);

// sqlite:${XDG_STATE_HOME:-~/.local/state}/semper/packages.db, whose folder is made. Errors:
// not_found (no home), io; the message says how to do without.
semper::Result<std::string> default_store();

}  // namespace packages
