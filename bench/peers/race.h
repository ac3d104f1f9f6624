// Field, race(): systems that stand ready, and one measurement of one of them.
#pragma once

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "support/report.h"
#include "system.h"

namespace semper::bench::peers {

struct Figures {
  double per_second = 0;             // published and processed, from the first to the last
  std::vector<double> commit_us;     // from a message's beginning to its durability
  std::vector<double> processed_us;  // to the commit of the transaction that processed it
  std::optional<double> bytes;       // written to disk per message, by clients and servers
};

struct Entrant {
  const Kind* kind = nullptr;
  std::unique_ptr<System> system;
};

class Field {
 public:
  // Starts the systems that there are, of those with these ids (all where empty); prints why others
  // are missing.
  explicit Field(const std::vector<std::string>& ids);

  // Nothing queued and so many states, in each.
  void prepare(std::size_t entities);
  // Those that run; Semper is first.
  const std::vector<Entrant>& entrants() const { return entrants_; }
  // Measures one, alone: the others stand still. Nothing, with the reason printed, where it
  // failed; it is not measured any more then.
  std::optional<Figures> race(const Entrant& entrant, const Shape& shape);

 private:
  const WorkFolder folder_;
  std::vector<Entrant> entrants_;
  std::set<const Kind*> failed_;  // not measured any more
};

}  // namespace semper::bench::peers
