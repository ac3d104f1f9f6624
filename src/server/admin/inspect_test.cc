#include "semper/server/inspect.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "backends/memory/memory.h"
#include "semper/env/scheduler.h"
#include "semper/server/host.h"
#include "semper/server/list_keys.h"
#include "semper/server/list_loads.h"
#include "semper/server/list_timers.h"
#include "server/format/enqueue.h"
#include "server/format/key_book.h"
#include "server/format/keys.h"
#include "server/format/records.h"

namespace semper {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// A store in memory, written to as hosts and publishers would, without any of them.
class Inspect : public ::testing::Test {
 protected:
  Inspect() : tenant_(open()) {}

  Store open() {
    const Env env;
    auto backend = scheduler_.block_on(open_memory(*StoreUrl::parse("memory:"), env));
    return Store(*backend, env);
  }

  // Runs write(Transaction&) and commits.
  template <class Write>
  void commit(const Write& write) {
    const auto status =
        scheduler_.block_on(tenant_.store()->transact([&](Transaction& tx) -> Async<void> {
          write(tx);
          co_return Status{};
        }));
    ASSERT_TRUE(status) << status.error().to_string();
  }

  internal::EntityKeys keys(const EntityId& id) const {
    return internal::EntityKeys(tenant_.prefix(), id);
  }

  void write_header(const EntityId& id, const internal::Header& header) {
    commit([&](Transaction& tx) {
      tx.set_versionstamped_value(keys(id).header(), header.encode(), 0);
    });
  }

  // One commit, so one queue segment.
  void enqueue(const EntityId& id, const std::vector<std::string>& names,
               const Bytes& payload = encode(std::int64_t{1})) {
    commit([&](Transaction& tx) {
      const internal::EntityKeys to = keys(id);
      internal::Enqueuer enqueuer(tx);
      enqueuer.to(to);
      for (const auto& name : names) enqueuer.add(Event::cast, {name, payload});
      enqueuer.finish();
    });
  }

  void bury(const EntityId& id, const std::string& name) {
    commit([&](Transaction& tx) {
      const internal::DeadLetterRecord record{
          {Event::cast, {name, encode(std::int64_t{1})}, {}}, "it threw", 1500};
      tx.set_versionstamped_key(keys(id).dead_letter(0), keys(id).stamp_offset(),
                                encode_dead_letter(record));
    });
  }

  template <class T>
  Result<T> run(Async<T> task) {
    return scheduler_.block_on(std::move(task));
  }

  std::vector<std::string> ids(ListOptions options) {
    return run(list_entities(tenant_, "Counter", std::move(options))).value();
  }

  std::vector<std::string> queued_names(std::size_t limit = 100) {
    std::vector<std::string> names;
    const auto views = run(peek_queue(tenant_, id_, limit)).value();
    for (const auto& view : views) names.push_back(view.message.name);
    return names;
  }

  Scheduler scheduler_;
  Tenant tenant_;
  const EntityId id_{"Counter", "page/home"};
};

internal::Header with_state(Bytes state) {
  internal::Header header;
  header.has_state = true;
  header.state = std::move(state);
  return header;
}

TEST_F(Inspect, an_entity_that_was_never_sent_a_message_is_not_found) {
  EXPECT_EQ(run(inspect(tenant_, id_)).error().kind(), ErrorKind::not_found);
  EXPECT_EQ(run(peek_queue(tenant_, id_)).error().kind(), ErrorKind::not_found);
  EXPECT_EQ(run(list_dead_letters(tenant_, id_)).error().kind(), ErrorKind::not_found);
  EXPECT_EQ(run(redrive_dead_letters(tenant_, id_)).error().kind(), ErrorKind::not_found);
  EXPECT_THAT(run(inspect(tenant_, id_)).error().message(), HasSubstr("Counter/page/home"));
}

TEST_F(Inspect, an_invalid_id_is_refused_by_each_function) {
  const EntityId bad{"Counter", ""};
  EXPECT_EQ(run(inspect(tenant_, bad)).error().kind(), ErrorKind::invalid_argument);
  EXPECT_EQ(run(peek_queue(tenant_, bad)).error().kind(), ErrorKind::invalid_argument);
  EXPECT_EQ(run(list_dead_letters(tenant_, bad)).error().kind(), ErrorKind::invalid_argument);
  EXPECT_EQ(run(redrive_dead_letters(tenant_, bad)).error().kind(), ErrorKind::invalid_argument);
  EXPECT_EQ(run(list_entities(tenant_, "a/b")).error().kind(), ErrorKind::invalid_argument);
  EXPECT_EQ(run(list_entities(tenant_, "Counter", {.id_prefix = "\xff"})).error().kind(),
            ErrorKind::invalid_argument);
}

TEST_F(Inspect, entities_are_listed_without_options_inside_a_coroutine) {
  write_header({"Counter", "a"}, with_state(encode(std::int64_t{1})));
  auto listed = [](Tenant tenant) -> Async<std::vector<std::string>> {
    co_return co_await list_entities(tenant, "Counter");
  };
  EXPECT_THAT(run(listed(tenant_)).value(), ElementsAre("a"));
}

TEST_F(Inspect, a_store_that_failed_to_open_returns_its_error) {
  const Tenant none(Result<Store>(fail(ErrorKind::io, "the disk is gone")));
  EXPECT_EQ(run(list_types(none)).error().message(), "the disk is gone");
  EXPECT_EQ(run(inspect(none, id_)).error().message(), "the disk is gone");
  EXPECT_EQ(run(redrive_dead_letters(none, id_)).error().message(), "the disk is gone");
  EXPECT_EQ(run(count_outstanding(none)).error().message(), "the disk is gone");
}

TEST_F(Inspect, messages_are_counted_before_there_is_a_state) {
  enqueue(id_, {"Add", "Add"});
  const auto view = run(inspect(tenant_, id_)).value();
  EXPECT_FALSE(view.state);
  EXPECT_FALSE(view.stamp.is_complete());
  EXPECT_EQ(view.queue_length, 2u);
  EXPECT_EQ(view.processed, 0u);
  EXPECT_TRUE(view.indexed);
  EXPECT_FALSE(view.lock);
}

TEST_F(Inspect, state_lock_counters_and_dead_letters_are_shown_as_stored) {
  enqueue(id_, {"a", "b", "c"});
  auto header = with_state(encode(std::int64_t{7}));
  header.popped = 1;
  header.head_offset = 1;
  header.lock = internal::LockRecord{9, "host 12", 2500};
  write_header(id_, header);
  commit([&](Transaction& tx) {
    tx.set(keys(id_).parked(), "the state does not decode");
    tx.clear(keys(id_).index());
  });
  bury(id_, "Bad");
  const auto view = run(inspect(tenant_, id_)).value();
  EXPECT_EQ(view.state, encode(std::int64_t{7}));
  EXPECT_TRUE(view.stamp.is_complete());
  EXPECT_EQ(view.queue_length, 2u);
  EXPECT_EQ(view.processed, 1u);
  ASSERT_TRUE(view.lock);
  EXPECT_EQ(view.lock->owner, "host 12");
  EXPECT_EQ(view.lock->acquired, WallTime(std::chrono::milliseconds(2500)));
  EXPECT_EQ(view.parked, "the state does not decode");
  EXPECT_EQ(view.dead_letters, 1u);
  EXPECT_FALSE(view.indexed);
}

TEST_F(Inspect, a_state_in_chunks_is_put_together) {
  auto header = with_state({});
  header.chunks = 3;
  write_header(id_, header);
  commit([&](Transaction& tx) {
    tx.set(keys(id_).chunk(0), "one ");
    tx.set(keys(id_).chunk(1), "two ");
    tx.set(keys(id_).chunk(2), "three");
  });
  EXPECT_EQ(run(inspect(tenant_, id_)).value().state, "one two three");
}

TEST_F(Inspect, a_damaged_header_is_named_by_its_key) {
  commit([&](Transaction& tx) { tx.set(keys(id_).header(), "???"); });
  const auto error = run(inspect(tenant_, id_)).error();
  EXPECT_EQ(error.kind(), ErrorKind::corrupt);
  EXPECT_THAT(error.message(), HasSubstr("\"Counter\", \"page/home\", 0"));
}

TEST_F(Inspect, counters_that_contradict_each_other_are_corrupt) {
  enqueue(id_, {"a"});
  internal::Header header;
  header.popped = 2;
  write_header(id_, header);
  EXPECT_EQ(run(inspect(tenant_, id_)).error().kind(), ErrorKind::corrupt);
}

TEST_F(Inspect, peeking_skips_what_was_taken_from_the_first_segment) {
  enqueue(id_, {"a", "b", "c"});
  enqueue(id_, {"d"});
  internal::Header header;
  header.popped = 2;
  header.head_offset = 2;
  write_header(id_, header);
  EXPECT_THAT(queued_names(), ElementsAre("c", "d"));
  EXPECT_THAT(queued_names(1), ElementsAre("c"));
  EXPECT_THAT(queued_names(0), IsEmpty());
  const auto views = run(peek_queue(tenant_, id_)).value();
  EXPECT_LT(views[0].stamp, views[1].stamp);
}

TEST_F(Inspect, peeking_reads_past_one_page_of_segments) {
  for (int i = 0; i < 100; ++i) enqueue(id_, {std::to_string(i)});
  const auto names = queued_names(90);
  ASSERT_EQ(names.size(), 90u);
  EXPECT_EQ(names.back(), "89");
}

TEST_F(Inspect, each_entity_is_listed_once_in_byte_order) {
  for (const char* name : {"b", "a", "ab", "a/b", "\xc3\xa4"}) {
    const EntityId id{"Counter", name};
    enqueue(id, {"x"});
    enqueue(id, {"y"});
    write_header(id, with_state(encode(std::int64_t{1})));
  }
  enqueue(EntityId{"Counters", "other"}, {"x"});
  EXPECT_THAT(ids({}), ElementsAre("a", "a/b", "ab", "b", "\xc3\xa4"));
  EXPECT_THAT(ids({.limit = 2}), ElementsAre("a", "a/b"));
  EXPECT_THAT(ids({.after = "a"}), ElementsAre("a/b", "ab", "b", "\xc3\xa4"));
  EXPECT_THAT(ids({.after = "a/z"}), ElementsAre("ab", "b", "\xc3\xa4"));
  EXPECT_THAT(ids({.id_prefix = "a"}), ElementsAre("a", "a/b", "ab"));
  EXPECT_THAT(ids({.id_prefix = "a", .after = "a/b"}), ElementsAre("ab"));
  EXPECT_THAT(ids({.id_prefix = "a", .after = "b"}), IsEmpty());
  EXPECT_THAT(ids({.id_prefix = "\xc3\xa4"}), ElementsAre("\xc3\xa4"));
  EXPECT_THAT(ids({.limit = 0}), IsEmpty());
}

TEST_F(Inspect, registered_types_and_types_with_entities_are_listed) {
  commit([&](Transaction& tx) {
    tx.set(internal::type_key(tenant_.prefix(), "Shop"),
           internal::encode_message_infos({{"Buy", true, false, false, true}}));
  });
  enqueue(id_, {"x"});
  enqueue(EntityId{"Counter", "other"}, {"x"});
  const auto types = run(list_types(tenant_)).value();
  ASSERT_EQ(types.size(), 2u);
  EXPECT_EQ(types[0].type, "Counter");
  EXPECT_THAT(types[0].messages, IsEmpty());
  EXPECT_EQ(types[1].type, "Shop");
  ASSERT_EQ(types[1].messages.size(), 1u);
  EXPECT_EQ(types[1].messages[0].name, "Buy");
  EXPECT_TRUE(types[1].messages[0].locked);
}

TEST_F(Inspect, hosts_are_listed_with_what_they_serve) {
  commit([&](Transaction& tx) {
    tx.set(internal::host_key(tenant_.prefix(), "\x01\xff"),
           internal::encode_alive({"worker 7", 3, 4000, {"Counter"}}));
    tx.add(internal::hosts_wake_key(tenant_.prefix()), 1);
  });
  const auto hosts = run(list_hosts(tenant_)).value();
  ASSERT_EQ(hosts.size(), 1u);
  EXPECT_EQ(hosts[0].id, "01ff");
  EXPECT_EQ(hosts[0].name, "worker 7");
  EXPECT_EQ(hosts[0].renewals, 3u);
  EXPECT_EQ(hosts[0].renewed, WallTime(std::chrono::seconds(4)));
  EXPECT_THAT(hosts[0].types, ElementsAre("Counter"));
}

TEST_F(Inspect, sessions_are_listed_and_replies_without_a_session_are_not) {
  commit([&](Transaction& tx) {
    const auto& prefix = tenant_.prefix();
    tx.set(internal::session_key(prefix, "\x01\xff"), internal::encode_alive({"", 3, 0, {}}));
    tx.set(internal::reply_key(prefix, "\x01\xff", 1), "");
    tx.set(internal::reply_key(prefix, "\x02\x03", 1), "");
    tx.set(internal::session_key(prefix, "\x04\x05"), internal::encode_alive({"", 7, 0, {}}));
  });
  const auto sessions = run(list_sessions(tenant_)).value();
  ASSERT_EQ(sessions.size(), 2u);
  EXPECT_EQ(sessions[0].id, "01ff");
  EXPECT_EQ(sessions[0].renewals, 3u);
  EXPECT_EQ(sessions[1].renewals, 7u);
  EXPECT_EQ(run(list_sessions(tenant_, 1)).value().size(), 1u);
}

TEST_F(Inspect, types_hosts_and_sessions_are_listed_in_pages) {
  const auto& prefix = tenant_.prefix();
  commit([&](Transaction& tx) {
    for (const char* type : {"Shop", "Show", "Till"}) {
      tx.set(internal::type_key(prefix, type), internal::encode_message_infos({}));
    }
    for (const char* id : {"\x01\x02", "\x01\x03", "\x02\x04"}) {
      tx.set(internal::host_key(prefix, id), internal::encode_alive({id, 3, 0, {}}));
      tx.set(internal::session_key(prefix, id), internal::encode_alive({"", 7, 0, {}}));
    }
  });
  enqueue(EntityId{"Sheep", "dolly"}, {"x"});
  const auto types = [&](ListOptions options) {
    std::vector<std::string> names;
    const auto views = run(list_types(tenant_, options)).value();
    for (const auto& view : views) names.push_back(view.type);
    return names;
  };
  EXPECT_THAT(types({.limit = 2}), ElementsAre("Sheep", "Shop"));
  EXPECT_THAT(types({.after = "Shop", .limit = 2}), ElementsAre("Show", "Till"));
  EXPECT_THAT(types({.after = "Till"}), IsEmpty());
  EXPECT_THAT(types({.id_prefix = "Sho"}), ElementsAre("Shop", "Show"));
  EXPECT_THAT(types({.id_prefix = "Sh", .after = "Sheep", .limit = 1}), ElementsAre("Shop"));
  EXPECT_THAT(types({.limit = 0}), IsEmpty());
  const auto hosts = [&](ListOptions options) {
    std::vector<std::string> ids;
    const auto views = run(list_hosts(tenant_, options)).value();
    for (const auto& view : views) ids.push_back(view.id);
    return ids;
  };
  EXPECT_THAT(hosts({.limit = 2}), ElementsAre("0102", "0103"));
  EXPECT_THAT(hosts({.after = "0103"}), ElementsAre("0204"));
  EXPECT_THAT(hosts({.id_prefix = "01", .after = "0102"}), ElementsAre("0103"));
  EXPECT_THAT(hosts({.limit = 0}), IsEmpty());
  const auto sessions = [&](ListOptions options) {
    std::vector<std::string> ids;
    const auto views = run(list_sessions(tenant_, options)).value();
    for (const auto& view : views) ids.push_back(view.id);
    return ids;
  };
  EXPECT_THAT(sessions({.limit = 2}), ElementsAre("0102", "0103"));
  EXPECT_THAT(sessions({.after = "0103"}), ElementsAre("0204"));
  EXPECT_THAT(sessions({.id_prefix = "01", .after = "0102"}), ElementsAre("0103"));
  const ListOptions no_id{.after = "01x"};
  EXPECT_EQ(run(list_sessions(tenant_, no_id)).error().kind(), ErrorKind::invalid_argument);
  EXPECT_EQ(run(list_hosts(tenant_, no_id)).error().kind(), ErrorKind::invalid_argument);
}

TEST_F(Inspect, more_types_than_may_be_listed_at_once_are_refused_and_come_in_pages) {
  const auto& prefix = tenant_.prefix();
  const auto name = [](std::size_t number) { return "T" + std::to_string(100'000 + number); };
  for (std::size_t i = 0; i <= kListedMaximum; i += 1000) {
    commit([&](Transaction& tx) {
      for (std::size_t n = i; n < std::min(i + 1000, kListedMaximum + 1); ++n) {
        tx.set(internal::type_key(prefix, name(n)), internal::encode_message_infos({}));
      }
    });
  }
  const auto all = run(list_types(tenant_));
  ASSERT_FALSE(all);
  EXPECT_EQ(all.error().kind(), ErrorKind::exhausted);
  EXPECT_NE(all.error().message().find("ListOptions"), std::string::npos);
  const ListOptions last{.after = name(kListedMaximum - 1)};
  EXPECT_EQ(run(list_types(tenant_, last)).value().size(), 1u);
  commit([&](Transaction& tx) { tx.clear(internal::type_key(prefix, name(0))); });
  EXPECT_EQ(run(list_types(tenant_)).value().size(), kListedMaximum);
}

TEST_F(Inspect, dead_letters_are_listed_oldest_first) {
  bury(id_, "first");
  bury(id_, "second");
  const auto letters = run(list_dead_letters(tenant_, id_)).value();
  ASSERT_EQ(letters.size(), 2u);
  EXPECT_EQ(letters[0].message.name, "first");
  EXPECT_EQ(letters[0].reason, "it threw");
  EXPECT_EQ(letters[0].time, WallTime(std::chrono::milliseconds(1500)));
  EXPECT_FALSE(letters[0].was_call);
  EXPECT_EQ(run(list_dead_letters(tenant_, id_, 1)).value().size(), 1u);
  const auto rest = run(list_dead_letters(tenant_, id_, 10, letters[0].stamp)).value();
  ASSERT_EQ(rest.size(), 1u);
  EXPECT_EQ(rest[0].stamp, letters[1].stamp);
  EXPECT_THAT(run(list_dead_letters(tenant_, id_, 10, letters[1].stamp)).value(), IsEmpty());
}

TEST_F(Inspect, what_is_damaged_of_one_entity_keeps_nobody_from_the_others) {
  const EntityId bad{"Counter", "bad"};
  enqueue(bad, {"Add"});
  enqueue(id_, {"Add", "Add"});
  internal::Header header;
  header.lock = internal::LockRecord{1, "host", 0};
  write_header(id_, header);
  commit([&](Transaction& tx) {
    tx.set(keys(bad).header(), "?");
    tx.set(keys(id_).timer("broken"), "?");
    tx.set(keys(id_).key("Add", "broken"), "?");
    tx.set(internal::type_key(tenant_.prefix(), "Broken"), "?");
  });
  const auto outstanding = run(count_outstanding(tenant_));
  ASSERT_TRUE(outstanding) << outstanding.error().to_string();
  EXPECT_EQ(outstanding->entities_with_work, 2u);
  EXPECT_EQ(outstanding->locks, 1u);
  const auto page = scheduler_.block_on(list_loads(tenant_, "Counter", {}));
  ASSERT_TRUE(page) << page.error().to_string();
  ASSERT_EQ(page->entities.size(), 2u);
  for (const auto& load : page->entities) {
    EXPECT_EQ(load.is_damaged, load.id == bad) << load.id.to_string();
    EXPECT_EQ(load.waiting, load.id == bad ? 1u : 2u);
  }
  const auto timers = run(list_timers(tenant_, id_));
  EXPECT_TRUE(timers && timers->empty());
  const auto known = run(list_keys(tenant_, id_));
  EXPECT_TRUE(known && known->empty());
  const auto types = run(list_types(tenant_));
  ASSERT_TRUE(types) << types.error().to_string();
  EXPECT_EQ(types->size(), 2u);
}

TEST_F(Inspect, a_damaged_letter_is_in_nobodys_way) {
  bury(id_, "first");
  bury(id_, "second");
  bury(id_, "third");
  const auto before = run(list_dead_letters(tenant_, id_)).value();
  ASSERT_EQ(before.size(), 3u);
  const internal::EntityKeys keys(tenant_.prefix(), id_);
  for (const std::size_t damaged : {0u, 1u}) {
    commit([&](Transaction& tx) { tx.set(keys.dead_letter_at(before[damaged].stamp), "\xff?"); });
  }
  const auto letters = run(list_dead_letters(tenant_, id_)).value();
  ASSERT_EQ(letters.size(), 3u);
  EXPECT_TRUE(letters[0].is_damaged);
  EXPECT_EQ(letters[0].stamp, before[0].stamp);
  EXPECT_THAT(letters[0].reason, HasSubstr("corrupt"));
  EXPECT_FALSE(letters[2].is_damaged);
  EXPECT_EQ(letters[2].message.name, "third");
  EXPECT_EQ(run(list_dead_letters(tenant_, id_, 1)).value().size(), 1u);
  EXPECT_EQ(run(purge_dead_letters(tenant_, id_, WallTime(std::chrono::milliseconds(1)))), 0u);
  // With a limit that the damaged ones fill.
  EXPECT_EQ(run(redrive_dead_letters(tenant_, id_, 1)), 1u);
  EXPECT_EQ(run(peek_queue(tenant_, id_)).value().size(), 1u);
  EXPECT_EQ(run(redrive_dead_letters(tenant_, id_)), 0u);
  const std::vector<Versionstamp> named{before[0].stamp};
  EXPECT_EQ(run(redrive_dead_letters(tenant_, id_, named)).error().kind(), ErrorKind::corrupt);
  EXPECT_TRUE(run(delete_dead_letters(tenant_, id_, named)));
  EXPECT_EQ(run(count_dead_letters(tenant_, id_)), 1u);
  EXPECT_EQ(run(purge_dead_letters(tenant_, id_)), 1u);
  EXPECT_EQ(run(count_dead_letters(tenant_, id_)), 0u);
}

TEST_F(Inspect, of_the_calls_that_wait_for_a_key_those_of_lost_sessions_make_room) {
  const Bytes& prefix = tenant_.prefix();
  const internal::KeyAddress address{id_, "Add", "1"};
  internal::KeyRecord record;
  record.state = internal::KeyRecord::State::waiting;
  record.stamp = Versionstamp::complete(7, 0, 0);
  record.fingerprint = Bytes(internal::kFingerprintBytes, 'f');
  record.callers.push_back({"its own, which is gone", 1});
  for (std::uint64_t i = 1; i < kAttachedCallsMaximum; ++i) {
    record.callers.push_back({i % 3 == 0 ? "is there" : "is gone", i});
  }
  commit([&](Transaction& tx) {
    tx.set(internal::session_key(prefix, "is there"), internal::encode_alive({"p", 1, 0, {}}));
    tx.set(keys(id_).key("Add", "1"), record.encode());
  });
  write_header(id_, {});
  const auto attached = [&] { return run(list_keys(tenant_, id_)).value().front().attached_calls; };
  EXPECT_EQ(attached(), kAttachedCallsMaximum - 1);
  const auto attach = [&](Transaction& tx) -> Async<void> {
    internal::KeyBook book;
    const internal::KeyBook::Place place{tx, tx, prefix};
    SEMPER_CO_TRY_STATUS(co_await book.look(place, address, internal::KeyBook::Loaded::no));
    SEMPER_CO_TRY_STATUS(co_await book.make_room(place, address));
    book.settle(tx, prefix);
    co_return Status{};
  };
  ASSERT_TRUE(scheduler_.block_on(tenant_.store()->transact(attach)));
  EXPECT_EQ(attached(), kAttachedCallsMaximum / 3);
}

TEST_F(Inspect, redriven_letters_join_the_end_of_the_queue_in_order) {
  enqueue(id_, {"waiting"});
  for (const char* name : {"a", "b", "c"}) bury(id_, name);
  EXPECT_EQ(run(redrive_dead_letters(tenant_, id_, 2)).value(), 2u);
  EXPECT_THAT(queued_names(), ElementsAre("waiting", "a", "b"));
  EXPECT_EQ(run(inspect(tenant_, id_)).value().queue_length, 3u);
  EXPECT_EQ(run(inspect(tenant_, id_)).value().dead_letters, 1u);
  EXPECT_EQ(run(redrive_dead_letters(tenant_, id_)).value(), 1u);
  EXPECT_EQ(run(redrive_dead_letters(tenant_, id_)).value(), 0u);
}

TEST_F(Inspect, redriving_continues_past_what_fits_one_transaction) {
  const std::uint64_t letters = 600;
  for (std::uint64_t i = 0; i < letters; ++i) bury(id_, std::to_string(i));
  EXPECT_EQ(run(redrive_dead_letters(tenant_, id_, 1000)).value(), letters);
  const auto names = queued_names(1000);
  ASSERT_EQ(names.size(), letters);
  for (std::uint64_t i = 0; i < letters; ++i) ASSERT_EQ(names[i], std::to_string(i));
}

TEST_F(Inspect, outstanding_work_locks_sessions_replies_and_hosts_are_counted) {
  const Bytes session = "session1";
  enqueue(id_, {"x"});
  internal::Header header;
  header.lock = internal::LockRecord{1, "host", 0};
  write_header(id_, header);
  commit([&](Transaction& tx) {
    const auto& prefix = tenant_.prefix();
    tx.set(internal::session_key(prefix, session), internal::encode_alive({"p", 1, 0, {}}));
    tx.add(internal::session_wake_key(prefix, session), 1);
    tx.set(internal::reply_key(prefix, session, 1), internal::encode_reply("x"));
    tx.set(internal::reply_key(prefix, "another", 300), internal::encode_reply("x"));
    tx.set(internal::host_key(prefix, "h"), internal::encode_alive({"h", 1, 0, {}}));
  });
  const auto residue = run(count_outstanding(tenant_)).value();
  EXPECT_EQ(residue.entities_with_work, 1u);
  EXPECT_EQ(residue.locks, 1u);
  EXPECT_EQ(residue.sessions, 2u);
  EXPECT_EQ(residue.replies, 2u);
  EXPECT_EQ(residue.hosts, 1u);
}

// Fails until it is repaired.
struct Fragile {
  using State = std::int64_t;
  struct Add {
    std::int64_t by = 1;
  };
  using Messages = semper::Messages<Add>;

  Result<State> init(const EntityId&) { return 0; }
  Outcome handle_cast(const Add& add, State& state, Context&) {
    if (!repaired) return fail(ErrorKind::io, "the outside world is down");
    state += add.by;
    return {};
  }

  std::atomic<bool> repaired = false;
};

TEST_F(Inspect, a_redriven_dead_letter_is_handled_by_the_host_that_set_it_aside) {
  auto fragile = std::make_shared<Fragile>();
  HostOptions options;
  options.message_attempts = 1;
  Host host(tenant_, options);
  host.serve(fragile);
  ASSERT_TRUE(run(host.start()));
  const EntityId id{std::string(type_name<Fragile>()), "f"};
  enqueue(id, {"Add"}, encode(Fragile::Add{5}));
  const auto eventually = [&](auto condition) {
    for (int i = 0; i < 2000; ++i) {
      const auto view = run(inspect(tenant_, id));
      if (view && condition(*view)) return true;
      static_cast<void>(run(sleep_for(system_clock(), std::chrono::milliseconds(5))));
    }
    return false;
  };
  ASSERT_TRUE(eventually([](const EntityView& view) { return view.dead_letters == 1; }));
  EXPECT_THAT(run(list_dead_letters(tenant_, id)).value().front().reason, HasSubstr("down"));
  fragile->repaired = true;
  EXPECT_EQ(run(redrive_dead_letters(tenant_, id)).value(), 1u);
  EXPECT_TRUE(
      eventually([](const EntityView& view) { return view.state == encode(std::int64_t{5}); }));
  EXPECT_EQ(run(inspect(tenant_, id)).value().dead_letters, 0u);
  ASSERT_TRUE(run(host.stop()));
}

TEST_F(Inspect, loads_are_those_of_entities_with_work_and_of_those_asked_for) {
  const EntityId a{"Counter", "a"};
  const EntityId done{"Counter", "done"};
  const EntityId other{"Other", "x"};
  enqueue(a, {"Add", "Add"});
  enqueue(other, {"Add"});
  internal::Header header;
  header.popped = 7;
  write_header(done, header);
  LoadListOptions options;
  auto page = scheduler_.block_on(list_loads(tenant_, "Counter", options)).value();
  ASSERT_EQ(page.entities.size(), 1u);
  EXPECT_EQ(page.entities[0].id, a);
  EXPECT_EQ(page.entities[0].waiting, 2u);
  EXPECT_FALSE(page.has_more);
  options.also = {"done", "a", "nobody"};
  page = scheduler_.block_on(list_loads(tenant_, "Counter", options)).value();
  ASSERT_EQ(page.entities.size(), 2u) << "each once, and nobody is no entity";
  EXPECT_EQ(page.entities[1].id, done);
  EXPECT_EQ(page.entities[1].processed, 7u);
  enqueue({"Counter", "b"}, {"Add"});
  options.limit = 1;
  options.also.clear();
  page = scheduler_.block_on(list_loads(tenant_, "Counter", options)).value();
  EXPECT_EQ(page.entities.size(), 1u);
  EXPECT_TRUE(page.has_more);
  EXPECT_EQ(scheduler_.block_on(list_loads(tenant_, "", options)).error().kind(),
            ErrorKind::invalid_argument);
}

}  // namespace
}  // namespace semper
