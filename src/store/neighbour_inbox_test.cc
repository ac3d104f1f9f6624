#include "semper/store/internal/neighbour_inbox.h"

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <string>
#include <thread>
#include <vector>

namespace semper::internal {
namespace {

class Told final : public NeighbourReceiver {
 public:
  std::function<void()> within = [] {};
  std::vector<std::string> calls;

  void on_message(Bytes message) override {
    calls.push_back(std::move(message));
    within();
  }
  void on_end(const Error& why) override { calls.push_back(std::string(to_string(why.kind()))); }
};

TEST(NeighbourInbox, keeps_what_comes_before_its_receiver_and_tells_the_end_once) {
  NeighbourInbox inbox;
  EXPECT_TRUE(inbox.put("1"));
  inbox.deliver();
  const auto told = std::make_shared<Told>();
  EXPECT_TRUE(inbox.attach(told));
  EXPECT_TRUE(inbox.put("2"));
  inbox.end(Error(ErrorKind::closed, ""));
  inbox.end_now(Error(ErrorKind::io, ""));
  inbox.deliver();
  inbox.deliver();
  EXPECT_EQ(told->calls, std::vector<std::string>{"closed"}) << "end_now() drops what waits";
  EXPECT_EQ(inbox.put("3").error().kind(), ErrorKind::closed);
  EXPECT_EQ(told.use_count(), 1) << "the receiver is let go";
}

TEST(NeighbourInbox, is_bounded_by_bytes_and_by_empty_messages_too) {
  NeighbourInbox inbox;
  const Bytes large(kNeighbourMessageBytes - kNeighbourMessageCost, 'm');
  for (std::size_t i = 0; i < kNeighbourBufferBytes / kNeighbourMessageBytes; ++i) {
    EXPECT_TRUE(inbox.put(large));
  }
  const auto full = inbox.put("");
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().kind(), ErrorKind::retry);
  EXPECT_EQ(std::string(full.error().limit()->name), "kNeighbourBufferBytes");
  const auto told = std::make_shared<Told>();
  inbox.attach(told);
  inbox.deliver();
  EXPECT_TRUE(inbox.put("")) << "there is room again";
}

// Both calls are not allowed to receivers; that one ends a link all the same harms nobody.
TEST(NeighbourInbox, an_end_from_within_a_call_comes_after_it) {
  NeighbourInbox inbox;
  const auto told = std::make_shared<Told>();
  told->within = [&] {
    inbox.end_now(Error(ErrorKind::closed, ""));
    inbox.deliver();
    inbox.wait_until_quiet();
    told->calls.emplace_back("left");
  };
  inbox.attach(told);
  EXPECT_TRUE(inbox.put("1"));
  EXPECT_TRUE(inbox.put("2"));
  inbox.deliver();
  EXPECT_EQ(told->calls, (std::vector<std::string>{"1", "left", "closed"}));
}

TEST(NeighbourInbox, dropped_from_within_a_call_it_tells_nothing_more) {
  NeighbourInbox inbox;
  const auto told = std::make_shared<Told>();
  told->within = [&] { inbox.drop(); };
  inbox.attach(told);
  EXPECT_TRUE(inbox.put("1"));
  EXPECT_TRUE(inbox.put("2"));
  inbox.deliver();
  EXPECT_EQ(told->calls, std::vector<std::string>{"1"});
  EXPECT_FALSE(inbox.attach(told));
}

TEST(NeighbourInbox, whoever_waits_until_it_is_quiet_meets_no_call) {
  for (int round = 0; round < 200; ++round) {
    NeighbourInbox inbox;
    const auto told = std::make_shared<Told>();
    std::atomic<bool> is_inside{false};
    told->within = [&] {
      is_inside = true;
      std::this_thread::yield();
      is_inside = false;
    };
    inbox.attach(told);
    std::thread sender([&] {
      while (inbox.put("message")) inbox.deliver();
    });
    std::this_thread::yield();
    inbox.end_now(Error(ErrorKind::closed, ""));
    inbox.deliver();
    inbox.wait_until_quiet();
    EXPECT_FALSE(is_inside);
    EXPECT_EQ(told->calls.back(), "closed");
    const auto calls = told->calls.size();
    sender.join();
    EXPECT_EQ(told->calls.size(), calls);
  }
}

TEST(NeighbourAccept, calls_nobody_after_its_end) {
  int calls = 0;
  NeighbourAccept accept([&](const auto&) {
    ++calls;
    return std::make_shared<Told>();
  });
  NeighbourInbox inbox;
  EXPECT_TRUE(accept.call(nullptr, inbox));
  accept.end();
  EXPECT_FALSE(accept.call(nullptr, inbox));
  EXPECT_EQ(calls, 1);
}

TEST(NeighbourAccept, its_end_waits_for_a_call_of_another_thread_and_not_for_its_own) {
  std::atomic<bool> is_inside{false};
  std::atomic<bool> may_leave{false};
  NeighbourAccept accept([&](const auto&) {
    is_inside = true;
    while (!may_leave) std::this_thread::yield();
    is_inside = false;
    return std::make_shared<Told>();
  });
  NeighbourInbox inbox;
  std::thread caller([&] { accept.call(nullptr, inbox); });
  while (!is_inside) std::this_thread::yield();
  std::thread releaser([&] { may_leave = true; });
  accept.end();
  EXPECT_FALSE(is_inside);
  caller.join();
  releaser.join();

  NeighbourAccept* self = nullptr;
  NeighbourAccept ending([&](const auto&) {
    self->end();
    return std::make_shared<Told>();
  });
  self = &ending;
  NeighbourInbox other;
  EXPECT_TRUE(ending.call(nullptr, other));
}

}  // namespace
}  // namespace semper::internal
