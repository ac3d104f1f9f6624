// Logs: appended to in order, numbered without a gap, read from either end, trimmed at the
// beginning.
#include <gmock/gmock.h>

#include "behaviours.h"
#include "semper/server/entity_log.h"
#include "world.h"

namespace semper::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

SERVER_SUITE(Logs);

struct Chronicle {
  using State = std::int64_t;
  static constexpr Log<std::string> kEvents{"events"};

  struct Tell {
    std::string event;
    using Reply = std::uint64_t;
  };
  struct TellAndFail {
    std::string event;
  };
  struct Forget {
    std::uint64_t before = 0;
    using Reply = std::uint64_t;
  };
  using Messages = semper::Messages<Tell, TellAndFail, Forget>;

  Result<State> init(const EntityId&) { return 0; }
  Async<std::uint64_t> handle_call(const Tell& m, State&, Context& context) {
    return kEvents.append(context, m.event);
  }
  Async<void> handle_cast(const Tell& m, State&, Context& context) {
    SEMPER_CO_TRY_STATUS(co_await kEvents.append(context, m.event));
    co_return Status{};
  }
  Async<void> handle_cast(const TellAndFail& m, State&, Context& context) {
    SEMPER_CO_TRY_STATUS(co_await kEvents.append(context, m.event));
    throw std::runtime_error("it never happened");
  }
  Async<std::uint64_t> handle_call(const Forget& m, State&, Context& context) {
    return kEvents.trim(context, m.before);
  }
};

std::vector<std::string> lines_of(const Log<std::string>::Page& page) {
  std::vector<std::string> lines;
  for (const auto& entry : page.entries) {
    lines.push_back(std::to_string(entry.number) + " " + entry.value);
  }
  return lines;
}

SERVER_TEST(Logs, appends_of_one_batch_and_of_many_are_numbered_without_a_gap) {
  auto chronicle = world.ref<Chronicle>("c");
  for (const char* event : {"a", "b", "c"}) must(co_await chronicle.cast<Chronicle::Tell>(event));
  must(co_await chronicle.cast<Chronicle::TellAndFail>("never"));
  must(co_await chronicle.cast<Chronicle::Tell>("d"));
  auto& server = *co_await world.serve<Chronicle>();
  co_await world.until_processed(chronicle.untyped());
  Chronicle::Tell more;
  more.event = "e";
  const CallOptions patient{world.patience()};
  EXPECT_EQ(must(co_await server.ref<Chronicle>("c").call(more, patient)), 5u);
  const auto page = must(co_await Chronicle::kEvents.page(chronicle, 10));
  EXPECT_THAT(lines_of(page), ElementsAre("1 a", "2 b", "3 c", "4 d", "5 e"));
  EXPECT_FALSE(page.more);
  EXPECT_EQ(must(co_await Chronicle::kEvents.span(chronicle)).size(), 5u);
  co_await world.until_clean();
}

SERVER_TEST(Logs, pages_go_up_and_down_and_end_where_the_log_ends) {
  auto& server = *co_await world.serve<Chronicle>();
  auto chronicle = server.ref<Chronicle>("c");
  const auto& events = Chronicle::kEvents;
  EXPECT_THAT(must(co_await events.page(chronicle, 3)).entries, IsEmpty());
  EXPECT_THAT(must(co_await events.page(chronicle, 3, Order::descending)).entries, IsEmpty());
  for (const char* event : {"a", "b", "c", "d"}) {
    Chronicle::Tell tell;
    tell.event = event;
    must(co_await chronicle.call(tell));
  }
  auto page = must(co_await events.page(chronicle, 2));
  EXPECT_THAT(lines_of(page), ElementsAre("1 a", "2 b"));
  EXPECT_TRUE(page.more);
  page = must(co_await events.page_from(chronicle, 3, 9));
  EXPECT_THAT(lines_of(page), ElementsAre("3 c", "4 d"));
  EXPECT_FALSE(page.more);
  page = must(co_await events.page(chronicle, 2, Order::descending));
  EXPECT_THAT(lines_of(page), ElementsAre("4 d", "3 c"));
  EXPECT_TRUE(page.more);
  page = must(co_await events.page_from(chronicle, 2, 9, Order::descending));
  EXPECT_THAT(lines_of(page), ElementsAre("2 b", "1 a"));
  EXPECT_FALSE(page.more);
}

SERVER_TEST(Logs, a_trim_takes_the_oldest_and_numbers_go_on) {
  auto& server = *co_await world.serve<Chronicle>();
  auto chronicle = server.ref<Chronicle>("c");
  Batch<Chronicle> batch;
  const int count = static_cast<int>(kLogTrimMaximum) + 10;
  for (int i = 1; i <= count; ++i) {
    Chronicle::Tell tell;
    tell.event = "e";
    batch.add(tell);
  }
  must(co_await world.ref<Chronicle>("c").cast(std::move(batch)));
  co_await world.until_processed(chronicle.untyped());
  const CallOptions patient{world.patience()};
  EXPECT_EQ(must(co_await chronicle.call(Chronicle::Forget{3}, patient)), 3u);
  EXPECT_EQ(must(co_await chronicle.call(Chronicle::Forget{2}, patient)), 3u) << "it is done";
  EXPECT_EQ(must(co_await chronicle.call(Chronicle::Forget{9'999}, patient)), kLogTrimMaximum + 3);
  const auto next = static_cast<std::uint64_t>(count) + 1;
  EXPECT_EQ(must(co_await chronicle.call(Chronicle::Forget{9'999}, patient)), next);
  EXPECT_THAT(must(co_await Chronicle::kEvents.page(chronicle, 3)).entries, IsEmpty());
  Chronicle::Tell more;
  more.event = "more";
  EXPECT_EQ(must(co_await chronicle.call(more, patient)), next);
  const auto page = must(co_await Chronicle::kEvents.page(chronicle, 3));
  EXPECT_THAT(lines_of(page), ElementsAre(std::to_string(next) + " more"));
  must(co_await chronicle.reset());
  EXPECT_EQ(must(co_await chronicle.call(more, patient)), 1u);
  EXPECT_EQ((co_await world.rows(entity_range(chronicle.entity(), 15))).size(), 2u);
}

}  // namespace
}  // namespace semper::testing
