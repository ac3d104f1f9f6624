// Work of several loops that meets in one place, where one of the loops is destroyed, or not run
// again.
#include <gtest/gtest.h>

#include "server/loops_test_support.h"
#include "server/tally_test_support.h"

namespace semper {
namespace {

using testing::Loop;
using testing::Tally;
using namespace std::chrono_literals;

class Loops : public ::testing::Test, public testing::LoopsWorld {
 protected:
  void serve() {
    make_host();
    host->serve<Tally>();
  }

  // What came of a cast that a loop sends; nothing while it waits.
  using Outcome = std::shared_ptr<std::optional<Status>>;
  Outcome cast(Loop& loop) {
    auto outcome = std::make_shared<std::optional<Status>>();
    asio::co_spawn(
        loop,
        [](Ref<Tally> to, Outcome out) -> Task<void> {
          out->emplace(co_await to.cast(Tally::Add{1}));
        }(ref<Tally>(*store, "t"), outcome),
        asio::detached);
    return outcome;
  }

  // The loop A is committing a cast of B, another one of B waits.
  std::pair<Outcome, Outcome> leave_work_of_b_with_a() {
    gate->closed = true;
    cast(*a);
    run({a.get()});
    const auto in_batch = cast(b);
    cast(*a);  // so that A goes on
    run({&b, a.get()});
    gate->let_one_through();
    run({a.get()});
    EXPECT_EQ(gate->waiting.size(), 1u) << "the second batch is being committed";
    const auto waiting = cast(b);
    run({&b});
    EXPECT_FALSE(*in_batch);
    EXPECT_FALSE(*waiting);
    gate->closed = false;
    return {in_batch, waiting};
  }
  // B's work is answered, and B can go on.
  void expect_answers(const Outcome& in_batch, const Outcome& waiting) {
    EXPECT_TRUE(*in_batch) << "hangs";
    if (*in_batch) {
      const Status& status = **in_batch;
      EXPECT_FALSE(status);
      if (!status) {
        EXPECT_EQ(status.error().kind(), ErrorKind::outcome_unknown);
      }
    }
    EXPECT_TRUE(*waiting) << "hangs";
    if (*waiting && !**waiting) {
      EXPECT_FALSE(host) << "the host does it";
      EXPECT_EQ((*waiting)->error().kind(), ErrorKind::closed) << "it was not begun";
    }
    const auto later = cast(b);
    run({&b, &host_loop});
    EXPECT_TRUE(*later && **later);
  }
};

TEST_F(Loops, callers_are_told_when_the_loop_that_ran_their_messages_is_destroyed) {
  serve();
  const auto [in_batch, waiting] = leave_work_of_b_with_a();
  a.reset();
  run({&b, &host_loop});
  expect_answers(in_batch, waiting);
}

TEST_F(Loops, the_entity_goes_on_when_the_loop_that_ran_it_is_never_run_again) {
  serve();
  const auto [in_batch, waiting] = leave_work_of_b_with_a();
  pass(4s, {&b, &host_loop});
  expect_answers(in_batch, waiting);
  gate->open();
  run({a.get(), &b, &host_loop});
  const auto later = cast(*a);
  run({a.get(), &b, &host_loop});
  EXPECT_TRUE(*later && **later);
}

TEST_F(Loops, sends_go_on_when_the_loop_that_sent_is_destroyed) {
  const auto [in_batch, waiting] = leave_work_of_b_with_a();
  a.reset();
  run({&b});
  expect_answers(in_batch, waiting);
}

TEST_F(Loops, sends_go_on_when_the_loop_that_sent_is_never_run_again) {
  const auto [in_batch, waiting] = leave_work_of_b_with_a();
  pass(4s, {&b});
  expect_answers(in_batch, waiting);
  gate->open();
  run({a.get(), &b});
  const auto later = cast(*a);
  run({a.get(), &b});
  EXPECT_TRUE(*later && **later);
}

}  // namespace
}  // namespace semper
