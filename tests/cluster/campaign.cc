#include "campaign.h"

#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <thread>

namespace semper::testing {
namespace {

constexpr std::uint64_t kDefaultRounds = 2;
constexpr const char* kFolderPrefix = "semper-cluster-";

std::uint64_t number_from_environment(const char* name, std::uint64_t otherwise) {
  const char* const text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

}  // namespace

// A test that was killed leaves its folder; everything else of it went with it (lab.h).
void Campaign::remove_folders_of_the_dead() {
  for (const auto& entry : std::filesystem::directory_iterator(::testing::TempDir())) {
    const std::string name = entry.path().filename();
    if (!name.starts_with(kFolderPrefix)) continue;
    const auto owner = std::atoi(name.c_str() + std::string(kFolderPrefix).size());
    const bool dead = owner > 0 && ::kill(owner, 0) != 0 && errno == ESRCH;
    std::error_code ignored;
    if (dead) std::filesystem::remove_all(entry.path(), ignored);
  }
}

void Campaign::SetUp() {
  remove_folders_of_the_dead();
  std::string pattern =
      ::testing::TempDir() + kFolderPrefix + std::to_string(::getpid()) + "-XXXXXX";
  ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
  folder_ = pattern;
  seed_ = number_from_environment("SEMPER_CLUSTER_SEED", system_random().next() % 1'000'000);
  random_ = std::make_unique<SeededRandom>(seed_);
}

void Campaign::TearDown() {
  std::error_code ignored;
  if (!HasFailure()) {
    std::filesystem::remove_all(folder_, ignored);
    return;
  }
  // Under a name that is not swept up.
  const std::string kept =
      ::testing::TempDir() + "kept-" + std::filesystem::path(folder_).filename().string();
  std::filesystem::rename(folder_, kept, ignored);
  std::cerr << "SEMPER_CLUSTER_SEED=" << seed_ << "; histories and logs are kept in " << kept
            << std::endl;
}

void Campaign::pause_for(std::uint64_t least_ms, std::uint64_t most_ms) {
  std::this_thread::sleep_for(
      std::chrono::milliseconds(least_ms + random_->below(most_ms - least_ms + 1)));
}

void Campaign::torment(const std::string& store, const std::function<void(Workload&)>& round) {
  const auto rounds = number_from_environment("SEMPER_CLUSTER_ROUNDS", kDefaultRounds);
  const std::chrono::seconds time(number_from_environment("SEMPER_CLUSTER_SECONDS", 0));
  const auto end = std::chrono::steady_clock::now() + time;
  std::cout << "SEMPER_CLUSTER_SEED=" << seed_ << ", on " << store << std::endl;
  WorkloadOptions options;
  options.store = store;
  options.folder = folder_;
  options.seed = seed_;
  Workload workload(options);
  workload.start();
  std::uint64_t done = 0;
  while (!HasFailure() && (done < rounds || std::chrono::steady_clock::now() < end)) {
    round(workload);
    workload.expect_progress("after round " + std::to_string(++done));
  }
  workload.finish();
  std::cout << done << " rounds: " << workload.summary() << std::endl;
}

}  // namespace semper::testing
