// The three connections against real servers that are killed, started again and stopped under load:
// every answer is the right one, and callers are served again each time.
#include "connections.h"

#include <gtest/gtest.h>
#include <semper/base/log.h>
#include <semper/env/scheduler.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <future>
#include <map>
#include <mutex>

#include "semper/testing/free_port.h"
#include "semper/testing/temporary_folder.h"
#include "servers.h"

namespace connections {
namespace {

using namespace std::chrono_literals;

constexpr int kCallers = 8;
constexpr int kRightAnswers = 200;  // between two faults, of all callers
constexpr int kRounds = 3;
// A failure of a test and not a time that anything takes.
constexpr auto kPatience = 60s;

// Callers that ask without end, each in its own words.
class Load {
 public:
  explicit Load(Ask ask) : ask_(std::move(ask)) {
    for (int who = 0; who < kCallers; ++who) {
      ended_.push_back(std::async(std::launch::async, [this, who] {
        for (int i = 0; !over_; ++i) one(std::to_string(who) + "/" + std::to_string(i));
      }));
    }
  }
  ~Load() {
    over_ = true;
    for (auto& one : ended_) one.get();
  }
  Load(const Load&) = delete;
  Load& operator=(const Load&) = delete;

  // Returns when so many more answers were right.
  void expect_answers(const std::string& when) {
    std::unique_lock lock(mutex_);
    const int enough = right_ + kRightAnswers;
    answered_.wait_for(lock, kPatience, [&] { return right_ >= enough; });
    const int right = right_;
    const int wrong = wrong_;
    lock.unlock();
    EXPECT_GE(right, enough) << when << "; errors so far: " << errors();
    EXPECT_EQ(wrong, 0) << when;
  }
  int right() {
    std::lock_guard lock(mutex_);
    return right_;
  }
  std::string errors() {
    std::lock_guard lock(mutex_);
    std::string all;
    for (const auto& [error, count] : errors_) all += std::to_string(count) + " x " + error + "\n";
    return all.empty() ? "none" : all;
  }

 private:
  void one(const std::string& words) {
    auto answer = scheduler_.block_on(ask_(words));
    std::lock_guard lock(mutex_);
    if (answer) {
      ++(*answer == words ? right_ : wrong_);
      answered_.notify_one();
      return;
    }
    ++errors_[answer.error().to_string().substr(0, 120)];
  }

  semper::Scheduler scheduler_{{.threads = 2}};
  Ask ask_;
  std::atomic<bool> over_{false};
  std::mutex mutex_;
  std::condition_variable answered_;
  int right_ = 0;
  int wrong_ = 0;
  std::map<std::string, int> errors_;
  std::vector<std::future<void>> ended_;
};

void outlive(ServerProcess& server, const Ask& ask) {
  Load load(ask);
  load.expect_answers("before anything happened");
  for (int round = 0; round < kRounds; ++round) {
    server.kill();
    ASSERT_TRUE(server.start()) << "the server does not listen";
    load.expect_answers("after it was killed " + std::to_string(round + 1) + " times");
  }
  std::printf("%d right answers; errors: %s\n", load.right(), load.errors().c_str());
}

class Connections : public ::testing::Test {
 protected:
  Connections() { std::signal(SIGPIPE, SIG_IGN); }  // see redis.cc
};

TEST_F(Connections, tcp_outlives_its_server_without_a_wrong_answer) {
  const std::uint16_t port = semper::testing::free_port();
  ServerProcess server({SEMPER_PROGRAM, "serve", std::to_string(port)}, port);
  ASSERT_TRUE(server.start());
  outlive(server, tcp_echo("127.0.0.1", port));
}

#ifdef WITH_REDIS
TEST_F(Connections, redis_outlives_its_server_without_a_wrong_answer) {
  const auto program = find_program({"/usr/bin/redis-server", "/usr/local/bin/redis-server"});
  if (program.empty()) GTEST_SKIP() << "there is no redis-server here (Debian: redis-server)";
  const semper::testing::TemporaryFolder folder;
  const std::uint16_t port = semper::testing::free_port();
  ServerProcess server({program, "--port", std::to_string(port), "--bind", "127.0.0.1", "--dir",
                        folder.path(), "--save", "", "--appendonly", "no"},
                       port);
  ASSERT_TRUE(server.start());
  outlive(server, redis_echo("127.0.0.1", port));
}
#endif

#ifdef WITH_POSTGRES
TEST_F(Connections, postgres_outlives_its_server_without_a_wrong_answer) {
  const auto initdb = find_program({"/usr/lib/postgresql/*/bin/initdb"});
  const auto postgres = find_program({"/usr/lib/postgresql/*/bin/postgres"});
  if (initdb.empty() || postgres.empty()) {
    GTEST_SKIP() << "there is no PostgreSQL server here (Debian: postgresql)";
  }
  const std::string user = "postgres";  // the server refuses root
  const semper::testing::TemporaryFolder folder;
  give_away(folder.path(), user);
  const std::string data = folder.path() + "/data";
  ASSERT_TRUE(run_program({initdb, "-D", data, "-U", "semper", "-A", "trust", "--no-sync",
                           "--locale=C", "--encoding=UTF8"},
                          user))
      << "initdb failed";
  const std::uint16_t port = semper::testing::free_port();
  const std::string number = std::to_string(port);
  ServerProcess server({postgres, "-D", data, "-p", number, "-F", "-c",
                        "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="},
                       port, user);
  ASSERT_TRUE(server.start());
  outlive(server, postgres_echo("host=127.0.0.1 port=" + number +
                                " user=semper dbname=postgres connect_timeout=5"));
}
#endif

}  // namespace
}  // namespace connections
