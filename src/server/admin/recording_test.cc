#include "semper/server/recording.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "backends/memory/memory.h"
#include "semper/env/scheduler.h"
#include "semper/server/inspect.h"
#include "semper/server/ref.h"
#include "server/format/enqueue.h"
#include "server/format/keys.h"
#include "server/format/records.h"

namespace semper {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

const EntityId kHome{"Counter", "page/home"};

class RecordingTest : public ::testing::Test {
 protected:
  RecordingTest() : from_(open()), to_(open()) {}

  Tenant open() {
    const Env env;
    auto backend = scheduler_.block_on(open_memory(*StoreUrl::parse("memory:"), env));
    return Store(*backend, env);
  }

  template <class Write>
  void commit(const Tenant& tenant, const Write& write) {
    const auto status =
        scheduler_.block_on(tenant.store()->transact([&](Transaction& tx) -> Async<void> {
          write(tx);
          co_return Status{};
        }));
    ASSERT_TRUE(status) << status.error().to_string();
  }

  // One commit, so one queue segment.
  void enqueue(const Tenant& tenant, const std::vector<std::string>& names) {
    const internal::EntityKeys keys(tenant.prefix(), kHome);
    commit(tenant, [&](Transaction& tx) {
      internal::Enqueuer enqueuer(tx);
      enqueuer.to(keys);
      for (const auto& name : names) enqueuer.add(Event::cast, {name, encode(std::int64_t{7})});
      enqueuer.finish();
    });
  }

  void write_all() {
    enqueue(from_, {"One", "Two"});
    enqueue(from_, {"Three"});
    const internal::EntityKeys keys(from_.prefix(), kHome);
    commit(from_, [&](Transaction& tx) {
      internal::Header header;
      header.stamp = Versionstamp::incomplete(0);
      header.popped = 0;
      header.head_offset = 1;
      header.popped = 1;
      header.has_state = true;
      header.state = encode(std::string("a state"));
      header.lock = internal::LockRecord{17, "host that died", 1500};
      tx.set_versionstamped_value(keys.header(), header.encode(), 0);
      const internal::DeadLetterRecord letter{
          {Event::call, {"Bad", encode(std::int64_t{1})}, {}}, "it threw", 1500};
      tx.set_versionstamped_key(keys.dead_letter(0), keys.stamp_offset(),
                                encode_dead_letter(letter));
    });
  }

  Recording record(RecordOptions options = {}) {
    auto recording = scheduler_.block_on(record_entity(from_, kHome, options));
    EXPECT_TRUE(recording) << recording.error().to_string();
    return *recording;
  }
  Status restore(const Recording& recording) {
    return scheduler_.block_on(restore_recording(to_, recording));
  }
  std::vector<std::string> queue_of(const Tenant& tenant) {
    std::vector<std::string> names;
    const auto views = scheduler_.block_on(peek_queue(tenant, kHome));
    if (views) {
      for (const auto& view : *views) names.push_back(view.message.name);
    }
    return names;
  }

  Scheduler scheduler_;
  Tenant from_;
  Tenant to_;
};

TEST_F(RecordingTest, the_whole_entity_is_restored_from_its_file) {
  write_all();
  const std::string text = recording_to_text(record());
  const auto read = recording_from_text(text);
  ASSERT_TRUE(read) << read.error().to_string();
  ASSERT_TRUE(restore(*read));
  const auto there = scheduler_.block_on(inspect(from_, kHome)).value();
  const auto here = scheduler_.block_on(inspect(to_, kHome)).value();
  EXPECT_EQ(here.state, there.state);
  EXPECT_EQ(here.stamp, there.stamp);
  EXPECT_EQ(here.queue_length, 2u);
  EXPECT_EQ(here.processed, 1u);
  ASSERT_TRUE(here.lock);
  EXPECT_EQ(here.lock->owner, "host that died");
  EXPECT_TRUE(here.indexed) << "no host would look at it";
  EXPECT_EQ(queue_of(to_), queue_of(from_));
  const auto letters = scheduler_.block_on(list_dead_letters(to_, kHome)).value();
  ASSERT_EQ(letters.size(), 1u);
  EXPECT_EQ(letters[0].reason, "it threw");
  EXPECT_TRUE(letters[0].was_call);
}

TEST_F(RecordingTest, recorded_messages_come_before_those_sent_later) {
  write_all();
  ASSERT_TRUE(restore(record()));
  enqueue(to_, {"Later"});
  EXPECT_THAT(queue_of(to_), ElementsAre("Two", "Three", "Later"));
}

TEST_F(RecordingTest, a_recording_shows_state_messages_and_dead_letters_as_readable_text) {
  write_all();
  const std::string text = recording_to_text(record());
  EXPECT_THAT(text, HasSubstr(R"({"semper_recording":1,"type":"Counter","id":"page/home",)"));
  EXPECT_THAT(text, HasSubstr(R"("state":"a state")"));
  EXPECT_THAT(text, HasSubstr(R"({"kind":"cast","message":"Two","content":7})"));
  EXPECT_THAT(text, HasSubstr(R"("reason":"it threw")"));
  EXPECT_THAT(text, HasSubstr(R"("owner":"host that died")"));
}

TEST_F(RecordingTest, a_long_queue_is_cut_at_the_bound_and_its_counters_agree) {
  for (const char* name : {"a", "b", "c", "d", "e"}) enqueue(from_, {name});
  RecordOptions two;
  two.messages = 2;
  const Recording recording = record(two);
  EXPECT_EQ(recording.left_out, 3u);
  ASSERT_TRUE(restore(recording));
  EXPECT_THAT(queue_of(to_), ElementsAre("a", "b"));
  EXPECT_EQ(scheduler_.block_on(inspect(to_, kHome)).value().queue_length, 2u);
}

TEST_F(RecordingTest, a_state_in_chunks_is_recorded_and_restored) {
  const internal::EntityKeys keys(from_.prefix(), kHome);
  const Bytes state = encode(std::string(40'000, 'x'));
  commit(from_, [&](Transaction& tx) {
    internal::Header header;
    header.stamp = Versionstamp::incomplete(0);
    header.has_state = true;
    header.chunks = 3;
    tx.set_versionstamped_value(keys.header(), header.encode(), 0);
    for (std::uint32_t i = 0; i < 3; ++i) {
      const std::size_t begin = i * 16'384;
      tx.set(keys.chunk(i), BytesView(state).substr(begin, 16'384));
    }
  });
  const std::string text = recording_to_text(record());
  EXPECT_THAT(text, HasSubstr("\"state\":\"xxxx"));
  ASSERT_TRUE(restore(*recording_from_text(text)));
  EXPECT_EQ(scheduler_.block_on(inspect(to_, kHome)).value().state, state);
}

TEST_F(RecordingTest, an_existing_entity_is_not_overwritten) {
  write_all();
  enqueue(to_, {"Mine"});
  const Status refused = restore(record());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::already_exists);
  EXPECT_THAT(queue_of(to_), ElementsAre("Mine"));
}

TEST_F(RecordingTest, an_entity_that_does_not_exist_is_not_recorded) {
  const auto nothing = scheduler_.block_on(record_entity(from_, kHome, {}));
  ASSERT_FALSE(nothing);
  EXPECT_EQ(nothing.error().kind(), ErrorKind::not_found);
}

TEST_F(RecordingTest, a_damaged_file_is_refused_and_the_damage_is_named) {
  write_all();
  const std::string good = recording_to_text(record());
  const auto wrong = [](const std::string& text) {
    const auto read = recording_from_text(text);
    return read ? "it was read" : read.error().to_string();
  };
  EXPECT_THAT(wrong(""), HasSubstr("corrupt: recording, line 1"));
  EXPECT_THAT(wrong("{}\n"), HasSubstr("this is no recording"));
  EXPECT_THAT(wrong("SQLite format 3\n"), HasSubstr("line 1: it is no JSON object"));
  EXPECT_THAT(wrong(good.substr(0, good.rfind("{\"end\""))), HasSubstr("cut short"));
  const auto second = good.find('\n') + 1;
  EXPECT_THAT(wrong(good.substr(0, second) + good.substr(good.find('\n', second) + 1)),
              HasSubstr("another number of rows"));
  std::string other = good;
  other.replace(other.find("page/home"), 9, "page/away");
  EXPECT_THAT(wrong(other), HasSubstr("line 2: its key is not one of Counter/page/away"));
  std::string newer = good;
  newer.replace(newer.find(":1,"), 3, ":2,");
  EXPECT_THAT(wrong(newer), HasSubstr("unsupported: the recording has format 2"));
  std::string no_hex = good;
  no_hex.replace(no_hex.find("\"value\":\"") + 9, 2, "zz");
  EXPECT_THAT(wrong(no_hex), HasSubstr("\"value\" is not hexadecimal"));
}

}  // namespace
}  // namespace semper
