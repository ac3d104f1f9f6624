// LyingBackend: a store that breaks its promises, to see that the simulation notices.
//
// For tests of the simulation alone: no program survives it, and none has to. A run in which it has
// lied and every promise seems to be kept is a workload, or a judge, that sees nothing.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "semper/store/backend.h"
#include "semper/store/internal/passed_neighbours.h"
#include "semper/store/recent_changes.h"

namespace semper::simulation {

struct Lies {
  double lost = 0;   // a commit is acknowledged and not applied
  double twice = 0;  // a commit is applied once more, whatever has changed
};

class LyingBackend final : public Backend, public RecentChanges, public internal::PassedNeighbours {
 public:
  LyingBackend(std::shared_ptr<Backend> backend, Env env, Lies lies)
      : backend_(std::move(backend)), env_(env), lies_(lies) {}

  void tell_the_truth() { lies_ = {}; }
  std::uint64_t lies_told() const { return told_; }

  const Limits& limits() const override { return backend_->limits(); }
  BackendTraits traits() const override { return backend_->traits(); }
  std::string url() const override { return backend_->url(); }
  Async<std::unique_ptr<Snapshot>> snapshot() override { return backend_->snapshot(); }
  Async<CommitReceipt> commit(CommitRequest request) override;
  std::optional<Version> newest_known() const override {
    const auto* known = dynamic_cast<const RecentChanges*>(backend_.get());
    return known == nullptr ? std::nullopt : known->newest_known();
  }
  bool is_known_unchanged(BytesView key, Version since) const override {
    const auto* known = dynamic_cast<const RecentChanges*>(backend_.get());
    return known != nullptr && known->is_known_unchanged(key, since);
  }
  Async<void> raise_version(Version floor) override { return backend_->raise_version(floor); }
  Async<std::unique_ptr<Watch>> watch(BytesView key, Snapshot& seen) override {
    return backend_->watch(key, seen);
  }
  Async<std::string> check() override { return backend_->check(); }
  std::vector<std::pair<std::string, std::int64_t>> statistics() const override { return {}; }
  Async<void> close() override { return backend_->close(); }

 private:
  Neighbours* inner_neighbours() const override {
    return dynamic_cast<Neighbours*>(backend_.get());
  }

  const std::shared_ptr<Backend> backend_;
  const Env env_;
  Lies lies_;
  std::uint64_t told_ = 0;
};

}  // namespace semper::simulation
