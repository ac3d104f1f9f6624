// A message that ends the process that runs it: it is run again, but not on every host for ever,
// and what was beside it is applied.
#include <atomic>

#include "behaviours.h"
#include "semper/server/list_timers.h"
#include "world.h"

namespace semper::testing {
namespace {

using namespace std::chrono_literals;

SERVER_SUITE_ON(Deadly, worlds_in(TimeKind::simulated));

// What a process has from its store: answers, until it is dead.
struct Life {
  bool is_over = false;
  int commits = 0;
};

class MortalBackend final : public Backend {
 public:
  MortalBackend(std::shared_ptr<Backend> inner, std::shared_ptr<Life> life)
      : inner_(std::move(inner)), life_(std::move(life)) {}
  const Limits& limits() const override { return inner_->limits(); }
  BackendTraits traits() const override { return inner_->traits(); }
  std::string url() const override { return inner_->url(); }
  Async<std::unique_ptr<Snapshot>> snapshot() override {
    co_await live();
    co_return co_await inner_->snapshot();
  }
  Async<CommitReceipt> commit(CommitRequest request) override {
    co_await live();
    ++life_->commits;
    co_return co_await inner_->commit(std::move(request));
  }
  Async<void> raise_version(Version floor) override { return inner_->raise_version(floor); }
  Async<std::unique_ptr<Watch>> watch(BytesView key, Snapshot& seen) override {
    return inner_->watch(key, seen);
  }
  Async<std::string> check() override { return inner_->check(); }
  std::vector<std::pair<std::string, std::int64_t>> statistics() const override { return {}; }
  Async<void> close() override { return inner_->close(); }

 private:
  Task<void> live() {
    if (!life_->is_over) co_return;
    OneShot<std::monostate> never;
    static_cast<void>(co_await never.wait());
  }
  const std::shared_ptr<Backend> inner_;
  const std::shared_ptr<Life> life_;
};

// Writes down what it is told; Die ends its process, as Note does while `hates` is its text.
struct Victim {
  using State = std::vector<std::string>;
  struct Note {
    std::string text;
  };
  struct Die {
    using Reply = std::int64_t;
  };
  struct Lines {
    using Reply = std::vector<std::string>;
  };
  using Messages = semper::Messages<Note, Die, Lines>;
  Victim(std::shared_ptr<Life> whose, int& count) : life(std::move(whose)), runs(count) {}
  Result<State> init(const EntityId&) { return State(); }
  void handle_cast(const Note& m, State& s, Context&) { s.push_back(m.text); }
  void die() {
    ++runs;
    life->is_over = true;
    throw std::runtime_error("nothing that comes after this takes effect");
  }
  Reply<std::int64_t> handle_call(const Die&, State&, Context&) {
    die();
    return 0;
  }
  void handle_cast(const Die&, State&, Context&) { die(); }
  Reply<std::vector<std::string>> handle_call(const Lines&, State& s, Context&) { return s; }
  const std::shared_ptr<Life> life;
  int& runs;
};

Victim::Note line(std::string text) {
  return {std::move(text)};
}

// A process that serves Victim until it dies.
struct Mortal {
  Process* process = nullptr;
  std::unique_ptr<Host> host;
  std::shared_ptr<Life> life = std::make_shared<Life>();

  void bury() {
    process->kill();
    host.reset();
  }
  ~Mortal() {
    if (host) bury();
  }
};

Task<std::unique_ptr<Mortal>> be_born(World& world, int& runs) {
  auto mortal = std::make_unique<Mortal>();
  register_builtin_backends();
  auto inner = must(co_await open_backend(world.url(), world.env()));
  const Store store(std::make_shared<MortalBackend>(std::move(inner), mortal->life), world.env());
  mortal->process = world.loop(store);
  auto options = quick_options();
  options.executor = mortal->process->executor();
  mortal->host = std::make_unique<Host>(store, std::move(options));
  mortal->host->serve(std::make_shared<Victim>(mortal->life, runs));
  must(co_await mortal->process->run(mortal->host->start()));
  co_return mortal;
}

constexpr int kAttempts = 3;  // quick_options().message_attempts

// One process after the other, until nothing waits in these queues. How many died.
Task<int> let_them_die(World& world, std::vector<Ref<Victim>> victims, int& runs) {
  int deaths = 0;
  while (true) {
    auto mortal = co_await be_born(world, runs);
    bool is_done = false;
    co_await world.eventually([&]() -> Task<bool> {
      is_done = true;
      for (const auto& victim : victims) {
        if (must(co_await victim.queue_length()) > 0) is_done = false;
      }
      co_return is_done || mortal->life->is_over;
    });
    const bool died = mortal->life->is_over;
    if (!died) must(co_await mortal->process->run(mortal->host->stop()));
    mortal->bury();
    if (is_done) co_return deaths;
    if (died && ++deaths > 20) throw CaseFailure("it kills for ever");
  }
}

Task<std::vector<std::string>> lines_of(World& world, const Ref<Victim>& victim) {
  const auto view = co_await world.look(victim);
  if (!view.state) co_return std::vector<std::string>();
  co_return must(decode<std::vector<std::string>>(*view.state));
}

SERVER_TEST(Deadly, a_message_that_ends_each_process_is_set_aside_and_those_behind_it_go_on) {
  auto victim = world.ref<Victim>("v");
  must(co_await victim.cast(Victim::Die{}));
  const auto behind = line("behind");
  must(co_await victim.cast(behind));
  int runs = 0;
  std::vector<Ref<Victim>> victims;
  victims.push_back(victim);
  const int deaths = co_await let_them_die(world, victims, runs);
  // The first run is nobody's to suspect.
  EXPECT_LE(deaths, kAttempts + 1);
  EXPECT_EQ(co_await lines_of(world, victim), list("behind"));
  const auto letters = must(co_await list_dead_letters(world.store(), victim.entity()));
  EXPECT_EQ(letters.size(), 1u);
  if (!letters.empty()) {
    EXPECT_NE(letters[0].reason.find("the processes that ran it ended"), std::string::npos)
        << letters[0].reason;
  }
  EXPECT_TRUE((co_await world.rows(KeyRange::point(entity_key(victim.entity(), 8)))).empty());
}

// The first run may be past the queue, where nobody counts; the next ones are not.
SERVER_TEST(Deadly, a_tick_that_ends_each_process_is_set_aside) {
  auto victim = world.ref<Victim>("v");
  must(co_await victim.cast_after(10ms, Victim::Die{}));
  int runs = 0;
  int deaths = 0;
  std::uint64_t letters = 0;
  while (letters == 0) {
    auto mortal = co_await be_born(world, runs);
    co_await world.eventually([&]() -> Task<bool> {
      letters = (co_await world.look(victim)).dead_letters;
      co_return letters > 0 || mortal->life->is_over;
    });
    if (!mortal->life->is_over) must(co_await mortal->process->run(mortal->host->stop()));
    mortal->bury();
    if (letters == 0 && ++deaths > 20) throw CaseFailure("it kills for ever");
  }
  EXPECT_LE(deaths, kAttempts + 2);
  EXPECT_TRUE(must(co_await list_timers(Tenant(world.store()), victim.entity())).empty());
}

SERVER_TEST(Deadly, one_in_the_middle_of_a_long_queue_is_found_and_the_others_are_applied_once) {
  auto victim = world.ref<Victim>("v");
  std::vector<std::string> expected;
  Batch<Victim> batch;
  for (int i = 0; i < 60; ++i) {
    if (i == 37) batch.add(Victim::Die{});
    expected.push_back(std::to_string(i));
    batch.add(line(expected.back()));
  }
  must(co_await victim.cast(batch));
  int runs = 0;
  std::vector<Ref<Victim>> victims;
  victims.push_back(victim);
  const int deaths = co_await let_them_die(world, victims, runs);
  EXPECT_LE(deaths, kAttempts + 1);
  EXPECT_EQ(co_await lines_of(world, victim), expected);
  EXPECT_EQ((co_await world.look(victim)).dead_letters, 1u);
}

SERVER_TEST(Deadly, of_many_entities_only_the_guilty_ones_lose_a_message) {
  std::vector<Ref<Victim>> victims;
  const auto good = line("good");
  for (int i = 0; i < 40; ++i) {
    victims.push_back(world.ref<Victim>(std::to_string(i)));
    must(co_await victims.back().cast(good));
    if (i % 20 == 7) must(co_await victims.back().cast(Victim::Die{}));
    must(co_await victims.back().cast(good));
  }
  int runs = 0;
  static_cast<void>(co_await let_them_die(world, victims, runs));
  for (int i = 0; i < 40; ++i) {
    EXPECT_EQ(co_await lines_of(world, victims[i]), list("good", "good")) << i;
    EXPECT_EQ((co_await world.look(victims[i])).dead_letters, i % 20 == 7 ? 1u : 0u) << i;
  }
  EXPECT_LE(runs, 2 * (kAttempts + 2));
}

SERVER_TEST(Deadly, a_fleet_survives_it_and_its_caller_is_told) {
  int runs = 0;
  std::vector<std::unique_ptr<Mortal>> fleet;
  for (int i = 0; i < 3; ++i) fleet.push_back(co_await be_born(world, runs));
  auto victim = world.ref<Victim>("v");
  std::optional<Error> told;
  co_await world.in_parallel(2, [&](int who) -> Task<void> {
    if (who == 0) {
      const CallOptions patient{world.patience()};
      told = must_fail(co_await victim.call(Victim::Die{}, patient));
      co_return;
    }
    // Whoever dies is replaced.
    while (!told) {
      for (auto& mortal : fleet) {
        if (!mortal->life->is_over) continue;
        mortal->bury();
        mortal = co_await be_born(world, runs);
      }
      must(co_await sleep_for(world.clock(), 20ms));
    }
  });
  EXPECT_NE(told->message().find("the processes that ran it ended"), std::string::npos)
      << told->to_string();
  EXPECT_LE(runs, kAttempts + 1);
  EXPECT_EQ((co_await world.look(victim)).dead_letters, 1u);
}

SERVER_TEST(Deadly, a_message_that_no_process_can_have_died_of_costs_no_commit_more) {
  int runs = 0;
  auto before = world.ref<Victim>("before");
  const auto text = line("a");
  must(co_await before.cast(text));
  auto first = co_await be_born(world, runs);
  co_await world.until_processed(before.untyped());
  auto after = world.ref<Victim>("after");
  for (int i = 0; i < 10; ++i) {
    const int commits = first->life->commits;
    must(co_await after.cast(text));
    co_await world.until_processed(after.untyped());
    EXPECT_EQ(first->life->commits - commits, 1) << i;
  }
}

}  // namespace
}  // namespace semper::testing
