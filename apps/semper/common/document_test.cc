#include "common/document.h"

#include <gtest/gtest.h>

#include "semper/base/cbor_json.h"
#include "semper/base/codec.h"

namespace semper::cli {
namespace {

std::string json(const Bytes& item) {
  const auto text = cbor_to_json(item);
  EXPECT_TRUE(text) << text.error().to_string();
  return text.value_or("");
}

TEST(Document, items_become_the_json_that_they_stand_for) {
  EXPECT_EQ(json(number_item(~std::uint64_t{0})), "18446744073709551615");
  EXPECT_EQ(json(signed_item(-7)), "-7");
  EXPECT_EQ(json(real_item(2)), "2.0");
  EXPECT_EQ(json(flag_item(true)), "true");
  EXPECT_EQ(json(null_item()), "null");
  EXPECT_EQ(json(text_item("a\"b")), R"("a\"b")");
  EXPECT_EQ(json(text_item("a\xff")), R"("a\\xff")") << "bytes that are no UTF-8";
}

TEST(Document, stored_bytes_never_break_the_document_they_are_put_into) {
  EXPECT_EQ(json(stored_item(encode(std::string("x")))), R"("x")");
  EXPECT_EQ(json(stored_item("\xff\x00")), R"({"$bytes":"ff"})");
  EXPECT_EQ(json(stored_item("")), R"({"$bytes":""})");
  const Bytes deep(2000, '\x81');  // arrays in arrays, and no end
  EXPECT_EQ(json(stored_item(deep)).substr(0, 12), R"({"$bytes":"8)");
}

TEST(Document, fields_keep_their_order_and_none_is_lost) {
  Fields fields;
  for (int i = 0; i < 30; ++i) fields.add("f" + std::to_string(29 - i), number_item(7));
  const std::string text = json(fields.item());
  EXPECT_EQ(text.substr(0, 16), R"({"f29":7,"f28":7)");
  EXPECT_EQ(text.substr(text.size() - 8), R"(,"f0":7})");
  EXPECT_EQ(json(List().add(number_item(1)).add(List().item()).item()), "[1,[]]");
  EXPECT_EQ(json(Fields().item()), "{}");
}

}  // namespace
}  // namespace semper::cli
