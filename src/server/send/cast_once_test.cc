// Casts that are sent again: counted once, in order, whatever the store answers.
#include "semper/server/cast_once.h"

#include <gtest/gtest.h>

#include "backends/memory/memory.h"
#include "semper/server/host.h"
#include "semper/server/ref.h"
#include "semper/testing/faulty_backend.h"
#include "semper/testing/seed.h"
#include "semper/testing/simulated_run.h"

namespace semper {
namespace {

using namespace std::chrono_literals;
using testing::simulated_run;

struct Diary {
  using State = std::vector<std::string>;
  struct Note {
    std::string text;
  };
  struct Lines {
    using Reply = std::vector<std::string>;
  };
  using Messages = semper::Messages<Note, Lines>;

  Result<State> init(const EntityId&) { return State(); }
  void handle_cast(const Note& m, State& s, Context&) { s.push_back(m.text); }
  Reply<std::vector<std::string>> handle_call(const Lines&, State& s, Context&) { return s; }
};

class CastOnceTest : public ::testing::Test {
 protected:
  CastOnceTest() {
    auto memory = *simulated_run(clock_, open_memory(*StoreUrl::parse("memory:"), env_));
    faulty_ = std::make_shared<testing::FaultyBackend>(memory, env_);
    store_.emplace(faulty_, env_);
  }

  static OnceCast note(const std::string& to, const std::string& text, std::uint64_t sequence) {
    return {EntityId{std::string(type_name<Diary>()), to},
            RawMessage{std::string(short_type_name<Diary::Note>()), encode(Diary::Note{text})},
            sequence};
  }

  Status send(std::vector<OnceCast> casts, std::string source = "log") {
    return simulated_run(clock_, cast_once(*store_, std::move(source), std::move(casts)));
  }

  static OnceStart start(const std::string& name, std::uint64_t order = 0) {
    OnceStart from;
    from.log = "log";
    from.start = name;
    from.order = order;
    return from;
  }

  Status send_as(OnceStart from, std::vector<OnceCast> casts) {
    return simulated_run(clock_, cast_once(*store_, std::move(from), std::move(casts)));
  }

  std::size_t count_rows() {
    return simulated_run(clock_, [&]() -> Task<std::size_t> {
      Transaction transaction = store_->begin();
      KeyRange rest{Bytes(1, '\x00'), Bytes(1, '\xfe')};
      std::size_t rows = 0;
      for (bool more = true; more;) {
        auto page = co_await transaction.get_range(rest);
        EXPECT_TRUE(page) << page.error().to_string();
        rows += page->rows.size();
        more = page->more;
        if (more) rest.begin = page->rows.back().key + '\x00';
      }
      co_return rows;
    }());
  }

  std::vector<std::string> lines(const std::string& of) {
    return simulated_run(clock_, [&]() -> Task<std::vector<std::string>> {
      HostOptions options;
      options.executor = co_await asio::this_coro::executor;
      Host host(*store_, options);
      host.serve<Diary>();
      EXPECT_TRUE(co_await host.start());
      auto read = co_await ref<Diary>(*store_, of).call(Diary::Lines{}, CallOptions{1min});
      EXPECT_TRUE(read) << read.error().to_string();
      EXPECT_TRUE(co_await host.stop());
      co_return *read;
    }());
  }

  testing::SimulatedClock clock_;
  SeededRandom random_{testing::test_seed()};
  Env env_{&clock_, &random_};
  std::shared_ptr<testing::FaultyBackend> faulty_;
  std::optional<Store> store_;
};

using Texts = std::vector<std::string>;

TEST_F(CastOnceTest, what_is_sent_again_counts_once) {
  const std::vector<OnceCast> casts = {note("a", "1", 10), note("b", "2", 20), note("a", "3", 30)};
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(send(casts));
  EXPECT_EQ(lines("a"), Texts({"1", "3"}));
  EXPECT_EQ(lines("b"), Texts({"2"}));
}

TEST_F(CastOnceTest, what_follows_a_part_that_was_sent_before_is_not_lost) {
  ASSERT_TRUE(send({note("a", "1", 10), note("a", "2", 11)}));
  ASSERT_TRUE(send({note("a", "2", 11), note("a", "3", 12)}));
  EXPECT_EQ(lines("a"), Texts({"1", "2", "3"}));
}

TEST_F(CastOnceTest, a_first_number_of_zero_is_not_taken_for_sent) {
  ASSERT_TRUE(send({note("a", "1", 0)}));
  ASSERT_TRUE(send({note("a", "1", 0)}));
  EXPECT_EQ(lines("a"), Texts({"1"}));
}

TEST_F(CastOnceTest, sources_do_not_share_their_numbers) {
  ASSERT_TRUE(send({note("a", "1", 10)}, "one"));
  ASSERT_TRUE(send({note("a", "2", 5)}, "two"));
  EXPECT_EQ(lines("a"), Texts({"1", "2"}));
}

TEST_F(CastOnceTest, a_kill_forgets_the_numbers_of_all_sources) {
  ASSERT_TRUE(send({note("a", "before", 10)}, "one"));
  ASSERT_TRUE(send({note("a", "before", 20)}, "two"));
  ASSERT_TRUE(simulated_run(clock_, ref<Diary>(*store_, "a").kill()));
  ASSERT_TRUE(send({note("a", "after", 10)}, "one"));
  EXPECT_EQ(lines("a"), Texts({"after"}));
}

TEST_F(CastOnceTest, more_than_a_transaction_holds_is_sent_in_order) {
  std::vector<OnceCast> casts;
  Texts expected;
  for (std::uint64_t i = 0; i < 2'500; ++i) {
    casts.push_back(note("a", std::to_string(i), i));
    expected.push_back(std::to_string(i));
  }
  ASSERT_TRUE(send(casts));
  ASSERT_TRUE(send(casts));
  EXPECT_EQ(lines("a"), expected);
}

TEST_F(CastOnceTest, a_cast_that_can_never_be_sent_is_named_and_none_is_sent) {
  std::vector<OnceCast> casts = {note("a", "1", 10), note("", "2", 11)};
  const auto empty_id = send(casts);
  ASSERT_FALSE(empty_id);
  EXPECT_EQ(empty_id.error().kind(), ErrorKind::invalid_argument);
  EXPECT_NE(empty_id.error().message().find("cast 11"), std::string::npos);
  casts[1] = note("a", std::string(200'000, 'x'), 11);
  EXPECT_EQ(send(casts).error().kind(), ErrorKind::exhausted);
  EXPECT_EQ(send({note("a", "1", 1)}, "").error().kind(), ErrorKind::invalid_argument);
  EXPECT_EQ(lines("a"), Texts());
}

TEST_F(CastOnceTest, repeated_until_it_succeeds_each_counts_once_whatever_the_store_answers) {
  testing::StoreFaults faults;
  faults.conflict = 0.2;
  faults.unknown_applied = 0.2;
  faults.unknown_lost = 0.1;
  faults.unknown_late = 0.1;
  Texts expected;
  for (int round = 0; round < 50; ++round) {
    std::vector<OnceCast> casts;
    for (int i = 0; i < 7; ++i) {
      const std::string text = std::to_string(round) + "/" + std::to_string(i);
      casts.push_back(note("a", text, static_cast<std::uint64_t>(round * 7 + i)));
      expected.push_back(text);
    }
    faulty_->set_faults(faults);
    for (int attempt = 0; !send(casts); ++attempt) ASSERT_LT(attempt, 100);
    faulty_->calm();
  }
  EXPECT_EQ(lines("a"), expected);
}

TEST_F(CastOnceTest, many_small_ones_to_distinct_entities_fit_a_store_of_few_operations) {
  const auto url = *StoreUrl::parse("memory:?transaction_operations=100");
  auto small = *simulated_run(clock_, open_memory(url, env_));
  store_.emplace(small, env_);
  std::vector<OnceCast> casts;
  for (std::uint64_t i = 0; i < 300; ++i) casts.push_back(note(std::to_string(i), "n", i));
  const Status sent = send(std::move(casts));
  EXPECT_TRUE(sent) << sent.error().to_string();
  EXPECT_EQ(lines("299"), std::vector<std::string>{"n"});
}

TEST_F(CastOnceTest, what_a_start_sends_again_counts_once_at_whatever_entity) {
  const std::vector<OnceCast> casts = {note("a", "1", 10), note("b", "2", 20), note("a", "3", 30)};
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(send_as(start("one"), casts));
  ASSERT_TRUE(send_as(start("one"), {note("a", "3", 30), note("c", "4", 40)}));
  EXPECT_EQ(lines("a"), Texts({"1", "3"}));
  EXPECT_EQ(lines("b"), Texts({"2"}));
  EXPECT_EQ(lines("c"), Texts({"4"}));
}

TEST_F(CastOnceTest, starts_do_not_share_their_numbers) {
  ASSERT_TRUE(send_as(start("one"), {note("a", "1", 10)}));
  ASSERT_TRUE(send_as(start("two"), {note("a", "2", 5)}));
  EXPECT_EQ(lines("a"), Texts({"1", "2"}));
}

TEST_F(CastOnceTest, a_kill_makes_nothing_of_a_start_come_again) {
  ASSERT_TRUE(send_as(start("one"), {note("a", "before", 10)}));
  ASSERT_TRUE(simulated_run(clock_, ref<Diary>(*store_, "a").kill()));
  ASSERT_TRUE(send_as(start("one"), {note("a", "before", 10), note("a", "after", 11)}));
  EXPECT_EQ(lines("a"), Texts({"after"}));
}

TEST_F(CastOnceTest, repeated_by_a_start_until_it_succeeds_each_counts_once) {
  testing::StoreFaults faults;
  faults.conflict = 0.2;
  faults.unknown_applied = 0.2;
  faults.unknown_lost = 0.1;
  faults.unknown_late = 0.1;
  Texts expected;
  for (int round = 0; round < 50; ++round) {
    const OnceStart from = start("start " + std::to_string(round / 10));
    std::vector<OnceCast> casts;
    for (int i = 0; i < 7; ++i) {
      const std::string text = std::to_string(round) + "/" + std::to_string(i);
      casts.push_back(note("a", text, static_cast<std::uint64_t>(round * 7 + i)));
      expected.push_back(text);
    }
    faulty_->set_faults(faults);
    for (int attempt = 0; !send_as(from, casts); ++attempt) ASSERT_LT(attempt, 100);
    faulty_->calm();
  }
  EXPECT_EQ(lines("a"), expected);
}

TEST_F(CastOnceTest, the_starts_that_a_store_remembers_are_bounded_and_no_other_is_believed) {
  const auto send_from_many = [&](std::uint64_t first) {
    simulated_run(clock_, [&]() -> Task<void> {
      for (std::uint64_t i = 0; i < kOnceStartsRemembered; ++i) {
        const std::vector<OnceCast> casts = {note("a", "x", 1)};
        auto sent = co_await cast_once(*store_, start(std::to_string(first + i), first + i), casts);
        EXPECT_TRUE(sent) << sent.error().to_string();
      }
    }());
    ASSERT_TRUE(simulated_run(clock_, ref<Diary>(*store_, "a").kill()));
  };
  ASSERT_TRUE(send_as(start("old", 1), {note("b", "1", 10)}));
  send_from_many(2);
  const std::size_t rows = count_rows();
  send_from_many(2 + kOnceStartsRemembered);
  EXPECT_LE(count_rows(), rows) << "there is no bound";

  const Status again = send_as(start("old", 1), {note("b", "1", 10)});
  ASSERT_FALSE(again) << "it took effect twice";
  EXPECT_EQ(again.error().kind(), ErrorKind::exhausted);
  EXPECT_STREQ(again.error().limit()->name, "kOnceStartsRemembered");
  OnceStart running = start("running", 1);
  running.sent_nothing = true;
  EXPECT_TRUE(send_as(running, {note("b", "2", 10)})) << "a copy that begins to live is refused";
  running.sent_nothing = false;
  EXPECT_TRUE(send_as(running, {note("b", "2", 10), note("b", "3", 11)}));
  EXPECT_TRUE(send_as(start("young", 1'000'000), {note("b", "4", 10)}));
  EXPECT_EQ(lines("b"), Texts({"1", "2", "3", "4"}));
}

}  // namespace
}  // namespace semper
