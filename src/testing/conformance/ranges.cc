// Ranges: order of keys, limits, directions, paging, and values of every size.
#include <algorithm>
#include <set>

#include "testing/conformance/world.h"

namespace semper::testing::conformance {
namespace {

constexpr Order kBothOrders[] = {Order::ascending, Order::descending};

Task<Rows> page_through(World& world, KeyRange range, std::size_t limit, Order order) {
  auto transaction = world.begin();
  Rows rows;
  for (bool more = true; more;) {
    const auto page = must(co_await transaction.get_range(range, {.limit = limit, .order = order}));
    if (limit != 0) {
      EXPECT_LE(page.rows.size(), limit);
    }
    if (page.more && page.rows.empty()) throw CaseFailure("`more`, but not one row");
    more = page.more;
    if (!page.rows.empty()) {
      (order == Order::ascending ? range.begin : range.end) =
          order == Order::ascending ? key_after(page.rows.back().key) : page.rows.back().key;
    }
    rows.insert(rows.end(), page.rows.begin(), page.rows.end());
  }
  co_return rows;
}

std::vector<Bytes> keys_in_order() {
  return {Bytes("\0", 1),
          Bytes("\0\0", 2),
          Bytes("\0\xfe", 2),
          "\x01",
          "A",
          "a",
          Bytes("a\0", 2),
          Bytes("a\0\0", 3),
          "a\x01",
          "aa",
          "a\xff",
          "b",
          "\x7f",
          "\x80",
          "\xc3\xa4",
          "\xfe",
          "\xfe\xff"};
}

Task<void> keys_are_in_the_order_of_their_bytes(World& world) {
  const auto in_order = keys_in_order();
  Rows rows;
  for (const auto& key : in_order) rows.push_back({key, key});
  auto shuffled = rows;
  SeededRandom random(world.seed());
  for (std::size_t i = shuffled.size(); i > 1; --i) {
    std::swap(shuffled[i - 1], shuffled[random.below(i)]);
  }
  co_await world.put(shuffled);
  EXPECT_EQ(co_await world.read_all(), rows);
  for (std::size_t i = 0; i < in_order.size(); ++i) {
    EXPECT_EQ(co_await world.read(in_order[i]), in_order[i]);
    const auto before = co_await world.read_all({"", in_order[i]});
    EXPECT_EQ(before, Rows(rows.begin(), rows.begin() + static_cast<std::ptrdiff_t>(i)));
  }
}

std::vector<KeyRange> empty_ranges() {
  return {{"b", "b"}, {"c", "a"}, {"", ""}, {"aa", "b"}, {"d", "e"}};
}

Task<void> an_empty_range_is_empty(World& world) {
  co_await world.put(rows_of("a", "", "b", "", "c", ""));
  for (const auto& range : empty_ranges()) {
    for (const auto order : kBothOrders) {
      auto transaction = world.begin();
      const auto page = must(co_await transaction.get_range(range, {.order = order}));
      EXPECT_TRUE(page.rows.empty()) << range.begin << " to " << range.end;
      EXPECT_FALSE(page.more);
    }
  }
  auto clearing = world.begin();
  clearing.clear_range({"c", "a"});
  clearing.clear_range({"b", "b"});
  co_await world.must_commit(clearing);
  EXPECT_EQ((co_await world.read_all()).size(), 3u);
}

Task<void> the_end_is_not_included_and_the_begin_is(World& world) {
  co_await world.put(rows_of("a", "", "b", "", "c", ""));
  EXPECT_EQ(co_await world.read_all({"a", "c"}), rows_of("a", "", "b", ""));
  EXPECT_EQ(co_await world.read_all(KeyRange::point("b")), rows_of("b", ""));
  auto clearing = world.begin();
  clearing.clear_range({"a", "b"});
  co_await world.must_commit(clearing);
  EXPECT_EQ(co_await world.read_all(), rows_of("b", "", "c", ""));
}

Task<void> an_empty_value_is_not_an_absent_key(World& world) {
  co_await world.put(rows_of("empty", ""));
  EXPECT_EQ(co_await world.read("empty"), Bytes());
  EXPECT_EQ(co_await world.read("absent"), std::nullopt);
}

Task<void> a_limit_takes_from_the_end_that_was_asked_for(World& world) {
  co_await world.put(rows_of("a", "1", "b", "2", "c", "3"));
  auto transaction = world.begin();
  const auto first = must(co_await transaction.get_range({"a", "z"}, {.limit = 2}));
  EXPECT_EQ(first.rows, rows_of("a", "1", "b", "2"));
  EXPECT_TRUE(first.more);
  const auto last =
      must(co_await transaction.get_range({"a", "z"}, {.limit = 2, .order = Order::descending}));
  EXPECT_EQ(last.rows, rows_of("c", "3", "b", "2"));
  EXPECT_TRUE(last.more);
  const auto all = must(co_await transaction.get_range({"a", "z"}, {.limit = 4}));
  EXPECT_EQ(all.rows.size(), 3u);
  EXPECT_FALSE(all.more);
}

constexpr std::size_t kRows = 2'500;
constexpr std::size_t kLimits[] = {0, 7, 1'024, kRows};

Task<void> paging_by_any_limit_gives_each_row_once(World& world) {
  Rows rows;
  for (std::size_t i = 0; i < kRows; ++i) {
    const auto digits = std::to_string(10'000 + i);
    rows.push_back({"row/" + digits, digits});
  }
  co_await world.put(rows);
  for (const std::size_t limit : kLimits) {
    for (const auto order : kBothOrders) {
      auto paged = co_await page_through(world, {"row/", "row0"}, limit, order);
      if (order == Order::descending) std::reverse(paged.begin(), paged.end());
      EXPECT_TRUE(paged == rows) << "limit " << limit << ": " << paged.size() << " rows";
    }
  }
}

// The layers above ask engines for pages, and rely on both bounds.
Task<void> an_engines_page_has_at_most_the_rows_asked_for_and_at_least_one(World& world) {
  co_await world.put(rows_of("a", "1", "b", "2", "c", "3"));
  const auto snapshot = must(co_await world.store().backend().snapshot());
  for (std::size_t count = 1; count <= 4; ++count) {
    for (const auto order : kBothOrders) {
      const PageRequest request({"a", "z"}, count, order);
      const auto page = must(co_await snapshot->get_range(request));
      EXPECT_GE(page.rows.size(), 1u);
      EXPECT_LE(page.rows.size(), count);
      EXPECT_TRUE(page.more || page.rows.size() == 3) << "rows are left, but `more` says none";
      EXPECT_EQ(page.rows.front().key, order == Order::ascending ? "a" : "c");
    }
  }
}

// More bytes than one result may have: it stops and says so.
Task<void> a_result_over_the_byte_bound_is_paged(World& world) {
  const std::size_t value_size = std::min<std::size_t>(world.store().limits().value_bytes, 100'000);
  const std::size_t count = 2 * kRangeBytesMaximum / value_size + 2;
  for (std::size_t i = 0; i < count; ++i) {
    co_await world.put(rows_of("big/" + std::to_string(1'000 + i), Bytes(value_size, 'x')));
  }
  auto transaction = world.begin();
  const auto page = must(co_await transaction.get_range({"big/", "big0"}));
  EXPECT_TRUE(page.more);
  EXPECT_LE(page.rows.size() * value_size, kRangeBytesMaximum + 2 * value_size);
  for (const auto order : kBothOrders) {
    EXPECT_EQ((co_await page_through(world, {"big/", "big0"}, 0, order)).size(), count);
  }
}

std::set<std::size_t> sizes_up_to(std::size_t most) {
  std::set<std::size_t> sizes = {0, 1, most - 1, most};
  // Around the page sizes that engines have.
  for (std::size_t size = 64; size < most; size *= 2) {
    sizes.insert({size - 1, size, size + 1});
  }
  return sizes;
}

Task<void> values_of_every_size_come_back_as_they_were(World& world) {
  SeededRandom random(world.seed());
  const auto sizes = sizes_up_to(world.store().limits().value_bytes);
  for (const auto size : sizes) {
    const Bytes value = random.bytes(size);
    co_await world.put(rows_of("sized", value, "sized/" + std::to_string(size), value));
    EXPECT_TRUE(co_await world.read("sized") == value) << size << " bytes";
  }
  const auto rows = co_await world.read_all({"sized/", "sized0"});
  EXPECT_EQ(rows.size(), sizes.size());
  for (const auto& row : rows) EXPECT_EQ("sized/" + std::to_string(row.value.size()), row.key);
}

Task<void> a_key_of_the_greatest_size_is_found_and_ordered(World& world) {
  const std::size_t most = world.store().limits().key_bytes;
  const Bytes longest(most, 'k');
  Bytes next = longest;
  next.back() = 'l';
  const Bytes prefix = longest.substr(0, most - 1);
  co_await world.put(rows_of(next, "next", longest, "longest", prefix, "prefix"));
  EXPECT_EQ(co_await world.read(longest), "longest");
  EXPECT_EQ(co_await world.read_all(), rows_of(prefix, "prefix", longest, "longest", next, "next"));
  co_await world.clear(longest);
  EXPECT_EQ(co_await world.read(longest), std::nullopt);
}

constexpr Case kRangeCases[] = {
    {"keys_are_in_the_order_of_their_bytes", keys_are_in_the_order_of_their_bytes},
    {"an_empty_range_is_empty", an_empty_range_is_empty},
    {"the_end_is_not_included_and_the_begin_is", the_end_is_not_included_and_the_begin_is},
    {"an_empty_value_is_not_an_absent_key", an_empty_value_is_not_an_absent_key},
    {"a_limit_takes_from_the_end_that_was_asked_for",
     a_limit_takes_from_the_end_that_was_asked_for},
    {"paging_by_any_limit_gives_each_row_once", paging_by_any_limit_gives_each_row_once},
    {"an_engines_page_has_at_most_the_rows_asked_for_and_at_least_one",
     an_engines_page_has_at_most_the_rows_asked_for_and_at_least_one},
    {"a_result_over_the_byte_bound_is_paged", a_result_over_the_byte_bound_is_paged},
    {"values_of_every_size_come_back_as_they_were", values_of_every_size_come_back_as_they_were},
    {"a_key_of_the_greatest_size_is_found_and_ordered",
     a_key_of_the_greatest_size_is_found_and_ordered},
};

}  // namespace

std::span<const Case> range_cases() {
  return kRangeCases;
}

}  // namespace semper::testing::conformance
