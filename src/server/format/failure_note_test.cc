#include "server/format/failure_note.h"

#include <gtest/gtest.h>

#include "semper/base/cbor.h"
#include "semper/server/dead_letters.h"
#include "server/format/dead_letter_mark.h"
#include "server/format/records.h"

namespace semper::internal {
namespace {

FailureNote some_note() {
  FailureNote note;
  note.segment = Versionstamp::incomplete(7);
  note.offset = 3;
  note.attempts = 5;
  note.first_ms = 1'000;
  note.last_ms = 2'000;
  note.next_ms = 3'000;
  note.host = "packer";
  note.reason = "internal: no such shelf";
  return note;
}

TEST(FailureNotes, a_note_is_read_as_it_was_written) {
  const auto note = some_note();
  const auto back = FailureNote::decode(note.encode());
  ASSERT_TRUE(back) << back.error().to_string();
  EXPECT_TRUE(back->is_of(note.segment, 3));
  EXPECT_FALSE(back->is_of(note.segment, 4));
  EXPECT_FALSE(back->is_of(Versionstamp::incomplete(8), 3));
  EXPECT_EQ(back->attempts, 5u);
  EXPECT_EQ(back->first_ms, 1'000);
  EXPECT_EQ(back->last_ms, 2'000);
  EXPECT_EQ(back->next_ms, 3'000);
  EXPECT_EQ(back->host, "packer");
  EXPECT_EQ(back->reason, "internal: no such shelf");
}

TEST(FailureNotes, what_a_later_version_adds_is_skipped) {
  Bytes encoded = some_note().encode();
  ASSERT_EQ(static_cast<unsigned char>(encoded.at(0)), 0x88u);
  encoded.at(0) = static_cast<char>(0x89);
  cbor::Writer(encoded).text("news");
  EXPECT_TRUE(FailureNote::decode(encoded));
}

TEST(FailureNotes, a_note_that_is_cut_or_followed_by_more_is_refused) {
  const Bytes encoded = some_note().encode();
  for (std::size_t size = 0; size < encoded.size(); ++size) {
    EXPECT_FALSE(FailureNote::decode(encoded.substr(0, size))) << size;
  }
  EXPECT_FALSE(FailureNote::decode(encoded + '\0'));
}

TEST(DeadLetterMarks, the_attempts_are_found_in_marked_errors_and_nowhere_else) {
  const Error reason(ErrorKind::internal, "Note: it threw");
  const Error marked = as_dead_letter(reason, 3);
  EXPECT_EQ(marked.kind(), ErrorKind::internal);
  EXPECT_EQ(marked.message(), "dead_letter(3): Note: it threw");
  EXPECT_EQ(dead_letter_attempts(marked), 3u);
  EXPECT_EQ(dead_letter_attempts(marked.in("Order/17").in("x")), 3u);
  const auto over_the_store = decode_reply(encode_reply_error(marked));
  ASSERT_TRUE(over_the_store && !*over_the_store);
  EXPECT_EQ(dead_letter_attempts(over_the_store->error()), 3u);
  EXPECT_EQ(dead_letter_attempts(reason), std::nullopt);
  for (const char* text : {"dead_letter", "dead_letter(3)", "dead_letter(x): y",
                           "dead_letter(-1): y", "a dead_letter(3): y", "xdead_letter(3): y",
                           "dead_letter(): y", "dead_letter(99999999999999999999): y"}) {
    EXPECT_EQ(dead_letter_attempts(Error(ErrorKind::internal, text)), std::nullopt) << text;
  }
}

TEST(DeadLetterRecords, attempts_and_times_are_kept_and_records_of_0_1_0_are_read) {
  const QueuedMessage message{Event::cast, {"Note", Bytes("\xf6")}, {}};
  DeadLetterRecord letter;
  letter.message = message;
  letter.reason = "it threw";
  letter.time_ms = 2'000;
  const Bytes old = encode_dead_letter(letter);
  EXPECT_EQ(static_cast<unsigned char>(old.at(0)), 0x83u) << "as 0.1.0 wrote it";
  ASSERT_TRUE(decode_dead_letter(old));
  EXPECT_EQ(decode_dead_letter(old)->attempts, 0u);
  letter.attempts = 3;
  letter.first_attempt_ms = 1'000;
  const auto back = decode_dead_letter(encode_dead_letter(letter));
  ASSERT_TRUE(back) << back.error().to_string();
  EXPECT_EQ(back->attempts, 3u);
  EXPECT_EQ(back->first_attempt_ms, 1'000);
  EXPECT_EQ(back->time_ms, 2'000);
}

}  // namespace
}  // namespace semper::internal
