#include "semper/base/aggregate.h"

#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

namespace semper {
namespace {

struct Empty {};
struct WithAlias {
  using Reply = std::int64_t;
  std::int64_t by = 1;
};
struct Point {
  int x;
  int y;
};
struct Nested {
  Point from;
  Point to;
  std::optional<Point> via;
};
enum class OneColour { red };
template <class T>
struct One {
  T value;
};
template <class T>
struct Three {
  T first;
  int between = 7;
  T last = {};
};
struct Recursive {
  int value = 0;
  std::vector<Recursive> children;
  std::map<std::string, Recursive> named;
};
struct NoDefault {
  explicit NoDefault(int) {}
  NoDefault(NoDefault&&) = default;
};
struct WithNoDefault {
  int first;
  NoDefault second;
  int third = 1;
};
struct ThirtyTwo {
  int a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v, w, x, y, z, aa, ab, ac, ad,
      ae;
  std::string last;
};

static_assert(field_count<Empty> == 0);
static_assert(field_count<WithAlias> == 1);
static_assert(field_count<const Point> == 2);
static_assert(field_count<Nested> == 3);
static_assert(field_count<Recursive> == 3);
static_assert(field_count<WithNoDefault> == 3);
static_assert(field_count<ThirtyTwo> == 32);

// Fields whose own constructors take almost anything make the probe ambiguous if it is wrong.
template <class... Fields>
constexpr bool each_counts_as_one() {
  return ((field_count<One<Fields>> == 1 && field_count<Three<Fields>> == 3) && ...);
}
static_assert(
    each_counts_as_one<bool, char, int, double, OneColour, Empty, Point, Nested, WithAlias>());
static_assert(each_counts_as_one<std::string, std::string_view, std::filesystem::path>());
static_assert(each_counts_as_one<std::optional<int>, std::optional<std::string>,
                                 std::optional<Point>, std::optional<std::vector<Point>>>());
static_assert(
    each_counts_as_one<std::variant<int, std::string>, std::variant<std::monostate, Point>,
                       std::variant<Empty, Nested>>());
static_assert(each_counts_as_one<std::vector<int>, std::vector<bool>, std::vector<std::string>,
                                 std::vector<std::byte>, std::deque<int>, std::list<Point>>());
static_assert(each_counts_as_one<std::map<int, std::string>, std::set<std::string>,
                                 std::unordered_map<std::string, Point>>());
static_assert(each_counts_as_one<std::array<int, 1>, std::array<int, 4>, std::array<Point, 2>,
                                 std::array<std::byte, 16>>());
static_assert(each_counts_as_one<std::pair<int, std::string>, std::tuple<int>,
                                 std::tuple<int, std::string, Point>>());
static_assert(each_counts_as_one<std::chrono::nanoseconds, std::chrono::duration<double>,
                                 std::chrono::system_clock::time_point>());
static_assert(
    each_counts_as_one<std::unique_ptr<int>, std::shared_ptr<int>, std::function<void()>, int*>());

// What field_count refuses to compile, told by the same functions.
struct Base {
  int inherited;
};
struct EmptyBase {};
struct WithBase : Base {
  int own;
};
struct WithEmptyBase : EmptyBase {
  int own;
};
struct WithArray {
  int before;
  int array[3];
  std::string after;
};
struct WithLastArray {
  Point before;
  std::string array[2];
};
struct TooMany {
  int before;
  char characters[32];
};
static_assert(internal::has_base<WithBase>());
static_assert(internal::has_base<WithEmptyBase>());
static_assert(!internal::has_base<Nested>());
static_assert(!internal::has_base<Empty>());
static_assert(internal::has_array<WithArray>(std::make_index_sequence<5>()));
static_assert(internal::has_array<WithLastArray>(std::make_index_sequence<3>()));
static_assert(!internal::has_array<Nested>(std::make_index_sequence<3>()));
static_assert(internal::most_initialisers<TooMany>() > kMaxFields);

TEST(AggregateTest, fields_are_visited_in_order_and_by_reference) {
  Three<std::string> value{"a", 2, "c"};
  visit_fields(value, [](std::string& first, int& between, std::string& last) {
    first += "1";
    between += 1;
    last += "3";
  });
  EXPECT_EQ(value.first, "a1");
  EXPECT_EQ(value.between, 3);
  EXPECT_EQ(value.last, "c3");
}

TEST(AggregateTest, fields_of_a_const_object_are_const) {
  const Point point{1, 2};
  const int sum = visit_fields(point, [](auto& x, auto& y) {
    static_assert(std::is_const_v<std::remove_reference_t<decltype(x)>>);
    return x + y;
  });
  EXPECT_EQ(sum, 3);
}

TEST(AggregateTest, an_empty_aggregate_is_visited_with_no_fields) {
  const Empty empty;
  EXPECT_EQ(visit_fields(empty, [](auto&... fields) { return sizeof...(fields); }), 0u);
}

TEST(AggregateTest, the_largest_aggregate_is_visited_with_all_its_fields) {
  ThirtyTwo value{};
  value.ae = 31;
  value.last = "last";
  visit_fields(value, [](auto&... fields) {
    const auto all = std::tie(fields...);
    EXPECT_EQ(std::get<30>(all), 31);
    EXPECT_EQ(std::get<31>(all), "last");
  });
}

}  // namespace
}  // namespace semper
