#include "semper/env/internal/tagged_executor.h"

#include <gtest/gtest.h>

#include <memory>

#include "semper/env/direct_executor.h"
#include "semper/env/one_shot.h"
#include "semper/env/scheduler.h"

namespace semper::internal {
namespace {

struct Name final : ExecutorTag {
  explicit Name(int of) : number(of) {}
  const int number;
};

int number_of(const TagPointer& tag) {
  const auto* const name = dynamic_cast<const Name*>(tag.get());
  return name == nullptr ? 0 : name->number;
}

TEST(TaggedExecutor, a_coroutine_and_what_it_starts_know_on_whose_account_they_run) {
  asio::io_context loop;
  int seen = 0;
  int in_thread = 0;
  int in_another = 0;
  int after_a_wait = 0;
  OneShot<int> event;
  const auto inner = [&]() -> Task<void> {
    in_another = number_of(tag_of(co_await asio::this_coro::executor));
    static_cast<void>(co_await event.wait());
    after_a_wait = number_of(tag_in_this_thread());
  };
  const auto outer = [&]() -> Task<void> {
    const Executor here = co_await asio::this_coro::executor;
    seen = number_of(tag_of(here));
    in_thread = number_of(tag_in_this_thread());
    co_await asio::co_spawn(here, inner(), asio::use_awaitable);
  };
  asio::co_spawn(with_tag(loop.get_executor(), std::make_shared<Name>(7)), outer(), asio::detached);
  loop.poll();
  EXPECT_EQ(number_of(tag_in_this_thread()), 0);
  event.set(1);
  loop.restart();
  loop.run();
  EXPECT_EQ(seen, 7);
  EXPECT_EQ(in_thread, 7);
  EXPECT_EQ(in_another, 7);
  EXPECT_EQ(after_a_wait, 7);
}

TEST(TaggedExecutor, is_otherwise_the_executor_inside) {
  asio::io_context loop;
  const Executor plain = loop.get_executor();
  const Executor tagged = with_tag(plain, std::make_shared<Name>(1));
  EXPECT_EQ(without_tag(tagged), plain);
  EXPECT_EQ(without_tag(plain), plain);
  EXPECT_EQ(number_of(tag_of(plain)), 0);
  EXPECT_EQ(&asio::query(tagged, asio::execution::context_as<asio::execution_context&>), &loop);
  // One tag at a time.
  const Executor other = with_tag(tagged, std::make_shared<Name>(2));
  EXPECT_EQ(number_of(tag_of(other)), 2);
  EXPECT_EQ(without_tag(other), plain);
  bool is_here = false;
  asio::post(tagged, [&] { is_here = runs_here(tagged); });
  loop.run();
  EXPECT_TRUE(is_here);
  EXPECT_FALSE(runs_here(tagged));
  EXPECT_TRUE(is_direct(with_tag(DirectExecutor(), std::make_shared<Name>(3))));
}

}  // namespace
}  // namespace semper::internal
