// What `semper record` writes, in a harness.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "semper/server/recording.h"
#include "semper/testing/harness.h"
#include "semper/testing/temporary_folder.h"
#include "testing/harness/harness_test_support.h"

namespace semper::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

class HarnessLoad : public ::testing::Test {
 protected:
  template <class B>
  std::string record(Harness& production, const Ref<B>& entity) {
    const auto recording = production.run("record", [id = entity.entity()](Tenant tenant) {
      return record_entity(std::move(tenant), id, RecordOptions());
    });
    EXPECT_TRUE(recording) << recording.error().to_string();
    const std::string file = folder_.path("recording.jsonl");
    std::ofstream(file) << recording_to_text(*recording);
    return file;
  }

  const TemporaryFolder folder_;
};

TEST_F(HarnessLoad, a_queue_that_waited_in_production_is_run_in_each_run_of_a_test) {
  Harness production({.paths = {HarnessPath::queued}});  // no host serves it there
  const auto purse = production.ref<Purse>("a");
  ASSERT_TRUE(production.cast<Purse::Add>(purse, 3));
  ASSERT_TRUE(production.cast<Purse::Add>(purse, 4));
  const std::string file = record(production, purse);

  Harness harness;
  harness.serve<Purse>();
  ASSERT_TRUE(harness.load(file));
  harness.check("both were added", [](Harness& h) -> Status {
    const auto state = h.state(h.ref<Purse>("a"));
    if (state && state->coins == 7) return {};
    return fail(ErrorKind::internal, "not");
  });
  const auto report = harness.explore([] {});
  EXPECT_TRUE(report.passed()) << report;
  EXPECT_GT(report.runs, 10u);
}

TEST_F(HarnessLoad, a_message_that_broke_the_invariant_in_production_breaks_it_in_the_test) {
  Harness production({.paths = {HarnessPath::queued}});
  const auto purse = production.ref<Purse>("a");
  ASSERT_TRUE(production.cast<Purse::Add>(purse, 1'000'000));
  const std::string file = record(production, purse);

  Harness harness;
  harness.serve<Purse>();
  harness.invariant<Purse>([](const Purse::State& state) -> Status {
    if (state.coins < 1000) return {};
    return fail(ErrorKind::internal, "a purse is small");
  });
  const auto report = harness.explore([&] { ASSERT_TRUE(harness.load(file)); });
  ASSERT_FALSE(report.passed());
  EXPECT_THAT(report.findings[0].what,
              HasSubstr("Purse/a after Purse/a handle_cast Add [1000000]: a purse is small"));
}

struct Slow {
  static constexpr std::string_view kName = "Slow";
  using State = std::int64_t;
  struct Work {
    using Reply = std::int64_t;
  };
  using Messages = semper::Messages<Work>;
  Result<State> init(const EntityId&) { return 0; }
  Reply<std::int64_t> handle_call(const Work&, State&, Context&) { return semper::lock(); }
  Task<Reply<std::int64_t>> handle_locked(const Work&, State& state, LockedContext& context) {
    static_cast<void>(co_await sleep_for(context.clock(), 60s));
    co_return ++state;
  }
};

TEST_F(HarnessLoad, a_lock_whose_holder_is_not_there_is_taken_over) {
  Harness production;
  production.serve<Slow>();
  const auto slow = production.ref<Slow>("a");
  auto working = production.begin_call<Slow::Work>(slow);
  production.advance(10s);
  ASSERT_FALSE(working.is_answered());
  const std::string file = record(production, slow);

  Harness harness;
  harness.serve<Slow>();
  ASSERT_TRUE(harness.load(file));
  ASSERT_TRUE(harness.settle());
  EXPECT_EQ(harness.state(harness.ref<Slow>("a")).value(), 1);
}

TEST_F(HarnessLoad, a_file_that_is_no_recording_is_refused_in_words) {
  Harness harness;
  const Status absent = harness.load(folder_.path("absent.jsonl"));
  ASSERT_FALSE(absent);
  EXPECT_EQ(absent.error().kind(), ErrorKind::not_found);
  EXPECT_THAT(absent.error().message(), HasSubstr("semper record"));
  const std::string file = folder_.path("other.txt");
  std::ofstream(file) << "hello\n";
  const Status wrong = harness.load(file);
  ASSERT_FALSE(wrong);
  EXPECT_THAT(wrong.error().message(), HasSubstr("other.txt"));
}

}  // namespace
}  // namespace semper::testing
