// A system that starts no more threads for a while.
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <pthread.h>

#include <atomic>
#include <cerrno>
#include <string>

#include "env/sanitizer_test_support.h"
#include "semper/env/scheduler.h"
#include "semper/open_store.h"
#include "semper/server/host.h"
#include "semper/server/inspect.h"
#include "semper/server/ref.h"
#include "semper/testing/child_process.h"

namespace {

std::atomic<bool> starts_no_threads = false;
std::atomic<int> threads_refused = 0;

}  // namespace

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
// Instead of the C library's, in this whole test program.
extern "C" int pthread_create(pthread_t* thread, const pthread_attr_t* attributes,
                              void* (*run)(void*), void* argument) noexcept {
  using Start = int (*)(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*);
  static const auto start = reinterpret_cast<Start>(::dlsym(RTLD_NEXT, "pthread_create"));
  if (!starts_no_threads) return start(thread, attributes, run, argument);
  ++threads_refused;
  return EAGAIN;
}
#endif

namespace semper {
namespace {

using namespace std::chrono_literals;

struct ShortOfThreads {
  using State = std::int64_t;
  struct Work {};
  using Messages = semper::Messages<Work>;

  Result<State> init(const EntityId&) { return 0; }
  Outcome handle_cast(const Work&, State&, Context&) { return lock(); }
  Outcome handle_locked(const Work&, State& s, LockedContext&) {
    ++s;
    return {};
  }
};

// Its holder was not told, and did not crash: the message is not at fault.
TEST(ThreadShortage, a_lock_whose_threads_cannot_be_started_is_tried_again_and_not_counted) {
  if (testing::kSanitized) GTEST_SKIP() << "the sanitizers start threads their own way";
  register_builtin_backends();
  Scheduler scheduler;
  const Store store(*scheduler.block_on(open_backend("memory:", Env())), Env());
  HostOptions options;
  options.lock_lease = 30ms;
  Host host(store, options);
  host.serve<ShortOfThreads>();
  ASSERT_TRUE(scheduler.block_on(host.start()));
  const auto entity = ref<ShortOfThreads>(store, "e");
  const ShortOfThreads::Work work;
  starts_no_threads = true;
  ASSERT_TRUE(scheduler.block_on(entity.cast(work)));
  // Ten holders that vanish are enough to set a message aside (kLockHoldersVanished).
  EXPECT_TRUE(testing::wait_until([] { return threads_refused > 12; }));
  starts_no_threads = false;
  const EntityId id = entity.entity();
  const auto look = [&] { return scheduler.block_on(inspect(Tenant(store), id)); };
  EXPECT_TRUE(testing::wait_until([&] {
    const auto view = look();
    return view && view->queue_length == 0 && !view->lock;
  }));
  const auto view = look();
  ASSERT_TRUE(view);
  EXPECT_EQ(view->dead_letters, 0u);
  ASSERT_TRUE(view->state);
  EXPECT_EQ(decode<std::int64_t>(*view->state), 1);
  EXPECT_TRUE(scheduler.block_on(host.stop()));
}

}  // namespace
}  // namespace semper
