#include "semper/store/subspace.h"

#include <gtest/gtest.h>

namespace semper {
namespace {

TEST(Subspace, keys_are_the_prefix_and_then_the_tuple) {
  const Subspace users({"users"});
  EXPECT_EQ(users.prefix(), Tuple{"users"}.pack());
  EXPECT_EQ(users.pack({42, "name"}), Tuple({"users", 42, "name"}).pack());
  EXPECT_EQ(users.pack(), users.prefix());
  EXPECT_EQ(Subspace().pack({1}), Tuple{1}.pack());
  EXPECT_EQ(Subspace::from_prefix("\xfe").pack({1}), "\xfe" + Tuple{1}.pack());
}

TEST(Subspace, inner_ones_add_elements_one_by_one_or_together) {
  const auto root = Subspace::from_prefix("raw");
  EXPECT_EQ(root["a"][1], root.at({"a", 1}));
  const auto nested = nested_tuple({1, 2});
  EXPECT_EQ(root[nested].prefix(), "raw" + Tuple{nested}.pack());
  EXPECT_NE(root["a"], root[ByteString{"a"}]);
}

TEST(Subspace, unpack_gives_back_what_pack_took) {
  const auto subspace = Subspace::from_prefix("raw")["a"];
  const Tuple tuple{42, nullptr, nested_tuple({nullptr})};
  EXPECT_EQ(subspace.unpack(subspace.pack(tuple)).value(), tuple);
  EXPECT_EQ(subspace.unpack(subspace.pack()).value(), Tuple());
}

TEST(Subspace, a_key_of_another_subspace_is_refused) {
  const Subspace users({"users"});
  const auto result = users.unpack(Tuple{"user", "s"}.pack());
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().kind(), ErrorKind::invalid_argument);
  EXPECT_FALSE(users.unpack(""));
}

TEST(Subspace, a_key_that_is_not_a_tuple_after_the_prefix_is_corrupt) {
  const Subspace users({"users"});
  const auto result = users.unpack(users.pack() + "\x15");
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().kind(), ErrorKind::corrupt);
}

TEST(Subspace, a_range_holds_its_tuples_and_nothing_of_its_neighbours) {
  const Subspace users({"users"});
  const auto range = users.range();
  EXPECT_TRUE(range.contains(users.pack({nullptr})));
  EXPECT_TRUE(range.contains(users.pack({Versionstamp::incomplete(0xffff), "x"})));
  EXPECT_FALSE(range.contains(users.pack()));
  EXPECT_FALSE(range.contains(Subspace({"user"}).pack({"s"})));
  EXPECT_FALSE(range.contains(Subspace({"users2"}).pack({1})));
  EXPECT_EQ(users.range({42}), users[42].range());
  EXPECT_EQ(users.range(), tuple_range({"users"}));
}

TEST(Subspace, contains_goes_by_the_prefix) {
  const Subspace users({"users"});
  EXPECT_TRUE(users.contains(users.pack()));
  EXPECT_TRUE(users.contains(users.pack({1})));
  EXPECT_FALSE(users.contains(Tuple{"usera"}.pack()));
  EXPECT_FALSE(users.contains(""));
  EXPECT_TRUE(Subspace().contains(""));
}

TEST(Subspace, the_versionstamp_offset_counts_the_prefix) {
  const auto queue = Subspace::from_prefix("raw")["queue"];
  const auto stamped = queue.pack_with_versionstamp({Versionstamp::incomplete(3)}).value();
  EXPECT_EQ(stamped.bytes.substr(stamped.stamp_offset), Versionstamp::incomplete(3).bytes());
  EXPECT_TRUE(queue.contains(stamped.bytes));
  EXPECT_EQ(queue.pack_with_versionstamp({1}).error().kind(), ErrorKind::invalid_argument);
}

TEST(PrefixEnd, it_is_the_first_key_after_all_keys_with_the_prefix) {
  EXPECT_EQ(prefix_end("user/"), "user0");
  EXPECT_EQ(prefix_end(bytes_of({0x00})), bytes_of({0x01}));
  EXPECT_EQ(prefix_end(bytes_of({0x7f})), bytes_of({0x80}));
  EXPECT_EQ(prefix_end(bytes_of({0x01, 0xfe})), bytes_of({0x01, 0xff}));
}

TEST(PrefixEnd, it_drops_trailing_bytes_that_cannot_be_higher) {
  EXPECT_EQ(prefix_end(bytes_of({0x01, 0xff, 0xff})), bytes_of({0x02}));
  EXPECT_EQ(prefix_end(bytes_of({0xff, 0x00, 0xff})), bytes_of({0xff, 0x01}));
}

TEST(PrefixEnd, nothing_follows_an_empty_or_all_ones_prefix) {
  EXPECT_EQ(prefix_end(""), std::nullopt);
  EXPECT_EQ(prefix_end(bytes_of({0xff, 0xff})), std::nullopt);
  EXPECT_EQ(prefix_range(""), std::nullopt);
  EXPECT_EQ(prefix_range(bytes_of({0xff})), std::nullopt);
}

TEST(PrefixRange, it_holds_the_prefix_and_its_extensions_but_no_neighbour) {
  const Bytes prefix = bytes_of({0x05, 0xff});
  const auto range = prefix_range(prefix).value();
  EXPECT_TRUE(range.contains(prefix));
  EXPECT_TRUE(range.contains(prefix + Bytes(9, '\xff')));
  EXPECT_FALSE(range.contains(bytes_of({0x05, 0xfe, 0xff})));
  EXPECT_FALSE(range.contains(bytes_of({0x06})));
}

}  // namespace
}  // namespace semper
