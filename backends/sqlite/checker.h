// Checker: reads a whole store and reports the first damage; runs on threads of its own.
//
// Threads: any.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "connection.h"
#include "options.h"
#include "semper/env/one_shot.h"
#include "sidecar.h"

namespace semper::sqlite {

// At once; a further one is refused.
inline constexpr std::size_t kChecksMaximum = 4;

class Checker {
 public:
  Checker(const SqliteOptions& options, Sidecar& sidecar);
  ~Checker();

  // See Backend::check. Errors: corrupt, retry (too many, or the store needs its log back), io.
  Async<std::string> check();

  // Ends what is running (it reports `retry`) and starts nothing until resume().
  void suspend();
  void resume();

 private:
  struct Run;
  Result<std::string> check_now(Run& run);

  const SqliteOptions* options_;
  Sidecar* sidecar_;
  std::mutex mutex_;
  bool suspended_ = false;
  std::vector<std::unique_ptr<Run>> runs_;
};

// Reads all that the connection sees. Success: a sentence on what was checked.
Result<std::string> check_file(Connection& connection);

}  // namespace semper::sqlite
