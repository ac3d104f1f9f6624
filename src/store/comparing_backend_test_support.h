// ComparingBackend: a store in memory that decides about conflicts by comparing. For tests only.
//
// A commit conflicts where something it read is different now from what it read, and only there: a
// key that was set and removed again in between conflicts with nobody. That is the weakest check
// that the backend contract allows, so what holds here holds on every engine. Versionstamps and
// watches are not offered. One thread.
#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "semper/store/backend.h"

namespace semper::testing {

class ComparingBackend final : public Backend {
 public:
  using Rows = std::map<Bytes, Bytes, std::less<>>;

  ComparingBackend() : states_{std::make_shared<const Rows>()} {}

  const Limits& limits() const override { return offered; }
  BackendTraits traits() const override {
    return {.wants_row_counts = false, .resolves_outcomes = true};
  }
  std::string url() const override { return "comparing:"; }

  Async<std::unique_ptr<Snapshot>> snapshot() override {
    co_return std::make_unique<State>(states_.size() - 1, states_.back());
  }

  Async<CommitReceipt> commit(CommitRequest request) override {
    for (const ReadRecord& read : request.reads) {
      if (slice(*states_[request.read_version], read.range) != slice(*states_.back(), read.range)) {
        ++conflicts;
        co_return fail(ErrorKind::conflict, "something in [" + to_printable(read.range.begin) +
                                                ", " + to_printable(read.range.end) +
                                                ") has changed");
      }
    }
    Rows rows = *states_.back();
    for (const Mutation& mutation : request.mutations) apply(rows, mutation);
    states_.push_back(std::make_shared<const Rows>(std::move(rows)));
    co_return CommitReceipt{states_.size() - 1, 0};
  }

  Async<std::unique_ptr<Watch>> watch(BytesView, Snapshot&) override {
    co_return fail(ErrorKind::unsupported, "no watches here");
  }
  Async<std::string> check() override { co_return std::string("nothing to check"); }
  std::vector<std::pair<std::string, std::int64_t>> statistics() const override { return {}; }
  Async<void> close() override { co_return Status{}; }

  const Rows& rows() const { return *states_.back(); }

  int conflicts = 0;
  Limits offered;

 private:
  class State final : public Snapshot {
   public:
    State(Version version, std::shared_ptr<const Rows> rows)
        : version_(version), rows_(std::move(rows)) {}

    Version version() const override { return version_; }
    Async<std::optional<Bytes>> get(BytesView key) override {
      const auto found = rows_->find(key);
      if (found == rows_->end()) co_return std::nullopt;
      co_return found->second;
    }
    Async<RangePage> get_range(const PageRequest& request) override {
      RangePage page;
      page.rows = slice(*rows_, request.range);
      if (request.order == Order::descending) std::reverse(page.rows.begin(), page.rows.end());
      page.more = page.rows.size() > request.rows;
      if (page.more) page.rows.resize(request.rows);
      co_return page;
    }

   private:
    Version version_;
    std::shared_ptr<const Rows> rows_;
  };

  static std::vector<KeyValue> slice(const Rows& rows, const KeyRange& range) {
    std::vector<KeyValue> out;
    for (auto at = rows.lower_bound(range.begin); at != rows.end() && at->first < range.end; ++at) {
      out.push_back({at->first, at->second});
    }
    return out;
  }

  static void apply(Rows& rows, const Mutation& mutation) {
    switch (mutation.type) {
      case Mutation::Type::set:
        rows[mutation.key] = mutation.value;
        break;
      case Mutation::Type::clear:
        rows.erase(mutation.key);
        break;
      case Mutation::Type::clear_range:
        rows.erase(rows.lower_bound(mutation.key), rows.lower_bound(mutation.value));
        break;
      case Mutation::Type::add: {
        Bytes& value = rows[mutation.key];
        value.resize(sizeof(std::uint64_t));
        const auto sum = load_little_endian_u64(value) + load_little_endian_u64(mutation.value);
        value.clear();
        append_little_endian_u64(value, sum);
        break;
      }
      case Mutation::Type::set_versionstamped_key:
      case Mutation::Type::set_versionstamped_value:
        throw std::logic_error("the comparing backend has no versionstamps");
    }
  }

  std::vector<std::shared_ptr<const Rows>> states_;  // by version
};

}  // namespace semper::testing
