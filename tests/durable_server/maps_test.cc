// Maps: entries beside the State, of which a callback reads and writes only those that it touches.
#include <gmock/gmock.h>

#include <stdexcept>

#include "behaviours.h"
#include "semper/server/list_maps.h"
#include "semper/server/map.h"
#include "semper/server/recording.h"
#include "semper/store/tuple.h"
#include "world.h"

namespace semper::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

SERVER_SUITE(Maps);
SERVER_SUITE_ON(MapsInMemory, worlds_in(TimeKind::simulated));

// Books by number. The State says how many messages changed it, and is left alone by Lend.
struct Shelf {
  using State = std::int64_t;
  static constexpr Map<std::int64_t, std::string> kBooks{"books"};
  static constexpr Map<std::string, std::int64_t> kLent{"lent"};

  struct Put {
    std::int64_t number = 0;
    std::string title;
    using Reply = std::int64_t;
  };
  struct Fill {  // numbers from `first` on
    std::int64_t first = 0;
    std::int64_t count = 0;
    using Reply = std::int64_t;
  };
  struct Take {
    std::int64_t number = 0;
    using Reply = std::string;
  };
  struct Lend {  // to that reader, once more
    std::string reader;
    using Reply = std::int64_t;
  };
  struct Burn {  // takes all of a page, and fails
    std::int64_t number = 0;
  };
  struct Titles {
    std::int64_t from = 0;
    std::uint64_t limit = 0;
    using Reply = std::vector<std::string>;
  };
  struct Rewrite {  // under the lock
    std::int64_t number = 0;
    std::string title;
    using Reply = std::string;
  };
  struct Hide {};  // writes an entry that is larger than can be
  using Messages = semper::Messages<Put, Fill, Take, Lend, Burn, Titles, Rewrite, Hide>;

  Result<State> init(const EntityId&) { return 0; }
  Reply<std::int64_t> handle_call(const Put& m, State& s, Context& context) {
    kBooks.set(context, m.number, m.title);
    return ++s;
  }
  void handle_cast(const Put& m, State& s, Context& context) {
    kBooks.set(context, m.number, m.title);
    ++s;
  }
  Reply<std::int64_t> handle_call(const Fill& m, State& s, Context& context) {
    for (std::int64_t i = 0; i < m.count; ++i) kBooks.set(context, m.first + i, "some");
    return ++s;
  }
  Async<std::string> handle_call(const Take& m, State&, Context& context) {
    const std::int64_t number = m.number;
    SEMPER_CO_TRY(auto title, co_await kBooks.get(context, number));
    if (!title) co_return fail(ErrorKind::not_found, "there is no such book");
    kBooks.erase(context, number);
    co_return std::move(*title);
  }
  static Async<std::int64_t> lend(const Lend& m, Context& context) {
    const std::string reader = m.reader;
    SEMPER_CO_TRY(const auto before, co_await kLent.get(context, reader));
    const std::int64_t now = before.value_or(0) + 1;
    kLent.set(context, reader, now);
    co_return now;
  }
  Async<std::int64_t> handle_call(const Lend& m, State&, Context& context) {
    return lend(m, context);
  }
  Async<void> handle_cast(const Lend& m, State&, Context& context) {
    SEMPER_CO_TRY_STATUS(co_await lend(m, context));
    co_return Status{};
  }
  Async<void> handle_cast(const Burn& m, State& s, Context& context) {
    const std::int64_t number = m.number;
    kBooks.erase(context, number);
    kBooks.set(context, number + 1, "ashes");
    ++s;
    SEMPER_CO_TRY(const auto gone, co_await kBooks.contains(context, number));
    if (gone) co_return fail(ErrorKind::internal, "it sees not what it has done");
    throw std::runtime_error("no fire here");
  }
  Async<std::vector<std::string>> handle_call(const Titles& m, State&, Context& context) {
    const auto limit = static_cast<std::size_t>(m.limit);
    SEMPER_CO_TRY(const auto page, co_await kBooks.page_from(context, m.from, limit));
    std::vector<std::string> titles;
    for (const auto& entry : page.entries) titles.push_back(entry.value);
    co_return titles;
  }
  Reply<std::string> handle_call(const Rewrite&, State&, Context&) { return semper::lock(); }
  Task<Reply<std::string>> handle_locked(const Rewrite& m, State& s, LockedContext& context) {
    const std::int64_t number = m.number;
    const std::string title = m.title;
    const auto before = must(co_await kBooks.get(context, number));
    kBooks.set(context, number, title);
    kBooks.erase(context, number + 1);
    ++s;
    Reply<std::string> reply(before.value_or("none"));
    co_return reply;
  }
  void handle_cast(const Hide&, State& s, Context& context) {
    ++s;
    kBooks.set(context, 1, std::string(kMapValueBytesMaximum, 'x'));
  }
};

Shelf::Put put(std::int64_t number, std::string title) {
  return {number, std::move(title)};
}

std::vector<std::string> lines_of(const Map<std::int64_t, std::string>::Page& page) {
  std::vector<std::string> lines;
  for (const auto& entry : page.entries) {
    lines.push_back(std::to_string(entry.key) + " " + entry.value);
  }
  return lines;
}

template <class M>
Task<typename M::Reply> call(World& world, const Ref<Shelf>& shelf, M message) {
  const CallOptions patient{world.patience()};
  co_return must(co_await shelf.call(message, patient));
}

SERVER_TEST(Maps, entries_are_written_read_and_erased_inline_and_through_the_queue) {
  auto& server = *co_await world.serve<Shelf>();
  for (const auto& shelf : {server.ref<Shelf>("inline"), world.ref<Shelf>("queued")}) {
    const auto emma = put(-3, "Emma");
    const auto middlemarch = put(70'000, "Middlemarch");
    EXPECT_EQ(co_await call(world, shelf, emma), 1);
    EXPECT_EQ(co_await call(world, shelf, middlemarch), 2);
    EXPECT_EQ(must(co_await Shelf::kBooks.get(shelf, -3)), "Emma");
    EXPECT_EQ(must(co_await Shelf::kBooks.get(shelf, 4)), std::nullopt);
    EXPECT_EQ(co_await call(world, shelf, Shelf::Take{-3}), "Emma");
    const CallOptions patient{world.patience()};
    EXPECT_EQ(must_fail(co_await shelf.call(Shelf::Take{-3}, patient)).kind(),
              ErrorKind::not_found);
    const auto page = must(co_await Shelf::kBooks.page(shelf, 10));
    EXPECT_THAT(lines_of(page), ElementsAre("70000 Middlemarch"));
    EXPECT_FALSE(page.more);
  }
  EXPECT_EQ(must(co_await Shelf::kBooks.get(world.ref<Shelf>("nobody"), 1)), std::nullopt);
  co_await world.until_clean();
}

SERVER_TEST(Maps, messages_of_one_batch_see_what_those_before_have_written) {
  auto shelf = world.ref<Shelf>("s");
  constexpr int kLoans = 60;
  for (int i = 0; i < kLoans; ++i) must(co_await shelf.cast<Shelf::Lend>(i % 2 ? "ann" : "bob"));
  co_await world.serve<Shelf>();
  co_await world.until_processed(shelf.untyped());
  EXPECT_EQ(must(co_await Shelf::kLent.get(shelf, "ann")), kLoans / 2);
  EXPECT_EQ(must(co_await Shelf::kLent.get(shelf, "bob")), kLoans / 2);
}

// Neither the State nor the queue changes with them: only the entries say that they meet.
SERVER_TEST(Maps, inline_calls_of_two_hosts_lose_no_change_of_an_entry) {
  constexpr int kCalls = 25;
  std::vector<Process*> hosts;
  for (int i = 0; i < 2; ++i) hosts.push_back(co_await world.serve<Shelf>());
  co_await world.in_parallel(4, [&](int who) -> Task<void> {
    auto& host = *hosts[static_cast<std::size_t>(who % 2)];
    const auto lend = [&]() -> Task<void> {
      for (int i = 0; i < kCalls; ++i) {
        const CallOptions patient{world.patience()};
        Shelf::Lend message;
        message.reader = "ann";
        while (true) {
          const auto lent = co_await host.ref<Shelf>("s").call(message, patient);
          if (lent) break;
          if (lent.error().kind() != ErrorKind::conflict) must(lent);
        }
        if (world.is_simulated()) must(co_await sleep_for(world.clock(), 1ms));
      }
    };
    co_await host.run(lend());
  });
  EXPECT_EQ(must(co_await Shelf::kLent.get(world.ref<Shelf>("s"), "ann")), 4 * kCalls);
}

SERVER_TEST(Maps, a_message_that_fails_leaves_every_entry_as_it_was) {
  co_await world.serve<Shelf>();
  auto shelf = world.ref<Shelf>("s");
  const auto emma = put(1, "Emma");
  must(co_await shelf.cast(emma));
  must(co_await shelf.cast<Shelf::Burn>(1));
  must(co_await shelf.cast<Shelf::Hide>());
  co_await world.until_processed(shelf.untyped());
  const auto page = must(co_await Shelf::kBooks.page(shelf, 10));
  EXPECT_THAT(lines_of(page), ElementsAre("1 Emma"));
  const auto letters = must(co_await list_dead_letters(world.store(), shelf.entity()));
  EXPECT_EQ(letters.size(), 2u);
  EXPECT_THAT(letters.back().reason, HasSubstr("kMapValueBytesMaximum = 65536"));
}

SERVER_TEST(Maps, pages_go_through_all_entries_in_order_and_against_it) {
  auto& server = *co_await world.serve<Shelf>();
  auto shelf = server.ref<Shelf>("s");
  for (const std::int64_t number : {300, -1, 2, 1, 70'000}) {
    const auto book = put(number, "b");
    must(co_await shelf.call(book));
  }
  const auto& books = Shelf::kBooks;
  auto page = must(co_await books.page(shelf, 2));
  EXPECT_THAT(lines_of(page), ElementsAre("-1 b", "1 b"));
  EXPECT_TRUE(page.more);
  page = must(co_await books.page_after(shelf, 1, 2));
  EXPECT_THAT(lines_of(page), ElementsAre("2 b", "300 b"));
  page = must(co_await books.page_after(shelf, 300, 2));
  EXPECT_THAT(lines_of(page), ElementsAre("70000 b"));
  EXPECT_FALSE(page.more);
  page = must(co_await books.page_from(shelf, 2, 2));
  EXPECT_THAT(lines_of(page), ElementsAre("2 b", "300 b"));
  page = must(co_await books.page_from(shelf, 3, 1));
  EXPECT_THAT(lines_of(page), ElementsAre("300 b"));
  page = must(co_await books.page(shelf, 2, Order::descending));
  EXPECT_THAT(lines_of(page), ElementsAre("70000 b", "300 b"));
  page = must(co_await books.page_after(shelf, 300, 9, Order::descending));
  EXPECT_THAT(lines_of(page), ElementsAre("2 b", "1 b", "-1 b"));
  page = must(co_await books.page_from(shelf, 2, 1, Order::descending));
  EXPECT_THAT(lines_of(page), ElementsAre("2 b"));
  EXPECT_EQ(must(co_await books.count(shelf, 3)), 3u);
  EXPECT_EQ(must(co_await books.count(shelf, 30)), 5u);
  EXPECT_EQ(must_fail(co_await books.page(shelf, 0)).kind(), ErrorKind::invalid_argument);
  EXPECT_EQ(must_fail(co_await books.page(shelf, kMapPageMaximum + 1)).kind(),
            ErrorKind::invalid_argument);
  const auto titles = must(co_await shelf.call(Shelf::Titles{2, 10}));
  EXPECT_EQ(titles.size(), 3u);
}

SERVER_TEST(Maps, what_handle_locked_writes_goes_out_with_its_result) {
  auto& server = *co_await world.serve<Shelf>();
  auto shelf = server.ref<Shelf>("s");
  const auto emma = put(1, "Emma");
  const auto next = put(2, "Emma, the end");
  must(co_await shelf.call(emma));
  must(co_await shelf.call(next));
  Shelf::Rewrite rewrite;
  rewrite.number = 1;
  rewrite.title = "Emma, annotated";
  EXPECT_EQ(co_await call(world, shelf, rewrite), "Emma");
  const auto page = must(co_await Shelf::kBooks.page(shelf, 10));
  EXPECT_THAT(lines_of(page), ElementsAre("1 Emma, annotated"));
}

Task<void> fill(World& world, const Ref<Shelf>& shelf, std::int64_t count) {
  for (std::int64_t first = 0; first < count; first += 500) {
    Shelf::Fill some;
    some.first = first;
    some.count = std::min<std::int64_t>(500, count - first);
    co_await call(world, shelf, some);
  }
}

SERVER_TEST(Maps, kill_and_reset_take_all_entries_however_many) {
  co_await world.serve<Shelf>();
  auto shelf = world.ref<Shelf>("s");
  for (const std::int64_t count : {3, 2'500}) {
    for (const bool kills : {false, true}) {
      co_await fill(world, shelf, count);
      must(co_await shelf.cast<Shelf::Lend>("ann"));
      co_await world.until_processed(shelf.untyped());
      if (kills) {
        must(co_await shelf.kill());
      } else {
        must(co_await shelf.reset());
      }
      EXPECT_THAT(must(co_await Shelf::kBooks.page(shelf, 10)).entries, IsEmpty());
      EXPECT_EQ(must(co_await Shelf::kLent.get(shelf, "ann")), std::nullopt);
      const auto emma = put(1, "Emma");
      EXPECT_EQ(co_await call(world, shelf, emma), 1) << "it has begun anew";
      const auto page = must(co_await Shelf::kBooks.page(shelf, 10));
      EXPECT_THAT(lines_of(page), ElementsAre("1 Emma"));
      EXPECT_EQ((co_await world.rows(entity_range(shelf.entity(), 15))).size(), 1u);
      must(co_await shelf.kill());
      EXPECT_THAT(co_await world.rows(entity_range(shelf.entity(), 15)), IsEmpty());
    }
  }
  co_await world.until_clean();
}

// Keeps the lock until it is told to end, in its first run.
struct Rounder {
  using State = std::int64_t;
  static constexpr Map<std::int64_t, std::int64_t> kRounds{"rounds"};
  struct Walk {
    using Reply = std::int64_t;
  };
  struct Relieve {};
  static constexpr int kMessageAttempts = 1'000;
  using Messages = semper::Messages<Walk, Relieve>;
  Result<State> init(const EntityId&) { return 0; }
  Outcome handle_cast(const Relieve&, State& s, Context&) {
    s += 10;
    is_relieved = true;
    return {};
  }
  Reply<std::int64_t> handle_call(const Walk&, State& s, Context& context) {
    if (waits_for_relief && runs == 1 && !is_relieved) throw std::runtime_error("not yet");
    kRounds.set(context, ++s, 1);
    return semper::lock();
  }
  Task<Reply<std::int64_t>> handle_locked(const Walk&, State& s, LockedContext& context) {
    ++runs;
    while (runs == 1 && !is_over) co_await sleep_for(context.clock(), 5ms);
    kRounds.set(context, ++s, 2);
    Reply<std::int64_t> reply(s);
    co_return reply;
  }
  int runs = 0;
  bool is_over = false;
  bool waits_for_relief = false;
  bool is_relieved = false;
};

SERVER_TEST(MapsInMemory, what_is_made_of_a_state_that_is_reset_under_the_lock_is_not_written) {
  auto rounder = std::make_shared<Rounder>();
  rounder->waits_for_relief = true;
  co_await world.serve(rounder);
  auto ref = world.ref<Rounder>("w");
  std::int64_t walked = 0;
  co_await world.in_parallel(2, [&](int who) -> Task<void> {
    const CallOptions patient{world.patience()};
    if (who == 0) {
      walked = must(co_await ref.call(Rounder::Walk{}, patient));
      co_return;
    }
    co_await world.eventually([&] { return rounder->runs == 1; });
    must(co_await ref.reset());
    EXPECT_THAT(must(co_await Rounder::kRounds.page(ref, 10)).entries, IsEmpty());
    rounder->is_relieved = true;
    rounder->is_over = true;
  });
  EXPECT_EQ(walked, 2) << "of a state that has begun anew";
  EXPECT_EQ(rounder->runs, 2);
  EXPECT_EQ(must(co_await Rounder::kRounds.count(ref, 10)), 2u);
  EXPECT_EQ(decode<std::int64_t>(*(co_await world.look(ref)).state), 2);
  co_await world.until_clean();
}

// The state that is there when the lock's holder is done is not the one that it was given.
SERVER_TEST(MapsInMemory, a_state_made_anew_by_a_priority_message_outlives_what_the_lock_had_made) {
  auto rounder = std::make_shared<Rounder>();
  rounder->waits_for_relief = true;
  const auto& server = *co_await world.serve(rounder);
  auto ref = world.ref<Rounder>("w");
  co_await world.in_parallel(2, [&](int who) -> Task<void> {
    const CallOptions patient{world.patience()};
    if (who == 0) {
      EXPECT_EQ(must(co_await ref.call(Rounder::Walk{}, patient)), 12);
      co_return;
    }
    co_await world.eventually([&] { return rounder->runs == 1; });
    must(co_await ref.reset());
    must(co_await server.ref<Rounder>("w").priority_cast(Rounder::Relieve{}));
    rounder->is_over = true;
  });
  EXPECT_EQ(decode<std::int64_t>(*(co_await world.look(ref)).state), 12);
  co_await world.until_clean();
}

// The order of a reset that was cut off there.
SERVER_TEST(MapsInMemory, a_reset_that_was_cut_off_is_finished_by_the_next_message) {
  co_await world.serve<Shelf>();
  auto shelf = world.ref<Shelf>("s");
  co_await fill(world, shelf, 1'500);
  co_await world.until_processed(shelf.untyped());
  const Bytes order_key = entity_key(shelf.entity(), 0) + Tuple{0}.pack();
  const auto order = [&](Transaction& transaction) -> Async<void> {
    Bytes row(Versionstamp::incomplete(0).bytes());
    row += "\x81\x01";  // of kind reset
    transaction.set_versionstamped_value(order_key, std::move(row), 0);
    transaction.add_write_conflict_range(KeyRange::point(entity_key(shelf.entity(), 0)));
    co_return Status{};
  };
  must(co_await world.store().transact(order));
  EXPECT_EQ(must(co_await Shelf::kBooks.get(shelf, 7)), std::nullopt) << "it is dead at once";
  EXPECT_THAT(must(co_await list_maps(world.store(), shelf.entity())), IsEmpty());
  const auto emma = put(1, "Emma");
  EXPECT_EQ(co_await call(world, shelf, emma), 1);
  const auto page = must(co_await Shelf::kBooks.page(shelf, 10));
  EXPECT_THAT(lines_of(page), ElementsAre("1 Emma"));
  co_await world.until_clean();
}

SERVER_TEST(MapsInMemory, a_recording_has_the_entries) {
  co_await world.serve<Shelf>();
  auto shelf = world.ref<Shelf>("s");
  co_await fill(world, shelf, 1'200);
  RecordOptions all;
  auto recording = must(co_await record_entity(world.store(), shelf.entity(), all));
  // A store may refuse for no reason; then a part may be there.
  Status restored = fail(ErrorKind::conflict, "not yet");
  while (!restored && restored.error().kind() == ErrorKind::conflict) {
    static_cast<void>(co_await shelf.kill());
    auto copy = recording;
    restored = co_await restore_recording(world.store(), std::move(copy));
  }
  must(restored);
  EXPECT_EQ(must(co_await Shelf::kBooks.count(shelf, 10'000)), 1'200u);
}

SERVER_TEST(MapsInMemory, an_entry_that_does_not_decode_is_corrupt_and_named) {
  auto& server = *co_await world.serve<Shelf>();
  auto shelf = server.ref<Shelf>("s");
  const auto emma = put(1, "Emma");
  must(co_await shelf.call(emma));
  const Bytes map = entity_key(shelf.entity(), 15) + Tuple{"books"}.pack();
  const Bytes two = map + Tuple{2}.pack();
  const Bytes misplaced = map + Tuple{"two"}.pack();
  const Bytes number = encode(std::int64_t{7});
  co_await world.put(two, number);
  Error error = must_fail(co_await Shelf::kBooks.get(shelf, 2));
  EXPECT_EQ(error.kind(), ErrorKind::corrupt);
  EXPECT_THAT(error.message(), HasSubstr("map books"));
  EXPECT_EQ(must(co_await Shelf::kBooks.get(shelf, 1)), "Emma");
  EXPECT_EQ(must_fail(co_await Shelf::kBooks.page(shelf, 10)).kind(), ErrorKind::corrupt);
  const Bytes text = encode(std::string("two"));
  co_await world.put(two, text);
  co_await world.put(misplaced, text);
  error = must_fail(co_await Shelf::kBooks.page(shelf, 10));
  EXPECT_EQ(error.kind(), ErrorKind::corrupt);
}

SERVER_TEST(MapsInMemory, tools_see_which_there_are_and_about_how_large) {
  co_await world.serve<Shelf>();
  auto shelf = world.ref<Shelf>("s");
  EXPECT_THAT(must(co_await list_maps(world.store(), shelf.entity())), IsEmpty());
  co_await fill(world, shelf, 10'003);
  must(co_await shelf.cast<Shelf::Lend>("ann"));
  co_await world.until_processed(shelf.untyped());
  const auto maps = must(co_await list_maps(world.store(), shelf.entity()));
  EXPECT_EQ(maps.size(), 2u);
  EXPECT_EQ(maps.front().name, "books");
  EXPECT_EQ(maps.front().entries, kMapEntriesCounted) << "and more";
  EXPECT_EQ(maps.back().name, "lent");
  EXPECT_EQ(maps.back().entries, 1u);
}

}  // namespace
}  // namespace semper::testing
