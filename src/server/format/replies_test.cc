#include "server/format/replies.h"

#include <gtest/gtest.h>

#include <string>

#include "semper/base/cbor.h"
#include "server/format/keys.h"

namespace semper::internal {
namespace {

TEST(LargeReplyRows, are_told_from_replies_and_errors) {
  EXPECT_TRUE(is_in_chunks(encode_chunked(250'000)));
  const Bytes row = encode_chunked(250'000);
  EXPECT_FALSE(is_in_chunks(encode_reply("")));
  EXPECT_FALSE(is_in_chunks(encode_reply(row))) << "that is what the reply is about";
  const Error error(ErrorKind::exhausted, "chunked");
  EXPECT_FALSE(is_in_chunks(encode_reply_error(error)));
  for (std::size_t size = 0; size < 9; ++size) {
    EXPECT_FALSE(is_in_chunks(BytesView(row).substr(0, size))) << size;
  }
}

// What a caller of before reads.
TEST(LargeReplyRows, are_errors_with_the_way_out_to_programs_that_do_not_know_them) {
  const auto read = decode_reply(encode_chunked(250'000));
  ASSERT_TRUE(read);
  ASSERT_FALSE(*read);
  EXPECT_EQ(read->error().kind(), ErrorKind::internal);
  EXPECT_NE(read->error().message().find("250000 bytes"), std::string::npos);
  EXPECT_NE(read->error().message().find("update"), std::string::npos);
}

TEST(LargeReplies, are_bounded_by_a_quarter_of_a_transaction_or_one_value) {
  Limits limits;
  limits.value_bytes = 1'000;
  limits.transaction_bytes = 40'000;
  const auto is_whole = [&](std::size_t size) {
    const Bytes payload(size, 'x');
    const auto reply = decode_reply(encode_reply_within(payload, limits));
    return reply && *reply && **reply == payload;
  };
  EXPECT_TRUE(is_whole(9'980));
  EXPECT_FALSE(is_whole(10'001));
  limits.value_bytes = 20'000;
  EXPECT_TRUE(is_whole(19'980));
  EXPECT_FALSE(is_whole(20'001));
  const Bytes large(20'001, 'x');
  const auto refused = decode_reply(encode_reply_within(large, limits));
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->error().kind(), ErrorKind::exhausted);
  EXPECT_NE(refused->error().message().find("value_bytes = 20000"), std::string::npos);
}

TEST(LargeReplyKeys, lie_behind_their_reply_before_the_next_one_and_name_its_number) {
  const Bytes prefix = Bytes("\x02s\x00", 3);
  const Bytes session("12345678");
  for (const std::uint64_t number : {1u, 255u, 256u, 70'000u}) {
    const Bytes reply = reply_key(prefix, session, number);
    for (const std::uint32_t index : {0u, 255u, 256u}) {
      const Bytes chunk = reply_chunk_key(reply, index);
      EXPECT_TRUE(reply_chunks(reply).contains(chunk));
      EXPECT_TRUE(replies_of(prefix, session).contains(chunk));
      EXPECT_LT(reply, chunk);
      EXPECT_LT(chunk, reply_key(prefix, session, number + 1));
      EXPECT_EQ(*number_of_reply_key(prefix, chunk), number);
      EXPECT_EQ(*session_of_key(prefix, chunk), session);
    }
    EXPECT_FALSE(reply_chunks(reply).contains(reply));
    EXPECT_LT(reply_chunk_key(reply, 255), reply_chunk_key(reply, 256));
  }
}

}  // namespace
}  // namespace semper::internal
