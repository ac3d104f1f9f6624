#include "semper/store/subspace.h"

#include <gtest/gtest.h>

namespace semper {
namespace {

TEST(Subspace, KeysArePrefixThenTuple) {
  const Subspace users({"users"});
  EXPECT_EQ(users.prefix(), Tuple{"users"}.pack());
  EXPECT_EQ(users.pack({42, "name"}), Tuple({"users", 42, "name"}).pack());
  EXPECT_EQ(users.pack(), users.prefix());
  EXPECT_EQ(Subspace().pack({1}), Tuple{1}.pack());
  EXPECT_EQ(Subspace::from_prefix("\xfe").pack({1}), "\xfe" + Tuple{1}.pack());
}

TEST(Subspace, InnerOnesAddElementsOneByOneOrTogether) {
  const auto root = Subspace::from_prefix("raw");
  EXPECT_EQ(root["a"][1], root.at({"a", 1}));
  const auto nested = nested_tuple({1, 2});
  EXPECT_EQ(root[nested].prefix(), "raw" + Tuple{nested}.pack());
  EXPECT_NE(root["a"], root[ByteString{"a"}]);
}

TEST(Subspace, UnpackGivesBackWhatPackTook) {
  const auto subspace = Subspace::from_prefix("raw")["a"];
  const Tuple tuple{42, nullptr, nested_tuple({nullptr})};
  EXPECT_EQ(subspace.unpack(subspace.pack(tuple)).value(), tuple);
  EXPECT_EQ(subspace.unpack(subspace.pack()).value(), Tuple());
}

TEST(Subspace, AKeyOfAnotherSubspaceIsRefused) {
  const Subspace users({"users"});
  const auto result = users.unpack(Tuple{"user", "s"}.pack());
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().kind(), ErrorKind::invalid_argument);
  EXPECT_FALSE(users.unpack(""));
}

TEST(Subspace, AKeyThatIsNoTupleAfterThePrefixIsCorrupt) {
  const Subspace users({"users"});
  const auto result = users.unpack(users.pack() + "\x15");
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().kind(), ErrorKind::corrupt);
}

TEST(Subspace, RangeHoldsItsTuplesAndNothingOfItsNeighbours) {
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

TEST(Subspace, ContainsIsByPrefix) {
  const Subspace users({"users"});
  EXPECT_TRUE(users.contains(users.pack()));
  EXPECT_TRUE(users.contains(users.pack({1})));
  EXPECT_FALSE(users.contains(Tuple{"usera"}.pack()));
  EXPECT_FALSE(users.contains(""));
  EXPECT_TRUE(Subspace().contains(""));
}

TEST(Subspace, VersionstampOffsetCountsThePrefix) {
  const auto queue = Subspace::from_prefix("raw")["queue"];
  const auto stamped = queue.pack_with_versionstamp({Versionstamp::incomplete(3)}).value();
  EXPECT_EQ(stamped.bytes.substr(stamped.stamp_offset), Versionstamp::incomplete(3).bytes());
  EXPECT_TRUE(queue.contains(stamped.bytes));
  EXPECT_EQ(queue.pack_with_versionstamp({1}).error().kind(), ErrorKind::invalid_argument);
}

TEST(PrefixEnd, IsTheFirstKeyAfterAllKeysWithThePrefix) {
  EXPECT_EQ(prefix_end("user/"), "user0");
  EXPECT_EQ(prefix_end(bytes_of({0x00})), bytes_of({0x01}));
  EXPECT_EQ(prefix_end(bytes_of({0x7f})), bytes_of({0x80}));
  EXPECT_EQ(prefix_end(bytes_of({0x01, 0xfe})), bytes_of({0x01, 0xff}));
}

TEST(PrefixEnd, DropsTrailingBytesThatCanNotBeHigher) {
  EXPECT_EQ(prefix_end(bytes_of({0x01, 0xff, 0xff})), bytes_of({0x02}));
  EXPECT_EQ(prefix_end(bytes_of({0xff, 0x00, 0xff})), bytes_of({0xff, 0x01}));
}

TEST(PrefixEnd, NothingFollowsAnEmptyOrAllOnesPrefix) {
  EXPECT_EQ(prefix_end(""), std::nullopt);
  EXPECT_EQ(prefix_end(bytes_of({0xff, 0xff})), std::nullopt);
  EXPECT_EQ(prefix_range(""), std::nullopt);
  EXPECT_EQ(prefix_range(bytes_of({0xff})), std::nullopt);
}

TEST(PrefixRange, HoldsThePrefixAndItsExtensionsButNoNeighbour) {
  const Bytes prefix = bytes_of({0x05, 0xff});
  const auto range = prefix_range(prefix).value();
  EXPECT_TRUE(range.contains(prefix));
  EXPECT_TRUE(range.contains(prefix + Bytes(9, '\xff')));
  EXPECT_FALSE(range.contains(bytes_of({0x05, 0xfe, 0xff})));
  EXPECT_FALSE(range.contains(bytes_of({0x06})));
}

}  // namespace
}  // namespace semper
