// The journal's promises, each by the name of what would break it, in simulated time, on both
// formats.
#include "semper/ring/journal.h"

#include <gtest/gtest.h>

#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "ring_test_support.h"
#include "semper/testing/seed.h"
#include "semper/testing/simulated_disk.h"

namespace semper::ring::testing {
namespace {

using namespace std::chrono_literals;
using semper::testing::simulated_run;
using semper::testing::SectorFate;
using semper::testing::SimulatedClock;
using semper::testing::SimulatedDisk;
using Texts = std::vector<std::string>;

// What perform was given, and what it is to answer.
struct Work {
  std::vector<Texts> batches;
  std::vector<MonotonicTime> times;
  int fail_next = 0;   // so many performs return an error
  int throw_next = 0;  // and so many throw
  Duration takes = Duration::zero();
  std::optional<OneShot<std::monostate>> blocked;

  Texts all() const {
    Texts items;
    for (const auto& batch : batches) items.insert(items.end(), batch.begin(), batch.end());
    return items;
  }
};

class JournalTest : public ::testing::TestWithParam<Format> {
 protected:
  JournalOptions options() {
    JournalOptions options;
    options.format = GetParam();
    options.ring.memory_bytes = std::size_t{256} << 10;
    options.ring.env = env_;
    return options;
  }

  Journal::Perform perform() {
    return [this](const std::vector<Item>& items) -> Async<void> {
      Texts batch;
      for (const auto& item : items) batch.push_back(item.bytes);
      work_.batches.push_back(std::move(batch));
      work_.times.push_back(clock_.now());
      if (work_.blocked) static_cast<void>(co_await work_.blocked->wait());
      if (work_.takes > Duration::zero()) co_await sleep_for(clock_, work_.takes);
      if (work_.throw_next > 0 && work_.throw_next-- > 0) throw std::runtime_error("out of luck");
      if (work_.fail_next > 0 && work_.fail_next-- > 0) co_return fail(ErrorKind::io, "no peer");
      co_return Status{};
    };
  }

  // Runs `body` with a journal on the disk, which is shut down in the end.
  void with_journal(JournalOptions options, std::function<Task<void>(Journal&)> body) {
    auto device = disk_.open();
    simulated_run(clock_, [&]() -> Task<void> {
      auto journal = co_await Journal::start(*device, perform(), std::move(options));
      EXPECT_TRUE(journal) << journal.error().to_string();
      if (!journal) co_return;
      co_await body(*journal);
      co_await journal->shutdown();
    }());
  }

  static Task<Journal::Waiter> pushed(Journal& journal, std::string text) {
    auto waiter = co_await journal.push(text);
    EXPECT_TRUE(waiter) << waiter.error().to_string();
    co_return *waiter;
  }

  // Leaves items in the ring as a process does that dies before it performed them.
  void leave_behind(const Texts& items) {
    auto device = disk_.open();
    simulated_run(clock_, [&]() -> Task<void> {
      CreateOptions create_options;
      create_options.format = GetParam();
      create_options.env = env_;
      EXPECT_TRUE(co_await create(*device, create_options));
      AttachOptions attach;
      attach.env = env_;
      auto producer = co_await Producer::attach(*device, attach);
      EXPECT_TRUE(producer) << producer.error().to_string();
      for (const auto& item : items) EXPECT_TRUE(co_await producer->publish(item));
    }());
  }

  SimulatedClock clock_;
  SeededRandom random_{semper::testing::test_seed()};
  Env env_{&clock_, &random_};
  SimulatedDisk disk_{{.size = 256u << 10, .sector_size = 512}, env_};
  Work work_;
};

INSTANTIATE_TEST_SUITE_P(On, JournalTest,
                         ::testing::Values(Format::semper_1, Format::mirage_1_0),
                         [](const auto& param) {
                           return param.param == Format::semper_1 ? "semper" : "mirage";
                         });

TEST_P(JournalTest, what_is_pushed_is_performed_in_order_and_then_gone) {
  with_journal(options(), [&](Journal& journal) -> Task<void> {
    for (int i = 0; i < 20; ++i) co_await pushed(journal, std::to_string(i));
    auto last = co_await pushed(journal, "last");
    EXPECT_TRUE(co_await last.sync());
  });
  Texts expected;
  for (int i = 0; i < 20; ++i) expected.push_back(std::to_string(i));
  expected.push_back("last");
  EXPECT_EQ(work_.all(), expected);
  work_ = {};
  with_journal(options(), [&](Journal&) -> Task<void> { co_return; });
  EXPECT_EQ(work_.all(), Texts()) << "performed again although nothing had crashed";
}

TEST_P(JournalTest, a_device_with_something_else_is_refused_by_what_it_holds) {
  disk_.overwrite(8192, "somebody's");
  auto device = disk_.open();
  simulated_run(clock_, [&]() -> Task<void> {
    JournalOptions options;
    options.format = GetParam();
    options.ring.env = env_;
    auto journal = co_await Journal::start(*device, perform(), options);
    EXPECT_FALSE(journal);
    if (journal) co_return;
    EXPECT_EQ(journal.error().kind(), ErrorKind::not_found);
    EXPECT_NE(journal.error().message().find("holds data (from byte 8192 on)"), std::string::npos)
        << journal.error().message();
  }());
}

TEST_P(JournalTest, what_was_just_pushed_is_not_read_back) {
  with_journal(options(), [&](Journal& journal) -> Task<void> {
    const auto first = co_await pushed(journal, "first");
    EXPECT_TRUE(co_await first.sync());
    EXPECT_TRUE(co_await sleep_for(clock_, 1ms));
    const std::uint64_t reads = disk_.reads();
    for (int i = 0; i < 5; ++i) {
      const auto waiter = co_await pushed(journal, std::to_string(i));
      EXPECT_TRUE(co_await waiter.sync());
    }
    EXPECT_EQ(disk_.reads(), reads);
  });
  EXPECT_EQ(work_.all(), Texts({"first", "0", "1", "2", "3", "4"}));
}

// A quarter of the memory holds 15 of them.
TEST_P(JournalTest, what_is_too_much_for_the_memory_is_read_from_the_ring_in_its_place) {
  auto small = options();
  small.ring.memory_bytes = std::size_t{64} << 10;
  small.batch.max_items = 3;
  work_.takes = 1ms;
  Texts expected;
  with_journal(small, [&](Journal& journal) -> Task<void> {
    for (int round = 0; round < 4; ++round) {
      work_.blocked.emplace();
      std::optional<Journal::Waiter> last;
      for (int i = 0; i < 24; ++i) {
        expected.push_back(std::to_string(round) + "." + std::to_string(i) + std::string(990, '.'));
        last.emplace(co_await pushed(journal, expected.back()));
      }
      auto gate = std::exchange(work_.blocked, std::nullopt);
      gate->set({});
      // Some of the memory is free again and again, and what was beyond it is not yet performed.
      for (int i = 24; i < 60; ++i) {
        expected.push_back(std::to_string(round) + "." + std::to_string(i) + std::string(990, '.'));
        last.emplace(co_await pushed(journal, expected.back()));
        EXPECT_TRUE(co_await sleep_for(clock_, 200us));
      }
      EXPECT_TRUE(co_await last->sync());
    }
  });
  EXPECT_EQ(work_.all(), expected);
}

TEST_P(JournalTest, what_a_crash_left_is_performed_before_anything_new) {
  leave_behind({"old 1", "old 2", "old 3"});
  with_journal(options(), [&](Journal& journal) -> Task<void> {
    auto fresh = co_await pushed(journal, "new");
    EXPECT_TRUE(co_await fresh.sync());
  });
  EXPECT_EQ(work_.all(), Texts({"old 1", "old 2", "old 3", "new"}));
}

TEST_P(JournalTest, what_a_crash_left_does_not_wait_for_the_flush_interval) {
  leave_behind({"old"});
  auto slow = options();
  slow.flush_interval = 1h;
  const auto start = clock_.now();
  with_journal(std::move(slow), [&](Journal&) -> Task<void> {
    EXPECT_TRUE(co_await sleep_for(clock_, 1s));
    EXPECT_EQ(work_.all(), Texts({"old"}));
  });
  EXPECT_LT(clock_.now() - start, 1h);
}

TEST_P(JournalTest, a_perform_that_returns_an_error_is_repeated_after_the_retry_interval) {
  work_.fail_next = 2;
  with_journal(options(), [&](Journal& journal) -> Task<void> {
    auto one = co_await pushed(journal, "one");
    EXPECT_TRUE(co_await one.sync());
  });
  ASSERT_EQ(work_.batches.size(), 3u);
  EXPECT_EQ(work_.times[1] - work_.times[0], 5s);
  EXPECT_EQ(work_.times[2] - work_.times[1], 5s);
  EXPECT_EQ(work_.batches[2], Texts({"one"}));
}

TEST_P(JournalTest, a_perform_that_throws_is_repeated_after_the_retry_interval) {
  work_.throw_next = 1;
  auto quick = options();
  quick.retry_interval = 200ms;
  with_journal(std::move(quick), [&](Journal& journal) -> Task<void> {
    auto one = co_await pushed(journal, "one");
    EXPECT_TRUE(co_await one.sync());
    EXPECT_EQ(journal.statistics().failures, 1u);
  });
  ASSERT_EQ(work_.batches.size(), 2u);
  EXPECT_EQ(work_.times[1] - work_.times[0], 200ms);
}

TEST_P(JournalTest, no_later_item_overtakes_one_that_fails) {
  work_.fail_next = 1;
  with_journal(options(), [&](Journal& journal) -> Task<void> {
    co_await pushed(journal, "first");
    EXPECT_TRUE(co_await sleep_for(clock_, 1s));
    auto second = co_await pushed(journal, "second");
    EXPECT_TRUE(co_await second.sync());
  });
  EXPECT_EQ(work_.batches.front(), Texts({"first"}));
  ASSERT_GE(work_.batches.size(), 2u);
  EXPECT_EQ(work_.batches[1].front(), "first");
  EXPECT_EQ(work_.all().back(), "second");
}

TEST_P(JournalTest, items_gather_for_the_flush_interval) {
  auto gathering = options();
  gathering.flush_interval = 100ms;
  const auto start = clock_.now();
  with_journal(std::move(gathering), [&](Journal& journal) -> Task<void> {
    for (int i = 0; i < 5; ++i) {
      co_await pushed(journal, "x");
      EXPECT_TRUE(co_await sleep_for(clock_, 10ms));
    }
    EXPECT_TRUE(work_.batches.empty());
    EXPECT_TRUE(co_await sleep_for(clock_, 100ms));
    EXPECT_EQ(work_.batches.size(), 1u);
  });
  ASSERT_FALSE(work_.times.empty());
  EXPECT_GE(work_.times.front() - start, 100ms);
}

TEST_P(JournalTest, pushing_steadily_does_not_put_performing_off) {
  auto gathering = options();
  gathering.flush_interval = 100ms;
  with_journal(std::move(gathering), [&](Journal& journal) -> Task<void> {
    for (int i = 0; i < 100; ++i) {
      co_await pushed(journal, "x");
      EXPECT_TRUE(co_await sleep_for(clock_, 20ms));  // always within the interval
    }
    EXPECT_GE(work_.batches.size(), 10u) << "2 s of pushing, and nothing in between";
  });
}

TEST_P(JournalTest, flush_ends_the_interval_now) {
  auto gathering = options();
  gathering.flush_interval = 1h;
  const auto start = clock_.now();
  with_journal(std::move(gathering), [&](Journal& journal) -> Task<void> {
    auto one = co_await pushed(journal, "one");
    one.flush();
    EXPECT_TRUE(co_await one.sync());
    EXPECT_LT(clock_.now() - start, 1s);
  });
}

TEST_P(JournalTest, a_full_journal_performs_at_once_and_push_waits_for_room) {
  auto gathering = options();
  gathering.flush_interval = 1h;
  const auto start = clock_.now();
  const std::string large(20'000, 'x');
  with_journal(std::move(gathering), [&](Journal& journal) -> Task<void> {
    for (int i = 0; i < 40; ++i) co_await pushed(journal, large);  // more than the ring holds
    EXPECT_LT(clock_.now() - start, 1h);
  });
  EXPECT_EQ(work_.all().size(), 40u);
}

TEST_P(JournalTest, a_full_journal_whose_work_fails_gives_retry_or_timeout_and_not_an_endless_wait) {
  work_.fail_next = 1'000'000;
  const std::string large(20'000, 'x');
  with_journal(options(), [&](Journal& journal) -> Task<void> {
    Result<Journal::Waiter> waiter = fail(ErrorKind::internal, "");
    int count = 0;
    do {
      waiter = co_await journal.push(large, kNoWait);
    } while (waiter && ++count < 100);
    EXPECT_FALSE(waiter);
    EXPECT_EQ(kind_of(waiter), ErrorKind::retry);
    EXPECT_GE(count, 5);
    const auto late = co_await journal.push(large, clock_.after(1s));
    EXPECT_EQ(kind_of(late), ErrorKind::timeout);
  });
}

TEST_P(JournalTest, an_operation_that_can_never_fit_is_refused_and_harms_nobody) {
  with_journal(options(), [&](Journal& journal) -> Task<void> {
    const std::string huge(1u << 20, 'x');
    const auto refused = co_await journal.push(huge);
    EXPECT_FALSE(refused);
    EXPECT_NE(kind_of(refused), ErrorKind::retry);
    auto one = co_await pushed(journal, "one");
    EXPECT_TRUE(co_await one.sync());
  });
  EXPECT_EQ(work_.all(), Texts({"one"}));
}

TEST_P(JournalTest, sync_past_its_deadline_says_timeout_and_can_be_repeated) {
  work_.fail_next = 1;
  with_journal(options(), [&](Journal& journal) -> Task<void> {
    auto one = co_await pushed(journal, "one");
    EXPECT_EQ(kind_of(co_await one.sync(clock_.after(1s))), ErrorKind::timeout);
    EXPECT_TRUE(co_await one.sync());
    EXPECT_TRUE(co_await one.sync()) << "already performed";
  });
}

TEST_P(JournalTest, shutdown_performs_what_waits_and_refuses_what_comes_later) {
  auto gathering = options();
  gathering.flush_interval = 1h;
  with_journal(std::move(gathering), [&](Journal& journal) -> Task<void> {
    auto one = co_await pushed(journal, "one");
    EXPECT_TRUE(co_await journal.shutdown());
    EXPECT_EQ(work_.all(), Texts({"one"}));
    EXPECT_TRUE(co_await one.sync());
    EXPECT_EQ(kind_of(co_await journal.push("late")), ErrorKind::closed);
    EXPECT_TRUE(co_await journal.shutdown()) << "a second time";
  });
}

TEST_P(JournalTest, shutdown_while_perform_fails_ends_soon_and_loses_nothing) {
  work_.fail_next = 1'000'000;
  const auto start = clock_.now();
  with_journal(options(), [&](Journal& journal) -> Task<void> {
    auto one = co_await pushed(journal, "one");
    EXPECT_TRUE(co_await sleep_for(clock_, 1s));
    EXPECT_TRUE(co_await journal.shutdown());
    EXPECT_EQ(kind_of(co_await one.sync()), ErrorKind::closed);
  });
  EXPECT_LT(clock_.now() - start, 5s) << "it waited for the retry interval";
  work_ = {};
  with_journal(options(), [&](Journal& journal) -> Task<void> {
    auto two = co_await pushed(journal, "two");
    EXPECT_TRUE(co_await two.sync());
  });
  EXPECT_EQ(work_.all(), Texts({"one", "two"}));
}

TEST_P(JournalTest, shutdown_waits_for_the_perform_under_way) {
  work_.blocked.emplace();
  bool over = false;
  with_journal(options(), [&](Journal& journal) -> Task<void> {
    co_await pushed(journal, "one");
    EXPECT_TRUE(co_await sleep_for(clock_, 10ms));
    EXPECT_EQ(work_.batches.size(), 1u);
    asio::co_spawn(
        co_await asio::this_coro::executor,
        [&]() -> Task<void> {
          EXPECT_TRUE(co_await journal.shutdown());
          over = true;
        },
        asio::detached);
    EXPECT_TRUE(co_await sleep_for(clock_, 1s));
    EXPECT_FALSE(over);
    work_.blocked->set({});
    EXPECT_TRUE(co_await sleep_for(clock_, 1s));
    EXPECT_TRUE(over);
  });
}

TEST_P(JournalTest, a_device_that_fails_ends_the_journal_with_its_error_for_everybody) {
  work_.blocked.emplace();
  with_journal(options(), [&](Journal& journal) -> Task<void> {
    auto waiting = co_await pushed(journal, "waits");
    std::optional<Status> synced;
    asio::co_spawn(
        co_await asio::this_coro::executor,
        [&]() -> Task<void> { synced = co_await waiting.sync(); }, asio::detached);
    EXPECT_TRUE(co_await sleep_for(clock_, 1ms));
    disk_.fail_flush(1, semper::testing::FlushFault::io_error);
    EXPECT_EQ(kind_of(co_await journal.push("lost")), ErrorKind::io);
    EXPECT_EQ(kind_of(co_await journal.push("later")), ErrorKind::io);
    EXPECT_TRUE(co_await sleep_for(clock_, 1ms));
    EXPECT_TRUE(synced.has_value()) << "a waiter was left behind";
    if (synced) {
      EXPECT_EQ(kind_of(*synced), ErrorKind::io);
    }
    EXPECT_EQ(kind_of(journal.status()), ErrorKind::io);
    work_.blocked->set({});
    EXPECT_EQ(kind_of(co_await journal.shutdown()), ErrorKind::io);
  });
}

TEST_P(JournalTest, a_device_with_something_else_on_it_is_refused_and_left_alone) {
  disk_.overwrite(0, "a file system, or a letter to a friend");
  const Bytes before = disk_.contents(0, 64u << 10);
  auto device = disk_.open();
  const auto started = simulated_run(clock_, [&]() -> Async<bool> {
    auto journal = co_await Journal::start(*device, perform(), options());
    if (journal) co_await journal->shutdown();
    if (!journal) co_return fail(journal.error());
    co_return true;
  }());
  EXPECT_FALSE(started);
  EXPECT_EQ(disk_.contents(0, 64u << 10), before);
}

TEST_P(JournalTest, after_a_power_loss_at_any_moment_everything_acknowledged_is_performed_in_order) {
  for (std::uint64_t round = 0; round < 60; ++round) {
    SimulatedDisk disk({.size = 128u << 10, .sector_size = 512}, env_);
    Texts acknowledged;
    work_ = {};
    const int count = 1 + static_cast<int>(random_.below(12));
    work_.fail_next = static_cast<int>(random_.below(3));
    const bool is_semper = GetParam() == Format::semper_1;
    std::optional<SimulatedDisk> image;
    auto device = disk.open();
    simulated_run(clock_, [&]() -> Task<void> {
      auto journal = co_await Journal::start(*device, perform(), options());
      EXPECT_TRUE(journal);
      for (int i = 0; i < count; ++i) {
        const std::string text = std::to_string(round) + "/" + std::to_string(i);
        if (i == count - 1 && random_.below(2) == 0) {
          disk.fail_write(1 + random_.below(3), semper::testing::WriteFault::io_error);
        }
        const auto waiter = co_await journal->push(text);
        if (!waiter) break;
        acknowledged.push_back(text);
        if (random_.below(3) == 0) {
          EXPECT_TRUE(co_await sleep_for(clock_, 1s));
        }
      }
      // What the platter would hold if the power went now.
      std::vector<SectorFate> fates;
      for (std::size_t i = 0; i < disk.unsynced().size(); ++i) {
        // Nothing in mirage-1.0 tells garbage from data.
        fates.push_back(static_cast<SectorFate>(random_.below(is_semper ? 3 : 2)));
      }
      image = disk.crash_image(disk.interval(), fates);
      disk.power_cycle();
      co_await journal->shutdown();
    }());
    const Texts before = work_.all();
    work_ = {};
    auto again = image->open();
    simulated_run(clock_, [&]() -> Task<void> {
      auto journal = co_await Journal::start(*again, perform(), options());
      EXPECT_TRUE(journal) << journal.error().to_string();
      if (!journal) co_return;
      EXPECT_TRUE(co_await sleep_for(clock_, 1min));
      co_await journal->shutdown();
    }());
    // In order, with repetitions only of a stretch that begins anew.
    Texts seen = before;
    const Texts after = work_.all();
    seen.insert(seen.end(), after.begin(), after.end());
    std::size_t next = 0;
    for (const auto& text : seen) {
      const auto number = std::stoul(text.substr(text.find('/') + 1));
      ASSERT_LE(number, next) << "round " << round << ": " << text << " overtook another";
      next = std::max<std::size_t>(next, number + 1);
    }
    ASSERT_GE(next, acknowledged.size()) << "round " << round << ": an acknowledged one is missing";
  }
}

}  // namespace
}  // namespace semper::ring::testing
