#include "semper/base/type_name.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <string_view>
#include <vector>

struct GlobalCounter {
  struct Add {};
};

namespace shop {
struct Order {};
enum class State {};
template <class T>
struct Box {
  struct Item {};
};
}  // namespace shop

namespace semper {
namespace {

struct Hidden {
  struct Inner {};
};
struct Renamed {
  static constexpr std::string_view kName = "bank.withdrawal";
};
struct NamedWithPlace {
  static constexpr const char* kName = "bank::Account";
};

// Usable where only constants are.
static_assert(type_name<GlobalCounter::Add>() == "GlobalCounter::Add");

TEST(TypeNameTest, a_name_holds_its_namespace_and_enclosing_class) {
  EXPECT_EQ(type_name<GlobalCounter>(), "GlobalCounter");
  EXPECT_EQ(type_name<shop::Order>(), "shop::Order");
  EXPECT_EQ(type_name<shop::State>(), "shop::State");
  EXPECT_EQ(type_name<int>(), "int");
}

TEST(TypeNameTest, an_anonymous_namespace_is_not_shown) {
  EXPECT_EQ(type_name<Hidden>(), "semper::Hidden");
  EXPECT_EQ(type_name<Hidden::Inner>(), "semper::Hidden::Inner");
  EXPECT_EQ(type_name<shop::Box<Hidden>>(), "shop::Box<semper::Hidden>");
}

TEST(TypeNameTest, the_function_around_a_local_type_is_not_shown) {
  struct Local {
    struct Inner {};
  };
  EXPECT_EQ(type_name<Local>(), "Local");
  EXPECT_EQ(type_name<Local::Inner>(), "Local::Inner");
  const auto lambda = [](int) {
    struct Deep {};
    return type_name<Deep>();
  };
  EXPECT_EQ(lambda(0), "Deep");
}

TEST(TypeNameTest, template_arguments_stay_in_the_short_name) {
  EXPECT_EQ(type_name<shop::Box<shop::Box<shop::Order>>>(), "shop::Box<shop::Box<shop::Order>>");
  EXPECT_EQ(short_type_name<shop::Box<shop::Order>>(), "Box<shop::Order>");
  EXPECT_EQ(short_type_name<shop::Box<shop::Order>::Item>(), "Item");
}

TEST(TypeNameTest, the_short_name_has_no_namespace_or_enclosing_class) {
  EXPECT_EQ(short_type_name<GlobalCounter::Add>(), "Add");
  EXPECT_EQ(short_type_name<GlobalCounter>(), "GlobalCounter");
  EXPECT_EQ(short_type_name<Hidden::Inner>(), "Inner");
}

TEST(TypeNameTest, a_type_may_name_itself) {
  EXPECT_EQ(type_name<Renamed>(), "bank.withdrawal");
  EXPECT_EQ(short_type_name<Renamed>(), "bank.withdrawal");
  EXPECT_EQ(type_name<NamedWithPlace>(), "bank::Account");
  EXPECT_EQ(short_type_name<NamedWithPlace>(), "Account");
}

}  // namespace
}  // namespace semper
