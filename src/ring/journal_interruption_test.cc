// Every public coroutine of a journal, cut off at each of its awaits, by a cancellation or because
// its loop is destroyed. Afterwards the journal, or the next one on its ring, performs what is
// there.
#include <gmock/gmock.h>

#include <optional>

#include "ring/interruption_test_support.h"
#include "semper/ring/journal.h"

namespace semper::ring {
namespace {

using namespace std::chrono_literals;
using semper::testing::at_each_await;
using semper::testing::Interruption;
using ::testing::AnyOf;
using testing::Case;
using testing::Cut;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

// What a journal's push leaves in the ring is performed, whoever waits for it.
TEST(JournalInterruption, a_push_that_is_cancelled_leaves_no_item_that_nobody_performs) {
  const auto tried = at_each_await([&](std::size_t steps) {
    SCOPED_TRACE("interrupted after " + std::to_string(steps) + " steps");
    Cut world({Format::semper_1, Interruption::cancel});
    std::vector<Bytes> performed;
    const Journal::Perform perform = [&](const std::vector<Item>& batch) -> Async<void> {
      for (const auto& item : batch) performed.push_back(item.bytes);
      co_return Status{};
    };
    JournalOptions options;
    options.ring = world.options();
    auto journal = world.loop.run(Journal::start(*world.producer_device, perform, options));
    EXPECT_OK(journal);
    world.loop.pass(1s);
    const auto outcome = world.cut(journal->push("cut"), steps);
    world.loop.pass(1min);
    const auto info = world.loop.run(inspect(*world.producer_device));
    EXPECT_OK(info);
    EXPECT_EQ(info->exposed, info->consumer.position);
    EXPECT_EQ(performed.size(), journal->statistics().performed);
    const auto written = world.loop.run(journal->push("last"));
    EXPECT_OK(written);
    EXPECT_OK(world.loop.run(written->sync()));
    EXPECT_THAT(performed, AnyOf(ElementsAre("cut", "last"), ElementsAre("last")));
    EXPECT_OK(world.loop.run(journal->shutdown()));
    return outcome.interrupted;
  });
  EXPECT_GT(tried, 3u);
}

TEST(JournalInterruption, a_sync_that_is_cancelled_takes_nothing_with_it) {
  const auto tried = at_each_await([&](std::size_t steps) {
    Cut world({Format::semper_1, Interruption::cancel});
    const Journal::Perform perform = [](const std::vector<Item>&) -> Async<void> {
      co_return Status{};
    };
    JournalOptions options;
    options.ring = world.options();
    options.flush_interval = 1min;
    auto journal = world.loop.run(Journal::start(*world.producer_device, perform, options));
    EXPECT_OK(journal);
    const auto written = world.loop.run(journal->push("one"));
    EXPECT_OK(written);
    const auto outcome = world.cut(written->sync(), steps);
    EXPECT_OK(world.loop.run(written->sync()));
    EXPECT_OK(world.loop.run(journal->shutdown()));
    return outcome.interrupted;
  });
  EXPECT_GT(tried, 1u);
}

// A ring with two items that wait, and journals on it. Where one is cut off, another one finds its
// ring.
struct Work {
  explicit Work(const Case& kind) : world(kind) {}

  void leave_items() {
    world.attach();
    world.consumer.reset();
    world.producer.reset();
  }
  JournalOptions options() {
    JournalOptions chosen;
    chosen.ring = world.options();
    chosen.retry_interval = 1s;
    return chosen;
  }
  Journal::Perform perform() {
    return [this](const std::vector<Item>& batch) -> Async<void> {
      SEMPER_CO_TRY_STATUS(co_await sleep_for(world.clock, 5ms));
      for (const auto& item : batch) performed.push_back(item.bytes);
      co_return Status{};
    };
  }
  Async<Journal> start() { return Journal::start(*world.producer_device, perform(), options()); }

  // Ends the journal that there is, as its program would, and performs the rest with a new one.
  void perform_the_rest() {
    journal.reset();
    world.loop.pass(1min);
    auto next = world.loop.run(start());
    ASSERT_OK(next);
    ASSERT_OK(world.loop.run(next->replayed()));
    const auto written = world.loop.run(next->push("last"));
    ASSERT_OK(written);
    ASSERT_OK(world.loop.run(written->sync()));
    ASSERT_OK(world.loop.run(next->shutdown()));
    const auto info = world.loop.run(inspect(*world.producer_device));
    ASSERT_OK(info);
    EXPECT_EQ(info->exposed, info->consumer.position);
  }
  // Once or more, in their order.
  std::vector<Bytes> performed_in_order() const {
    std::vector<Bytes> once;
    for (const Bytes& item : performed) {
      if (std::find(once.begin(), once.end(), item) == once.end()) once.push_back(item);
    }
    return once;
  }

  Cut world;
  std::vector<Bytes> performed;
  std::optional<Journal> journal;
};

class JournalInterrupted : public ::testing::TestWithParam<Case> {
 protected:
  template <class Round>
  void at_each(Round round) {
    const auto tried = at_each_await([&](std::size_t steps) {
      SCOPED_TRACE("interrupted after " + std::to_string(steps) + " steps");
      Work work(GetParam());
      return round(work, steps) && !HasFatalFailure();
    });
    EXPECT_GT(tried, 0u);
  }
};

INSTANTIATE_TEST_SUITE_P(, JournalInterrupted, ::testing::ValuesIn(testing::all_cases()),
                         [](const auto& instance) { return testing::name_of(instance.param); });

TEST_P(JournalInterrupted, a_start_leaves_a_ring_that_the_next_start_takes_over) {
  at_each([](Work& work, std::size_t steps) {
    work.leave_items();
    auto outcome = work.world.cut(work.start(), steps);
    if (outcome.result && *outcome.result) work.journal.emplace(std::move(**outcome.result));
    work.perform_the_rest();
    EXPECT_THAT(work.performed_in_order(), ElementsAre("two", "three", "last"));
    return outcome.interrupted;
  });
}

TEST_P(JournalInterrupted, a_start_on_a_blank_device_leaves_it_blank_or_a_ring) {
  at_each([](Work& work, std::size_t steps) {
    work.world.disk->overwrite(0, Bytes(256 << 10, '\0'));
    auto options = work.options();
    options.format = GetParam().format;
    auto outcome = work.world.cut(
        Journal::start(*work.world.producer_device, work.perform(), std::move(options)), steps);
    if (outcome.result && *outcome.result) work.journal.emplace(std::move(**outcome.result));
    work.perform_the_rest();
    EXPECT_THAT(work.performed_in_order(), ElementsAre("last"));
    return outcome.interrupted;
  });
}

TEST_P(JournalInterrupted, waiting_for_the_replay_takes_nothing_with_it) {
  at_each([](Work& work, std::size_t steps) {
    work.leave_items();
    auto started = work.world.loop.run(work.start());
    EXPECT_OK(started);
    work.journal.emplace(std::move(*started));
    const auto outcome = work.world.cut(work.journal->replayed(), steps);
    if (GetParam().how == Interruption::cancel) {
      EXPECT_OK(work.world.loop.run(work.journal->replayed()));
      EXPECT_THAT(work.performed, ElementsAre("two", "three"));
    }
    work.perform_the_rest();
    EXPECT_THAT(work.performed_in_order(), ElementsAre("two", "three", "last"));
    return outcome.interrupted;
  });
}

TEST_P(JournalInterrupted, a_push_is_performed_or_not_there) {
  at_each([](Work& work, std::size_t steps) {
    auto started = work.world.loop.run(work.start());
    EXPECT_OK(started);
    work.journal.emplace(std::move(*started));
    const auto outcome = work.world.cut(work.journal->push("cut"), steps);
    const bool acknowledged = outcome.result && *outcome.result;
    work.perform_the_rest();
    EXPECT_THAT(work.performed_in_order(), AnyOf(ElementsAre("cut", "last"), ElementsAre("last")));
    if (acknowledged) {
      EXPECT_EQ(work.performed.front(), "cut");
    }
    return outcome.interrupted;
  });
}

TEST_P(JournalInterrupted, a_push_that_waits_for_room_gives_its_place_up) {
  const Bytes large(20 << 10, 'x');
  at_each([&](Work& work, std::size_t steps) {
    bool fails = true;
    std::size_t done = 0;
    const Journal::Perform perform = [&](const std::vector<Item>& batch) -> Async<void> {
      if (fails) co_return fail(ErrorKind::io, "not now");
      done += batch.size();
      co_return Status{};
    };
    auto started =
        work.world.loop.run(Journal::start(*work.world.producer_device, perform, work.options()));
    EXPECT_OK(started);
    work.journal.emplace(std::move(*started));
    Journal& journal = *work.journal;
    std::size_t pushed = 0;
    while (work.world.loop.run(journal.push(large, kNoWait))) ++pushed;
    // No room, and no way to make any: it waits until it is cut off, or its time is over.
    const auto outcome = work.world.cut(journal.push(large, work.world.clock.after(3s)), steps);
    fails = false;
    if (GetParam().how == Interruption::cancel) {
      const auto other = work.world.loop.run(journal.push(large, work.world.clock.after(1h)));
      EXPECT_OK(other);
      if (other) {
        EXPECT_OK(work.world.loop.run(other->sync()));
      }
      EXPECT_GE(done, pushed + 1);
      EXPECT_OK(work.world.loop.run(journal.shutdown()));
    } else {
      work.perform_the_rest();
    }
    return outcome.interrupted;
  });
}

TEST_P(JournalInterrupted, a_shutdown_can_be_called_again_and_frees_the_ring) {
  at_each([](Work& work, std::size_t steps) {
    work.leave_items();
    auto started = work.world.loop.run(work.start());
    EXPECT_OK(started);
    work.journal.emplace(std::move(*started));
    const auto outcome = work.world.cut(work.journal->shutdown(), steps);
    const Status again = work.world.loop.run(work.journal->shutdown());
    if (GetParam().how == Interruption::cancel) {
      EXPECT_OK(again);
      EXPECT_THAT(work.performed, ElementsAre("two", "three"));
    }
    work.perform_the_rest();
    EXPECT_THAT(work.performed_in_order(), ElementsAre("two", "three", "last"));
    return outcome.interrupted;
  });
}

}  // namespace
}  // namespace semper::ring
