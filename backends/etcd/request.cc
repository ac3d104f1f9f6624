#include "request.h"

#include <algorithm>
#include <utility>

#include "semper/base/assert.h"
#include "semper/base/internal/mutant.h"

namespace semper::etcd {
namespace {

using Ops = std::vector<pb::RequestOp>;

pb::RequestOp& next(Ops& ops) {
  return ops.emplace_back();
}

void remove(pb::RequestOp& op, const Bytes& stored) {
  op.mutable_request_delete_range()->set_key(stored);
}

void remove(pb::RequestOp& op, const KeyRange& stored) {
  auto& request = *op.mutable_request_delete_range();
  request.set_key(stored.begin);
  request.set_range_end(stored.end);
}

// Side by side where they are few, otherwise in groups of groups.
void place(Ops ops, pb::TxnRequest& level) {
  if (ops.size() <= kOperationsUngrouped) {
    for (auto& op : ops) level.add_success()->Swap(&op);
    return;
  }
  const std::size_t size = group_size(ops.size());
  pb::TxnRequest* outer = nullptr;
  pb::TxnRequest* inner = nullptr;
  for (std::size_t i = 0; i < ops.size(); ++i) {
    if (i % (size * size) == 0) outer = level.add_success()->mutable_request_txn();
    if (i % size == 0) inner = outer->add_success()->mutable_request_txn();
    inner->add_success()->Swap(&ops[i]);
  }
}

}  // namespace

void RequestBuilder::add_guards(pb::TxnRequest& request, Version first) const {
  auto& stamp = *request.add_compare();
  stamp.set_result(pb::Compare::LESS);
  if (SEMPER_MUTANT("etcd_stamps_not_compared")) stamp.set_result(pb::Compare::NOT_EQUAL);
  stamp.set_target(pb::Compare::VALUE);
  stamp.set_key(layout_->stamp());
  Bytes value;
  append_big_endian_u64(value, first);
  stamp.set_value(std::move(value));
  compare_mod(*request.add_compare(), layout_->declared(), pb::Compare::EQUAL,
              guards_->declared_revision);
  compare_mod(*request.add_compare(), guards_->lane, pb::Compare::EQUAL, guards_->lane_revision);
  range(*request.add_failure(), layout_->stamp());
  range(*request.add_failure(), layout_->declared());
  range(*request.add_failure(), guards_->lane);
}

pb::TxnRequest RequestBuilder::build(const std::vector<Entry>& entries, Version first) {
  sent_ = Sent();
  pb::TxnRequest request;
  add_guards(request, first);
  for (std::size_t i = 0; i < entries.size(); ++i) add_part(request, entries[i], first + i, i);
  sent_.last = first + entries.size() - 1;
  Bytes stamp;
  append_big_endian_u64(stamp, sent_.last);
  put(*request.add_success(), layout_->stamp(), stamp);
  put(*request.add_success(), guards_->lane, std::move(stamp));
  SEMPER_ASSERT(static_cast<std::size_t>(request.success_size()) <= kLevelOperations,
                "a request of etcd's holds no more transactions than it takes");
  return request;
}

void RequestBuilder::add_part(pb::TxnRequest& outer, const Entry& entry, Version version,
                              std::size_t number) {
  auto& part = sent_.parts.emplace_back();
  part.version = version;
  const Effects effects = entry.plan->effects_at(version);
  Ops ops = operations(entry, effects, part, number);
  pb::TxnRequest* level = outer.add_success()->mutable_request_txn();
  if (entry.validated != nullptr) {
    compare_mod(*level->add_compare(), layout_->stamp(), pb::Compare::EQUAL,
                entry.validated->stamp_revision);
  }
  for (const auto& condition : entry.plan->conditions) {
    if (SEMPER_MUTANT("etcd_reads_not_compared")) break;
    *level->add_compare() = condition;
  }
  part.has_conditions = level->compare_size() > 0;
  if (!part.sums.empty()) {
    if (part.has_conditions) level = level->add_success()->mutable_request_txn();
    for (const auto& key : part.sums) {
      if (SEMPER_MUTANT("etcd_sum_not_compared")) break;
      compare_mod(*level->add_compare(), key, pb::Compare::EQUAL,
                  counters_->believed(key).revision);
      range(*level->add_failure(), key);
    }
  }
  place(std::move(ops), *level);
}

Ops RequestBuilder::operations(const Entry& entry, const Effects& effects, Sent::Part& part,
                               std::size_t number) const {
  Ops ops;
  for (const auto& [key, value] : effects.written) {
    if (!value && effects.cleared.overlaps(KeyRange::point(key))) continue;
    Bytes stored = layout_->stored(key);
    part.written.push_back(KeyRange::point(stored));
    if (value) {
      if (part.witness.empty()) part.witness = stored;
      put(next(ops), std::move(stored), *value);
    } else {
      remove(next(ops), stored);
    }
  }
  for (const auto& removed : effects.removed_ranges()) {
    const KeyRange stored{layout_->stored(removed.begin), layout_->stored(removed.end)};
    part.written.push_back(stored);
    remove(next(ops), stored);
  }
  add_sums(entry, effects, part, ops);
  if (!entry.plan->request.write_conflicts.empty()) {
    if (part.witness.empty()) part.witness = layout_->declared();
    put(next(ops), layout_->declared(), declared_with(*entry.plan, part.version));
  }
  if (part.witness.empty()) {
    part.witness = Layout::witness(guards_->lane, number);
    put(next(ops), part.witness, {});
  }
  return ops;
}

void RequestBuilder::add_sums(const Entry& entry, const Effects& effects, Sent::Part& part,
                              Ops& ops) const {
  for (const auto& [key, amount] : effects.added) {
    Bytes stored = layout_->stored(key);
    std::optional<Bytes> base;
    if (entry.validated != nullptr) {
      base = entry.validated->values.at(key);
    } else {
      base = counters_->believed(stored).value;
      part.sums.push_back(stored);
    }
    Bytes sum = add_to_value(base, amount);
    part.new_sums.emplace(stored, sum);
    if (part.witness.empty()) part.witness = stored;
    put(next(ops), std::move(stored), std::move(sum));
  }
}

Bytes RequestBuilder::declared_with(const Plan& plan, Version version) const {
  DeclaredWrites declared = guards_->declared;
  declared.add(version, plan.request.write_conflicts);
  return declared.encode();
}

PartOutcome outcome_of(const Sent::Part& part, const pb::ResponseOp& answer, Counters& counters) {
  const pb::TxnResponse* level = &answer.response_txn();
  if (part.has_conditions) {
    if (!level->succeeded()) return PartOutcome::conflict;
    if (part.sums.empty()) return PartOutcome::applied;
    if (level->responses_size() == 0) return PartOutcome::conflict;
    level = &level->responses(0).response_txn();
  }
  if (level->succeeded()) return PartOutcome::applied;
  const auto told = std::min(part.sums.size(), static_cast<std::size_t>(level->responses_size()));
  for (std::size_t i = 0; i < told; ++i) {
    Counters::Belief belief;
    if (const auto* row = only_row(level->responses(static_cast<int>(i)))) {
      belief.value = row->value();
      belief.revision = row->mod_revision();
    }
    counters.learn(part.sums[i], std::move(belief));
  }
  return PartOutcome::sums_overtaken;
}

void learn_writes(const Sent::Part& part, Revision revision, Counters& counters) {
  for (const auto& range : part.written) counters.forget(range);
  for (const auto& [key, value] : part.new_sums) counters.learn(key, {value, revision});
}

}  // namespace semper::etcd
