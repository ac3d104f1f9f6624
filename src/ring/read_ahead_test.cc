// A consumer that goes on reading has the next stretch read ahead: what comes out is the same,
// whatever the items' sizes, and whatever becomes of the consumer or of the reading meanwhile.
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "ring_test_support.h"
#include "semper/testing/seed.h"
#include "semper/testing/simulated_disk.h"

namespace semper::ring::testing {
namespace {

using namespace std::chrono_literals;
using semper::testing::simulated_run;
using semper::testing::SimulatedClock;
using semper::testing::SimulatedDisk;
using Texts = std::vector<std::string>;

class RingReadsAhead : public ::testing::TestWithParam<Format> {
 protected:
  // Stretches of 8 KiB.
  AttachOptions options() {
    AttachOptions options;
    options.memory_bytes = std::size_t{64} << 10;
    options.env = env_;
    return options;
  }

  Async<void> make(BlockDevice& device) {
    CreateOptions create_options;
    create_options.format = GetParam();
    create_options.env = env_;
    SEMPER_CO_TRY_STATUS(co_await create(device, create_options));
    // From now on the disk takes its time.
    semper::testing::DiskFaults slow;
    slow.delay = 1;
    slow.delay_by = 2ms;
    disk_.set_faults(slow);
    co_return Status{};
  }

  std::string some_item(std::uint64_t number, std::uint64_t most) {
    return std::to_string(number) + ":" + std::string(random_.below(most), 'i');
  }

  // Publishes so many items more, together.
  Task<void> publish(Producer& producer, std::size_t count, std::uint64_t most) {
    Texts items;
    for (std::size_t i = 0; i < count; ++i) items.push_back(some_item(put_.size() + i, most));
    put_.insert(put_.end(), items.begin(), items.end());
    for (std::size_t at = 0; at < items.size(); ++at) {
      const auto published = co_await producer.publish(items[at]);
      EXPECT_TRUE(published) << published.error().to_string();
    }
  }

  // Takes what is there, in batches of a size that is drawn, and removes it.
  Task<void> take_all(Consumer& consumer) {
    while (true) {
      PopLimits limits;
      limits.max_items = 1 + random_.below(40);
      const auto items = co_await consumer.pop_many({}, limits);
      if (!items) {
        EXPECT_EQ(kind_of(items), ErrorKind::retry) << items.error().to_string();
        co_return;
      }
      for (const auto& item : *items) out_.push_back(item.bytes);
      if (random_.chance(0.5)) {
        EXPECT_TRUE(co_await sleep_for(clock_, 1ms));
      }
      const auto removed = co_await consumer.advance(items->back().after);
      EXPECT_TRUE(removed) << removed.error().to_string();
      if (!removed) co_return;
    }
  }

  SimulatedClock clock_;
  SeededRandom random_{semper::testing::test_seed()};
  Env env_{&clock_, &random_};
  SimulatedDisk disk_{{.size = 512u << 10, .sector_size = 512}, env_};
  Texts put_;
  Texts out_;
};

INSTANTIATE_TEST_SUITE_P(On, RingReadsAhead,
                         ::testing::Values(Format::semper_1, Format::mirage_1_0),
                         [](const auto& param) {
                           return param.param == Format::semper_1 ? "semper" : "mirage";
                         });

TEST_P(RingReadsAhead, everything_comes_out_in_order_over_many_laps_and_sizes) {
  const auto producer_device = disk_.open();
  const auto consumer_device = disk_.open();
  simulated_run(clock_, [&]() -> Task<void> {
    EXPECT_TRUE(co_await make(*producer_device));
    auto producer = co_await Producer::attach(*producer_device, options());
    auto consumer = co_await Consumer::attach(*consumer_device, options());
    EXPECT_TRUE(producer && consumer);
    for (int round = 0; round < 30; ++round) {
      // From less than a tail to more than a stretch.
      const std::uint64_t most = round % 3 == 0 ? 100 : round % 3 == 1 ? 2'000 : 9'000;
      co_await publish(*producer, 30, most);
      co_await take_all(*consumer);
    }
    EXPECT_TRUE(co_await consumer->detach());
    EXPECT_TRUE(co_await producer->detach());
  }());
  EXPECT_EQ(out_, put_);
}

// The producer goes on behind what was exposed when the reading ahead began, and around the ring.
TEST_P(RingReadsAhead, what_is_published_while_the_consumer_works_comes_out_as_it_was_put_in) {
  const auto producer_device = disk_.open();
  const auto consumer_device = disk_.open();
  simulated_run(clock_, [&]() -> Task<void> {
    EXPECT_TRUE(co_await make(*producer_device));
    auto producer = co_await Producer::attach(*producer_device, options());
    auto consumer = co_await Consumer::attach(*consumer_device, options());
    EXPECT_TRUE(producer && consumer);
    bool done = false;
    const auto work = [&]() -> Task<void> {
      for (int i = 0; i < 300; ++i) {
        put_.push_back(some_item(static_cast<std::uint64_t>(i), 3'000));
        const auto published = co_await producer->publish(put_.back(), kNever);
        EXPECT_TRUE(published) << published.error().to_string();
        if (random_.chance(0.1)) {
          EXPECT_TRUE(co_await sleep_for(clock_, 3ms));
        }
      }
      done = true;
    };
    asio::co_spawn(co_await asio::this_coro::executor, work(), asio::detached);
    while (!done || out_.size() < put_.size()) {
      EXPECT_TRUE(co_await sleep_for(clock_, Duration(random_.below(4'000'000))));
      co_await take_all(*consumer);
    }
    EXPECT_TRUE(co_await consumer->detach());
    EXPECT_TRUE(co_await producer->detach());
  }());
  EXPECT_EQ(out_, put_);
}

TEST_P(RingReadsAhead, a_consumer_may_go_at_once_and_the_next_one_finds_everything) {
  const auto producer_device = disk_.open();
  simulated_run(clock_, [&]() -> Task<void> {
    EXPECT_TRUE(co_await make(*producer_device));
    auto producer = co_await Producer::attach(*producer_device, options());
    EXPECT_TRUE(producer);
    co_await publish(*producer, 60, 2'000);
    for (int i = 0; i < 10; ++i) {
      auto device = disk_.open();
      {
        auto consumer = co_await Consumer::attach(*device, options());
        EXPECT_TRUE(consumer) << consumer.error().to_string();
        if (!consumer) co_return;
        const auto items = co_await consumer->pop_many();
        EXPECT_TRUE(items);
        if (!items) co_return;
        EXPECT_EQ(items->front().bytes, put_.front());
        if (i % 2 == 0) {
          EXPECT_TRUE(co_await consumer->detach());
        }
      }
      device.reset();
    }
    auto device = disk_.open();
    auto consumer = co_await Consumer::attach(*device, options());
    EXPECT_TRUE(consumer);
    if (consumer) co_await take_all(*consumer);
  }());
  EXPECT_EQ(out_, put_);
}

TEST_P(RingReadsAhead, the_next_stretch_is_read_while_the_first_is_looked_at) {
  const auto device = disk_.open();
  simulated_run(clock_, [&]() -> Task<void> {
    EXPECT_TRUE(co_await make(*device));
    auto producer = co_await Producer::attach(*device, options());
    auto consumer = co_await Consumer::attach(*device, options());
    EXPECT_TRUE(producer && consumer);
    // A stretch holds two of them.
    for (int i = 0; i < 8; ++i) {
      put_.push_back(std::to_string(i) + std::string(3'900, 'i'));
      EXPECT_TRUE(co_await producer->publish(put_.back()));
    }
    PopLimits two;
    two.max_items = 2;
    const auto first = co_await consumer->pop_many({}, two);
    EXPECT_TRUE(first);
    if (!first) co_return;
    EXPECT_EQ(first->size(), 2u);
    EXPECT_TRUE(co_await sleep_for(clock_, 1s));
    const MonotonicTime began = clock_.now();
    const auto next = co_await consumer->pop(first->back().after);
    EXPECT_TRUE(next);
    EXPECT_EQ(clock_.now(), began);
    if (next) {
      EXPECT_EQ(next->bytes, put_[2]);
    }
  }());
}

TEST_P(RingReadsAhead, what_could_not_be_read_ahead_is_read_when_it_is_asked_for) {
  const auto device = disk_.open();
  simulated_run(clock_, [&]() -> Task<void> {
    EXPECT_TRUE(co_await make(*device));
    auto producer = co_await Producer::attach(*device, options());
    auto consumer = co_await Consumer::attach(*device, options());
    EXPECT_TRUE(producer && consumer);
    co_await publish(*producer, 40, 2'000);
    // The first is the one that is asked for.
    disk_.fail_read(2, semper::testing::ReadFault::io_error);
    co_await take_all(*consumer);
  }());
  EXPECT_EQ(out_, put_);
}

}  // namespace
}  // namespace semper::ring::testing
