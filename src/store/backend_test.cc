#include "semper/store/backend.h"

#include <gtest/gtest.h>

#include "backends/memory/memory.h"
#include "semper/testing/simulated_run.h"

namespace semper {
namespace {

using testing::simulated_run;
using testing::SimulatedClock;

TEST(StoreUrl, scheme_path_and_parameters_are_told_apart) {
  const auto url = StoreUrl::parse("sqlite:./a folder/data.db?cache_mib=4&readers=2&empty=");
  ASSERT_TRUE(url) << url.error().to_string();
  EXPECT_EQ(url->scheme, "sqlite");
  EXPECT_EQ(url->path, "./a folder/data.db");
  EXPECT_EQ(url->parameter("cache_mib"), "4");
  EXPECT_EQ(url->parameter("readers"), "2");
  EXPECT_EQ(url->parameter("empty"), "");
  EXPECT_EQ(url->parameter("absent"), std::nullopt);
  EXPECT_EQ(url->to_string(), "sqlite:./a folder/data.db?cache_mib=4&readers=2&empty=");
}

TEST(StoreUrl, a_path_may_be_empty_or_hold_colons) {
  EXPECT_EQ(StoreUrl::parse("memory:")->path, "");
  EXPECT_EQ(StoreUrl::parse("memory:?")->to_string(), "memory:");
  EXPECT_EQ(StoreUrl::parse("etcd:host:2379,other:2379")->path, "host:2379,other:2379");
}

TEST(StoreUrl, what_is_not_a_url_is_refused_with_an_example) {
  for (const char* text : {"", "data.db", ":path", "./data.db"}) {
    const auto url = StoreUrl::parse(text);
    ASSERT_FALSE(url) << text;
    EXPECT_EQ(url.error().kind(), ErrorKind::invalid_argument);
    EXPECT_NE(url.error().message().find("sqlite:./data.db"), std::string::npos);
  }
}

TEST(StoreUrl, a_parameter_without_a_name_or_value_is_refused_by_its_text) {
  for (const char* text : {"memory:?cache", "memory:?=4", "memory:?a=1&&b=2"}) {
    const auto url = StoreUrl::parse(text);
    ASSERT_FALSE(url) << text;
    EXPECT_EQ(url.error().kind(), ErrorKind::invalid_argument);
    EXPECT_NE(url.error().message().find("name=value"), std::string::npos);
  }
}

TEST(StoreUrl, an_unknown_parameter_is_refused_with_those_that_are_known) {
  const auto url = *StoreUrl::parse("x:?one=1&three=3");
  EXPECT_TRUE(url.allow_only({"one", "two", "three"}));
  const auto refused = url.allow_only({"one", "two"});
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message().find("three"), std::string::npos);
  EXPECT_NE(refused.error().message().find("one, two"), std::string::npos);
  EXPECT_NE(url.allow_only({}).error().message().find("takes none"), std::string::npos);
}

TEST(OpenBackend, an_unknown_scheme_is_refused_with_those_that_are_known) {
  register_backend("known-to-the-test", open_memory);
  SimulatedClock clock;
  const auto opened = simulated_run(clock, open_backend("nosuch:path", {}));
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().kind(), ErrorKind::invalid_argument);
  EXPECT_NE(opened.error().message().find("nosuch"), std::string::npos);
  EXPECT_NE(opened.error().message().find("known-to-the-test:"), std::string::npos);
  EXPECT_FALSE(simulated_run(clock, open_backend("no scheme", {})));
}

TEST(OpenBackend, a_registered_scheme_opens_and_a_second_registration_replaces_the_first) {
  SimulatedClock clock;
  int asked = 0;
  register_backend("mine", [&asked](StoreUrl, Env) -> Async<std::shared_ptr<Backend>> {
    ++asked;
    co_return fail(ErrorKind::unsupported, "the first registration");
  });
  EXPECT_EQ(simulated_run(clock, open_backend("mine:x", {})).error().kind(),
            ErrorKind::unsupported);
  register_backend("mine", open_memory);
  const auto opened = simulated_run(clock, open_backend("mine:x?value_bytes=9", {}));
  ASSERT_TRUE(opened);
  EXPECT_EQ((*opened)->limits().value_bytes, 9u);
  EXPECT_EQ(asked, 1);
}

}  // namespace
}  // namespace semper
