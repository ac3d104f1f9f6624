// A forked child and the rings of its parent.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <optional>

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
