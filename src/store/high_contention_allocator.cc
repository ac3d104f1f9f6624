#include "store/high_contention_allocator.h"

#include <limits>
#include <string>
#include <utility>

namespace semper::internal {
namespace {

// From the newest window on: it can be half full, the one after it is new to everybody but this
// transaction, which moves on as soon as it has half filled that.
constexpr int windows_maximum = 4;

// A window is at most half full, so each draw fails with a probability of at most one half: that
// many failures in a row mean that the records do not agree with the counter.
constexpr int draws_maximum = 128;

}  // namespace

HighContentionAllocator::HighContentionAllocator(const Subspace& subspace, Random& random)
    : counters_(subspace[0]), recent_(subspace[1]), random_(&random) {}

std::int64_t HighContentionAllocator::window_size(std::int64_t start) noexcept {
  // Small while numbers are short, so that they stay short; then larger, for less contention; never
  // so large that the records of one window are a burden.
  if (start < 255) return 64;
  if (start < 65535) return 1024;
  return 8192;
}

Async<std::int64_t> HighContentionAllocator::newest_window(Transaction& transaction) const {
  constexpr RangeOptions last{.limit = 1, .order = Order::descending, .mode = ReadMode::snapshot};
  SEMPER_CO_TRY(const auto page, co_await transaction.get_range(counters_.range(), last));
  if (page.rows.empty()) co_return 0;
  SEMPER_CO_TRY(const auto key, counters_.unpack(page.rows.front().key));
  SEMPER_CO_TRY(const auto start, key.get<std::int64_t>(0));
  if (start < 0 || start > std::numeric_limits<std::int64_t>::max() - 3 * window_size(start)) {
    co_return fail(ErrorKind::corrupt, "the prefix allocator's window begins at " +
                                           std::to_string(start) +
                                           ", which it never does; inspect the key " +
                                           to_printable(page.rows.front().key));
  }
  co_return start;
}

Async<std::int64_t> HighContentionAllocator::numbers_given(Transaction& transaction,
                                                           Bytes counter) const {
  SEMPER_CO_TRY(const auto value, co_await transaction.get(counter, ReadMode::snapshot));
  if (!value) co_return 0;
  if (value->size() != sizeof(std::uint64_t)) {
    co_return fail(ErrorKind::corrupt,
                   "the prefix allocator's counter has " + std::to_string(value->size()) +
                       " bytes instead of 8; inspect the key " + to_printable(counter));
  }
  co_return static_cast<std::int64_t>(load_little_endian_u64(*value));
}

Async<std::int64_t> HighContentionAllocator::enter_window(Transaction& transaction) const {
  SEMPER_CO_TRY(auto start, co_await newest_window(transaction));
  for (int windows = 0; windows < windows_maximum; ++windows) {
    const Bytes counter = counters_.pack({start});
    SEMPER_CO_TRY(const auto given, co_await numbers_given(transaction, counter));
    const auto size = window_size(start);
    if ((given + 1) * 2 < size) {
      if (windows > 0) {  // this one opens the window; what the older ones kept is of no more use
        transaction.clear_range({counters_.range().begin, counter});
        transaction.clear_range({recent_.range().begin, recent_.pack({start})});
      }
      transaction.add(counter, 1);
      KeyRange later_windows{key_after(counter), counters_.range().end};
      SEMPER_CO_TRY_STATUS(co_await transaction.add_read_conflict_range(std::move(later_windows)));
      co_return start;
    }
    start += size;
  }
  co_return fail(ErrorKind::corrupt, "the prefix allocator found no window with room from " +
                                         std::to_string(start) + " on; inspect the keys from " +
                                         to_printable(counters_.prefix()) + " on");
}

Async<std::int64_t> HighContentionAllocator::allocate(Transaction& transaction) const {
  SEMPER_CO_TRY(const auto start, co_await enter_window(transaction));
  const auto size = static_cast<std::uint64_t>(window_size(start));
  for (int draws = 0; draws < draws_maximum; ++draws) {
    const auto candidate = start + static_cast<std::int64_t>(random_->below(size));
    const Bytes record = recent_.pack({candidate});
    SEMPER_CO_TRY(const auto taken, co_await transaction.get(record, ReadMode::snapshot));
    if (taken) continue;
    SEMPER_CO_TRY_STATUS(co_await transaction.add_read_conflict_range(KeyRange::point(record)));
    transaction.set(record, "");
    co_return candidate;
  }
  co_return fail(ErrorKind::corrupt,
                 "the prefix allocator's window at " + std::to_string(start) +
                     " is full although its counter says otherwise; inspect the keys from " +
                     to_printable(recent_.prefix()) + " on");
}

}  // namespace semper::internal
