// The timeline of a run as an HTML page: one lane per process, faults marked, findings on top.
#pragma once

#include <string>

#include "run.h"

namespace semper::simulation {

std::string make_page(const Scenario& scenario, const Outcome& outcome, const Trace& trace);
// Throws std::runtime_error where it cannot be written.
void write_page(const std::string& path, const Scenario& scenario, const Outcome& outcome,
                const Trace& trace);

}  // namespace semper::simulation
