// A line in the log for each run of a message that failed: who, which, how often, why, and what
// comes next; within bounds, and without the message.
#include <gmock/gmock.h>

#include <algorithm>

#include "behaviours.h"
#include "world.h"

namespace semper::testing {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

SERVER_SUITE(FailedRuns);

struct Fragile {
  using State = std::int64_t;
  struct Break {
    std::string secret = "the contents";
    std::int64_t until = 100;  // runs that fail
    using Reply = std::int64_t;
  };
  struct BreakLocked {
    using Reply = std::int64_t;
  };
  using Messages = semper::Messages<Break, BreakLocked>;

  Result<State> init(const EntityId&) { return 0; }
  std::int64_t run(const Break& m) {
    if (++runs <= m.until) throw std::runtime_error("no \"such\" shelf");
    return runs;
  }
  Reply<std::int64_t> handle_call(const Break& m, State&, Context&) { return run(m); }
  void handle_cast(const Break& m, State&, Context&) { run(m); }
  Reply<std::int64_t> handle_call(const BreakLocked&, State&, Context&) { return lock(); }
  Async<std::int64_t> handle_locked(const BreakLocked&, State&, LockedContext&) {
    if (++runs < 3) throw std::runtime_error("the machine is away");
    co_return runs;
  }

  std::int64_t runs = 0;
};

std::vector<std::string> failed_lines(const World& world) {
  std::vector<std::string> lines;
  for (const auto& line : world.logged()) {
    if (line.find("message failed:") != std::string::npos) lines.push_back(line);
  }
  return lines;
}

SERVER_TEST(FailedRuns, each_has_a_line_that_says_what_comes_next) {
  auto fragile = world.ref<Fragile>("a b");
  must(co_await fragile.cast<Fragile::Break>());
  auto options = quick_options();
  options.message_attempts = 3;
  co_await world.serve<Fragile>(std::make_shared<Fragile>(), options);
  co_await world.until_processed(fragile.untyped());
  const auto lines = failed_lines(world);
  const std::string begin = " entity=\"a b\" message=Break event=cast how=queued ";
  for (const char* attempt : {"attempt=1 of=3", "attempt=2 of=3"}) {
    EXPECT_THAT(lines, Contains(AllOf(HasSubstr(begin + attempt), HasSubstr("error=internal"),
                                      HasSubstr("no \\\"such\\\" shelf"),
                                      HasSubstr("next=retry after_ms="))));
  }
  EXPECT_THAT(lines, Contains(AllOf(HasSubstr("attempt=3 of=3"), HasSubstr("next=dead_letter"))));
  for (const auto& line : world.logged()) EXPECT_THAT(line, Not(HasSubstr("the contents")));
  EXPECT_EQ((co_await world.letters_of(fragile.entity())).size(), 1u);
}

SERVER_TEST(FailedRuns, of_this_process_go_to_the_queue_or_to_the_caller) {
  auto behaviour = std::make_shared<Fragile>();
  auto& server = *co_await world.serve<Fragile>(behaviour);
  auto fragile = server.ref<Fragile>("f");
  Fragile::Break once;
  once.until = 1;
  must(co_await server.run(fragile.cast(once)));
  EXPECT_THAT(failed_lines(world), Contains(AllOf(HasSubstr("event=cast how=local attempt=1 of=1"),
                                                  HasSubstr("next=queue"))));
  behaviour->runs = 0;
  Fragile::Break never;
  EXPECT_FALSE(co_await server.run(fragile.call(never)));
  EXPECT_THAT(failed_lines(world), Contains(AllOf(HasSubstr("event=call"), HasSubstr("next="))));
  behaviour->runs = 0;
  EXPECT_FALSE(co_await server.run(fragile.priority_call(never)));
  EXPECT_THAT(failed_lines(world),
              Contains(AllOf(HasSubstr("how=priority"), HasSubstr("next=reply"))));
}

SERVER_TEST(FailedRuns, under_the_lock_have_lines_too) {
  auto fragile = world.ref<Fragile>("f");
  co_await world.serve<Fragile>();
  const CallOptions patient{world.patience()};
  const Fragile::BreakLocked message;
  EXPECT_EQ(must(co_await fragile.call(message, patient)), 3);
  const auto lines = failed_lines(world);
  for (const char* attempt : {"attempt=1 ", "attempt=2 "}) {
    EXPECT_THAT(lines, Contains(AllOf(HasSubstr("how=locked"), HasSubstr(attempt),
                                      HasSubstr("next=retry"))));
  }
}

SERVER_TEST(FailedRuns, have_no_lines_where_all_is_well) {
  auto counter = world.ref<Counter>("c");
  must(co_await counter.cast<Counter::Add>());
  co_await world.serve<Counter>();
  co_await world.until_processed(counter.untyped());
  EXPECT_THAT(failed_lines(world), IsEmpty());
}

}  // namespace
}  // namespace semper::testing
