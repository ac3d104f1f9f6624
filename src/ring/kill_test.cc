// Producer and consumer as two real processes that are killed in the middle of their work.
//
// The parent reads what the children report on pipes, and kills after a drawn number of reports: no
// sleeping, and a kill falls wherever the child is at that time.
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "ring/ring_test_support.h"
#include "semper/env/scheduler.h"
#include "semper/testing/child_process.h"
#include "semper/testing/seed.h"
#include "semper/testing/temporary_folder.h"

namespace semper::ring {
namespace {

constexpr std::uint64_t kKillDiskBytes = std::uint64_t{256} << 10;

void report(std::uint64_t number) {
  semper::testing::say(std::to_string(number));
}

Bytes numbered(std::uint64_t number) {
  Bytes item = std::to_string(number) + " ";
  item.resize(20 + number % 3000, 'x');
  return item;
}

// Publishes numbers from `next` on, and reports each when it is durable.
Async<void> produce(BlockDevice& device, std::uint64_t next) {
  AttachOptions options;
  SEMPER_CO_TRY(Producer producer, co_await Producer::attach(device, options));
  for (;; ++next) {
    const Bytes item = numbered(next);
    if (next % 5 == 0) {
      SEMPER_CO_TRY(const Position end, co_await producer.push(item, kNever));
      SEMPER_CO_TRY_STATUS(co_await producer.advance(end));
    } else {
      SEMPER_CO_TRY_STATUS(co_await producer.publish(item, kNever));
    }
    report(next);
  }
}

// Reports each number that it pops, then removes it.
Async<void> consume(BlockDevice& device) {
  AttachOptions options;
  SEMPER_CO_TRY(Consumer consumer, co_await Consumer::attach(device, options));
  for (;;) {
    SEMPER_CO_TRY(const Item item, co_await consumer.pop({}, kNever));
    const std::uint64_t number = std::stoull(item.bytes);
    if (item.bytes != numbered(number)) co_return fail(ErrorKind::corrupt, "another item");
    report(number);
    SEMPER_CO_TRY_STATUS(co_await consumer.advance(item.after));
  }
}

// Plays the role on the ring at `argument` until it is killed.
template <class Role>
void play(const std::string& path, Role role) {
  auto device = open_block_device(path);
  ASSERT_OK(device);
  Scheduler scheduler;
  const Status status = scheduler.block_on(role(**device));
  ADD_FAILURE() << status.error().to_string();
}

// The argument: the first number, a space, the ring's path.
SEMPER_CHILD(produces) {
  const std::string argument = semper::testing::child_argument();
  const auto space = argument.find(' ');
  play(argument.substr(space + 1), [&](BlockDevice& device) {
    return produce(device, std::stoull(argument.substr(0, space)));
  });
}

SEMPER_CHILD(consumes) {
  play(semper::testing::child_argument(), [](BlockDevice& device) { return consume(device); });
}

// Takes over what it has reported and nobody has heard yet.
std::vector<std::uint64_t> reports_of(semper::testing::ChildProcess& child) {
  std::vector<std::uint64_t> numbers;
  while (const auto line = child.read_line(std::chrono::milliseconds(0))) {
    numbers.push_back(std::stoull(*line));
  }
  return numbers;
}

// And what it had reported before.
std::vector<std::uint64_t> kill(semper::testing::ChildProcess& child) {
  child.kill_hard();
  return reports_of(child);
}

class RingKill : public ::testing::TestWithParam<Format> {};
INSTANTIATE_TEST_SUITE_P(, RingKill, ::testing::Values(Format::semper_1, Format::mirage_1_0),
                         [](const auto& instance) {
                           return instance.param == Format::semper_1 ? "semper" : "mirage";
                         });

void make_ring(const std::string& path, Format format, Scheduler& scheduler) {
  ASSERT_OK(create_block_file(path, {.size = kKillDiskBytes}));
  auto device = open_block_device(path);
  ASSERT_OK(device);
  CreateOptions options;
  options.format = format;
  ASSERT_OK(scheduler.block_on(create(**device, options)));
}

TEST_P(RingKill, no_acknowledged_item_is_lost_or_reordered_when_processes_are_killed) {
  SeededRandom random(semper::testing::test_seed());
  const semper::testing::TemporaryFolder folder;
  const std::string path = folder.path("ring");
  Scheduler scheduler;
  make_ring(path, GetParam(), scheduler);
  std::uint64_t acknowledged = 0;  // the numbers up to it
  std::uint64_t seen = 0;
  const auto took = [&](const std::vector<std::uint64_t>& numbers) {
    for (const std::uint64_t number : numbers) {
      ASSERT_LE(number, seen + 1) << "an item is missing";
      seen = std::max(seen, number);
    }
  };
  const auto made = [&](const std::vector<std::uint64_t>& numbers) {
    for (const std::uint64_t number : numbers) acknowledged = std::max(acknowledged, number);
  };
  const auto producing_from = [&](std::uint64_t next) {
    return semper::testing::ChildProcess("produces", std::to_string(next) + " " + path);
  };
  auto producer = producing_from(1);
  semper::testing::ChildProcess consumer("consumes", path);
  for (int round = 0; round < 24; ++round) {
    std::uint64_t left = 1 + random.below(40);
    while (left > 0) {
      std::vector<std::uint64_t> published, popped;
      const auto is_any_there = [&] {
        published = reports_of(producer);
        popped = reports_of(consumer);
        return !published.empty() || !popped.empty();
      };
      ASSERT_TRUE(semper::testing::wait_until(is_any_there))
          << "both children are stuck, or have ended";
      made(published);
      took(popped);
      left -= std::min<std::uint64_t>(left, published.size() + popped.size());
    }
    const std::uint64_t victim = random.below(3);
    if (victim != 0) {
      made(kill(producer));
      producer = producing_from(acknowledged + 1);
    }
    if (victim != 1) {
      took(kill(consumer));
      consumer = semper::testing::ChildProcess("consumes", path);
    }
    if (HasFatalFailure()) break;
  }
  made(kill(producer));
  took(kill(consumer));
  auto device = open_block_device(path);
  ASSERT_OK(device);
  AttachOptions options;
  auto last = scheduler.block_on(Consumer::attach(**device, options));
  ASSERT_OK(last);
  std::vector<std::uint64_t> rest;
  std::function<Status(const ItemView&)> visit = [&](const ItemView& item) -> Status {
    rest.push_back(std::stoull(Bytes(item.bytes)));
    return {};
  };
  ASSERT_OK(scheduler.block_on(last->for_each(visit)));
  took(rest);
  EXPECT_GE(seen, acknowledged);
}

}  // namespace
}  // namespace semper::ring
