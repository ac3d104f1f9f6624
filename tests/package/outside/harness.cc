// The harness in a user's hands: his behaviour, with every fault, in a project that has nothing of
// Semper but the installed package.
#include <gtest/gtest.h>
#include <semper/semper.h>
#include <semper/testing/harness.h>

#include <cstdint>

struct Counter {
  using State = std::int64_t;
  struct Add {
    std::int64_t by = 1;
    using Reply = std::int64_t;
  };
  using Messages = semper::Messages<Add>;
  semper::Result<State> init(const semper::EntityId&) { return 0; }
  semper::Reply<std::int64_t> handle_call(const Add& m, State& s, semper::Context&) {
    return s += m.by;
  }
};

TEST(Counter, is_tested_outside) {
  semper::testing::Harness harness;
  harness.serve<Counter>();
  harness.invariant<Counter>([](const auto& count) -> semper::Status {
    if (count <= 2) return {};
    return semper::fail(semper::ErrorKind::internal, "it was added twice");
  });
  const auto report = harness.explore(
      [&] { static_cast<void>(harness.call<Counter::Add>(harness.ref<Counter>("a"), 2)); });
  EXPECT_TRUE(report.passed()) << report;
}
