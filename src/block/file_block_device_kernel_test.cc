// What a file device does when the kernel says "not now", "not any more", or "no more threads".
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstddef>

#include "env/sanitizer_test_support.h"
#include "file_device_internal.h"
#include "file_worlds_test_support.h"

namespace semper::testing {
namespace {

using ::testing::HasSubstr;

std::atomic<int> refusals = 0;
std::atomic<int> refused_with = 0;
std::atomic<int> calls_made = 0;

bool refuses() {
  ++calls_made;
  if (refusals.fetch_sub(1) <= 0) return false;
  errno = refused_with.load();
  return true;
}
ssize_t impatient_preadv(int descriptor, const iovec* parts, int count, off_t offset) {
  return refuses() ? -1 : ::preadv(descriptor, parts, count, offset);
}
ssize_t impatient_pwritev(int descriptor, const iovec* parts, int count, off_t offset) {
  return refuses() ? -1 : ::pwritev(descriptor, parts, count, offset);
}
int impatient_fdatasync(int descriptor) {
  return refuses() ? -1 : ::fdatasync(descriptor);
}

class KernelThatSaysNotNow : public ::testing::TestWithParam<std::tuple<IoMode, int>> {
 protected:
  void SetUp() override {
    const auto [mode, error] = GetParam();
    refused_with = error;
    refusals = 0;
    calls_made = 0;
    auto opened = semper::internal::open_block_device_with(world_.path(), {.mode = mode}, calls_);
    ASSERT_TRUE(opened) << opened.error().to_string();
    device_ = std::move(*opened);
  }

  FileWorld world_{{}};
  const semper::internal::IoCalls calls_{impatient_preadv, impatient_pwritev, impatient_fdatasync};
  std::unique_ptr<BlockDevice> device_;
};

INSTANTIATE_TEST_SUITE_P(, KernelThatSaysNotNow,
                         ::testing::Combine(::testing::Values(IoMode::threads,
                                                              IoMode::inline_blocking),
                                            ::testing::Values(EINTR, EAGAIN)));

TEST_P(KernelThatSaysNotNow, is_asked_again_for_reads_writes_and_flushes) {
  const auto bytes = pattern(4096, 1);
  AlignedBuffer back(4096);
  for (int operation = 0; operation < 3; ++operation) {
    refusals = 3;
    const auto status = operation == 0   ? run_on_a_scheduler(device_->write(0, bytes.span()))
                        : operation == 1 ? run_on_a_scheduler(device_->flush())
                                         : run_on_a_scheduler(device_->read(0, back.span()));
    EXPECT_TRUE(status) << operation << ": " << status.error().to_string();
    EXPECT_LT(refusals.load(), 0) << "it was refused three times and asked a fourth";
  }
  EXPECT_TRUE(same_bytes(bytes, back));
}

TEST_P(KernelThatSaysNotNow, is_not_asked_for_ever) {
  AlignedBuffer back(4096);
  refusals = 1'000'000;
  const auto status = run_on_a_scheduler(device_->read(0, back.span()));
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().kind(), ErrorKind::io);
  EXPECT_EQ(calls_made.load(), semper::internal::kAttemptsOfOneCall);
  refusals = 0;
  EXPECT_TRUE(run_on_a_scheduler(device_->read(0, back.span())))
      << "a read that failed is not final";
}

// From now on this process is refused one system call.
bool forbid(std::uint32_t system_call, std::uint32_t error) {
  sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, system_call, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog filter{.len = std::size(program), .filter = program};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &filter) == 0;
}

void expect_works(BlockDevice& device) {
  const auto bytes = pattern(4096, 1);
  AlignedBuffer back(4096);
  EXPECT_TRUE(run_on_a_scheduler(device.write(0, bytes.span())));
  EXPECT_TRUE(run_on_a_scheduler(device.write_and_flush(4096, bytes.span())));
  EXPECT_TRUE(run_on_a_scheduler(device.read(0, back.span())));
  EXPECT_TRUE(same_bytes(bytes, back));
}

SEMPER_CHILD(may_make_a_ring_and_not_use_it) {
  if (!forbid(SYS_io_uring_enter, EPERM)) {
    say("no seccomp");
    return;
  }
  const auto refused = open_block_device(child_argument(), {.mode = IoMode::io_uring});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::unsupported);
  auto device = open_block_device(child_argument());
  ASSERT_TRUE(device);
  expect_works(**device);
  say((*device)->description());
}

TEST(FileBlockDeviceKernel, a_ring_that_can_be_made_and_not_used_is_replaced_by_threads) {
  FileWorld world({});
  ChildProcess child("may_make_a_ring_and_not_use_it", world.path());
  const auto said = child.read_line().value_or("");
  EXPECT_EQ(child.wait(), 0);
  if (said == "no seccomp") GTEST_SKIP() << said;
  EXPECT_THAT(said, HasSubstr("threads (io_uring"));
}

SEMPER_CHILD(loses_io_uring_while_it_is_used) {
  auto device = open_block_device(child_argument());
  ASSERT_TRUE(device);
  expect_works(**device);
  if (!forbid(SYS_io_uring_enter, EPERM)) {
    say("no seccomp");
    return;
  }
  expect_works(**device);
  expect_works(**device);
  say("works");
}

TEST(FileBlockDeviceKernel, a_ring_that_is_taken_away_in_use_is_replaced_by_a_thread) {
  FileWorld world({});
  ChildProcess child("loses_io_uring_while_it_is_used", world.path());
  const auto said = child.read_line().value_or("");
  EXPECT_EQ(child.wait(), 0);
  if (said == "no seccomp") GTEST_SKIP() << said;
  EXPECT_EQ(said, "works");
}

SEMPER_CHILD(may_start_no_thread) {
  if (!forbid(SYS_clone3, EAGAIN) || !forbid(SYS_clone, EAGAIN)) {
    say("no seccomp");
    return;
  }
  for (const IoMode mode : {IoMode::automatic, IoMode::io_uring, IoMode::threads}) {
    const auto refused = open_block_device(child_argument(), {.mode = mode});
    ASSERT_FALSE(refused);
    if (mode != IoMode::io_uring) {
      EXPECT_EQ(refused.error().kind(), ErrorKind::exhausted);
    }
    EXPECT_THAT(refused.error().message(), HasSubstr("thread"));
  }
  auto device = open_block_device(child_argument(), {.mode = IoMode::inline_blocking});
  ASSERT_TRUE(device);
  DeviceCompanion& companion = *(*device)->companion();
  const auto role = companion.take(0);
  EXPECT_TRUE(role);
  say("refused");
}

TEST(FileBlockDeviceKernel, where_no_thread_can_be_started_opening_is_refused_with_a_way_out) {
  FileWorld world({});
  ChildProcess child("may_start_no_thread", world.path());
  const auto said = child.read_line().value_or("");
  const int code = child.wait();
  if (said == "no seccomp") GTEST_SKIP() << said;
  EXPECT_EQ(said, "refused");
  // The search for leaks wants a thread, and fails without.
  if (!kSanitized) {
    EXPECT_EQ(code, 0);
  }
}

}  // namespace
}  // namespace semper::testing
