// A system that is measured: how its server is started, and what its client processes do.
//
// Each is started once for all parts of the program, on loopback or a unix socket, on the disk of
// the other benchmarks, in its durable mode; it stands still (SIGSTOP) while another one is
// measured, and is ended by its process id. Where it is not installed, or does not start,
// Unavailable says why.
#pragma once

#include <cstddef>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "client.h"

namespace semper::bench::peers {

struct Unavailable : std::runtime_error {
  using std::runtime_error::runtime_error;
};

class System {
 public:
  virtual ~System() = default;
  // Nothing queued, and a state for each of so many entities.
  virtual void prepare(std::size_t entities) = 0;
  // What a client needs to find it.
  virtual std::string address() const = 0;
  // Writes what it would write later, for what has been processed: before bytes are counted.
  virtual void write_all() {}
  virtual void freeze() {}
  virtual void thaw() {}
};

struct Kind {
  // For people, with the remark.
  std::string title() const { return remark.empty() ? name : name + " (" + remark + ")"; }

  std::string id;         // for --system
  std::string name;       // for people
  std::string promise;    // what it flushes, and keeps
  std::string remark;     // where it does or promises less, in few words; stands with each figure
  bool keeps_states;      // of entities, in one transaction with the queue
  int in_flight_maximum;  // of one publisher
  // `folder`: of its own, on the disk that is measured. Throws Unavailable.
  std::unique_ptr<System> (*start)(const std::string& folder);
  void (*publish)(const Job& job);
  void (*consume)(const Job& job);
};

// Semper first. Those whose client library was missing when this was built have a start() that says
// so.
const std::vector<Kind>& kinds();
// Ends the process where there is none.
const Kind& kind_of(const std::string& id);

}  // namespace semper::bench::peers
