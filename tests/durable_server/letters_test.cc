// Dead letters: who is told, what the record says, how they are put back and deleted, and how long
// they stay.
#include <atomic>

#include "behaviours.h"
#include "semper/server/dead_letters.h"
#include "world.h"

namespace semper::testing {
namespace {

using namespace std::chrono_literals;

SERVER_SUITE(Letters);
SERVER_SUITE_ON(TimedLetters, worlds_in(TimeKind::simulated));

// A message fails until the program is mended.
struct Mender {
  using State = std::vector<std::string>;
  struct Note {
    std::string text;
    using Reply = std::uint64_t;
  };
  struct Lines {
    using Reply = std::vector<std::string>;
  };
  using Messages = semper::Messages<Note, Lines>;

  Result<State> init(const EntityId&) { return State(); }
  Reply<std::uint64_t> handle_call(const Note& m, State& s, Context&) {
    take(m, s);
    return s.size();
  }
  Reply<std::vector<std::string>> handle_call(const Lines&, State& s, Context&) { return s; }
  void handle_cast(const Note& m, State& s, Context&) { take(m, s); }
  void take(const Note& m, State& s) {
    ++runs;
    s.push_back(m.text);
    if (m.text.starts_with("bad") && !is_mended) throw std::runtime_error("it does not go");
  }

  std::atomic<int> runs{0};
  std::atomic<bool> is_mended{false};
};

// The same, and tells of its letters, in its state and to another.
struct Teller : Mender {
  using Messages = semper::Messages<Note, Lines>;
  void handle_dead_letter(const DeadLetterInfo& letter, State& s, Context& context) {
    ++told;
    s.push_back("lost " + letter.message.name + " after " + std::to_string(letter.attempts));
    context.cast(semper::ref<Diary>(context.tenant(), "desk"), Diary::Note{letter.error.message()});
    context.after_commit([this] { ++committed; });
    if (is_clumsy) throw std::runtime_error("it fell");
  }
  std::atomic<int> told{0};
  std::atomic<int> committed{0};
  std::atomic<bool> is_clumsy{false};
};

struct Unforgiving : Mender {
  static constexpr int kMessageAttempts = 0;
};
struct Twice : Mender {
  static constexpr int kMessageAttempts = 2;
};
struct Tidy : Mender {
  static constexpr int kMessageAttempts = 1;
  static constexpr int kDeadLettersKept = 3;
  static constexpr auto kDeadLettersKeptFor = std::chrono::minutes(2);
};

template <class B>
Task<void> cast_all(World& world, Ref<B> ref, std::vector<std::string> texts) {
  for (auto& text : texts) must(co_await ref.template cast<typename B::Note>(std::move(text)));
  co_await world.until_processed(ref.untyped());
}

// What the store keeps of runs that failed.
Task<std::vector<KeyValue>> failed_runs(World& world, EntityId id) {
  const Bytes key = entity_key(id, 9);
  co_return co_await world.rows(KeyRange::point(key));
}

SERVER_TEST(Letters, a_caller_is_told_that_its_message_was_set_aside_and_after_how_many_runs) {
  auto behaviour = std::make_shared<Mender>();
  co_await world.serve<Mender>(behaviour);
  auto ref = world.ref<Mender>("m");
  const CallOptions patient{world.patience()};
  const Mender::Note bad{"bad"};
  const Error error = must_fail(co_await ref.call(bad, patient));
  EXPECT_EQ(error.kind(), ErrorKind::internal);
  EXPECT_EQ(dead_letter_attempts(error), 3u) << error.to_string();
  EXPECT_EQ(dead_letter_attempts(error.in("somewhere")), 3u);
  EXPECT_NE(error.message().find("it does not go"), std::string::npos) << error.to_string();
  const auto letters = co_await world.letters_of(ref.entity());
  EXPECT_EQ(letters.size(), 1u);
  for (const auto& letter : letters) {
    EXPECT_EQ(letter.attempts, 3u);
    EXPECT_LT(letter.first_attempt, letter.time);
    EXPECT_TRUE(letter.was_call);
  }
  EXPECT_EQ(must(co_await count_dead_letters(world.store(), ref.entity())), 1u);
}

SERVER_TEST(Letters, an_entity_is_told_of_its_letter_in_the_transaction_that_sets_it_aside) {
  auto teller = std::make_shared<Teller>();
  co_await world.serve<Teller>(teller);
  co_await world.serve<Diary>();
  auto ref = world.ref<Teller>("t");
  co_await cast_all(world, ref, list("good", "bad", "better"));
  EXPECT_EQ(must(co_await ref.call<Teller::Lines>()), list("good", "lost Note after 3", "better"));
  auto desk = world.ref<Diary>("desk");
  co_await world.until_processed(desk.untyped());
  const auto lines = must(co_await desk.call<Diary::Lines>());
  EXPECT_EQ(lines.size(), 1u);
  EXPECT_NE(lines.at(0).find("it does not go"), std::string::npos) << lines.at(0);
  co_await world.eventually([&] { return teller->committed == 1; });
  const RawMessage damaged{"Note", Bytes("\xff")};
  std::vector<RawMessage> one;
  one.push_back(damaged);
  must(co_await ref.untyped().cast(std::move(one)));
  co_await world.until_processed(ref.untyped());
  EXPECT_EQ(must(co_await ref.call<Teller::Lines>()),
            list("good", "lost Note after 3", "better", "lost Note after 1"));
}

SERVER_TEST(Letters, a_callback_for_letters_that_fails_neither_loops_nor_holds_the_letter_up) {
  auto teller = std::make_shared<Teller>();
  teller->is_clumsy = true;
  co_await world.serve<Teller>(teller);
  auto ref = world.ref<Teller>("t");
  co_await cast_all(world, ref, list("bad", "good"));
  EXPECT_EQ(must(co_await ref.call<Teller::Lines>()), list("good"));
  EXPECT_EQ((co_await world.letters_of(ref.entity())).size(), 1u);
  EXPECT_EQ(teller->committed, 0);
  if (world.is_steady()) {
    EXPECT_EQ(teller->told, 1) << "it never runs again for that letter";
  }
  auto desk = world.ref<Diary>("desk");
  EXPECT_EQ(must(co_await desk.queue_length()), 0u) << "what it sent went nowhere";
}

SERVER_TEST(Letters, a_type_says_how_often_its_messages_run) {
  auto twice = std::make_shared<Twice>();
  co_await world.serve<Twice>(twice);
  auto ref = world.ref<Twice>("t");
  co_await cast_all(world, ref, list("bad"));
  const auto letters = co_await world.letters_of(ref.entity());
  EXPECT_EQ(letters.size(), 1u);
  for (const auto& letter : letters) EXPECT_EQ(letter.attempts, 2u);
}

SERVER_TEST(Letters, a_type_without_a_threshold_tries_for_ever_and_goes_on_when_it_is_mended) {
  auto unforgiving = std::make_shared<Unforgiving>();
  co_await world.serve<Unforgiving>(unforgiving);
  auto ref = world.ref<Unforgiving>("s");
  must(co_await ref.cast<Unforgiving::Note>("bad"));
  must(co_await ref.cast<Unforgiving::Note>("good"));
  co_await world.eventually([&] { return unforgiving->runs >= 6; });
  EXPECT_EQ(must(co_await ref.queue_length()), 2u);
  const auto failing = (co_await world.look(ref)).failing;
  EXPECT_TRUE(failing && failing->attempts >= 3);
  EXPECT_NE(failing.value_or(FailingView()).reason.find("it does not go"), std::string::npos);
  unforgiving->is_mended = true;
  co_await world.until_processed(ref.untyped());
  EXPECT_EQ(must(co_await ref.call<Unforgiving::Lines>()), list("bad", "good"));
  EXPECT_TRUE((co_await world.letters_of(ref.entity())).empty());
}

SERVER_TEST(Letters, nothing_is_left_of_an_entity_that_was_killed_while_its_message_failed) {
  co_await world.serve<Unforgiving>();
  for (int i = 0; i < 8; ++i) {
    auto ref = world.ref<Unforgiving>("s" + std::to_string(i));
    must(co_await ref.cast<Unforgiving::Note>("bad"));
    co_await world.eventually(
        [&]() -> Task<bool> { co_return (co_await world.look(ref)).failing.has_value(); });
    EXPECT_EQ((co_await failed_runs(world, ref.entity())).size(), 1u);
    must(co_await ref.kill());
    co_await world.eventually(
        [&]() -> Task<bool> { co_return !(co_await inspect(world.store(), ref.entity())); });
  }
  must(co_await sleep_for(world.clock(), world.is_simulated() ? Duration(10s) : Duration(300ms)));
  for (int i = 0; i < 8; ++i) {
    const EntityId id = world.ref<Unforgiving>("s" + std::to_string(i)).entity();
    EXPECT_TRUE((co_await failed_runs(world, id)).empty()) << i;
  }
}

// Processes that end between two runs, long before a message has had its runs in any of them.
SERVER_TEST(TimedLetters, runs_are_counted_across_processes_that_end) {
  auto ref = world.ref<Mender>("m");
  must(co_await ref.cast<Mender::Note>("bad"));
  HostOptions slow = quick_options();
  slow.message_attempts = 4;
  slow.message_backoff.initial = 10min;
  slow.message_backoff.maximum = 10min;
  int runs = 0;
  for (int life = 0; life < 4; ++life) {
    auto behaviour = std::make_shared<Mender>();
    auto& server = *co_await world.serve<Mender>(behaviour, slow);
    co_await world.eventually([&] { return behaviour->runs > 0; });
    if (life == 3) co_await world.until_processed(ref.untyped());
    must(co_await sleep_for(world.clock(), 5s));
    runs += behaviour->runs;
    server.kill();
  }
  const auto letters = co_await world.letters_of(ref.entity());
  EXPECT_EQ(letters.size(), 1u);
  for (const auto& letter : letters) {
    EXPECT_EQ(letter.attempts, 4u);
    EXPECT_GE(letter.time - letter.first_attempt, 15s);
  }
  EXPECT_FALSE((co_await world.look(ref)).failing);
  EXPECT_TRUE((co_await failed_runs(world, ref.entity())).empty());
}

SERVER_TEST(Letters, letters_that_are_named_go_back_together_or_not_at_all) {
  auto behaviour = std::make_shared<Twice>();
  co_await world.serve<Twice>(behaviour);
  auto ref = world.ref<Twice>("t");
  const EntityId id = ref.entity();
  co_await cast_all(world, ref, list("bad 1", "bad 2", "bad 3", "bad 4"));
  const auto letters = co_await world.letters_of(id);
  EXPECT_EQ(letters.size(), 4u);
  behaviour->is_mended = true;
  std::vector<Versionstamp> with_a_stranger = {letters.at(0).stamp, Versionstamp::incomplete(9)};
  const Error error = must_fail(co_await redrive_dead_letters(world.store(), id, with_a_stranger));
  EXPECT_EQ(error.kind(), ErrorKind::not_found);
  EXPECT_EQ(must(co_await count_dead_letters(world.store(), id)), 4u);
  std::vector<Versionstamp> two = {letters.at(2).stamp, letters.at(0).stamp};
  must(co_await redrive_dead_letters(world.store(), id, two));
  co_await world.until_processed(ref.untyped());
  EXPECT_EQ(must(co_await ref.call<Twice::Lines>()), list("bad 3", "bad 1"));
  std::vector<Versionstamp> one = {letters.at(3).stamp};
  must(co_await delete_dead_letters(world.store(), id, one));
  EXPECT_EQ(must(co_await purge_dead_letters(world.store(), id)), 1u);
  EXPECT_EQ(must(co_await count_dead_letters(world.store(), id)), 0u);
  std::vector<Versionstamp> too_many(kDeadLettersAtOnce + 1);
  EXPECT_EQ(must_fail(co_await redrive_dead_letters(world.store(), id, too_many)).kind(),
            ErrorKind::invalid_argument);
}

SERVER_TEST(TimedLetters, letters_past_the_number_or_the_age_of_their_type_go_when_another_comes) {
  co_await world.serve<Tidy>();
  auto ref = world.ref<Tidy>("t");
  const EntityId id = ref.entity();
  co_await cast_all(world, ref, list("bad 1", "bad 2", "bad 3", "bad 4", "bad 5"));
  const auto letters = co_await world.letters_of(id);
  EXPECT_EQ(letters.size(), 3u);
  for (const auto& letter : letters) {
    const auto note = must(decode<Tidy::Note>(letter.message.payload));
    EXPECT_GE(note.text, "bad 3");
  }
  must(co_await sleep_for(world.clock(), 3min));
  co_await cast_all(world, ref, list("bad 6"));
  EXPECT_EQ(must(co_await count_dead_letters(world.store(), id)), 1u);
  must(co_await sleep_for(world.clock(), 1min));
  co_await cast_all(world, ref, list("bad 7"));
  const WallTime between = world.clock().wall_time() - 30s;
  EXPECT_EQ(must(co_await purge_dead_letters(world.store(), id, between)), 1u);
  EXPECT_EQ(must(co_await count_dead_letters(world.store(), id)), 1u);
}

}  // namespace
}  // namespace semper::testing
