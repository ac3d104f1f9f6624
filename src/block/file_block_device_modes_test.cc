// What a file device does where io_uring is not allowed, and where nobody waits any more.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <memory>
#include <optional>
#include <semaphore>
#include <thread>

#include "file_device_internal.h"
#include "file_worlds_test_support.h"

namespace semper::testing {
namespace {

using ::testing::HasSubstr;

// From now on this process is refused io_uring, as containers refuse it.
bool forbid_io_uring() {
  sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog filter{.len = std::size(program), .filter = program};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

SEMPER_CHILD(works_without_io_uring) {
  if (!forbid_io_uring()) {
    say("no seccomp");
    return;
  }
  const auto refused = open_block_device(child_argument(), {.mode = IoMode::io_uring});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::unsupported);
  auto device = open_block_device(child_argument());
  ASSERT_TRUE(device);
  const auto bytes = pattern(4096, 1);
  AlignedBuffer back(4096);
  EXPECT_TRUE(run_on_a_scheduler((*device)->write_and_flush(0, bytes.span())));
  EXPECT_TRUE(run_on_a_scheduler((*device)->read(0, back.span())));
  EXPECT_TRUE(same_bytes(bytes, back));
  say((*device)->description());
}

TEST(FileBlockDeviceModes, where_io_uring_is_forbidden_threads_do_it_and_the_description_says_why) {
  FileWorld world({});
  ChildProcess child("works_without_io_uring", world.path());
  const auto said = child.read_line().value_or("");
  EXPECT_EQ(child.wait(), 0);
  if (said == "no seccomp") GTEST_SKIP() << said;
  EXPECT_THAT(said, HasSubstr("threads (io_uring"));
  EXPECT_THAT(said, HasSubstr("not permitted"));
}

std::binary_semaphore flush_may_end{0};
std::atomic<int> hanging_flushes = 0;
int flush_that_waits_and_fails(int) {
  ++hanging_flushes;
  flush_may_end.acquire();
  errno = EIO;
  return -1;
}

TEST(FileBlockDeviceModes,
     a_flush_that_fails_after_its_caller_was_cancelled_is_final_all_the_same) {
  FileWorld world({});
  semper::internal::IoCalls calls = semper::internal::system_io_calls();
  calls.fdatasync = flush_that_waits_and_fails;
  auto device = semper::internal::open_block_device_with(
      world.path(), {.mode = IoMode::threads, .max_threads = 1}, calls);
  ASSERT_TRUE(device);
  asio::io_context context(1);
  asio::cancellation_signal signal;
  std::optional<Status> status;
  AlignedBuffer bytes(4096);
  auto write = [&]() -> Task<void> {
    status = co_await (*device)->write_and_flush(0, bytes.span());
  };
  asio::co_spawn(context, write(), asio::bind_cancellation_slot(signal.slot(), asio::detached));
  context.poll();
  signal.emit(asio::cancellation_type::terminal);
  context.restart();
  context.poll();
  EXPECT_FALSE(status.has_value()) << "an operation ends before its memory does";

  flush_may_end.release();
  context.restart();
  context.run();
  ASSERT_TRUE(status.has_value());
  ASSERT_FALSE(*status);
  EXPECT_EQ(status->error().kind(), ErrorKind::io);
  // The one thread does this after the flush has failed, where it is not refused already.
  static_cast<void>(run_on_a_scheduler((*device)->read(0, bytes.span())));
  const auto refused = run_on_a_scheduler((*device)->flush());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::io);
  EXPECT_THAT(refused.error().message(), HasSubstr("takes nothing more"));
  EXPECT_EQ(hanging_flushes.load(), 1);
}

// A read that has begun and is not let go on. What it writes into must be there until it ends.
std::binary_semaphore read_began{0};
std::binary_semaphore read_may_end{0};
std::atomic<bool> read_ended = false;
ssize_t read_that_waits(int descriptor, const iovec* parts, int count, off_t offset) {
  read_began.release();
  read_may_end.acquire();
  const ssize_t moved = ::preadv(descriptor, parts, count, offset);
  read_ended.store(true);
  return moved;
}

class InterruptedRead : public ::testing::Test {
 protected:
  void SetUp() override {
    read_ended.store(false);
    calls_.preadv = read_that_waits;
    const FileDeviceOptions options{.mode = IoMode::threads, .max_threads = 1};
    auto opened = semper::internal::open_block_device_with(world_.path(), options, calls_);
    ASSERT_TRUE(opened);
    device_ = std::move(*opened);
    asio::co_spawn(*context_, read(), asio::bind_cancellation_slot(signal_.slot(), asio::detached));
    context_->poll();
    read_began.acquire();
  }

  // Its memory is the coroutine's own, as a caller's mostly is.
  Task<void> read() {
    AlignedBuffer memory(4096);
    const auto status = co_await device_->read(0, memory.span());
    ended_ = status.has_value();
  }

  FileWorld world_{{}};
  semper::internal::IoCalls calls_ = semper::internal::system_io_calls();
  std::unique_ptr<BlockDevice> device_;
  std::unique_ptr<asio::io_context> context_ = std::make_unique<asio::io_context>(1);
  asio::cancellation_signal signal_;
  std::atomic<bool> ended_ = false;
};

TEST_F(InterruptedRead, a_read_that_is_cancelled_ends_before_its_memory_does) {
  signal_.emit(asio::cancellation_type::terminal);
  context_->restart();
  context_->poll();
  EXPECT_FALSE(context_->stopped()) << "the coroutine is there as long as the device has its memory";
  EXPECT_FALSE(ended_.load());
  read_may_end.release();
  context_->restart();
  context_->run();
  EXPECT_TRUE(ended_.load());
}

TEST_F(InterruptedRead, a_loop_that_is_destroyed_waits_for_the_memory_of_its_coroutines) {
  std::atomic<bool> destroyed = false;
  bool read_had_ended = false;
  std::thread destroyer([&] {
    context_.reset();
    read_had_ended = read_ended.load();
    destroyed.store(true);
  });
  // The engine is inside preadv and stays there; a destructor that does not wait is through
  // meanwhile.
  for (int turn = 0; turn < 10'000 && !destroyed.load(); ++turn) std::this_thread::yield();
  EXPECT_FALSE(destroyed.load());
  read_may_end.release();
  destroyer.join();
  EXPECT_TRUE(read_had_ended);
  EXPECT_FALSE(ended_.load()) << "its caller was gone";
}

}  // namespace
}  // namespace semper::testing
