// FaultyBackend: what it does to the links between processes.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "backends/memory/memory.h"
#include "semper/store/store.h"
#include "semper/testing/faulty_backend.h"
#include "semper/testing/simulated_run.h"

namespace semper::testing {
namespace {

using namespace std::chrono_literals;

class Told final : public NeighbourReceiver {
 public:
  std::shared_ptr<NeighbourLink> link;
  std::vector<std::string> calls;
  void on_message(Bytes message) override { calls.push_back(std::move(message)); }
  void on_end(const Error& why) override { calls.push_back(std::string(to_string(why.kind()))); }
};

using Calls = std::vector<std::string>;

// Two processes; the faults are the caller's where nothing else is said.
class FaultyLinks : public ::testing::Test {
 protected:
  FaultyLinks() {
    for (auto* backend : {&caller_, &listener_}) {
      auto memory = *simulated_run(clock_, open_memory(*StoreUrl::parse("memory:faulty"), env_));
      *backend = std::make_shared<FaultyBackend>(std::move(memory), env_);
    }
    listening_ = *listener_->listen("topic", [this](std::shared_ptr<NeighbourLink> link) {
      taken_ = std::make_shared<Told>();
      taken_->link = std::move(link);
      return taken_;
    });
  }

  void connect() { link_ = *caller_->connect("topic", answers_); }
  void pass(Duration span) { EXPECT_TRUE(simulated_run(clock_, sleep_for(clock_, span))); }

  SimulatedClock clock_;
  SeededRandom random_{1};
  Env env_{&clock_, &random_};
  std::shared_ptr<FaultyBackend> caller_;
  std::shared_ptr<FaultyBackend> listener_;
  std::unique_ptr<Neighbours::Listening> listening_;
  std::shared_ptr<Told> taken_;
  std::shared_ptr<Told> answers_ = std::make_shared<Told>();
  std::shared_ptr<NeighbourLink> link_;
};

TEST_F(FaultyLinks, where_the_backend_has_none_nobody_is_there) {
  const auto memory = *simulated_run(clock_, open_memory(*StoreUrl::parse("memory:"), env_));
  class Plain final : public Backend {
   public:
    explicit Plain(std::shared_ptr<Backend> inner) : inner_(std::move(inner)) {}
    const Limits& limits() const override { return inner_->limits(); }
    BackendTraits traits() const override { return inner_->traits(); }
    std::string url() const override { return inner_->url(); }
    Async<std::unique_ptr<Snapshot>> snapshot() override { return inner_->snapshot(); }
    Async<CommitReceipt> commit(CommitRequest request) override {
      return inner_->commit(std::move(request));
    }
    Async<std::unique_ptr<Watch>> watch(BytesView key, Snapshot& seen) override {
      return inner_->watch(key, seen);
    }
    Async<std::string> check() override { return inner_->check(); }
    std::vector<std::pair<std::string, std::int64_t>> statistics() const override { return {}; }
    Async<void> close() override { return inner_->close(); }

   private:
    const std::shared_ptr<Backend> inner_;
  };
  const Store store(
      std::make_shared<FaultyBackend>(std::make_shared<Plain>(std::move(memory)), env_), env_);
  auto* neighbours = find_neighbours(store);
  ASSERT_NE(neighbours, nullptr);
  EXPECT_FALSE(neighbours->has_listener("topic"));
  EXPECT_EQ(neighbours->connect("topic", answers_).error().kind(), ErrorKind::not_found);
  const auto nobody = [](const auto&) { return std::shared_ptr<Told>(); };
  EXPECT_EQ(neighbours->listen("topic", nobody).error().kind(), ErrorKind::unsupported);
}

TEST_F(FaultyLinks, a_refused_link_or_message_is_one_to_repeat) {
  caller_->set_faults({.link_refused = 1});
  EXPECT_EQ(caller_->connect("topic", answers_).error().kind(), ErrorKind::retry);
  caller_->calm();
  connect();
  caller_->set_faults({.link_refused = 1});
  EXPECT_EQ(link_->send("1").error().kind(), ErrorKind::retry);
  caller_->calm();
  EXPECT_TRUE(link_->send("2"));
  EXPECT_EQ(taken_->calls, Calls{"2"});
  EXPECT_EQ(caller_->happened().at("link_refused"), 2u);
}

TEST_F(FaultyLinks, a_cut_ends_it_for_both_and_its_message_arrives_or_not) {
  int arrived = 0;
  for (int i = 0; i < 40; ++i) {
    answers_ = std::make_shared<Told>();
    connect();
    caller_->set_faults({.link_cut = 1});
    EXPECT_TRUE(link_->send("1"));
    caller_->calm();
    EXPECT_EQ(answers_->calls, Calls{"closed"});
    arrived += taken_->calls == Calls{"1", "closed"} ? 1 : 0;
    EXPECT_EQ(taken_->calls.back(), "closed");
    EXPECT_EQ(link_->send("2").error().kind(), ErrorKind::closed);
  }
  EXPECT_GT(arrived, 0);
  EXPECT_LT(arrived, 40);
}

TEST_F(FaultyLinks, a_late_message_holds_up_those_behind_it) {
  connect();
  listener_->set_faults({.link_late = 1, .link_late_by = 1s});
  EXPECT_TRUE(link_->send("1"));
  listener_->calm();
  EXPECT_TRUE(link_->send("2"));
  link_->close();
  EXPECT_EQ(taken_->calls, Calls{});
  pass(1s);
  EXPECT_EQ(taken_->calls, (Calls{"1", "2", "closed"}));
}

TEST_F(FaultyLinks, a_silent_link_tells_nobody_anything) {
  connect();
  EXPECT_TRUE(link_->send("1"));
  caller_->set_faults({.link_silent = 1});
  EXPECT_TRUE(link_->send("2"));
  caller_->calm();
  EXPECT_TRUE(link_->send("3"));
  EXPECT_TRUE(taken_->link->send("4"));
  taken_->link->close();
  EXPECT_EQ(taken_->calls, (Calls{"1", "closed"}));
  EXPECT_EQ(answers_->calls, Calls{});
  link_->close();
  EXPECT_EQ(answers_->calls, Calls{"closed"});
}

TEST_F(FaultyLinks, a_silent_link_takes_no_more_than_a_buffer_full) {
  connect();
  caller_->set_faults({.link_silent = 1});
  const Bytes large(kNeighbourMessageBytes, 'm');
  Status sent;
  for (int i = 0; i < 10 && sent; ++i) sent = link_->send(large);
  ASSERT_FALSE(sent);
  EXPECT_EQ(sent.error().kind(), ErrorKind::retry);
}

TEST_F(FaultyLinks, the_closed_end_of_a_silent_link_is_not_heard_of_until_the_process_ends) {
  connect();
  caller_->set_faults({.link_silent = 1});
  EXPECT_TRUE(link_->send("1"));
  link_.reset();
  EXPECT_EQ(answers_->calls, Calls{"closed"});
  EXPECT_EQ(taken_->calls, Calls{});
  caller_.reset();
  EXPECT_EQ(taken_->calls, Calls{"closed"});
}

TEST_F(FaultyLinks, a_paused_process_hears_everything_when_it_goes_on) {
  connect();
  listener_->set_paused(true);
  const auto before = taken_;
  EXPECT_TRUE(link_->send("1"));
  const auto more = std::make_shared<Told>();
  auto another = *caller_->connect("topic", more);
  EXPECT_TRUE(another->send("2"));
  EXPECT_EQ(taken_, before) << "nobody takes a link there";
  EXPECT_EQ(before->calls, Calls{});
  listener_->set_paused(false);
  EXPECT_EQ(before->calls, Calls{"1"});
  ASSERT_NE(taken_, before);
  EXPECT_EQ(taken_->calls, Calls{"2"});
  EXPECT_TRUE(taken_->link->send("3"));
  EXPECT_EQ(more->calls, Calls{"3"});
}

TEST_F(FaultyLinks, a_listening_that_ends_while_its_process_is_paused_takes_nothing) {
  listener_->set_paused(true);
  connect();
  listening_.reset();
  listener_->set_paused(false);
  EXPECT_EQ(taken_, nullptr);
  EXPECT_EQ(answers_->calls, Calls{"closed"});
}

TEST_F(FaultyLinks, a_killed_process_is_told_nothing_and_what_waits_for_it_is_lost) {
  connect();
  listener_->set_paused(true);
  EXPECT_TRUE(link_->send("1"));
  listener_->kill();
  EXPECT_EQ(answers_->calls, Calls{"closed"});
  listener_->set_paused(false);
  EXPECT_EQ(taken_->calls, Calls{});
  EXPECT_FALSE(caller_->connect("topic", answers_));
  EXPECT_EQ(listener_->connect("topic", answers_).error().kind(), ErrorKind::closed);
  EXPECT_EQ(taken_->link->send("2").error().kind(), ErrorKind::closed);
}

TEST_F(FaultyLinks, a_closed_store_tells_its_own_and_the_others) {
  connect();
  EXPECT_TRUE(simulated_run(clock_, listener_->close()));
  EXPECT_EQ(taken_->calls, Calls{"closed"});
  EXPECT_EQ(answers_->calls, Calls{"closed"});
  EXPECT_FALSE(caller_->has_listener("topic"));
}

}  // namespace
}  // namespace semper::testing
