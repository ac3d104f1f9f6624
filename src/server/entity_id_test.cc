#include "semper/server/entity_id.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace semper {
namespace {

using ::testing::HasSubstr;

TEST(EntityId, is_read_from_text_at_its_first_slash) {
  const auto id = EntityId::parse("package/libc6:amd64");
  ASSERT_TRUE(id) << id.error().to_string();
  EXPECT_EQ(id->type, "package");
  EXPECT_EQ(id->id, "libc6:amd64");
  EXPECT_EQ(EntityId::parse("page/home/of/ann")->id, "home/of/ann");
  EXPECT_EQ(EntityId::parse("page//")->id, "/");
  EXPECT_EQ(EntityId::parse(id->to_string()), *id);
}

TEST(EntityId, text_without_a_type_or_an_id_is_refused) {
  for (const char* text : {"", "package", "/", "package/", "/libc6"}) {
    const auto id = EntityId::parse(text);
    ASSERT_FALSE(id) << text;
    EXPECT_EQ(id.error().kind(), ErrorKind::invalid_argument);
  }
  EXPECT_THAT(EntityId::parse("package").error().message(), HasSubstr("TYPE/ID"));
  EXPECT_THAT(EntityId::parse("package/").error().message(), HasSubstr("id is empty"));
  EXPECT_THAT(EntityId::parse("/libc6").error().message(), HasSubstr("type is empty"));
}

TEST(EntityId, lengths_are_bounded_and_the_bound_is_named) {
  EXPECT_TRUE((EntityId{std::string(kEntityTypeBytesMaximum, 't'), "i"}.validate()));
  EXPECT_TRUE((EntityId{"t", std::string(kEntityIdBytesMaximum, 'i')}.validate()));
  const auto type = EntityId{std::string(kEntityTypeBytesMaximum + 1, 't'), "i"}.validate();
  ASSERT_FALSE(type);
  EXPECT_EQ(type.error().kind(), ErrorKind::invalid_argument);
  EXPECT_THAT(type.error().message(), HasSubstr("128"));
  const auto id = EntityId{"t", std::string(kEntityIdBytesMaximum + 1, 'i')}.validate();
  ASSERT_FALSE(id);
  EXPECT_EQ(id.error().kind(), ErrorKind::invalid_argument);
  EXPECT_THAT(id.error().message(), HasSubstr("1024"));
}

TEST(EntityId, what_is_not_utf8_text_is_refused) {
  for (const std::string& bad :
       {std::string("\xff"), std::string("a\xc3"), std::string("\xed\xa0\x80"),
        std::string("a\0b", 3), std::string("a\nb"), std::string("\x7f")}) {
    const auto as_id = EntityId{"t", bad}.validate();
    ASSERT_FALSE(as_id) << to_printable(bad);
    EXPECT_EQ(as_id.error().kind(), ErrorKind::invalid_argument);
    EXPECT_THAT(as_id.error().message(), HasSubstr("the entity's id"));
    const auto as_type = EntityId{bad, "i"}.validate();
    ASSERT_FALSE(as_type) << to_printable(bad);
    EXPECT_THAT(as_type.error().message(), HasSubstr("the entity's type"));
  }
  EXPECT_TRUE((EntityId{"t\xc3\xbcr", "\xe4\xb8\xad\xe6\x96\x87 and spaces"}.validate()));
}

TEST(EntityId, a_type_with_a_slash_is_refused_because_it_could_not_be_read_back) {
  const auto status = EntityId{"a/b", "c"}.validate();
  ASSERT_FALSE(status);
  EXPECT_THAT(status.error().message(), HasSubstr("slash"));
}

}  // namespace
}  // namespace semper
