// Store::transact, and the life of a store: retries, errors, cancellation, closing, opening again.
#include <stdexcept>
#include <variant>

#include "semper/store/too_old.h"
#include "testing/conformance/world.h"

namespace semper::testing::conformance {
namespace {

// Reads "key", lets another transaction change it, and writes "mine": a conflict each time.
Async<int> always_too_late(World& world, Transaction& transaction, int& runs) {
  ++runs;
  SEMPER_CO_TRY(const auto seen, co_await transaction.get("key"));
  co_await world.put(rows_of("key", std::to_string(runs)));
  transaction.set("mine", "applied");
  co_return static_cast<int>(seen.has_value());
}

Task<void> a_conflict_runs_the_function_again_on_a_new_snapshot(World& world) {
  co_await world.put(rows_of("key", "0"));
  int runs = 0;
  std::vector<Bytes> seen;
  Versionstamp stamp;
  const Bytes result = must(co_await world.store().transact(
      [&](Transaction& transaction) -> Async<Bytes> {
        SEMPER_CO_TRY(const auto value, co_await transaction.get("key"));
        seen.push_back(*value);
        if (++runs <= 3) co_await world.put(rows_of("key", std::to_string(runs)));
        transaction.set("copy", *value);
        co_return *value;
      },
      {.committed_at = &stamp}));
  EXPECT_EQ(result, "3");
  if (seen.size() < 4) throw CaseFailure("the function ran too few times");
  for (int i = 0; i < 4; ++i) EXPECT_EQ(seen[static_cast<std::size_t>(i)], std::to_string(i));
  EXPECT_TRUE(stamp.is_complete());
  EXPECT_EQ(co_await world.read("copy"), "3");
}

Task<void> it_gives_up_after_its_attempts_with_conflict(World& world) {
  int runs = 0;
  const Error error = must_fail(co_await world.store().transact(
      [&](Transaction& transaction) { return always_too_late(world, transaction, runs); },
      {.max_attempts = 5}));
  EXPECT_EQ(error.kind(), ErrorKind::conflict);
  EXPECT_NE(error.message().find("5 attempts"), std::string::npos) << error.message();
  EXPECT_EQ(runs, 5);
  EXPECT_EQ(co_await world.read("mine"), std::nullopt);
}

Task<void> it_gives_up_with_timeout_when_its_time_is_over(World& world) {
  int runs = 0;
  const Error error = must_fail(co_await world.store().transact(
      [&](Transaction& transaction) -> Async<int> {
        auto late = co_await always_too_late(world, transaction, runs);
        co_await world.advance(std::chrono::seconds(2));
        co_return late;
      },
      {.timeout = std::chrono::seconds(1)}));
  EXPECT_EQ(error.kind(), ErrorKind::timeout) << error.to_string();
  EXPECT_EQ(runs, 1);
  EXPECT_EQ(co_await world.read("mine"), std::nullopt);
}

// Reads "key" in time, and again when the snapshot is too old, so often; then in time.
Task<void> a_snapshot_that_became_too_old_begins_anew(World& world) {
  co_await world.put(rows_of("key", "old"));
  const auto limit = world.store().limits().transaction_duration;
  int runs = 0;
  const TransactOptions patient{.timeout = std::chrono::hours(1)};
  const auto read_late = [&](Transaction& transaction) -> Async<Bytes> {
    ++runs;
    SEMPER_CO_TRY(const auto first, co_await transaction.get("key"));
    if (runs <= 4) {
      co_await world.put(rows_of("key", std::to_string(runs)));
      co_await world.advance(limit + std::chrono::seconds(1));
    }
    SEMPER_CO_TRY(const auto page, co_await transaction.get_range({"a", "z"}));
    transaction.set("copy", *first);
    transaction.add("times", 1);
    co_return *first;
  };
  EXPECT_EQ(must(co_await world.store().transact(read_late, patient)), "4");
  EXPECT_GE(runs, 5) << "a store may have refused another one for no reason";
  EXPECT_EQ(co_await world.read("copy"), "4");
  EXPECT_EQ(co_await world.read("times"), Bytes("\1\0\0\0\0\0\0\0", 8));
}

Task<void> a_commit_that_came_too_late_begins_anew(World& world) {
  const auto limit = world.store().limits().transaction_duration;
  int runs = 0;
  const auto commit_late = [&](Transaction& transaction) -> Async<int> {
    SEMPER_CO_TRY(const auto seen, co_await transaction.get("key"));
    transaction.set("key", "applied");
    transaction.add("times", 1);
    if (++runs == 1) co_await world.advance(limit * 2);
    co_return seen ? 1 : 0;
  };
  EXPECT_EQ(must(co_await world.store().transact(commit_late)), 0);
  EXPECT_GE(runs, 2);
  EXPECT_EQ(co_await world.read("times"), Bytes("\1\0\0\0\0\0\0\0", 8));
}

Task<void> a_function_that_always_takes_too_long_is_given_up_by_name(World& world) {
  const auto limit = world.store().limits().transaction_duration;
  int runs = 0;
  const auto slow = [&](Transaction& transaction) -> Async<int> {
    ++runs;
    SEMPER_CO_TRY_STATUS(co_await transaction.get("key"));
    transaction.set("key", "applied");
    co_await world.advance(limit + std::chrono::seconds(1));
    co_return 0;
  };
  std::vector<Error> errors;
  errors.push_back(must_fail(co_await world.store().transact(
      slow, {.max_attempts = 4, .timeout = std::chrono::hours(1)})));
  EXPECT_EQ(runs, 4);
  runs = 0;
  errors.push_back(
      must_fail(co_await world.store().transact(slow, {.timeout = 2 * limit + limit / 2})));
  EXPECT_EQ(runs, 3);
  for (const auto& error : errors) {
    EXPECT_EQ(error.kind(), ErrorKind::timeout) << error.to_string();
    EXPECT_TRUE(is_too_old(error)) << error.to_string();
    EXPECT_NE(error.message().find("do less in one transaction"), std::string::npos)
        << error.to_string();
    EXPECT_NE(error.message().find("transaction_duration"), std::string::npos) << error.to_string();
  }
  EXPECT_NE(errors.front().message().find("4 attempts"), std::string::npos)
      << errors.front().to_string();
  EXPECT_EQ(co_await world.read("key"), std::nullopt);
}

Task<void> a_timeout_of_the_functions_own_is_no_reason_to_begin_anew(World& world) {
  int runs = 0;
  const Error error =
      must_fail(co_await world.store().transact([&](Transaction& transaction) -> Async<int> {
        ++runs;
        transaction.set("key", "applied");
        co_return fail(ErrorKind::timeout, "the function's own");
      }));
  EXPECT_EQ(error, Error(ErrorKind::timeout, "the function's own"));
  EXPECT_EQ(runs, 1);
}

Task<void> an_error_of_the_function_is_returned_and_nothing_is_applied(World& world) {
  int runs = 0;
  const Error error =
      must_fail(co_await world.store().transact([&](Transaction& transaction) -> Async<int> {
        ++runs;
        transaction.set("key", "applied");
        co_return fail(ErrorKind::not_found, "the function's own");
      }));
  EXPECT_EQ(error, Error(ErrorKind::not_found, "the function's own"));
  EXPECT_EQ(runs, 1);
  EXPECT_TRUE((co_await world.read_all()).empty());
}

Task<void> an_exception_passes_through_and_nothing_is_applied(World& world) {
  bool caught = false;
  try {
    static_cast<void>(co_await world.store().transact([&](Transaction& transaction) -> Async<int> {
      transaction.set("key", "applied");
      must(co_await transaction.get("other"));
      throw std::out_of_range("thrown by the function");
    }));
  } catch (const std::out_of_range&) {
    caught = true;
  }
  EXPECT_TRUE(caught);
  EXPECT_TRUE((co_await world.read_all()).empty());
  co_await world.put(rows_of("key", "after"));
}

Task<void> a_cancelled_wait_ends_the_transaction_and_nothing_is_applied(World& world) {
  const Store& store = world.store();
  const auto strand = asio::make_strand(co_await asio::this_coro::executor);
  asio::cancellation_signal signal;
  OneShot<std::monostate> waiting;
  OneShot<Result<int>> ended;
  auto transaction_that_waits = [&]() -> Async<int> {
    co_return co_await store.transact([&](Transaction& transaction) -> Async<int> {
      SEMPER_CO_TRY(const auto watch, co_await transaction.watch("never"));
      transaction.set("key", "applied");
      waiting.set({});
      SEMPER_CO_TRY_STATUS(co_await watch->changed());
      co_return 0;
    });
  };
  asio::co_spawn(strand, transaction_that_waits(),
                 asio::bind_cancellation_slot(signal.slot(), [&](std::exception_ptr thrown,
                                                                 Result<int> result) {
                   ended.set(thrown ? fail(ErrorKind::internal, "an exception instead of an error")
                                    : std::move(result));
                 }));
  must(co_await waiting.wait());
  asio::post(strand, [&] { signal.emit(asio::cancellation_type::terminal); });
  const auto result =
      must(co_await ended.wait_until(world.clock(), world.clock().after(std::chrono::seconds(30))));
  const Error error = must_fail(result);
  EXPECT_EQ(error.kind(), ErrorKind::cancelled) << error.to_string();
  EXPECT_EQ(co_await world.read("key"), std::nullopt);
  co_await world.put(rows_of("never", "changed"));
}

Task<void> a_closed_store_refuses_all_and_leaves_other_handles_alone(World& world) {
  const Store closing = co_await world.open();
  auto before = closing.begin();
  must(co_await before.get("key"));
  before.set("key", "too late");
  auto blind = closing.begin();
  blind.set("key", "too late");
  co_await world.close(closing);
  EXPECT_EQ(must_fail(co_await before.commit()).kind(), ErrorKind::closed);
  EXPECT_EQ(must_fail(co_await blind.commit()).kind(), ErrorKind::closed);
  auto after = closing.begin();
  EXPECT_EQ(must_fail(co_await after.get("key")).kind(), ErrorKind::closed);
  EXPECT_EQ(must_fail(co_await after.watch("key")).kind(), ErrorKind::closed);
  EXPECT_EQ(must_fail(co_await closing.transact([](Transaction& tx) -> Async<int> {
              tx.set("key", "too late");
              co_return 0;
            })).kind(),
            ErrorKind::closed);
  EXPECT_EQ(co_await world.read("key"), std::nullopt);
  co_await world.put(rows_of("key", "other handle"));
  must(co_await closing.close());
}

Task<void> a_healthy_store_checks_out(World& world) {
  co_await world.put(rows_of("a", "1", "b", Bytes(10'000, 'x')));
  co_await world.clear("a");
  EXPECT_FALSE(must(co_await world.store().backend().check()).empty());
  EXPECT_FALSE(world.store().backend().statistics().empty());
}

Task<void> an_unknown_url_parameter_is_refused_by_name(World& world) {
  std::string url = world.url();
  url += url.find('?') == std::string::npos ? '?' : '&';
  const Error error =
      must_fail(co_await open_at(world.under_test(), url + "no_such_parameter=1", world.env()));
  EXPECT_EQ(error.kind(), ErrorKind::invalid_argument);
  EXPECT_NE(error.message().find("no_such_parameter"), std::string::npos) << error.message();
}

Task<void> what_was_committed_is_there_after_opening_again(World& world) {
  Rows rows;
  for (int i = 0; i < 200; ++i) {
    rows.push_back(
        {"key/" + std::to_string(1'000 + i), Bytes(static_cast<std::size_t>(i) * 50, 'v')});
  }
  co_await world.put(rows);
  co_await world.clear(rows.front().key);
  rows.erase(rows.begin());
  co_await world.reopen();
  EXPECT_TRUE(co_await world.read_all() == rows);
}

Task<void> versions_go_on_growing_after_opening_again(World& world) {
  Versionstamp last = Versionstamp::complete(0, 0, 0);
  for (int i = 0; i < 4; ++i) {
    auto transaction = world.begin();
    EXPECT_GE(must(co_await transaction.read_version()), last.version());
    transaction.set("key", std::to_string(i));
    const auto stamp = co_await world.must_commit(transaction);
    EXPECT_GT(stamp, last);
    last = stamp;
    co_await world.reopen();
  }
}

constexpr Case kTransactCases[] = {
    {"a_conflict_runs_the_function_again_on_a_new_snapshot",
     a_conflict_runs_the_function_again_on_a_new_snapshot},
    {"it_gives_up_after_its_attempts_with_conflict", it_gives_up_after_its_attempts_with_conflict},
    {"it_gives_up_with_timeout_when_its_time_is_over",
     it_gives_up_with_timeout_when_its_time_is_over, CaseTime::by_hand},
    {"a_snapshot_that_became_too_old_begins_anew", a_snapshot_that_became_too_old_begins_anew,
     CaseTime::by_hand},
    {"a_commit_that_came_too_late_begins_anew", a_commit_that_came_too_late_begins_anew,
     CaseTime::by_hand},
    {"a_function_that_always_takes_too_long_is_given_up_by_name",
     a_function_that_always_takes_too_long_is_given_up_by_name, CaseTime::by_hand},
    {"a_timeout_of_the_functions_own_is_no_reason_to_begin_anew",
     a_timeout_of_the_functions_own_is_no_reason_to_begin_anew},
    {"an_error_of_the_function_is_returned_and_nothing_is_applied",
     an_error_of_the_function_is_returned_and_nothing_is_applied},
    {"an_exception_passes_through_and_nothing_is_applied",
     an_exception_passes_through_and_nothing_is_applied},
    {"a_cancelled_wait_ends_the_transaction_and_nothing_is_applied",
     a_cancelled_wait_ends_the_transaction_and_nothing_is_applied},
    {"a_closed_store_refuses_all_and_leaves_other_handles_alone",
     a_closed_store_refuses_all_and_leaves_other_handles_alone},
    {"a_healthy_store_checks_out", a_healthy_store_checks_out},
    {"an_unknown_url_parameter_is_refused_by_name", an_unknown_url_parameter_is_refused_by_name},
    {"what_was_committed_is_there_after_opening_again",
     what_was_committed_is_there_after_opening_again, CaseTime::as_the_store,
     CaseNeeds::persistence},
    {"versions_go_on_growing_after_opening_again", versions_go_on_growing_after_opening_again,
     CaseTime::as_the_store, CaseNeeds::persistence},
};

}  // namespace

std::span<const Case> transact_cases() {
  return kTransactCases;
}

}  // namespace semper::testing::conformance
