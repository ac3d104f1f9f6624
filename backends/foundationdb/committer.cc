#include "committer.h"

#include <utility>

#include "semper/base/assert.h"
#include "semper/base/internal/mutant.h"
#include "semper/store/versionstamp.h"

namespace semper::foundationdb {
namespace {

// FoundationDB takes the place of the stamp from the last four bytes.
Bytes with_stamp_offset(Bytes bytes, std::size_t offset) {
  append_little_endian_u32(bytes, static_cast<std::uint32_t>(offset));
  return bytes;
}

void write(RawTransaction& transaction, const KeySpace& keys, const Mutation& mutation) {
  const Bytes key = keys.in_cluster(mutation.key);
  const std::size_t prefix_bytes =
      SEMPER_MUTANT("fdb_stamp_beside_its_place") ? 0 : keys.prefix().size();
  using Type = Mutation::Type;
  switch (mutation.type) {
    case Type::set:
      return transaction.set(key, mutation.value);
    case Type::clear:
      return transaction.clear(key);
    case Type::clear_range:
      if (mutation.key >= mutation.value) return;
      if (SEMPER_MUTANT("fdb_end_of_a_cleared_range_forgotten")) return transaction.clear(key);
      return transaction.clear_range(key, keys.in_cluster(mutation.value));
    case Type::add:
      return transaction.atomic(key, mutation.value, mutation_type::kAdd);
    case Type::set_versionstamped_key:
      return transaction.atomic(with_stamp_offset(key, prefix_bytes + mutation.stamp_offset),
                                mutation.value, mutation_type::kSetVersionstampedKey);
    case Type::set_versionstamped_value:
      return transaction.atomic(key, with_stamp_offset(mutation.value, mutation.stamp_offset),
                                mutation_type::kSetVersionstampedValue);
  }
}

FdbError add_conflicts(RawTransaction& transaction, const KeySpace& keys, const KeyRange& range,
                       int type) {
  if (range.empty()) return 0;
  const KeyRange mapped{keys.in_cluster(range.begin), keys.in_cluster(range.end)};
  return transaction.add_conflict_range(mapped, type);
}

// Everything but the commit itself. FoundationDB's code: 0, or what it refuses.
FdbError fill(RawTransaction& transaction, const KeySpace& keys, const CommitRequest& request) {
  transaction.set_timeout(kCommitTimeout);
  transaction.disable_read_your_writes();
  if (!request.reads.empty()) transaction.set_read_version(request.read_version);
  for (const auto& read : request.reads) {
    if (SEMPER_MUTANT("fdb_reads_not_compared")) break;
    const auto code = add_conflicts(transaction, keys, read.range, conflict_range::kRead);
    if (code != 0) return code;
  }
  for (const auto& range : request.write_conflicts) {
    const auto code = add_conflicts(transaction, keys, range, conflict_range::kWrite);
    if (code != 0) return code;
  }
  for (const auto& mutation : request.mutations) write(transaction, keys, mutation);
  return 0;
}

std::size_t size_of(const CommitRequest& request) {
  std::size_t bytes = 0;
  for (const auto& mutation : request.mutations)
    bytes += mutation.key.size() + mutation.value.size();
  for (const auto& read : request.reads) bytes += read.range.begin.size() + read.range.end.size();
  for (const auto& range : request.write_conflicts) bytes += range.begin.size() + range.end.size();
  return bytes;
}

// Eight bytes of version and two of its place in the batch, big-endian.
CommitReceipt receipt_of(BytesView stamp) {
  SEMPER_ASSERT(stamp.size() == Versionstamp::store_size, "FoundationDB's stamps have 10 bytes");
  return {load_big_endian_u64(stamp), load_big_endian_u16(stamp.substr(8))};
}

}  // namespace

Async<CommitReceipt> Committer::commit(CommitRequest request) {
  auto connection = connection_;
  SEMPER_CO_TRY(const auto inside, connection->enter());
  // Reads alone hold as of their version.
  if (request.mutations.empty() && request.write_conflicts.empty()) {
    co_return CommitReceipt{request.read_version, 0};
  }
  SEMPER_CO_TRY(const auto room, connection->commit_bytes.take(size_of(request)));
  const Database& database = *connection->database;
  const MonotonicTime began = connection->env.clock->now();
  SEMPER_CO_TRY(auto transaction, database.begin());
  for (int number = 1;; ++number) {
    if (const auto code = fill(*transaction, connection->keys(), request); code != 0) {
      co_return fail(database.error(code, Stage::opening));
    }
    auto done = co_await attempt(*transaction);
    if (!done) {
      co_return fail(
          ErrorKind::outcome_unknown,
          "the caller was cancelled while its commit was under way: it is applied wholly "
          "or not at all");
    }
    const bool unknown = done->code == code::kCommitUnknownResult;
    if (unknown && SEMPER_MUTANT("fdb_unknown_outcome_taken_for_committed")) done->code = 0;
    if (done->code == 0) {
      Statistics::add(connection->statistics.commits, 1);
      connection->recent.saw(done->receipt.version, began);
      co_return done->receipt;
    }
    const bool again_at_once = unknown && SEMPER_MUTANT("fdb_unknown_outcome_sent_again");
    const bool passes = again_at_once || is_passing(database.api(), done->code);
    if (number == kCommitAttempts || !passes) {
      co_return fail(failed(done->code));
    }
    Statistics::add(connection->statistics.retries, 1);
    Future again = transaction->on_error(done->code);
    SEMPER_CO_TRY(const FdbError given_up, co_await again.ready());
    // Nothing was applied, whatever on_error says: it is done with what was.
    if (given_up != 0) co_return fail(database.error(given_up, Stage::opening));
  }
}

// Error: cancelled.
Async<Committer::Attempt> Committer::attempt(RawTransaction& transaction) {
  Attempt result;
  // To be asked for before the commit.
  Future stamp = transaction.get_versionstamp();
  Future commit = transaction.commit();
  SEMPER_CO_TRY(result.code, co_await commit.ready());
  if (result.code != 0) co_return result;
  SEMPER_CO_TRY(const FdbError stamped, co_await stamp.ready());
  SEMPER_ASSERT(stamped == 0, "a commit that writes has a versionstamp");
  result.receipt = receipt_of(stamp.key());
  co_return result;
}

Error Committer::failed(FdbError code) {
  Error error = connection_->database->error(code, Stage::committing);
  auto& statistics = connection_->statistics;
  if (error.kind() == ErrorKind::conflict) Statistics::add(statistics.conflicts, 1);
  if (error.kind() == ErrorKind::outcome_unknown) Statistics::add(statistics.outcomes_unknown, 1);
  // Versions jump when the cluster recovers: one from before is of no use to anybody.
  const bool forgets = !SEMPER_MUTANT("fdb_version_from_before_a_recovery_used");
  if (code == code::kTransactionTooOld && forgets) connection_->recent.forget();
  return error;
}

}  // namespace semper::foundationdb
