// A ring whose operations can be cut off at each of their awaits.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ring/ring_test_support.h"
#include "semper/testing/interruption.h"
#include "semper/testing/simulated_disk.h"

namespace semper::ring::testing {

using semper::testing::Interrupted;
using semper::testing::InterruptibleLoop;
using semper::testing::Interruption;
using semper::testing::SimulatedClock;
using semper::testing::SimulatedDisk;

struct Case {
  Format format = Format::semper_1;
  Interruption how = Interruption::cancel;
  bool alone = false;  // on a device that shares nothing but its sectors
};

inline std::vector<Case> all_cases() {
  std::vector<Case> cases;
  for (const bool alone : {false, true}) {
    for (const Interruption how : {Interruption::cancel, Interruption::destroy_loop}) {
      for (const Format format : {Format::semper_1, Format::mirage_1_0}) {
        cases.push_back({format, how, alone});
      }
    }
  }
  return cases;
}

inline std::string name_of(const Case& kind) {
  return std::string(kind.format == Format::semper_1 ? "semper" : "mirage") +
         (kind.how == Interruption::cancel ? "_cancelled" : "_loop_destroyed") +
         (kind.alone ? "_alone" : "");
}

// A ring on a disk whose every operation takes its time, so that each is an await. Both sides are
// attached; three items are in it, of which two wait.
class Cut {
 public:
  explicit Cut(const Case& kind) : how_(kind.how), alone_(kind.alone) {
    disk = std::make_unique<SimulatedDisk>(
        semper::testing::SimulatedDiskOptions{.size = 256 << 10, .sector_size = 512}, env());
    producer_device = open();
    consumer_device = open();
    CreateOptions create_options;
    create_options.format = kind.format;
    create_options.env = env();
    EXPECT_OK(loop.run(create(*producer_device, create_options)));
    semper::testing::DiskFaults slow;
    slow.delay = 1;
    slow.delay_by = std::chrono::milliseconds(1);
    disk->set_faults(slow);
  }

  void attach() {
    auto made_producer = loop.run(Producer::attach(*producer_device, options()));
    EXPECT_OK(made_producer);
    producer.emplace(std::move(*made_producer));
    for (const char* item : {"one", "two", "three"}) EXPECT_OK(loop.run(producer->publish(item)));
    auto made_consumer = loop.run(Consumer::attach(*consumer_device, options()));
    EXPECT_OK(made_consumer);
    consumer.emplace(std::move(*made_consumer));
    const auto first = loop.run(consumer->pop());
    EXPECT_OK(first);
    EXPECT_OK(loop.run(consumer->advance(first->after)));
  }

  std::unique_ptr<BlockDevice> open() {
    auto device = disk->open();
    if (!alone_) return device;
    return std::make_unique<LonelyDevice>(std::move(device));
  }

  AttachOptions options() {
    AttachOptions chosen;
    // A handle that was dropped leaves its mark; where nothing is shared it is not known to be
    // dead.
    if (alone_) chosen.take_over = TakeOver::yes;
    chosen.memory_bytes = 256 << 10;
    chosen.env = env();
    return chosen;
  }

  template <class T>
  Interrupted<T> cut(Task<T> operation, std::size_t steps) {
    auto outcome = loop.interrupt(std::move(operation), steps, how_);
    // What had begun comes to its end, or would by now.
    loop.pass(std::chrono::seconds(1));
    return outcome;
  }

  // Both sides work, and the consumer gets what is there in order. `maybe` is an item of unknown
  // fate.
  void expect_in_order(std::vector<Bytes> expected, const Bytes& maybe = "") {
    ASSERT_OK(loop.run(producer->publish("last", clock.after(std::chrono::seconds(10)))));
    std::vector<Bytes> items;
    const auto end = loop.run(consumer->for_each([&](const ItemView& item) -> Status {
      items.emplace_back(item.bytes);
      return {};
    }));
    ASSERT_OK(end);
    auto with = expected;
    if (!maybe.empty()) with.push_back(maybe);
    expected.emplace_back("last");
    with.emplace_back("last");
    EXPECT_THAT(items, ::testing::AnyOf(expected, with));
    EXPECT_TRUE(consumer->damage().empty());
    ASSERT_OK(loop.run(consumer->advance(*end)));
    EXPECT_EQ(consumer->consumed(), *end);
    ASSERT_OK(loop.run(consumer->suspend()));
    EXPECT_OK(loop.run(producer->state()));
    ASSERT_OK(loop.run(consumer->resume()));
    EXPECT_OK(loop.run(producer->state()));
    EXPECT_OK(loop.run(consumer->detach()));
    EXPECT_OK(loop.run(producer->detach()));
  }

  Env env() { return {&clock, &random}; }

  SimulatedClock clock;
  SeededRandom random{11};
  std::unique_ptr<SimulatedDisk> disk;
  InterruptibleLoop loop{clock};
  std::unique_ptr<BlockDevice> producer_device;
  std::unique_ptr<BlockDevice> consumer_device;
  std::optional<Producer> producer;
  std::optional<Consumer> consumer;

 private:
  Interruption how_;
  bool alone_;
};

}  // namespace semper::ring::testing
