// Neighbours: what processes of one store say to each other arrives in order, each once, or the
// link ends; and who is told is told once.
#include "semper/store/neighbours.h"

#include <deque>
#include <mutex>
#include <thread>
#include <variant>

#include "testing/conformance/world.h"

namespace semper::testing::conformance {
namespace {

// Longer than anything takes between two processes; reached only where something was lost.
constexpr auto kLost = std::chrono::seconds(30);
constexpr const char* kTopic = "topic";

// Keeps what comes.
class LinkRecorder final : public NeighbourReceiver {
 public:
  // As the listener's own; null where it keeps no link.
  std::shared_ptr<NeighbourLink> link;

  void on_message(Bytes message) override { add(std::move(message)); }
  void on_end(const Error& why) override { add(why); }

  Task<Bytes> next_message(World& world) {
    auto next = co_await next_of(world);
    if (!std::holds_alternative<Bytes>(next)) throw CaseFailure("the link has ended early");
    co_return std::get<Bytes>(std::move(next));
  }
  // Messages before it are skipped.
  Task<ErrorKind> end(World& world) {
    while (true) {
      auto next = co_await next_of(world);
      if (std::holds_alternative<Error>(next)) co_return std::get<Error>(next).kind();
    }
  }
  // Of those not taken yet.
  std::size_t waiting() const {
    std::lock_guard lock(mutex_);
    return come_.size();
  }
  std::size_t calls_after_the_end() const {
    std::lock_guard lock(mutex_);
    return late_;
  }

 private:
  using Come = std::variant<Bytes, Error>;

  void add(Come come) {
    std::optional<OneShot<std::monostate>> woken;
    {
      std::lock_guard lock(mutex_);
      if (has_ended_) ++late_;
      has_ended_ = has_ended_ || std::holds_alternative<Error>(come);
      come_.push_back(std::move(come));
      woken.swap(waiting_);
    }
    if (woken) woken->set({});
  }

  Task<Come> next_of(World& world) {
    while (true) {
      OneShot<std::monostate> more;
      {
        std::lock_guard lock(mutex_);
        if (!come_.empty()) {
          Come first = std::move(come_.front());
          come_.pop_front();
          co_return first;
        }
        waiting_ = more;
      }
      must(co_await more.wait_until(world.clock(), world.clock().after(kLost)));
    }
  }

  mutable std::mutex mutex_;
  std::deque<Come> come_;
  std::optional<OneShot<std::monostate>> waiting_;
  bool has_ended_ = false;
  std::size_t late_ = 0;
};

// Takes every link, or none.
class LinkListener {
 public:
  LinkListener(const Store& store, std::string topic = kTopic) {
    auto accept = [this](std::shared_ptr<NeighbourLink> link) {
      auto taken = std::make_shared<LinkRecorder>();
      taken->link = std::move(link);
      std::optional<OneShot<std::monostate>> woken;
      {
        std::lock_guard lock(mutex_);
        if (refuses) return std::shared_ptr<LinkRecorder>();
        taken_.push_back(taken);
        woken.swap(waiting_);
      }
      if (woken) woken->set({});
      return taken;
    };
    listening = must(find_neighbours(store)->listen(std::move(topic), std::move(accept)));
  }
  // Before the links: they may hold this.
  ~LinkListener() { stop(); }
  void stop() { listening.reset(); }

  Task<std::shared_ptr<LinkRecorder>> taken(World& world, std::size_t number = 0) {
    while (true) {
      OneShot<std::monostate> more;
      {
        std::lock_guard lock(mutex_);
        if (taken_.size() > number) co_return taken_[number];
        waiting_ = more;
      }
      must(co_await more.wait_until(world.clock(), world.clock().after(kLost)));
    }
  }
  std::size_t count() const {
    std::lock_guard lock(mutex_);
    return taken_.size();
  }

  bool refuses = false;
  std::unique_ptr<Neighbours::Listening> listening;

 private:
  mutable std::mutex mutex_;
  std::vector<std::shared_ptr<LinkRecorder>> taken_;
  std::optional<OneShot<std::monostate>> waiting_;
};

// The link is the caller's.
struct Connected {
  std::shared_ptr<LinkRecorder> answers = std::make_shared<LinkRecorder>();
  std::shared_ptr<NeighbourLink> link;
};

Connected connect(const Store& store, const std::string& topic = kTopic) {
  constexpr int kAttempts = 100'000;
  Connected made;
  auto link = find_neighbours(store)->connect(topic, made.answers);
  // Who listens may be busy.
  for (int i = 0; i < kAttempts && !link && link.error().kind() == ErrorKind::retry; ++i) {
    std::this_thread::yield();
    link = find_neighbours(store)->connect(topic, made.answers);
  }
  made.link = must(std::move(link));
  return made;
}

// Whether there is one may be known late.
Task<void> must_be_listened_to(World& world, const Store& store, bool wanted = true) {
  const auto deadline = world.clock().after(kLost);
  while (find_neighbours(store)->has_listener(kTopic) != wanted) {
    if (world.clock().now() > deadline) throw CaseFailure("has_listener() stays wrong");
    co_await yield_now();
  }
}

Task<void> where_nobody_else_listens_nobody_is_found(World& world) {
  const Store other = co_await world.open();
  auto& neighbours = *find_neighbours(other);
  EXPECT_FALSE(neighbours.has_listener(kTopic));
  const auto answers = std::make_shared<LinkRecorder>();
  EXPECT_EQ(must_fail(neighbours.connect(kTopic, answers)).kind(), ErrorKind::not_found);
  {
    const LinkListener own(other);
    const LinkListener another(world.store(), "another topic");
    EXPECT_FALSE(neighbours.has_listener(kTopic)) << "only through itself";
    EXPECT_EQ(must_fail(neighbours.connect(kTopic, answers)).kind(), ErrorKind::not_found);
    co_await must_be_listened_to(world, world.store());
  }
  co_await must_be_listened_to(world, world.store(), false);
  EXPECT_EQ(answers->waiting(), 0u);
}

Task<void> what_is_said_arrives_in_order_both_ways(World& world) {
  constexpr int kMessages = 2'000;
  const Store other = co_await world.open();
  LinkListener listener(world.store());
  const auto caller = connect(other);
  const auto taken = co_await listener.taken(world);
  for (int i = 0; i < kMessages; ++i) {
    must(caller.link->send("to " + std::to_string(i)));
    must(taken->link->send("from " + std::to_string(i)));
  }
  for (int i = 0; i < kMessages; ++i) {
    EXPECT_EQ(co_await taken->next_message(world), "to " + std::to_string(i));
    EXPECT_EQ(co_await caller.answers->next_message(world), "from " + std::to_string(i));
  }
  EXPECT_EQ(taken->waiting() + caller.answers->waiting(), 0u);
}

Task<void> messages_are_of_0_bytes_to_the_largest(World& world) {
  const Store other = co_await world.open();
  LinkListener listener(world.store());
  const auto caller = connect(other);
  const auto taken = co_await listener.taken(world);
  Bytes largest(kNeighbourMessageBytes, 'm');
  largest.back() = 'e';
  must(caller.link->send(""));
  must(caller.link->send(largest));
  EXPECT_EQ(must_fail(caller.link->send(largest + "x")).kind(), ErrorKind::exhausted);
  must(caller.link->send("after it"));
  EXPECT_EQ(co_await taken->next_message(world), "");
  EXPECT_TRUE(co_await taken->next_message(world) == largest);
  EXPECT_EQ(co_await taken->next_message(world), "after it");
}

Task<void> a_link_that_one_end_closes_ends_for_both_once(World& world) {
  const Store other = co_await world.open();
  LinkListener listener(world.store());
  for (std::size_t round = 0; round < 4; ++round) {
    auto caller = connect(other);
    const auto taken = co_await listener.taken(world, round);
    must(caller.link->send("before it"));
    EXPECT_EQ(co_await taken->next_message(world), "before it");
    if (round == 0) caller.link->close();
    if (round == 1) taken->link->close();
    if (round == 2) caller.link.reset();
    if (round == 3) taken->link.reset();
    EXPECT_EQ(co_await caller.answers->end(world), ErrorKind::closed);
    EXPECT_EQ(co_await taken->end(world), ErrorKind::closed);
    for (const auto& link : {caller.link, taken->link}) {
      if (!link) continue;
      EXPECT_EQ(must_fail(link->send("after it")).kind(), ErrorKind::closed);
      link->close();
    }
    EXPECT_EQ(caller.answers->calls_after_the_end() + taken->calls_after_the_end(), 0u);
  }
}

Task<void> what_was_sent_before_a_close_arrives_or_the_end_does(World& world) {
  const Store other = co_await world.open();
  LinkListener listener(world.store());
  auto caller = connect(other);
  const auto taken = co_await listener.taken(world);
  for (int i = 0; i < 100; ++i) must(caller.link->send(std::to_string(i)));
  caller.link->close();
  EXPECT_EQ(co_await taken->end(world), ErrorKind::closed);
}

Task<void> a_listener_that_refuses_gets_nothing(World& world) {
  const Store other = co_await world.open();
  LinkListener listener(world.store());
  listener.refuses = true;
  const auto answers = std::make_shared<LinkRecorder>();
  auto link = find_neighbours(other)->connect(kTopic, answers);
  if (link) {
    EXPECT_EQ(co_await answers->end(world), ErrorKind::closed);
  } else {
    EXPECT_EQ(link.error().kind(), ErrorKind::retry);
  }
  EXPECT_EQ(listener.count(), 0u);
  listener.refuses = false;
  const auto caller = connect(other);
  must(caller.link->send("once more"));
  const auto taken = co_await listener.taken(world);
  EXPECT_EQ(co_await taken->next_message(world), "once more");
}

Task<void> links_outlive_the_listening_that_took_them(World& world) {
  const Store other = co_await world.open();
  LinkListener listener(world.store());
  const auto caller = connect(other);
  const auto taken = co_await listener.taken(world);
  listener.stop();
  co_await must_be_listened_to(world, other, false);
  const auto answers = std::make_shared<LinkRecorder>();
  EXPECT_EQ(must_fail(find_neighbours(other)->connect(kTopic, answers)).kind(),
            ErrorKind::not_found);
  must(caller.link->send("still"));
  EXPECT_EQ(co_await taken->next_message(world), "still");
}

Task<void> a_store_that_closes_ends_what_it_has(World& world) {
  const Store other = co_await world.open();
  const Store third = co_await world.open();
  LinkListener listener(other);
  LinkListener apart(third, "apart");
  const auto from_it = connect(other, "apart");
  const auto to_it = connect(third);
  const auto taken = co_await listener.taken(world);
  const auto taken_apart = co_await apart.taken(world);
  auto& neighbours = *find_neighbours(other);
  co_await world.close(other);
  // Its own are told before it has closed.
  EXPECT_EQ(taken->waiting(), 1u);
  EXPECT_EQ(from_it.answers->waiting(), 1u);
  EXPECT_EQ(co_await taken->end(world), ErrorKind::closed);
  EXPECT_EQ(co_await from_it.answers->end(world), ErrorKind::closed);
  EXPECT_EQ(co_await to_it.answers->end(world), ErrorKind::closed);
  EXPECT_EQ(co_await taken_apart->end(world), ErrorKind::closed);
  EXPECT_EQ(must_fail(from_it.link->send("late")).kind(), ErrorKind::closed);
  EXPECT_FALSE(neighbours.has_listener("apart"));
  auto nobody = [](std::shared_ptr<NeighbourLink>) { return std::shared_ptr<LinkRecorder>(); };
  EXPECT_EQ(must_fail(neighbours.listen("new", nobody)).kind(), ErrorKind::closed);
  EXPECT_EQ(must_fail(neighbours.connect("apart", std::make_shared<LinkRecorder>())).kind(),
            ErrorKind::closed);
  co_await must_be_listened_to(world, third, false);
}

Task<void> links_and_topics_are_bounded(World& world) {
  const Store other = co_await world.open();
  LinkListener listener(world.store());
  std::vector<Connected> callers;
  for (std::size_t i = 0; i < kNeighbourLinks; ++i) {
    callers.push_back(connect(other));
    must(callers.back().link->send(std::to_string(i)));
    const auto taken = co_await listener.taken(world, i);
    EXPECT_EQ(co_await taken->next_message(world), std::to_string(i));
  }
  const auto answers = std::make_shared<LinkRecorder>();
  EXPECT_EQ(must_fail(find_neighbours(other)->connect(kTopic, answers)).kind(),
            ErrorKind::exhausted);
  // The listener has as many.
  const Store third = co_await world.open();
  auto link = find_neighbours(third)->connect(kTopic, answers);
  if (link) {
    EXPECT_EQ(co_await answers->end(world), ErrorKind::closed);
  } else {
    EXPECT_EQ(link.error().kind(), ErrorKind::retry);
  }
  const auto first = co_await listener.taken(world);
  callers.front().link->close();
  EXPECT_EQ(co_await first->end(world), ErrorKind::closed);
  const auto one_more = connect(other);
  must(one_more.link->send("one more"));
  const auto taken = co_await listener.taken(world, kNeighbourLinks);
  EXPECT_EQ(co_await taken->next_message(world), "one more");

  auto& neighbours = *find_neighbours(third);
  auto nobody = [](std::shared_ptr<NeighbourLink>) { return std::shared_ptr<LinkRecorder>(); };
  std::vector<std::unique_ptr<Neighbours::Listening>> topics;
  for (std::size_t i = 0; i < kNeighbourTopics; ++i) {
    topics.push_back(must(neighbours.listen(std::to_string(i), nobody)));
  }
  EXPECT_EQ(must_fail(neighbours.listen("more", nobody)).kind(), ErrorKind::exhausted);
  topics.pop_back();
  topics.push_back(must(neighbours.listen("more", nobody)));
  const std::string too_long(kNeighbourTopicBytes + 1, 't');
  EXPECT_EQ(must_fail(neighbours.listen(too_long, nobody)).kind(), ErrorKind::invalid_argument);
  EXPECT_EQ(must_fail(neighbours.connect(too_long, answers)).kind(), ErrorKind::invalid_argument);
}

Task<void> each_of_several_listeners_is_found(World& world) {
  const Store other = co_await world.open();
  const Store third = co_await world.open();
  LinkListener one(world.store());
  LinkListener two(other);
  std::vector<Connected> callers;
  for (int i = 0; i < 64 && (one.count() == 0 || two.count() == 0); ++i) {
    callers.push_back(connect(third));
    const std::size_t number = callers.size();
    const auto deadline = world.clock().after(kLost);
    while (one.count() + two.count() < number && world.clock().now() < deadline) {
      co_await yield_now();
    }
  }
  EXPECT_GT(one.count(), 0u);
  EXPECT_GT(two.count(), 0u);
}

// Links that end while others send, close and connect: no call is lost, none is made twice.
Task<void> much_at_once_ends_well(World& world) {
  constexpr int kCallers = 8;
  constexpr int kRounds = 30;
  const Store other = co_await world.open();
  LinkListener listener(world.store());
  std::mutex mutex;
  std::vector<std::shared_ptr<LinkRecorder>> recorders;
  co_await world.in_parallel(kCallers, [&](int caller) -> Task<void> {
    for (int round = 0; round < kRounds; ++round) {
      const auto made = connect(other);
      {
        std::lock_guard lock(mutex);
        recorders.push_back(made.answers);
      }
      for (int i = 0; i < 20; ++i) {
        const auto sent = made.link->send("message");
        if (!sent) break;
      }
      if (round % 3 == caller % 3) co_await yield_now();
      if (round % 2 == 0) made.link->close();
    }
  });
  for (const auto& recorder : recorders) {
    EXPECT_EQ(co_await recorder->end(world), ErrorKind::closed);
    EXPECT_EQ(recorder->calls_after_the_end(), 0u);
  }
  for (std::size_t i = 0; i < recorders.size(); ++i) {
    const auto taken = co_await listener.taken(world, i);
    EXPECT_EQ(co_await taken->end(world), ErrorKind::closed);
    EXPECT_EQ(taken->calls_after_the_end(), 0u);
  }
}

#define SEMPER_CASE(name) \
  { #name, name, CaseTime::as_the_store, CaseNeeds::links }
constexpr Case kNeighbourCases[] = {
    SEMPER_CASE(where_nobody_else_listens_nobody_is_found),
    SEMPER_CASE(what_is_said_arrives_in_order_both_ways),
    SEMPER_CASE(messages_are_of_0_bytes_to_the_largest),
    SEMPER_CASE(a_link_that_one_end_closes_ends_for_both_once),
    SEMPER_CASE(what_was_sent_before_a_close_arrives_or_the_end_does),
    SEMPER_CASE(a_listener_that_refuses_gets_nothing),
    SEMPER_CASE(links_outlive_the_listening_that_took_them),
    SEMPER_CASE(a_store_that_closes_ends_what_it_has),
    SEMPER_CASE(links_and_topics_are_bounded),
    SEMPER_CASE(each_of_several_listeners_is_found),
    SEMPER_CASE(much_at_once_ends_well),
};
#undef SEMPER_CASE

}  // namespace

std::span<const Case> neighbour_cases() {
  return kNeighbourCases;
}

}  // namespace semper::testing::conformance
