// HarnessEngine: the part of a Harness that knows no types; for harness.h alone.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "semper/testing/harness_report.h"
#include "semper/testing/internal/harness_type.h"

namespace semper::testing {
class Harness;
}

namespace semper::testing::internal {

// Work of the scenario under way in a process.
struct HarnessOperation;

class HarnessEngine {
 public:
  explicit HarnessEngine(HarnessOptions options);
  ~HarnessEngine();
  HarnessEngine(const HarnessEngine&) = delete;
  HarnessEngine& operator=(const HarnessEngine&) = delete;

  void add_type(HarnessType type);
  // Throws std::logic_error where that type is not served.
  void add_invariant(std::string_view type, std::function<Status(const void* state)> holds);
  void add_check(std::string name, std::function<Status(Harness&)> holds);
  void before_each(std::function<void()> hook);
  void only(std::string run);
  HarnessReport explore(Harness& harness, const std::function<void()>& scenario);

  std::shared_ptr<HarnessOperation> begin(std::string what, const HarnessWork& work,
                                          HarnessPlace place);
  // Success: the work has ended. Error: it was lost, cancelled, or does not end.
  Status wait(HarnessOperation& operation);
  void note(const std::string& line);

  Tenant tenant();
  // Awaits something of the store's, while the world stands still.
  void look(Task<void> looking);

  void advance(Duration span);
  Status settle();
  void crash();
  WallTime now();
  Status load(const std::string& file);

  const std::vector<HarnessSent>& sent();
  const std::vector<std::string>& actions();
  void happened(const std::string& what);
  std::size_t times(const std::string& what);
  std::vector<std::string> history();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace semper::testing::internal
