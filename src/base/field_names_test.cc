#include "semper/base/field_names.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace semper {
namespace {

using Names = std::vector<std::string>;

struct None {};
struct NamedOrder {
  std::int64_t amount = 1;
  std::string note;
  std::vector<std::map<int, std::string>> lines;
};
template <class A, class B>
struct Two {
  A first_of_them;
  B second;
};

TEST(FieldNames, they_are_those_of_the_source_in_order) {
  if (field_names<NamedOrder>().empty()) GTEST_SKIP() << "this compiler does not tell them";
  EXPECT_EQ(field_names<NamedOrder>(), Names({"amount", "note", "lines"}));
  EXPECT_EQ(field_names<None>(), Names());
  const Names two = field_names<Two<std::optional<NamedOrder>, std::map<int, NamedOrder>>>();
  EXPECT_EQ(two, Names({"first_of_them", "second"}));
  struct Local {
    double inside;
    NamedOrder order;
  };
  EXPECT_EQ(field_names<Local>(), Names({"inside", "order"}));
}

}  // namespace
}  // namespace semper
