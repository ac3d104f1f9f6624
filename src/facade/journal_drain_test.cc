// A journal that drains into durable servers: while the store is away, and through crashes of both.
#include "semper/journal_drain.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "backends/memory/memory.h"
#include "semper/base/cbor.h"
#include "semper/ring/ring.h"
#include "semper/server/cast_once.h"
#include "semper/server/host.h"
#include "semper/server/ref.h"
#include "semper/testing/faulty_backend.h"
#include "semper/testing/seed.h"
#include "semper/testing/simulated_disk.h"
#include "semper/testing/simulated_run.h"

namespace semper {
namespace {

using namespace std::chrono_literals;
using testing::simulated_run;
using Texts = std::vector<std::string>;

struct Orders {
  using State = std::vector<std::string>;
  struct Take {
    std::string order;
  };
  struct List {
    using Reply = std::vector<std::string>;
  };
  using Messages = semper::Messages<Take, List>;

  Result<State> init(const EntityId&) { return State(); }
  void handle_cast(const Take& m, State& s, Context&) { s.push_back(m.order); }
  Reply<std::vector<std::string>> handle_call(const List&, State& s, Context&) { return s; }
};

class JournalDrainTest : public ::testing::Test {
 protected:
  JournalDrainTest() {
    auto memory = *simulated_run(clock_, open_memory(*StoreUrl::parse("memory:"), env_));
    faulty_ = std::make_shared<testing::FaultyBackend>(memory, env_);
  }

  ring::JournalOptions options() {
    ring::JournalOptions options;
    options.retry_interval = 1s;
    options.ring.memory_bytes = std::size_t{512} << 10;
    options.ring.env = env_;
    return options;
  }

  JournalDrain::OpenStore open() {
    return [this]() -> Async<Store> {
      ++opened_;
      if (away_) co_return fail(ErrorKind::io, "nobody answers");
      co_return Store(faulty_, env_);
    };
  }

  Texts orders(const std::string& of) {
    return simulated_run(clock_, [&]() -> Task<Texts> {
      const Store store(faulty_, env_);
      HostOptions options;
      options.executor = co_await asio::this_coro::executor;
      Host host(store, options);
      host.serve<Orders>();
      EXPECT_TRUE(co_await host.start());
      auto read = co_await ref<Orders>(store, of).call(Orders::List{}, CallOptions{1min});
      EXPECT_TRUE(read) << read.error().to_string();
      EXPECT_TRUE(co_await host.stop());
      co_return *read;
    }());
  }

  static Task<void> take(JournalDrain& drain, std::string shop, std::string order) {
    const Orders::Take message{std::move(order)};
    auto written = co_await drain.cast<Orders>(std::move(shop), message);
    EXPECT_TRUE(written) << written.error().to_string();
  }

  // One start that accepts these, hands over what it can, and ends.
  void accept(testing::SimulatedDisk& disk, const Texts& orders, ring::JournalOptions with) {
    auto device = disk.open();
    simulated_run(clock_, [&]() -> Task<void> {
      auto drain = co_await JournalDrain::start(*device, open(), with);
      EXPECT_TRUE(drain) << drain.error().to_string();
      if (!drain) co_return;
      for (const auto& order : orders) co_await take(*drain, "shop", order);
      EXPECT_TRUE(co_await sleep_for(clock_, 1min));
      EXPECT_TRUE(co_await drain->shutdown());
    }());
  }
  void accept(testing::SimulatedDisk& disk, const Texts& orders) {
    accept(disk, orders, options());
  }

  testing::SimulatedDisk copy_of(const testing::SimulatedDisk& disk) {
    testing::SimulatedDisk copy({.size = kDiskBytes, .sector_size = 4096}, env_);
    const Bytes contents = disk.contents(0, kDiskBytes);
    copy.overwrite(0, contents);
    return copy;
  }

  // Puts bytes into the ring that no drain has accepted.
  void publish(testing::SimulatedDisk& disk, const Bytes& item) {
    auto device = disk.open();
    simulated_run(clock_, [&]() -> Task<void> {
      ring::AttachOptions attach;
      attach.env = env_;
      auto producer = co_await ring::Producer::attach(*device, attach);
      EXPECT_TRUE(producer) << producer.error().to_string();
      if (!producer) co_return;
      EXPECT_TRUE(co_await producer->publish(item));
      EXPECT_TRUE(co_await producer->detach());
    }());
  }

  std::vector<ring::Item> take_out(testing::SimulatedDisk& disk, std::size_t most) {
    auto device = disk.open();
    return simulated_run(clock_, [&]() -> Task<std::vector<ring::Item>> {
      ring::AttachOptions attach;
      attach.env = env_;
      auto consumer = co_await ring::Consumer::attach(*device, attach);
      EXPECT_TRUE(consumer) << consumer.error().to_string();
      ring::PopLimits limits;
      limits.max_items = most;
      auto items = co_await consumer->pop_many(std::nullopt, limits);
      EXPECT_TRUE(items) << items.error().to_string();
      EXPECT_TRUE(co_await consumer->advance(items->back().after));
      EXPECT_TRUE(co_await consumer->detach());
      co_return *items;
    }());
  }

  // Rows of the store, whoever wrote them.
  std::size_t count_rows() {
    return simulated_run(clock_, [&]() -> Task<std::size_t> {
      const Store store(faulty_, env_);
      Transaction transaction = store.begin();
      const KeyRange all{Bytes(1, '\x00'), Bytes(1, '\xfe')};
      auto page = co_await transaction.get_range(all);
      EXPECT_TRUE(page) << page.error().to_string();
      co_return page->rows.size();
    }());
  }

  static constexpr std::size_t kDiskBytes = 512u << 10;
  testing::SimulatedClock clock_;
  SeededRandom random_{testing::test_seed()};
  Env env_{&clock_, &random_};
  testing::SimulatedDisk disk_{{.size = 512u << 10, .sector_size = 4096}, env_};
  std::shared_ptr<testing::FaultyBackend> faulty_;
  bool away_ = false;
  int opened_ = 0;
};

TEST_F(JournalDrainTest, what_is_accepted_while_the_store_is_away_arrives_when_it_is_back) {
  away_ = true;
  auto device = disk_.open();
  simulated_run(clock_, [&]() -> Task<void> {
    auto drain = co_await JournalDrain::start(*device, open(), options());
    EXPECT_TRUE(drain) << drain.error().to_string();
    if (!drain) co_return;
    for (int i = 0; i < 5; ++i) co_await take(*drain, "shop", std::to_string(i));
    EXPECT_TRUE(co_await sleep_for(clock_, 10s));
    EXPECT_GT(opened_, 3) << "it did not try again";
    EXPECT_EQ(drain->statistics().performed, 0u);
    away_ = false;
    EXPECT_TRUE(co_await sleep_for(clock_, 10s));
    EXPECT_EQ(drain->statistics().performed, 5u);
    EXPECT_TRUE(co_await drain->shutdown());
  }());
  EXPECT_EQ(orders("shop"), Texts({"0", "1", "2", "3", "4"}));
}

TEST_F(JournalDrainTest, what_the_store_never_saw_is_sent_by_the_next_start) {
  away_ = true;
  for (int run = 0; run < 2; ++run) {
    auto device = disk_.open();
    simulated_run(clock_, [&]() -> Task<void> {
      auto drain = co_await JournalDrain::start(*device, open(), options());
      EXPECT_TRUE(drain) << drain.error().to_string();
      if (!drain) co_return;
      co_await take(*drain, "shop", std::to_string(run));
      co_await drain->shutdown();
    }());
    away_ = false;
  }
  EXPECT_EQ(orders("shop"), Texts({"0", "1"}));
}

TEST_F(JournalDrainTest, a_message_that_no_store_takes_is_refused_before_it_is_written) {
  auto device = disk_.open();
  simulated_run(clock_, [&]() -> Task<void> {
    auto drain = co_await JournalDrain::start(*device, open(), options());
    EXPECT_TRUE(drain);
    if (!drain) co_return;
    const Orders::Take large{std::string(100'000, 'x')};
    EXPECT_EQ((co_await drain->cast<Orders>("shop", large)).error().kind(),
              ErrorKind::invalid_argument);
    const Orders::Take small{"x"};
    EXPECT_EQ((co_await drain->cast<Orders>("", small)).error().kind(),
              ErrorKind::invalid_argument);
    EXPECT_EQ(drain->statistics().pushed, 0u);
    co_await drain->shutdown();
  }());
}

TEST_F(JournalDrainTest, a_ring_without_an_identity_is_refused) {
  auto device = disk_.open();
  auto wrong = options();
  wrong.format = ring::Format::mirage_1_0;
  const auto kind = simulated_run(clock_, [&]() -> Task<ErrorKind> {
    auto drain = co_await JournalDrain::start(*device, open(), wrong);
    if (drain) co_await drain->shutdown();
    co_return drain ? ErrorKind{} : drain.error().kind();
  }());
  EXPECT_EQ(kind, ErrorKind::unsupported);
}

TEST_F(JournalDrainTest, a_device_with_something_else_is_refused_by_what_it_holds) {
  disk_.overwrite(8192, "somebody's");
  auto device = disk_.open();
  const auto error = simulated_run(clock_, [&]() -> Task<Error> {
    auto drain = co_await JournalDrain::start(*device, open(), options());
    if (drain) co_await drain->shutdown();
    co_return drain ? Error(ErrorKind::internal, "it started") : drain.error();
  }());
  EXPECT_EQ(error.kind(), ErrorKind::not_found);
  EXPECT_NE(error.message().find("holds data (from byte 8192 on)"), std::string::npos)
      << error.message();
}

TEST_F(JournalDrainTest, two_copies_of_one_ring_send_what_each_accepted_and_what_both_hold_once) {
  away_ = true;
  accept(disk_, {"a", "b"});
  auto copy = copy_of(disk_);
  away_ = false;
  accept(disk_, {"c", "d"});
  accept(copy, {"e", "f"});
  accept(disk_, {"g"});
  EXPECT_EQ(orders("shop"), Texts({"a", "b", "c", "d", "e", "f", "g"}));
}

TEST_F(JournalDrainTest, a_ring_restored_from_yesterday_sends_nothing_twice_and_loses_nothing_new) {
  away_ = true;
  accept(disk_, {"a", "b"});
  auto yesterday = copy_of(disk_);
  away_ = false;
  accept(disk_, {"c", "d", "e"});
  accept(yesterday, {"f", "g"});
  EXPECT_EQ(orders("shop"), Texts({"a", "b", "c", "d", "e", "f", "g"}));
}

TEST_F(JournalDrainTest, a_power_cut_of_a_ring_that_is_never_flushed_makes_no_number_come_again) {
  accept(disk_, {});
  auto hasty = options();
  hasty.ring.flush = ring::Flush::never;
  accept(disk_, {"a", "b"}, hasty);
  const std::vector<testing::SectorFate> lost(disk_.unsynced().size(),
                                              testing::SectorFate::dropped);
  EXPECT_FALSE(lost.empty());
  auto rest = disk_.crash_image(disk_.interval(), lost);
  accept(rest, {"c", "d"}, hasty);
  EXPECT_EQ(orders("shop"), Texts({"a", "b", "c", "d"}));
}

TEST_F(JournalDrainTest, starts_leave_no_rows_at_the_entities_that_they_sent_to) {
  constexpr int kShops = 20;
  const auto send_to_all = [&] {
    auto device = disk_.open();
    simulated_run(clock_, [&]() -> Task<void> {
      auto drain = co_await JournalDrain::start(*device, open(), options());
      EXPECT_TRUE(drain) << drain.error().to_string();
      if (!drain) co_return;
      for (int i = 0; i < kShops; ++i) co_await take(*drain, "shop " + std::to_string(i), "x");
      EXPECT_TRUE(co_await sleep_for(clock_, 1min));
      EXPECT_TRUE(co_await drain->shutdown());
    }());
    for (int i = 0; i < kShops; ++i) orders("shop " + std::to_string(i));
  };
  send_to_all();
  const std::size_t after_one = count_rows();
  constexpr int kStarts = 10;
  for (int i = 0; i < kStarts; ++i) send_to_all();
  EXPECT_LE(count_rows(), after_one + 2 * kStarts);
}

TEST_F(JournalDrainTest, what_0_1_0_left_in_a_ring_arrives_once_even_from_a_copy) {
  accept(disk_, {});
  for (const char* order : {"a", "b"}) {
    const Orders::Take message{order};
    Bytes item;
    cbor::Writer writer(item);
    writer.array(4);
    writer.text(type_name<Orders>());
    writer.text("shop");
    writer.text(short_type_name<Orders::Take>());
    writer.bytes(encode(message));
    publish(disk_, item);
  }
  auto copy = copy_of(disk_);
  accept(disk_, {"c"});
  accept(copy, {"d"});
  EXPECT_EQ(orders("shop"), Texts({"a", "b", "c", "d"}));
}

// Such items have a start and no order, and the store may hold a row of them at each entity.
TEST_F(JournalDrainTest,
       what_was_left_without_an_order_arrives_once_even_where_it_was_sent_before) {
  accept(disk_, {});
  const auto device = disk_.open();
  const auto info = simulated_run(clock_, ring::inspect(*device));
  ASSERT_TRUE(info) << info.error().to_string();
  const std::string source = info->identity + "/0123456789abcdef";
  const Orders::Take message{"a"};
  const EntityId shop{std::string(type_name<Orders>()), "shop"};
  const RawMessage raw{std::string(short_type_name<Orders::Take>()), encode(message)};
  Bytes item;
  cbor::Writer writer(item);
  writer.array(5);
  writer.text(shop.type);
  writer.text(shop.id);
  writer.text(raw.name);
  writer.bytes(raw.payload);
  writer.text(source);
  publish(disk_, item);
  auto copy = copy_of(disk_);
  const std::uint64_t position = take_out(disk_, 1).front().after.offset();
  std::vector<OnceCast> casts;
  casts.push_back({shop, raw, position});
  const Store store(faulty_, env_);
  ASSERT_TRUE(simulated_run(clock_, cast_once(Tenant(store), source, casts)));
  auto other = copy_of(copy);
  accept(copy, {"b"});
  accept(other, {"c"});
  EXPECT_EQ(orders("shop"), Texts({"a", "b", "c"}));
}

TEST_F(JournalDrainTest, what_is_no_cast_keeps_nothing_back_that_lies_before_it) {
  away_ = true;
  accept(disk_, {"a", "b", "c", "d", "e"});
  publish(disk_, "a foreign line");
  accept(disk_, {"f"});
  away_ = false;
  auto device = disk_.open();
  simulated_run(clock_, [&]() -> Task<void> {
    auto drain = co_await JournalDrain::start(*device, open(), options());
    EXPECT_TRUE(drain) << drain.error().to_string();
    if (!drain) co_return;
    EXPECT_TRUE(co_await sleep_for(clock_, 1min));
    EXPECT_EQ(drain->statistics().performed, 5u);
    EXPECT_TRUE(co_await drain->shutdown());
  }());
  EXPECT_EQ(orders("shop"), Texts({"a", "b", "c", "d", "e"}));
  EXPECT_EQ(take_out(disk_, 1).front().bytes, "a foreign line") << "not what the message promises";
  accept(disk_, {});
  EXPECT_EQ(orders("shop"), Texts({"a", "b", "c", "d", "e", "f"}));
}

TEST_F(JournalDrainTest, casts_that_another_ring_had_accepted_are_refused) {
  away_ = true;
  accept(disk_, {"a"});
  testing::SimulatedDisk other({.size = kDiskBytes, .sector_size = 4096}, env_);
  accept(other, {});
  for (const auto& item : take_out(disk_, 10)) publish(other, item.bytes);
  away_ = false;
  auto device = other.open();
  simulated_run(clock_, [&]() -> Task<void> {
    auto drain = co_await JournalDrain::start(*device, open(), options());
    EXPECT_TRUE(drain) << drain.error().to_string();
    if (!drain) co_return;
    EXPECT_EQ((co_await drain->replayed(clock_.after(1min))).error().kind(), ErrorKind::timeout);
    EXPECT_GT(drain->statistics().failures, 0u);
    EXPECT_TRUE(co_await drain->shutdown());
  }());
  EXPECT_EQ(orders("shop"), Texts());
}

// The disk loses its power, or the process dies, in the middle of everything; the store loses
// answers.
TEST_F(JournalDrainTest, every_accepted_order_arrives_once_and_in_order_through_any_crash) {
  testing::StoreFaults faults;
  faults.conflict = 0.1;
  faults.unknown_applied = 0.1;
  faults.unknown_lost = 0.1;
  faults.delay = 0.3;
  for (int round = 0; round < 30; ++round) {
    const std::string shop = "shop " + std::to_string(round);
    std::optional<testing::SimulatedDisk> disk(
        std::in_place, testing::SimulatedDiskOptions{512u << 10, 4096}, env_);
    Texts accepted;
    Texts tried;
    for (int life = 0; life < 4; ++life) {
      faulty_->set_faults(faults);
      auto device = disk->open();
      std::optional<testing::SimulatedDisk> image;
      simulated_run(clock_, [&]() -> Task<void> {
        auto drain = co_await JournalDrain::start(*device, open(), options());
        EXPECT_TRUE(drain) << drain.error().to_string();
        if (!drain) co_return;
        const auto count = random_.below(10);
        for (std::uint64_t i = 0; i < count; ++i) {
          const Orders::Take message{std::to_string(life) + "/" + std::to_string(i)};
          tried.push_back(message.order);
          if ((co_await drain->cast<Orders>(shop, message))) accepted.push_back(message.order);
          if (random_.below(4) == 0) {
            EXPECT_TRUE(co_await sleep_for(clock_, 300ms));
          }
        }
        std::vector<testing::SectorFate> fates;
        for (std::size_t i = 0; i < disk->unsynced().size(); ++i) {
          fates.push_back(static_cast<testing::SectorFate>(random_.below(3)));
        }
        image = disk->crash_image(disk->interval(), fates);
        disk->power_cycle();
        co_await drain->shutdown();
      }());
      faulty_->calm();
      disk = std::move(image);
    }
    auto device = disk->open();
    simulated_run(clock_, [&]() -> Task<void> {
      auto drain = co_await JournalDrain::start(*device, open(), options());
      EXPECT_TRUE(drain) << drain.error().to_string();
      if (!drain) co_return;
      EXPECT_TRUE(co_await sleep_for(clock_, 1min));
      EXPECT_TRUE(co_await drain->shutdown());
    }());
    EXPECT_EQ(orders(shop), accepted) << "in round " << round;
  }
}

}  // namespace
}  // namespace semper
