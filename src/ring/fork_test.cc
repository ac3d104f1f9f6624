// A forked child and the rings of its parent.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "env/sanitizer_test_support.h"
#include "ring_test_support.h"
#include "semper/env/scheduler.h"
#include "semper/ring/journal.h"

namespace semper::ring {
namespace {

using testing::kind_of;

// How many of the child's calls went another way than they must.
template <class Work>
int failures_in_child(Work work) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(60);  // what hangs must not hang the test
    ::_exit(work());
  }
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

TEST(RingFork, a_child_gets_an_error_from_its_parents_ring_and_the_parent_goes_on) {
  SEMPER_FORKS_BESIDE_THREADS();
  const auto disk = testing::file_disk(1 << 20, IoMode::automatic);
  auto device = disk.open();
  auto consumer_device = disk.open();
  Scheduler scheduler;
  const CreateOptions create_options;
  ASSERT_OK(scheduler.block_on(create(*device, create_options)));
  const AttachOptions options;
  auto producer = scheduler.block_on(Producer::attach(*device, options));
  ASSERT_OK(producer);
  auto consumer = scheduler.block_on(Consumer::attach(*consumer_device, options));
  ASSERT_OK(consumer);
  ASSERT_OK(scheduler.block_on(producer->publish("one")));
  const int failures = failures_in_child([&] {
    Scheduler own;
    int wrong = 0;
    const auto expect = [&](ErrorKind kind, ErrorKind expected) { wrong += kind != expected; };
    expect(kind_of(own.block_on(producer->publish("child"))), ErrorKind::unsupported);
    expect(kind_of(own.block_on(producer->push("child", kNever))), ErrorKind::unsupported);
    expect(kind_of(own.block_on(producer->state())), ErrorKind::unsupported);
    expect(kind_of(own.block_on(producer->detach())), ErrorKind::unsupported);
    expect(kind_of(own.block_on(consumer->pop({}, kNever))), ErrorKind::unsupported);
    expect(kind_of(own.block_on(consumer->detach())), ErrorKind::unsupported);
    auto other = disk.open();
    expect(kind_of(own.block_on(Producer::attach(*other, options))), ErrorKind::conflict);
    return wrong;
  });
  EXPECT_EQ(failures, 0);
  ASSERT_OK(scheduler.block_on(producer->publish("two")));
  const auto items = scheduler.block_on(consumer->pop_many());
  ASSERT_OK(items);
  ASSERT_EQ(items->size(), 2u);
  EXPECT_EQ(items->back().bytes, "two");
}

// Whatever lock one of the parent's threads holds at that moment.
TEST(RingFork, a_child_waits_for_no_lock_of_a_thread_that_it_does_not_have) {
  SEMPER_FORKS_BESIDE_THREADS();
  const MemoryDisk disk({.size = 1 << 20});
  const auto device = disk.open();
  Scheduler scheduler;
  const CreateOptions create_options;
  ASSERT_OK(scheduler.block_on(create(*device, create_options)));
  const AttachOptions options;
  auto producer = scheduler.block_on(Producer::attach(*device, options));
  ASSERT_OK(producer);
  auto consumer = scheduler.block_on(Consumer::attach(*device, options));
  ASSERT_OK(consumer);
  const MemoryDisk journal_disk({.size = 1 << 20});
  const auto journal_device = journal_disk.open();
  const Journal::Perform perform = [](const std::vector<Item>&) -> Async<void> {
    co_return Status{};
  };
  const JournalOptions journal_options;
  auto journal = scheduler.block_on(Journal::start(*journal_device, perform, journal_options));
  ASSERT_OK(journal);
  std::atomic<bool> is_over = false;
  std::vector<std::thread> threads;
  for (int i = 0; i < 2; ++i) {
    threads.emplace_back([&] {
      while (!is_over) {
        static_cast<void>(producer->exposed());
        static_cast<void>(consumer->consumed());
        static_cast<void>(consumer->damage());
        static_cast<void>(journal->status());
        static_cast<void>(journal->statistics());
      }
    });
  }
  threads.emplace_back([&] {  // handles that come and go
    const MemoryDisk own_disk({.size = 1 << 20});
    const auto own = own_disk.open();
    Scheduler here;
    static_cast<void>(here.block_on(create(*own, create_options)));
    while (!is_over) static_cast<void>(here.block_on(Producer::attach(*own, options)));
  });
  int failures = 0;
  for (int i = 0; i < 60 && failures == 0; ++i) {
    failures += failures_in_child([&] {
      ::alarm(10);
      int wrong = producer->exposed() != Position();
      wrong += consumer->consumed() != Position();
      wrong += !consumer->damage().empty();
      wrong += kind_of(journal->status()) != ErrorKind::unsupported;
      wrong += journal->statistics().pushed != 0;
      const Producer gone = std::move(*producer);
      return wrong;
    });
  }
  is_over = true;
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(failures, 0);
  EXPECT_OK(scheduler.block_on(journal->shutdown()));
}

// The memory in which waiters are counted is shared with the parent.
TEST(RingFork, a_child_that_ends_its_parents_loop_takes_nobody_from_the_list_of_waiters) {
  SEMPER_FORKS_BESIDE_THREADS();
  const auto disk = testing::file_disk(1 << 20, IoMode::automatic);
  auto device = disk.open();
  auto producer_device = disk.open();
  Scheduler scheduler;
  const CreateOptions create_options;
  ASSERT_OK(scheduler.block_on(create(*device, create_options)));
  // A clock that stands still: nothing but being told wakes the consumer.
  semper::testing::SimulatedClock clock;
  SeededRandom random(3);
  AttachOptions options;
  options.env = Env{&clock, &random};
  auto producer = scheduler.block_on(Producer::attach(*producer_device, options));
  ASSERT_OK(producer);
  auto consumer = scheduler.block_on(Consumer::attach(*device, options));
  ASSERT_OK(consumer);
  std::optional<Status> popped;
  auto loop = std::make_unique<asio::io_context>(1);
  const auto pop = [&]() -> Task<void> {
    const auto item = co_await consumer->pop({}, kNever);
    popped = item ? Status() : Status(fail(item.error()));
    loop->stop();
  };
  asio::co_spawn(*loop, pop, asio::detached);
  while (loop->run_one_for(std::chrono::milliseconds(200)) != 0) {
  }
  EXPECT_FALSE(popped);
  EXPECT_EQ(failures_in_child([&] {
              loop.reset();
              return 0;
            }),
            0);
  ASSERT_OK(scheduler.block_on(producer->publish("one")));
  loop->restart();
  loop->run_for(std::chrono::seconds(20));
  ASSERT_TRUE(popped) << "nobody told it";
  EXPECT_OK(*popped);
}

TEST(RingFork, a_child_gets_an_error_from_its_parents_journal_and_ends) {
  SEMPER_FORKS_BESIDE_THREADS();
  const auto disk = testing::file_disk(1 << 20, IoMode::automatic);
  auto device = disk.open();
  Scheduler scheduler;
  const Journal::Perform perform = [](const std::vector<Item>&) -> Async<void> {
    co_return Status{};
  };
  const JournalOptions options;
  auto journal = scheduler.block_on(Journal::start(*device, perform, options));
  ASSERT_OK(journal);
  const auto written = scheduler.block_on(journal->push("one"));
  ASSERT_OK(written);
  const int failures = failures_in_child([&] {
    Scheduler own;
    int wrong = 0;
    const auto expect = [&](ErrorKind kind) { wrong += kind != ErrorKind::unsupported; };
    expect(kind_of(own.block_on(journal->push("child"))));
    expect(kind_of(own.block_on(written->sync())));
    expect(kind_of(own.block_on(journal->shutdown())));
    const Journal gone = std::move(*journal);
    return wrong;
  });
  EXPECT_EQ(failures, 0);
  EXPECT_OK(scheduler.block_on(written->sync()));
  EXPECT_OK(scheduler.block_on(journal->shutdown()));
}

}  // namespace
}  // namespace semper::ring
