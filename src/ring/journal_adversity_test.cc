// A journal that is dropped, whose loop is gone, whose disk is full, whose callers are unequal: in
// simulated time, on both formats.
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "ring_test_support.h"
#include "semper/ring/journal.h"
#include "semper/testing/seed.h"
#include "semper/testing/simulated_disk.h"

namespace semper::ring::testing {
namespace {

using namespace std::chrono_literals;
using semper::testing::simulated_run;
using semper::testing::SimulatedClock;
using semper::testing::SimulatedDisk;
using semper::testing::WriteFault;
using Texts = std::vector<std::string>;

class JournalAdversityTest : public ::testing::TestWithParam<Format> {
 protected:
  JournalOptions options() {
    JournalOptions options;
    options.format = GetParam();
    options.ring.memory_bytes = std::size_t{1} << 20;
    options.ring.env = env_;
    return options;
  }

  Journal::Perform perform() {
    return [this](const std::vector<Item>& items) -> Async<void> {
      ++performs_;
      auto gate = blocked_;
      if (gate) static_cast<void>(co_await gate->wait());
      for (const auto& item : items) {
        if (item.bytes == bad_) co_return fail(ErrorKind::io, "not this one");
      }
      if (takes_ != Duration::zero()) co_await sleep_for(clock_, takes_);
      for (const auto& item : items) performed_.push_back(item.bytes);
      co_return Status{};
    };
  }

  Async<Journal> start(BlockDevice& device, JournalOptions options) {
    auto journal = co_await Journal::start(device, perform(), std::move(options));
    EXPECT_TRUE(journal) << journal.error().to_string();
    co_return std::move(journal);
  }

  static Task<void> push(Journal& journal, std::string text, std::optional<Journal::Waiter>& out) {
    auto waiter = co_await journal.push(text);
    EXPECT_TRUE(waiter) << waiter.error().to_string();
    if (waiter) out.emplace(*waiter);
  }

  static Task<void> shut_down(Journal& journal, std::optional<Status>& out) {
    out.emplace(co_await journal.shutdown());
  }

  // Everything that is left is performed, by a journal of its own.
  void perform_the_rest() {
    auto device = disk_.open();
    simulated_run(clock_, [&]() -> Task<void> {
      auto journal = co_await start(*device, options());
      if (!journal) co_return;
      EXPECT_TRUE(co_await journal->replayed(clock_.after(1min)));
      EXPECT_TRUE(co_await journal->shutdown());
    }());
  }

  SimulatedClock clock_;
  SeededRandom random_{semper::testing::test_seed()};
  Env env_{&clock_, &random_};
  SimulatedDisk disk_{{.size = 256u << 10, .sector_size = 512}, env_};
  std::optional<OneShot<std::monostate>> blocked_;
  Duration takes_ = Duration::zero();
  std::string bad_ = "never";
  Texts performed_;
  int performs_ = 0;
};

INSTANTIATE_TEST_SUITE_P(On, JournalAdversityTest,
                         ::testing::Values(Format::semper_1, Format::mirage_1_0),
                         [](const auto& param) {
                           return param.param == Format::semper_1 ? "semper" : "mirage";
                         });

TEST_P(JournalAdversityTest, destroyed_without_shutdown_it_leaves_its_work_to_the_next_start) {
  auto device = disk_.open();
  simulated_run(clock_, [&]() -> Task<void> {
    auto slow = options();
    slow.flush_interval = 1h;
    std::optional<Journal::Waiter> one;
    {
      auto journal = co_await start(*device, slow);
      if (!journal) co_return;
      EXPECT_TRUE(co_await sleep_for(clock_, 1s));
      co_await push(*journal, "one", one);
    }
    if (!one) co_return;
    EXPECT_EQ(kind_of(co_await one->sync()), ErrorKind::closed);
    auto next = co_await start(*device, options());
    if (!next) co_return;
    EXPECT_TRUE(co_await next->replayed());
    EXPECT_TRUE(co_await next->shutdown());
  }());
  EXPECT_EQ(performed_, Texts({"one"}));
}

TEST_P(JournalAdversityTest, destroyed_while_it_performs_it_waits_for_nothing_and_records_nothing) {
  auto device = disk_.open();
  auto first = blocked_.emplace();
  simulated_run(clock_, [&]() -> Task<void> {
    std::optional<Journal::Waiter> one;
    {
      auto journal = co_await start(*device, options());
      if (!journal) co_return;
      co_await push(*journal, "one", one);
      EXPECT_TRUE(co_await sleep_for(clock_, 1s));
      EXPECT_EQ(performs_, 1);
    }
    blocked_.reset();
    auto next = co_await start(*device, options());
    if (!next) co_return;
    EXPECT_TRUE(co_await next->replayed());
    EXPECT_EQ(performed_, Texts({"one"}));
    first.set({});
    EXPECT_TRUE(co_await sleep_for(clock_, 1s));
    EXPECT_TRUE(co_await next->shutdown());
  }());
  EXPECT_EQ(performed_, Texts({"one", "one"}));
  perform_the_rest();
  EXPECT_EQ(performed_.size(), 2u);
}

TEST_P(JournalAdversityTest, one_whose_loop_is_gone_says_so_and_lets_the_ring_go) {
  auto device = disk_.open();
  std::optional<Journal> journal;
  std::optional<Journal::Waiter> one;
  simulated_run(clock_, [&]() -> Task<void> {
    auto slow = options();
    slow.flush_interval = 1h;
    auto started = co_await start(*device, slow);
    if (!started) co_return;
    EXPECT_TRUE(co_await sleep_for(clock_, 1s));
    co_await push(*started, "one", one);
    journal.emplace(std::move(*started));
  }());
  ASSERT_TRUE(journal && one);
  EXPECT_EQ(kind_of(simulated_run(clock_, one->sync())), ErrorKind::closed);
  EXPECT_EQ(kind_of(simulated_run(clock_, journal->push("two"))), ErrorKind::closed);
  EXPECT_EQ(kind_of(simulated_run(clock_, journal->shutdown())), ErrorKind::closed);
  perform_the_rest();
  EXPECT_EQ(performed_, Texts({"one"}));
  journal.reset();
}

TEST_P(JournalAdversityTest, a_shutdown_past_its_deadline_goes_on_and_can_be_waited_for_again) {
  auto device = disk_.open();
  auto gate = blocked_.emplace();
  simulated_run(clock_, [&]() -> Task<void> {
    auto journal = co_await start(*device, options());
    if (!journal) co_return;
    std::optional<Journal::Waiter> one;
    co_await push(*journal, "one", one);
    EXPECT_TRUE(co_await sleep_for(clock_, 1s));
    EXPECT_EQ(kind_of(co_await journal->shutdown(clock_.after(1s))), ErrorKind::timeout);
    EXPECT_EQ(kind_of(co_await journal->shutdown(kNoWait)), ErrorKind::timeout);
    gate.set({});
    EXPECT_TRUE(co_await journal->shutdown(clock_.after(1s)));
    EXPECT_TRUE(co_await journal->shutdown(kNoWait)) << "it has ended";
    EXPECT_TRUE(co_await one->sync());
  }());
}

TEST_P(JournalAdversityTest, a_cancelled_shutdown_poisons_no_other) {
  auto device = disk_.open();
  auto gate = blocked_.emplace();
  simulated_run(clock_, [&]() -> Task<void> {
    const auto executor = co_await asio::this_coro::executor;
    auto journal = co_await start(*device, options());
    if (!journal) co_return;
    std::optional<Journal::Waiter> one;
    co_await push(*journal, "one", one);
    EXPECT_TRUE(co_await sleep_for(clock_, 1s));
    asio::cancellation_signal signal;
    std::optional<Status> cancelled;
    std::optional<Status> together;
    asio::co_spawn(executor, shut_down(*journal, cancelled),
                   asio::bind_cancellation_slot(signal.slot(), asio::detached));
    asio::co_spawn(executor, shut_down(*journal, together), asio::detached);
    EXPECT_TRUE(co_await sleep_for(clock_, 1s));
    signal.emit(asio::cancellation_type::terminal);
    EXPECT_TRUE(co_await sleep_for(clock_, 1s));
    EXPECT_TRUE(cancelled && kind_of(*cancelled) == ErrorKind::cancelled);
    EXPECT_FALSE(together.has_value());
    gate.set({});
    EXPECT_TRUE(co_await journal->shutdown());
    EXPECT_TRUE(co_await sleep_for(clock_, 1s));
    EXPECT_TRUE(together && together->has_value()) << "two at once";
  }());
  EXPECT_EQ(performed_, Texts({"one"}));
}

TEST_P(JournalAdversityTest, after_a_full_disk_the_first_push_that_finds_room_succeeds) {
  auto device = disk_.open();
  simulated_run(clock_, [&]() -> Task<void> {
    auto journal = co_await start(*device, options());
    if (!journal) co_return;
    std::optional<Journal::Waiter> one;
    co_await push(*journal, "before", one);
    EXPECT_TRUE(co_await sleep_for(clock_, 1s));
    semper::testing::DiskFaults full;
    full.write_no_room = 1;
    disk_.set_faults(full);
    for (int i = 0; i < 3; ++i) {
      EXPECT_EQ(kind_of(co_await journal->push("lost")), ErrorKind::exhausted);
      EXPECT_EQ(kind_of(journal->status()), ErrorKind::exhausted) << "status hides it";
      EXPECT_TRUE(co_await sleep_for(clock_, 7s));
    }
    disk_.set_faults({});
    std::optional<Journal::Waiter> after;
    co_await push(*journal, "after", after);
    if (!after) co_return;
    EXPECT_TRUE(co_await after->sync(clock_.after(1min)));
    EXPECT_TRUE(co_await sleep_for(clock_, 1min));
    EXPECT_TRUE(journal->status()) << journal->status().error().to_string();
    EXPECT_TRUE(co_await journal->shutdown());
  }());
  ASSERT_FALSE(performed_.empty());
  EXPECT_EQ(performed_.front(), "before");
  EXPECT_EQ(performed_.back(), "after");
}

TEST_P(JournalAdversityTest, a_removal_that_found_the_disk_full_is_repeated_and_its_work_is_not) {
  auto device = disk_.open();
  simulated_run(clock_, [&]() -> Task<void> {
    auto journal = co_await start(*device, options());
    if (!journal) co_return;
    auto gate = blocked_.emplace();
    std::optional<Journal::Waiter> one;
    co_await push(*journal, "one", one);
    EXPECT_TRUE(co_await sleep_for(clock_, 1s));
    disk_.fail_write(1, WriteFault::no_room);
    gate.set({});
    blocked_.reset();
    EXPECT_TRUE(co_await sleep_for(clock_, 1s));
    EXPECT_EQ(kind_of(journal->status()), ErrorKind::exhausted);
    EXPECT_TRUE(co_await sleep_for(clock_, 1min));
    EXPECT_TRUE(journal->status()) << journal->status().error().to_string();
    std::optional<Journal::Waiter> two;
    co_await push(*journal, "two", two);
    if (!two) co_return;
    EXPECT_TRUE(co_await two->sync(clock_.after(1min)));
    EXPECT_TRUE(co_await journal->shutdown());
  }());
  EXPECT_EQ(performed_, Texts({"one", "two"}));
}

TEST_P(JournalAdversityTest, a_large_push_is_not_overtaken_by_small_ones_that_came_later) {
  auto device = disk_.open();
  takes_ = 10ms;
  simulated_run(clock_, [&]() -> Task<void> {
    const auto executor = co_await asio::this_coro::executor;
    auto single = options();
    single.batch.max_items = 1;
    auto journal = co_await start(*device, single);
    if (!journal) co_return;
    bool stop = false;
    auto pusher = [&]() -> Task<void> {
      const std::string small(30'000, 's');
      while (!stop) {
        const auto pushed = co_await journal->push(small);
        EXPECT_TRUE(pushed) << pushed.error().to_string();
      }
    };
    auto impatient = [&]() -> Task<void> {
      const std::string small(30'000, 's');
      while (!stop) {
        const auto pushed = co_await journal->push(small, kNoWait);
        EXPECT_TRUE(pushed || kind_of(pushed) == ErrorKind::retry);
        EXPECT_TRUE(co_await sleep_for(clock_, 1ms));
      }
    };
    for (int i = 0; i < 6; ++i) asio::co_spawn(executor, pusher(), asio::detached);
    for (int i = 0; i < 6; ++i) asio::co_spawn(executor, impatient(), asio::detached);
    EXPECT_TRUE(co_await sleep_for(clock_, 1s));
    const std::string large(150'000, 'L');
    const auto pushed = co_await journal->push(large, clock_.after(5s));
    EXPECT_TRUE(pushed) << pushed.error().to_string();
    EXPECT_EQ(kind_of(co_await journal->push(large, kNoWait)), ErrorKind::retry);
    stop = true;
    EXPECT_TRUE(co_await sleep_for(clock_, 10s));
    EXPECT_TRUE(co_await journal->shutdown());
  }());
}

TEST_P(JournalAdversityTest, sync_does_not_wait_for_what_was_pushed_at_the_same_time) {
  auto device = disk_.open();
  bad_ = "two";
  simulated_run(clock_, [&]() -> Task<void> {
    const auto executor = co_await asio::this_coro::executor;
    auto single = options();
    single.batch.max_items = 1;
    auto journal = co_await start(*device, single);
    if (!journal) co_return;
    std::optional<Journal::Waiter> one;
    std::optional<Journal::Waiter> two;
    asio::co_spawn(executor, push(*journal, "one", one), asio::detached);
    asio::co_spawn(executor, push(*journal, "two", two), asio::detached);
    EXPECT_TRUE(co_await sleep_for(clock_, 1s));
    EXPECT_TRUE(one && two);
    if (!one || !two) co_return;
    EXPECT_LT(one->position(), two->position());
    EXPECT_TRUE(co_await one->sync(clock_.after(1s)));
    EXPECT_EQ(kind_of(co_await two->sync(clock_.after(1s))), ErrorKind::timeout);
    EXPECT_TRUE(co_await journal->shutdown());
  }());
}

TEST_P(JournalAdversityTest, one_that_cannot_be_performed_does_not_keep_those_before_it_back) {
  auto device = disk_.open();
  bad_ = "bad";
  const Texts all = {"1", "2", "3", "4", "5", "bad", "7"};
  simulated_run(clock_, [&]() -> Task<void> {
    auto gathering = options();
    gathering.flush_interval = 1h;
    auto journal = co_await start(*device, gathering);
    if (!journal) co_return;
    EXPECT_TRUE(co_await sleep_for(clock_, 1s));
    std::optional<Journal::Waiter> last;
    for (const auto& text : all) co_await push(*journal, text, last);
    if (!last) co_return;
    last->flush();
    EXPECT_TRUE(co_await sleep_for(clock_, 1min));
    EXPECT_EQ(performed_, Texts(all.begin(), all.begin() + 5));
    EXPECT_EQ(journal->statistics().performed, 5u);
    bad_ = "never";
    EXPECT_TRUE(co_await last->sync(clock_.after(1min)));
    EXPECT_TRUE(co_await journal->shutdown());
  }());
  EXPECT_EQ(performed_, all);
}

TEST_P(JournalAdversityTest, replayed_waits_for_what_was_there_and_for_nothing_new) {
  auto device = disk_.open();
  simulated_run(clock_, [&]() -> Task<void> {
    auto slow = options();
    slow.flush_interval = 1h;
    {
      auto journal = co_await start(*device, slow);
      if (!journal) co_return;
      EXPECT_TRUE(co_await journal->replayed(kNoWait)) << "nothing was there";
      EXPECT_TRUE(co_await sleep_for(clock_, 1s));
      std::optional<Journal::Waiter> old;
      co_await push(*journal, "old", old);
    }
    takes_ = 10s;
    auto journal = co_await start(*device, slow);
    if (!journal) co_return;
    EXPECT_EQ(kind_of(co_await journal->replayed(clock_.after(1s))), ErrorKind::timeout);
    std::optional<Journal::Waiter> fresh;
    co_await push(*journal, "new", fresh);
    EXPECT_TRUE(co_await journal->replayed(clock_.after(1min)));
    EXPECT_EQ(performed_.front(), "old");
    EXPECT_TRUE(co_await journal->shutdown());
  }());
}

}  // namespace
}  // namespace semper::ring::testing
