#include "server/format/name_records.h"

#include <gtest/gtest.h>

#include "semper/base/cbor.h"
#include "server/format/name_keys.h"

namespace semper::internal {
namespace {

NameRecord example() {
  NameRecord record;
  record.taken = Versionstamp::complete(77, 3, 0);
  record.session = "sess";
  record.holding = "hold";
  record.owner = "billing 17";
  record.since_ms = 1'700'000'000'000;
  record.metadata["zone"] = "east";
  record.metadata["empty"] = "";
  return record;
}

TEST(NameRecords, come_back_as_they_were) {
  const auto record = NameRecord::decode(example().encode());
  ASSERT_TRUE(record) << record.error().to_string();
  EXPECT_EQ(record->token(), 77u);
  EXPECT_EQ(record->session, "sess");
  EXPECT_EQ(record->holding, "hold");
  EXPECT_EQ(record->owner, "billing 17");
  EXPECT_EQ(record->since_ms, 1'700'000'000'000);
  EXPECT_EQ(record->metadata, example().metadata);
  EXPECT_EQ(record->encode(), example().encode());
}

TEST(NameRecords, records_with_elements_of_a_later_version_are_read) {
  const Bytes row = example().encode();
  Bytes later = row.substr(0, Versionstamp::store_size);
  cbor::Writer(later).array(6);
  later += row.substr(Versionstamp::store_size + 1);
  cbor::Writer(later).text("what nobody knows yet");
  const auto record = NameRecord::decode(later);
  ASSERT_TRUE(record) << record.error().to_string();
  EXPECT_EQ(record->metadata, example().metadata);
}

TEST(NameRecords, records_are_refused_wherever_they_are_cut) {
  const Bytes row = example().encode();
  for (std::size_t size = 0; size < row.size(); ++size) {
    const auto record = NameRecord::decode(BytesView(row).substr(0, size));
    ASSERT_FALSE(record) << size;
    EXPECT_EQ(record.error().kind(), ErrorKind::corrupt);
  }
  EXPECT_FALSE(NameRecord::decode(row + "x"));
}

TEST(NameKeys, say_what_they_were_made_of) {
  const Bytes prefix = "p";
  const Bytes session("\x00\xff\x01", 3);
  const auto place = Versionstamp::complete(5, 6, 0);
  EXPECT_EQ(session_of_names_key(prefix, names_session_key(prefix, session)).value(), session);
  EXPECT_EQ(session_of_names_key(prefix, names_grave_key(prefix, session)).value(), session);
  EXPECT_EQ(name_in_key(prefix, name_key(prefix, "a/b")).value(), "a/b");
  EXPECT_EQ(name_of_field_key(prefix, name_field_key(prefix, "f", "v", "n")).value(), "n");
  EXPECT_EQ(place_of_candidate_key(prefix, candidate_key(prefix, "n", place)).value(), place);
  const auto held = tied_name(prefix, name_held_key(prefix, session, "n")).value();
  EXPECT_EQ(held.tie, NameTie::holds);
  const auto waits = tied_name(prefix, name_wait_key(prefix, session, "n", place)).value();
  EXPECT_EQ(waits.tie, NameTie::waits);
  EXPECT_EQ(waits.name, "n");
  EXPECT_EQ(waits.place, place);
  EXPECT_TRUE(name_ties(prefix, session).contains(name_wait_key(prefix, session, "n", place)));
}

TEST(NameKeys, keys_of_other_places_are_refused) {
  EXPECT_FALSE(name_in_key("p", name_key("q", "a")));
  EXPECT_FALSE(name_in_key("p", names_session_key("p", "a")));
  EXPECT_FALSE(session_of_names_key("p", name_key("p", "a")));
}

TEST(NameKeys, keys_of_one_name_are_not_in_the_range_of_another_that_it_begins_with) {
  const auto place = Versionstamp::complete(5, 6, 0);
  EXPECT_FALSE(candidates_of("p", "job").contains(candidate_key("p", "jobs", place)));
  EXPECT_TRUE(names_with_prefix("p", "job").contains(name_key("p", "jobs")));
  EXPECT_TRUE(names_with_prefix("p", "job").contains(name_key("p", "job")));
  EXPECT_FALSE(names_with_prefix("p", "job").contains(name_key("p", "jo")));
  EXPECT_FALSE(names_with_field("p", "f", "v").contains(name_field_key("p", "f", "v2", "n")));
}

}  // namespace
}  // namespace semper::internal
