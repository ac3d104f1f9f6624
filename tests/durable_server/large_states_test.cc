// States of many entries: a message writes what it changes, and what it puts in moves nothing else.
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "behaviours.h"
#include "semper/testing/seed.h"
#include "world.h"

namespace semper::testing {
namespace {

// Articles by name, in a map, and in the order in which they came, in a list.
struct Catalog {
  struct Article {
    std::string name;
    std::int64_t price = 0;

    friend bool operator==(const Article&, const Article&) = default;
  };
  struct State {
    std::map<std::string, Article> articles;
    std::vector<Article> newest;

    friend bool operator==(const State&, const State&) = default;
  };
  struct Fill {
    std::int64_t articles = 0;
    using Reply = std::int64_t;
  };
  struct Put {
    Article article;
    using Reply = std::int64_t;
  };
  struct Drop {
    std::string name;
    using Reply = std::int64_t;
  };
  struct Read {
    using Reply = State;
  };
  using Messages = semper::Messages<Fill, Put, Drop, Read>;

  Result<State> init(const EntityId&) { return State(); }

  static std::int64_t size_of(const State& s) { return static_cast<std::int64_t>(s.newest.size()); }
  static void put(const Article& article, State& s) {
    s.articles[article.name] = article;
    s.newest.insert(s.newest.begin(), article);
  }
  static void drop(const std::string& name, State& s) {
    s.articles.erase(name);
    std::erase_if(s.newest, [&](const Article& one) { return one.name == name; });
  }

  Reply<std::int64_t> handle_call(const Fill& m, State& s, Context&) {
    s = State();
    for (std::int64_t i = 0; i < m.articles; ++i) put({"article " + std::to_string(i), i}, s);
    return size_of(s);
  }
  Reply<std::int64_t> handle_call(const Put& m, State& s, Context&) {
    put(m.article, s);
    return size_of(s);
  }
  void handle_cast(const Put& m, State& s, Context&) { put(m.article, s); }
  Reply<std::int64_t> handle_call(const Drop& m, State& s, Context&) {
    drop(m.name, s);
    return size_of(s);
  }
  void handle_cast(const Drop& m, State& s, Context&) { drop(m.name, s); }
  Reply<State> handle_call(const Read&, State& s, Context&) { return s; }
};

SERVER_SUITE(LargeStates);

Catalog::Put put(std::string name, std::int64_t price) {
  return {{std::move(name), price}};
}
Catalog::Drop drop(std::string name) {
  return {std::move(name)};
}

struct Written {
  std::size_t rows = 0;
  std::size_t bytes = 0;
};
// With rows that were removed.
Written difference(const std::vector<KeyValue>& before, const std::vector<KeyValue>& after) {
  std::map<Bytes, Bytes> rows;
  for (const auto& row : before) rows[row.key] = row.value;
  Written written;
  for (const auto& row : after) {
    const auto old = rows.find(row.key);
    const bool is_same = old != rows.end() && old->second == row.value;
    if (old != rows.end()) rows.erase(old);
    if (is_same) continue;
    ++written.rows;
    written.bytes += row.value.size();
  }
  written.rows += rows.size();
  return written;
}

SERVER_TEST(LargeStates, a_message_writes_the_chunks_that_it_changes) {
  auto& server = *co_await world.serve<Catalog>();
  auto catalog = server.ref<Catalog>("c");
  const Catalog::Fill many{2'000};
  must(co_await catalog.call(many));
  const auto chunks = entity_range(catalog.entity(), 3);
  auto before = co_await world.rows(chunks);
  EXPECT_GT(before.size(), 40u);
  for (int i = 0; i < 20; ++i) {
    // An entry of the map and the front of the list; then both are taken out again.
    const auto one = put("article 1000 and " + std::to_string(i), i);
    must(co_await catalog.call(one));
    auto after = co_await world.rows(chunks);
    auto written = difference(before, after);
    EXPECT_LE(written.rows, 8u);
    EXPECT_LE(written.bytes, 24u << 10);
    before = std::move(after);
    const auto other = drop("article " + std::to_string(50 * i));
    must(co_await catalog.call(other));
    after = co_await world.rows(chunks);
    written = difference(before, after);
    EXPECT_LE(written.rows, 12u);
    EXPECT_LE(written.bytes, 32u << 10);
    before = std::move(after);
  }
}

SERVER_TEST(LargeStates, are_what_their_messages_made_of_them_whoever_handled_them) {
  auto& first = *co_await world.serve<Catalog>();
  auto& second = *co_await world.serve<Catalog>();
  std::mt19937_64 random(test_seed());
  Catalog::State model;
  const CallOptions patient{world.patience()};
  const auto publisher = world.ref<Catalog>("c");
  for (int step = 0; step < 60; ++step) {
    auto catalog = random() % 2 == 0 ? first.ref<Catalog>("c") : second.ref<Catalog>("c");
    if (random() % 3 == 0) catalog = publisher;
    const std::string name = "article " + std::to_string(random() % 1'000);
    const auto price = static_cast<std::int64_t>(random() % 1'000'000);
    switch (random() % 8) {
      case 0: {
        const Catalog::Fill fill{static_cast<std::int64_t>(random() % 600)};
        must(co_await catalog.call(fill, patient));
        model = Catalog::State();
        for (std::int64_t i = 0; i < fill.articles; ++i) {
          Catalog::put({"article " + std::to_string(i), i}, model);
        }
        break;
      }
      case 1:
      case 2: {
        const auto message = drop(name);
        must(co_await catalog.call(message, patient));
        Catalog::drop(name, model);
        break;
      }
      default: {
        const auto message = put(name, price);
        if (random() % 2 == 0) {
          must(co_await catalog.cast(message));
        } else {
          must(co_await catalog.call(message, patient));
        }
        Catalog::put(message.article, model);
      }
    }
  }
  const auto seen = must(co_await publisher.call(Catalog::Read{}, patient));
  EXPECT_TRUE(seen == model);
  co_await world.until_clean();
}

}  // namespace
}  // namespace semper::testing
