#include "semper/testing/store_conformance.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <utility>

#include "semper/testing/seed.h"
#include "semper/testing/temporary_folder.h"
#include "testing/conformance/child.h"
#include "testing/conformance/world.h"

namespace semper::testing {
namespace {

using namespace conformance;

class CaseTest : public ::testing::Test {
 public:
  CaseTest(std::shared_ptr<const StoreUnderTest> store, Case tested)
      : store_(std::move(store)), case_(tested) {}

  void TestBody() override {
    std::string last_conflict;
    for (int attempt = 0; attempt < store_->attempts; ++attempt) {
      const auto seed = test_seed() + static_cast<std::uint64_t>(attempt);
      try {
        static std::atomic<int> last_place{0};
        TemporaryFolder folder;
        World world(*store_, {folder.path(), ++last_place}, case_.time, seed);
        world.run(case_.body);
        return;
      } catch (const SpuriousConflict& conflict) {
        last_conflict = conflict.what();
      } catch (const std::exception& error) {
        FAIL() << error.what() << "\nwith SEMPER_TEST_SEED=" << seed;
      }
    }
    FAIL() << "each of " << store_->attempts
           << " attempts met a conflict without a cause; the last was: " << last_conflict;
  }

 private:
  const std::shared_ptr<const StoreUnderTest> store_;
  const Case case_;
};

// What this program does where it was started as another process of a case.
class ChildTest : public ::testing::Test {
 public:
  explicit ChildTest(std::shared_ptr<const StoreUnderTest> store) : store_(std::move(store)) {}
  void TestBody() override { run_child_role(*store_); }

 private:
  const std::shared_ptr<const StoreUnderTest> store_;
};

bool is_for(const StoreUnderTest& store, CaseNeeds needs) {
  if (needs == CaseNeeds::processes) return store.processes == Processes::several;
  if (needs == CaseNeeds::persistence) return store.lifetime == Lifetime::persistent;
  if (needs == CaseNeeds::links) return store.links == Links::some;
  return true;
}

}  // namespace

std::size_t register_store_conformance(StoreUnderTest description) {
  const auto store = std::make_shared<const StoreUnderTest>(std::move(description));
  const auto suite = conformance_suite_name(*store);
  if (is_child_of(*store)) {
    ::testing::RegisterTest(suite.c_str(), kChildTestName, nullptr, nullptr, __FILE__, __LINE__,
                            [store]() -> ::testing::Test* { return new ChildTest(store); });
    return 1;
  }
  std::size_t count = 0;
  for (const auto cases :
       {isolation_cases(), conflict_range_cases(), write_cases(), versionstamp_cases(),
        range_cases(), limit_cases(), watch_cases(), transact_cases(), workload_cases(),
        history_cases(), process_cases(), neighbour_cases()}) {
    for (const auto& tested : cases) {
      if (!is_for(*store, tested.needs)) continue;
      ::testing::RegisterTest(
          suite.c_str(), tested.name, nullptr, nullptr, __FILE__, __LINE__,
          [store, tested]() -> ::testing::Test* { return new CaseTest(store, tested); });
      ++count;
    }
  }
  return count;
}

}  // namespace semper::testing
