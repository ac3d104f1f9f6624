// The example that the design begins with, as it stands there: it has to compile, and to count.
#include <filesystem>

#include "gtest/gtest.h"
#include "semper/semper.h"
#include "semper/testing/temporary_folder.h"

namespace {

// clang-format off
struct Counter {
  using State = std::int64_t;
  struct Add  { std::int64_t by = 1; using Reply = std::int64_t; };
  struct Read { using Reply = std::int64_t; };
  using Messages = semper::Messages<Add, Read>;

  semper::Result<State> init(const semper::EntityId&) { return 0; }
  semper::Reply<std::int64_t> handle_call(const Add& m, State& s, semper::Context&)  { return s += m.by; }
  semper::Reply<std::int64_t> handle_call(const Read&,  State& s, semper::Context&)  { return s; }
  void                        handle_cast(const Add& m, State& s, semper::Context&)  { s += m.by; }
};

semper::Task<std::int64_t> what_a_user_sees_first() {
  auto store = co_await semper::open_store("sqlite:./data.db");  // fdb:CLUSTER_FILE  etcd:HOST:PORT,..  memory:
  semper::Host host(store);
  host.serve<Counter>();                                     // this process consumes
  auto hits = semper::ref<Counter>(store, "page/home");      // any process may publish
  std::int64_t n = (co_await hits.call(Counter::Add{})).value();
  co_return n;
}
// clang-format on

class DesignExample : public ::testing::Test {
 protected:
  void SetUp() override {
    before_ = std::filesystem::current_path();
    std::filesystem::current_path(folder_.path());
  }
  void TearDown() override { std::filesystem::current_path(before_); }

  const semper::testing::TemporaryFolder folder_;
  std::filesystem::path before_;
};

TEST_F(DesignExample, counting_continues_where_the_last_run_ended) {
  for (std::int64_t expected = 1; expected <= 3; ++expected) {
    semper::Scheduler scheduler;
    EXPECT_EQ(scheduler.block_on(what_a_user_sees_first()), expected);
  }
  EXPECT_TRUE(std::filesystem::exists(folder_.path("data.db")));
}

}  // namespace
