#include "model_kv_test_support.h"

#include <algorithm>
#include <set>
#include <string>
#include <utility>

#include "backends/etcd/plan.h"
#include "backends/etcd/range_set.h"

namespace semper::etcd::testing {
namespace {

Error refusal(const char* sentence) {
  return Error(ErrorKind::invalid_argument, std::string("etcdserver: ") + sentence);
}

// etcd's checkTxnRequest.
Status check_levels(const pb::TxnRequest& request, int left) {
  const int most =
      std::max({request.compare_size(), request.success_size(), request.failure_size()});
  if (most > left) return fail(refusal("too many operations in txn request"));
  for (const auto* ops : {&request.success(), &request.failure()}) {
    for (const auto& op : *ops) {
      if (op.has_request_txn()) SEMPER_TRY_STATUS(check_levels(op.request_txn(), left - most));
    }
  }
  return {};
}

// etcd's checkIntervals, where the branches not taken write nothing.
void collect(const pb::TxnRequest& request, std::vector<Bytes>& puts, RangeSet& removals) {
  for (const auto& op : request.success()) {
    if (op.has_request_put()) puts.push_back(op.request_put().key());
    if (op.has_request_delete_range()) {
      const auto& removal = op.request_delete_range();
      const Bytes end =
          removal.range_end().empty() ? key_after(removal.key()) : Bytes(removal.range_end());
      removals.add({removal.key(), end});
    }
    if (op.has_request_txn()) collect(op.request_txn(), puts, removals);
  }
}

Status check_writes(const pb::TxnRequest& request) {
  std::vector<Bytes> puts;
  RangeSet removals;
  collect(request, puts, removals);
  std::set<Bytes> each;
  for (const auto& key : puts) {
    if (!each.insert(key).second || removals.overlaps(KeyRange::point(key))) {
      return fail(refusal("duplicate key given in txn request"));
    }
  }
  return {};
}

template <class T>
bool compare(pb::Compare::CompareResult result, const T& is, const T& to) {
  switch (result) {
    case pb::Compare::EQUAL:
      return is == to;
    case pb::Compare::GREATER:
      return is > to;
    case pb::Compare::LESS:
      return is < to;
    default:
      return is != to;
  }
}

}  // namespace

const ModelKv::Row* ModelKv::row(const Bytes& key, Revision revision) const {
  const auto found = history_.find(key);
  if (found == history_.end()) return nullptr;
  const auto after = found->second.upper_bound(revision);
  if (after == found->second.begin()) return nullptr;
  const auto& row = std::prev(after)->second;
  return row ? &*row : nullptr;
}

bool ModelKv::holds(const pb::Compare& condition) const {
  const Bytes end =
      condition.range_end().empty() ? key_after(condition.key()) : Bytes(condition.range_end());
  const auto one = [&](const Row* found) {
    static const Row kNone;
    const Row& is = found == nullptr ? kNone : *found;
    switch (condition.target()) {
      case pb::Compare::VERSION:
        return compare(condition.result(), is.version, condition.version());
      case pb::Compare::CREATE:
        return compare(condition.result(), is.created, condition.create_revision());
      case pb::Compare::MOD:
        return compare(condition.result(), is.modified, condition.mod_revision());
      default:
        return found != nullptr && compare(condition.result(), is.value, Bytes(condition.value()));
    }
  };
  bool any = false;
  for (auto key = history_.lower_bound(condition.key()); key != history_.end() && key->first < end;
       ++key) {
    const Row* found = row(key->first, revision_);
    if (found == nullptr) continue;
    any = true;
    if (!one(found)) return false;
  }
  return any || one(nullptr);
}

void ModelKv::choose(const pb::TxnRequest& request, std::vector<bool>& path) const {
  const bool good = std::all_of(request.compare().begin(), request.compare().end(),
                                [&](const pb::Compare& condition) { return holds(condition); });
  path.push_back(good);
  for (const auto& op : good ? request.success() : request.failure()) {
    if (op.has_request_txn()) choose(op.request_txn(), path);
  }
}

Result<pb::RangeResponse> ModelKv::range(const pb::RangeRequest& request) const {
  const Revision at = request.revision() == 0 ? revision_ : request.revision();
  if (at <= compacted_) {
    return fail(ErrorKind::conflict, "etcdserver: mvcc: required revision has been compacted");
  }
  const Bytes end =
      request.range_end().empty() ? key_after(request.key()) : Bytes(request.range_end());
  pb::RangeResponse response;
  for (auto key = history_.lower_bound(request.key()); key != history_.end() && key->first < end;
       ++key) {
    const Row* found = row(key->first, at);
    if (found == nullptr) continue;
    response.set_count(response.count() + 1);
    if (found->modified < request.min_mod_revision()) continue;
    auto& made = *response.add_kvs();
    made.set_key(key->first);
    if (!request.keys_only()) made.set_value(found->value);
    made.set_mod_revision(found->modified);
    made.set_create_revision(found->created);
    made.set_version(found->version);
  }
  return response;
}

void ModelKv::remove(const pb::DeleteRangeRequest& request, Revision revision) {
  const Bytes end =
      request.range_end().empty() ? key_after(request.key()) : Bytes(request.range_end());
  for (auto key = history_.lower_bound(request.key()); key != history_.end() && key->first < end;
       ++key) {
    if (row(key->first, revision) == nullptr) continue;
    key->second.insert_or_assign(revision, std::nullopt);
    changed_ = true;
  }
}

Status ModelKv::carry_out(const pb::TxnRequest& request, const std::vector<bool>& path,
                          std::size_t& place, Revision revision, pb::TxnResponse& response) {
  response.set_succeeded(path[place++]);
  for (const auto& op : response.succeeded() ? request.success() : request.failure()) {
    auto& answer = *response.add_responses();
    if (op.has_request_range()) {
      SEMPER_TRY(*answer.mutable_response_range(), range(op.request_range()));
    } else if (op.has_request_put()) {
      const Row* before = row(op.request_put().key(), revision);
      Row after;
      after.value = op.request_put().value();
      after.created = before == nullptr ? revision : before->created;
      after.version = before == nullptr ? 1 : before->version + 1;
      after.modified = revision;
      history_[op.request_put().key()].insert_or_assign(revision, std::move(after));
      changed_ = true;
      answer.mutable_response_put();
    } else if (op.has_request_delete_range()) {
      remove(op.request_delete_range(), revision);
      answer.mutable_response_delete_range();
    } else {
      SEMPER_TRY_STATUS(
          carry_out(op.request_txn(), path, place, revision, *answer.mutable_response_txn()));
    }
  }
  return {};
}

Result<pb::TxnResponse> ModelKv::apply(const pb::TxnRequest& request) {
  SEMPER_TRY_STATUS(check_levels(request, static_cast<int>(kLevelOperations)));
  SEMPER_TRY_STATUS(check_writes(request));
  std::vector<bool> path;
  choose(request, path);
  changed_ = false;
  std::size_t place = 0;
  pb::TxnResponse response;
  SEMPER_TRY_STATUS(carry_out(request, path, place, revision_ + 1, response));
  if (changed_) ++revision_;
  response.mutable_header()->set_revision(revision_);
  return response;
}

Async<void> ModelKv::delay() {
  const auto most = static_cast<std::uint64_t>(faults_.delay.count());
  return sleep_for(*env_.clock, Duration(static_cast<std::int64_t>(env_.random->below(most + 1))));
}

Async<pb::TxnResponse> ModelKv::read(const pb::TxnRequest& request) {
  SEMPER_CO_TRY_STATUS(co_await delay());
  co_return apply(request);
}

Task<Written<pb::TxnResponse>> ModelKv::write(const pb::TxnRequest& request) {
  const auto failed = [](Error error, Fate fate) {
    return Written<pb::TxnResponse>(
        tl::unexpected<WriteFailure>(WriteFailure{std::move(error), fate}));
  };
  const Error lost(ErrorKind::io, "the connection was lost");
  ++writes_;
  last_write_ = request;
  most_at_once_ = std::max(most_at_once_, ++at_once_);
  static_cast<void>(co_await delay());
  --at_once_;
  auto& random = *env_.random;
  if (random.chance(faults_.refused)) co_return failed(lost, Fate::refused);
  if (random.chance(faults_.lost_before)) co_return failed(lost, Fate::unknown);
  if (random.chance(faults_.late)) {
    const auto most = static_cast<std::uint64_t>(faults_.late_by.count());
    auto arrives = [](ModelKv& self, pb::TxnRequest late, Duration after) -> Task<void> {
      if (co_await sleep_for(*self.env_.clock, after)) static_cast<void>(self.apply(late));
    };
    const auto executor = co_await asio::this_coro::executor;
    const Duration after(static_cast<std::int64_t>(random.below(most)));
    asio::co_spawn(executor, arrives(*this, request, after), asio::detached);
    co_return failed(lost, Fate::unknown);
  }
  if (full_ != Full::no) {
    if (full_ == Full::carried_out) static_cast<void>(apply(request));
    co_return failed(Error(ErrorKind::exhausted, "etcdserver: mvcc: database space exceeded"),
                     Fate::processed);
  }
  auto response = apply(request);
  if (random.chance(faults_.lost_after)) co_return failed(lost, Fate::unknown);
  static_cast<void>(co_await delay());
  if (!response) co_return failed(response.error(), Fate::refused);
  co_return std::move(*response);
}

std::optional<Bytes> ModelKv::value(const Bytes& key) const {
  const Row* found = row(key, revision_);
  if (found == nullptr) return std::nullopt;
  return found->value;
}

Revision ModelKv::modified(const Bytes& key) const {
  const Row* found = row(key, revision_);
  return found == nullptr ? 0 : found->modified;
}

std::vector<Bytes> ModelKv::keys(const KeyRange& range) const {
  std::vector<Bytes> found;
  for (auto key = history_.lower_bound(range.begin);
       key != history_.end() && key->first < range.end; ++key) {
    if (row(key->first, revision_) != nullptr) found.push_back(key->first);
  }
  return found;
}

void ModelKv::put(const Bytes& key, Bytes value) {
  pb::TxnRequest request;
  etcd::put(*request.add_success(), key, std::move(value));
  static_cast<void>(apply(request));
}

}  // namespace semper::etcd::testing
