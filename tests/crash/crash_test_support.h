// A store in a folder of its own, and this process's own handle on it.
#pragma once

#include <iostream>
#include <optional>
#include <string>

#include "gtest/gtest.h"
#include "semper/semper.h"
#include "semper/testing/temporary_folder.h"

namespace semper::testing {

class CrashTest : public ::testing::Test {
 protected:
  void SetUp() override {
    url_ = "sqlite:" + folder_ + "/store.db";
    auto store = scheduler_.block_on(open_store(url_));
    ASSERT_TRUE(store.has_value()) << store.error().to_string();
    store_ = std::move(*store);
  }

  void TearDown() override {
    if (store_) {
      const auto closed = scheduler_.block_on(store_->close());
      EXPECT_TRUE(closed.has_value()) << closed.error().to_string();
      store_.reset();
    }
    if (HasFailure()) {
      place_.keep();
      std::cerr << "the store and the journals are kept in " << folder_ << std::endl;
    }
  }

  Outstanding residue() {
    auto found = scheduler_.block_on(count_outstanding(*store_));
    if (!found) {
      ADD_FAILURE() << found.error().to_string();
      return {};
    }
    return *found;
  }

  // For tests: a store that cannot be read is a failure, and an empty view.
  EntityView view(const std::string& type, const std::string& id) {
    auto found = scheduler_.block_on(inspect(*store_, EntityId{type, id}));
    if (found) return *found;
    if (found.error().kind() != ErrorKind::not_found) ADD_FAILURE() << found.error().to_string();
    return {};
  }

  template <class State>
  State state(const EntityView& view) {
    if (!view.state) return {};
    auto decoded = decode<State>(*view.state);
    if (!decoded) {
      ADD_FAILURE() << view.id.to_string() << ": " << decoded.error().to_string();
      return {};
    }
    return std::move(*decoded);
  }

  TemporaryFolder place_;
  const std::string folder_ = place_.path();
  std::string url_;
  Scheduler scheduler_;
  std::optional<Store> store_;
};

inline std::string to_string(const Outstanding& residue) {
  return std::to_string(residue.entities_with_work) + " index entries, " +
         std::to_string(residue.sessions) + " sessions, " + std::to_string(residue.replies) +
         " replies, " + std::to_string(residue.locks) + " locks, " + std::to_string(residue.hosts) +
         " hosts";
}

}  // namespace semper::testing
