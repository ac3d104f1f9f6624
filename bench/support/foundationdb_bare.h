// The reference of bench_foundationdb: the same reads and writes by FoundationDB's C API alone,
// each step waited for by the calling thread.
//
// Uses the client library that an open fdb: store of this process has loaded and started.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace semper::bench {

class BareFdb {
 public:
  // Ends the program with the reason where the library or the cluster is not there.
  BareFdb(const std::string& library, const std::string& cluster_file);
  ~BareFdb();
  BareFdb(const BareFdb&) = delete;
  BareFdb& operator=(const BareFdb&) = delete;

  // The transaction of one inline call: reads an entity's rows without conflicts, checks header,
  // counter and a marker of its own, writes header (stamped) and marker, and removes an old marker.
  // Returns what each took, in microseconds.
  std::vector<double> calls(double seconds);

  // One message per transaction, as dgen does by default: `publishers` threads append a message
  // each, one consumer takes the first one, writes the state and removes it. Messages consumed per
  // second.
  double messages_per_second(int publishers, double seconds);

  // Removes what it has written, and everything else behind this prefix.
  void clear(const std::string& prefix);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace semper::bench
