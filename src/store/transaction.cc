#include "semper/store/transaction.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "marker.h"
#include "overlay.h"
#include "semper/base/assert.h"
#include "semper/base/internal/mutant.h"
#include "semper/store/too_old.h"

namespace semper {
namespace {

// Rows asked of a snapshot at a time where the caller set no lower limit.
constexpr std::size_t kPageRows = 1024;

Error limit_error(const char* what, std::size_t is, const char* limit_name, std::size_t limit) {
  return Error(ErrorKind::exhausted, Limit{limit_name, limit},
               std::string(what) + " of " + std::to_string(is) + " is over the store's limit " +
                   limit_name + " = " + std::to_string(limit) + "; split it, nothing was applied");
}

Limit duration_limit(Duration duration) {
  const auto span = std::chrono::duration_cast<std::chrono::milliseconds>(duration);
  return Limit{kTransactionDurationLimit, static_cast<std::uint64_t>(span.count())};
}

}  // namespace

class Transaction::Impl {
 public:
  Impl(std::shared_ptr<Backend> backend, Env env, TransactionOptions options)
      : backend_(std::move(backend)), env_(env), options_(options) {}

  Async<Snapshot*> snapshot() {
    if (!snapshot_) {
      SEMPER_CO_TRY(snapshot_, co_await backend_->snapshot());
      opened_at_ = env_.clock->now();
    }
    if (options_.read_version) {
      SEMPER_CO_TRY_STATUS(co_await fix(*snapshot_));
      if (snapshot_->version() != *options_.read_version) {
        co_return fail(ErrorKind::conflict,
                       "the store has changed since the version that this "
                       "transaction was begun at");
      }
    }
    co_return snapshot_.get();
  }

  Async<std::optional<Bytes>> get(BytesView key, ReadMode mode) {
    SEMPER_CO_TRY_STATUS(check_key(key));
    internal::Overlay::View mine;
    if (const auto* overlay = current_overlay()) mine = overlay->look(key);
    using Kind = internal::Overlay::Kind;
    if (mine.kind == Kind::value) co_return *mine.value;
    if (mine.kind == Kind::absent && !SEMPER_MUTANT("store_own_removals_unseen")) {
      co_return std::nullopt;
    }
    if (mine.kind == Kind::unreadable) co_return fail(internal::unreadable_error(key));
    SEMPER_CO_TRY(Snapshot * seen, co_await snapshot());
    auto value = co_await seen->get(key);
    if (!value) co_return fail(of_read(std::move(value).error()));
    note_answer();
    if (mode == ReadMode::serializable) record_read(KeyRange::point(key), *value ? 1 : 0);
    if (mine.kind == Kind::added) co_return internal::add_to_value(*value, mine.amount);
    co_return value;
  }

  Async<RangePage> get_range(KeyRange range, RangeOptions options) {
    RangePage out;
    std::size_t bytes = 0;
    while (!range.empty()) {
      SEMPER_CO_TRY(Snapshot * seen, co_await snapshot());
      const std::size_t missing =
          options.limit == 0 ? kPageRows : std::min(kPageRows, options.limit - out.rows.size());
      // Named: g++ 12 destroys an aggregate written inside a co_await expression twice.
      const PageRequest request{range, missing, options.order};
      SEMPER_CO_TRY(auto page, co_await read_page(*seen, request));
      note_answer();
      KeyRange covered = range;
      if (page.more) trim(covered, page.rows.back().key, options.order);
      std::vector<Bytes> seen_keys;
      if (options.mode == ReadMode::serializable) {
        for (const auto& row : page.rows) seen_keys.push_back(row.key);
      }
      SEMPER_CO_TRY(auto rows, merged(covered, std::move(page.rows), options.order));
      bool full = false;
      for (auto& row : rows) {
        full =
            bytes >= kRangeBytesMaximum || (options.limit != 0 && out.rows.size() == options.limit);
        if (full) break;
        bytes += row.key.size() + row.value.size();
        out.rows.push_back(std::move(row));
      }
      full = full || bytes >= kRangeBytesMaximum ||
             (options.limit != 0 && out.rows.size() == options.limit);
      const bool rest_in_page =
          full && !out.rows.empty() && is_before_end(out.rows.back().key, covered, options.order);
      if (rest_in_page) trim(covered, out.rows.back().key, options.order);
      if (options.mode == ReadMode::serializable) record_rows(covered, seen_keys);
      if (full) {
        out.more = rest_in_page || page.more;
        break;
      }
      if (!page.more) break;
      if (options.order == Order::ascending) {
        range.begin = covered.end;
      } else {
        range.end = covered.begin;
      }
    }
    co_return out;
  }

  void write(Mutation mutation) {
    if (auto checked = check_key(mutation.key); !checked) return keep(checked.error());
    const auto& limits = backend_->limits();
    if (mutation.type != Mutation::Type::clear_range &&
        mutation.value.size() > limits.value_bytes) {
      return keep(
          limit_error("the value's size", mutation.value.size(), "value_bytes", limits.value_bytes)
              .in("key " + to_printable(mutation.key)));
    }
    bytes_ += mutation.key.size() + mutation.value.size();
    mutations_.push_back(std::move(mutation));
  }

  void write_stamped(Mutation mutation, std::size_t stamp_offset) {
    const Bytes& target =
        mutation.type == Mutation::Type::set_versionstamped_key ? mutation.key : mutation.value;
    if (stamp_offset > target.size() || target.size() - stamp_offset < Versionstamp::store_size) {
      return keep(Error(ErrorKind::invalid_argument,
                        "a versionstamp needs 10 bytes at offset " + std::to_string(stamp_offset) +
                            " of a key or value of " + std::to_string(target.size())));
    }
    mutation.stamp_offset = static_cast<std::uint32_t>(stamp_offset);
    write(std::move(mutation));
  }

  Async<void> add_read_conflict_range(KeyRange range) {
    if (range.empty()) co_return Status{};
    if (!backend_->traits().wants_row_counts) {
      SEMPER_CO_TRY_STATUS(co_await snapshot());
      record_read(std::move(range), ReadRecord::kRowsUnknown);
      co_return Status{};
    }
    std::uint64_t rows = 0;
    SEMPER_CO_TRY(Snapshot * seen, co_await snapshot());
    for (KeyRange rest = range; !rest.empty();) {
      const PageRequest request{rest, kPageRows, Order::ascending};
      SEMPER_CO_TRY(auto page, co_await read_page(*seen, request));
      rows += page.rows.size();
      if (!page.more) break;
      rest.begin = key_after(page.rows.back().key);
    }
    record_read(std::move(range), rows);
    co_return Status{};
  }

  void add_write_conflict_range(KeyRange range) {
    if (range.empty()) return;
    bytes_ += range.begin.size() + range.end.size();
    write_conflicts_.push_back(std::move(range));
  }

  void record_read(KeyRange range, std::uint64_t rows) {
    if (SEMPER_MUTANT("store_reads_not_recorded")) return;
    bytes_ += range.begin.size() + range.end.size();
    reads_.push_back({std::move(range), rows});
  }

  Async<std::unique_ptr<Watch>> watch(BytesView key) {
    SEMPER_CO_TRY_STATUS(check_key(key));
    SEMPER_CO_TRY(Snapshot * seen, co_await snapshot());
    auto watch = co_await backend_->watch(key, *seen);
    if (!watch) co_return fail(of_read(std::move(watch).error()));
    co_return watch;
  }

  Async<Versionstamp> commit() {
    SEMPER_ASSERT(!finished_, "a transaction is committed once");
    finished_ = true;
    if (SEMPER_MUTANT("changes_nothing")) finished_ = true;
    if (first_error_) co_return fail(*first_error_);
    if (mutations_.empty() && write_conflicts_.empty()) co_return Versionstamp();
    const auto& limits = backend_->limits();
    if (bytes_ > limits.transaction_bytes) {
      co_return fail(limit_error("the transaction's size", bytes_, "transaction_bytes",
                                 limits.transaction_bytes));
    }
    if (mutations_.size() > limits.transaction_operations) {
      co_return fail(limit_error("the number of writes", mutations_.size(),
                                 "transaction_operations", limits.transaction_operations));
    }
    SEMPER_CO_TRY_STATUS(check_age());
    const bool marked = !backend_->traits().resolves_outcomes;
    CommitRequest request;
    if (marked) {  // the marker is a read
      SEMPER_CO_TRY(request.read_version, co_await marker_version());
    } else {
      request.read_version = options_.read_version ? *options_.read_version
                             : snapshot_           ? snapshot_->version()
                                                   : 0;
    }
    request.reads = std::move(reads_);
    if (!SEMPER_MUTANT("store_write_conflicts_dropped")) {
      request.write_conflicts = std::move(write_conflicts_);
    }
    request.mutations = std::move(mutations_);
    std::optional<internal::Marker> marker;
    if (marked) marker = internal::add_marker(*backend_, env_, request);
    snapshot_.reset();
    auto receipt = co_await backend_->commit(std::move(request));
    if (!receipt) {
      if (marker) internal::keep_for_later(*backend_, std::move(marker->removed));
      const bool unknown = receipt.error().kind() == ErrorKind::outcome_unknown;
      if (unknown && SEMPER_MUTANT("store_unknown_outcome_taken_for_failure")) {
        co_return fail(ErrorKind::conflict, "the commit did not take effect");
      }
      if (unknown && SEMPER_MUTANT("store_unknown_outcome_taken_for_success")) {
        co_return Versionstamp::complete(0, 0, 0);
      }
      // A cancelled coroutine can await nothing more, so it cannot find out either.
      const auto cancelled = (co_await asio::this_coro::cancellation_state).cancelled();
      if (marker && unknown && cancelled == asio::cancellation_type::none) {
        co_return co_await internal::resolve_marker(*backend_, env_, std::move(marker->key));
      }
      co_return fail(std::move(receipt).error());
    }
    if (marker) internal::forget_marker(*backend_, std::move(marker->key));
    co_return Versionstamp::complete(receipt->version, receipt->batch, 0);
  }

  Async<Version> version() {
    if (options_.read_version) co_return *options_.read_version;
    SEMPER_CO_TRY(Snapshot * seen, co_await snapshot());
    SEMPER_CO_TRY_STATUS(co_await fix(*seen));
    co_return seen->version();
  }

  // Where nothing was read, nobody else knows the marker's key, and any version does that the store
  // can still check from.
  Async<Version> marker_version() {
    const bool blind = reads_.empty() && !snapshot_ && !options_.read_version;
    if (blind) {
      if (const auto recent = backend_->recent_version()) co_return *recent;
    }
    co_return co_await version();
  }

  void keep(Error error) {
    if (!first_error_) first_error_ = std::move(error);
  }

  std::size_t size_bytes() const { return bytes_; }
  std::size_t operation_count() const { return mutations_.size(); }
  const Limits& limits() const { return backend_->limits(); }

 private:
  Status check_key(BytesView key) const {
    if (key.empty()) {
      return fail(ErrorKind::invalid_argument, "a key must not be empty");
    }
    if (key.size() > backend_->limits().key_bytes) {
      return fail(
          limit_error("the key's size", key.size(), "key_bytes", backend_->limits().key_bytes)
              .in("key " + to_printable(key, 64)));
    }
    return {};
  }

  // A snapshot's read times out because of its age and for no other reason: see Snapshot.
  Error of_read(Error error) const {
    if (error.kind() != ErrorKind::timeout) return error;
    const Limit limit = duration_limit(backend_->limits().transaction_duration);
    return Error(ErrorKind::timeout, limit, error.message());
  }

  Async<void> fix(Snapshot& snapshot) {
    auto fixed = co_await snapshot.fix_version();
    if (!fixed) co_return fail(of_read(std::move(fixed).error()));
    co_return fixed;
  }

  Async<RangePage> read_page(Snapshot& snapshot, const PageRequest& request) {
    auto page = co_await snapshot.get_range(request);
    if (!page) co_return fail(of_read(std::move(page).error()));
    co_return page;
  }

  // The first answer starts the time anew: an engine behind a network knows its version from then
  // on, and may have waited for it while its cluster recovered.
  void note_answer() {
    if (!std::exchange(answered_, true)) opened_at_ = env_.clock->now();
  }

  // Backends refuse reads of a snapshot that is too old; what was read in time counts no longer
  // either.
  Status check_age() const {
    const auto limit = backend_->limits().transaction_duration;
    if (!snapshot_ || env_.clock->now() - opened_at_ <= limit) return {};
    if (SEMPER_MUTANT("store_old_reads_commit")) return {};
    const Limit name = duration_limit(limit);
    return fail(
        Error(ErrorKind::timeout, name,
              "the transaction was open for longer than the store's limit transaction_duration = " +
                  std::to_string(name.value) + " ms; begin it anew, nothing was applied"));
  }

  // The writes so far, laid out for reading; null where there are none.
  const internal::Overlay* current_overlay() {
    if (mutations_.empty()) return nullptr;
    for (; overlaid_ < mutations_.size(); ++overlaid_) overlay_.apply(mutations_[overlaid_]);
    return &overlay_;
  }

  Result<std::vector<KeyValue>> merged(const KeyRange& covered, std::vector<KeyValue> rows,
                                       Order order) {
    const auto* overlay = current_overlay();
    if (overlay == nullptr) return rows;
    if (order == Order::descending) std::reverse(rows.begin(), rows.end());
    SEMPER_TRY(auto laid, overlay->merge(covered, std::move(rows)));
    if (order == Order::descending) std::reverse(laid.begin(), laid.end());
    return laid;
  }

  // The part of `range` up to and including `last`, in the given order.
  static void trim(KeyRange& range, const Bytes& last, Order order) {
    if (order == Order::ascending) {
      range.end = SEMPER_MUTANT("store_last_row_not_recorded") ? last : key_after(last);
    } else {
      range.begin = last;
    }
  }

  static bool is_before_end(const Bytes& last, const KeyRange& covered, Order order) {
    return order == Order::ascending ? key_after(last) < covered.end : covered.begin < last;
  }

  void record_rows(const KeyRange& covered, const std::vector<Bytes>& seen_keys) {
    const auto rows = std::count_if(seen_keys.begin(), seen_keys.end(),
                                    [&](const Bytes& key) { return covered.contains(key); });
    record_read(covered, static_cast<std::uint64_t>(rows));
  }

  std::shared_ptr<Backend> backend_;
  Env env_;
  TransactionOptions options_;
  std::unique_ptr<Snapshot> snapshot_;
  MonotonicTime opened_at_{};  // of snapshot_
  bool answered_ = false;
  std::vector<ReadRecord> reads_;
  std::vector<KeyRange> write_conflicts_;
  std::vector<Mutation> mutations_;
  internal::Overlay overlay_;
  std::size_t overlaid_ = 0;
  std::size_t bytes_ = 0;
  std::optional<Error> first_error_;
  bool finished_ = false;
};

Transaction::Transaction(std::shared_ptr<Backend> backend, Env env, TransactionOptions options)
    : impl_(std::make_unique<Impl>(std::move(backend), env, options)) {}
Transaction::Transaction(Transaction&&) noexcept = default;
Transaction& Transaction::operator=(Transaction&&) noexcept = default;
Transaction::~Transaction() = default;

Async<std::optional<Bytes>> Transaction::get(BytesView key, ReadMode mode) {
  return impl_->get(key, mode);
}
Async<RangePage> Transaction::get_range(KeyRange range, RangeOptions options) {
  return impl_->get_range(std::move(range), options);
}
Async<Version> Transaction::read_version() {
  return impl_->version();
}

void Transaction::set(BytesView key, BytesView value) {
  impl_->write({Mutation::Type::set, Bytes(key), Bytes(value), 0});
}
void Transaction::clear(BytesView key) {
  impl_->write({Mutation::Type::clear, Bytes(key), {}, 0});
}
void Transaction::clear_range(const KeyRange& range) {
  if (range.empty()) return;
  // The empty key begins every range but names no key.
  Bytes begin = range.begin.empty() ? Bytes(1, '\0') : range.begin;
  impl_->write({Mutation::Type::clear_range, std::move(begin), range.end, 0});
}
void Transaction::add(BytesView key, std::int64_t amount) {
  Bytes operand;
  append_little_endian_u64(operand, static_cast<std::uint64_t>(amount));
  impl_->write({Mutation::Type::add, Bytes(key), std::move(operand), 0});
}
void Transaction::set_versionstamped_key(Bytes key, std::size_t stamp_offset, BytesView value) {
  impl_->write_stamped({Mutation::Type::set_versionstamped_key, std::move(key), Bytes(value), 0},
                       stamp_offset);
}
void Transaction::set_versionstamped_value(BytesView key, Bytes value, std::size_t stamp_offset) {
  impl_->write_stamped({Mutation::Type::set_versionstamped_value, Bytes(key), std::move(value), 0},
                       stamp_offset);
}

Async<void> Transaction::add_read_conflict_range(KeyRange range) {
  return impl_->add_read_conflict_range(std::move(range));
}
void Transaction::add_write_conflict_range(KeyRange range) {
  impl_->add_write_conflict_range(std::move(range));
}
void Transaction::assume_unchanged(KeyRange range, std::uint64_t rows) {
  impl_->record_read(std::move(range), rows);
}
Async<std::unique_ptr<Watch>> Transaction::watch(BytesView key) {
  return impl_->watch(key);
}
Async<Versionstamp> Transaction::commit() {
  return impl_->commit();
}
std::size_t Transaction::size_bytes() const {
  return impl_->size_bytes();
}
std::size_t Transaction::operation_count() const {
  return impl_->operation_count();
}
const Limits& Transaction::limits() const {
  return impl_->limits();
}

}  // namespace semper
