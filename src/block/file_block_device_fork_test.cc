// A forked child and the devices of its parent.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <memory>
#include <thread>

#include "env/sanitizer_test_support.h"
#include "file_worlds_test_support.h"

namespace semper::testing {
namespace {

// Runs `work` in a forked child, which then lives until it is told to go. It says how often an
// expectation failed there.
class ForkedChild {
 public:
  template <class Work>
  explicit ForkedChild(Work work) {
    int up[2];
    int down[2];
    if (::pipe2(up, O_CLOEXEC) != 0 || ::pipe2(down, O_CLOEXEC) != 0) std::abort();
    pid_ = ::fork();
    if (pid_ == 0) {
      ::alarm(60);  // it must not outlive a test that fails
      ::close(up[0]);
      ::close(down[1]);
      const char failures = work();
      char byte = 0;
      if (::write(up[1], &failures, 1) != 1 || ::read(down[0], &byte, 1) < 0) ::_exit(9);
      ::_exit(0);
    }
    ::close(up[1]);
    ::close(down[0]);
    char failures = 99;
    EXPECT_EQ(::read(up[0], &failures, 1), 1);
    EXPECT_EQ(failures, 0);
    ::close(up[0]);
    to_child_ = down[1];
  }
  ~ForkedChild() {
    ::close(to_child_);
    int status = 0;
    EXPECT_EQ(::waitpid(pid_, &status, 0), pid_);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  }

 private:
  pid_t pid_ = -1;
  int to_child_ = -1;
};

class FileBlockDeviceFork : public ::testing::TestWithParam<IoMode> {
 protected:
  void SetUp() override { device_ = open(); }

  std::unique_ptr<BlockDevice> open() {
    auto opened = open_block_device(world_.path(), {.mode = GetParam()});
    EXPECT_TRUE(opened) << opened.error().to_string();
    return std::move(*opened);
  }

  FileWorld world_{{}};
  std::unique_ptr<BlockDevice> device_;
};

INSTANTIATE_TEST_SUITE_P(, FileBlockDeviceFork,
                         ::testing::Values(IoMode::automatic, IoMode::threads,
                                           IoMode::inline_blocking));

TEST_P(FileBlockDeviceFork, what_the_parent_opened_gives_an_error_in_the_child_and_ends_at_once) {
  SEMPER_FORKS_BESIDE_THREADS();
  auto role = device_->companion()->take(0);
  ASSERT_TRUE(role);
  const auto bytes = pattern(4096, 1);
  ASSERT_TRUE(run_on_a_scheduler(device_->write_and_flush(0, bytes.span())));
  {
    const ForkedChild child([&] {
      AlignedBuffer back(4096);
      int failures = 0;
      const auto unsupported = [&](const Status& status) {
        if (status || status.error().kind() != ErrorKind::unsupported) ++failures;
      };
      unsupported(run_on_a_scheduler(device_->read(0, back.span())));
      unsupported(run_on_a_scheduler(device_->write_and_flush(0, bytes.span())));
      unsupported(run_on_a_scheduler(device_->close()));
      auto& companion = *device_->companion();
      if (companion.take(1)) ++failures;
      unsupported(run_on_a_scheduler(companion.wait(0, 0, system_clock(), kNever)));
      (*role).reset();
      device_.reset();
      // What it opens itself works, and the parent's role is the parent's.
      auto own = open_block_device(world_.path(), {.mode = GetParam()});
      if (!own || !run_on_a_scheduler((*own)->read(0, back.span()))) ++failures;
      if (!same_bytes(bytes, back)) ++failures;
      const auto taken = (*own)->companion()->take(0);
      if (taken || taken.error().kind() != ErrorKind::conflict) ++failures;
      return static_cast<char>(failures);
    });
    EXPECT_TRUE(run_on_a_scheduler(device_->write_and_flush(0, bytes.span())))
        << "the parent's goes on";
  }
  const auto other = open();
  EXPECT_FALSE(other->companion()->take(0)) << "the role is held after the child's end";
}

TEST_P(FileBlockDeviceFork, a_role_ends_with_the_parents_handle_while_a_child_lives) {
  SEMPER_FORKS_BESIDE_THREADS();
  auto role = device_->companion()->take(0);
  ASSERT_TRUE(role);
  const ForkedChild child([] { return '\0'; });
  role->reset();
  device_.reset();
  const auto successor = open();
  EXPECT_TRUE(successor->companion()->take(0));
}

// The one that fails where locks stay with the child: the parent dies and unlocks nothing.
SEMPER_CHILD(forks_and_dies) {
  auto device = open_block_device(child_argument());
  ASSERT_TRUE(device);
  auto role = (*device)->companion()->take(0);
  ASSERT_TRUE(role);
  const pid_t grandchild = ::fork();
  if (grandchild == 0) {
    ::alarm(60);
    for (;;) ::pause();
  }
  say(std::to_string(grandchild));
  hear();
}

TEST(FileBlockDeviceForkOfTheDead, a_role_ends_with_its_process_while_a_child_of_it_lives) {
  SEMPER_FORKS_BESIDE_THREADS();
  FileWorld world({});
  ChildProcess holder("forks_and_dies", world.path());
  const pid_t grandchild = std::stoi(holder.read_line().value_or("0"));
  holder.kill_hard();
  holder.wait();
  auto device = open_block_device(world.path());
  ASSERT_TRUE(device);
  // The kernel may take a moment to end what the dead process had under way.
  bool taken = false;
  for (int attempt = 0; attempt < 100'000 && !taken; ++attempt) {
    taken = (*device)->companion()->take(0).has_value();
    std::this_thread::yield();
  }
  EXPECT_TRUE(taken);
  ::kill(grandchild, SIGKILL);
}

}  // namespace
}  // namespace semper::testing
