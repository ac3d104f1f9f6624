// How far each start of a log has sent, and which of them are forgotten.
#include "server/format/start_ledger.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>

#include "backends/memory/memory.h"
#include "semper/store/store.h"
#include "semper/testing/seed.h"
#include "semper/testing/simulated_run.h"

namespace semper::internal {
namespace {

using testing::simulated_run;

class StartLedgerTest : public ::testing::Test {
 protected:
  StartLedgerTest()
      : store_(*simulated_run(clock_, open_memory(*StoreUrl::parse("memory:"), env_)), env_) {}

  static constexpr std::uint64_t kRemembered = 8;

  // What was known before, or the error.
  Result<std::optional<std::uint64_t>> send(const std::string& start, std::uint64_t order,
                                            std::uint64_t sequence) {
    OnceStart from;
    from.log = "log";
    from.start = start;
    from.order = order;
    std::optional<std::uint64_t> before;
    const auto work = [&](Transaction& transaction) -> Async<void> {
      StartLedger ledger(transaction, "", from, kRemembered);
      SEMPER_CO_TRY(before, co_await ledger.sent());
      co_return co_await ledger.set_sent(sequence);
    };
    const Status sent = simulated_run(clock_, store_.transact(work));
    if (!sent) return fail(sent.error());
    return before;
  }

  testing::SimulatedClock clock_;
  SeededRandom random_{testing::test_seed()};
  Env env_{&clock_, &random_};
  Store store_;
};

TEST_F(StartLedgerTest, a_start_finds_what_it_sent) {
  EXPECT_EQ(*send("a", 1, 5), std::nullopt);
  EXPECT_EQ(*send("b", 1, 7), std::nullopt);
  EXPECT_EQ(*send("a", 1, 6), 5u);
  EXPECT_EQ(*send("b", 1, 9), 7u);
  EXPECT_EQ(*send("a", 1, 10), 6u);
}

TEST_F(StartLedgerTest, a_start_that_keeps_sending_is_not_forgotten_however_many_come_and_go) {
  ASSERT_TRUE(send("steady", 0, 1));
  for (std::uint64_t i = 1; i <= 20 * kRemembered; ++i) {
    ASSERT_EQ(*send("passing " + std::to_string(i), i, 1), std::nullopt);
    if (i % (kRemembered / 2) == 0) {
      const auto before = send("steady", 0, i + 1);
      ASSERT_TRUE(before) << before.error().to_string();
      ASSERT_TRUE(*before) << "forgotten after " << i;
    }
  }
}

TEST_F(StartLedgerTest, a_start_that_may_have_been_forgotten_is_refused_and_no_other) {
  for (std::uint64_t i = 0; i < kRemembered; ++i) ASSERT_TRUE(send(std::to_string(i), i, 1));
  EXPECT_TRUE(send("a copy", 0, 1)) << "nobody was forgotten yet";
  EXPECT_EQ(*send("7", 7, 2), 1u);
  const auto forgotten = send("0", 0, 1);
  ASSERT_FALSE(forgotten);
  EXPECT_EQ(forgotten.error().kind(), ErrorKind::exhausted);
  EXPECT_EQ(*send("1", 1, 2), 1u) << "more was forgotten than had to be";
  EXPECT_EQ(*send("of a later order", 100, 1), std::nullopt);
}

}  // namespace
}  // namespace semper::internal
