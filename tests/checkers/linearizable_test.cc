// The judge itself: histories that must pass, and each kind of broken one. And against a search
// that tries everything, on thousands of small random histories.
#include "linearizable.h"

#include <filesystem>
#include <fstream>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "search.h"
#include "semper/semper.h"
#include "semper/testing/temporary_folder.h"

namespace semper::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Kind = Operation::Kind;
using Outcome = Operation::Outcome;

Operation done(Kind kind, std::int64_t value, std::int64_t from, std::int64_t to) {
  return {"c", kind, Outcome::done, value, from, to};
}
Operation add(std::int64_t value, std::int64_t from, std::int64_t to) {
  return done(Kind::add, value, from, to);
}
Operation read(std::int64_t value, std::int64_t from, std::int64_t to) {
  return done(Kind::read, value, from, to);
}
Operation open_add(std::int64_t from) {
  return {"c", Kind::add, Outcome::open, 0, from, Operation::kNever};
}

std::vector<std::string> wrong_in(const std::vector<Operation>& operations) {
  return judge_counter("c", operations).wrong;
}

TEST(Linearizable, operations_at_the_same_time_may_have_any_order) {
  EXPECT_THAT(wrong_in({}), IsEmpty());
  EXPECT_THAT(wrong_in({add(2, 0, 10), add(1, 0, 10), read(1, 0, 10), read(0, 0, 10)}), IsEmpty());
  EXPECT_THAT(wrong_in({read(1, 1, 9), add(1, 0, 10)}), IsEmpty());
}

TEST(Linearizable, a_lost_add_is_found) {
  EXPECT_THAT(wrong_in({add(1, 0, 1), add(1, 2, 3)}),
              ElementsAre(HasSubstr("two adds returned 1")));
  EXPECT_THAT(
      wrong_in({add(1, 0, 1), read(0, 2, 3)}),
      ElementsAre("c: a read that returned 0 was called when an add that returned 1 had been "
                  "answered"));
}

TEST(Linearizable, an_add_that_took_effect_twice_is_found) {
  EXPECT_THAT(wrong_in({add(1, 0, 1), read(2, 2, 3)}),
              ElementsAre(HasSubstr("1 effects belong to no")));
  EXPECT_THAT(wrong_in({add(2, 0, 1)}), ElementsAre(HasSubstr("1 effects belong to no")));
  EXPECT_THAT(wrong_in({read(1'000'000'000'000, 0, 1)}), ElementsAre(HasSubstr("belong to no")));
}

TEST(Linearizable, a_read_of_an_old_state_is_found) {
  EXPECT_THAT(wrong_in({add(1, 0, 1), add(2, 2, 3), read(1, 4, 5)}),
              ElementsAre(HasSubstr("a read")));
  EXPECT_THAT(wrong_in({add(1, 0, 9), read(1, 1, 2), read(0, 3, 4)}),
              ElementsAre(HasSubstr("a read")))
      << "two reads, one after the other, while the add was under way";
}

TEST(Linearizable, an_effect_before_its_call_is_found) {
  EXPECT_THAT(wrong_in({read(1, 0, 1), add(1, 2, 3)}), ElementsAre(HasSubstr("an add")));
  EXPECT_THAT(wrong_in({read(1, 0, 1), open_add(2)}), ElementsAre(HasSubstr("before any add")));
  EXPECT_THAT(wrong_in({open_add(0), read(2, 3, 4), open_add(5)}),
              ElementsAre(HasSubstr("before any add")));
}

TEST(Linearizable, an_add_without_an_answer_may_take_effect_late_or_never) {
  EXPECT_THAT(wrong_in({open_add(0), read(0, 1, 2), read(0, 100, 101)}), IsEmpty());
  EXPECT_THAT(wrong_in({open_add(0), read(0, 1, 2), read(1, 100, 101)}), IsEmpty());
  EXPECT_THAT(wrong_in({open_add(0), add(1, 1, 2), add(3, 3, 4)}), IsEmpty());
  const auto verdict = judge_counter("c", {open_add(0), open_add(1), add(2, 3, 4)});
  EXPECT_EQ(verdict.open, 2u);
  EXPECT_EQ(verdict.open_applied, 1u);
  EXPECT_EQ(verdict.done, 1u);
}

TEST(Linearizable, the_effect_of_a_refused_add_is_found) {
  const Operation refused{"c", Kind::add, Outcome::refused, 0, 0, 1};
  EXPECT_THAT(wrong_in({refused, read(0, 2, 3)}), IsEmpty());
  EXPECT_THAT(wrong_in({refused, read(1, 2, 3)}), ElementsAre(HasSubstr("belong to no")));
}

TEST(Linearizable, a_value_that_no_counter_has_is_found) {
  EXPECT_THAT(wrong_in({read(-1, 0, 1)}), ElementsAre(HasSubstr("no counter does")));
  EXPECT_THAT(wrong_in({add(0, 0, 1)}), ElementsAre(HasSubstr("no counter does")));
}

// The counter as search_order knows it.
struct CounterModel {
  using State = std::int64_t;
  using Operation = testing::Operation;
  static Interval interval(const Operation& operation) {
    return {operation.invoked_ns, operation.returned_ns, operation.outcome == Outcome::open};
  }
  static bool step(const Operation& operation, State& value) {
    value += operation.kind == Kind::add ? 1 : 0;
    return operation.outcome == Outcome::open || operation.value == value;
  }
};

bool finds_an_order(const std::vector<Operation>& operations) {
  return search_order<CounterModel>(operations, 0).found == Found::an_order;
}

// What clients of a real counter could have seen, and then, half of the time, a little changed.
std::vector<Operation> random_history(SeededRandom& random) {
  constexpr std::size_t kOperationsMaximum = 8;
  std::vector<Operation> operations;
  std::int64_t value = 0;
  std::int64_t now = 0;
  for (auto left = 1 + random.below(kOperationsMaximum); left > 0; --left) {
    now += static_cast<std::int64_t>(random.below(4));
    const bool adds = random.chance(0.6);
    const bool open = random.chance(0.2);
    const auto from = now - static_cast<std::int64_t>(random.below(8));
    const auto to = now + static_cast<std::int64_t>(random.below(8));
    if (adds && (!open || random.chance(0.5))) ++value;
    if (open && adds) operations.push_back(open_add(from));
    if (!open) operations.push_back(done(adds ? Kind::add : Kind::read, value, from, to));
  }
  if (operations.empty() || random.chance(0.5)) return operations;
  Operation& victim = operations[random.below(operations.size())];
  if (random.chance(0.5)) {
    victim.value += random.chance(0.5) ? 1 : -1;
  } else {
    const auto shift = static_cast<std::int64_t>(random.below(12)) - 6;
    victim.invoked_ns += shift;
    if (victim.outcome == Outcome::done) victim.returned_ns += shift;
  }
  return operations;
}

std::string in_words(const std::vector<Operation>& operations) {
  std::string words;
  for (const auto& each : operations) {
    words += std::string(each.kind == Kind::add ? "add " : "read ") + std::to_string(each.value) +
             (each.outcome == Outcome::open ? " open" : "") + " [" +
             std::to_string(each.invoked_ns) + ", " + std::to_string(each.returned_ns) + "]\n";
  }
  return words;
}

TEST(Linearizable, the_judge_and_the_search_agree) {
  constexpr int kHistories = 20'000;
  const auto seed = system_random().next() % 1'000'000;
  SeededRandom random(seed);
  int right = 0;
  for (int i = 0; i < kHistories; ++i) {
    const auto history = random_history(random);
    const bool judged = wrong_in(history).empty();
    ASSERT_EQ(judged, finds_an_order(history)) << "seed " << seed << "\n" << in_words(history);
    right += judged ? 1 : 0;
  }
  EXPECT_GT(right, kHistories / 4) << "hardly any history was right";
  EXPECT_LT(right, kHistories * 9 / 10) << "hardly any history was wrong";
}

TEST(History, a_history_is_read_back_up_to_where_its_writer_was_killed) {
  const TemporaryFolder folder;
  {
    HistoryWriter writer(folder.path("one"));
    writer.invoked(1, "c", Kind::add);
    writer.returned(1, Outcome::done, 7);
    writer.invoked(2, "c", Kind::read);
    writer.returned(2, Outcome::refused, 0);
    writer.invoked(3, "d", Kind::add);
    writer.returned(3, Outcome::open, 0);
    writer.invoked(4, "d", Kind::add);
  }
  std::ofstream(folder.path("one"), std::ios::app) << "d 4 12";  // the writer was killed
  const auto operations = read_histories(folder.path());
  ASSERT_EQ(operations.size(), 4u);
  EXPECT_EQ(operations[0].value, 7);
  EXPECT_GE(operations[0].returned_ns, operations[0].invoked_ns);
  EXPECT_EQ(operations[1].outcome, Outcome::refused);
  for (const std::size_t open : {2u, 3u}) {
    EXPECT_EQ(operations[open].outcome, Outcome::open);
    EXPECT_EQ(operations[open].returned_ns, Operation::kNever);
    EXPECT_EQ(operations[open].counter, "d");
  }
  EXPECT_EQ(count_done(operations), 1u);
}

}  // namespace
}  // namespace semper::testing
