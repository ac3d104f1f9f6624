// Reading one's own writes, the order of writes, and adding without reading.
#include <algorithm>
#include <limits>

#include "testing/conformance/world.h"

namespace semper::testing::conformance {
namespace {

Task<void> own_writes_are_read_before_the_commit(World& world) {
  co_await world.put(rows_of("old", "1", "gone", "1", "r/1", "1", "r/2", "1"));
  auto transaction = world.begin();
  transaction.set("old", "2");
  transaction.set("new", "2");
  transaction.clear("gone");
  transaction.clear_range({"r/", "r0"});
  transaction.set("r/2", "2");
  EXPECT_EQ(must(co_await transaction.get("old")), "2");
  EXPECT_EQ(must(co_await transaction.get("new")), "2");
  EXPECT_EQ(must(co_await transaction.get("gone")), std::nullopt);
  EXPECT_EQ(must(co_await transaction.get("r/1")), std::nullopt);
  EXPECT_EQ(must(co_await transaction.get("r/2")), "2");
  EXPECT_EQ(co_await world.read("old"), "1") << "nobody else sees it before the commit";
  co_await world.must_commit(transaction);
  EXPECT_EQ(co_await world.read_all(), rows_of("new", "2", "old", "2", "r/2", "2"));
}

Task<void> writes_apply_in_the_order_they_were_made(World& world) {
  co_await world.put(rows_of("a", "0", "r/1", "0", "r/2", "0"));
  auto transaction = world.begin();
  transaction.set("a", "1");
  transaction.clear("a");
  transaction.set("a", "2");
  transaction.set("b", "1");
  transaction.clear("b");
  transaction.set("r/3", "1");
  transaction.clear_range({"r/", "r0"});
  transaction.set("r/2", "2");
  transaction.clear_range({"r/2", "r/2"});
  transaction.set("sum", number(40));
  transaction.add("sum", 2);
  transaction.add("cleared", 1);
  transaction.clear("cleared");
  co_await world.must_commit(transaction);
  EXPECT_EQ(co_await world.read_all(), rows_of("a", "2", "r/2", "2", "sum", number(42)));
}

Task<void> an_add_counts_from_zero_wraps_and_goes_below(World& world) {
  co_await world.put(rows_of("high", number(~std::uint64_t{0}),  //
                             "signed", number(~std::uint64_t{0} >> 1)));
  auto transaction = world.begin();
  transaction.add("absent", 7);
  transaction.add("below", -1);
  transaction.add("high", 3);
  transaction.add("signed", 1);
  transaction.add("least", std::numeric_limits<std::int64_t>::min());
  co_await world.must_commit(transaction);
  EXPECT_EQ(co_await world.read("absent"), number(7));
  EXPECT_EQ(co_await world.read("below"), number(~std::uint64_t{0}));
  EXPECT_EQ(co_await world.read("high"), number(2));
  EXPECT_EQ(co_await world.read("signed"), number(std::uint64_t{1} << 63));
  EXPECT_EQ(co_await world.read("least"), number(std::uint64_t{1} << 63));
}

Task<void> an_add_to_another_length_makes_eight_bytes(World& world) {
  co_await world.put(
      rows_of("empty", "", "short", "\xff", "long", number(5) + "and more that is cut off"));
  auto transaction = world.begin();
  transaction.add("empty", 1);
  transaction.add("short", 1);
  transaction.add("long", 1);
  co_await world.must_commit(transaction);
  EXPECT_EQ(co_await world.read("empty"), number(1));
  EXPECT_EQ(co_await world.read("short"), number(256));
  EXPECT_EQ(co_await world.read("long"), number(6));
}

Task<void> an_add_is_read_back_by_its_own_transaction(World& world) {
  co_await world.put(rows_of("there", number(10)));
  auto transaction = world.begin();
  transaction.add("there", 1);
  transaction.add("there", 1);
  transaction.add("new", 5);
  EXPECT_EQ(must(co_await transaction.get("there")), number(12));
  EXPECT_EQ(must(co_await transaction.get("new")), number(5));
  EXPECT_EQ(must(co_await transaction.get_range({"a", "z"})).rows,
            rows_of("new", number(5), "there", number(12)));
  transaction.clear("there");
  transaction.add("there", 3);
  EXPECT_EQ(must(co_await transaction.get("there")), number(3));
  co_await world.must_commit(transaction);
  EXPECT_EQ(co_await world.read("there"), number(3));
}

Task<void> an_add_that_was_read_back_conflicts_like_a_read(World& world) {
  auto reader = world.begin();
  reader.add("sum", 1);
  EXPECT_EQ(must(co_await reader.get("sum")), number(1));
  auto other = world.begin();
  other.add("sum", 1);
  co_await world.must_commit(other);
  co_await world.must_conflict(reader);
}

Task<void> adds_do_not_conflict_with_each_other(World& world) {
  auto first = world.begin();
  auto second = world.begin();
  must(co_await first.read_version());
  must(co_await second.read_version());
  first.add("sum", 1);
  second.add("sum", 10);
  co_await world.must_commit(second);
  co_await world.must_commit(first);
  EXPECT_EQ(co_await world.read("sum"), number(11));
}

// ---- against a model ----

using Model = std::map<Bytes, Bytes>;

Bytes model_sum(const Bytes& base, std::int64_t amount) {
  Bytes widened = base;
  widened.resize(8, '\0');
  return number(load_little_endian_u64(widened) + static_cast<std::uint64_t>(amount));
}

// Few keys, so that writes meet; some are prefixes of others, some not text.
Bytes drawn_key(Random& random) {
  static const std::vector<Bytes> keys = {
      "a",     Bytes("a\0", 2), Bytes("a\0b", 3), "aa", "ab", "b",
      "b\x7f", "b\x80",         "b\xfe",          "c",  "ca", "d"};
  return keys[random.below(keys.size())];
}

KeyRange drawn_range(Random& random) {
  KeyRange range{drawn_key(random), drawn_key(random)};
  if (random.chance(0.2)) range.begin = "";
  if (random.chance(0.2)) range.end = "\xff";
  if (random.chance(0.8) && range.end < range.begin) std::swap(range.begin, range.end);
  return range;
}

void write_at_random(Random& random, Transaction& transaction, Model& model) {
  const Bytes key = drawn_key(random);
  switch (random.below(5)) {
    case 0:
    case 1: {
      const Bytes value = random.bytes(random.below(12));
      transaction.set(key, value);
      model[key] = value;
      return;
    }
    case 2:
      transaction.clear(key);
      model.erase(key);
      return;
    case 3: {
      const auto amount = static_cast<std::int64_t>(random.next());
      transaction.add(key, amount);
      model[key] = model_sum(model[key], amount);
      return;
    }
    default: {
      const auto range = drawn_range(random);
      transaction.clear_range(range);
      if (!range.empty()) {
        model.erase(model.lower_bound(range.begin), model.lower_bound(range.end));
      }
      return;
    }
  }
}

Rows model_range(const Model& model, const KeyRange& range, Order order) {
  Rows rows;
  for (const auto& [key, value] : model) {
    if (range.contains(key)) rows.push_back({key, value});
  }
  if (order == Order::descending) std::reverse(rows.begin(), rows.end());
  return rows;
}

Async<int> read_at_random(Random& random, Transaction& transaction, const Model& model) {
  if (random.chance(0.4)) {
    const Bytes key = drawn_key(random);
    SEMPER_CO_TRY(const auto value, co_await transaction.get(key));
    const auto expected = model.find(key);
    EXPECT_EQ(value, expected == model.end() ? std::nullopt : std::optional(expected->second))
        << "key " << to_printable(key);
    co_return 0;
  }
  const auto range = drawn_range(random);
  const RangeOptions options{
      .limit = random.below(6),
      .order = random.chance(0.5) ? Order::ascending : Order::descending,
      .mode = random.chance(0.5) ? ReadMode::serializable : ReadMode::snapshot};
  SEMPER_CO_TRY(auto page, co_await transaction.get_range(range, options));
  auto expected = model_range(model, range, options.order);
  const bool cut = options.limit != 0 && expected.size() > options.limit;
  if (cut) expected.resize(options.limit);
  EXPECT_EQ(page.rows, expected) << "range [" << to_printable(range.begin) << ", "
                                 << to_printable(range.end) << ") limit " << options.limit
                                 << (options.order == Order::ascending ? "" : " descending");
  EXPECT_TRUE(page.more || !cut) << "rows are left, but `more` says there are none";
  EXPECT_TRUE(!page.more || page.rows.size() == options.limit) << "`more` without a reason";
  co_return 0;
}

// Random writes and reads in one transaction, each read compared with a plain map; then the whole
// store with that map.
Task<void> own_writes_mixed_with_reads_agree_with_a_model(World& world) {
  constexpr int kTransactions = 60;
  constexpr int kSteps = 40;
  Model committed;
  for (int i = 0; i < kTransactions; ++i) {
    Model model;
    must(co_await world.store().transact([&](Transaction& transaction) -> Async<int> {
      SeededRandom random(world.seed() * 1000 + static_cast<std::uint64_t>(i));
      model = committed;
      for (int step = 0; step < kSteps; ++step) {
        if (random.chance(0.5)) {
          write_at_random(random, transaction, model);
        } else {
          SEMPER_CO_TRY(auto read, co_await read_at_random(random, transaction, model));
          static_cast<void>(read);
        }
      }
      co_return 0;
    }));
    committed = model;
    EXPECT_EQ(co_await world.read_all(), model_range(committed, {"", "\xff"}, Order::ascending));
    if (::testing::Test::HasFailure()) {
      throw CaseFailure("transaction " + std::to_string(i) + " differs from the model");
    }
  }
}

constexpr Case kWriteCases[] = {
    {"own_writes_are_read_before_the_commit", own_writes_are_read_before_the_commit},
    {"writes_apply_in_the_order_they_were_made", writes_apply_in_the_order_they_were_made},
    {"an_add_counts_from_zero_wraps_and_goes_below", an_add_counts_from_zero_wraps_and_goes_below},
    {"an_add_to_another_length_makes_eight_bytes", an_add_to_another_length_makes_eight_bytes},
    {"an_add_is_read_back_by_its_own_transaction", an_add_is_read_back_by_its_own_transaction},
    {"an_add_that_was_read_back_conflicts_like_a_read",
     an_add_that_was_read_back_conflicts_like_a_read},
    {"adds_do_not_conflict_with_each_other", adds_do_not_conflict_with_each_other},
    {"own_writes_mixed_with_reads_agree_with_a_model",
     own_writes_mixed_with_reads_agree_with_a_model},
};

}  // namespace

std::span<const Case> write_cases() {
  return kWriteCases;
}

}  // namespace semper::testing::conformance
