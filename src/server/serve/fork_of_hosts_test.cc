// A forked child and the hosts and Refs of its parent.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <memory>
#include <semaphore>

#include "env/sanitizer_test_support.h"
#include "semper/env/scheduler.h"
#include "semper/open_store.h"
#include "semper/server/atomically.h"
#include "semper/server/host.h"
#include "semper/server/ref.h"

namespace semper {
namespace {

struct ForkedTally {
  using State = std::int64_t;
  struct Add {
    using Reply = std::int64_t;
  };
  struct Block {};
  using Messages = semper::Messages<Add, Block>;

  Result<State> init(const EntityId&) { return 0; }
  Reply<std::int64_t> handle_call(const Add&, State& s, Context&) { return ++s; }
  void handle_cast(const Add&, State& s, Context&) { ++s; }
  void handle_cast(const Block&, State&, Context&) {
    is_blocked.release();
    may_go.acquire();
  }

  std::binary_semaphore is_blocked{0};
  std::binary_semaphore may_go{0};
};

template <class T>
bool is_unsupported(const Result<T>& result) {
  return !result && result.error().kind() == ErrorKind::unsupported;
}

TEST(HostsFork, a_child_gets_an_error_from_its_parents_host_and_refs_whatever_runs_there) {
  SEMPER_FORKS_BESIDE_THREADS();
  register_builtin_backends();
  Scheduler scheduler;
  const Store store(*scheduler.block_on(open_backend("memory:", Env())), Env());
  Host host(store);
  const auto behaviour = std::make_shared<ForkedTally>();
  host.serve(behaviour);
  ASSERT_TRUE(scheduler.block_on(host.start()));
  const auto busy = ref<ForkedTally>(store, "busy");
  const ForkedTally::Add add;
  const ForkedTally::Block block;
  // The entity is at work when the process forks, on a thread that the child does not have.
  asio::co_spawn(scheduler.executor(), busy.cast(block), asio::detached);
  behaviour->is_blocked.acquire();
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(60);  // what hangs must not hang the test
    Scheduler own;
    int failures = 0;
    const auto expect = [&](bool is_right, int bit) { failures |= is_right ? 0 : 1 << bit; };
    CallOptions patient;
    patient.timeout = kForever;
    expect(is_unsupported(own.block_on(busy.call(add, patient))), 0);
    expect(is_unsupported(own.block_on(busy.cast(add))), 1);
    expect(is_unsupported(own.block_on(host.start())), 2);
    expect(is_unsupported(own.block_on(host.stop())), 3);
    expect(is_unsupported(own.block_on(host.join())), 4);
    const auto made_here = ref<ForkedTally>(store, "busy");
    expect(is_unsupported(own.block_on(made_here.cast(add))), 5);
    Host another(store);
    another.serve<ForkedTally>();
    expect(is_unsupported(own.block_on(another.start())), 6);
    ::_exit(failures);
  }
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status)) << "signal " << WTERMSIG(status);
  EXPECT_EQ(WEXITSTATUS(status), 0) << "a bit for each that went another way";
  behaviour->may_go.release();
  EXPECT_EQ(scheduler.block_on(busy.call(add)), 1);
  EXPECT_TRUE(scheduler.block_on(host.stop()));
}

}  // namespace
}  // namespace semper
