// Producer and consumer as two real processes that are killed in the middle of their work.
//
// The parent reads what the children report on pipes, and kills after a drawn number of reports: no
// sleeping, and a kill falls wherever the child is at that time.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "ring/ring_test_support.h"
#include "semper/env/scheduler.h"
#include "semper/testing/seed.h"

extern char** environ;

namespace semper::ring {
namespace {

constexpr std::uint64_t kDiskBytes = std::uint64_t{256} << 10;
constexpr int kReportFd = 3;
constexpr const char* kChildTest = "RingKillChild.DISABLED_child";

void report(std::uint64_t number) {
  const std::string line = std::to_string(number) + "\n";
  if (::write(kReportFd, line.data(), line.size()) < 0) _exit(1);
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

// Runs in the children only.
TEST(RingKillChild, DISABLED_child) {
  const char* const path = std::getenv("SEMPER_RING_CHILD_PATH");
  const char* const next = std::getenv("SEMPER_RING_CHILD_NEXT");
  if (path == nullptr) GTEST_SKIP() << "the children's part of the other cases";
  auto device = open_block_device(path);
  ASSERT_OK(device);
  Scheduler scheduler;
  const Status status = scheduler.block_on(next != nullptr ? produce(**device, std::stoull(next))
                                                           : consume(**device));
  ADD_FAILURE() << status.error().to_string();
}

class Child {
 public:
  Child(const std::string& path, const std::string& next) {
    int ends[2];
    EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    read_end_ = ends[0];
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], kReportFd);
    std::string filter = std::string("--gtest_filter=") + kChildTest;
    std::string disabled = "--gtest_also_run_disabled_tests";
    std::string program = "/proc/self/exe";
    char* arguments[] = {program.data(), filter.data(), disabled.data(), nullptr};
    std::vector<std::string> environment{"SEMPER_RING_CHILD_PATH=" + path};
    if (!next.empty()) environment.push_back("SEMPER_RING_CHILD_NEXT=" + next);
    for (char** variable = environ; *variable != nullptr; ++variable) {
      environment.emplace_back(*variable);
    }
    std::vector<char*> pointers;
    for (std::string& variable : environment) pointers.push_back(variable.data());
    pointers.push_back(nullptr);
    EXPECT_EQ(::posix_spawn(&pid_, "/proc/self/exe", &actions, nullptr, arguments, pointers.data()),
              0);
    posix_spawn_file_actions_destroy(&actions);
    ::close(ends[1]);
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() {
    kill();
    ::close(read_end_);
  }

  int fd() const { return read_end_; }

  // The whole lines that are there; false at the end.
  bool read(std::vector<std::uint64_t>& numbers) {
    char bytes[4096];
    const ssize_t count = ::read(read_end_, bytes, sizeof(bytes));
    if (count <= 0) return false;
    rest_.append(bytes, static_cast<std::size_t>(count));
    for (std::size_t end = 0; (end = rest_.find('\n')) != std::string::npos;) {
      numbers.push_back(std::stoull(rest_.substr(0, end)));
      rest_.erase(0, end + 1);
    }
    return true;
  }

  // And what it had reported before.
  std::vector<std::uint64_t> kill() {
    std::vector<std::uint64_t> numbers;
    if (pid_ <= 0) return numbers;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = -1;
    while (read(numbers)) {
    }
    return numbers;
  }

 private:
  pid_t pid_ = -1;
  int read_end_ = -1;
  std::string rest_;
};

class RingKill : public ::testing::TestWithParam<Format> {};
INSTANTIATE_TEST_SUITE_P(, RingKill, ::testing::Values(Format::semper_1, Format::mirage_1_0),
                         [](const auto& instance) {
                           return instance.param == Format::semper_1 ? "semper" : "mirage";
                         });

TEST_P(RingKill, no_acknowledged_item_is_lost_or_reordered_when_processes_are_killed) {
  SeededRandom random(semper::testing::test_seed());
  std::string path = ::testing::TempDir() + "ring_kill_XXXXXX";
  const int fd = mkstemp(path.data());
  ASSERT_GE(fd, 0);
  ::close(fd);
  ASSERT_OK(create_block_file(path, {.size = kDiskBytes, .existing = Existing::replace}));
  Scheduler scheduler;
  {
    auto device = open_block_device(path);
    ASSERT_OK(device);
    CreateOptions options;
    options.format = GetParam();
    ASSERT_OK(scheduler.block_on(create(**device, options)));
  }
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
  auto producer = std::make_unique<Child>(path, "1");
  auto consumer = std::make_unique<Child>(path, "");
  for (int round = 0; round < 24; ++round) {
    std::uint64_t left = 1 + random.below(40);
    while (left > 0) {
      pollfd polled[] = {{producer->fd(), POLLIN, 0}, {consumer->fd(), POLLIN, 0}};
      ASSERT_GT(::poll(polled, 2, 20'000), 0) << "both children are stuck";
      std::vector<std::uint64_t> numbers;
      if (polled[0].revents != 0) {
        ASSERT_TRUE(producer->read(numbers)) << "the producer ended by itself";
        made(numbers);
      } else {
        ASSERT_TRUE(consumer->read(numbers)) << "the consumer ended by itself";
        took(numbers);
      }
      left -= std::min<std::uint64_t>(left, numbers.size());
    }
    const std::uint64_t victim = random.below(3);
    if (victim != 0) {
      made(producer->kill());
      producer = std::make_unique<Child>(path, std::to_string(acknowledged + 1));
    }
    if (victim != 1) {
      took(consumer->kill());
      consumer = std::make_unique<Child>(path, "");
    }
    if (HasFatalFailure()) break;
  }
  made(producer->kill());
  took(consumer->kill());
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
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace semper::ring
