// Lists and sets: what is inserted, moved and removed is in its order, once, or not at all.
#include <gmock/gmock.h>

#include "behaviours.h"
#include "semper/server/list.h"
#include "semper/server/set.h"
#include "world.h"

namespace semper::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

SERVER_SUITE(Lists);
SERVER_SUITE(Sets);

struct Playlist {
  using State = std::int64_t;
  static constexpr List<std::string> kSongs{"songs"};
  static constexpr Set<std::string> kArtists{"artists"};

  enum class Where : std::uint8_t { front, back, before, after };
  struct Add {
    std::string song;
    Where where = Where::back;
    ListPlace other;
    bool fails = false;
    using Reply = ListPlace;
  };
  struct Move {
    ListPlace song;
    ListPlace other;
    bool behind = false;
    using Reply = ListPlace;
  };
  struct Rename {
    ListPlace song;
    std::string name;
    using Reply = std::string;
  };
  struct Remove {
    ListPlace song;
    using Reply = std::string;
  };
  struct Artist {
    std::string name;
    bool leaves = false;
    using Reply = bool;
  };
  using Messages = semper::Messages<Add, Move, Rename, Remove, Artist>;

  Result<State> init(const EntityId&) { return 0; }

  static Async<ListPlace> add(const Add& m, Context& context) {
    switch (m.where) {
      case Where::front:
        return kSongs.push_front(context, m.song);
      case Where::back:
        return kSongs.push_back(context, m.song);
      case Where::before:
        return kSongs.insert_before(context, m.other, m.song);
      case Where::after:
        break;
    }
    return kSongs.insert_after(context, m.other, m.song);
  }
  Async<ListPlace> handle_call(const Add& m, State&, Context& context) { return add(m, context); }
  Async<void> handle_cast(const Add& m, State&, Context& context) {
    SEMPER_CO_TRY_STATUS(co_await add(m, context));
    if (m.fails) throw std::runtime_error("never played");
    co_return Status{};
  }
  Async<ListPlace> handle_call(const Move& m, State&, Context& context) {
    if (m.behind) return kSongs.move_after(context, m.song, m.other);
    return kSongs.move_before(context, m.song, m.other);
  }
  Async<std::string> handle_call(const Rename& m, State&, Context& context) {
    SEMPER_CO_TRY_STATUS(co_await kSongs.set(context, m.song, m.name));
    SEMPER_CO_TRY(const auto now, co_await kSongs.get(context, m.song));
    co_return now.value_or("nothing");
  }
  Async<std::string> handle_call(const Remove& m, State&, Context& context) {
    kSongs.erase(context, m.song);
    SEMPER_CO_TRY(const auto left, co_await kSongs.get(context, m.song));
    co_return left.value_or("gone");
  }
  Async<bool> handle_call(const Artist& m, State&, Context& context) {
    if (m.leaves) return kArtists.remove(context, m.name);
    return kArtists.insert(context, m.name);
  }
};

Task<ListPlace> add(Ref<Playlist> list, std::string song, Playlist::Where where,
                    ListPlace other = {}) {
  Playlist::Add message;
  message.song = std::move(song);
  message.where = where;
  message.other = std::move(other);
  co_return must(co_await list.call(message));
}

Task<std::vector<std::string>> songs_of(Ref<Playlist> list, Order order = Order::ascending) {
  std::vector<std::string> songs;
  auto page = must(co_await Playlist::kSongs.page(list, 2, order));
  while (true) {
    for (const auto& entry : page.entries) songs.push_back(entry.value);
    if (!page.more) break;
    const ListPlace last = page.entries.back().place;
    page = must(co_await Playlist::kSongs.page_after(list, last, 2, order));
  }
  co_return songs;
}

SERVER_TEST(Lists, entries_are_added_at_both_ends_and_between_others) {
  auto list = (*co_await world.serve<Playlist>()).ref<Playlist>("p");
  EXPECT_THAT(co_await songs_of(list), IsEmpty());
  const auto middle = co_await add(list, "m", Playlist::Where::back);
  const auto first = co_await add(list, "a", Playlist::Where::front);
  co_await add(list, "z", Playlist::Where::back);
  co_await add(list, "b", Playlist::Where::after, first);
  co_await add(list, "l", Playlist::Where::before, middle);
  co_await add(list, "n", Playlist::Where::after, middle);
  EXPECT_THAT(co_await songs_of(list), ElementsAre("a", "b", "l", "m", "n", "z"));
  EXPECT_THAT(co_await songs_of(list, Order::descending),
              ElementsAre("z", "n", "m", "l", "b", "a"));
  EXPECT_EQ(must(co_await Playlist::kSongs.count(list, 100)), 6u);
  must(co_await list.reset());
  EXPECT_THAT(co_await songs_of(list), IsEmpty());
}

SERVER_TEST(Lists, an_entry_moves_and_one_that_is_gone_cannot) {
  auto list = (*co_await world.serve<Playlist>()).ref<Playlist>("p");
  const auto a = co_await add(list, "a", Playlist::Where::back);
  const auto b = co_await add(list, "b", Playlist::Where::back);
  const auto c = co_await add(list, "c", Playlist::Where::back);
  Playlist::Move move;
  move.song = c;
  move.other = a;
  const auto moved = must(co_await list.call(move));
  EXPECT_THAT(co_await songs_of(list), ElementsAre("c", "a", "b"));
  EXPECT_EQ(must_fail(co_await list.call(move)).kind(), ErrorKind::not_found) << "it has moved";
  move.song = moved;
  move.other = b;
  move.behind = true;
  const auto last = must(co_await list.call(move));
  EXPECT_THAT(co_await songs_of(list), ElementsAre("a", "b", "c"));
  move.song = last;
  move.other = last;
  EXPECT_EQ(must(co_await list.call(move)), last) << "next to itself";
  Playlist::Remove remove;
  remove.song = b;
  EXPECT_EQ(must(co_await list.call(remove)), "gone");
  EXPECT_EQ(must(co_await list.call(remove)), "gone");
  move.other = b;
  EXPECT_EQ(must_fail(co_await list.call(move)).kind(), ErrorKind::not_found);
  EXPECT_THAT(co_await songs_of(list), ElementsAre("a", "c")) << "it stays where it was";
}

SERVER_TEST(Lists, an_entry_keeps_its_place_with_another_value) {
  auto list = (*co_await world.serve<Playlist>()).ref<Playlist>("p");
  const auto a = co_await add(list, "a", Playlist::Where::back);
  co_await add(list, "b", Playlist::Where::back);
  Playlist::Rename rename;
  rename.song = a;
  rename.name = "A";
  EXPECT_EQ(must(co_await list.call(rename)), "A");
  EXPECT_THAT(co_await songs_of(list), ElementsAre("A", "b"));
  rename.song = ListPlace("abcde");
  EXPECT_EQ(must_fail(co_await list.call(rename)).kind(), ErrorKind::not_found);
  rename.song = ListPlace("a");
  EXPECT_EQ(must_fail(co_await list.call(rename)).kind(), ErrorKind::invalid_argument);
}

SERVER_TEST(Lists, messages_of_one_batch_see_each_other_and_a_failed_one_leaves_nothing) {
  auto list = world.ref<Playlist>("p");
  for (const char* song : {"a", "b", "never", "c"}) {
    Playlist::Add message;
    message.song = song;
    message.fails = message.song == "never";
    must(co_await list.cast(message));
  }
  co_await world.serve<Playlist>();
  co_await world.until_processed(list.untyped());
  EXPECT_THAT(co_await songs_of(list), ElementsAre("a", "b", "c"));
  co_await world.until_clean();
}

SERVER_TEST(Sets, a_key_is_in_it_once_and_says_whether_it_was) {
  auto list = (*co_await world.serve<Playlist>()).ref<Playlist>("p");
  Playlist::Artist artist;
  artist.name = "Nina";
  EXPECT_TRUE(must(co_await list.call(artist)));
  EXPECT_FALSE(must(co_await list.call(artist)));
  artist.name = "Ella";
  EXPECT_TRUE(must(co_await list.call(artist)));
  EXPECT_THAT(must(co_await Playlist::kArtists.page(list, 10)).keys, ElementsAre("Ella", "Nina"));
  const std::string ella = "Ella";
  const auto rest = must(co_await Playlist::kArtists.page_after(list, ella, 10));
  EXPECT_THAT(rest.keys, ElementsAre("Nina"));
  EXPECT_FALSE(rest.more);
  const auto back = must(co_await Playlist::kArtists.page(list, 1, Order::descending));
  EXPECT_THAT(back.keys, ElementsAre("Nina"));
  EXPECT_TRUE(back.more);
  artist.leaves = true;
  EXPECT_TRUE(must(co_await list.call(artist)));
  EXPECT_FALSE(must(co_await list.call(artist)));
  EXPECT_FALSE(must(co_await Playlist::kArtists.contains(list, ella)));
  EXPECT_EQ(must(co_await Playlist::kArtists.count(list, 10)), 1u);
}

}  // namespace
}  // namespace semper::testing
