// The two ends of what a process of a Harness sees of its store.
//
//   PointBackend -> FaultyBackend -> AppliedBackend -> memory:
//
// PointBackend counts what is asked, and lets its process be lost there; AppliedBackend sees what
// has really become of it.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "semper/store/backend.h"
#include "semper/store/internal/passed_neighbours.h"
#include "semper/store/recent_changes.h"
#include "semper/testing/faulty_backend.h"
#include "testing/harness/points.h"

namespace semper::testing::internal {

// Passes everything on.
class PassingBackend : public Backend,
                       public RecentChanges,
                       public semper::internal::PassedNeighbours {
 public:
  PassingBackend(std::shared_ptr<Backend> inner, HarnessPoints& points, std::size_t process)
      : inner_(std::move(inner)), points_(points), process_(process) {}

  const Limits& limits() const override { return inner_->limits(); }
  BackendTraits traits() const override { return inner_->traits(); }
  std::string url() const override { return inner_->url(); }
  Async<std::unique_ptr<Snapshot>> snapshot() override { return inner_->snapshot(); }
  std::optional<Version> newest_known() const override {
    const auto* known = dynamic_cast<const RecentChanges*>(inner_.get());
    return known == nullptr ? std::nullopt : known->newest_known();
  }
  bool is_known_unchanged(BytesView key, Version since) const override {
    const auto* known = dynamic_cast<const RecentChanges*>(inner_.get());
    return known != nullptr && known->is_known_unchanged(key, since);
  }
  Async<void> raise_version(Version floor) override { return inner_->raise_version(floor); }
  Async<std::unique_ptr<Watch>> watch(BytesView key, Snapshot& seen) override {
    return inner_->watch(key, seen);
  }
  Async<std::string> check() override { return inner_->check(); }
  std::vector<std::pair<std::string, std::int64_t>> statistics() const override { return {}; }
  Async<void> close() override { return inner_->close(); }

 protected:
  Neighbours* inner_neighbours() const override { return dynamic_cast<Neighbours*>(inner_.get()); }

  const std::shared_ptr<Backend> inner_;
  HarnessPoints& points_;
  const std::size_t process_;
};

class PointBackend final : public PassingBackend {
 public:
  PointBackend(std::shared_ptr<FaultyBackend> faulty, HarnessPoints& points, std::size_t process)
      : PassingBackend(faulty, points, process), faulty_(std::move(faulty)) {}

  Async<std::unique_ptr<Snapshot>> snapshot() override;
  Async<std::unique_ptr<Watch>> watch(BytesView key, Snapshot& seen) override;
  Async<CommitReceipt> commit(CommitRequest request) override;

 private:
  const std::shared_ptr<FaultyBackend> faulty_;
};

class AppliedBackend final : public PassingBackend {
 public:
  using PassingBackend::PassingBackend;
  Async<CommitReceipt> commit(CommitRequest request) override;
};

// Of the default tenant.
CommitFacts facts_of(const CommitRequest& request);

}  // namespace semper::testing::internal
