// Nobody keeps others from the ring: not a caller that blocks its thread, whose loop stands still,
// or that attaches at the same moment.
#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "ring_test_support.h"
#include "semper/base/log.h"
#include "semper/ring/journal.h"

namespace semper::ring::testing {
namespace {

using namespace std::chrono_literals;
using semper::testing::simulated_run;
using semper::testing::SimulatedClock;

// A disk that can be full, and whose writes can be held up.
class FickleDevice final : public BlockDevice {
 public:
  explicit FickleDevice(std::unique_ptr<BlockDevice> device) : device_(std::move(device)) {}
  std::string_view name() const noexcept override { return device_->name(); }
  std::uint64_t size() const noexcept override { return device_->size(); }
  std::uint32_t sector_size() const noexcept override { return device_->sector_size(); }
  bool is_read_only() const noexcept override { return device_->is_read_only(); }
  std::string description() const override { return device_->description(); }
  DeviceCompanion* companion() noexcept override { return device_->companion(); }
  Async<void> read(std::uint64_t offset, ReadParts parts) override {
    return device_->read(offset, std::move(parts));
  }
  Async<void> write(std::uint64_t offset, WriteParts parts) override {
    SEMPER_CO_TRY_STATUS(co_await admit());
    co_return co_await device_->write(offset, std::move(parts));
  }
  Async<void> flush() override { return device_->flush(); }
  Async<void> write_and_flush(std::uint64_t offset, WriteParts parts) override {
    SEMPER_CO_TRY_STATUS(co_await admit());
    co_return co_await device_->write_and_flush(offset, std::move(parts));
  }
  Async<void> close() override { return device_->close(); }

  void hold() { held_.emplace(); }
  void let_go() {
    if (auto held = std::exchange(held_, std::nullopt)) held->set(true);
  }
  bool full = false;
  bool busy = false;

 private:
  Async<void> admit() {
    if (auto held = held_) static_cast<void>(co_await held->wait_regardless());
    if (full) co_return fail(ErrorKind::exhausted, "no room is left below it");
    if (busy) co_return fail(ErrorKind::retry, "it has too many operations in flight");
    co_return Status{};
  }

  std::unique_ptr<BlockDevice> device_;
  std::optional<OneShot<bool>> held_;
};

Task<void> publish(Producer& producer, std::string item, std::optional<Status>& out) {
  const auto end = co_await producer.publish(item);
  out = end ? Status() : Status(fail(end.error()));
}

class RingHindrance : public ::testing::TestWithParam<Format> {
 protected:
  RingHindrance() : world_(memory_disk(1 << 20, 512), GetParam()), device_(world_.open()) {
    EXPECT_OK(world_.create(*device_));
  }

  AttachOptions small() {
    AttachOptions options = world_.options();
    options.memory_bytes = std::size_t{64} << 10;
    return options;
  }

  World world_;
  std::unique_ptr<BlockDevice> device_;
};

INSTANTIATE_TEST_SUITE_P(In, RingHindrance, ::testing::Values(Format::semper_1, Format::mirage_1_0),
                         [](const auto& param) {
                           return param.param == Format::semper_1 ? "semper" : "mirage";
                         });

TEST_P(RingHindrance, a_call_begun_on_a_loop_that_nobody_runs_does_not_fill_the_buffer_for_ever) {
  auto producer = world_.run(Producer::attach(*device_, small()));
  ASSERT_OK(producer);
  ASSERT_OK(world_.run(producer->publish("warm")));
  const Bytes large(12000, 'x');  // two do not fit into one round
  asio::io_context stopped(1);
  std::optional<Status> first;
  asio::co_spawn(stopped, publish(*producer, large, first), asio::detached);
  stopped.run_one();  // the call has begun; what it has posted is never run
  asio::io_context loop(1);
  std::optional<Status> second;
  asio::co_spawn(loop, publish(*producer, large, second), asio::detached);
  loop.poll();
  ASSERT_TRUE(second) << "it waits for a loop that nobody runs";
  EXPECT_OK(*second);
  stopped.poll();
  ASSERT_TRUE(first);
  EXPECT_OK(*first);
}

TEST_P(RingHindrance, a_caller_that_blocks_its_thread_after_a_publish_holds_up_nobody) {
  auto producer = world_.producer(*device_);
  ASSERT_OK(producer);
  ASSERT_OK(world_.run(producer->publish("warm")));
  std::optional<Status> other;
  const auto blocks = [&]() -> Task<void> {
    EXPECT_OK(co_await producer->publish("first"));
    asio::io_context loop(1);  // as another thread's, while this one does nothing else
    asio::co_spawn(loop, publish(*producer, "second", other), asio::detached);
    loop.poll();
    EXPECT_TRUE(other) << "its items wait for the thread of the first caller";
  };
  asio::io_context loop(1);
  asio::co_spawn(loop, blocks(), asio::detached);
  loop.poll();
  ASSERT_TRUE(other);
  EXPECT_OK(*other);
}

TEST_P(RingHindrance, a_ring_that_is_read_while_both_sides_are_at_work_is_not_called_damaged) {
  auto producer = world_.producer(*device_);
  auto consumer = world_.consumer(*device_);
  ASSERT_OK(producer);
  ASSERT_OK(consumer);
  const auto fill = [&]() -> Task<void> {
    for (int i = 0; i < 200; ++i) EXPECT_OK(co_await producer->publish(Bytes(3000, 'x')));
  };
  const auto drop = [&]() -> Task<void> {
    const auto end = co_await consumer->for_each([](const ItemView&) { return Status(); });
    EXPECT_OK(end);
    EXPECT_OK(co_await consumer->advance(*end));
  };
  const auto run = [](Task<void> task) {
    asio::io_context loop(1);
    asio::co_spawn(loop, std::move(task), asio::detached);
    loop.poll();
  };
  run(fill());
  int visited = 0;
  const auto visit = [&](const ItemView& item) -> Status {
    EXPECT_EQ(item.bytes, Bytes(3000, 'x'));
    if (++visited != 5) return {};
    for (int lap = 0; lap < 2; ++lap) {
      run(drop());
      run(fill());
    }
    return {};
  };
  int damages = 0;
  const auto damaged = [&](const Damage&) -> Status {
    ++damages;
    return {};
  };
  const auto read = world_.run(read_all(*device_, visit, damaged, small()));
  EXPECT_OK(read);
  EXPECT_GE(visited, 5);
  EXPECT_EQ(damages, 0);
}

// The places of an earlier producer's items are the next one's until it has decided.
TEST(RingHindranceRace, what_an_earlier_producer_pushed_is_exposed_or_dropped_and_never_both) {
  for (int round = 0; round < 2000; ++round) {
    World world(memory_disk(256 << 10, 512));
    const auto device = world.open();
    ASSERT_OK(world.create(*device));
    Position end;
    {
      auto earlier = world.producer(*device);
      ASSERT_OK(earlier);
      for (int i = 0; i < 3; ++i) {
        const auto pushed = world.run(earlier->push("old"));
        ASSERT_OK(pushed);
        end = *pushed;
      }
      ASSERT_OK(world.run(earlier->detach()));
    }
    auto producer = world.producer(*device);
    ASSERT_OK(producer);
    ASSERT_OK(world.run(producer->state()));
    std::atomic<int> ready = 0;
    const auto together = [&](int spins) {
      ++ready;
      while (ready.load() < 2) {
      }
      for (std::atomic<int> spin = 0; spin < spins; ++spin) {
      }
    };
    std::optional<Status> advanced;
    std::optional<Status> published;
    std::thread advancing([&] {
      asio::io_context loop(1);
      const auto advance = [&]() -> Task<void> { advanced = co_await producer->advance(end); };
      together(round * 7 % 2000);
      asio::co_spawn(loop, advance(), asio::detached);
      loop.run();
    });
    std::thread publishing([&] {
      asio::io_context loop(1);
      together(round * 13 % 2000);
      asio::co_spawn(loop, publish(*producer, "new", published), asio::detached);
      loop.run();
    });
    advancing.join();
    publishing.join();
    ASSERT_TRUE(advanced && published);
    ASSERT_OK(*published);
    auto consumer = world.consumer(*device);
    ASSERT_OK(consumer);
    std::vector<Bytes> expected(*advanced ? 3 : 0, "old");
    expected.emplace_back("new");
    ASSERT_EQ(all_items(world, *consumer), expected) << "in round " << round;
    ASSERT_TRUE(consumer->damage().empty()) << "in round " << round;
  }
}

TEST(RingBusyDevice, a_consumer_whose_device_was_busy_once_does_not_call_the_ring_empty) {
  World world(memory_disk(256 << 10, 512));
  FickleDevice device(world.open());
  ASSERT_OK(world.create(device));
  auto producer = world.producer(device);
  auto consumer = world.consumer(device);
  ASSERT_OK(producer);
  ASSERT_OK(consumer);
  ASSERT_OK(world.run(producer->publish("one")));
  ASSERT_OK(world.run(producer->publish("two")));
  const auto first = world.run(consumer->pop());
  ASSERT_OK(first);
  device.busy = true;
  EXPECT_EQ(kind_of(world.run(consumer->advance(first->after))), ErrorKind::io);
  device.busy = false;
  EXPECT_EQ(kind_of(world.run(consumer->pop({}, world.clock.after(1s)))), ErrorKind::io);
}

TEST(RingMemory, sectors_that_are_too_large_for_the_memory_are_refused_in_words) {
  World world(memory_disk(8 << 20, 512), Format::mirage_1_0);
  const auto device = world.open();
  CreateOptions made;
  made.format = Format::mirage_1_0;
  made.sector_size = 16384;
  made.env = world.env();
  ASSERT_OK(world.run(create(*device, made)));
  AttachOptions options = world.options();
  options.sector_size = made.sector_size;
  options.memory_bytes = std::size_t{64} << 10;
  const auto refused = world.run(Producer::attach(*device, options));
  EXPECT_EQ(kind_of(refused), ErrorKind::invalid_argument);
  options.memory_bytes = 16 * made.sector_size;
  auto producer = world.run(Producer::attach(*device, options));
  ASSERT_OK(producer);
  EXPECT_OK(world.run(producer->publish(Bytes(1000, 'x'))));
}

// With a machine's name, attaching takes a second of waiting for claims of other machines.
class RingAttachedAtOnce : public ::testing::TestWithParam<bool> {};
INSTANTIATE_TEST_SUITE_P(, RingAttachedAtOnce, ::testing::Bool(), [](const auto& param) {
  return param.param ? "producer_first" : "consumer_first";
});

TEST_P(RingAttachedAtOnce, the_two_sides_of_a_ring_do_not_refuse_each_other) {
  World world(memory_disk(1 << 20, 512));
  const auto producer_device = world.open();
  const auto consumer_device = world.open();
  ASSERT_OK(world.create(*producer_device));
  AttachOptions options = world.options();
  options.machine = "alpha";
  std::optional<Result<Producer>> producer;
  std::optional<Result<Consumer>> consumer;
  const auto produce = [&]() -> Task<void> {
    producer.emplace(co_await Producer::attach(*producer_device, options));
  };
  const auto consume = [&]() -> Task<void> {
    consumer.emplace(co_await Consumer::attach(*consumer_device, options));
  };
  world.run([&]() -> Task<void> {
    const auto executor = co_await asio::this_coro::executor;
    if (GetParam()) asio::co_spawn(executor, produce(), asio::detached);
    if (!GetParam()) asio::co_spawn(executor, consume(), asio::detached);
    EXPECT_OK(co_await sleep_for(world.clock, 50ms));
    if (GetParam()) asio::co_spawn(executor, consume(), asio::detached);
    if (!GetParam()) asio::co_spawn(executor, produce(), asio::detached);
    EXPECT_OK(co_await sleep_for(world.clock, 1min));
  }());
  ASSERT_TRUE(producer && consumer);
  EXPECT_OK(*producer);
  EXPECT_OK(*consumer);
}

TEST(RingPointers, a_consumer_that_comes_between_two_writes_of_the_position_raises_no_alarm) {
  std::atomic<int> alarms = 0;
  set_log_sink([&](LogLevel, std::string_view, std::string_view) { ++alarms; });
  World world(memory_disk(256 << 10, 512));
  const auto device = world.open();
  EXPECT_OK(world.create(*device));
  auto producer = world.producer(*device);
  EXPECT_OK(producer);
  EXPECT_OK(world.run(producer->publish("one")));
  for (const char* item : {"two", "three"}) {
    auto consumer = world.consumer(*device);
    EXPECT_OK(consumer);
    EXPECT_OK(world.run(consumer->detach()));
    const auto end = world.run(producer->push(item));
    EXPECT_OK(end);
    EXPECT_OK(world.run(producer->advance(*end)));
    EXPECT_OK(world.run(producer->publish(item)));
  }
  EXPECT_OK(world.consumer(*device));
  set_log_sink({});
  EXPECT_EQ(alarms.load(), 0);
}

class JournalHindrance : public ::testing::Test {
 protected:
  Async<Journal> start(std::string machine = "") {
    JournalOptions options;
    options.ring.memory_bytes = std::size_t{1} << 20;
    options.ring.env = env_;
    options.ring.machine = std::move(machine);
    options.retry_interval = 100ms;
    const Journal::Perform perform = [this](const std::vector<Item>& items) -> Async<void> {
      if (fills_the_disk_) device_.full = true;
      performed_ += items.size();
      co_return Status{};
    };
    auto journal = co_await Journal::start(device_, perform, options);
    EXPECT_OK(journal);
    co_return std::move(journal);
  }

  static Task<void> push(Journal& journal, MonotonicTime deadline, std::optional<Status>& out) {
    const auto pushed = co_await journal.push("again", deadline);
    out = pushed ? Status() : Status(fail(pushed.error()));
  }

  // A push on a loop that is run until the disk is at the next producer's attaching.
  void push_and_stop(Journal& journal, asio::io_context& loop, std::optional<Status>& out) {
    device_.hold();
    asio::co_spawn(loop, push(journal, kNever, out), asio::detached);
    loop.poll();
    EXPECT_FALSE(out);
  }

  SimulatedClock clock_;
  SeededRandom random_{3};
  Env env_{&clock_, &random_};
  MemoryDisk disk_{{.size = 1 << 20, .sector_size = 512}};
  FickleDevice device_{disk_.open()};
  bool fills_the_disk_ = false;
  std::size_t performed_ = 0;
};

TEST_F(JournalHindrance, after_a_full_disk_a_loop_that_stands_still_keeps_no_other_push_waiting) {
  asio::io_context stopped(1);
  simulated_run(clock_, [&]() -> Task<void> {
    auto journal = co_await start();
    if (!journal) co_return;
    EXPECT_OK(co_await journal->push("first"));
    device_.full = true;
    EXPECT_EQ(kind_of(co_await journal->push("lost")), ErrorKind::exhausted);
    device_.full = false;
    std::optional<Status> first;
    push_and_stop(*journal, stopped, first);
    device_.let_go();
    std::optional<Status> second;
    asio::co_spawn(co_await asio::this_coro::executor, push(*journal, kNever, second),
                   asio::detached);
    EXPECT_OK(co_await sleep_for(clock_, 10s));
    EXPECT_TRUE(second && *second) << "it waits for a loop that nobody runs";
    stopped.restart();
    stopped.poll();
    EXPECT_OK(co_await sleep_for(clock_, 1s));
    stopped.restart();
    stopped.poll();
    EXPECT_TRUE(first && *first);
    EXPECT_OK(co_await journal->shutdown());
  }());
}

TEST_F(JournalHindrance, a_push_waits_for_another_producer_no_longer_than_its_deadline) {
  asio::io_context stopped(1);
  simulated_run(clock_, [&]() -> Task<void> {
    auto journal = co_await start();
    if (!journal) co_return;
    EXPECT_OK(co_await journal->push("first"));
    device_.full = true;
    EXPECT_EQ(kind_of(co_await journal->push("lost")), ErrorKind::exhausted);
    device_.full = false;
    std::optional<Status> first;
    push_and_stop(*journal, stopped, first);
    std::optional<Status> second;
    asio::co_spawn(co_await asio::this_coro::executor, push(*journal, clock_.after(2s), second),
                   asio::detached);
    EXPECT_OK(co_await sleep_for(clock_, 3s));
    EXPECT_TRUE(second) << "its deadline has passed";
    EXPECT_EQ(second ? kind_of(*second) : ErrorKind{}, ErrorKind::timeout);
    device_.let_go();
    stopped.restart();
    stopped.poll();
    EXPECT_OK(co_await sleep_for(clock_, 1s));
    EXPECT_OK(co_await journal->push("last"));
    EXPECT_OK(co_await journal->shutdown());
  }());
}

// Both of its sides come back at the same moment.
TEST_F(JournalHindrance, a_journal_goes_on_after_a_full_disk_that_both_of_its_sides_have_met) {
  fills_the_disk_ = true;
  simulated_run(clock_, [&]() -> Task<void> {
    auto journal = co_await start("alpha");
    if (!journal) co_return;
    EXPECT_OK(co_await journal->push("first"));
    Status last;
    for (int i = 0; i < 200; ++i) {
      if (i == 40) fills_the_disk_ = device_.full = false;
      const auto pushed = co_await journal->push("again", clock_.after(5s));
      last = pushed ? Status() : Status(fail(pushed.error()));
      EXPECT_OK(co_await sleep_for(clock_, 50ms));
    }
    EXPECT_OK(last);
    EXPECT_OK(journal->status());
    EXPECT_OK(co_await journal->shutdown());
  }());
}

}  // namespace
}  // namespace semper::ring::testing
