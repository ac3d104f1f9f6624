#include "semper/rpc/frame.h"

#include <gtest/gtest.h>

#include "semper/env/random.h"
#include "semper/rpc/status.h"
#include "semper/testing/seed.h"

namespace semper::rpc {
namespace {

StreamFrame a_frame() {
  StreamFrame frame;
  frame.begin = StreamFrame::Begin::fresh;
  frame.state = Bytes(200, 's');
  frame.metadata = "m";
  frame.resume_token = "t";
  return frame;
}

TEST(StreamFrame, comes_back_as_it_was) {
  const auto first = decode_frame(encode_frame(a_frame()));
  ASSERT_TRUE(first);
  EXPECT_EQ(first->begin, StreamFrame::Begin::fresh);
  EXPECT_EQ(first->state, Bytes(200, 's'));
  EXPECT_EQ(first->metadata, "m");
  EXPECT_EQ(first->resume_token, "t");
  StreamFrame later;
  later.updates = {"", "one", Bytes(1000, 'x')};
  EXPECT_EQ(decode_frame(encode_frame(later)).value().updates, later.updates);
}

TEST(StreamFrame, an_empty_state_and_an_empty_token_are_told_from_none) {
  StreamFrame frame;
  frame.begin = StreamFrame::Begin::fresh;
  frame.state = "";
  EXPECT_TRUE(decode_frame(encode_frame(frame)).value().state.has_value());
  StreamRequest request;
  EXPECT_FALSE(decode_request(encode_request(request)).value().resume_after.has_value());
  request.resume_after = "";
  EXPECT_TRUE(decode_request(encode_request(request)).value().resume_after.has_value());
}

TEST(StreamFrame, the_bytes_are_those_of_protobuf) {
  StreamFrame frame;
  frame.begin = StreamFrame::Begin::resumed;
  frame.resume_token = "t";
  EXPECT_EQ(to_hex(encode_frame(frame)), "0802220174");
}

TEST(StreamFrame, unknown_fields_are_skipped) {
  // Field 9 of each wire type, then an update.
  const Bytes bytes = bytes_of(
      {0x48, 0x7f, 0x49, 1, 2, 3, 4, 5, 6, 7, 8, 0x4a, 2, 9, 9, 0x4d, 1, 2, 3, 4, 0x2a, 1, 'u'});
  const auto frame = decode_frame(bytes);
  ASSERT_TRUE(frame) << frame.error().to_string();
  EXPECT_EQ(frame->updates, std::vector<Bytes>{"u"});
}

TEST(StreamFrame, bytes_that_are_none_are_refused_or_skipped_never_followed) {
  SeededRandom random(testing::test_seed());
  const Bytes good = encode_frame(a_frame());
  for (int i = 0; i < 20'000; ++i) {
    Bytes bytes = random.chance(0.5) ? good : random.bytes(random.below(40));
    if (!bytes.empty()) bytes[random.below(bytes.size())] = static_cast<char>(random.next());
    if (!bytes.empty()) bytes.resize(random.below(bytes.size()) + 1);
    static_cast<void>(decode_frame(bytes));
    static_cast<void>(decode_request(bytes));
  }
  EXPECT_FALSE(decode_frame(bytes_of({0x12, 0xff, 0xff, 0xff, 0xff, 0x0f})));
  EXPECT_FALSE(decode_frame(bytes_of({0x08, 0x07})));
  EXPECT_FALSE(decode_frame(bytes_of({0x12, 0x00}))) << "a state in the middle";
}

// Each prefix of a good frame: refused, or, where it ends between two fields, what those say.
TEST(StreamFrame, a_frame_that_is_cut_short_within_a_field_is_refused) {
  StreamFrame later;
  later.resume_token = "token";
  later.updates = {"one", Bytes(300, 'x')};
  for (const StreamFrame& frame : {a_frame(), later}) {
    const Bytes whole = encode_frame(frame);
    for (std::size_t size = 0; size < whole.size(); ++size) {
      const Bytes part = whole.substr(0, size);
      const auto decoded = decode_frame(part);
      if (!decoded) continue;
      EXPECT_EQ(encode_frame(*decoded), part) << "cut after " << size << " bytes";
    }
  }
}

// gRPC clients of other houses go by the status alone, and send again what is unavailable or
// aborted.
TEST(Status, an_unknown_outcome_has_no_status_code_that_invites_sending_again) {
  const auto told = status_from_kind(ErrorKind::outcome_unknown);
  for (const auto code : {StatusCode::ok, StatusCode::unavailable, StatusCode::aborted,
                          StatusCode::resource_exhausted}) {
    EXPECT_NE(told, code) << to_string(code);
  }
}

TEST(Status, a_grpc_code_survives_the_way_there_and_back) {
  for (int code = 1; code <= 16; ++code) {
    const auto kind = kind_from_status(static_cast<StatusCode>(code));
    EXPECT_EQ(kind_from_status(status_from_kind(kind)), kind) << code;
  }
}

}  // namespace
}  // namespace semper::rpc
