// Whatever fails in the life of a message is its attempt: it is tried again, then set aside with
// the reason, the caller is told, and the messages behind it go on.
#include <atomic>

#include "behaviours.h"
#include "world.h"

namespace semper::testing {

// A text whose codec throws where it is told to.
struct Brittle {
  std::string text;
};

// what() of an exception may be null, and only those who never saw one believe otherwise.
struct Silent : std::exception {
  const char* what() const noexcept override { return nullptr; }
};

}  // namespace semper::testing

template <>
struct semper::Codec<semper::testing::Brittle> {
  static void encode(const testing::Brittle& value, Bytes& out) {
    if (value.text.find("not out") != std::string::npos) throw std::runtime_error("it is glued");
    if (value.text.find("no memory") != std::string::npos) throw std::bad_alloc();
    if (value.text.find("silent") != std::string::npos) throw testing::Silent();
    Codec<std::string>::encode(value.text, out);
  }
  static Result<testing::Brittle> decode(BytesView bytes) {
    SEMPER_TRY(auto text, Codec<std::string>::decode(bytes));
    if (text.find("not in") != std::string::npos) throw std::runtime_error("it is upside down");
    return testing::Brittle{std::move(text)};
  }
};

namespace semper::testing {
namespace {

using namespace std::chrono_literals;

SERVER_SUITE(Attempts);
SERVER_SUITE_ON(SmallAttempts, worlds_in(TimeKind::simulated));

// A callback here takes seconds, too long for reads of others that a fault delays.
SERVER_SUITE_ON(SlowMessages, calm_worlds());

// init refuses ids that begin with "bad", throws on those that begin with "worse", makes too large
// a state for "large", and takes two attempts where they begin with "slow".
struct Picky {
  using State = std::string;
  struct Add {
    std::string text;
    using Reply = std::uint64_t;
  };
  struct Locked {
    using Reply = std::uint64_t;
  };
  struct Read {
    using Reply = std::string;
  };
  using Messages = semper::Messages<Add, Locked, Read>;

  Result<State> init(const EntityId& id) {
    ++inits;
    if (id.id.starts_with("bad") && !is_mild) {
      return fail(ErrorKind::invalid_argument, "no account has such a number");
    }
    if (id.id.starts_with("worse")) throw std::runtime_error("the form is torn");
    if (id.id.starts_with("large")) return std::string(100'000, 'x');
    if (id.id.starts_with("slow") && inits < 3) return fail(ErrorKind::retry, "not yet");
    return State();
  }
  Reply<std::uint64_t> handle_call(const Add& m, State& s, Context&) {
    s += m.text;
    return s.size();
  }
  void handle_cast(const Add& m, State& s, Context&) { s += m.text; }
  Reply<std::uint64_t> handle_call(const Locked&, State&, Context&) { return lock(); }
  Reply<std::uint64_t> handle_locked(const Locked&, State& s, LockedContext&) { return s.size(); }
  Reply<std::string> handle_call(const Read&, State& s, Context&) { return s; }

  std::atomic<int> inits{0};
  std::atomic<bool> is_mild{false};
};

Picky::Add add(std::string text) {
  return {std::move(text)};
}

void expect_reasons(const std::vector<DeadLetterView>& letters, std::size_t count,
                    const std::string& reason) {
  EXPECT_EQ(letters.size(), count);
  for (const auto& letter : letters) {
    EXPECT_NE(letter.reason.find(reason), std::string::npos) << letter.reason;
  }
}

SERVER_TEST(Attempts, messages_to_an_entity_that_init_refuses_are_set_aside_with_its_reason) {
  auto behaviour = std::make_shared<Picky>();
  auto& server = *co_await world.serve<Picky>(behaviour);
  const CallOptions patient{world.patience()};
  for (const bool throws : {false, true}) {
    const std::string reason = throws ? "the form is torn" : "no account has such a number";
    behaviour->inits = 0;
    auto picky = world.ref<Picky>(throws ? "worse" : "bad");
    const auto message = add("x");
    const Error error = must_fail(co_await picky.call(message, patient));
    EXPECT_NE(error.message().find(reason), std::string::npos) << error.to_string();
    EXPECT_GE(behaviour->inits, quick_options().message_attempts);
    must(co_await picky.cast(message));
    co_await world.until_processed(picky.untyped());
    expect_reasons(co_await world.letters_of(picky.entity()), 2, reason);
    EXPECT_FALSE((co_await world.look(picky)).state);
  }
  co_await world.eventually([&] { return server.host().statistics().dead_letters == 4; });
  co_await world.until_clean();
}

SERVER_TEST(Attempts, local_callers_of_an_entity_that_init_refuses_are_told_at_once) {
  auto& server = *co_await world.serve<Picky>();
  const auto message = add("x");
  auto bad = server.ref<Picky>("bad");
  const Error error = must_fail(co_await bad.call(message));
  EXPECT_EQ(error.kind(), ErrorKind::invalid_argument);
  EXPECT_NE(error.message().find("no account"), std::string::npos) << error.to_string();
  EXPECT_EQ(must_fail(co_await bad.cast(message)).kind(), ErrorKind::invalid_argument);
  EXPECT_EQ(must_fail(co_await bad.priority_call(message)).kind(), ErrorKind::invalid_argument);
  auto worse = server.ref<Picky>("worse");
  EXPECT_EQ(must_fail(co_await worse.call(message)).kind(), ErrorKind::internal);
  // As one that a callback throws on: queued, retried, set aside.
  must(co_await worse.cast(message));
  co_await world.until_processed(worse.untyped());
  expect_reasons(co_await world.letters_of(worse.entity()), 1, "the form is torn");
  co_await world.until_clean();
}

SERVER_TEST(Attempts, an_init_that_refuses_for_a_while_loses_nothing) {
  auto behaviour = std::make_shared<Picky>();
  auto options = quick_options();
  options.message_attempts = 10;
  co_await world.serve<Picky>(behaviour, options);
  auto picky = world.ref<Picky>("slow");
  const auto message = add("x");
  must(co_await picky.cast(message));
  co_await world.until_processed(picky.untyped());
  EXPECT_EQ(must(co_await picky.call(Picky::Read{})), "x");
  expect_reasons(co_await world.letters_of(picky.entity()), 0, "");
}

SERVER_TEST(Attempts, an_entity_that_init_refused_begins_with_the_first_message_it_takes) {
  auto behaviour = std::make_shared<Picky>();
  co_await world.serve<Picky>(behaviour);
  auto picky = world.ref<Picky>("bad");
  const auto message = add("x");
  must(co_await picky.cast(message));
  co_await world.until_processed(picky.untyped());
  behaviour->is_mild = true;
  const CallOptions patient{world.patience()};
  EXPECT_EQ(must(co_await picky.call(message, patient)), 1u);
  EXPECT_EQ(must(co_await redrive_dead_letters(world.store(), picky.entity())), 1u);
  co_await world.until_processed(picky.untyped());
  EXPECT_EQ(must(co_await picky.call(Picky::Read{}, patient)), "xx");
  EXPECT_EQ(must(co_await picky.call(Picky::Locked{}, patient)), 2u);
  co_await world.until_clean();
}

SERVER_TEST_WITH(SmallAttempts, messages_to_an_entity_whose_first_state_is_too_large_are_set_aside,
                 kSmallStore) {
  co_await world.serve<Picky>();
  auto picky = world.ref<Picky>("large");
  const CallOptions patient{world.patience()};
  const auto message = add("x");
  const Error error = must_fail(co_await picky.call(message, patient));
  EXPECT_EQ(error.kind(), ErrorKind::exhausted);
  EXPECT_EQ(must_fail(co_await picky.call(Picky::Locked{}, patient)).kind(), ErrorKind::exhausted);
  must(co_await picky.cast(message));
  co_await world.until_processed(picky.untyped());
  expect_reasons(co_await world.letters_of(picky.entity()), 3, "transaction_bytes");
  co_await world.until_clean();
}

// States, messages and replies with a codec that throws.
struct Glass {
  using State = Brittle;
  struct Write {
    std::string text;
    using Reply = std::uint64_t;
  };
  struct Show {
    Brittle what;
    using Reply = Brittle;
  };
  struct WriteLocked {
    std::string text;
    using Reply = std::uint64_t;
  };
  struct LockOn {
    std::string text;
    using Reply = std::uint64_t;
  };
  using Messages = semper::Messages<Write, Show, WriteLocked, LockOn>;

  Result<State> init(const EntityId&) { return State(); }
  Reply<std::uint64_t> handle_call(const Write& m, State& s, Context&) {
    s.text += m.text;
    return s.text.size();
  }
  void handle_cast(const Write& m, State& s, Context&) { s.text += m.text; }
  Reply<Brittle> handle_call(const Show& m, State& s, Context&) {
    return Brittle{s.text + m.what.text};
  }
  void handle_cast(const Show&, State&, Context&) {}
  Reply<std::uint64_t> handle_call(const WriteLocked&, State&, Context&) { return lock(); }
  Reply<std::uint64_t> handle_locked(const WriteLocked& m, State& s, LockedContext&) {
    s.text += m.text;
    return s.text.size();
  }
  Reply<std::uint64_t> handle_call(const LockOn& m, State& s, Context&) {
    s.text += m.text;
    return lock();
  }
  Reply<std::uint64_t> handle_locked(const LockOn&, State& s, LockedContext&) {
    return s.text.size();
  }
};

Glass::Write inscribe(std::string text) {
  return {std::move(text)};
}
Task<std::string> text_of(World& world, Ref<Glass> glass) {
  co_await world.until_processed(glass.untyped());
  const CallOptions patient{world.patience()};
  const Glass::Show nothing;
  co_return must(co_await glass.call(nothing, patient)).text;
}

SERVER_TEST(Attempts,
            a_message_whose_state_does_not_encode_is_set_aside_and_the_others_are_applied) {
  auto glass = world.ref<Glass>("g");
  Batch<Glass> batch;
  for (int i = 0; i < 20; ++i) batch.add(inscribe(i == 7 ? "not out" : "a"));
  must(co_await glass.cast(batch));
  co_await world.serve<Glass>();
  EXPECT_EQ(co_await text_of(world, glass), std::string(19, 'a'));
  expect_reasons(co_await world.letters_of(glass.entity()), 1, "it is glued");
  co_await world.until_clean();
}

SERVER_TEST(Attempts, the_caller_whose_state_or_reply_does_not_encode_is_told) {
  auto& server = *co_await world.serve<Glass>();
  const CallOptions patient{world.patience()};
  for (const bool local : {false, true}) {
    auto glass = local ? server.ref<Glass>("local") : world.ref<Glass>("queued");
    const auto bad = inscribe("not out");
    const Error state = must_fail(co_await glass.call(bad, patient));
    EXPECT_NE(state.message().find("it is glued"), std::string::npos) << state.to_string();
    const auto good = inscribe("not ");
    must(co_await glass.call(good, patient));
    const Glass::Show show{Brittle{"out"}};
    const Error reply = must_fail(co_await glass.call(show, patient));
    EXPECT_NE(reply.message().find("it is glued"), std::string::npos) << reply.to_string();
    const Glass::LockOn lock_on{"out"};
    const Error lock = must_fail(co_await glass.call(lock_on, patient));
    EXPECT_NE(lock.message().find("it is glued"), std::string::npos) << lock.to_string();
    const Glass::WriteLocked locked{"out"};
    const Error result = must_fail(co_await glass.call(locked, patient));
    EXPECT_NE(result.message().find("it is glued"), std::string::npos) << result.to_string();
    EXPECT_EQ(co_await text_of(world, glass), "not ");
  }
  // A local cast was promised to be durable: queued, retried, set aside.
  auto glass = server.ref<Glass>("cast");
  const auto bad = inscribe("not out");
  must(co_await glass.cast(bad));
  EXPECT_EQ(co_await text_of(world, glass), "");
  expect_reasons(co_await world.letters_of(glass.entity()), 1, "it is glued");
  EXPECT_EQ(must_fail(co_await glass.priority_call(bad)).kind(), ErrorKind::internal);
  co_await world.until_clean();
}

SERVER_TEST(Attempts, memory_that_runs_out_or_an_exception_without_a_text_is_a_failed_run) {
  auto& server = *co_await world.serve<Glass>();
  for (const std::string bad : {"no memory", "silent"}) {
    for (const bool local : {false, true}) {
      auto glass = (local ? server.ref<Glass>(bad + " here") : world.ref<Glass>(bad));
      const auto message = inscribe(bad);
      must(co_await glass.cast(message));
      EXPECT_EQ(co_await text_of(world, glass), "");
      const auto letters = co_await world.letters_of(glass.entity());
      expect_reasons(letters, 1, bad == "silent" ? "without a text" : "memory ran out");
      for (const auto& letter : letters) {
        EXPECT_EQ(letter.attempts, quick_options().message_attempts) << letter.reason;
      }
    }
  }
  co_await world.until_clean();
}

SERVER_TEST(Attempts, a_message_whose_codec_throws_is_set_aside_and_its_caller_told) {
  auto& server = *co_await world.serve<Glass>();
  const CallOptions patient{world.patience()};
  for (const bool local : {false, true}) {
    auto glass = local ? server.ref<Glass>("local") : world.ref<Glass>("queued");
    const Glass::Show bad{Brittle{"not in"}};
    const Error error = must_fail(co_await glass.call(bad, patient));
    EXPECT_NE(error.message().find("upside down"), std::string::npos) << error.to_string();
    const auto good = inscribe("a");
    must(co_await glass.cast(good));
    EXPECT_EQ(co_await text_of(world, glass), "a");
  }
  EXPECT_EQ((co_await world.letters_of(world.ref<Glass>("queued").entity())).size(), 1u);
  co_await world.until_clean();
}

SERVER_TEST(Attempts, callers_in_the_queue_of_a_parked_entity_are_told_and_their_messages_wait) {
  auto& server = *co_await world.serve<Glass>();
  auto glass = world.ref<Glass>("g");
  const CallOptions patient{world.patience()};
  const auto fatal = inscribe("not in");
  must(co_await glass.call(fatal, patient));
  server.kill();
  auto& other = *co_await world.serve<Glass>();
  const auto good = inscribe("a");
  const Error error = must_fail(co_await glass.call(good, patient));
  EXPECT_EQ(error.kind(), ErrorKind::corrupt) << error.to_string();
  EXPECT_NE(error.message().find("upside down"), std::string::npos) << error.to_string();
  EXPECT_EQ(must(co_await glass.queue_length()), 1u);
  EXPECT_TRUE((co_await world.look(glass)).parked);
  EXPECT_EQ(must_fail(co_await other.ref<Glass>("g").call(good, patient)).kind(),
            ErrorKind::corrupt);
  must(co_await glass.untyped().reset());
  EXPECT_EQ(co_await text_of(world, glass), "a");
  co_await world.until_clean();
}

// One type as two programs know it, one of which cannot read what the other wrote.
template <class StateOf>
struct Odd {
  static constexpr std::string_view kName = "Odd";
  using State = StateOf;
  struct Touch {
    static constexpr std::string_view kName = "Touch";
    using Reply = bool;
  };
  using Messages = semper::Messages<Touch>;
  Result<State> init(const EntityId&) { return State(); }
  Reply<bool> handle_call(const Touch&, State& s, Context&) {
    s = State();
    return true;
  }
};

SERVER_TEST(Attempts, the_note_that_an_entity_is_parked_goes_when_another_host_gets_on_with_it) {
  const auto odd = world.ref<Odd<std::int64_t>>("o");
  const CallOptions patient{world.patience()};
  auto* reads = co_await world.serve<Odd<std::int64_t>>();
  must(co_await odd.call(Odd<std::int64_t>::Touch{}, patient));
  must(co_await reads->run(reads->host().stop()));
  auto* reads_not = co_await world.serve<Odd<std::string>>();
  const auto refused = co_await odd.call(Odd<std::int64_t>::Touch{}, patient);
  EXPECT_EQ(must_fail(refused).kind(), ErrorKind::corrupt);
  EXPECT_TRUE((co_await world.look(odd)).parked);
  reads_not->kill();
  co_await world.serve<Odd<std::int64_t>>();
  must(co_await odd.call(Odd<std::int64_t>::Touch{}, patient));
  EXPECT_FALSE((co_await world.look(odd)).parked);
}

// Takes as long as it is told to.
struct Slow {
  using State = std::int64_t;
  struct Work {
    std::int64_t milliseconds = 0;
    using Reply = std::int64_t;
  };
  struct Read {
    using Reply = std::int64_t;
  };
  using Messages = semper::Messages<Work, Read>;
  explicit Slow(World& world) : clock(dynamic_cast<SimulatedClock*>(&world.clock())) {}
  Result<State> init(const EntityId&) { return 0; }
  void work(const Work& m, State& s) {
    ++runs;
    clock->advance(std::chrono::milliseconds(m.milliseconds));
    ++s;
  }
  Reply<std::int64_t> handle_call(const Work& m, State& s, Context&) {
    work(m, s);
    return s;
  }
  void handle_cast(const Work& m, State& s, Context&) { work(m, s); }
  Reply<std::int64_t> handle_call(const Read&, State& s, Context&) { return s; }
  SimulatedClock* const clock;
  std::atomic<int> runs{0};
};

SERVER_TEST(SlowMessages, are_processed_however_many_wait_and_not_run_again_for_each_other) {
  auto slow = world.ref<Slow>("s");
  for (int i = 0; i < 20; ++i) must(co_await slow.cast(Slow::Work{700}));
  auto behaviour = std::make_shared<Slow>(world);
  auto options = quick_options();
  options.host_lease = 1h;  // the callbacks keep the loop from renewing it
  co_await world.serve<Slow>(behaviour, options);
  co_await world.until_processed(slow.untyped());
  const CallOptions patient{world.patience()};
  EXPECT_EQ(must(co_await slow.call(Slow::Read{}, patient)), 20);
  EXPECT_EQ(behaviour->runs, 20);
}

SERVER_TEST(SlowMessages, a_batch_that_took_too_long_is_made_smaller) {
  auto slow = world.ref<Slow>("s");
  for (int i = 0; i < 8; ++i) must(co_await slow.cast(Slow::Work{2'000}));
  auto behaviour = std::make_shared<Slow>(world);
  auto options = quick_options();
  options.host_lease = 1h;
  options.batch_time = 1h;
  co_await world.serve<Slow>(behaviour, options);
  co_await world.until_processed(slow.untyped());
  const CallOptions patient{world.patience()};
  EXPECT_EQ(must(co_await slow.call(Slow::Read{}, patient)), 8);
  EXPECT_TRUE((co_await world.letters_of(slow.entity())).empty());
}

SERVER_TEST(SlowMessages, one_that_takes_longer_than_a_transaction_may_is_set_aside) {
  auto slow = world.ref<Slow>("s");
  must(co_await slow.cast(Slow::Work{10}));
  must(co_await slow.cast(Slow::Work{6'000}));
  must(co_await slow.cast(Slow::Work{10}));
  auto options = quick_options();
  options.host_lease = 1h;
  auto& server = *co_await world.serve<Slow>(std::make_shared<Slow>(world), options);
  co_await world.until_processed(slow.untyped());
  const CallOptions patient{world.patience()};
  EXPECT_EQ(must(co_await slow.call(Slow::Read{}, patient)), 2);
  expect_reasons(co_await world.letters_of(slow.entity()), 1, "handle_locked");
  const Error error = must_fail(co_await server.ref<Slow>("t").call(Slow::Work{6'000}, patient));
  EXPECT_EQ(error.kind(), ErrorKind::timeout) << error.to_string();
  EXPECT_EQ(must(co_await server.ref<Slow>("t").call(Slow::Read{}, patient)), 0);
}

// Fails on what it is told to, until it is told otherwise.
struct PickyAboutNumbers {
  using State = std::int64_t;
  struct Work {
    std::int64_t number = 0;
  };
  using Messages = semper::Messages<Work>;
  Result<State> init(const EntityId&) { return 0; }
  void handle_cast(const Work& m, State& s, Context&) {
    ++runs;
    if (m.number == hated) throw std::runtime_error("not this one");
    if (runs_of_second > 0 && m.number == 2 && --runs_of_second > 0) {
      throw std::runtime_error("not yet");
    }
    s += m.number;
  }
  std::atomic<int> runs{0};
  std::atomic<std::int64_t> hated{-1};
  std::atomic<int> runs_of_second{0};
};

SERVER_TEST(Attempts, what_is_known_of_a_message_is_not_held_against_one_that_comes_after_a_kill) {
  auto fussy = std::make_shared<PickyAboutNumbers>();
  auto options = quick_options();
  options.message_attempts = 3;
  options.message_backoff = {.initial = 300ms, .maximum = 300ms};
  fussy->hated = 1;
  co_await world.serve<PickyAboutNumbers>(fussy, options);
  auto entity = world.ref<PickyAboutNumbers>("f");
  must(co_await entity.cast(PickyAboutNumbers::Work{1}));
  co_await world.eventually([&] { return fussy->runs >= 2; });
  // It waits for its third attempt; the one that takes its place in the queue has had none.
  must(co_await entity.kill());
  fussy->runs_of_second = 3;
  must(co_await entity.cast(PickyAboutNumbers::Work{2}));
  co_await world.until_processed(entity.untyped());
  EXPECT_TRUE((co_await world.letters_of(entity.entity())).empty());
  EXPECT_EQ(must(decode<std::int64_t>(*(co_await world.look(entity)).state)), 2);
  co_await world.until_clean();
}

}  // namespace
}  // namespace semper::testing
