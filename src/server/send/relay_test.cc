// What a publisher does with a host that declines, is silent, says nonsense or is gone.
#include "server/send/relay.h"

#include <gtest/gtest.h>

#include <functional>
#include <optional>

#include "backends/memory/memory.h"
#include "semper/base/codec.h"
#include "semper/server/inspect.h"
#include "semper/testing/seed.h"
#include "semper/testing/simulated_run.h"
#include "server/format/keys.h"

namespace semper::internal {
namespace {

using namespace std::chrono_literals;
using testing::simulated_run;

// A host of another process, as far as a publisher sees it.
class HostBehindLinks final : public Neighbours {
 public:
  struct Link {
    std::shared_ptr<NeighbourReceiver> publisher;
    std::vector<Bytes> heard;
    bool is_closed = false;

    Bytes session() const { return decode_relay_hello(heard.at(0)).value(); }
    void end() {
      if (!std::exchange(is_closed, true)) publisher->on_end(Error(ErrorKind::closed, "over"));
    }
  };
  // What it does with casts; nothing: it is silent.
  std::function<void(Link&, const RelayCasts&)> then = [](Link&, const RelayCasts&) {};
  std::vector<std::shared_ptr<Link>> links;

  void answer(RelayAnswer answer) {
    then = [answer](Link& link, const RelayCasts& casts) {
      RelayAnswers answers;
      for (const auto& unit : casts.units) answers.emplace_back(unit.number, answer);
      link.publisher->on_message(encode_relay_answers(answers));
    };
  }

  Result<std::unique_ptr<Listening>> listen(std::string, Accept) override {
    return fail(ErrorKind::unsupported, "this one is asked, and asks nobody");
  }
  bool has_listener(std::string_view) const override { return true; }
  Result<std::shared_ptr<NeighbourLink>> connect(
      std::string, std::shared_ptr<NeighbourReceiver> receiver) override {
    links.push_back(std::make_shared<Link>());
    links.back()->publisher = std::move(receiver);
    return std::make_shared<PublishersEnd>(*this, links.back());
  }

 private:
  class PublishersEnd final : public NeighbourLink {
   public:
    PublishersEnd(HostBehindLinks& host, std::shared_ptr<Link> link)
        : host_(host), link_(std::move(link)) {}
    Status send(Bytes message) override {
      if (link_->is_closed) return fail(ErrorKind::closed, "the link has ended");
      link_->heard.push_back(message);
      const auto casts = decode_relay_casts(message);
      if (casts && !casts->units.empty()) host_.then(*link_, *casts);
      return {};
    }
    void close() override { link_->end(); }

   private:
    HostBehindLinks& host_;
    const std::shared_ptr<Link> link_;
  };
};

class RelayTest : public ::testing::Test {
 protected:
  RelayTest()
      : store_(*simulated_run(clock_, open_memory(*StoreUrl::parse("memory:"), env_)), env_),
        tenant_(store_),
        relay_(std::make_shared<Relay>(tenant_, "Diary", host_, std::make_shared<Outbox>(store_))) {
  }

  void run(const std::function<Task<void>()>& test) { simulated_run(clock_, test()); }

  Async<void> cast(std::string to, std::size_t count = 1) {
    const auto target = std::make_shared<Target>(tenant_, EntityId{"Diary", std::move(to)});
    std::vector<RawMessage> messages(count);
    for (auto& message : messages) {
      message.name = "Note";
      message.payload = encode(std::string("x"));
    }
    co_return co_await relay_->cast(target, std::move(messages));
  }

  // So many as make a link worth its while, each to another entity.
  Task<void> cast_many(const std::string& to) {
    for (int i = 0; i < kRelayWorth; ++i) {
      EXPECT_TRUE(co_await cast(to + std::to_string(i)));
    }
    EXPECT_TRUE(co_await sleep_for(clock_, 10ms));
  }
  Task<void> begin_link() {
    co_await cast_many("first");
    EXPECT_EQ(host_.links.size(), 1u);
  }

  // One that waits for its host.
  Task<OneShot<Status>> begin_cast(std::string to) {
    OneShot<Status> sent;
    auto send = [](RelayTest& self, std::string id, OneShot<Status> arrival) -> Task<void> {
      arrival.set(co_await self.cast(std::move(id)));
    };
    asio::co_spawn(co_await asio::this_coro::executor, send(*this, std::move(to), sent),
                   asio::detached);
    EXPECT_TRUE(co_await sleep_for(clock_, 1ms));
    co_return sent;
  }
  static Task<Status> outcome(OneShot<Status> sent) {
    auto status = co_await sent.wait();
    co_return status ? *status : fail(status.error());
  }

  Task<std::uint64_t> queued(std::string to) {
    const EntityId id{"Diary", std::move(to)};
    const auto view = co_await inspect(store_, id);
    co_return view ? view->queue_length : 0;  // nothing ever came
  }

  // As a sweep does, or a host that sees a publisher off.
  Task<void> end_session(Bytes session) {
    const KeyRange all = everything_of_session(tenant_.prefix(), session);
    EXPECT_TRUE(co_await store_.transact(
        [](Transaction& transaction, const KeyRange& range) -> Async<void> {
          transaction.clear_range(range);
          co_return Status{};
        },
        all));
  }
  // As with the commit of a host.
  Task<void> mark_taken(Bytes session, std::uint64_t number) {
    const Bytes mark = relay_mark_key(relay_key(tenant_.prefix(), session), 1);
    EXPECT_TRUE(co_await store_.transact(
        [](Transaction& transaction, const Bytes& key, const std::uint64_t& of) -> Async<void> {
          transaction.set(key, encode_relay_mark({of}));
          co_return Status{};
        },
        mark, number));
  }

  testing::SimulatedClock clock_;
  SeededRandom random_{testing::test_seed()};
  Env env_{&clock_, &random_};
  HostBehindLinks host_;
  Store store_;
  Tenant tenant_;
  std::shared_ptr<Relay> relay_;
};

TEST_F(RelayTest, a_host_that_declines_most_is_given_up_and_asked_again_later) {
  run([&]() -> Task<void> {
    host_.answer(RelayAnswer::declined);
    co_await begin_link();
    for (std::size_t i = 1; i < kRelayTrial; ++i) {
      EXPECT_TRUE(co_await cast("e" + std::to_string(i)));
    }
    EXPECT_FALSE(host_.links[0]->is_closed);
    EXPECT_TRUE(co_await cast("last"));
    EXPECT_TRUE(host_.links[0]->is_closed);
    EXPECT_EQ(co_await queued("e1"), 1u);
    EXPECT_EQ(co_await queued("last"), 1u);
    EXPECT_TRUE(co_await sleep_for(clock_, kRelayPauseMaximum / 4 - 1s));
    co_await cast_many("soon");
    EXPECT_EQ(host_.links.size(), 1u);
    EXPECT_TRUE(co_await sleep_for(clock_, 1s));
    co_await cast_many("later");
    EXPECT_EQ(host_.links.size(), 2u);
  });
}

TEST_F(RelayTest, a_host_that_takes_one_of_four_is_kept) {
  run([&]() -> Task<void> {
    host_.then = [](HostBehindLinks::Link& link, const RelayCasts& casts) {
      RelayAnswers answers;
      for (const auto& unit : casts.units) {
        const bool is_taken = unit.number % 4 == 0;
        answers.emplace_back(unit.number, is_taken ? RelayAnswer::taken : RelayAnswer::declined);
      }
      link.publisher->on_message(encode_relay_answers(answers));
    };
    co_await begin_link();
    for (std::size_t i = 0; i < 3 * kRelayTrial; ++i) {
      EXPECT_TRUE(co_await cast("e" + std::to_string(i)));
    }
    EXPECT_FALSE(host_.links[0]->is_closed);
    EXPECT_EQ(host_.links.size(), 1u);
  });
}

TEST_F(RelayTest, what_a_host_has_taken_before_it_went_is_not_sent_again) {
  run([&]() -> Task<void> {
    std::optional<std::uint64_t> number;
    host_.then = [&](HostBehindLinks::Link&, const RelayCasts& casts) {
      number = casts.units.at(0).number;
    };
    co_await begin_link();
    const auto sent = co_await begin_cast("a");
    EXPECT_TRUE(number);
    co_await mark_taken(host_.links[0]->session(), *number);
    host_.links[0]->end();
    EXPECT_TRUE(co_await outcome(sent));
    EXPECT_EQ(co_await queued("a"), 0u);
  });
}

TEST_F(RelayTest, what_a_host_did_not_answer_in_time_is_found_out) {
  run([&]() -> Task<void> {
    co_await begin_link();
    const auto began = clock_.now();
    const auto sent = co_await begin_cast("a");
    EXPECT_TRUE(co_await outcome(sent));
    EXPECT_GE(clock_.now() - began, kRelayPatience);
    EXPECT_LE(clock_.now() - began, kRelayPatience + 100ms);
    EXPECT_TRUE(host_.links[0]->is_closed);
    EXPECT_EQ(co_await queued("a"), 1u);
  });
}

TEST_F(RelayTest, what_is_sent_while_a_host_sees_its_publisher_off_was_not_taken) {
  run([&]() -> Task<void> {
    co_await begin_link();
    const auto sent = co_await begin_cast("a");
    co_await end_session(host_.links[0]->session());
    host_.links[0]->end();
    EXPECT_TRUE(co_await outcome(sent));
    EXPECT_EQ(co_await queued("a"), 1u);
  });
}

TEST_F(RelayTest, of_what_was_sent_long_before_the_session_was_gone_nobody_knows) {
  run([&]() -> Task<void> {
    co_await begin_link();
    const auto sent = co_await begin_cast("a");
    const auto behind = co_await begin_cast("a");
    co_await end_session(host_.links[0]->session());
    clock_.advance(1min);  // this process stands still
    const Status status = co_await outcome(sent);
    EXPECT_TRUE(!status && status.error().kind() == ErrorKind::outcome_unknown);
    // What was not handed over yet is sent, and the entity goes on.
    EXPECT_TRUE(co_await outcome(behind));
    EXPECT_EQ(co_await queued("a"), 1u);
    EXPECT_TRUE(co_await cast("a"));
    EXPECT_EQ(co_await queued("a"), 2u);
  });
}

TEST_F(RelayTest, a_host_that_says_nonsense_is_handed_nothing_more) {
  run([&]() -> Task<void> {
    host_.then = [](HostBehindLinks::Link& link, const RelayCasts&) {
      link.publisher->on_message("\xff");
    };
    co_await begin_link();
    EXPECT_TRUE(co_await cast("a"));
    EXPECT_TRUE(host_.links[0]->is_closed);
    EXPECT_EQ(co_await queued("a"), 1u);
  });
}

TEST_F(RelayTest, answers_to_what_was_not_asked_change_nothing) {
  run([&]() -> Task<void> {
    co_await begin_link();
    const auto sent = co_await begin_cast("a");
    auto& link = *host_.links[0];
    link.publisher->on_message(
        encode_relay_answers({{1'000'000, RelayAnswer::taken}, {0, RelayAnswer::declined}}));
    link.end();
    EXPECT_TRUE(co_await outcome(sent));
    // From the link of before.
    const auto casts = decode_relay_casts(link.heard.back());
    link.publisher->on_message(
        encode_relay_answers({{casts.value().units.at(0).number, RelayAnswer::taken}}));
    EXPECT_EQ(co_await queued("a"), 1u);
  });
}

TEST_F(RelayTest, casts_that_crowd_behind_one_go_through_the_queue_together_and_in_order) {
  run([&]() -> Task<void> {
    std::optional<std::uint64_t> number;
    host_.then = [&](HostBehindLinks::Link&, const RelayCasts& casts) {
      EXPECT_FALSE(number) << "the second unit";
      number = casts.units.at(0).number;
    };
    co_await begin_link();
    std::vector<OneShot<Status>> sent;
    for (std::size_t i = 0; i <= kRelayHot; ++i) sent.push_back(co_await begin_cast("hot"));
    const RelayAnswers taken = {{number.value(), RelayAnswer::taken}};
    host_.links[0]->publisher->on_message(encode_relay_answers(taken));
    for (auto& one : sent) EXPECT_TRUE(co_await outcome(one));
    EXPECT_EQ(co_await queued("hot"), kRelayHot);
  });
}

TEST_F(RelayTest, what_is_too_large_for_a_link_goes_through_the_queue) {
  run([&]() -> Task<void> {
    host_.then = [](HostBehindLinks::Link&, const RelayCasts&) { ADD_FAILURE() << "handed over"; };
    co_await begin_link();
    EXPECT_TRUE(co_await cast("a", kRelayUnitMessages + 1));
    EXPECT_EQ(co_await queued("a"), kRelayUnitMessages + 1);
  });
}

}  // namespace
}  // namespace semper::internal
