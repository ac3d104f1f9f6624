// Messages that fail: alone, without harm to others, and never without a trace.
#include <atomic>

#include "behaviours.h"
#include "world.h"

namespace semper::testing {
namespace {

SERVER_SUITE(Failures);

// Throws, fails or works as it is told; counts its runs beside the state.
struct Moody {
  using State = std::vector<std::string>;
  struct Write {
    std::string text;
    using Reply = std::uint64_t;
  };
  struct Throw {
    std::string text;
    using Reply = std::uint64_t;
  };
  struct Fail {
    std::string text;
  };
  struct ThrowTwice {
    using Reply = std::uint64_t;
  };
  struct Lines {
    using Reply = std::vector<std::string>;
  };
  struct OnlyCall {
    using Reply = std::int64_t;
  };
  using Messages = semper::Messages<Write, Throw, Fail, ThrowTwice, Lines, OnlyCall>;

  Result<State> init(const EntityId&) { return State(); }
  Reply<std::uint64_t> handle_call(const Write& m, State& s, Context&) {
    s.push_back(m.text);
    return s.size();
  }
  void handle_cast(const Write& m, State& s, Context&) { s.push_back(m.text); }
  Reply<std::uint64_t> handle_call(const Throw& m, State& s, Context&) { return spoil(m.text, s); }
  void handle_cast(const Throw& m, State& s, Context&) { spoil(m.text, s); }
  std::uint64_t spoil(const std::string& text, State& s) {
    ++throws;
    s.push_back("must not be seen");
    throw std::runtime_error(text);
  }
  Outcome handle_cast(const Fail& m, State& s, Context&) {
    ++fails;
    s.push_back("must not be seen");
    return fail(ErrorKind::io, m.text);
  }
  Reply<std::uint64_t> handle_call(const ThrowTwice&, State& s, Context&) { return twice(s); }
  void handle_cast(const ThrowTwice&, State& s, Context&) { twice(s); }
  std::uint64_t twice(State& s) {
    s.push_back("third time lucky");
    if (++attempts < 3) throw std::runtime_error("not yet");
    return s.size();
  }
  Reply<std::vector<std::string>> handle_call(const Lines&, State& s, Context&) { return s; }
  Reply<std::int64_t> handle_call(const OnlyCall&, State&, Context&) { return 1; }

  std::atomic<int> throws{0};
  std::atomic<int> fails{0};
  std::atomic<int> attempts{0};
};

using Lines = std::vector<std::string>;

Moody::Write write(std::string text) {
  return {std::move(text)};
}
Moody::Throw throws(std::string text) {
  return {std::move(text)};
}
Moody::Fail fails(std::string text) {
  return {std::move(text)};
}
RawMessage raw(std::string name, Bytes payload) {
  return {std::move(name), std::move(payload)};
}
Task<std::vector<DeadLetterView>> letters(World& world, const Ref<Moody>& moody) {
  co_return must(co_await list_dead_letters(world.store(), moody.entity()));
}

SERVER_TEST(Failures, a_queued_message_that_throws_is_set_aside_and_the_others_are_applied) {
  auto moody = world.ref<Moody>("m");
  Batch<Moody> batch;
  batch.add(write("a")).add(write("b")).add(throws("oh dear")).add(write("c"));
  must(co_await moody.cast(batch));
  auto behaviour = std::make_shared<Moody>();
  auto& server = *co_await world.serve<Moody>(behaviour);
  co_await world.until_processed(moody.untyped());
  EXPECT_EQ(must(co_await moody.call(Moody::Lines{})), list("a", "b", "c"));
  const auto dead = co_await letters(world, moody);
  EXPECT_EQ(dead.size(), 1u);
  if (!dead.empty()) {
    EXPECT_EQ(dead[0].message.name, "Throw");
    EXPECT_FALSE(dead[0].was_call);
    EXPECT_NE(dead[0].reason.find("oh dear"), std::string::npos) << dead[0].reason;
    EXPECT_EQ(decode<Moody::Throw>(dead[0].message.payload).value().text, "oh dear");
  }
  const auto attempts = quick_options().message_attempts;
  // Once with the others, and then as often as it may, alone. Conflicts run it again.
  EXPECT_GE(behaviour->throws.load(), attempts);
  if (world.is_steady()) {
    EXPECT_LE(behaviour->throws.load(), attempts + 1);
  }
  EXPECT_EQ(server.host().statistics().dead_letters, 1u);
  EXPECT_GE(server.host().statistics().failures, static_cast<std::uint64_t>(attempts));
  co_await world.until_clean();
}

SERVER_TEST(Failures, a_message_that_throws_for_a_while_is_applied_when_it_no_longer_does) {
  auto moody = world.ref<Moody>("m");
  Batch<Moody> batch;
  batch.add(write("a")).add(Moody::ThrowTwice{}).add(write("b"));
  must(co_await moody.cast(batch));
  auto options = quick_options();
  options.message_attempts = 10;
  co_await world.serve<Moody>(std::make_shared<Moody>(), options);
  co_await world.until_processed(moody.untyped());
  EXPECT_EQ(must(co_await moody.call(Moody::Lines{})), list("a", "third time lucky", "b"));
  EXPECT_TRUE((co_await letters(world, moody)).empty());
  co_await world.until_clean();
}

SERVER_TEST(Failures, the_caller_of_a_queued_call_that_throws_gets_the_error) {
  co_await world.serve<Moody>();
  auto moody = world.ref<Moody>("m");
  const auto first = write("a");
  must(co_await moody.call(first));
  const auto bad = throws("oh dear");
  const Error error = must_fail(co_await moody.call(bad));
  EXPECT_EQ(error.kind(), ErrorKind::internal);
  EXPECT_NE(error.message().find("oh dear"), std::string::npos) << error.to_string();
  EXPECT_EQ(must(co_await moody.call(Moody::Lines{})), list("a"));
  EXPECT_EQ((co_await letters(world, moody)).size(), 1u);
  co_await world.until_clean();
}

SERVER_TEST(Failures, a_cast_that_returns_an_error_is_retried_and_set_aside_with_it) {
  auto behaviour = std::make_shared<Moody>();
  co_await world.serve<Moody>(behaviour);
  auto moody = world.ref<Moody>("m");
  const auto bad = fails("the printer is on fire");
  must(co_await moody.cast(bad));
  const auto good = write("a");
  must(co_await moody.cast(good));
  co_await world.until_processed(moody.untyped());
  EXPECT_EQ(must(co_await moody.call(Moody::Lines{})), list("a"));
  const auto dead = co_await letters(world, moody);
  EXPECT_EQ(dead.size(), 1u);
  if (!dead.empty()) {
    EXPECT_NE(dead[0].reason.find("the printer is on fire"), std::string::npos) << dead[0].reason;
  }
  EXPECT_GE(behaviour->fails.load(), quick_options().message_attempts);
  co_await world.until_clean();
}

SERVER_TEST(Failures, a_local_call_that_throws_gets_internal_and_changes_nothing) {
  auto& server = *co_await world.serve<Moody>();
  auto moody = server.ref<Moody>("m");
  const auto good = write("a");
  must(co_await moody.call(good));
  const auto bad = throws("oh dear");
  const Error error = must_fail(co_await moody.call(bad));
  EXPECT_EQ(error.kind(), ErrorKind::internal);
  EXPECT_NE(error.message().find("oh dear"), std::string::npos) << error.to_string();
  EXPECT_EQ(must(co_await moody.call(Moody::Lines{})), list("a"));
  EXPECT_EQ(must(co_await moody.queue_length()), 0u);
  EXPECT_TRUE((co_await letters(world, moody)).empty());
  co_await world.until_clean();
}

SERVER_TEST(Failures, a_local_call_that_throws_does_not_harm_those_beside_it) {
  auto& server = *co_await world.serve<Moody>();
  constexpr int kCallers = 12;
  std::atomic<int> refused{0};
  CallOptions patient{world.patience()};
  co_await world.in_parallel(kCallers, [&](int who) -> Task<void> {
    auto moody = server.ref<Moody>("m");
    if (who % 3 == 0) {
      const auto bad = throws("oh dear");
      EXPECT_EQ(must_fail(co_await moody.call(bad, patient)).kind(), ErrorKind::internal);
      ++refused;
    } else {
      const auto good = write(std::to_string(who));
      must(co_await moody.call(good, patient));
    }
  });
  EXPECT_EQ(refused.load(), kCallers / 3);
  auto lines = must(co_await server.ref<Moody>("m").call(Moody::Lines{}));
  EXPECT_EQ(lines.size(), static_cast<std::size_t>(kCallers - kCallers / 3));
  EXPECT_EQ(std::count(lines.begin(), lines.end(), "must not be seen"), 0);
  co_await world.until_clean();
}

SERVER_TEST(Failures, a_local_cast_that_throws_is_queued_retried_and_set_aside) {
  auto behaviour = std::make_shared<Moody>();
  auto& server = *co_await world.serve<Moody>(behaviour);
  auto moody = server.ref<Moody>("m");
  const auto bad = throws("oh dear");
  must(co_await moody.cast(bad));
  co_await world.until_processed(moody.untyped());
  EXPECT_EQ((co_await letters(world, moody)).size(), 1u);
  EXPECT_GE(behaviour->throws.load(), quick_options().message_attempts);
  EXPECT_TRUE(must(co_await moody.call(Moody::Lines{})).empty());
  co_await world.until_clean();
}

SERVER_TEST(Failures, of_a_local_batch_with_one_that_throws_only_that_one_is_set_aside) {
  auto& server = *co_await world.serve<Moody>();
  auto moody = server.ref<Moody>("m");
  Batch<Moody> batch;
  batch.add(write("a")).add(throws("oh dear")).add(write("b"));
  must(co_await moody.cast(batch));
  co_await world.until_processed(moody.untyped());
  EXPECT_EQ(must(co_await moody.call(Moody::Lines{})), list("a", "b"));
  EXPECT_EQ((co_await letters(world, moody)).size(), 1u);
  co_await world.until_clean();
}

HostOptions impatient() {
  HostOptions options = quick_options();
  options.unknown_message_wait = Duration(0);
  return options;
}

// Where it does not wait for a host that knows it: see versions_test.cc.
SERVER_TEST(Failures, an_unknown_message_is_refused_or_set_aside_and_names_those_there_are) {
  auto& server = *co_await world.serve<Moody>(std::make_shared<Moody>(), impatient());
  for (const bool local : {true, false}) {
    auto moody = local ? server.ref<Moody>("local") : world.ref<Moody>("queued");
    const auto unknown = raw("Dance", encode(std::int64_t{1}));
    const Error error = must_fail(co_await moody.untyped().call(unknown));
    EXPECT_EQ(error.kind(), ErrorKind::unsupported);
    EXPECT_NE(error.message().find("Dance"), std::string::npos) << error.to_string();
    EXPECT_NE(error.message().find("ThrowTwice"), std::string::npos) << error.to_string();
    const auto good = write("still here");
    must(co_await moody.cast(good));
    EXPECT_EQ(must(co_await moody.call(Moody::Lines{})), list("still here"));
    EXPECT_TRUE((co_await letters(world, moody)).empty()) << "kept, though its sender was told";
  }
  auto queued = world.ref<Moody>("queued cast");
  std::vector<RawMessage> messages;
  messages.push_back(raw("Dance", encode(std::int64_t{1})));
  must(co_await queued.untyped().cast(messages));
  co_await world.until_processed(queued.untyped());
  const auto dead = co_await letters(world, queued);
  EXPECT_EQ(dead.size(), 1u);
  if (!dead.empty()) {
    EXPECT_EQ(dead[0].message.name, "Dance");
  }
  // Told at once where it can be.
  auto local = server.ref<Moody>("local cast");
  EXPECT_EQ(must_fail(co_await local.untyped().cast(messages)).kind(), ErrorKind::unsupported);
  co_await world.until_clean();
}

SERVER_TEST(Failures, a_message_that_does_not_decode_is_refused_or_set_aside) {
  auto& server = *co_await world.serve<Moody>();
  for (const bool local : {true, false}) {
    auto moody = local ? server.ref<Moody>("local") : world.ref<Moody>("queued");
    for (const Bytes& payload : {Bytes("\xff\xff"), Bytes(), encode(std::int64_t{7})}) {
      const auto damaged = raw("Write", payload);
      const Error error = must_fail(co_await moody.untyped().call(damaged));
      EXPECT_EQ(error.kind(), ErrorKind::invalid_argument);
      EXPECT_NE(error.message().find("Write"), std::string::npos) << error.to_string();
    }
    EXPECT_TRUE(must(co_await moody.call(Moody::Lines{})).empty());
    EXPECT_TRUE((co_await letters(world, moody)).empty()) << "kept, though its sender was told";
  }
  auto queued = world.ref<Moody>("queued cast");
  std::vector<RawMessage> messages;
  messages.push_back(raw("Write", "\xff\xff"));
  must(co_await queued.untyped().cast(messages));
  const auto good = write("still here");
  must(co_await queued.cast(good));
  co_await world.until_processed(queued.untyped());
  EXPECT_EQ(must(co_await queued.call(Moody::Lines{})), list("still here"));
  const auto dead = co_await letters(world, queued);
  EXPECT_EQ(dead.size(), 1u);
  if (!dead.empty()) {
    EXPECT_EQ(dead[0].message.payload, "\xff\xff");
  }
  co_await world.until_clean();
}

SERVER_TEST(Failures, a_call_that_is_refused_after_its_caller_has_gone_is_set_aside) {
  auto moody = world.ref<Moody>("queued");
  const auto damaged = raw("Write", "\xff\xff");
  CallOptions hasty{std::chrono::milliseconds(50)};
  EXPECT_EQ(must_fail(co_await moody.untyped().call(damaged, hasty)).kind(), ErrorKind::timeout);
  co_await world.eventually(
      [&]() -> Task<bool> { co_return (co_await world.rows(session_space())).empty(); });
  co_await world.serve<Moody>();
  co_await world.until_processed(moody.untyped());
  const auto dead = co_await letters(world, moody);
  EXPECT_EQ(dead.size(), 1u);
  if (!dead.empty()) {
    EXPECT_TRUE(dead[0].was_call);
    EXPECT_EQ(dead[0].message.payload, "\xff\xff");
  }
  co_await world.until_clean();
}

SERVER_TEST(Failures, a_message_without_the_callback_for_its_kind_is_refused_or_set_aside) {
  auto& server = *co_await world.serve<Moody>(std::make_shared<Moody>(), impatient());
  std::vector<RawMessage> messages;
  messages.push_back(raw("OnlyCall", encode(Moody::OnlyCall{})));
  auto local = server.ref<Moody>("local");
  const Error error = must_fail(co_await local.untyped().cast(messages));
  EXPECT_EQ(error.kind(), ErrorKind::unsupported);
  EXPECT_NE(error.message().find("handle_cast"), std::string::npos) << error.to_string();
  auto queued = world.ref<Moody>("queued");
  must(co_await queued.untyped().cast(messages));
  co_await world.until_processed(queued.untyped());
  EXPECT_EQ((co_await letters(world, queued)).size(), 1u);
  co_await world.until_clean();
}

SERVER_TEST(Failures, dead_letters_that_are_redriven_are_applied_in_order) {
  auto behaviour = std::make_shared<Moody>();
  auto options = quick_options();
  options.message_attempts = 1;
  auto& first = *co_await world.serve<Moody>(behaviour, options);
  auto moody = world.ref<Moody>("m");
  Batch<Moody> batch;
  batch.add(Moody::ThrowTwice{}).add(write("a"));
  must(co_await moody.cast(batch));
  co_await world.until_processed(moody.untyped());
  EXPECT_EQ((co_await letters(world, moody)).size(), 1u);
  behaviour->attempts = 10;
  EXPECT_EQ(must(co_await redrive_dead_letters(world.store(), moody.entity())), 1u);
  co_await world.until_processed(moody.untyped());
  EXPECT_EQ(must(co_await moody.call(Moody::Lines{})), list("a", "third time lucky"));
  EXPECT_TRUE((co_await letters(world, moody)).empty());
  static_cast<void>(first);
  co_await world.until_clean();
}

// One works only where it may, two from the third run on.
struct Fussy {
  using State = std::int64_t;
  struct Work {
    std::int64_t number = 0;
  };
  using Messages = semper::Messages<Work>;
  Result<State> init(const EntityId&) { return 0; }
  void handle_cast(const Work& m, State& s, Context&) {
    ++runs[m.number];
    if (m.number == 1 && !may_do_one) throw std::runtime_error("not one");
    if (m.number == 2 && runs[2] < 3) throw std::runtime_error("not two yet");
    s += m.number;
  }
  std::atomic<int> runs[3] = {};
  std::atomic<bool> may_do_one{false};
};

SERVER_TEST(Failures, one_messages_failures_are_not_counted_against_the_next) {
  auto fussy = std::make_shared<Fussy>();
  auto options = quick_options();
  options.message_attempts = 3;
  // Longer than another host needs to get through, also where the store is slow and fails.
  const Duration wait = world.is_simulated() ? Duration(std::chrono::seconds(30))
                                             : Duration(std::chrono::milliseconds(200));
  options.message_backoff = {.initial = wait, .maximum = wait};
  auto& slow = *co_await world.serve<Fussy>(fussy, options);
  auto entity = world.ref<Fussy>("f");
  must(co_await entity.cast(Fussy::Work{1}));
  co_await world.eventually([&] { return fussy->runs[1] == 2; });
  // While that host waits for its third attempt, another one, which gets on with it, comes: a
  // message of its own process has it look at the queue, whoever is to. One that meets a conflict
  // queues what comes next, and nobody has it look again: then another process comes.
  auto able = std::make_shared<Fussy>();
  able->may_do_one = true;
  std::vector<Process*> quick;
  for (int i = 0; i < 20 && must(co_await entity.queue_length()) > 0; ++i) {
    quick.push_back(co_await world.process());
    quick.back()->host().serve(able);
    must(co_await quick.back()->ref<Fussy>("f").cast(Fussy::Work{0}));
  }
  EXPECT_GT(able->runs[1].load(), 0);
  co_await world.until_processed(entity.untyped());
  for (Process* process : quick) process->kill();
  must(co_await entity.cast(Fussy::Work{2}));
  co_await world.until_processed(entity.untyped());
  // Where commits fail by chance, a run that had succeeded is repeated.
  if (world.is_steady()) {
    EXPECT_EQ(fussy->runs[2].load(), 3);
  }
  EXPECT_GE(fussy->runs[2].load(), 3);
  EXPECT_TRUE(must(co_await list_dead_letters(world.store(), entity.entity())).empty());
  static_cast<void>(slow);
}

}  // namespace
}  // namespace semper::testing
