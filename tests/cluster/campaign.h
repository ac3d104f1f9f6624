// Campaign: the parts common to the tests of all clusters: a folder, a seed, a number of rounds.
//
//   SEMPER_CLUSTER_ROUNDS   of each fault; default 2
//   SEMPER_CLUSTER_SECONDS  go on with rounds for at least so long; default 0
//   SEMPER_CLUSTER_SEED     decides who is hit, for how long, and what the clients do; printed
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "gtest/gtest.h"
#include "semper/env/random.h"
#include "workload.h"

namespace semper::testing {

class Campaign : public ::testing::Test {
 protected:
  void SetUp() override;
  void TearDown() override;

  const std::string& folder() const { return folder_; }
  SeededRandom& random() { return *random_; }
  // So many milliseconds, evenly from `least` on.
  void pause_for(std::uint64_t least_ms, std::uint64_t most_ms);

  // Starts the workload on this store, does the round again and again, lets it end and judges it. A
  // round leaves the cluster whole.
  void torment(const std::string& store, const std::function<void(Workload&)>& round);

 private:
  void remove_folders_of_the_dead();

  std::string folder_;
  std::uint64_t seed_ = 0;
  std::unique_ptr<SeededRandom> random_;
};

}  // namespace semper::testing
