// A recorded history, checked against the one order that the store itself claims: its stamps.
//
// Clients run random transactions that read first and then write values that nobody else writes.
// Each committed one is kept with what it read, what it wrote, its stamp, and the newest stamp that
// somebody had seen acknowledged when it began. Replaying all in the order of their stamps on a
// plain map must give each exactly what it read. A transaction without writes stands right after
// the last commit of its read version. No transaction may stand before one that was acknowledged
// when it began.
#include <algorithm>
#include <mutex>

#include "testing/conformance/world.h"

namespace semper::testing::conformance {
namespace {

constexpr int kClients = 12;
constexpr int kTransactionsEach = 60;
constexpr std::uint64_t kKeys = 6;

struct RangeRead {
  KeyRange range;
  RangeOptions options;
  RangePage page;
};

struct Record {
  std::vector<std::pair<Bytes, std::optional<Bytes>>> reads;
  std::vector<RangeRead> range_reads;
  std::vector<std::pair<KeyRange, std::optional<Bytes>>> writes;  // without a value: cleared
  std::optional<Versionstamp> stamp;                              // absent: nothing was written
  Version read_version = 0;
  Versionstamp acknowledged;  // the newest one when it began

  // Where it stands: after all commits up to here.
  Version position() const { return stamp ? stamp->version() : read_version; }
};

Bytes key_of(std::uint64_t i) {
  return "reg/" + std::to_string(i);
}

class Recorder {
 public:
  Versionstamp acknowledged() const {
    std::lock_guard lock(mutex_);
    return acknowledged_;
  }

  void keep(Record record) {
    std::lock_guard lock(mutex_);
    if (record.stamp) acknowledged_ = std::max(acknowledged_, *record.stamp);
    records_.push_back(std::move(record));
  }

  // In the order in which they must have taken effect.
  std::vector<Record> in_order() const {
    auto sorted = records_;
    std::stable_sort(sorted.begin(), sorted.end(), [](const Record& a, const Record& b) {
      if (a.stamp && b.stamp) return *a.stamp < *b.stamp;
      if (a.position() != b.position()) return a.position() < b.position();
      return a.stamp.has_value() && !b.stamp.has_value();
    });
    return sorted;
  }

 private:
  mutable std::mutex mutex_;
  Versionstamp acknowledged_ = Versionstamp::complete(0, 0, 0);
  std::vector<Record> records_;
};

Async<int> read_something(Random& random, Transaction& transaction, Record& record) {
  const auto reads = random.below(4);
  for (std::uint64_t i = 0; i < reads; ++i) {
    if (random.chance(0.3)) {
      const auto begin = random.below(kKeys);
      RangeRead read{{key_of(begin), key_of(begin + 1 + random.below(kKeys - begin))},
                     {.limit = random.below(4),
                      .order = random.chance(0.5) ? Order::ascending : Order::descending},
                     {}};
      SEMPER_CO_TRY(read.page, co_await transaction.get_range(read.range, read.options));
      record.range_reads.push_back(std::move(read));
    } else {
      const Bytes key = key_of(random.below(kKeys));
      SEMPER_CO_TRY(auto value, co_await transaction.get(key));
      record.reads.emplace_back(key, std::move(value));
    }
    if (random.chance(0.5)) co_await yield_now();
  }
  co_return 0;
}

void write_something(Random& random, Transaction& transaction, Record& record) {
  if (random.chance(0.25)) return;
  const auto writes = 1 + random.below(3);
  for (std::uint64_t i = 0; i < writes; ++i) {
    const auto number = random.below(kKeys);
    const Bytes key = key_of(number);
    if (random.chance(0.7)) {
      const Bytes value = to_hex(random.bytes(8));
      transaction.set(key, value);
      record.writes.emplace_back(KeyRange::point(key), value);
    } else if (random.chance(0.5)) {
      transaction.clear(key);
      record.writes.emplace_back(KeyRange::point(key), std::nullopt);
    } else {
      const KeyRange range{key, key_of(std::min(kKeys, number + 2))};
      transaction.clear_range(range);
      record.writes.emplace_back(range, std::nullopt);
    }
  }
}

Task<void> client(World& world, const Store& store, int number, Recorder& recorder) {
  SeededRandom random(world.seed() * 7919 + static_cast<std::uint64_t>(number));
  for (int i = 0; i < kTransactionsEach; ++i) {
    Record record;
    record.acknowledged = recorder.acknowledged();
    auto transaction = store.begin();
    record.read_version = must(co_await transaction.read_version());
    must(co_await read_something(random, transaction, record));
    write_something(random, transaction, record);
    const auto committed = co_await transaction.commit();
    if (!committed) {
      EXPECT_EQ(committed.error().kind(), ErrorKind::conflict) << committed.error().to_string();
      continue;
    }
    if (!record.writes.empty()) record.stamp = *committed;
    recorder.keep(std::move(record));
    if (random.chance(0.3)) co_await yield_now();
  }
}

using State = std::map<Bytes, Bytes>;

void check_reads(const Record& record, const State& state, const std::string& where) {
  for (const auto& [key, value] : record.reads) {
    const auto found = state.find(key);
    EXPECT_EQ(value, found == state.end() ? std::nullopt : std::optional(found->second))
        << where << " read key " << key;
  }
  for (const auto& [range, options, page] : record.range_reads) {
    Rows expected;
    for (const auto& [key, value] : state) {
      if (range.contains(key)) expected.push_back({key, value});
    }
    if (options.order == Order::descending) std::reverse(expected.begin(), expected.end());
    if (options.limit != 0 && expected.size() > options.limit) expected.resize(options.limit);
    EXPECT_EQ(page.rows, expected) << where << " read range " << range.begin << " to " << range.end;
  }
}

void apply_writes(const Record& record, State& state) {
  for (const auto& [range, value] : record.writes) {
    state.erase(state.lower_bound(range.begin), state.lower_bound(range.end));
    if (value) state[range.begin] = *value;
  }
}

Task<void> every_transaction_read_what_a_serial_run_gives(World& world) {
  const Store other = co_await world.open();
  Recorder recorder;
  co_await world.in_parallel(kClients, [&](int number) {
    return client(world, number % 2 == 0 ? world.store() : other, number, recorder);
  });
  const auto records = recorder.in_order();
  EXPECT_GT(records.size(), std::size_t{kClients} * kTransactionsEach / 8)
      << "almost everything was in conflict: too little was checked";
  State state;
  for (std::size_t i = 0; i < records.size() && !::testing::Test::HasFailure(); ++i) {
    const auto& record = records[i];
    const std::string where =
        "transaction " + std::to_string(i) + " at " +
        (record.stamp ? record.stamp->to_string() : "version " + std::to_string(record.position()));
    check_reads(record, state, where);
    apply_writes(record, state);
    EXPECT_GE(record.read_version, record.acknowledged.version())
        << where << " did not see a commit that was acknowledged before it began";
    if (record.stamp) {
      EXPECT_GT(*record.stamp, record.acknowledged)
          << where << " stands before a commit that was acknowledged before it began";
      EXPECT_TRUE(i == 0 || !records[i - 1].stamp || *records[i - 1].stamp != *record.stamp)
          << where << " has the stamp of another";
    }
  }
  EXPECT_EQ(co_await world.read_all(), [&] {
    Rows rows;
    for (const auto& [key, value] : state) rows.push_back({key, value});
    return rows;
  }());
}

constexpr Case kHistoryCases[] = {
    {"every_transaction_read_what_a_serial_run_gives",
     every_transaction_read_what_a_serial_run_gives},
};

}  // namespace

std::span<const Case> history_cases() {
  return kHistoryCases;
}

}  // namespace semper::testing::conformance
