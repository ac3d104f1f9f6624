// Power losses at every moment of every short workload: nothing acknowledged is lost, duplicated,
// reordered or altered, nothing unacknowledged is exposed half.
//
// A workload runs once; then every flush interval of it, and every subset of the sectors that were
// not flushed in it (a bounded number, drawn, where there are more), becomes a disk of its own on
// which both sides attach again.
#include <gmock/gmock.h>

#include "ring/ring_test_support.h"
#include "semper/testing/seed.h"
#include "semper/testing/simulated_disk.h"

namespace semper::ring {
namespace {

using semper::testing::SectorFate;
using semper::testing::SimulatedDisk;
using testing::all_items;
using testing::World;

enum class Step : char {
  push = 'p',
  publish = 's',
  publish_batch = 'b',
  advance = 'a',
  consume = 'c'
};
constexpr Step kSteps[] = {Step::push, Step::publish, Step::publish_batch, Step::advance,
                           Step::consume};

struct Shape {
  Format format;
  std::uint32_t sector_size;
  std::uint64_t disk_bytes;
  std::uint64_t max_subsets;  // of one interval
};

// What a reader would have to see after some number of steps.
struct Seen {
  std::size_t consumed = 0;
  std::size_t exposed = 0;
};

struct Moment {
  Seen after;
  std::size_t started = 0;   // flush interval in which the step began
  std::size_t finished = 0;  // ... and was acknowledged
};

Bytes item_number(std::size_t number, std::size_t size) {
  Bytes item = "item " + std::to_string(number) + " ";
  item.resize(size, static_cast<char>('a' + number % 26));
  return item;
}

class CrashRun {
 public:
  CrashRun(Shape shape, SeededRandom& random) : shape_(shape), random_(random) {
    device_ = disk_.open();
    EXPECT_OK(world_.create(*device_));
    auto producer = world_.producer(*device_);
    EXPECT_OK(producer);
    producer_.emplace(std::move(*producer));
    auto consumer = world_.consumer(*device_);
    EXPECT_OK(consumer);
    consumer_.emplace(std::move(*consumer));
    moments_.push_back({Seen{}, disk_.interval(), disk_.interval()});
  }

  void run(const std::vector<Step>& steps) {
    for (const Step step : steps) {
      Moment moment;
      moment.started = disk_.interval();
      perform(step);
      moment.finished = disk_.interval();
      moment.after = seen_;
      moments_.push_back(moment);
    }
  }

  // Returns how many disks were looked at.
  std::size_t crash_everywhere() {
    std::size_t crashes = 0;
    for (std::size_t interval = moments_.front().finished; interval <= disk_.interval();
         ++interval) {
      const std::uint64_t subsets = disk_.crash_count(interval);
      const bool all = subsets <= shape_.max_subsets;
      const std::uint64_t count = all ? subsets : shape_.max_subsets;
      for (std::uint64_t i = 0; i < count; ++i) {
        std::uint64_t kept = all ? i : random_.next() & (subsets - 1);
        if (!all && i < 2) kept = i == 0 ? 0 : subsets - 1;
        SCOPED_TRACE("interval " + std::to_string(interval) + ", kept " + std::to_string(kept));
        check(disk_.crash_image(interval, kept), interval);
        ++crashes;
        if (::testing::Test::HasFailure()) return crashes;
      }
      // In mirage-1.0 a sector can hold acknowledged items and be written again: garbage destroys
      // them.
      if (shape_.format == Format::mirage_1_0) continue;
      SCOPED_TRACE("interval " + std::to_string(interval) + ", all garbage");
      const std::vector<SectorFate> garbage(disk_.unsynced(interval).size(), SectorFate::garbage);
      check(disk_.crash_image(interval, garbage), interval);
      ++crashes;
      if (::testing::Test::HasFailure()) return crashes;
    }
    return crashes;
  }

 private:
  void perform(Step step) {
    const auto published = [&](const Result<Position>& end, std::vector<Bytes> items) {
      if (!end) {
        EXPECT_EQ(end.error().kind(), ErrorKind::retry) << end.error().to_string();
        return;
      }
      for (Bytes& item : items) items_.push_back(std::move(item));
      last_ = *end;
    };
    const std::size_t next = items_.size();
    if (step == Step::push) {
      published(world_.run(producer_->push(item_number(next, 1000))), {item_number(next, 1000)});
    } else if (step == Step::publish) {
      published(world_.run(producer_->publish(item_number(next, 700))), {item_number(next, 700)});
      seen_.exposed = items_.size() > next ? items_.size() : seen_.exposed;
    } else if (step == Step::publish_batch) {
      const std::vector<Bytes> batch{item_number(next, 3000), item_number(next + 1, 2500)};
      published(world_.run(producer_->publish(batch)), batch);
      seen_.exposed = items_.size() > next ? items_.size() : seen_.exposed;
    } else if (step == Step::advance) {
      EXPECT_OK(world_.run(producer_->advance(last_)));
      seen_.exposed = items_.size();
    } else {
      const auto item = world_.run(consumer_->pop());
      if (!item) return;
      EXPECT_EQ(item->bytes, items_[seen_.consumed]);
      EXPECT_OK(world_.run(consumer_->advance(item->after)));
      ++seen_.consumed;
    }
  }

  std::vector<Bytes> expected(const Seen& seen) const {
    return {items_.begin() + static_cast<long>(seen.consumed),
            items_.begin() + static_cast<long>(seen.exposed)};
  }

  void check(const SimulatedDisk& image, std::size_t interval) {
    World world({[&] { return image.open(); }}, shape_.format);
    const auto device = world.open();
    auto producer = world.producer(*device);
    ASSERT_OK(producer);
    auto consumer = world.consumer(*device);
    ASSERT_OK(consumer);
    std::vector<Bytes> items = all_items(world, *consumer);
    bool allowed = false;
    for (std::size_t i = 0; i < moments_.size(); ++i) {
      // Acknowledged steps must have happened; those that had begun may have.
      const bool superseded = i + 1 < moments_.size() && moments_[i + 1].finished <= interval;
      if (superseded || moments_[i].started > interval) continue;
      allowed = allowed || items == expected(moments_[i].after);
    }
    EXPECT_TRUE(allowed) << "there are " << items.size() << " items, the first is "
                         << (items.empty() ? "" : items.front().substr(0, 12));
    go_on(world, *producer, *consumer, std::move(items));
  }

  // The ring works as before, and keeps what it gets.
  void go_on(World& world, Producer& producer, Consumer& consumer, std::vector<Bytes> items) {
    for (int i = 0; i < 3; ++i) {
      const Bytes item = "after " + std::to_string(i);
      auto end = world.run(producer.publish(item));
      while (!end && !items.empty()) {
        const auto first = world.run(consumer.pop());
        ASSERT_OK(first);
        ASSERT_OK(world.run(consumer.advance(first->after)));
        items.erase(items.begin());
        end = world.run(producer.publish(item));
      }
      ASSERT_OK(end);
      items.push_back(item);
    }
    EXPECT_EQ(all_items(world, consumer), items);
  }

  Shape shape_;
  SeededRandom& random_;
  semper::testing::SimulatedClock clock_;
  SeededRandom disk_random_{1};
  SimulatedDisk disk_{
      {.size = shape_.disk_bytes, .sector_size = shape_.sector_size, .keep_history = true},
      Env{&clock_, &disk_random_}};
  World world_{{[this] { return disk_.open(); }}, shape_.format};
  std::unique_ptr<BlockDevice> device_;
  std::optional<Producer> producer_;
  std::optional<Consumer> consumer_;
  std::vector<Bytes> items_;
  Position last_;
  Seen seen_;
  std::vector<Moment> moments_;
};

std::string text_of(const std::vector<Step>& steps) {
  std::string text;
  for (const Step step : steps) text += static_cast<char>(step);
  return text;
}

class RingCrash : public ::testing::TestWithParam<Shape> {};

std::string shape_name(const ::testing::TestParamInfo<Shape>& instance) {
  return (instance.param.format == Format::semper_1 ? "semper_" : "mirage_") +
         std::to_string(instance.param.sector_size);
}

// Small enough that three steps go around the end.
INSTANTIATE_TEST_SUITE_P(, RingCrash,
                         ::testing::Values(Shape{Format::semper_1, 4096, 12 * 4096, 64},
                                           Shape{Format::semper_1, 512, 12 * 4096, 12},
                                           Shape{Format::mirage_1_0, 4096, 6 * 4096, 64},
                                           Shape{Format::mirage_1_0, 512, 20 * 512, 16}),
                         shape_name);

TEST_P(RingCrash, no_workload_of_up_to_three_steps_loses_or_halves_anything) {
  SeededRandom random(semper::testing::test_seed());
  std::size_t crashes = 0;
  std::vector<std::vector<Step>> workloads{{}};
  for (std::size_t i = 0; i < workloads.size(); ++i) {
    if (workloads[i].size() < 3) {
      for (const Step step : kSteps) {
        workloads.push_back(workloads[i]);
        workloads.back().push_back(step);
      }
    }
    SCOPED_TRACE("workload " + text_of(workloads[i]));
    CrashRun run(GetParam(), random);
    run.run(workloads[i]);
    crashes += run.crash_everywhere();
    if (HasFailure()) return;
  }
  EXPECT_GT(crashes, 500u);
}

TEST_P(RingCrash, no_long_workload_that_goes_around_the_ring_loses_anything) {
  SeededRandom random(semper::testing::test_seed());
  for (int round = 0; round < 12; ++round) {
    std::vector<Step> steps;
    for (int i = 0; i < 25; ++i) steps.push_back(kSteps[random.below(std::size(kSteps))]);
    SCOPED_TRACE("workload " + text_of(steps));
    Shape shape = GetParam();
    shape.max_subsets = 4;
    CrashRun run(shape, random);
    run.run(steps);
    run.crash_everywhere();
    if (HasFailure()) return;
  }
}

// Crashes one after another on the same disk, each in the middle of what the last one left.
TEST_P(RingCrash, crash_after_crash_loses_nothing_that_was_acknowledged) {
  SeededRandom random(semper::testing::test_seed());
  semper::testing::SimulatedClock clock;
  semper::testing::DiskFaults faults;
  // In mirage-1.0 a sector can hold acknowledged items and be written again: garbage destroys them.
  faults.garbage_at_crash = GetParam().format == Format::semper_1 ? 0.2 : 0;
  SimulatedDisk disk(
      {.size = GetParam().disk_bytes * 2, .sector_size = GetParam().sector_size, .faults = faults},
      Env{&clock, &random});
  World world({[&] { return disk.open(); }}, GetParam().format);
  {
    const auto device = world.open();
    ASSERT_OK(world.create(*device));
  }
  std::vector<Bytes> inside;
  std::size_t number = 0;
  for (int life = 0; life < 60; ++life) {
    SCOPED_TRACE("life " + std::to_string(life));
    const auto device = world.open();
    auto producer = world.producer(*device);
    ASSERT_OK(producer);
    auto consumer = world.consumer(*device);
    ASSERT_OK(consumer);
    ASSERT_EQ(all_items(world, *consumer), inside);
    for (std::uint64_t steps = random.below(6); steps > 0; --steps) {
      const Bytes item = item_number(number++, random.below(3000) + 20);
      if (random.chance(0.3)) {
        const auto pushed = world.run(producer->push(item));  // never exposed: dropped
        if (!pushed) continue;
        if (random.chance(0.5)) continue;
        ASSERT_OK(world.run(producer->advance(*pushed)));
        break;
      }
      const auto end = world.run(producer->publish(item));
      if (!end) {
        ASSERT_EQ(end.error().kind(), ErrorKind::retry);
      }
      if (!end || random.chance(0.3)) {
        const auto first = world.run(consumer->pop());
        if (first) {
          ASSERT_OK(world.run(consumer->advance(first->after)));
        }
      }
    }
    inside = all_items(world, *consumer);
    producer = fail(ErrorKind::closed, "crashed");
    consumer = fail(ErrorKind::closed, "crashed");
    disk.power_cycle();
  }
}

TEST(RingCrashAtCreate, leaves_no_ring_or_the_whole_one) {
  for (const Format format : {Format::semper_1, Format::mirage_1_0}) {
    semper::testing::SimulatedClock clock;
    SeededRandom random(1);
    SimulatedDisk disk({.size = 12 * 4096, .sector_size = 4096, .keep_history = true},
                       Env{&clock, &random});
    World world({[&] { return disk.open(); }}, format);
    const auto device = world.open();
    ASSERT_OK(world.create(*device));
    for (std::size_t interval = 0; interval <= disk.interval(); ++interval) {
      for (std::uint64_t kept = 0; kept < disk.crash_count(interval); ++kept) {
        SCOPED_TRACE("interval " + std::to_string(interval) + ", kept " + std::to_string(kept));
        const SimulatedDisk image = disk.crash_image(interval, kept);
        World after({[&] { return image.open(); }}, format);
        const auto again = after.open();
        auto producer = after.producer(*again);
        if (!producer) {
          ASSERT_EQ(producer.error().kind(), ErrorKind::not_found);
          ASSERT_OK(after.create(*again));
          producer = after.producer(*again);
        }
        ASSERT_OK(producer);
        ASSERT_OK(after.run(producer->publish("works")));
      }
    }
  }
}

}  // namespace
}  // namespace semper::ring
