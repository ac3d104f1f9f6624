#include "common/suggest.h"

#include <gtest/gtest.h>

namespace semper::cli {
namespace {

const std::vector<std::string> kKnown = {"Counter", "Order", "ls", "show", "store get"};

TEST(Suggest, a_slip_of_the_finger_finds_the_word) {
  for (const char* word : {"Conter", "Countr", "Coutner", "counter", "Countter", "Xounter"}) {
    EXPECT_EQ(closest(word, kKnown), "Counter") << word;
  }
  EXPECT_EQ(closest("shwo", kKnown), "show");
  EXPECT_EQ(closest("l", kKnown), "ls");
  EXPECT_EQ(did_you_mean("Ordr", kKnown), "; did you mean Order?");
}

TEST(Suggest, another_word_finds_none) {
  for (const char* word : {"Account", "xx", "", "frobnicate", "x"}) {
    EXPECT_EQ(closest(word, kKnown), "") << word;
  }
  EXPECT_EQ(closest(std::string(10'000, 'C'), kKnown), "");
  EXPECT_EQ(did_you_mean("Account", kKnown), "");
}

TEST(Suggest, a_list_of_many_names_is_cut_and_says_so) {
  EXPECT_EQ(listed({}), "none");
  EXPECT_EQ(listed({"a", "b"}), "a, b");
  const std::vector<std::string> many(30, "T");
  EXPECT_TRUE(listed(many).ends_with("T and 18 more")) << listed(many);
}

}  // namespace
}  // namespace semper::cli
