// Devices that throw, that do not answer, that are busy for a moment, and whose file was replaced.
#include <gtest/gtest.h>

#include <filesystem>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "ring_test_support.h"
#include "semper/ring/journal.h"

namespace semper::ring::testing {
namespace {

using namespace std::chrono_literals;
using semper::testing::simulated_run;
using semper::testing::SimulatedClock;

enum class Oddity : std::uint8_t { none, throws, throws_a_number, hangs, is_busy };

// Odd at the operation number `at`, from the next one on; a device that hangs does so until it is
// let go.
class OddDevice final : public BlockDevice {
 public:
  explicit OddDevice(std::unique_ptr<BlockDevice> device) : device_(std::move(device)) {}
  std::string_view name() const noexcept override { return device_->name(); }
  std::uint64_t size() const noexcept override { return device_->size(); }
  std::uint32_t sector_size() const noexcept override { return device_->sector_size(); }
  bool is_read_only() const noexcept override { return device_->is_read_only(); }
  std::string description() const override { return device_->description(); }
  DeviceCompanion* companion() noexcept override { return device_->companion(); }
  Async<void> read(std::uint64_t offset, ReadParts parts) override {
    SEMPER_CO_TRY_STATUS(co_await admit());
    co_return co_await device_->read(offset, std::move(parts));
  }
  Async<void> write(std::uint64_t offset, WriteParts parts) override {
    SEMPER_CO_TRY_STATUS(co_await admit());
    co_return co_await device_->write(offset, std::move(parts));
  }
  Async<void> flush() override {
    SEMPER_CO_TRY_STATUS(co_await admit());
    co_return co_await device_->flush();
  }
  Async<void> write_and_flush(std::uint64_t offset, WriteParts parts) override {
    SEMPER_CO_TRY_STATUS(co_await admit());
    co_return co_await device_->write_and_flush(offset, std::move(parts));
  }
  Async<void> close() override { return device_->close(); }

  void be(Oddity oddity, int at = 1) {
    oddity_ = oddity;
    left_ = at;
  }
  bool was_odd() const { return left_ <= 0; }
  void let_go() {
    oddity_ = Oddity::none;
    for (auto& one : std::exchange(hanging_, {})) one.set(true);
  }

 private:
  Async<void> admit() {
    if (oddity_ == Oddity::none) co_return Status{};
    if (--left_ != 0 && !(oddity_ == Oddity::hangs && left_ < 0)) co_return Status{};
    if (oddity_ == Oddity::throws) throw std::runtime_error("out of order");
    if (oddity_ == Oddity::throws_a_number) throw 42;
    if (oddity_ == Oddity::is_busy) {
      co_return fail(ErrorKind::retry, "it has too many operations in flight");
    }
    OneShot<bool> released;
    hanging_.push_back(released);
    static_cast<void>(co_await released.wait_regardless());
    co_return Status{};
  }

  std::unique_ptr<BlockDevice> device_;
  Oddity oddity_ = Oddity::none;
  int left_ = 0;
  std::vector<OneShot<bool>> hanging_;
};

struct OddCase {
  Format format;
  Oddity oddity;
  friend std::ostream& operator<<(std::ostream& out, const OddCase& odd) {
    return out << to_string(odd.format) << " " << static_cast<int>(odd.oddity);
  }
};

class RingOddDevice : public ::testing::TestWithParam<OddCase> {
 protected:
  // A run with one odd operation; false: it was over before that.
  bool run_with_an_odd_operation(int at);

  Result<Producer> attach(World& world, OddDevice& device) {
    auto producer = world.producer(device);
    return producer ? std::move(producer) : world.producer(device);
  }
};

INSTANTIATE_TEST_SUITE_P(, RingOddDevice,
                         ::testing::Values(OddCase{Format::semper_1, Oddity::throws},
                                           OddCase{Format::semper_1, Oddity::throws_a_number},
                                           OddCase{Format::mirage_1_0, Oddity::throws}),
                         [](const auto& param) {
                           return std::string(param.param.format == Format::semper_1 ? "semper"
                                                                                     : "mirage") +
                                  (param.param.oddity == Oddity::throws ? "_throws"
                                                                        : "_throws_a_number");
                         });

// What waits for something that never comes is SimulationStuck.
bool RingOddDevice::run_with_an_odd_operation(int at) {
  World world(memory_disk(256 << 10, 512), GetParam().format);
  OddDevice device(world.open());
  EXPECT_OK(world.create(device));
  device.be(GetParam().oddity, at);
  int acknowledged = 0;
  for (int i = 0; i < 3; ++i) {
    auto producer = attach(world, device);
    if (!producer) {
      ADD_FAILURE() << "operation " << at << ": " << producer.error().to_string();
      return false;
    }
    if (world.run(producer->publish(Bytes(700, 'x')))) ++acknowledged;
    if (world.run(producer->state()) && world.run(producer->publish("y"))) ++acknowledged;
    static_cast<void>(world.run(producer->detach()));
  }
  auto consumer = world.consumer(device);
  if (!consumer) consumer = world.consumer(device);
  EXPECT_OK(consumer);
  if (!consumer) return false;
  int there = 0;
  for (int errors = 0; errors < 2;) {
    const auto item = world.run(consumer->pop());
    if (!item && item.error().kind() == ErrorKind::retry) break;
    errors += !item;
    if (!item) continue;
    ++there;
    if (!world.run(consumer->advance(item->after))) {
      EXPECT_OK(world.run(consumer->advance(item->after)));
    }
  }
  EXPECT_GE(there, acknowledged) << "operation " << at;
  const bool was_odd = device.was_odd();
  device.be(Oddity::none);
  EXPECT_OK(world.run(consumer->detach()));
  return was_odd;
}

TEST_P(RingOddDevice, one_that_throws_costs_one_call_and_leaves_nobody_waiting) {
  int at = 1;
  while (run_with_an_odd_operation(at) && at < 200) ++at;
  EXPECT_GT(at, 20) << "most operations are tried";
  EXPECT_LT(at, 200);
}

// Also where nothing is there yet, and where something else is.
TEST_P(RingOddDevice, one_that_throws_costs_whoever_only_looks_an_error) {
  World world(memory_disk(256 << 10, 512), GetParam().format);
  OddDevice device(world.open());
  using Look = std::function<Status()>;
  const auto status_of = [](const auto& result) {
    return result ? Status() : Status(fail(result.error()));
  };
  const auto nothing = [](const auto&) { return Status(); };
  const std::vector<std::pair<const char*, Look>> looks = {
      {"is_blank", [&] { return status_of(world.run(is_blank(device))); }},
      {"contents", [&] { return status_of(world.run(contents(device))); }},
      {"inspect", [&] { return status_of(world.run(inspect(device))); }},
      {"check_headers", [&] { return status_of(world.run(check_headers(device))); }},
      {"read_all",
       [&] { return status_of(world.run(read_all(device, nothing, nothing, world.options()))); }}};
  const auto try_all = [&](const char* on) {
    for (const auto& [name, look] : looks) {
      const bool look_is_at_no_ring = std::string(on) != "a ring";
      for (int at = 1; at < 100; ++at) {
        device.be(GetParam().oddity, at);
        const Status seen = look();
        if (!device.was_odd()) break;
        // That there is no ring was seen before it was looked what there is instead.
        const bool is_no_ring = kind_of(seen) == ErrorKind::not_found && look_is_at_no_ring;
        EXPECT_TRUE(is_no_ring || kind_of(seen) == ErrorKind::internal)
            << name << " on " << on << ", " << at;
      }
      device.be(Oddity::none);
    }
  };
  try_all("a blank device");
  ASSERT_OK(world.create(device));
  auto producer = world.producer(device);
  ASSERT_OK(producer);
  ASSERT_OK(world.run(producer->publish(Bytes(700, 'x'))));
  try_all("a ring");
  AlignedBuffer data(4096);
  std::fill(data.span().begin(), data.span().end(), std::byte{7});
  const auto other = world.open();
  ASSERT_OK(world.run(other->write(0, data.span())));
  try_all("data");
}

TEST(RingVisitors, who_throw_end_the_visit_with_an_error) {
  World world(memory_disk(256 << 10, 512));
  const auto device = world.open();
  ASSERT_OK(world.create(*device));
  auto producer = world.producer(*device);
  auto consumer = world.consumer(*device);
  ASSERT_OK(producer);
  ASSERT_OK(consumer);
  ASSERT_OK(world.run(producer->publish("one")));
  const auto visit = [](const ItemView&) -> Status { throw std::runtime_error("no"); };
  EXPECT_EQ(kind_of(world.run(consumer->for_each(visit))), ErrorKind::internal);
  const auto damaged = [](const Damage&) { return Status(); };
  EXPECT_EQ(kind_of(world.run(read_all(*device, visit, damaged, world.options()))),
            ErrorKind::internal);
  EXPECT_EQ(all_items(world, *consumer), std::vector<Bytes>{"one"});
}

TEST(RingHungDevice, a_publish_and_a_pop_wait_for_it_no_longer_than_their_deadline) {
  World world(memory_disk(256 << 10, 512));
  OddDevice device(world.open());
  ASSERT_OK(world.create(device));
  auto producer = world.producer(device);
  auto consumer = world.consumer(device);
  ASSERT_OK(producer);
  ASSERT_OK(consumer);
  const Bytes large(40 << 10, 'x');
  int published = 0;
  while (world.run(producer->publish(large))) ++published;
  device.be(Oddity::hangs);
  const auto late = world.run(producer->publish(large, world.clock.after(2s)));
  EXPECT_EQ(kind_of(late), ErrorKind::timeout);
  EXPECT_EQ(kind_of(world.run(consumer->pop({}, world.clock.after(2s)))), ErrorKind::timeout);
  device.let_go();
  EXPECT_EQ(all_items(world, *consumer).size(), static_cast<std::size_t>(published));
  const auto first = world.run(consumer->pop());
  ASSERT_OK(first);
  ASSERT_OK(world.run(consumer->advance(first->after)));
  EXPECT_OK(world.run(producer->publish("now", world.clock.after(2s))));
  EXPECT_EQ(all_items(world, *consumer).back(), "now");
}

// Also where the answer of the device comes later than that.
TEST(RingHungDevice, a_call_whose_deadline_has_passed_looks_once) {
  World world(file_disk(256 << 10, IoMode::threads));
  const auto device = world.open();
  ASSERT_OK(world.create(*device));
  auto producer = world.producer(*device);
  auto consumer = world.consumer(*device);
  ASSERT_OK(producer);
  ASSERT_OK(consumer);
  ASSERT_OK(world.run(producer->publish("one")));
  const auto item = world.run(consumer->pop({}, world.clock.now()));
  ASSERT_OK(item);
  EXPECT_EQ(item->bytes, "one");
  EXPECT_EQ(kind_of(world.run(consumer->pop(item->after, world.clock.now()))), ErrorKind::timeout);
}

class JournalOnOddDevice : public ::testing::Test {
 protected:
  Async<Journal> start() {
    JournalOptions options;
    options.ring.env = env_;
    options.retry_interval = 100ms;
    const Journal::Perform perform = [this](const std::vector<Item>& items) -> Async<void> {
      performed_ += items.size();
      co_return Status{};
    };
    co_return co_await Journal::start(device_, perform, options);
  }

  SimulatedClock clock_;
  SeededRandom random_{5};
  Env env_{&clock_, &random_};
  MemoryDisk disk_{{.size = 1 << 20, .sector_size = 512}};
  OddDevice device_{disk_.open()};
  std::size_t performed_ = 0;
};

// Whichever operation it is: of a push, of a pop, of a removal.
TEST_F(JournalOnOddDevice, one_that_is_busy_for_a_moment_ends_no_journal) {
  for (int at = 1; at <= 18; ++at) {
    simulated_run(clock_, [&]() -> Task<void> {
      auto journal = co_await start();
      EXPECT_OK(journal);
      if (!journal) co_return;
      EXPECT_OK(co_await journal->replayed(clock_.after(60s)));
      device_.be(Oddity::is_busy, at);
      Status last;
      for (int i = 0; i < 12; ++i) {
        const auto pushed = co_await journal->push("work", clock_.after(5s));
        last = pushed ? Status() : Status(fail(pushed.error()));
        if (pushed) last = co_await pushed->sync(clock_.after(60s));
      }
      EXPECT_TRUE(device_.was_odd()) << at;
      EXPECT_TRUE(last) << "busy at operation " << at;
      EXPECT_TRUE(journal->status()) << at;
      device_.be(Oddity::none);
      EXPECT_OK(co_await journal->shutdown());
    }());
  }
}

// On a blank device, which is made a ring, and on the ring.
TEST_F(JournalOnOddDevice, one_that_throws_while_it_is_started_costs_that_start) {
  for (int at = 1; at <= 60; ++at) {
    device_.be(Oddity::throws, at);
    simulated_run(clock_, [&]() -> Task<void> {
      auto journal = co_await start();
      if (!journal) {
        EXPECT_EQ(journal.error().kind(), ErrorKind::internal) << journal.error().to_string();
        device_.be(Oddity::none);
        journal = co_await start();
      }
      EXPECT_TRUE(journal) << at << ": " << journal.error().to_string();
      if (!journal) co_return;
      device_.be(Oddity::none);
      static_cast<void>(co_await journal->shutdown());
    }());
  }
}

// What a former journal has left is read from the ring.
TEST_F(JournalOnOddDevice, one_that_is_busy_when_items_are_read_leaves_none_unperformed) {
  World world({[this] { return disk_.open(); }});
  ASSERT_OK(world.create(device_));
  for (int at = 1; at <= 60; ++at) {
    auto producer = world.producer(device_);
    ASSERT_OK(producer);
    ASSERT_OK(world.run(producer->publish("left")));
    ASSERT_OK(world.run(producer->detach()));
    performed_ = 0;
    device_.be(Oddity::is_busy, at);
    simulated_run(clock_, [&]() -> Task<void> {
      auto journal = co_await start();
      if (!journal) {
        device_.be(Oddity::none);
        journal = co_await start();
      }
      EXPECT_OK(journal);
      if (!journal) co_return;
      EXPECT_OK(co_await journal->replayed(clock_.after(60s)));
      EXPECT_GE(performed_, 1u) << at;  // again, where a removal was busy
      device_.be(Oddity::none);
      static_cast<void>(co_await journal->shutdown());
    }());
  }
}

TEST_F(JournalOnOddDevice, a_push_waits_for_one_that_hangs_no_longer_than_its_deadline) {
  simulated_run(clock_, [&]() -> Task<void> {
    JournalOptions options;
    options.ring.env = env_;
    options.ring.memory_bytes = 1 << 20;
    options.flush_interval = kForever;
    const Journal::Perform perform = [](const std::vector<Item>&) -> Async<void> {
      co_return fail(ErrorKind::io, "not today");
    };
    auto journal = co_await Journal::start(device_, perform, options);
    EXPECT_OK(journal);
    if (!journal) co_return;
    const Bytes large(100 << 10, 'x');
    while (co_await journal->push(large, kNoWait)) {
    }
    device_.be(Oddity::hangs);
    const auto late = co_await journal->push(large, clock_.after(2s));
    EXPECT_EQ(kind_of(late), ErrorKind::timeout);
    device_.let_go();
  }());
}

// A perform that waits for nothing.
TEST_F(JournalOnOddDevice, a_journal_keeps_its_loop_for_no_longer_than_one_perform) {
  simulated_run(clock_, [&]() -> Task<void> {
    JournalOptions options;
    options.ring.env = env_;
    options.retry_interval = Duration::zero();
    options.batch.max_items = 1;
    int attempts = 0;
    const Journal::Perform perform = [&](const std::vector<Item>&) -> Async<void> {
      ++attempts;
      if (attempts < 1000) co_return fail(ErrorKind::io, "not yet");
      co_return Status{};
    };
    auto journal = co_await Journal::start(device_, perform, options);
    EXPECT_OK(journal);
    if (!journal) co_return;
    EXPECT_OK(co_await journal->push("bad"));
    for (int i = 0; i < 20; ++i) co_await yield_now();
    EXPECT_LT(attempts, 100) << "nobody else ran meanwhile";
    EXPECT_OK(co_await journal->shutdown());
  }());
}

// Who is busy never waits, and waiting is what notices it otherwise.
TEST(RingPlace, a_busy_producer_notices_that_its_file_was_replaced) {
  World world(file_disk(1 << 20, IoMode::inline_blocking));
  const auto device = world.open();
  ASSERT_OK(world.create(*device));
  auto producer = world.producer(*device);
  ASSERT_OK(producer);
  ASSERT_OK(world.run(producer->publish("one")));
  const std::string path(device->name());
  const std::string away = path + ".away";
  std::filesystem::rename(path, away);
  EXPECT_TRUE(world.run(producer->publish("two"))) << "moved, and nobody has taken the name";
  ASSERT_TRUE(create_block_file(path, {.size = 1 << 20}));
  int acknowledged = 0;
  Status last;
  while (last && acknowledged < 100) {
    const auto end = world.run(producer->publish("lost from sight"));
    last = end ? Status() : Status(fail(end.error()));
    acknowledged += end.has_value();
    ASSERT_OK(world.run(sleep_for(world.clock, 50ms)));
  }
  EXPECT_LE(acknowledged, 25) << "a second, and one round";
  EXPECT_EQ(kind_of(last), ErrorKind::io);
  std::filesystem::remove(away);
}

}  // namespace
}  // namespace semper::ring::testing
