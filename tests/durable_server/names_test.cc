// Names that at most one live owner holds: name_registry.h, on every store.
#include <gmock/gmock.h>

#include "semper/server/name_registry.h"
#include "semper/store/tuple_stream.h"
#include "world.h"

namespace semper::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;

SERVER_SUITE(Names);
SERVER_SUITE_ON(NamesInTime, worlds_in(TimeKind::simulated));

// A process that holds names.
struct Site {
  Process* process = nullptr;
  std::unique_ptr<NameRegistry> names;

  void kill() {
    process->kill();
    names.reset();
  }
};

// Its registry runs on the process's loop, and dies with it, or, in real time, on a thread of its
// own.
enum class Runs : std::uint8_t { as_users_do, with_the_process };
Task<Site> make_site(World& world, std::string owner, Duration lease = 2s, Duration calendar = {},
                     Runs runs = Runs::as_users_do) {
  Site site;
  site.process = world.loop(co_await world.open(calendar));
  NameRegistryOptions options;
  options.owner = std::move(owner);
  options.lease = lease;
  const bool is_own = !world.is_simulated() && runs == Runs::as_users_do;
  if (!is_own) options.executor = site.process->executor();
  site.names = std::make_unique<NameRegistry>(site.process->store(), options);
  co_return site;
}

Task<std::string> owner_of(World& world, std::string name) {
  const auto view = must(co_await lookup_name(world.store(), name));
  co_return view ? view->owner : "nobody";
}

// Writes `value` to `key`, as the holder.
Task<Status> write_guarded(const Store& store, const Holding& holding, Bytes key, Bytes value) {
  const auto write = [&](Transaction& transaction) -> Async<void> {
    SEMPER_CO_TRY_STATUS(co_await holding.guard(transaction));
    transaction.set(key, value);
    co_return Status{};
  };
  co_return co_await store.transact(write);
}

SERVER_TEST(Names, one_of_many_that_ask_at_once_has_the_name) {
  std::vector<Site> sites;
  for (int i = 0; i < 4; ++i) sites.push_back(co_await make_site(world, std::to_string(i)));
  std::vector<Holding> got;
  int refused = 0;
  co_await world.in_parallel(8, [&](int i) -> Task<void> {
    auto holding = co_await sites[i % sites.size()].names->acquire("leader");
    if (holding) {
      got.push_back(std::move(*holding));
    } else {
      EXPECT_EQ(holding.error().kind(), ErrorKind::already_exists) << holding.error().to_string();
      ++refused;
    }
  });
  EXPECT_EQ(got.size(), 1u);
  EXPECT_EQ(refused, 7);
  EXPECT_TRUE(got.front().is_held());
  const auto view = must(co_await lookup_name(world.store(), "leader"));
  if (!view) throw CaseFailure("nobody holds it");
  EXPECT_EQ(view->token, got.front().token());
}

SERVER_TEST(Names, tokens_grow_with_each_holding) {
  auto a = co_await make_site(world, "a");
  auto b = co_await make_site(world, "b");
  std::uint64_t last = 0;
  for (int i = 0; i < 10; ++i) {
    auto holding = must(co_await (i % 2 == 0 ? a : b).names->acquire("x"));
    EXPECT_GT(holding.token(), last);
    last = holding.token();
    must(co_await holding.release());
    EXPECT_FALSE(holding.is_held());
    EXPECT_TRUE(holding.lost().stop_requested());
    EXPECT_EQ(co_await owner_of(world, "x"), "nobody");
  }
}

SERVER_TEST(Names, campaigns_win_in_the_order_of_asking) {
  std::vector<Site> sites;
  for (int i = 0; i < 4; ++i) sites.push_back(co_await make_site(world, std::to_string(i)));
  auto first = must(co_await sites[0].names->acquire("leader"));
  std::vector<int> order;
  std::vector<std::uint64_t> tokens = {first.token()};
  int asked = 0;
  co_await world.in_parallel(5, [&](int i) -> Task<void> {
    if (i == 4) {
      co_await world.eventually([&] { return asked == 4; });
      EXPECT_TRUE(order.empty()) << "it is held";
      must(co_await first.release());
      co_return;
    }
    co_await world.eventually([&] { return asked == i; });
    const auto enrolled = [&]() -> Task<bool> {
      // (20, 4, "leader", ...): one more waits.
      Bytes line = Tenant::default_prefix();
      TupleWriter(line).add(20).add(4).add_text("leader");
      const KeyRange range(line + '\x00', line + '\xff');
      co_return static_cast<int>((co_await world.rows(range)).size()) == i + 1;
    };
    auto watch_place = [&]() -> Task<void> {
      co_await world.eventually(enrolled);
      ++asked;
    };
    asio::co_spawn(co_await asio::this_coro::executor, watch_place(), asio::detached);
    auto holding = must(co_await sites[i].names->campaign("leader"));
    order.push_back(i);
    tokens.push_back(holding.token());
    EXPECT_TRUE(holding.is_held());
    must(co_await sleep_for(world.clock(), 10ms));
    must(co_await holding.release());
  });
  EXPECT_THAT(order, ElementsAre(0, 1, 2, 3));
  EXPECT_TRUE(std::is_sorted(tokens.begin(), tokens.end()));
  EXPECT_EQ(co_await owner_of(world, "leader"), "nobody");
}

SERVER_TEST(Names, closing_frees_names_and_places_at_once) {
  auto a = co_await make_site(world, "a", 30s);
  auto b = co_await make_site(world, "b", 30s);
  std::vector<Holding> held;
  for (int i = 0; i < 100; ++i) {
    held.push_back(must(co_await a.names->acquire("name " + std::to_string(i))));
  }
  std::optional<Error> ended;
  bool has_asked = false;
  co_await world.in_parallel(2, [&](int i) -> Task<void> {
    if (i == 0) {
      auto other = must(co_await b.names->acquire("taken"));
      has_asked = true;
      co_await world.eventually([&] { return ended.has_value(); });
      co_return;
    }
    co_await world.eventually([&] { return has_asked; });
    co_await world.in_parallel(2, [&](int part) -> Task<void> {
      if (part == 0) {
        ended = must_fail(co_await a.names->campaign("taken"));
        co_return;
      }
      must(co_await sleep_for(world.clock(), 20ms));
      must(co_await a.names->close());
    });
  });
  EXPECT_EQ(ended->kind(), ErrorKind::closed) << ended->to_string();
  for (const auto& holding : held) EXPECT_FALSE(holding.is_held());
  EXPECT_EQ(must_fail(co_await a.names->acquire("more")).kind(), ErrorKind::closed);
  for (int i = 0; i < 100; ++i) {
    auto holding = must(co_await b.names->acquire("name " + std::to_string(i)));
    EXPECT_TRUE(holding.is_held());
  }
  must(co_await b.names->close());
  Bytes all = Tenant::default_prefix();
  TupleWriter(all).add(20);
  const KeyRange range(all + '\x00', all + '\xff');
  EXPECT_EQ((co_await world.rows(range)).size(), 0u) << "something is left in the store";
}

SERVER_TEST(Names, one_that_dies_is_followed_after_its_lease) {
  auto a = co_await make_site(world, "a", 1s, {}, Runs::with_the_process);
  auto b = co_await make_site(world, "b", 5s, 24h);
  auto held = must(co_await a.names->acquire("leader"));
  const auto old_token = held.token();
  const auto start = world.clock().now();
  a.kill();
  CampaignOptions options;
  options.timeout = 60s;
  auto next = must(co_await b.names->campaign("leader", options));
  EXPECT_GT(next.token(), old_token);
  EXPECT_GT(world.clock().now() - start, 500ms) << "its lease was not over";
  EXPECT_FALSE(held.is_held());
  EXPECT_EQ(co_await owner_of(world, "leader"), "b");
}

SERVER_TEST(Names, a_write_begun_by_the_holder_fails_when_another_has_the_name_at_its_commit) {
  auto a = co_await make_site(world, "a");
  auto b = co_await make_site(world, "b");
  auto first = must(co_await a.names->acquire("leader"));
  must(co_await write_guarded(a.process->store(), first, "fenced", "of a"));
  Transaction late = a.process->store().begin();
  must(co_await first.guard(late));
  late.set("fenced", "late");
  must(co_await first.release());
  auto second = must(co_await b.names->acquire("leader"));
  must(co_await write_guarded(b.process->store(), second, "fenced", "of b"));
  EXPECT_EQ(must_fail(co_await late.commit()).kind(), ErrorKind::conflict);
  const Status refused = co_await write_guarded(a.process->store(), first, "fenced", "of a again");
  EXPECT_EQ(must_fail(refused).kind(), ErrorKind::closed) << "run again for ever, or let through";
  Transaction look = world.store().begin();
  const auto value = must(co_await look.get("fenced"));
  EXPECT_EQ(value.value_or(""), "of b");
}

SERVER_TEST(Names, a_campaign_that_times_out_or_is_cancelled_leaves_its_place) {
  auto a = co_await make_site(world, "a");
  auto b = co_await make_site(world, "b");
  auto c = co_await make_site(world, "c");
  auto held = must(co_await a.names->acquire("leader"));
  CampaignOptions short_one;
  short_one.timeout = 100ms;
  EXPECT_EQ(must_fail(co_await b.names->campaign("leader", short_one)).kind(), ErrorKind::timeout);
  // Cancelled while it waits, and dropped with its loop.
  asio::cancellation_signal signal;
  std::optional<ErrorKind> ended;
  auto campaign = [](NameRegistry& names, std::optional<ErrorKind>& end) -> Task<void> {
    co_await asio::this_coro::throw_if_cancelled(false);
    const auto got = co_await names.campaign("leader");
    end = got ? ErrorKind::internal : got.error().kind();
  };
  asio::co_spawn(co_await asio::this_coro::executor, campaign(*b.names, ended),
                 asio::bind_cancellation_slot(signal.slot(), asio::detached));
  Process* other_loop = world.loop(b.process->store());
  std::optional<ErrorKind> never;
  asio::co_spawn(other_loop->executor(), campaign(*b.names, never), asio::detached);
  must(co_await sleep_for(world.clock(), 50ms));
  signal.emit(asio::cancellation_type::terminal);
  co_await world.eventually([&] { return ended.has_value(); });
  EXPECT_EQ(*ended, ErrorKind::cancelled);
  other_loop->kill();
  must(co_await held.release());
  CampaignOptions patient;
  patient.timeout = 10s;
  auto next = must(co_await c.names->campaign("leader", patient));
  EXPECT_TRUE(next.is_held());
  EXPECT_FALSE(never.has_value());
}

SERVER_TEST(Names, a_holding_that_goes_out_of_scope_gives_its_name_back) {
  auto a = co_await make_site(world, "a", 60s);
  auto b = co_await make_site(world, "b", 60s);
  { const auto held = must(co_await a.names->acquire("leader")); }
  CampaignOptions patient;
  patient.timeout = 10s;
  auto next = must(co_await b.names->campaign("leader", patient));
  EXPECT_TRUE(next.is_held());
}

SERVER_TEST(Names, are_found_by_name_by_prefix_and_by_what_their_metadata_say) {
  auto a = co_await make_site(world, "a");
  auto b = co_await make_site(world, "b");
  std::vector<Holding> held;
  for (int i = 0; i < 6; ++i) {
    NameMetadata metadata;
    metadata["zone"] = i % 2 == 0 ? "east" : "west";
    metadata["rank"] = std::to_string(i);
    auto& names = *(i < 3 ? a : b).names;
    held.push_back(must(co_await names.acquire("shard/" + std::to_string(i), metadata)));
  }
  held.push_back(must(co_await a.names->acquire("other")));
  NameQuery query;
  query.prefix = "shard/";
  query.limit = 4;
  std::vector<std::string> found;
  for (int pages = 0; pages < 5; ++pages) {
    const auto page = must(co_await list_names(world.store(), query));
    for (const auto& view : page.names) found.push_back(view.name + " " + view.owner);
    if (!page.next) break;
    query.after = *page.next;
  }
  EXPECT_THAT(found, ElementsAre("shard/0 a", "shard/1 a", "shard/2 a", "shard/3 b", "shard/4 b",
                                 "shard/5 b"));
  NameQuery where;
  where.where["zone"] = "east";
  auto east = must(co_await list_names(world.store(), where));
  EXPECT_EQ(east.names.size(), 3u);
  where.where["rank"] = "4";
  east = must(co_await list_names(world.store(), where));
  if (east.names.size() != 1) throw CaseFailure("found " + std::to_string(east.names.size()));
  EXPECT_EQ(east.names.front().name, "shard/4");
  EXPECT_EQ(east.names.front().metadata.at("zone"), "east");
  NameMetadata moved;
  moved["zone"] = "north";
  must(co_await held[4].set_metadata(moved));
  EXPECT_EQ(must(co_await list_names(world.store(), where)).names.size(), 0u);
  NameQuery north;
  north.where["zone"] = "north";
  EXPECT_EQ(must(co_await list_names(world.store(), north)).names.size(), 1u);
  EXPECT_EQ(must(co_await a.names->lookup("shard/4"))->token, held[4].token())
      << "metadata do not make another holding";
  must(co_await held[4].release());
  EXPECT_EQ(must(co_await list_names(world.store(), north)).names.size(), 0u);
  EXPECT_FALSE(must(co_await a.names->lookup("shard/4")).has_value());
}

SERVER_TEST(Names, a_watch_tells_each_holder_that_stays_and_the_last_change) {
  auto a = co_await make_site(world, "a", 1s);
  auto b = co_await make_site(world, "b", 1s, {}, Runs::with_the_process);
  auto c = co_await make_site(world, "c", 1s);
  auto watch = c.names->watch("leader");
  EXPECT_FALSE(must(co_await watch.next()).has_value());
  EXPECT_EQ(must_fail(co_await watch.next(50ms)).kind(), ErrorKind::timeout);
  std::optional<Holding> held;
  const auto told = [&](std::string owner) -> Task<void> {
    const auto view = must(co_await watch.next(30s));
    EXPECT_EQ(view ? view->owner : "nobody", owner);
  };
  held = must(co_await a.names->acquire("leader"));
  co_await told("a");
  NameMetadata at;
  at["address"] = "10.0.0.1";
  must(co_await held->set_metadata(at));
  co_await told("a");
  must(co_await held->release());
  co_await told("nobody");
  held = must(co_await b.names->acquire("leader"));
  co_await told("b");
  b.kill();
  co_await told("nobody");
}

SERVER_TEST(Names, many_names_of_one_that_died_are_free_together_and_nothing_of_them_is_left) {
  auto a = co_await make_site(world, "a", 1s, {}, Runs::with_the_process);
  auto b = co_await make_site(world, "b", 1s);
  std::vector<Holding> held;
  for (int i = 0; i < 150; ++i) {
    NameMetadata metadata;
    metadata["kind"] = "many";
    held.push_back(must(co_await a.names->acquire("name " + std::to_string(i), metadata)));
  }
  EXPECT_FALSE(must(co_await b.names->lookup("else")).has_value());  // it looks from now on
  a.kill();
  Bytes all = Tenant::default_prefix();
  TupleWriter(all).add(20);
  const KeyRange range(all + '\x00', all + '\xff');
  co_await world.eventually(
      [&]() -> Task<bool> { co_return (co_await world.rows(range)).empty(); });
}

SERVER_TEST(Names, an_owner_whose_row_is_gone_hears_it_at_its_next_renewal) {
  auto a = co_await make_site(world, "a", 1s);
  auto held = must(co_await a.names->acquire("leader"));
  Bytes sessions = Tenant::default_prefix();
  TupleWriter(sessions).add(20).add(0);
  const KeyRange rows(sessions + '\x00', sessions + '\xff');
  const auto remove = [&](Transaction& transaction) -> Async<void> {
    transaction.clear_range(rows);
    co_return Status{};
  };
  must(co_await world.store().transact(remove));  // as who took it for dead, with another clock
  co_await world.eventually([&] { return held.lost().stop_requested(); });
  EXPECT_FALSE(held.is_held());
  auto again = must(co_await a.names->acquire("leader"));
  EXPECT_GT(again.token(), held.token());
}

SERVER_TEST(Names, what_is_no_name_or_too_much_is_refused) {
  auto a = co_await make_site(world, "a");
  const auto refused = [&](std::string name, NameMetadata metadata) -> Task<void> {
    EXPECT_EQ(must_fail(co_await a.names->acquire(name, metadata)).kind(),
              ErrorKind::invalid_argument);
  };
  NameMetadata none;
  co_await refused("", none);
  co_await refused(std::string(kNameBytesMaximum + 1, 'a'), none);
  co_await refused("a\nb", none);
  co_await refused("\xff", none);
  NameMetadata wide;
  for (std::size_t i = 0; i <= kNameFieldsMaximum; ++i) wide[std::to_string(i)] = "";
  co_await refused("a", wide);
  NameMetadata long_value;
  long_value["a"] = std::string(kNameValueBytesMaximum + 1, 'x');
  co_await refused("a", long_value);
  NameMetadata heavy;
  for (int i = 0; i < 10; ++i) heavy[std::to_string(i)] = std::string(kNameValueBytesMaximum, 'x');
  co_await refused("a", heavy);
  NameQuery query;
  query.limit = 0;
  EXPECT_EQ(must_fail(co_await list_names(world.store(), query)).kind(),
            ErrorKind::invalid_argument);
  // What is at the bounds is not.
  NameMetadata most;
  for (int i = 0; i < 7; ++i) most[std::to_string(i)] = std::string(kNameValueBytesMaximum, 'x');
  auto held = must(co_await a.names->acquire(std::string(kNameBytesMaximum, '~'), most));
  EXPECT_EQ(must(co_await lookup_name(world.store(), held.name()))->metadata, most);
}

// ---- in simulated time, where processes can be stopped ---

SERVER_TEST(NamesInTime, an_owner_that_was_stopped_hears_that_it_lost_and_can_write_no_more) {
  auto a = co_await make_site(world, "a", 1s, 3h);
  auto b = co_await make_site(world, "b", 5s, -3h);
  auto first = must(co_await a.names->acquire("leader"));
  must(co_await sleep_for(world.clock(), 1min));
  EXPECT_TRUE(first.is_held()) << "it was renewed all the time";
  a.process->freeze();
  CampaignOptions patient;
  patient.timeout = 10s;
  const auto stopped = world.clock().now();
  auto second = must(co_await b.names->campaign("leader", patient));
  EXPECT_GT(world.clock().now() - stopped, 600ms);
  EXPECT_FALSE(first.is_held()) << "by its own clock, before anything has run there";
  must(co_await write_guarded(world.store(), second, "fenced", "of b"));
  a.process->thaw();
  const Status refused = co_await write_guarded(a.process->store(), first, "fenced", "of a");
  EXPECT_EQ(must_fail(refused).kind(), ErrorKind::closed);
  co_await world.eventually([&] { return first.lost().stop_requested(); });
  EXPECT_EQ(must_fail(co_await first.release()).kind(), ErrorKind::closed);
  EXPECT_TRUE(second.is_held());
  // It is not banned: it waits like anybody else.
  must(co_await second.release());
  auto again = must(co_await a.names->campaign("leader", patient));
  EXPECT_TRUE(again.is_held());
}

SERVER_TEST(NamesInTime, an_owner_cut_off_from_the_store_gives_up_before_others_take_over) {
  std::shared_ptr<FaultyBackend> faults;
  Process* process = world.loop(co_await world.open_faulty(faults));
  NameRegistryOptions options;
  options.lease = 1s;
  options.owner = "a";
  options.executor = process->executor();
  NameRegistry names(process->store(), options);
  auto b = co_await make_site(world, "b", 1s);
  auto first = must(co_await names.acquire("leader"));
  StoreFaults cut;
  cut.snapshot_refused = 1;
  faults->set_faults(cut);
  std::optional<MonotonicTime> lost_at;
  const StopCallback on_lost(first.lost(), [&] { lost_at = world.clock().now(); });
  auto second = must(co_await b.names->campaign("leader"));
  const auto taken_at = world.clock().now();
  if (!lost_at) throw CaseFailure("it was not told");
  EXPECT_LT(*lost_at, taken_at) << "two live owners at once";
  EXPECT_FALSE(first.is_held());
  faults->set_faults({});
  must(co_await names.close());
}

SERVER_TEST(NamesInTime, names_are_held_through_months_of_quiet_and_any_calendar) {
  if (!world.is_steady()) co_return;  // there a renewal may come late
  world.allow(24h * 40);
  auto a = co_await make_site(world, "a", 2h, 24h * 365);
  auto b = co_await make_site(world, "b", 2h, -24h * 365);
  auto first = must(co_await a.names->acquire("x"));
  auto second = must(co_await b.names->acquire("y"));
  must(co_await sleep_for(world.clock(), 24h * 30));
  EXPECT_TRUE(first.is_held());
  EXPECT_TRUE(second.is_held());
  EXPECT_FALSE(first.lost().stop_requested());
}

SERVER_TEST(NamesInTime, a_winner_whose_loop_does_not_run_gives_way_to_the_next) {
  auto a = co_await make_site(world, "a", 60s);
  auto b = co_await make_site(world, "b", 60s);
  auto held = must(co_await a.names->acquire("leader"));
  Process* stuck = world.loop(a.process->store());
  std::optional<ErrorKind> ended;
  auto campaign = [](NameRegistry& names, std::optional<ErrorKind>& end) -> Task<void> {
    const auto got = co_await names.campaign("leader");
    end = got ? ErrorKind::internal : got.error().kind();
  };
  asio::co_spawn(stuck->executor(), campaign(*a.names, ended), asio::detached);
  must(co_await sleep_for(world.clock(), 100ms));
  stuck->freeze();
  must(co_await held.release());
  CampaignOptions patient;
  patient.timeout = 10s;
  auto next = must(co_await b.names->campaign("leader", patient));
  EXPECT_TRUE(next.is_held());
  stuck->thaw();
  co_await world.eventually([&] { return ended.has_value(); });
  EXPECT_EQ(*ended, ErrorKind::retry);
}

SERVER_TEST(NamesInTime, a_dead_candidate_is_passed_over) {
  auto a = co_await make_site(world, "a", 1s);
  auto b = co_await make_site(world, "b", 1s);
  auto c = co_await make_site(world, "c", 1s);
  auto held = must(co_await a.names->acquire("leader"));
  auto campaign = [](NameRegistry& names) -> Task<void> {
    static_cast<void>(co_await names.campaign("leader"));
  };
  asio::co_spawn(b.process->executor(), campaign(*b.names), asio::detached);
  must(co_await sleep_for(world.clock(), 100ms));
  b.kill();
  must(co_await held.release());
  CampaignOptions patient;
  patient.timeout = 10s;
  auto next = must(co_await c.names->campaign("leader", patient));
  EXPECT_TRUE(next.is_held());
}

}  // namespace
}  // namespace semper::testing
